//! What was refused, kept with the reason for people to look at.

use std::path::{Path, PathBuf};

use super::{CollectorError, error::failed};
use crate::disk::Disk;

/// Most bytes kept, and most files. Beyond that reasons are told and counted, and nothing is kept.
const MOST_BYTES: u64 = 256 << 20;
const MOST_FILES: u64 = 20_000;

/// What is kept.
#[derive(Debug)]
pub(super) struct Rejects {
    dir: PathBuf,
    bytes: u64,
    files: u64,
}

impl Rejects {
    pub(super) fn dir(fleet: &Path) -> PathBuf {
        fleet.join("rejected")
    }

    pub(super) fn open<D: Disk>(disk: &D, fleet: &Path) -> Result<Self, CollectorError> {
        let dir = Self::dir(fleet);
        let found = disk.list(&dir).map_err(failed("list directory", &dir))?;
        let bytes = found.iter().map(|(_, bytes)| bytes).sum();
        Ok(Self { dir, bytes, files: found.len() as u64 })
    }

    /// Keeps a message as `name.frame`, and why it was refused as `name.txt`. `name` is made of names and numbers that were checked.
    pub(super) fn keep<D: Disk>(
        &mut self,
        disk: &D,
        name: &str,
        message: &[u8],
        reason: &str,
    ) -> Result<(), CollectorError> {
        if self.bytes + message.len() as u64 > MOST_BYTES || self.files + 2 > MOST_FILES {
            return Ok(());
        }
        for (ending, bytes) in [("frame", message), ("txt", reason.as_bytes())] {
            let path = self.dir.join(format!("{name}.{ending}"));
            disk.write(&path, bytes).map_err(failed("write file", &path))?;
            self.bytes += bytes.len() as u64;
            self.files += 1;
        }
        disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))
    }
}
