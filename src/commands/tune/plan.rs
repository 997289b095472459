//! What may be tried: where the search starts, the values of each knob, and what bounds them.

use anyhow::{Context as _, ensure};

use super::{
    raw::BatchRates,
    search::{Choice, Knob},
};
use crate::{
    daemon::sizes::{Sizes, fit, memory_limit, needed},
    settings::Settings,
};

/// More leaves at a time are not tried without being asked for.
const MOST_LEAVES: u32 = 16;
/// Games in play beyond which nothing is tried.
const MOST_GAMES: u32 = 4096;
/// Waits for a fuller batch, in microseconds.
const WAITS: [u32; 5] = [0, 250, 500, 1000, 2000];
/// Most numbers of threads that are tried one by one.
const MOST_THREADS: u32 = 8;

/// What the search may try: the settings that it begins with, and their bounds.
pub(super) struct Plan {
    /// The user's, within the memory given, with inference threads and batches as `auto` has them.
    pub(super) settings: Settings,
    /// Inference threads and the largest batch, as far as the user sets them.
    given: (Option<u32>, Option<u32>),
    /// What was changed to fit, for the user.
    pub(super) notes: Vec<String>,
    /// Most leaves gathered at a time.
    pub(super) most_leaves: u32,
    /// Whether the cache had to give way.
    pub(super) cache_cut: bool,
    /// Most bytes that the daemon may need.
    pub(super) memory: u64,
    /// Whether the user said so here.
    pub(super) memory_is_given: bool,
}

impl Plan {
    /// For a daemon that needs at most `memory` bytes, if given. `most_leaves`: what the user allows.
    pub(super) fn new(settings: &Settings, most_leaves: Option<u32>, memory: Option<u64>) -> anyhow::Result<Self> {
        let mut settings = settings.clone();
        let mut notes = Vec::new();
        let most_leaves = bound(&settings, most_leaves);
        let leaves = settings.leaf_parallelism();
        if leaves > most_leaves {
            notes.push(format!(
                "leaf_parallelism {leaves} is lowered to {most_leaves}, so that strength does not suffer; \
                 --max-leaf-parallelism allows more"
            ));
        }
        settings.search.leaf_parallelism = Some(leaves.min(most_leaves));
        let memory_is_given = memory.is_some();
        settings.memory.max_bytes = memory.or(settings.memory.max_bytes);
        let memory =
            memory_limit(&settings).context("this system does not say how much memory it has: --memory SIZE")?;
        let cache = settings.cache.max_bytes;
        notes.extend(fit(&mut settings, memory));
        let least = needed(&settings);
        ensure!(least <= memory, "--memory: no less than {} MiB will do", least.div_ceil(1 << 20));
        let cache_cut = settings.cache.max_bytes < cache;
        let given = (settings.inference.threads.take(), settings.inference.eval_batch_size.take());
        Ok(Self { settings, given, notes, most_leaves, cache_cut, memory, memory_is_given })
    }

    /// What the settings say, and `auto` where they leave it open.
    pub(super) fn start(&self, rates: &BatchRates) -> Choice {
        let Sizes { inference_threads, batching, .. } = Sizes::new(&self.settings, &rates.devices);
        Choice::new(|knob| match knob {
            Knob::Threads => self.given.0.unwrap_or(inference_threads as u32),
            Knob::Batch => self.given.1.unwrap_or(batching.max_batch as u32),
            Knob::Games => self.settings.play.games(),
            Knob::Leaves => self.settings.leaf_parallelism(),
            Knob::Wait => (self.settings.inference.eval_max_wait_ms * 1e3) as u32,
        })
    }

    /// The values to try.
    pub(super) fn ladder(&self, knob: Knob, rates: &BatchRates) -> Vec<u32> {
        let powers = |most: u32| {
            std::iter::successors(Some(1_u32), |power| power.checked_mul(2)).take_while(move |&power| power <= most)
        };
        let cores = Sizes::new(&self.settings, &rates.devices).cores as u32;
        match knob {
            Knob::Threads if rates.devices.iter().any(|device| device.is_gpu()) => (1..=4).collect(),
            Knob::Threads if cores <= MOST_THREADS => (1..=cores).collect(),
            Knob::Threads => (1..=4).map(|quarter| cores * quarter / 4).collect(),
            Knob::Batch => rates.worthwhile(),
            Knob::Games => powers(MOST_GAMES).collect(),
            Knob::Leaves => powers(self.most_leaves).collect(),
            Knob::Wait => WAITS.to_vec(),
        }
    }

    /// The settings with a choice.
    pub(super) fn apply(&self, choice: Choice) -> Settings {
        let mut settings = self.settings.clone();
        settings.inference.threads = Some(choice.get(Knob::Threads));
        settings.inference.eval_batch_size = Some(choice.get(Knob::Batch));
        settings.play.games_per_process = Some(choice.get(Knob::Games));
        settings.search.leaf_parallelism = Some(choice.get(Knob::Leaves));
        settings.inference.eval_max_wait_ms = f64::from(choice.get(Knob::Wait)) / 1e3;
        settings
    }
}

/// Most leaves gathered at a time: what the user allows, else what costs no strength; never more than simulations of a move.
fn bound(settings: &Settings, allowed: Option<u32>) -> u32 {
    let harmless = settings.search.harmless_leaves().min(MOST_LEAVES);
    allowed.unwrap_or(harmless).min(settings.search.usual_simulations()).max(1)
}

#[cfg(test)]
mod tests {
    use selfplay_actors::onnx::Device;

    use super::*;
    use crate::commands::tune::file::tests::settings;

    const GIB: Option<u64> = Some(1 << 30);

    #[test]
    fn leaves_are_few_beside_the_simulations_unless_the_user_says_otherwise() {
        let most = |n: &str, allowed| {
            let given = settings(&[("search.mcts_n", n), ("search.leaf_parallelism", "2")]);
            Plan::new(&given, allowed, GIB).unwrap().most_leaves
        };
        assert_eq!((most("10", None), most("100", None), most("400", None), most("5000", None)), (1, 1, 4, 16));
        assert_eq!((most("100", Some(64)), most("10", Some(64)), most("5000", Some(2))), (64, 10, 2));
        let given = settings(&[("search.mcts_n", "100"), ("search.leaf_parallelism", "16")]);
        let plan = Plan::new(&given, None, GIB).unwrap();
        assert_eq!(plan.settings.search.leaf_parallelism, Some(1));
        assert!(plan.notes[0].starts_with("leaf_parallelism 16 is lowered to 1"), "{:?}", plan.notes);
    }

    #[test]
    fn the_cache_gives_way_before_games() {
        let given = settings(&[("search.mcts_n", "400"), ("game.board_size", "9"), ("cache.max_bytes", "200MiB")]);
        let fitted = |mib: u64| {
            let Plan { settings, notes, cache_cut, .. } = Plan::new(&given, None, Some(mib << 20)).unwrap();
            (settings.cache.max_bytes >> 20, settings.play.games(), notes.len(), cache_cut)
        };
        assert_eq!(fitted(1024), (200, 32, 0, false));
        let (cache, games, notes, cut) = fitted(100);
        assert!((20..100).contains(&cache) && (games, notes, cut) == (32, 1, true), "{cache} MiB");
        let (cache, games, notes, cut) = fitted(24);
        assert!(cache == 16 && (1..32).contains(&games) && notes == 1 && cut, "{cache} MiB, {games} games");
        let error = Plan::new(&given, None, Some(1 << 10)).err().unwrap().to_string();
        assert!(error.starts_with("--memory: no less than 1"), "{error}");
    }

    #[test]
    fn a_choice_becomes_settings_and_the_start_is_what_the_user_has() {
        let given = [("inference.threads", "7"), ("play.games_per_process", "20")];
        let plan = Plan::new(&settings(&given), None, GIB).unwrap();
        let rates = BatchRates::of(&[(1, 10.0), (8, 20.0)]);
        let start = plan.start(&rates);
        assert_eq!((start.get(Knob::Games), start.get(Knob::Batch), start.get(Knob::Wait)), (20, 32, 0));
        assert_eq!(start.get(Knob::Threads), 7);
        let plan = Plan::new(&settings(&[("inference.eval_batch_size", "100")]), None, GIB).unwrap();
        let start = plan.start(&rates);
        assert_eq!(start.get(Knob::Threads) as usize, Sizes::new(&plan.settings, &[Device::Cpu]).cores);
        assert_eq!(start.get(Knob::Batch), 100);
        let start = start.with(Knob::Games, 20);
        let settings = plan.apply(start.with(Knob::Wait, 250).with(Knob::Leaves, 3).with(Knob::Batch, 8));
        assert_eq!((settings.inference.eval_max_wait_ms, settings.search.leaf_parallelism), (0.25, Some(3)));
        assert_eq!((settings.inference.eval_batch_size, settings.play.games()), (Some(8), 20));
        assert_eq!(plan.ladder(Knob::Batch, &rates), [1, 8]);
        assert_eq!(plan.ladder(Knob::Games, &rates)[..4], [1, 2, 4, 8]);
        assert!(plan.ladder(Knob::Leaves, &rates).iter().all(|&leaves| leaves <= plan.most_leaves));
    }
}
