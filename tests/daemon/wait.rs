//! Waits for conditions, never for times; and lets time pass, where time is what a test is about.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

/// Longest wait for anything: far longer than it takes on a busy machine, so that only a hang runs into it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

const TICK: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer.
///
/// # Panics
/// At the deadline, with what was waited for.
pub(crate) fn until<T>(what: &str, answer: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, answer)
}

/// The same with another deadline.
///
/// # Panics
/// At the deadline, with what was waited for.
pub(crate) fn within<T>(deadline: Duration, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(begun.elapsed() < deadline, "waited {deadline:?} for {what}");
        pause(TICK);
    }
}

/// Does nothing for `length`.
pub(crate) fn pause(length: Duration) {
    // Nothing is ever sent: a receiver is a timer that lints allow.
    let (_sender, ticks) = mpsc::channel::<()>();
    ticks.recv_timeout(length).ok();
}
