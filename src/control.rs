//! What may be told to a running daemon, whoever says it: HTTP, a signal or the command line.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use selfplay_actors::root::Controller;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Steers a daemon. Every command may be given again and again, from any thread; none waits for what it sets going.
pub(crate) trait Control: Send + Sync {
    /// Starts no more games and ends when those in play are over, or after the grace period. `reason`: who said so, for the
    /// log.
    fn drain(&self, reason: &str) -> Result<(), Refusal>;

    /// Rests: no batches and no new games.
    fn pause(&self) -> Result<(), Refusal>;

    /// Plays on.
    fn resume(&self) -> Result<(), Refusal>;

    /// Reads the settings again and looks for a model now.
    fn reload(&self) -> Result<(), Refusal>;

    /// Changes settings, given by key (`search.temperature`), all of them or none.
    fn set(&self, settings: &Map<String, Value>) -> Result<Changes, Refusal>;

    /// What it was told so far; `None` before it plays.
    fn state(&self) -> Option<ControlState>;
}

/// Why a command is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The daemon is not that far.
    Starting,
    /// This daemon does not know the command.
    Unknown(&'static str),
}

/// What a daemon was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ControlState {
    /// To rest.
    pub paused: bool,
    /// For how long it has rested, in seconds; 0 if it does not.
    pub paused_seconds: f64,
    /// To end.
    pub draining: bool,
    /// While it rests: the device was given back.
    pub unloaded: bool,
}

/// What became of new settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// What is different now; empty if anything is refused.
    pub changed: Vec<Change>,
    /// What cannot be changed.
    pub refused: Vec<Refused>,
}

/// A setting that has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Its key.
    pub key: String,
    /// Its value before.
    pub from: Value,
    /// Its value now.
    pub to: Value,
}

/// A setting that cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// The control of a daemon that may not have started yet.
pub(crate) struct Steering {
    grace: Duration,
    controller: OnceLock<Controller>,
    draining: AtomicBool,
}

impl Steering {
    /// Obeys nothing until [`Self::attach`]. `grace`: how long games may take to end.
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, controller: OnceLock::new(), draining: AtomicBool::new(false) }
    }

    /// The daemon has started. Only the first one counts.
    pub(crate) fn attach(&self, controller: Controller) {
        self.controller.get_or_init(|| controller);
    }

    fn controller(&self) -> Result<&Controller, Refusal> {
        self.controller.get().ok_or(Refusal::Starting)
    }

    /// PENDING: what [`Controller`] cannot do yet. To be replaced by its own methods, one for each caller below.
    fn pending<T>(&self, command: &'static str) -> Result<T, Refusal> {
        self.controller().and(Err(Refusal::Unknown(command)))
    }
}

impl Control for Steering {
    fn drain(&self, reason: &str) -> Result<(), Refusal> {
        self.controller()?.drain(reason, self.grace);
        self.draining.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn pause(&self) -> Result<(), Refusal> {
        self.pending("pause")
    }

    fn resume(&self) -> Result<(), Refusal> {
        self.pending("resume")
    }

    fn reload(&self) -> Result<(), Refusal> {
        self.pending("reload")
    }

    fn set(&self, _: &Map<String, Value>) -> Result<Changes, Refusal> {
        self.pending("settings")
    }

    fn state(&self) -> Option<ControlState> {
        // PENDING: only drains by way of this control are known here.
        let draining = self.draining.load(Ordering::Relaxed);
        self.controller.get().map(|_| ControlState { draining, ..ControlState::default() })
    }
}
