//! What stops a daemon from outside: the shutdown file, SIGTERM and SIGINT.

use std::{
    os::unix::process::parent_id,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use selfplay_actors::root::Controller;
use tokio::sync::oneshot;

/// When and how to stop.
pub(crate) struct Stopper {
    /// Stop after the first of these signals.
    pub signal: oneshot::Receiver<&'static str>,
    /// Whether there was a reason to stop; from then on a signal ends the process at once.
    pub stopping: Arc<AtomicBool>,
    /// Stop once this is no longer the parent process.
    pub parent: Option<u32>,
    /// Stop once this file exists.
    pub shutdown_file: Option<PathBuf>,
    /// How often to look for it.
    pub poll: Duration,
    /// Longest wait for games in play.
    pub grace: Duration,
}

impl Stopper {
    /// Waits for the first reason to stop and passes it on; from then on a signal ends the process at once.
    pub(crate) async fn watch(self, controller: Controller) {
        let grace = self.grace;
        controller.drain(self.reason().await, grace);
    }

    /// Waits for the first reason to stop; from then on a signal ends the process at once.
    pub(crate) async fn reason(self) -> String {
        let reason = tokio::select! {
            Ok(signal) = self.signal => signal.to_owned(),
            parent = is_gone(self.parent, self.poll) => format!("process {parent}, which started this one, is gone"),
            path = appears(self.shutdown_file.as_ref(), self.poll) => format!("{} exists", path.display()),
        };
        self.stopping.store(true, Ordering::Relaxed);
        reason
    }
}

/// Waits until this process has another parent than `parent`; for ever when there is none to watch.
async fn is_gone(parent: Option<u32>, poll: Duration) -> u32 {
    let Some(parent) = parent else { return std::future::pending().await };
    while parent_id() == parent {
        tokio::time::sleep(poll).await;
    }
    parent
}

/// Waits until `path` exists; for ever when there is none.
async fn appears(path: Option<&PathBuf>, poll: Duration) -> PathBuf {
    let Some(path) = path else { return std::future::pending().await };
    while !path.exists() {
        tokio::time::sleep(poll).await;
    }
    path.clone()
}
