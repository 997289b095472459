//! What a run learns, as far as a daemon sees it: by model version, from finished games and matches, kept in the output directory; and what
//! the trainer says of itself.
//!
//! - [`rows`]: what is kept of each version, and how much
//! - [`store`]: where it is kept, so that several daemons of one directory do not get in each other's way
//! - [`figures`]: what it comes to
//! - [`verdict`]: whether games are worth training on, in words
//! - [`trainer`]: what the trainer says of itself
//! - [`keeper`]: the thread that keeps all of it up to date

mod figures;
mod keeper;
mod rows;
mod store;
mod trainer;
mod verdict;

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

pub(crate) use self::{
    figures::VersionFigures,
    keeper::{Keeper, Places},
    trainer::{TrainerFigures, TrainerStatus},
    verdict::{Verdict, VerdictKind},
};

/// What is known at one moment.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// By version, the oldest first: of all daemons of the output directory, also of those that have ended.
    pub versions: Vec<VersionFigures>,
    /// Of the newest versions up to the one in service that have two hundred finished games together.
    pub recent: Option<VersionFigures>,
    /// What there is to say of these games.
    pub verdicts: Vec<Verdict>,
    /// Why figures are not kept.
    pub trouble: Option<String>,
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
