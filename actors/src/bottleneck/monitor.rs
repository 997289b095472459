//! Keeps what was counted over the last seconds, so that anyone may ask for a judgement at any time.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use super::{Bottleneck, Kind, Memory, Sizes, Window, judge, none};
use crate::{
    account::Times,
    stats::{Snapshot, Stats},
};

/// Length of the span that is judged.
const SPAN: Duration = Duration::from_secs(10);
/// Time between two moments that are kept.
const STEP: Duration = Duration::from_secs(1);

/// Tells how memory is now; `None` where the system does not say.
pub type MemoryReader = Box<dyn Fn() -> Option<Memory> + Send + Sync>;

/// What had been counted by some moment.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    counts: Snapshot,
    times: Times,
}

/// Samples of counters and time accounts of the last seconds, and the bottleneck that follows from them. All methods may be called
/// from any thread.
pub struct Monitor {
    stats: Arc<Stats>,
    sizes: Sizes,
    games_at_once: AtomicU64,
    memory: MemoryReader,
    /// Oldest first; the oldest is the last that is no younger than the span.
    moments: Mutex<VecDeque<Moment>>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Monitor {
    /// Judges what is counted in `stats` from now on.
    #[must_use]
    pub fn new(stats: Arc<Stats>, sizes: Sizes, memory: MemoryReader) -> Arc<Self> {
        let moments = Mutex::new(VecDeque::from([Moment::now(&stats)]));
        Arc::new(Self { stats, sizes, games_at_once: AtomicU64::new(sizes.games_at_once), memory, moments })
    }

    /// Another number of games is to be in play at once.
    pub fn set_games_at_once(&self, games: u64) {
        self.games_at_once.store(games, Relaxed);
    }

    /// Takes note of the present. To be called about once a second or more often: calls in between do nothing.
    pub fn tick(&self) {
        let mut moments = self.lock();
        if moments.back().is_none_or(|last| last.at.elapsed() >= STEP) {
            moments.push_back(Moment::now(&self.stats));
            while moments.get(1).is_some_and(|second| second.at.elapsed() >= SPAN) {
                moments.pop_front();
            }
        }
    }

    /// What has held play back for the last ten seconds, or since it began.
    #[must_use]
    pub fn bottleneck(&self) -> Bottleneck {
        self.window().map_or_else(|| none("nothing is measured yet", "ask again in a second"), |window| judge(&window))
    }

    /// Games that should be in play at once, where it is held back by too few of them.
    #[must_use]
    pub fn more_games(&self) -> Option<u64> {
        let window = self.window()?;
        (judge(&window).kind == Kind::Games).then(|| window.games_wanted())
    }

    /// Where the threads' time went in the last ten seconds, and what was counted; `None` in the first second.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        self.tick();
        let first = self.lock().front().copied().filter(|first| first.at.elapsed() >= STEP)?;
        let now = Moment::now(&self.stats);
        let (counts, totals) = (now.counts.since(&first.counts), &now.counts);
        let written = totals.games_settled();
        Some(Window {
            seconds: (now.at - first.at).as_secs_f64(),
            times: now.times.since(&first.times),
            evaluations: counts.evaluations,
            batches: counts.batches_total(),
            lookups: counts.cache_lookups_total(),
            hits: counts.cache_hits + counts.cache_in_flight_hits,
            evictions: counts.cache_evictions_total(),
            write_errors: counts.write_errors_total(),
            models_refused: counts.models_refused,
            cache_bytes: u64::try_from(totals.cache_bytes).unwrap_or(0),
            cache_entries: u64::try_from(totals.cache_entries).unwrap_or(0),
            draining: totals.draining > 0,
            disk: (u64::try_from(totals.disk_free).unwrap_or(0), u64::try_from(totals.disk_floor).unwrap_or(0)),
            no_room_onward: self.stats.onward.reason().is_some(),
            in_play: totals.games_in_play(),
            endless: totals.endless_games.try_into().unwrap_or(0),
            unwritten: totals.games_finished.saturating_sub(written),
            serving: self.stats.accounts.serving(),
            loading: totals.loading > 0,
            starts: self.stats.accounts.starts(),
            memory: (self.memory)(),
            sizes: Sizes { games_at_once: self.games_at_once.load(Relaxed), ..self.sizes },
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Moment>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moment {
    fn now(stats: &Stats) -> Self {
        Self { at: Instant::now(), counts: stats.snapshot(), times: stats.accounts.read() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{Activity, Role},
        batcher::BatchPolicy,
    };

    fn monitor(stats: &Arc<Stats>) -> Arc<Monitor> {
        let sizes = Sizes {
            games_at_once: 2,
            leaf_parallelism: 8,
            inference_threads: 1,
            game_threads: 1,
            cores: 2,
            batching: BatchPolicy { max_batch: 32, max_wait: Duration::ZERO, min_share: 8, cores: 1 },
            cache_bytes: 1 << 20,
            cache_entries: None,
            most_games: u64::MAX,
            most_memory: u64::MAX,
        };
        Monitor::new(stats.clone(), sizes, Box::new(|| None))
    }

    impl Monitor {
        /// As if it had all been this much earlier.
        fn age(&self, by: Duration) {
            self.lock().iter_mut().for_each(|moment| moment.at -= by);
        }
    }

    #[test]
    fn it_judges_what_was_counted_in_the_last_ten_seconds() {
        let stats = Arc::new(Stats::default());
        let monitor = monitor(&stats);
        assert_eq!(monitor.bottleneck().kind, Kind::None, "nothing is measured yet");
        stats.evaluations.add(100);
        for _ in 0..30 {
            monitor.age(Duration::from_millis(500));
            monitor.tick();
        }
        assert_eq!(monitor.lock().len(), 11, "one a second");
        stats.games_started.add(5);
        stats.games_finished.add(3);
        stats.games_written.add(1);
        stats.evaluations.add(70);
        monitor.set_games_at_once(4);
        let window = monitor.window().unwrap();
        assert!(window.seconds >= 10.0 && window.seconds < 12.0, "{}", window.seconds);
        assert_eq!((window.evaluations, window.in_play, window.unwritten), (70, 2, 2));
        assert_eq!(window.sizes.games_at_once, 4);
        assert_eq!(monitor.more_games(), None, "no model serves");
    }

    #[test]
    fn times_come_from_the_accounts() {
        let stats = Arc::new(Stats::default());
        stats.accounts.set_serving(true);
        let account = stats.accounts.open(Role::Inference);
        let monitor = monitor(&stats);
        stats.games_started.add(2);
        account.work();
        monitor.age(STEP);
        // One moment more, so that there is a difference.
        let window = std::iter::repeat_with(|| monitor.window().unwrap());
        let window = window.take(1_000_000).find(|window| window.times.share(Role::Inference, Activity::Working) > 0.9);
        assert_eq!(judge(&window.unwrap()).kind, Kind::Games, "it works, but on no batches");
        assert!(monitor.more_games().is_some_and(|games| games > 2));
    }
}
