//! Signals, heard by a thread of their own from the first moment of the process on.
//!
//! | signal | what it asks for |
//! |---|---|
//! | SIGTERM, SIGINT | stop; a second one: at once |
//! | SIGHUP | read the settings again and look for a model |
//! | SIGUSR1 | pause play, or go on with it |
//! | SIGUSR2 | log how everything is |
//! | SIGXFSZ | nothing: writing beyond a limit on file sizes fails like writing to a full disk |

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc,
};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::Signal as Number;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::exit::Exit;

/// A second SIGTERM so soon after the first is the same: GNU `timeout` sends one to its child and one to the group.
const ECHO: Duration = Duration::from_secs(1);

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
        let (mut stops, ask) = (Stops { stopping: stopping.clone(), first: None }, send_request.clone());
        let mut send_stop = Some(send_stop);
        let listening = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                loop {
                    match all.next().await {
                        Heard::Stop(signal) => {
                            if stops.is_impatient(signal, Instant::now()) {
                                end_at_once(signal);
                            }
                            send_stop.take().map(|stop| stop.send(signal.name()));
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

/// Lets a write beyond a limit on file sizes (`ulimit -f`) fail instead of ending the process. For commands, which leave all
/// other signals to the system's defaults.
pub(crate) fn outlive_file_size_limit() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to listen for signals")?;
    let _inside = runtime.enter();
    catch_file_size().context("failed to listen for signals")
}

/// The signal counts as handled for the rest of the process's life, though nothing listens.
fn catch_file_size() -> std::io::Result<()> {
    signal(SignalKind::from_raw(Number::XFSZ.as_raw())).map(drop)
}

/// A signal to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Terminate,
    Interrupt,
}

impl Stop {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM received",
            Self::Interrupt => "SIGINT received",
        }
    }
}

/// The signals to stop that came so far.
struct Stops {
    /// Whether there was any reason to stop, signals or others.
    stopping: Arc<AtomicBool>,
    first: Option<(Stop, Instant)>,
}

impl Stops {
    /// Notes a signal, and says whether it means: at once.
    fn is_impatient(&mut self, signal: Stop, now: Instant) -> bool {
        let was_stopping = self.stopping.swap(true, Ordering::Relaxed);
        let is_echo = |&(first, at): &(Stop, Instant)| {
            (first, signal) == (Stop::Terminate, Stop::Terminate) && now.duration_since(at) < ECHO
        };
        let is_echo = self.first.as_ref().is_some_and(is_echo);
        self.first.get_or_insert((signal, now));
        was_stopping && !is_echo
    }
}

enum Heard {
    Stop(Stop),
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
        catch_file_size()?;
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
            _ = self.terminate.recv() => Heard::Stop(Stop::Terminate),
            _ = self.interrupt.recv() => Heard::Stop(Stop::Interrupt),
            _ = self.hangup.recv() => Heard::Request(Request::Reload),
            _ = self.user_defined1.recv() => Heard::Request(Request::TogglePause),
            _ = self.user_defined2.recv() => Heard::Request(Request::LogStatus),
        }
    }
}

fn end_at_once(signal: Stop) -> ! {
    let signal = signal.name();
    tracing::warn!("{signal} while stopping: ending at once, what is not written or in the journal is lost");
    std::process::exit(Exit::CutShort.code().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_sigterm_within_a_second_is_the_first() {
        use Stop::{Interrupt, Terminate};
        for (signals, impatient) in [
            (&[(Terminate, 0), (Terminate, 1)][..], false),
            (&[(Terminate, 0), (Terminate, 999)], false),
            (&[(Terminate, 0), (Terminate, 1000)], true),
            (&[(Terminate, 0), (Terminate, 1), (Terminate, 1001)], true),
            (&[(Interrupt, 0), (Interrupt, 1)], true),
            (&[(Terminate, 0), (Interrupt, 1)], true),
            (&[(Interrupt, 0), (Terminate, 1)], true),
        ] {
            let (mut stops, begun) = (Stops { stopping: Arc::default(), first: None }, Instant::now());
            let answers: Vec<_> = signals
                .iter()
                .map(|&(signal, ms)| stops.is_impatient(signal, begun + Duration::from_millis(ms)))
                .collect();
            let (last, before) = answers.split_last().unwrap();
            assert!(*last == impatient && !before.contains(&true), "{signals:?}: {answers:?}");
        }
    }

    #[test]
    fn a_signal_after_another_reason_to_stop_means_at_once() {
        let mut stops = Stops { stopping: Arc::new(AtomicBool::new(true)), first: None };
        assert!(stops.is_impatient(Stop::Terminate, Instant::now()));
    }
}
