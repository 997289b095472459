//! Signals, heard by a thread of their own from the first moment of the process on.
//!
//! | signal | what it asks for |
//! |---|---|
//! | SIGTERM, SIGINT | stop; a second one: at once |
//! | SIGHUP | read the settings again and look for a model |
//! | SIGUSR1 | pause play, or go on with it |
//! | SIGUSR2 | log how everything is |

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::exit::Exit;

/// What an operator asks for while play goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Read the settings again and look for a model.
    Reload,
    /// Pause, or go on.
    TogglePause,
    /// Log how everything is.
    LogStatus,
}

/// Signals, taken over from the system's defaults for the rest of the process's life.
pub(crate) struct Signals {
    /// The first that asks to stop.
    pub stop: oneshot::Receiver<&'static str>,
    /// What others asked for, also before play began.
    pub requests: mpsc::Receiver<Request>,
    /// The other end, for others who ask for the same.
    pub ask: mpsc::Sender<Request>,
    /// Whether there was a reason to stop: from then on a signal to stop ends the process at once.
    pub stopping: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from here on: a signal that comes while the daemon starts is obeyed once it has started. A thread of its own
    /// listens, so that a second signal to stop counts whatever else hangs.
    pub(crate) fn catch() -> anyhow::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let (send_stop, stop) = oneshot::channel();
        let (send_request, requests) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("failed to listen for signals")?;
        let mut all = {
            let _inside = runtime.enter();
            All::listen().context("failed to listen for signals")?
        };
        let (stops, ask) = (stopping.clone(), send_request.clone());
        let mut send_stop = Some(send_stop);
        let listening = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    match all.next().await {
                        Heard::Stop(signal) => {
                            if stops.swap(true, Ordering::Relaxed) {
                                end_at_once(signal);
                            }
                            send_stop.take().map(|stop| stop.send(signal));
                        }
                        // The operator may be gone by now, when the process is about to end.
                        Heard::Request(request) => drop(send_request.send(request)),
                    }
                }
            });
        });
        listening.context("failed to listen for signals")?;
        Ok(Self { stop, requests, ask, stopping })
    }

    /// Whether one to stop has come already.
    pub(crate) fn any(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

enum Heard {
    Stop(&'static str),
    Request(Request),
}

struct All {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user_defined1: Signal,
    user_defined2: Signal,
}

impl All {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user_defined1: signal(SignalKind::user_defined1())?,
            user_defined2: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.terminate.recv() => Heard::Stop("SIGTERM received"),
            _ = self.interrupt.recv() => Heard::Stop("SIGINT received"),
            _ = self.hangup.recv() => Heard::Request(Request::Reload),
            _ = self.user_defined1.recv() => Heard::Request(Request::TogglePause),
            _ = self.user_defined2.recv() => Heard::Request(Request::LogStatus),
        }
    }
}

fn end_at_once(signal: &str) -> ! {
    tracing::warn!("{signal} while stopping: ending at once, what is not written or in the journal is lost");
    std::process::exit(Exit::CutShort.code().into());
}
