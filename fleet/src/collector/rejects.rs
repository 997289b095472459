//! What was refused, kept with the reason for people to look at.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::disk::{Disk, DiskError, failed};

/// Most bytes kept, and most files. Beyond that reasons are told and counted, and nothing is kept.
const MOST_BYTES: u64 = 256 << 20;
const MOST_FILES: usize = 20_000;

/// What is kept.
#[derive(Debug)]
pub(super) struct Rejects {
    dir: PathBuf,
    /// Lengths of the files, by name.
    files: BTreeMap<String, u64>,
}

impl Rejects {
    pub(super) fn dir(fleet: &Path) -> PathBuf {
        fleet.join("rejected")
    }

    pub(super) fn open<D: Disk>(disk: &D, fleet: &Path) -> Result<Self, DiskError> {
        let dir = Self::dir(fleet);
        let files = disk.list(&dir).map_err(failed("list directory", &dir))?.into_iter().collect();
        Ok(Self { dir, files })
    }

    /// Keeps a message as `name.frame`, and why it was refused as `name.txt`. `name` is made of names and numbers that were checked. A
    /// message that comes again, because the disk failed after it was kept, takes its own place.
    pub(super) fn keep<D: Disk>(
        &mut self,
        disk: &D,
        name: &str,
        message: &[u8],
        reason: &str,
    ) -> Result<(), DiskError> {
        if self.files.values().sum::<u64>() + message.len() as u64 > MOST_BYTES || self.files.len() + 2 > MOST_FILES {
            return Ok(());
        }
        for (ending, bytes) in [("frame", message), ("txt", reason.as_bytes())] {
            let file = format!("{name}.{ending}");
            let path = self.dir.join(&file);
            self.files.insert(file, bytes.len() as u64);
            disk.write(&path, bytes).map_err(failed("write file", &path))?;
        }
        disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))
    }
}
