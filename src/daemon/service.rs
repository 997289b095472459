//! Tells a service manager such as systemd how play is going (`sd_notify(3)`). Without `NOTIFY_SOCKET` nothing is told.
//!
//! | told | when |
//! |---|---|
//! | `READY=1` | the first model serves |
//! | `RELOADING=1`, then `READY=1` | settings are read again |
//! | `STOPPING=1` | play ends |
//! | `EXTEND_TIMEOUT_USEC=` | every second before the first model serves, which may take as long as the trainer takes for it, and while play ends, until the grace period and a minute for what comes after it are over |
//! | `WATCHDOG=1` | every second in which play advanced, or has no reason to: it is paused, ends, or has no model or no game |
//! | `STATUS=` | in words, when that changes, and every ten seconds |

mod socket;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use selfplay_actors::{
    control::{Control, ControlState},
    health::Health,
    stats::{Snapshot, Stats},
};

use self::socket::Socket;

/// How often to look, unless the watchdog wants to hear more often.
const TICK: Duration = Duration::from_secs(1);
/// How much longer than now a start or an end may take; asked for anew with every look.
const EXTENSION: Duration = Duration::from_secs(30);
/// What may come after the grace period: writing what is finished, and the end of all threads.
const AFTER_GRACE: Duration = Duration::from_secs(60);
/// How often the status in words is told afresh.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// What is looked at.
pub(crate) struct Watched {
    /// How play is steered.
    pub control: Arc<Control>,
    /// What was counted.
    pub stats: Arc<Stats>,
    /// Whether anything hangs.
    pub health: Arc<Health>,
    /// Longest wait for games in play when play ends.
    pub grace: Duration,
}

/// Tells until it is told of the end.
pub(crate) struct Service {
    told: Arc<Told>,
    telling: Mutex<Option<Telling>>,
}

/// The thread that looks, which ends when the sender is dropped.
struct Telling {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

/// Whom to tell, and what was told so far.
struct Told {
    socket: Option<Socket>,
    story: Mutex<Story>,
}

impl Service {
    /// Begins to tell what becomes of `watched`.
    pub(crate) fn start(watched: Watched) -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        let socket = Socket::from_environment();
        let is_heard = socket.is_some();
        let told = Arc::new(Told { socket, story: Mutex::new(Story::new(watchdog.is_some(), watched.grace)) });
        let (stop, stopped) = mpsc::channel();
        let tick = watchdog.map_or(TICK, |watchdog| TICK.min(watchdog / 4));
        let telling = told.clone();
        let tell = move || {
            let begun = Instant::now();
            loop {
                telling.tell(|story| story.go_on(&View::of(&watched, begun.elapsed())));
                if stopped.recv_timeout(tick) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        let thread = is_heard.then(|| std::thread::Builder::new().name("service".to_owned()).spawn(tell));
        let thread = thread.transpose().unwrap_or_else(|error| {
            tracing::warn!("the service manager is told nothing: {error}");
            None
        });
        Self { told, telling: Mutex::new(thread.map(|thread| Telling { stop, thread })) }
    }

    /// Does something that counts as reading the settings again.
    pub(crate) fn while_reloading<T>(&self, work: impl FnOnce() -> T) -> T {
        let now = NotifyState::monotonic_usec_now().ok().map(|now| now.to_string());
        self.told.tell(|story| story.reload_begins(now));
        let done = work();
        self.told.tell(Story::reload_ends);
        done
    }

    /// Play is over, whatever the reason.
    pub(crate) fn end(&self) {
        let telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Telling { stop, thread }) = telling {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the thread that tells the service manager ended in a panic");
            }
        }
        self.told.tell(Story::end);
    }
}

impl Told {
    fn tell(&self, what: impl FnOnce(&mut Story) -> Vec<String>) {
        let Some(socket) = &self.socket else { return };
        let mut story = self.story();
        let news = what(&mut story);
        if !news.is_empty() {
            socket.send(&news); // In the order in which it came to be.
        }
    }

    fn story(&self) -> MutexGuard<'_, Story> {
        self.story.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is to see at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct View {
    /// Since the start.
    at: Duration,
    control: ControlState,
    hangs: bool,
    /// Grows whenever play advances.
    progress: u64,
    /// Evaluations so far.
    evaluations: u64,
    in_play: u64,
    /// Version of the serving model.
    model: i64,
}

impl View {
    fn of(watched: &Watched, at: Duration) -> Self {
        let counts = watched.stats.snapshot();
        let Snapshot { evaluations, .. } = counts;
        Self {
            at,
            control: watched.control.state(),
            hangs: watched.health.hangs(),
            // Where the cache knows everything, nothing is evaluated.
            progress: evaluations + counts.simulations_total() + counts.games_ended_total(),
            evaluations,
            in_play: counts.games_in_play(),
            model: counts.model_version,
        }
    }
}

/// What was told so far, and from it what is to be told next. Plain state: no clock and no socket.
struct Story {
    watchdog: bool,
    grace: Duration,
    ready: bool,
    reloading: bool,
    /// When play began to end.
    stopping: Option<Duration>,
    progress: Option<u64>,
    /// The last status in words with its figures, and when it was told.
    status: Option<(&'static str, Duration, u64)>,
}

impl Story {
    fn new(watchdog: bool, grace: Duration) -> Self {
        Self { watchdog, grace, ready: false, reloading: false, stopping: None, progress: None, status: None }
    }

    /// What is news after a look.
    fn go_on(&mut self, view: &View) -> Vec<String> {
        let mut news = Vec::new();
        if view.control.draining && self.stopping.is_none() {
            self.stopping = Some(view.at);
            news.push(NotifyState::Stopping);
        }
        match self.stopping {
            Some(since) if view.at - since < self.grace + AFTER_GRACE => news.push(extension()),
            Some(_) => {}
            None if self.ready => {}
            None if view.control.serving => {
                self.ready = true;
                news.push(NotifyState::Ready);
            }
            None => news.push(extension()),
        }
        let advanced = self.progress.replace(view.progress) != Some(view.progress);
        if self.watchdog && !view.hangs && (advanced || has_no_reason_to_advance(view)) {
            news.push(NotifyState::Watchdog);
        }
        let status = self.status(view);
        news.iter().map(ToString::to_string).chain(status).collect()
    }

    /// Play is told by a signal or a request to read its settings again, at `now` by the system's monotonic clock.
    fn reload_begins(&mut self, now: Option<String>) -> Vec<String> {
        // Who was not ready would be so at the end of it.
        self.reloading = self.ready && self.stopping.is_none();
        if !self.reloading {
            return Vec::new();
        }
        [NotifyState::Reloading.to_string()].into_iter().chain(now).collect()
    }

    fn reload_ends(&mut self) -> Vec<String> {
        let over = std::mem::take(&mut self.reloading) && self.stopping.is_none();
        over.then(|| NotifyState::Ready.to_string()).into_iter().collect()
    }

    /// The process ends, whatever the reason.
    fn end(&mut self) -> Vec<String> {
        let told = self.stopping.replace(Duration::ZERO).is_some();
        (!told).then(|| NotifyState::Stopping.to_string()).into_iter().collect()
    }

    fn status(&mut self, view: &View) -> Option<String> {
        let ControlState { paused, draining, unloaded, serving, .. } = view.control;
        let kind = match (draining, paused, serving) {
            (true, ..) => "ending",
            (_, true, _) if unloaded => "paused, the model is unloaded",
            (_, true, _) => "paused",
            (.., true) => "playing",
            _ => "waiting for a model",
        };
        let (last, at, evaluations) = self.status.unwrap_or((kind, view.at, view.evaluations));
        let since = view.at - at;
        if self.status.is_some() && last == kind && since < STATUS_EVERY {
            return None;
        }
        self.status = Some((kind, view.at, view.evaluations));
        let View { in_play, model, .. } = view;
        let text = match kind {
            "playing" if !since.is_zero() && last == kind => {
                let rate = (view.evaluations - evaluations) as f64 / since.as_secs_f64();
                format!("playing {in_play} games with model {model}: {rate:.0} evaluations/s")
            }
            "playing" => format!("playing {in_play} games with model {model}"),
            "ending" => format!("ending, {in_play} games are in play"),
            _ => kind.to_owned(),
        };
        Some(NotifyState::Status(&text).to_string())
    }
}

fn extension() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(EXTENSION.as_micros() as u32)
}

/// Whether nothing is wrong although nothing advances: play rests, ends within its own limits, waits for a model, or has no
/// game, as when the disk is full.
fn has_no_reason_to_advance(View { control, in_play, .. }: &View) -> bool {
    control.paused || control.draining || !control.serving || *in_play == 0
}
