//! What a schedule is about: how many take part, by which policies, and what goes wrong.

use std::time::Duration;

use super::toy::{Dice, ModelFaults};
use crate::{batcher::BatchPolicy, cache::CacheLimits};

/// What a schedule is about; follows from its seed.
pub(super) struct Plan {
    pub(super) policy: BatchPolicy,
    pub(super) cache: CacheLimits,
    pub(super) threads: usize,
    pub(super) games: usize,
    pub(super) asks: u64,
    pub(super) swaps: u64,
    /// Times that play is paused or resumed.
    pub(super) toggles: u64,
    pub(super) closes: bool,
    /// Once in so many messages their receiver panics; 0: never.
    pub(super) panics: u64,
    pub(super) faults: ModelFaults,
    /// How much likelier than 1 each kind of step is: arrivals, cache, batcher, threads, games, loader.
    pub(super) weights: [u64; 6],
}

impl Plan {
    pub(super) fn roll(dice: &mut Dice) -> Self {
        let max_batch = dice.one_of(&[1, 2, 3, 16]);
        let max_wait = Duration::from_millis(dice.one_of(&[0, 0, 3]));
        let max_entries = dice.one_of(&[None, None, Some(5), Some(0)]);
        let faulty = !dice.once_in(3);
        let mut rate = |often: u64| if faulty && dice.once_in(2) { often } else { 0 };
        let faults = ModelFaults { fails: rate(6), panics: rate(8), forgets: rate(10), flaws: rate(25) };
        let panics = rate(12);
        Self {
            policy: BatchPolicy { max_batch, max_wait, min_share: dice.one_of(&[1, 2, max_batch]), cores: 1 },
            cache: CacheLimits { max_bytes: 1 << 20, max_entries },
            threads: 1 + dice.below(3) as usize,
            games: 1 + dice.below(5) as usize,
            asks: 1 + dice.below(6),
            swaps: 1 + dice.below(6),
            toggles: if dice.once_in(2) { dice.below(12) } else { 0 },
            closes: faulty && dice.once_in(8),
            panics,
            faults,
            weights: std::array::from_fn(|_| dice.one_of(&[1, 4, 16])),
        }
    }

    pub(super) fn is_calm(&self) -> bool {
        let ModelFaults { fails, panics, forgets, flaws } = self.faults;
        fails + panics + forgets + flaws + self.panics == 0 && !self.closes
    }
}
