//! The thread that looks at the trainer's file. It may hang with a directory: nothing waits for it, but for a moment at the end.

use std::{
    path::PathBuf,
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Learning, Seen,
    trainer::{self, TrainerFile},
};
use crate::settings::ModelSettings;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long the end of play waits for it.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Where things are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The trainer's own figures; `None` where there is no trainer.
    trainer: Option<PathBuf>,
}

impl Places {
    /// Of a daemon with these settings.
    pub(crate) fn of(model: &ModelSettings) -> Self {
        Self { trainer: trainer::place(model.source.as_deref(), model.latest_yaml.as_deref()) }
    }
}

/// Keeps a [`Learning`] up to date until it is dropped.
pub(crate) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread when it ends.
    ended: mpsc::Receiver<()>,
}

impl Keeper {
    /// Begins to look.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(places: Places, learning: Learning) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (running, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("learning".to_owned()).spawn(move || {
            let _running: mpsc::Sender<()> = running;
            let mut trainer = places.trainer.map(TrainerFile::new);
            loop {
                let trainer = trainer.as_mut().and_then(|file| file.look(unix()));
                learning.set(Seen { trainer });
                if stopped.recv_timeout(LOOK_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), ended })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if self.ended.recv_timeout(END_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            return; // It ends with the process.
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps what is learned ended in a panic");
        }
    }
}

/// Seconds since 1970.
fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
