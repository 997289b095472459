//! Locks on files, which the system gives back when their process ends, however it ends.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use thiserror::Error;

use super::scratch::{Open, open_in_place};

/// Name of the file in `tmp/` that a process locks while it looks after what others left there.
pub(crate) const LOCK_FILE: &str = ".recovery.lock";

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a directory could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// The lock file cannot be opened or locked, for example because the file system has no locks.
    #[error("lock {path}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds the lock for too long.
    #[error("lock {path}: another process has held it for {} s", .waited.as_secs_f32())]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
}

/// Held while one process looks after what dead ones left in a `tmp` directory.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    /// Closing it gives the lock back.
    _file: File,
}

impl DirectoryLock {
    /// Waits up to `wait` for the lock of directory `tmp`, which must exist.
    pub(crate) fn take(tmp: &Path, wait: Duration) -> Result<Self, LockError> {
        let path = tmp.join(LOCK_FILE);
        let failed = |source| LockError::Io { path: path.clone(), source };
        let file = open_in_place(&path, Open::Keep).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if begun.elapsed() >= wait => {
                    return Err(LockError::Busy { path, waited: wait });
                }
                // The system has no wait with a limit for file locks.
                Err(TryLockError::WouldBlock) => std::thread::park_timeout(PAUSE),
            }
        }
    }
}
