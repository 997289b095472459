//! Which frames have come to the trainer: the one place that decides whether a frame is published.
//!
//! A file in the file system of the trainer's folder, so that both share every crash: eight bytes that say what it is, then *groups*, each
//! of them length, CRC32 and a list of [`Entry`] in postcard. A group is appended by one call and synchronised; it counts as a whole or
//! not at all. Behind the last whole group may stand the rest of one that was being written when the power was cut; whole groups behind
//! a damaged one cannot be of that, and such a ledger is refused: to go on without its entries would show games twice.
//!
//! After an append that failed nothing is known of what stands in the file. It is then written afresh, before anything else is done.

mod book;
mod error;
mod intervals;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use self::{
    book::{Book, Known, Publishing},
    error::LedgerError,
    intervals::Intervals,
};
use crate::{
    disk::{Disk, failed},
    name::{Name, Origin},
};

const FILE: &str = "ledger";
const NEW_FILE: &str = "ledger.new";

/// How the file begins: four letters and the number of this format.
const MAGIC: [u8; 8] = *b"SPFL\x01\0\0\0";

/// Length and checksum in front of every group.
const FRAME: usize = 8;

/// Longest ledger read: thousands of workers with many gaps do not come near it.
const MOST_BYTES: u64 = 1 << 30;

/// The file is written afresh when it is longer than this, and than four times what is needed of it.
const LONG_BYTES: u64 = 4 << 20;

/// What the ledger is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// All that is known of an outbox; in a ledger that was written afresh.
    Known(Origin, Known),
    /// A game or more, whose files are complete under `tmp/fleet/`, are about to be shown to the trainer.
    Publishing(Publishing),
    /// They were.
    Done {
        /// The outbox.
        origin: Origin,
        /// Number of the first frame, as in [`Publishing`].
        first: u64,
    },
}

/// The ledger in its file.
#[derive(Debug)]
pub struct Ledger<D: Disk> {
    disk: D,
    dir: PathBuf,
    book: Book,
    /// Up to the end of the last whole group; nothing after an append that failed.
    length: Option<u64>,
    long_bytes: u64,
}

impl<D: Disk> Ledger<D> {
    /// Reads the ledger in `dir`, or begins one. To be used by one process at a time.
    ///
    /// # Errors
    /// When the directory cannot be used, or the ledger is damaged.
    pub fn open(disk: D, dir: &Path) -> Result<Self, LedgerError> {
        let (path, new) = (dir.join(FILE), dir.join(NEW_FILE));
        // What a process that died was writing.
        disk.remove(&new).map_err(failed("remove", &new))?;
        let mut ledger =
            Self { disk, dir: dir.to_owned(), book: Book::default(), length: None, long_bytes: LONG_BYTES };
        match ledger.disk.read(&path, MOST_BYTES) {
            Ok(bytes) => ledger.book = read(&bytes).map_err(|reason| LedgerError::Damaged { path, reason })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed("read file", &path)(source).into()),
        }
        // A process that was killed leaves entries that can be read and are not on the disk. What is done because of them would be there
        // after a power cut, and they would not.
        ledger.rewrite()?;
        Ok(ledger)
    }

    /// What it says.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// Writes the file afresh if it has to be: after an append that failed, or when most of it is over. After one that failed the file may
    /// hold entries that [`Ledger::book`] does not: until this was called, no file that they may speak of may be touched.
    ///
    /// # Errors
    /// When that fails; it is to be tried again.
    pub fn tend(&mut self) -> Result<(), LedgerError> {
        match self.length {
            Some(length) if length <= self.long_bytes || length <= 4 * self.book.live_bytes() => Ok(()),
            _ => self.rewrite(),
        }
    }

    /// Takes entries, all or none; when it returns they are on the disk.
    ///
    /// # Errors
    /// When they are not for sure: then they count as not taken, and [`Ledger::tend`] comes first.
    pub fn take(&mut self, entries: Vec<Entry>) -> Result<(), LedgerError> {
        if entries.is_empty() {
            return Ok(());
        }
        let path = self.dir.join(FILE);
        let length = self.length.take().ok_or_else(|| LedgerError::Unhealthy { path: path.clone() })?;
        let bytes = group(&entries);
        self.disk.append(&path, length, &bytes).map_err(failed("append to file", &path))?;
        self.length = Some(length + bytes.len() as u64);
        entries.into_iter().for_each(|entry| self.book.apply(entry));
        Ok(())
    }

    fn rewrite(&mut self) -> Result<(), LedgerError> {
        self.length = None;
        let mut bytes = MAGIC.to_vec();
        for entries in self.book.entries().chunks(256) {
            bytes.extend(group(entries));
        }
        let (from, to) = (self.dir.join(NEW_FILE), self.dir.join(FILE));
        self.disk.write(&from, &bytes).map_err(failed("write file", &from))?;
        self.disk.rename(&from, &to).map_err(failed("rename", &from))?;
        self.disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))?;
        self.length = Some(bytes.len() as u64);
        Ok(())
    }
}

/// A worker's frames, as told to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The outbox.
    pub origin: Origin,
    /// All frames up to this number are in the ledger.
    pub done: u64,
    /// Games of it that were refused, ever.
    pub refused: u64,
    /// Why the last of them was.
    pub reason: Option<String>,
}

impl<D: Disk> Ledger<D> {
    /// Receipts for the outboxes of a worker. It has one, or several if some were lost.
    #[must_use]
    pub fn receipts(&self, worker: &Name) -> Vec<Receipt> {
        let own = self.book.origins().filter(|(_, known)| known.worker == *worker);
        own.map(|(&origin, known)| Receipt {
            origin,
            done: known.done.contiguous(),
            refused: known.refused,
            reason: known.reason.clone(),
        })
        .collect()
    }
}

/// Entries as a group of the file.
fn group(entries: &[Entry]) -> Vec<u8> {
    // Plain texts and numbers: nothing that postcard refuses.
    let content = postcard::to_stdvec(entries).expect("entries can be written");
    let mut bytes = (content.len() as u32).to_le_bytes().to_vec();
    bytes.extend(checksum(&content).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// Of length and content, so that zeros are no group.
fn checksum(content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"group");
    hasher.update(&(content.len() as u32).to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// The content of the group at the beginning of `bytes`, and what is behind it.
fn split_group(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(FRAME)?;
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let (content, rest) = rest.split_at_checked(length)?;
    (checksum(content).to_le_bytes() == head[4..]).then_some((content, rest))
}

/// What a ledger says; why it cannot be relied on.
fn read(bytes: &[u8]) -> Result<Book, String> {
    let mut rest = bytes.strip_prefix(&MAGIC).ok_or("it does not begin as a ledger does")?;
    let mut book = Book::default();
    while let Some((content, behind)) = split_group(rest) {
        let entries: Vec<Entry> =
            postcard::from_bytes(content).map_err(|error| format!("an entry makes no sense: {error}"))?;
        entries.into_iter().for_each(|entry| book.apply(entry));
        rest = behind;
    }
    if (1..rest.len()).any(|at| split_group(&rest[at..]).is_some()) {
        let length = bytes.len() - rest.len();
        return Err(format!("it is damaged at byte {length}, and sound entries follow"));
    }
    Ok(book)
}
