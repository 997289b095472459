//! Signs of life: when what a thread is doing now began.

use std::{
    cell::Cell,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Where the clock of all beats begins.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    /// The innermost call of this thread that is watched.
    static CURRENT: Cell<Option<Beat>> = const { Cell::new(None) };
}

/// When what a child is doing now began; idle to begin with. Clones share it. Lock-free.
#[derive(Clone, Debug, Default)]
pub struct Beat {
    /// Milliseconds after [`EPOCH`], from 1; 0 when idle.
    started: Arc<AtomicU64>,
}

impl Beat {
    /// Begins a call that may block; it is over when the guard is dropped. A call inside another restarts the outer one's clock
    /// when it begins and when it ends.
    pub fn enter(&self) -> Call {
        let outermost = self.started.swap(now(), Relaxed) == 0;
        Call { beat: self.clone(), outermost, outer: CURRENT.replace(Some(self.clone())) }
    }

    /// Starts the clock afresh, also when idle: what a timer calls to show that its thread runs timers.
    pub fn beat(&self) {
        self.started.store(now(), Relaxed);
    }

    /// What is going on now, as a number that changes when something else begins; `None` when idle.
    pub(crate) fn started(&self) -> Option<u64> {
        Some(self.started.load(Relaxed)).filter(|&started| started != 0)
    }

    /// How long ago it began; `None` when idle.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.started().map(|started| Duration::from_millis(now().saturating_sub(started)))
    }
}

/// A call in progress.
#[derive(Debug)]
#[must_use]
pub struct Call {
    beat: Beat,
    outermost: bool,
    outer: Option<Beat>,
}

impl Drop for Call {
    fn drop(&mut self) {
        self.beat.started.store(if self.outermost { 0 } else { now() }, Relaxed);
        CURRENT.set(self.outer.take());
    }
}

/// Says that the call in progress on this thread gets on, so that its clock starts afresh: between two games written, or two
/// steps of loading a model. Does nothing where no call is watched.
pub fn progress() {
    if let Some(current) = CURRENT.take() {
        current.beat();
        CURRENT.set(Some(current));
    }
}

fn now() -> u64 {
    EPOCH.elapsed().as_millis() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_progress_until_its_guard_is_dropped() {
        let beat = Beat::default();
        assert_eq!(beat.age(), None);
        let outer = beat.enter();
        let inner = beat.enter();
        drop(inner);
        assert!(beat.age().is_some(), "the outer call goes on");
        drop(outer);
        assert_eq!(beat.age(), None);
    }

    #[test]
    fn a_panic_ends_the_call() {
        let beat = Beat::default();
        let calling = beat.clone();
        std::panic::catch_unwind(move || {
            let _call = calling.enter();
            panic!("as planned");
        })
        .unwrap_err();
        assert_eq!(beat.age(), None);
    }

    #[test]
    fn progress_restarts_the_innermost_call_of_the_thread_and_no_other() {
        let (outer, inner) = (Beat::default(), Beat::default());
        progress();
        let began = 1; // Long ago.
        let outer_call = outer.enter();
        outer.started.store(began, Relaxed);
        let inner_call = inner.enter();
        inner.started.store(began, Relaxed);
        while now() == began {
            std::thread::yield_now();
        }
        progress();
        assert!(inner.started().unwrap() > began);
        assert_eq!(outer.started(), Some(began));
        drop(inner_call);
        progress();
        assert!(outer.started().unwrap() > began);
        drop(outer_call);
        progress();
        assert_eq!((outer.started(), inner.started()), (None, None));
    }
}
