//! Why games cannot be collected.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::ledger::LedgerError;

/// Why games cannot be collected, or not now.
#[derive(Debug, Error)]
pub enum CollectorError {
    /// A file or directory cannot be used.
    #[error("{what} {path}")]
    Io {
        /// What was tried, such as `write file`.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CollectorError {
    move |source| CollectorError::Io { what, path: path.to_owned(), source }
}
