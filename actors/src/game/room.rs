//! Which slots may play: read by games before they work, so that what waits in their mailboxes never holds up a change or a stop.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Release},
};

/// Numbers from which slots do nothing: they were told to give their game back or to stop, or will be at once. Set by the
/// games' supervisor.
#[derive(Debug)]
pub struct Room {
    starts: AtomicUsize,
    plays: AtomicUsize,
}

impl Room {
    /// For slots below `slots`.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { starts: slots.into(), plays: slots.into() }
    }

    /// Games in slots below `plays` go on; where `starts`, games may start there.
    pub(crate) fn set(&self, plays: usize, starts: bool) {
        self.starts.store(if starts { plays } else { 0 }, Release);
        self.plays.store(plays, Release);
    }

    /// Whether a game may start in this slot. If not, the slot gives it back.
    pub(crate) fn starts(&self, slot: usize) -> bool {
        slot < self.starts.load(Acquire)
    }

    /// Whether the game in this slot goes on. If not, it waits for the word to leave it.
    pub(crate) fn plays(&self, slot: usize) -> bool {
        slot < self.plays.load(Acquire)
    }
}
