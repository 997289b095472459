//! Obeys an operator's signals while games are played, on a thread of its own: files that settings are read from may hang.

use std::sync::{Arc, Mutex, PoisonError, mpsc};

use selfplay_actors::{
    findings::Found,
    health::{ChildStatus, Health},
    root::Controller,
    stats::Stats,
};
use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use crate::{
    daemon::{service::Service, signals::Request},
    settings::Refused,
    steering::live_settings::{Changes, LiveSettings},
};

/// What came of reading the settings again; the error says why they stay as they are.
pub(crate) type SettingsRead = Result<Changes, String>;

/// Where one who asked for a reload hears what comes of it. Both close without a word when play is ending.
#[derive(Debug)]
pub(crate) struct Reload {
    /// What became of the settings.
    pub settings: oneshot::Receiver<SettingsRead>,
    /// What was found of models; what comes last counts.
    pub model: UnboundedReceiver<Found>,
}

/// The other end.
#[derive(Debug)]
struct Listener {
    settings: oneshot::Sender<SettingsRead>,
    model: UnboundedSender<Found>,
}

/// Those who wait for what comes of the next reload.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<Vec<Listener>>);

impl Listeners {
    fn add(&self) -> Reload {
        let ((send_settings, settings), (send_model, model)) = (oneshot::channel(), unbounded_channel());
        self.lock().push(Listener { settings: send_settings, model: send_model });
        Reload { settings, model }
    }

    fn take(&self) -> Vec<Listener> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What obeying takes.
pub(crate) struct Operator {
    /// Steers play.
    pub controller: Controller,
    /// The settings that hold.
    pub settings: Arc<LiveSettings>,
    /// How the children are.
    pub health: Arc<Health>,
    /// What was counted.
    pub stats: Arc<Stats>,
    /// Hears that settings are being read.
    pub service: Arc<Service>,
    /// Where requests come in.
    pub requests: mpsc::Sender<Request>,
    /// Those who wait for what comes of a reload.
    pub listeners: Listeners,
}

impl Operator {
    /// Obeys `requests` for the rest of the process's life. Without a thread to do so on it says so, and no request is obeyed.
    pub(crate) fn start(self: Arc<Self>, requests: mpsc::Receiver<Request>) {
        let obey = move || requests.iter().for_each(|request| self.obey(request));
        if let Err(error) = std::thread::Builder::new().name("operator".to_owned()).spawn(obey) {
            tracing::warn!("only signals to stop have an effect: {error}");
        }
    }

    /// Has `request` obeyed, after those that came before.
    pub(crate) fn ask(&self, request: Request) {
        // The receiver lives as long as the thread that obeys; without it, the log has said so.
        self.requests.send(request).ok();
    }

    /// Reads the settings again and looks for a model, and tells what comes of it.
    pub(crate) fn ask_for_reload(&self) -> Reload {
        let reload = self.listeners.add();
        self.ask(Request::Reload);
        reload
    }

    fn obey(&self, request: Request) {
        match request {
            Request::LogStatus => self.log_status(),
            _ if self.controller.state().draining => {
                tracing::info!(?request, "of no effect: play is ending");
                drop(self.listeners.take());
            }
            Request::Reload => {
                tracing::info!("reload: reading the settings again and looking for a model");
                self.reload();
            }
            Request::TogglePause => self.controller.toggle_pause(),
        }
    }

    /// Reads the settings again, from the same files as at the start, and looks for a model.
    pub(crate) fn reload(&self) {
        let listeners = self.listeners.take();
        let read = self.service.while_reloading(|| self.settings.read_again()).map_err(|error| format!("{error:#}"));
        match &read {
            Ok(Changes { changed, refused }) => {
                for Refused { key, reason } in refused {
                    tracing::warn!(key, "not changed: {reason}");
                }
                tracing::info!(changed = changed.len(), not_changed = refused.len(), "settings read again");
            }
            Err(error) => tracing::error!("the settings stay as they are: {error}"),
        }
        if listeners.is_empty() {
            self.controller.reload(None);
        }
        for Listener { settings, model } in listeners {
            settings.send(read.clone()).ok(); // Who asked may have gone.
            self.controller.reload(Some(model));
        }
    }

    /// Logs how the children are, one line each; then what was counted, and how play is steered.
    fn log_status(&self) {
        for child in self.health.status().children {
            let ChildStatus { name, state, running, restarts, last_exit, busy_seconds, .. } = child;
            tracing::info!(%name, ?state, running, restarts = restarts.total(), last_exit, busy_seconds, "status of child");
        }
        let counts = serde_json::to_string(&self.stats.snapshot()).unwrap_or_else(|error| error.to_string());
        let control = self.controller.state();
        tracing::info!(
            paused = control.paused,
            paused_seconds = control.paused_seconds,
            unloaded = control.unloaded,
            draining = control.draining,
            model_serves = control.serving,
            counts,
            "status"
        );
    }
}
