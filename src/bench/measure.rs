//! Plays for a while and says what happened meanwhile.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use selfplay_actors::{
    loader::ModelOrigin,
    root::{Controller, run},
    stats::{Snapshot, Stats},
};

use super::{
    ground::{Ground, check_ending, in_temporary_dir},
    process::{Resident, Threads, Usage, forget_peak},
};
use crate::{report::Rates, settings::Settings, sizes::Sizes};

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
    /// The same, but up to ten times as long until so many requests for evaluations were answered.
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
                seconds >= least && (answered >= answers || seconds >= LONGEST * least)
            }
            Self::Games(games) => stats.games_ended_total() >= games,
            Self::Moves(moves) => stats.moves.get() >= moves,
        }
    }

    /// Time until it is worth to look again.
    fn wait(self, begin: &Sample) -> Duration {
        match self {
            // Nobody is to be woken while it is measured.
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
pub(crate) fn measure(settings: &Settings, until: Until) -> anyhow::Result<Window> {
    in_temporary_dir(|dir| {
        forget_peak();
        let ground = Ground::new(dir, settings, until.games())?;
        let (stats, sizes) = (ground.stats.clone(), ground.evaluation.sizes);
        let origin = ModelOrigin::Fixed { path: settings.model.path.clone(), version: 0 };
        let options = ground.options(settings, origin);
        let before = Sample::now(&stats);
        let (samples, taken) = mpsc::channel();
        let watched = stats.clone();
        let started = move |controller: Controller| {
            actix::spawn(async move {
                // Loading the model does not count.
                while watched.simulations_total() + watched.moves.get() == 0 {
                    tokio::time::sleep(TICK / 10).await;
                }
                tokio::time::sleep(until.warm_up()).await;
                let begin = Sample::now(&watched);
                samples.send(begin.clone()).ok();
                while !until.is_over(&begin, &watched) {
                    tokio::time::sleep(until.wait(&begin)).await;
                }
                samples.send(Sample::now(&watched)).ok();
                controller.drain("the measurement is over", Duration::ZERO);
            });
        };
        check_ending(run(options, started).context("failed to run the actor system")?)?;
        // A number of games may be over between two looks at the counters.
        let begin = taken.try_recv().unwrap_or(before);
        let end = taken.try_recv().unwrap_or_else(|_| Sample::now(&stats));
        let rates = Rates { counts: end.counts.since(&begin.counts), seconds: (end.at - begin.at).as_secs_f64() };
        Ok(Window { rates, usage: end.threads.since(&begin.threads), resident: end.resident, sizes })
    })
}
