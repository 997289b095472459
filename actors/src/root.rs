//! The root of the supervision tree: starts everything, hears of every child that gives up, and stops everything in order.

mod children;
mod control;
mod start;
mod stop;
mod supervisor;
mod wires;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::{Message, System};
use selfplay_engine::Game;

pub use self::{
    children::CHILDREN,
    control::{Controller, SettingsChange},
};
use crate::{
    batcher::{BatchPolicy, ProbationLimits},
    cache::CacheLimits,
    control::Control,
    game::{GamePlan, ResumedGame},
    games::Quota,
    health::{HangLimits, Health},
    loader::{ModelOrigin, ModelSource},
    referee::RefereeOptions,
    watchdog::LastResort,
    writer::{Output, Provenance},
};

/// Stop starting games; end when those in play are over, or after `grace`. Sent by the [`Controller`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Why, for the log.
    pub reason: String,
    /// Longest wait for games in play; what is not over by then is given up.
    pub grace: Duration,
}

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All games asked for were played, or it was told to stop.
    Clean,
    /// Nothing could be played: the model or the device.
    Unusable(String),
    /// A child used up its restarts, or hangs.
    Escalated(String),
    /// Games were given time to end, and some did not.
    DrainDeadline {
        /// How many.
        given_up: u64,
    },
    /// Writing failed for longer than it may.
    WriterGaveUp(String),
    /// Finished games could not be written to the output directory.
    Unwritten {
        /// No actor has these.
        lost: u64,
        /// The journal has these: the next start writes them.
        kept: u64,
        /// The spool directory has these: the next start brings them to the output directory.
        spooled: u64,
        /// Why.
        reason: String,
    },
}

/// What [`run`] needs to know.
pub struct Options<G: Game> {
    /// What games are played with.
    pub plan: GamePlan<G>,
    /// Games at once.
    pub games_at_once: usize,
    /// How many games to play.
    pub quota: Quota,
    /// Games of earlier processes to go on with.
    pub resumable: Vec<ResumedGame<G>>,
    /// Threads that advance games.
    pub game_threads: usize,
    /// Inference threads; the source makes as many evaluators per model.
    pub inference_threads: usize,
    /// When batches leave.
    pub batching: BatchPolicy,
    /// Whether play is paused or stops.
    pub control: Arc<Control>,
    /// How long a pause lasts before the model is dropped, so that others have the device to themselves; `None`: never.
    pub unload_after: Option<Duration>,
    /// When a model that serves is taken out of service.
    pub probation: ProbationLimits,
    /// Bounds of the cache.
    pub cache: CacheLimits,
    /// What loads models.
    pub source: Box<dyn ModelSource<G>>,
    /// Where models come from.
    pub origin: ModelOrigin,
    /// What plays matches beside play; `None`: none are played.
    pub referee: Option<RefereeOptions>,
    /// Where games go.
    pub output: Output,
    /// What is written with them.
    pub provenance: Provenance,
    /// Games that are in play at the end are kept and go on at the next start.
    pub journal_keeps_games: bool,
    /// How long calls that may block may take.
    pub hang_limits: HangLimits,
    /// Where all children report how they are.
    pub health: Arc<Health>,
    /// Ends the process when it does not end by itself after a hang.
    pub last_resort: LastResort,
}

/// Plays until all games are played, or [`Controller::drain`] is called, or nothing can go on; then stops everything in order
/// and returns. `started` runs on the calling thread, inside the actor system, once everything is started.
///
/// # Errors
/// When the system gives no threads.
pub fn run<G: Game>(options: Options<G>, started: impl FnOnce(Controller) + 'static) -> std::io::Result<Ending> {
    let ending = Arc::new(Mutex::new(None));
    let system = System::new();
    let tree = system.block_on(start::start(options, ending.clone(), started))?;
    let outcome = system.run();
    tree.stop();
    outcome?;
    let ending = ending.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(ending.unwrap_or_else(|| Ending::Escalated("the actor system stopped by itself".to_owned())))
}
