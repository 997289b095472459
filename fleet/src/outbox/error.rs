//! Why an outbox cannot be used.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::Owner;
use crate::disk::DiskError;

/// Why an outbox cannot be used, or not now.
#[derive(Debug, Error)]
pub enum OutboxError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process uses it.
    #[error("open outbox {dir}: another process uses it; give each worker an outbox of its own")]
    Busy {
        /// The outbox.
        dir: PathBuf,
    },
    /// It holds games of another run or worker.
    #[error(
        "open outbox {dir}: it holds games of worker {} in run {} that the trainer does not have yet, and this is worker {} in run {}; start that worker again until they are sent, or name another directory", .found.worker, .found.run, .wanted.worker, .wanted.run
    )]
    Other {
        /// The outbox.
        dir: PathBuf,
        /// Whose games it holds.
        found: Owner,
        /// Who opens it.
        wanted: Owner,
    },
    /// There is no room in it.
    #[error(
        "keep games in outbox {dir}: it holds {bytes} of at most {most} bytes; it empties when the trainer's machine takes games again"
    )]
    Full {
        /// The outbox.
        dir: PathBuf,
        /// Bytes in it.
        bytes: u64,
        /// Most that it may hold.
        most: u64,
    },
    /// The collector has frames of this outbox that it never sent.
    #[error(
        "use outbox {dir}: frames up to {done} of it have come to the trainer, but it knows only {last}, so it was restored from an older copy and its next games would be taken for those; remove the directory, and the worker begins a new one"
    )]
    Ahead {
        /// The outbox.
        dir: PathBuf,
        /// Up to which number the trainer has frames.
        done: u64,
        /// The last one that it has.
        last: u64,
    },
    /// A file is damaged again and again.
    #[error("use {path}: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl OutboxError {
    /// What the system said, where it said something.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Disk(error) => error.source.kind(),
            Self::Full { .. } => io::ErrorKind::StorageFull,
            _ => io::ErrorKind::Other,
        }
    }
}
