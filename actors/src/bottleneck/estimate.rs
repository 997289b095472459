//! How many games would keep the device busy.

use super::Window;
use crate::account::{Activity, Role};

/// Share of their time that inference threads should work.
const WANTED: f64 = 0.97;
/// Least share that is extrapolated from: less says little.
const LEAST_BUSY: f64 = 0.02;
/// At least so many times the games that there are: the device idles with those.
const LEAST_GROWTH: f64 = 1.25;
/// The most that can be set.
const MOST_GAMES: f64 = 65_536.0;

impl Window {
    /// Games that would keep the device busy: what the sizes ask for, or what the measured idle share does, if that is more.
    /// Rounded up, and more than there are.
    pub(super) fn games_wanted(&self) -> u64 {
        let games = self.games_by_sizes().max(self.games_by_idleness());
        let most = games.max(LEAST_GROWTH * self.sizes.games_at_once as f64).min(MOST_GAMES);
        rounded_up(most.ceil() as u64)
    }

    /// One full batch per inference thread in hand and one more on its way, each game adding the leaves it waits for.
    fn games_by_sizes(&self) -> f64 {
        let batches = self.sizes.inference_threads + 1;
        (batches * self.sizes.batching.max_batch) as f64 / self.leaves_per_game()
    }

    /// The busy share grows with the games in play while nothing else is the limit.
    fn games_by_idleness(&self) -> f64 {
        let busy = self.times.share(Role::Inference, Activity::Working);
        self.in_play as f64 * WANTED / busy.max(LEAST_BUSY)
    }

    /// Leaves of a game that waits for the network, on average: of its K, those that the cache did not have, at least one.
    fn leaves_per_game(&self) -> f64 {
        let leaves = f64::from(self.sizes.leaf_parallelism.max(1));
        let hit_rate = self.hits as f64 / self.lookups.max(1) as f64;
        let all_hit = hit_rate.powf(leaves);
        if all_hit >= 1.0 { 1.0 } else { (leaves * (1.0 - hit_rate) / (1.0 - all_hit)).max(1.0) }
    }
}

/// To a number with few digits in binary: to one in sixteen.
fn rounded_up(games: u64) -> u64 {
    let step = (games.next_power_of_two() / 16).max(1);
    games.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_up_by_a_sixteenth_at_most() {
        let rounded = [1, 7, 12, 16, 17, 33, 90, 97, 1000, 65_536].map(rounded_up);
        assert_eq!(rounded, [1, 7, 12, 16, 18, 36, 96, 104, 1024, 65_536]);
    }
}
