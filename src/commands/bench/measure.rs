//! Plays for a while and says what happened meanwhile.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use selfplay_actors::{
    game::{GameHook, GameNews},
    loader::ModelOrigin,
    root::{Controller, run},
    stats::{Snapshot, Stats},
};
use selfplay_engine::Game;

use super::{
    daemon::{BenchDaemon, check_ending, in_temporary_dir},
    process::{Resident, Threads, Usage, forget_peak},
};
use crate::{
    daemon::{report::Rates, sizes::Sizes},
    played::PlayedGame,
    settings::Settings,
};

/// Share of a measurement that is played before it counts: games must be spread over all their plies.
const WARM_UP: f64 = 0.25;
/// Looks at the counters this often while it waits for them.
const TICK: Duration = Duration::from_millis(20);
/// A measurement takes at most this many times its seconds.
const LONGEST: f64 = 10.0;

/// What a measurement plays.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// For so many seconds, after games have spread for a quarter of that.
    Seconds(f64),
    /// The same, but up to ten times as long until so many requests for evaluations were answered and the wait of one was timed.
    Answers(f64, u64),
    /// So many games, from their first plies to the end of the last.
    Games(u64),
    /// So many moves in all, from the first plies on.
    Moves(u64),
}

impl Until {
    fn games(self) -> Option<u64> {
        if let Self::Games(games) = self { Some(games) } else { None }
    }

    fn warm_up(self) -> Duration {
        match self {
            Self::Seconds(seconds) | Self::Answers(seconds, _) => Duration::from_secs_f64(seconds * WARM_UP),
            Self::Games(_) | Self::Moves(_) => Duration::ZERO,
        }
    }

    /// Whether that was played between `begin` and now.
    fn is_over(self, begin: &Sample, stats: &Stats) -> bool {
        let seconds = begin.at.elapsed().as_secs_f64();
        match self {
            Self::Seconds(most) => seconds >= most,
            Self::Answers(least, answers) => {
                let asked = stats.evaluation_requests.get() - begin.counts.evaluation_requests;
                let answered =
                    asked.saturating_add_signed(begin.counts.requests_in_flight - stats.requests_in_flight.get());
                // Only some waits are timed.
                let timed = stats.ticket_latency.get().count() > begin.counts.ticket_latency.count();
                seconds >= least && (answered >= answers && timed || seconds >= LONGEST * least)
            }
            Self::Games(_) => false, // The last game says so itself.
            Self::Moves(moves) => stats.moves.get() >= moves,
        }
    }

    /// Time until it is worth to look again.
    fn wait(self, begin: &Sample) -> Duration {
        match self {
            // No thread is to be woken while it is measured.
            Self::Seconds(seconds) | Self::Answers(seconds, _) => {
                Duration::from_secs_f64(seconds).saturating_sub(begin.at.elapsed()).max(TICK)
            }
            Self::Games(_) => TICK,
            Self::Moves(_) => TICK / 10,
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    counts: Snapshot,
    threads: Threads,
    resident: Option<Resident>,
}

impl Sample {
    fn now(stats: &Stats) -> Self {
        Self { at: Instant::now(), counts: stats.snapshot(), threads: Threads::now(), resident: Resident::now() }
    }
}

/// What the games themselves mark, so that it is exact.
#[derive(Debug, Default)]
struct Marks {
    /// Just before the first game began: the model is in service by then.
    first: OnceLock<Sample>,
    /// When the last of a number of games was over.
    last: OnceLock<Sample>,
    over: AtomicU64,
}

impl Marks {
    fn hook<G: Game>(self: Arc<Self>, stats: Arc<Stats>, games: Option<u64>) -> GameHook<G> {
        Arc::new(move |_, news| match news {
            GameNews::Begun(_) => {
                self.first.get_or_init(|| Sample::now(&stats));
            }
            GameNews::Over(_) if Some(self.over.fetch_add(1, Relaxed) + 1) == games => {
                self.last.get_or_init(|| Sample::now(&stats));
            }
            GameNews::Over(_) | GameNews::Played(_) => {}
        })
    }
}

/// What was counted while it was measured.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// By the daemon.
    pub(crate) rates: Rates,
    /// By the system.
    pub(super) usage: Usage,
    /// Memory at the end.
    pub(super) resident: Option<Resident>,
    /// Threads and batches that were played with.
    pub(crate) sizes: Sizes,
}

impl Window {
    /// CPU time of all threads; not a number where the system does not say.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        if self.usage.is_known() { self.usage.all().cpu_seconds } else { f64::NAN }
    }

    /// Most resident memory, in MiB.
    pub(crate) fn peak_mib(&self) -> Option<f64> {
        self.resident.map(|resident| resident.peak_mib)
    }
}

/// Plays with the fixed model of `settings`, in a directory that is removed afterwards.
pub(crate) fn measure(game: &impl PlayedGame, settings: &Settings, until: Until) -> anyhow::Result<Window> {
    in_temporary_dir(|dir| {
        forget_peak();
        let mut daemon = BenchDaemon::new(dir, settings, game.clone(), until.games())?;
        let (stats, sizes) = (daemon.stats.clone(), daemon.evaluation.sizes);
        let marks = Arc::new(Marks::default());
        daemon.watch(marks.clone().hook(stats.clone(), until.games()));
        let origin = ModelOrigin::Fixed { path: settings.model.path.clone(), version: 0 };
        let options = daemon.options(settings, origin);
        let (samples, taken) = mpsc::channel();
        let (watched, noted) = (stats.clone(), marks.clone());
        let started = move |controller: Controller| {
            actix::spawn(async move {
                let first = loop {
                    match noted.first.get() {
                        Some(first) => break first.clone(),
                        None => tokio::time::sleep(TICK / 10).await,
                    }
                };
                let warm_up = until.warm_up();
                tokio::time::sleep(warm_up).await;
                let begin = if warm_up.is_zero() { first } else { Sample::now(&watched) };
                let end = loop {
                    match noted.last.get() {
                        Some(last) => break last.clone(),
                        None if until.is_over(&begin, &watched) => break Sample::now(&watched),
                        None => tokio::time::sleep(until.wait(&begin)).await,
                    }
                };
                samples.send((begin, end)).ok();
                controller.drain("the measurement is over", Duration::ZERO);
            });
        };
        check_ending(run(options, started).context("failed to run the actor system")?)?;
        // With a number of games everything may be over between two looks.
        let marked = || Some((marks.first.get()?.clone(), marks.last.get()?.clone()));
        let (begin, end) = taken.try_recv().ok().or_else(marked).context("the games ended too early")?;
        let rates = Rates { counts: end.counts.since(&begin.counts), seconds: (end.at - begin.at).as_secs_f64() };
        Ok(Window { rates, usage: end.threads.since(&begin.threads), resident: end.resident, sizes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counters as they are, of a measurement that began a second ago.
    fn begun(stats: &Stats) -> Sample {
        let now = Sample::now(stats);
        Sample { at: now.at.checked_sub(Duration::from_secs(1)).unwrap(), ..now }
    }

    #[test]
    fn answers_are_waited_for_until_enough_came_and_one_was_timed() {
        let stats = Stats::default();
        let (begin, until) = (begun(&stats), Until::Answers(1.0, 4));
        stats.evaluation_requests.add(5);
        stats.requests_in_flight.add(2);
        stats.ticket_latency.record(0.001);
        assert!(!until.is_over(&begin, &stats), "three answers");
        stats.requests_in_flight.add(-1);
        assert!(until.is_over(&begin, &stats));

        let begin = begun(&stats);
        stats.evaluation_requests.add(9);
        assert!(!until.is_over(&begin, &stats), "none was timed");
        stats.ticket_latency.record(0.001);
        assert!(until.is_over(&begin, &stats));
        assert!(!Until::Answers(100.0, 4).is_over(&begin, &stats), "no shorter than was asked for");
    }

    #[test]
    fn answers_are_not_waited_for_for_ever() {
        let stats = Stats::default();
        assert!(Until::Answers(0.1, 4).is_over(&begun(&stats), &stats));
    }
}
