//! How the fleet's side of a daemon is, where it is one worker of many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use selfplay_fleet::service::WorkerState;
use serde::Serialize;

/// How the fleet's side is, for status and metrics.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FleetStatus {
    /// As of its last step.
    #[serde(flatten)]
    pub state: WorkerState,
    /// How often it began anew after a panic.
    pub restarts: u64,
}

/// Where the fleet's side tells how it is; nothing where there is no fleet. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet(Arc<Mutex<Option<FleetStatus>>>);

impl Fleet {
    /// How it is.
    pub(crate) fn get(&self) -> Option<FleetStatus> {
        self.lock().clone()
    }

    pub(crate) fn put(&self, status: FleetStatus) {
        *self.lock() = Some(status);
    }

    fn lock(&self) -> MutexGuard<'_, Option<FleetStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
