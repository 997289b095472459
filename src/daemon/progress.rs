//! How far a batch is, and how long the rest will take.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use selfplay_actors::stats::Snapshot;
use serde::{Deserialize, Serialize};

use crate::words::about;

/// The speed of play is that of the last minute: it changes with the model and with what else the machine does.
const SPAN: Duration = Duration::from_secs(60);
/// Between two moments that are kept.
const STEP: Duration = Duration::from_secs(1);

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BatchStatus {
    /// Games to be played.
    pub games: u64,
    /// Games on the disk.
    pub written: u64,
    /// How long the others will take at the speed of the last minute; `null` before the first game has ended, and while nothing
    /// is played.
    pub seconds_left: Option<f64>,
}

/// Follows a batch. All methods may be called from any thread.
#[derive(Debug)]
pub(crate) struct Progress {
    games: u64,
    /// Moves played by some moments, the oldest first.
    moments: Mutex<VecDeque<(Instant, u64)>>,
}

impl Progress {
    /// Of a batch of so many games.
    pub(crate) fn new(games: u64) -> Self {
        Self { games, moments: Mutex::default() }
    }

    /// How far it is, as `counts` say now.
    pub(crate) fn look(&self, counts: &Snapshot) -> BatchStatus {
        self.look_at(Instant::now(), counts)
    }

    fn look_at(&self, now: Instant, counts: &Snapshot) -> BatchStatus {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        if moments.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) >= STEP) {
            moments.push_back((now, counts.moves));
        }
        // The first of two that are old enough is not needed any more.
        while moments.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SPAN) {
            moments.pop_front();
        }
        let (since, before) = moments.front().copied().unwrap_or((now, counts.moves));
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        let moves = counts.moves.saturating_sub(before);
        let left = self.plies_left(counts).filter(|_| moves > 0).map(|plies| plies / (moves as f64 / seconds));
        BatchStatus { games: self.games, written: counts.games_written, seconds_left: left }
    }

    /// Plies that are still to be played, if games go on being as long as those that have ended; `None` before the first has.
    fn plies_left(&self, counts: &Snapshot) -> Option<f64> {
        let ended = counts.games_ended_total();
        if counts.games_finished == 0 || ended >= self.games {
            return (ended >= self.games).then_some(0.0);
        }
        let left = (self.games - ended) as f64;
        // What is played of games that have not ended counts; however long they are, each has a ply to go.
        let begun = counts.moves.saturating_sub(counts.plies()) as f64;
        Some((left * counts.game_plies.mean() - begun).max(left))
    }
}

impl BatchStatus {
    /// "4 of 100 games, about 3 min left".
    pub(crate) fn words(&self) -> String {
        let Self { games, written, seconds_left } = self;
        let left = seconds_left.map(|seconds| format!(", {} left", about(seconds))).unwrap_or_default();
        format!("{written} of {games} games{left}")
    }
}

#[cfg(test)]
mod tests {
    use selfplay_actors::stats::Stats;

    use super::*;

    #[test]
    fn the_rest_takes_as_long_as_what_was_played_says() {
        let (progress, stats, begun) = (Progress::new(100), Stats::default(), Instant::now());
        let look = |seconds| progress.look_at(begun + Duration::from_secs(seconds), &stats.snapshot());
        assert_eq!(look(0).words(), "0 of 100 games");
        stats.moves.add(100);
        assert_eq!(look(10).words(), "0 of 100 games", "no game has ended");
        // Four of 20 plies each, and eight begun of which five plies each are played.
        stats.moves.add(20);
        stats.games_finished.add(4);
        stats.games_written.add(4);
        stats.game_plies.record_many(20.0, 4);
        // (96 x 20 - 40) plies at 12 a second.
        assert_eq!(look(10).seconds_left, Some((96.0 * 20.0 - 40.0) / 12.0));
        assert_eq!(look(10).words(), "4 of 100 games, about 3 min left");
        // The last minute counts.
        for second in 11..=80 {
            stats.moves.add(2);
            look(second);
        }
        let left = look(80).seconds_left.unwrap();
        assert_eq!(left, (96.0 * 20.0 - 180.0) / 2.0);
        stats.games_finished.add(96);
        stats.games_written.add(96);
        assert_eq!(look(81).words(), "100 of 100 games, about 0 s left");
    }
}
