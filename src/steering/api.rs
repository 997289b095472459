//! What may be told to a running daemon by HTTP, by a signal or by the command line.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use selfplay_actors::control::ControlState;
use serde_json::{Map, Value};

use crate::steering::{
    live_settings::Changes,
    operator::{Operator, Reload},
};

/// Steers a daemon. Every command may be given again and again, from any thread; none waits for what it sets going.
pub(crate) trait SteeringApi: Send + Sync {
    /// Starts no more games and ends when those in play are over, or after the grace period. `reason`: who said so, for the
    /// log.
    fn drain(&self, reason: &str) -> Result<(), Refusal>;

    /// Rests: no batches and no new games.
    fn pause(&self) -> Result<(), Refusal>;

    /// Plays on.
    fn resume(&self) -> Result<(), Refusal>;

    /// Reads the settings again and looks for a model now. What comes of it can be heard there.
    fn reload(&self) -> Result<Reload, Refusal>;

    /// Changes settings, given by key (`search.temperature`), all of them or none.
    fn set(&self, settings: &Map<String, Value>) -> Result<Changes, Refusal>;

    /// What it was told so far; `None` before it plays.
    fn state(&self) -> Option<ControlState>;

    /// Hash of the settings that determine games which start now.
    fn settings_hash(&self) -> String;
}

/// Why a command is not obeyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The daemon is not that far.
    Starting,
}

/// Steers the daemon of this process, which may not have started yet.
pub(crate) struct Steering {
    grace: Duration,
    first_hash: String,
    operator: OnceLock<Arc<Operator>>,
}

impl Steering {
    /// Obeys nothing until [`Self::attach`]. `grace`: how long games may take to end; `first_hash`: that of the settings at the
    /// start.
    pub(crate) fn new(grace: Duration, first_hash: String) -> Self {
        Self { grace, first_hash, operator: OnceLock::new() }
    }

    /// The daemon has started. Only the first one counts.
    pub(crate) fn attach(&self, operator: Arc<Operator>) {
        self.operator.get_or_init(|| operator);
    }

    fn operator(&self) -> Result<&Operator, Refusal> {
        self.operator.get().map(Arc::as_ref).ok_or(Refusal::Starting)
    }
}

impl SteeringApi for Steering {
    fn drain(&self, reason: &str) -> Result<(), Refusal> {
        self.operator().map(|operator| operator.controller.drain(reason, self.grace))
    }

    fn pause(&self) -> Result<(), Refusal> {
        self.operator().map(|operator| operator.controller.pause())
    }

    fn resume(&self) -> Result<(), Refusal> {
        self.operator().map(|operator| operator.controller.resume())
    }

    fn reload(&self) -> Result<Reload, Refusal> {
        self.operator().map(Operator::ask_for_reload)
    }

    fn set(&self, settings: &Map<String, Value>) -> Result<Changes, Refusal> {
        self.operator().map(|operator| operator.settings.change(settings, "HTTP"))
    }

    fn state(&self) -> Option<ControlState> {
        self.operator.get().map(|operator| operator.controller.state())
    }

    fn settings_hash(&self) -> String {
        self.operator.get().map_or_else(|| self.first_hash.clone(), |operator| operator.settings.games_hash())
    }
}
