//! Whether play is paused or is to end, for everyone who must know at once: flags that any thread may read, and the order in
//! which they change. [`crate::root::Controller`] changes them; the root carries out what follows from a change.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Instant,
};

use actix::Message;
use serde::{Deserialize, Serialize};

/// A pause is over. Sent by the root to the actors that rest during one: batcher, games' supervisor and loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PlayResumed;

/// How a process is steered, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ControlState {
    /// No batch leaves and no game starts until play is resumed.
    pub paused: bool,
    /// For how long by now; 0 when play is not paused.
    pub paused_seconds: f64,
    /// It was told to stop.
    pub draining: bool,
    /// The model was dropped during the pause: no inference thread holds a session.
    pub unloaded: bool,
    /// A model is in service and answers as soon as play is not paused. Not written down: the status says more of it.
    #[serde(skip)]
    pub serving: bool,
}

/// Whether play is paused and whether the process is ending. All methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Control {
    paused: AtomicBool,
    draining: AtomicBool,
    serving: AtomicBool,
    /// Number of the last pause, from 1.
    pause: AtomicU64,
    /// Number of the last pause during which the model was dropped.
    unloaded_in: AtomicU64,
    /// When the present pause began. Held while flags change and the root is told, so that it hears of changes in their order.
    since: Mutex<Option<Instant>>,
}

impl Control {
    /// Whether play is paused.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Acquire)
    }

    /// Whether the process was told to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Acquire)
    }

    /// Whether a model is in service.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Acquire)
    }

    /// Everything at once.
    #[must_use]
    pub fn state(&self) -> ControlState {
        let since = self.since();
        let paused = self.is_paused();
        ControlState {
            paused,
            paused_seconds: since.filter(|_| paused).map_or(0.0, |since| since.elapsed().as_secs_f64()),
            draining: self.is_draining(),
            unloaded: paused && self.unloaded_in.load(Acquire) == self.pause.load(Acquire),
            serving: self.is_serving(),
        }
    }

    /// Whether pause number `pause` still lasts.
    pub(crate) fn lasts(&self, pause: u64) -> bool {
        self.is_paused() && self.pause.load(Acquire) == pause
    }

    /// A model came into service, or none serves any more. Said by the batcher.
    pub(crate) fn set_serving(&self, serving: bool) {
        self.serving.store(serving, Release);
    }

    /// No thread holds a session any more, as asked for during pause number `pause`.
    pub(crate) fn note_unloaded(&self, pause: u64) {
        self.unloaded_in.fetch_max(pause, Release);
    }

    /// Pauses and tells whom it concerns of the pause's number; without effect when paused already or when told to stop.
    pub(crate) fn pause(&self, tell: impl FnOnce(u64)) {
        let mut since = self.since();
        if !self.is_draining() && !self.is_paused() {
            *since = Some(Instant::now());
            let pause = self.pause.fetch_add(1, Release) + 1;
            self.paused.store(true, Release);
            tell(pause);
        }
    }

    /// Ends a pause; without effect when there is none.
    pub(crate) fn resume(&self, tell: impl FnOnce()) {
        let _order = self.since();
        if self.paused.swap(false, Release) {
            tell();
        }
    }

    /// Pauses, or ends a pause.
    pub(crate) fn toggle(&self, paused: impl FnOnce(u64), resumed: impl FnOnce()) {
        // Of two at the same moment one may find the other's work done: as if it had come first.
        if self.is_paused() { self.resume(resumed) } else { self.pause(paused) }
    }

    /// Begins to stop; without effect when that has begun.
    pub(crate) fn drain(&self, tell: impl FnOnce()) {
        let _order = self.since();
        if !self.draining.swap(true, Release) {
            tell();
        }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(control: &Control) -> (bool, bool, bool) {
        let ControlState { paused, draining, unloaded, .. } = control.state();
        (paused, draining, unloaded)
    }

    #[test]
    fn each_change_is_told_once() {
        let control = Control::default();
        let mut told = Vec::new();
        control.resume(|| panic!("there is no pause"));
        control.pause(|pause| told.push(pause));
        control.pause(|_| panic!("paused already"));
        assert!(control.state().paused && control.lasts(1));
        control.toggle(|_| panic!("paused already"), || told.push(0));
        assert_eq!((control.state().paused, control.state().paused_seconds), (false, 0.0));
        control.toggle(|pause| told.push(pause), || panic!("there is no pause"));
        assert!(!control.lasts(1) && control.lasts(2));
        assert_eq!(told, [1, 0, 2]);
    }

    #[test]
    fn a_pause_is_counted_as_unloaded_only_for_itself() {
        let control = Control::default();
        control.pause(|_| {});
        assert_eq!(flags(&control), (true, false, false));
        control.note_unloaded(1);
        assert_eq!(flags(&control), (true, false, true));
        control.resume(|| {});
        assert_eq!(flags(&control), (false, false, false));
        control.pause(|_| {});
        control.note_unloaded(1);
        assert_eq!(flags(&control), (true, false, false), "a thread was late: the model may be back by now");
    }

    #[test]
    fn a_process_that_is_told_to_stop_is_not_paused_any_more() {
        let control = Control::default();
        let mut told = 0;
        control.drain(|| told += 1);
        control.drain(|| told += 1);
        control.pause(|_| panic!("stopping"));
        assert_eq!((told, flags(&control)), (1, (false, true, false)));
    }
}
