//! What a run learns, as far as a daemon sees it.
//!
//! - [`trainer`]: what the trainer says of itself
//! - [`keeper`]: the thread that keeps it up to date

mod keeper;
mod trainer;

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use self::{
    keeper::{Keeper, Places},
    trainer::{TrainerFigures, TrainerStatus},
};

/// What is known at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The trainer; `None` where it has said nothing.
    pub trainer: Option<TrainerStatus>,
}

/// What was seen last. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Learning(Arc<Mutex<Arc<Seen>>>);

impl Learning {
    /// It.
    pub(crate) fn seen(&self) -> Arc<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes the place of what was seen before.
    pub(crate) fn set(&self, seen: Seen) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }
}
