//! What stops a daemon from outside: the shutdown file, SIGTERM and SIGINT.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use selfplay_actors::root::Controller;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::exit::Exit;

/// SIGTERM and SIGINT, taken over from the system's defaults for the rest of the process's life.
pub(crate) struct Signals {
    first: oneshot::Receiver<&'static str>,
    /// Whether there was a reason to stop: from then on a signal ends the process at once.
    stopping: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from here on: a signal that comes while the daemon starts stops it once it has started. A thread of its own
    /// listens, so that a second signal counts whatever else hangs.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (send_first, first) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to listen for signals")?;
        let mut signals = {
            let _inside = runtime.enter();
            let listen = |kind| signal(kind).context("failed to listen for signals");
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?)
        };
        let stops = stopping.clone();
        let listening = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                let signal = signalled(&mut signals).await;
                if !stops.swap(true, Ordering::Relaxed) {
                    send_first.send(signal).ok();
                    end_at_once(signalled(&mut signals).await);
                }
                end_at_once(signal);
            });
        });
        listening.context("failed to listen for signals")?;
        Ok(Self { first, stopping })
    }

    /// Whether one has come already.
    pub(crate) fn any(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// When and how to stop.
pub(crate) struct Stopper {
    /// Stop after the first of these.
    pub signals: Signals,
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
        let Signals { first, stopping } = self.signals;
        let reason = tokio::select! {
            Ok(signal) = first => signal.to_owned(),
            path = appears(self.shutdown_file.as_ref(), self.poll) => format!("{} exists", path.display()),
        };
        stopping.store(true, Ordering::Relaxed);
        controller.drain(reason, self.grace);
    }
}

fn end_at_once(signal: &str) -> ! {
    tracing::warn!("{signal} while stopping: ending at once, what is not written or in the journal is lost");
    std::process::exit(Exit::CutShort.code().into());
}

async fn signalled((terminate, interrupt): &mut (Signal, Signal)) -> &'static str {
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
