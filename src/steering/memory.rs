//! Keeps a process within its memory (`memory.max_bytes`): when it has more, it gives up cache, then room in the trees, then games.
//! None of that changes a game.

use std::{
    sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed},
    time::Duration,
};

use selfplay_actors::{
    root::{Controller, SettingsChange},
    stats::Stats,
};

use crate::daemon::sizes;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks until what was given up shows in the memory of the process: the allocator gives it back after a while.
const SETTLE: u32 = 5;
/// The cache is not made smaller than this: then it would answer next to nothing.
const LEAST_CACHE: u64 = 16 << 20;

/// What is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shed {
    /// The cache holds no more than so many bytes.
    Cache(u64),
    /// Trees give back what they do not need at the moment.
    Trees,
    /// No more games than this are in play at once; those beyond are played to their end.
    Games(u64),
}

/// Decides what to give up. Plain state: no clock of its own.
#[derive(Debug)]
struct Shedder {
    max_bytes: u64,
    /// What the cache may hold at the moment.
    cache: u64,
    thrifty: bool,
    games: u64,
    settling: u32,
    /// It was said that there is nothing left to give up.
    at_the_end: bool,
}

impl Shedder {
    /// Looks at the process, which has `resident` bytes, `cached` of them in its cache.
    fn look(&mut self, resident: u64, cached: u64) -> Option<Shed> {
        self.settling = self.settling.saturating_sub(1);
        let excess = resident.saturating_sub(self.max_bytes);
        if excess == 0 || self.settling > 0 {
            return None;
        }
        self.settling = SETTLE;
        let cached = cached.min(self.cache);
        if cached > LEAST_CACHE {
            // A little more than is needed, so that it is not too much again at once.
            self.cache = cached.saturating_sub(excess + cached / 16).max(LEAST_CACHE);
            return Some(Shed::Cache(self.cache));
        }
        if !self.thrifty {
            self.thrifty = true;
            return Some(Shed::Trees);
        }
        if self.games > 1 {
            self.games -= self.games.div_ceil(8);
            return Some(Shed::Games(self.games));
        }
        None
    }
}

/// A process that is kept within its memory.
pub(crate) struct Guard {
    /// See [`selfplay_actors::game::GamePlan`].
    pub(crate) thrifty: Arc<AtomicBool>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) max_bytes: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) games_at_once: u64,
}

impl Guard {
    /// Looks every second for the rest of the process's life.
    pub(crate) async fn watch(self, controller: Controller) {
        let Self { thrifty, stats, max_bytes, cache_bytes, games_at_once } = self;
        let (cache, games) = (cache_bytes, games_at_once);
        let mut shedder = Shedder { max_bytes, cache, thrifty: false, games, settling: 0, at_the_end: false };
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let Some(memory) = sizes::memory() else { return };
            let cached = stats.cache_bytes.get().max(0).cast_unsigned();
            let shed = shedder.look(memory.resident, cached);
            let (resident_mib, max_mib) = (memory.resident >> 20, max_bytes >> 20);
            let none = SettingsChange::default();
            match shed {
                Some(Shed::Cache(bytes)) => {
                    tracing::warn!(
                        resident_mib,
                        max_mib,
                        cache_mib = bytes >> 20,
                        "too much memory: the cache is made smaller"
                    );
                    controller.set(SettingsChange { cache_bytes: usize::try_from(bytes).ok(), ..none });
                }
                Some(Shed::Trees) => {
                    tracing::warn!(resident_mib, max_mib, "too much memory: trees give back what they do not need");
                    thrifty.store(true, Relaxed);
                }
                Some(Shed::Games(games)) => {
                    tracing::warn!(resident_mib, max_mib, games, "too much memory: fewer games at once");
                    controller.set(SettingsChange { games_at_once: usize::try_from(games).ok(), ..none });
                }
                None if memory.resident > max_bytes && shedder.games <= 1 && !shedder.at_the_end => {
                    shedder.at_the_end = true;
                    tracing::error!(
                        resident_mib,
                        max_mib,
                        "too much memory, and nothing left to give up: raise memory.max_bytes, or lower mcts_n"
                    );
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn shedder() -> Shedder {
        Shedder { max_bytes: 1000 * MIB, cache: 200 * MIB, thrifty: false, games: 64, settling: 0, at_the_end: false }
    }

    #[test]
    fn nothing_is_given_up_within_the_limit() {
        let mut shedder = shedder();
        assert!((0..100).all(|_| shedder.look(1000 * MIB, 200 * MIB).is_none()));
    }

    #[test]
    fn the_cache_goes_first_then_room_in_trees_then_games() {
        let mut shedder = shedder();
        let sheds: Vec<_> = (0..40)
            .filter_map(|_| {
                let cached = shedder.cache;
                shedder.look(1100 * MIB, cached)
            })
            .collect();
        let cache = 200 * MIB - (100 * MIB + 200 * MIB / 16);
        assert_eq!(sheds[..4], [Shed::Cache(cache), Shed::Cache(LEAST_CACHE), Shed::Trees, Shed::Games(56)]);
        assert_eq!(sheds.len(), 8, "one in five looks");
    }

    #[test]
    fn one_game_is_always_played() {
        let mut shedder = shedder();
        let games = (0..10_000).filter_map(|_| shedder.look(u64::MAX, 0)).last();
        assert_eq!(games, Some(Shed::Games(1)));
        assert_eq!(shedder.games, 1);
    }

    #[test]
    fn a_cache_that_holds_little_is_not_what_to_give_up() {
        assert_eq!(shedder().look(1100 * MIB, 10 * MIB), Some(Shed::Trees));
    }
}
