//! The result of a measurement, as a table or as JSON, alone or beside an earlier one.

use std::fmt;

use selfplay_actors::{
    onnx::Placement,
    stats::{Bucket, Distribution},
};
use serde::Serialize;

use super::{
    compare::{Comparison, Earlier},
    figures::Figures,
    text::short,
};
use crate::{
    cli::OutputArgs,
    daemon::evaluation::Evaluation,
    exit::Exit,
    played::PlayedGame,
    settings::{GameSettings, Settings},
    streams,
};

/// What was measured with.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setup {
    model: Option<String>,
    device: String,
    cores: usize,
    #[serde(flatten)]
    rules: Rules,
    /// Per move; `None` where they depend on the number of legal moves.
    simulations: Option<u32>,
    leaf_parallelism: u32,
    games_at_once: u32,
    inference_threads: usize,
    game_threads: usize,
    max_batch: usize,
    max_wait_ms: f64,
    cache_max_bytes: u64,
    cache_max_entries: Option<u64>,
}

/// The rules that were played by.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Rules {
    Quoridor { board_size: u8, max_walls: u8, max_steps: Option<u32> },
    Other { game: String },
}

impl Rules {
    fn of(settings: &Settings) -> Self {
        let GameSettings { board_size, max_walls, max_steps, .. } = settings.game;
        if settings.of_quoridor() {
            Self::Quoridor { board_size, max_walls, max_steps }
        } else {
            Self::Other { game: settings.facts().title }
        }
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quoridor { board_size: side, max_walls, .. } => write!(f, "{side}x{side}, {max_walls} walls"),
            Self::Other { game } => f.write_str(game),
        }
    }
}

impl Setup {
    /// That of `settings`; finds out about the device, and fails where there is none to be had.
    pub(super) fn new(game: &impl PlayedGame, settings: &Settings) -> anyhow::Result<Self> {
        let Evaluation { sizes, device, .. } = Evaluation::prepare(settings, game)?;
        Ok(Self {
            model: settings.model.path.as_ref().map(|path| path.display().to_string()),
            device,
            cores: sizes.cores,
            rules: Rules::of(settings),
            simulations: settings.search.mcts_n,
            leaf_parallelism: settings.leaf_parallelism(),
            games_at_once: settings.play.games(),
            inference_threads: sizes.inference_threads,
            game_threads: sizes.game_threads,
            max_batch: sizes.batching.max_batch,
            max_wait_ms: settings.inference.eval_max_wait_ms,
            cache_max_bytes: settings.cache.max_bytes,
            cache_max_entries: settings.cache.max_entries,
        })
    }

    /// Notes what the network ran on and computed with.
    pub(super) fn ran_on(&mut self, placement: &Placement) {
        self.device = placement.to_string();
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let Self { rules, leaf_parallelism, games_at_once, inference_threads, .. } = self;
        let simulations = self.simulations.map_or_else(String::new, |n| format!("n = {n}, "));
        format!(
            "{rules}, {simulations}K = {leaf_parallelism}, {games_at_once} games; {}: \
             {inference_threads} inference threads, {} for games, batches of at most {}",
            self.device, self.game_threads, self.max_batch
        )
    }
}

/// Sizes of batches.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct BatchSizes(Vec<Bucket>);

impl BatchSizes {
    /// Those of several rounds together.
    pub(super) fn of(rounds: impl IntoIterator<Item = Distribution>) -> Self {
        let mut sum: Vec<Bucket> = Vec::new();
        for round in rounds {
            let buckets: Vec<_> = round.buckets().collect();
            if sum.is_empty() {
                sum = buckets;
            } else {
                sum.iter_mut().zip(buckets).for_each(|(sum, bucket)| sum.count += bucket.count);
            }
        }
        Self(sum.into_iter().filter(|bucket| bucket.count > 0).collect())
    }

    /// Shares of batches by size; nothing where there were none.
    pub(super) fn text(&self) -> String {
        let all: u64 = self.0.iter().map(|bucket| bucket.count).sum();
        let size = |bucket: &Bucket| bucket.le.map_or_else(|| "more".to_owned(), |le| format!("≤{le}"));
        let share = |bucket: &Bucket| format!("{} {:.1}%", size(bucket), 100.0 * bucket.count as f64 / all as f64);
        self.0.iter().map(share).collect::<Vec<_>>().join(", ")
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// What was measured.
    pub bench: &'static str,
    selfplayd: &'static str,
    pub setup: Setup,
    pub rounds: usize,
    pub figures: Figures,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_sizes: Option<BatchSizes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<Comparison>,
}

impl Report {
    pub(super) fn new(bench: &'static str, setup: Setup, rounds: usize, figures: Figures) -> Self {
        let selfplayd = env!("CARGO_PKG_VERSION");
        Self { bench, selfplayd, setup, rounds, figures, batch_sizes: None, comparison: None }
    }

    /// Prints it as `args` say; `table` makes the table of it.
    pub(super) fn print(
        mut self,
        args: &OutputArgs,
        earlier: Option<&Earlier>,
        table: impl FnOnce(&Self) -> String,
    ) -> anyhow::Result<Exit> {
        let setup = serde_json::to_value(&self.setup)?;
        self.comparison = earlier.map(|earlier| Comparison::new(earlier, &setup, &self.figures));
        let text = match (&self.comparison, args.json) {
            (_, true) => serde_json::to_string(&self)?,
            (None, false) => table(&self),
            (Some(comparison), false) => format!("{}\n\n{}", table(&self), comparison.table()),
        };
        streams::print(&text)?;
        Ok(Exit::Clean)
    }

    /// Title and rows of a table of figures: medians and spreads.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["", "median", "least", "most"].map(str::to_owned).to_vec()];
        rows.extend(self.figures.iter().map(|figure| {
            let spread = figure.spread();
            let numbers = [spread.median, spread.min, spread.max].map(short);
            std::iter::once(figure.label.clone()).chain(numbers).collect()
        }));
        rows
    }
}

/// What was measured earlier, where `args` name it.
pub(super) fn earlier(args: &OutputArgs, bench: &str) -> anyhow::Result<Option<Earlier>> {
    args.compare.as_deref().map(|path| Earlier::read(path, bench)).transpose()
}

#[cfg(test)]
mod tests {
    use selfplay_actors::stats::Histogram;

    use super::*;

    #[test]
    fn batch_sizes_of_all_rounds_are_summed_as_shares() {
        let round = |small: u64, large: u64| {
            let histogram = Histogram::new(&[8.0, 16.0, 32.0]);
            histogram.record_many(8.0, small);
            histogram.record_many(30.0, large);
            histogram.get()
        };
        assert_eq!(BatchSizes::of([round(1, 2), round(0, 1)]).text(), "≤8 25.0%, ≤32 75.0%");
        assert_eq!(BatchSizes::of([]).text(), "");
    }
}
