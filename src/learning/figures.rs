//! Figures of one model version, or of several together, as status, page and metrics show them.

use selfplay_actors::{
    changes::Difference,
    learning::{ValueBin, VersionSums},
};
use serde::{Deserialize, Serialize};

use super::rows::Row;

/// What the games of a model version come to. Shares are from 0 to 1; what no game tells yet is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct VersionFigures {
    /// The trainer's number; of several versions the newest.
    pub version: i64,
    /// The oldest of several versions; the same as `version` of one.
    pub from: i64,
    /// When the first of these games were seen, in seconds since 1970.
    pub first_unix: f64,
    /// Finished games.
    pub games: u64,
    /// Their mean length.
    pub plies: Option<f64>,
    /// Share that the first player won.
    pub first_share: Option<f64>,
    /// Share that the second player won.
    pub second_share: Option<f64>,
    /// Share without a winner.
    pub draw_share: Option<f64>,
    /// Share that ended at the step limit.
    pub step_limit_share: Option<f64>,
    /// Games that were told apart from others.
    pub told_apart: u64,
    /// Share of these whose moves were those of an earlier one.
    pub repeated_games: Option<f64>,
    /// Share of these whose first eight plies were.
    pub repeated_openings: Option<f64>,
    /// Share of searched plies with a search of full size.
    pub full_share: Option<f64>,
    /// Mean plies between root and leaf.
    pub depth: Option<f64>,
    /// Policy targets of positions in which there is something to choose.
    pub targets: u64,
    /// Mean entropy of policy targets, in nats.
    pub entropy: Option<f64>,
    /// Mean of it as a share of that of equal chances.
    pub entropy_share: Option<f64>,
    /// Share of targets in which one move has at least 99%.
    pub one_hot_share: Option<f64>,
    /// Mean Kullback–Leibler divergence of targets from the network's policy, in nats.
    pub policy_kl: Option<f64>,
    /// Plies whose values can be compared with the result of their game.
    pub values: u64,
    /// Mean squared error of the search's values.
    pub value_error: Option<f64>,
    /// Mean squared error of the network's own values.
    pub raw_value_error: Option<f64>,
    /// Mean squared error of always saying what is usual for the side to move: who does no better has learned nothing of positions.
    pub guess_error: Option<f64>,
    /// Mean distance between values of a bin and what came of them.
    pub calibration_error: Option<f64>,
    /// Value by the search and result of their games, on average, with the number of plies, from bad to good.
    pub calibration: Vec<[f64; 3]>,
    /// Rating by matches beside play, above search without a network.
    pub elo: Option<f64>,
    /// Half of the 95% interval.
    pub elo_margin: Option<f64>,
    /// What the model changed when it came into service.
    pub change: Option<Difference>,
    /// Its largest logit of a legal action in probe positions.
    pub largest_logit: Option<f64>,
}

impl VersionFigures {
    /// Of a version.
    pub(super) fn of(row: &Row) -> Self {
        let change = row.change.as_ref();
        Self {
            version: row.version,
            from: row.version,
            first_unix: row.first_unix,
            elo: row.elo.map(|[elo, _]| elo),
            elo_margin: row.elo.map(|[_, margin]| margin),
            change: change.and_then(|change| change.against),
            largest_logit: change.map(|change| change.largest_logit),
            ..Self::of_games(&row.sums)
        }
    }

    fn of_games(sums: &VersionSums) -> Self {
        let drawn = sums.games.saturating_sub(sums.won_first.saturating_add(sums.won_second));
        let guess = ratio(sums.result_squared, sums.values).zip(ratio(sums.result, sums.values));
        let mean = |bin: &ValueBin| [bin.value, bin.result].map(|sum| sum / bin.count.max(1) as f64);
        let filled = || sums.bins.iter().filter(|bin| bin.count > 0);
        let distance: f64 = filled().map(|bin| (bin.value - bin.result).abs()).sum();
        Self {
            games: sums.games,
            plies: share(sums.plies, sums.games),
            first_share: share(sums.won_first, sums.games),
            second_share: share(sums.won_second, sums.games),
            draw_share: share(drawn, sums.games),
            step_limit_share: share(sums.step_limit, sums.games),
            told_apart: sums.told_apart,
            repeated_games: share(sums.told_apart.saturating_sub(sums.distinct_games), sums.told_apart),
            repeated_openings: share(sums.told_apart.saturating_sub(sums.distinct_openings), sums.told_apart),
            full_share: share(sums.full, sums.searched),
            depth: share(sums.depth, sums.simulations),
            targets: sums.targets,
            entropy: ratio(sums.entropy, sums.targets),
            entropy_share: ratio(sums.entropy_share, sums.targets),
            one_hot_share: share(sums.one_hot, sums.targets),
            policy_kl: ratio(sums.divergence, sums.divergences),
            values: sums.values,
            value_error: ratio(sums.value_error, sums.values),
            raw_value_error: ratio(sums.raw_error, sums.raw_values),
            // The variance of the result for the first player: the same from either view.
            guess_error: guess.map(|(square, mean)| (square - mean * mean).max(0.0)),
            calibration_error: ratio(distance, sums.values),
            calibration: filled()
                .map(|bin| {
                    let [value, result] = mean(bin);
                    [value, result, bin.count as f64]
                })
                .collect(),
            ..Self::default()
        }
    }

    /// Of the newest versions that have `games` games together, or of all if they have fewer; `None` without any game. Those that are newer
    /// than the one `serving` do not count: the trainer has gone back.
    pub(super) fn recent<'a>(
        rows: impl DoubleEndedIterator<Item = &'a Row>,
        serving: Option<i64>,
        games: u64,
    ) -> Option<Self> {
        let mut sums = VersionSums::default();
        let mut span: Option<(&Row, &Row)> = None;
        let counts = |row: &&Row| row.sums.games > 0 && serving.is_none_or(|serving| row.version <= serving);
        for row in rows.rev().filter(counts) {
            sums.merge(&row.sums);
            span = Some((span.map_or(row, |(newest, _)| newest), row));
            if sums.games >= games {
                break;
            }
        }
        let (newest, oldest) = span?;
        Some(Self {
            version: newest.version,
            from: oldest.version,
            first_unix: oldest.first_unix,
            ..Self::of_several(newest, &sums)
        })
    }

    /// Figures of games of several versions; the rest is of the newest.
    fn of_several(newest: &Row, sums: &VersionSums) -> Self {
        let Self { elo, elo_margin, change, largest_logit, .. } = Self::of(newest);
        Self { elo, elo_margin, change, largest_logit, ..Self::of_games(sums) }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    ratio(part as f64, whole)
}

fn ratio(sum: f64, count: u64) -> Option<f64> {
    (count > 0 && sum.is_finite()).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: i64, games: u64) -> Row {
        let mut sums = VersionSums {
            games,
            won_first: games / 2,
            won_second: games / 4,
            plies: 20 * games,
            values: 10 * games,
            value_error: 4.0 * games as f64,
            result: 2.0 * games as f64,
            result_squared: 7.0 * games as f64,
            told_apart: games,
            distinct_games: games / 2,
            distinct_openings: games / 4,
            ..VersionSums::default()
        };
        sums.bins[0] = ValueBin { count: 10 * games, value: -9.0 * games as f64, result: -7.0 * games as f64 };
        Row { version, first_unix: version as f64, elo: Some([version as f64, 5.0]), sums, ..Row::default() }
    }

    #[test]
    fn figures_follow_from_sums() {
        let figures = VersionFigures::of(&row(7, 100));
        assert_eq!((figures.games, figures.plies, figures.first_share), (100, Some(20.0), Some(0.5)));
        assert_eq!((figures.second_share, figures.draw_share), (Some(0.25), Some(0.25)));
        assert_eq!((figures.repeated_games, figures.repeated_openings), (Some(0.5), Some(0.75)));
        assert_eq!((figures.value_error, figures.raw_value_error, figures.entropy), (Some(0.4), None, None));
        assert!((figures.guess_error.unwrap() - (0.7 - 0.04)).abs() < 1e-9);
        assert!((figures.calibration_error.unwrap() - 0.2).abs() < 1e-9);
        assert_eq!(figures.calibration, [[-0.9, -0.7, 1000.0]]);
        let nothing = VersionFigures::of(&Row::default());
        assert_eq!(
            (nothing.plies, nothing.value_error, nothing.guess_error, nothing.calibration.len()),
            (None, None, None, 0)
        );
    }

    #[test]
    fn the_newest_versions_count_together_until_there_are_games_enough() {
        let rows = [row(1, 500), row(2, 60), row(3, 60), row(4, 0)];
        let figures = VersionFigures::recent(rows.iter(), None, 100).unwrap();
        assert_eq!((figures.version, figures.from, figures.games, figures.elo), (3, 2, 120, Some(3.0)));
        let figures = VersionFigures::recent(rows.iter(), Some(9), 100_000).unwrap();
        assert_eq!((figures.version, figures.from, figures.games), (3, 1, 620));
        let figures = VersionFigures::recent(rows.iter(), Some(2), 10).unwrap();
        assert_eq!((figures.version, figures.games), (2, 60), "the trainer went back to version 2");
        assert_eq!(VersionFigures::recent([row(1, 0)].iter(), None, 100), None);
    }
}
