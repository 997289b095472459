//! What is kept of a finished game, and the files the trainer reads it from.
//!
//! In dependency order: [`GameRecord`] is what self-play hands over; [`GameArrays`] and [`GameMetadata`] are the contents of
//! its two files; [`ReplayStore`] puts the files where the trainer looks; [`ReadGame`] reads them back.

mod arrays;
pub(crate) mod lock;
mod metadata;
mod npy;
mod plies;
mod read;
mod record;
mod scratch;
pub(crate) mod stem;
pub(crate) mod store;

#[cfg(test)]
mod documented;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod table_game;

pub use arrays::{GameArrays, POLICY_SUM_TOLERANCE, ReplayError};
pub use lock::LockError;
pub use metadata::{GameMetadata, GameResult, MetadataError};
pub use npy::HeaderError;
pub use plies::{PlyArrays, flag};
pub use read::{ReadError, ReadGame};
pub use record::{Ending, GameRecord, PlyKind, PlyNotes, PlyRecord, ResignNotes, Target};
pub use scratch::{Open, open_in_place};
pub use stem::{SessionId, SessionIdError, Stem, StemClock, StemError};
pub use store::{FreeSpace, ReplayStore, Staged, StoreError, Unpublished, Written};
