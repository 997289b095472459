//! Why no new games should start although this daemon's disk has room: games go on from its directory, and where they go there is none.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// See the module. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Onward(Mutex<Option<String>>);

impl Onward {
    /// Says why no games should start, in words, or that they may. The writer obeys within a second.
    pub fn tell(&self, reason: Option<String>) {
        *self.lock() = reason;
    }

    /// Why no games should start; `None` when they may.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
