//! What must outlive all frames of an outbox.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use super::Owner;
use crate::{
    disk::{Disk, DiskError, failed},
    name::{Name, Origin},
};

const FILE: &str = "state";
const NEW_FILE: &str = "state.new";

/// How the file begins: four letters and the number of this format.
const MAGIC: [u8; 8] = *b"SPFO\x01\0\0\0";

/// Longest file read; one has about a hundred bytes.
const MOST_BYTES: u64 = 4096;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) origin: Origin,
    pub(super) owner: Owner,
    /// Up to this number there are receipts for all frames.
    pub(super) receipted: u64,
}

#[derive(Serialize, Deserialize)]
struct Content {
    origin: Origin,
    run: Name,
    worker: Name,
    receipted: u64,
}

impl State {
    /// The state that the outbox in `dir` has; nothing where there is none that can be read.
    pub(super) fn read<D: Disk>(disk: &D, dir: &Path) -> Result<Option<Self>, DiskError> {
        let path = dir.join(FILE);
        let bytes = match disk.read(&path, MOST_BYTES) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                return Ok(None);
            }
            read => read.map_err(failed("read file", &path))?,
        };
        Ok(Self::decode(&bytes))
    }

    /// Replaces the file as a whole; when it returns that is on the disk.
    pub(super) fn write<D: Disk>(&self, disk: &D, dir: &Path) -> Result<(), DiskError> {
        let (from, to) = (dir.join(NEW_FILE), dir.join(FILE));
        disk.write(&from, &self.encode()).map_err(failed("write file", &from))?;
        disk.rename(&from, &to).map_err(failed("rename", &from))?;
        disk.sync_dir(dir).map_err(failed("synchronise", dir))
    }

    fn encode(&self) -> Vec<u8> {
        let Self { origin, owner: Owner { run, worker }, receipted } = self.clone();
        let mut bytes = MAGIC.to_vec();
        // Plain texts and numbers: nothing that postcard refuses.
        bytes.extend(postcard::to_stdvec(&Content { origin, run, worker, receipted }).expect("plain values"));
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content).to_le_bytes() != *checksum {
            return None;
        }
        let Content { origin, run, worker, receipted } = postcard::from_bytes(content.strip_prefix(&MAGIC)?).ok()?;
        Some(Self { origin, owner: Owner { run, worker }, receipted })
    }
}
