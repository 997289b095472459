//! Why a ledger cannot be used.

use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;

/// Why a ledger cannot be used, or not now.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It is damaged, and what it held is not known.
    #[error(
        "use ledger {path}: {reason}. Without it games that the trainer has would come to it again: restore it from a backup of the same moment as the trainer's folder; or remove it, and take it that games on their way now may come twice"
    )]
    Damaged {
        /// The ledger.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An append failed, and it was not written afresh since.
    #[error("use ledger {path}: it could not be written")]
    Unhealthy {
        /// The ledger.
        path: PathBuf,
    },
}
