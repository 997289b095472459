//! What stops a daemon from outside: the shutdown file, SIGTERM and SIGINT.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use selfplay_actors::root::Controller;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// When and how to stop.
pub(crate) struct Stopper {
    terminate: Signal,
    interrupt: Signal,
    /// Stop once this file exists.
    pub shutdown_file: Option<PathBuf>,
    /// How often to look for it.
    pub poll: Duration,
    /// Longest wait for games in play.
    pub grace: Duration,
}

impl Stopper {
    /// Takes the signals over from the system's defaults. Must run inside the actor system.
    pub(crate) fn new(shutdown_file: Option<PathBuf>, poll: Duration, grace: Duration) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, shutdown_file, poll, grace })
    }

    /// Waits for the first reason to stop and passes it on; from then on a signal ends the process at once.
    pub(crate) async fn watch(mut self, controller: Controller) {
        let reason = tokio::select! {
            reason = signalled(&mut self.terminate, &mut self.interrupt) => reason.to_owned(),
            path = appears(self.shutdown_file.as_ref(), self.poll) => format!("{} exists", path.display()),
        };
        controller.drain(reason, self.grace);
        let again = signalled(&mut self.terminate, &mut self.interrupt).await;
        tracing::warn!("{again} while stopping: ending at once, games in play and unwritten games are lost");
        std::process::exit(Exit::CutShort.code().into());
    }
}

async fn signalled(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM received",
        _ = interrupt.recv() => "SIGINT received",
    }
}

/// Waits until `path` exists; for ever when there is none.
async fn appears(path: Option<&PathBuf>, poll: Duration) -> PathBuf {
    let Some(path) = path else { return std::future::pending().await };
    while !path.exists() {
        tokio::time::sleep(poll).await;
    }
    path.clone()
}
