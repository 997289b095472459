//! What can go wrong with the directory where the trainer looks for games.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::replay::lock::LockError;

/// Why a directory cannot hold games, or a game was not stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A directory cannot be created.
    #[error("create directory {path}")]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be listed.
    #[error("list directory {path}")]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be created.
    #[error("create file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written to: most often the disk is full.
    #[error("write file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be brought to the disk.
    #[error("synchronise {path} with the disk")]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be moved to its place.
    #[error("rename {from} to {to}")]
    Rename {
        /// Where it is.
        from: PathBuf,
        /// Where it belongs.
        to: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A leftover cannot be removed.
    #[error("remove {path}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file system does not say how much room it has.
    #[error("ask how much room there is in {path}")]
    FreeSpace {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file of another store cannot be read.
    #[error("read file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process keeps the directory locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A game of that name is there already.
    #[error("store a game as {path}: there is one already")]
    Exists {
        /// The archive that exists.
        path: PathBuf,
    },
    /// The game is stored and the trainer can see it, but a power cut may still lose it. It must not be written again.
    #[error("make {npz} durable")]
    NotDurable {
        /// The archive.
        npz: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// What the system said.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::CreateDirectory { source, .. }
            | Self::List { source, .. }
            | Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::Sync { source, .. }
            | Self::Rename { source, .. }
            | Self::Remove { source, .. }
            | Self::FreeSpace { source, .. }
            | Self::Read { source, .. }
            | Self::Lock(LockError::Io { source, .. })
            | Self::NotDurable { source, .. } => source.kind(),
            Self::Lock(LockError::Busy { .. }) => io::ErrorKind::WouldBlock,
            Self::Exists { .. } => io::ErrorKind::AlreadyExists,
        }
    }

    /// Whether room on the disk would help: the same game can be written again later.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = matches!(self.io_kind(), StorageFull | QuotaExceeded | FileTooLarge);
        full && !matches!(self, Self::NotDurable { .. })
    }
}
