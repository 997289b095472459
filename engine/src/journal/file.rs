//! A journal's file and what stands in it.
//!
//! The bytes of every unfinished game are kept in memory too, so that the file can be written afresh at any time, also after
//! entries were missed because the disk was full. For 9 × 9 Quoridor a ply takes about half a kilobyte (8 bytes per visited
//! action): 512 games in mid-game keep about 8 MB.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

use super::{
    JournalError,
    entry::{Entry, Header, MAGIC, ReadTargets, encode},
    read::note_begun,
    recovery,
};
use crate::replay::{Open, open_in_place, store::sync_directory};

/// A file is written afresh when it is longer than this and than [`MOST_DEAD`] times what is needed of it.
const LONG_BYTES: u64 = 16 << 20;
const MOST_DEAD: u64 = 4;

/// The file of a journal, and what is needed to write it afresh.
#[derive(Debug)]
pub(super) struct JournalFile {
    /// Taken once per ply; no thread waits for the disk while it holds it.
    state: Mutex<State>,
    /// Held by the thread that waits for the disk: see [`Upkeep`].
    upkeep: Mutex<()>,
    tmp: PathBuf,
    path: PathBuf,
    new_path: PathBuf,
    /// Whether games are recorded; else the file only shows that the process lives.
    recording: bool,
    settings_hash: String,
    long_bytes: u64,
}

/// A journal that this thread may wait for the disk with. Only with it can the file be synchronised, replaced or closed, so that
/// `upkeep` is locked before `state`, never the other way round.
struct Upkeep<'a> {
    journal: &'a JournalFile,
    _held: MutexGuard<'a, ()>,
}

#[derive(Debug)]
struct State {
    /// Locked while it is open; `None` once closed.
    file: Option<Arc<File>>,
    /// Up to the end of the last whole entry.
    length: u64,
    header: Header,
    /// The frames of each unfinished game.
    games: BTreeMap<u64, Vec<u8>>,
    live_bytes: u64,
    /// The entry at hand; kept for its memory.
    frame: Vec<u8>,
    /// Something was appended since the last synchronisation.
    dirty: bool,
    /// The file's name may not be on the disk yet.
    name_dirty: bool,
    /// Why the file missed something.
    failure: Option<String>,
    /// What is appended while the file is written afresh.
    tail: Option<Vec<u8>>,
}

/// The file of a session's journal.
pub(super) fn journal_path(tmp: &Path, session: impl std::fmt::Display) -> PathBuf {
    tmp.join(format!("session_{session}.journal"))
}

impl JournalFile {
    /// Makes the journal's file, locked, synchronised, and with `games` in it.
    pub(super) fn create(
        tmp: &Path,
        header: Header,
        games: BTreeMap<u64, Vec<u8>>,
        recording: bool,
    ) -> Result<Self, JournalError> {
        let path = journal_path(tmp, header.session);
        let settings_hash = header.settings_hash.clone();
        let live_bytes = games.values().map(|frames| frames.len() as u64).sum();
        let state = State {
            file: None,
            length: 0,
            header,
            games,
            live_bytes,
            frame: Vec::new(),
            dirty: false,
            name_dirty: false,
            failure: None,
            tail: None,
        };
        let journal = Self {
            state: Mutex::new(state),
            upkeep: Mutex::new(()),
            tmp: tmp.to_owned(),
            new_path: path.with_extension("journal.new"),
            path,
            recording,
            settings_hash,
            long_bytes: LONG_BYTES,
        };
        journal.upkeep().rewrite()?;
        Ok(journal)
    }

    #[cfg(test)]
    pub(super) fn set_long_bytes(&mut self, bytes: u64) {
        self.long_bytes = bytes;
    }

    /// Puts another file in the place of the one that is appended to, to make that fail.
    #[cfg(test)]
    pub(super) fn replace_file(&self, file: File) {
        self.state().file = Some(Arc::new(file));
    }

    /// Appends an entry of game `number`. Never fails: what the file does not take, it gets when it is written afresh.
    pub(super) fn append<T: Serialize>(&self, number: u64, entry: &Entry<T>) {
        if self.recording {
            self.state().append(number, entry);
        }
    }

    /// Of the settings that the session began with.
    pub(super) fn settings_hash(&self) -> &str {
        &self.settings_hash
    }

    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.upkeep().sync_file()
    }

    pub(super) fn tend(&self) -> Result<(), JournalError> {
        self.upkeep().tend()
    }

    pub(super) fn close(&self) -> Result<(), JournalError> {
        self.upkeep().close()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.state().length
    }

    pub(super) fn is_recording(&self) -> bool {
        self.recording
    }

    pub(super) fn unfinished(&self) -> usize {
        self.state().games.len()
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.state().failure.is_none()
    }

    /// A panic while it was held leaves at worst a whole entry in one place and not in the other.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn upkeep(&self) -> Upkeep<'_> {
        Upkeep { journal: self, _held: self.upkeep.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Upkeep<'_> {
    fn tend(&self) -> Result<(), JournalError> {
        let (file, due) = {
            let state = self.journal.state();
            let Some(file) = state.file.clone() else { return Ok(()) };
            let long = state.length > self.journal.long_bytes && state.length > MOST_DEAD * state.live_bytes;
            (file, long || state.failure.is_some())
        };
        let in_place = is_at(&file, &self.journal.path);
        if !in_place {
            let session = self.journal.state().header.session;
            if let Some(by) = recovery::taken_over_by(&self.journal.tmp, session) {
                return Err(JournalError::TakenOver { by });
            }
            match fs::create_dir(&self.journal.tmp) {
                Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                    self.journal.state().failure = Some(format!("{} is gone", self.journal.path.display()));
                    return Err(io_error("create directory", &self.journal.tmp, source));
                }
                _ => {}
            }
        }
        if due || !in_place { self.rewrite() } else { Ok(()) }
    }

    fn close(&self) -> Result<(), JournalError> {
        let (complete, unfinished) = {
            let state = self.journal.state();
            let Some(file) = &state.file else { return Ok(()) };
            (state.failure.is_none() && is_at(file, &self.journal.path), !state.games.is_empty())
        };
        if unfinished {
            if !complete {
                self.rewrite()?;
            }
            self.sync_file()?;
        } else {
            match fs::remove_file(&self.journal.path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &self.journal.path, source));
                }
                _ => {}
            }
        }
        // Unlocked only now, so that no other process takes over what is not complete or not needed.
        self.journal.state().file = None;
        Ok(())
    }

    fn sync_file(&self) -> Result<(), JournalError> {
        let (file, name_dirty) = {
            let mut state = self.journal.state();
            if let Some(reason) = &state.failure {
                return Err(JournalError::Unhealthy { reason: reason.clone() });
            }
            let Some(file) = state.file.clone().filter(|_| state.dirty || state.name_dirty) else { return Ok(()) };
            state.dirty = false;
            (file, state.name_dirty)
        };
        if let Err(source) = file.sync_data() {
            // What the system could not write it may have forgotten: only a new file can be relied on.
            self.journal.state().failure = Some(format!("it cannot be synchronised: {source}"));
            return Err(io_error("synchronise", &self.journal.path, source));
        }
        if name_dirty { self.sync_name() } else { Ok(()) }
    }

    fn sync_name(&self) -> Result<(), JournalError> {
        sync_directory(&self.journal.tmp).map_err(|source| io_error("synchronise", &self.journal.tmp, source))?;
        self.journal.state().name_dirty = false;
        Ok(())
    }

    /// Writes all that is unfinished to a new file and puts it in the place of the old one. Games go on meanwhile.
    fn rewrite(&self) -> Result<(), JournalError> {
        let snapshot = {
            let mut state = self.journal.state();
            state.tail = Some(Vec::new());
            state.snapshot()
        };
        let made = create_locked(&self.journal.new_path, &snapshot);
        let mut state = self.journal.state();
        let tail = state.tail.take().unwrap_or_default();
        let mut file = made?;
        let placed = file
            .write_all(&tail)
            .map_err(|source| io_error("write file", &self.journal.new_path, source))
            .and_then(|()| {
                fs::rename(&self.journal.new_path, &self.journal.path)
                    .map_err(|source| io_error("rename", &self.journal.new_path, source))
            });
        if let Err(error) = placed {
            // The error is the one to report; a leftover is emptied by the next attempt.
            drop(fs::remove_file(&self.journal.new_path));
            return Err(error);
        }
        state.file = Some(Arc::new(file));
        state.length = (snapshot.len() + tail.len()) as u64;
        state.failure = None;
        // What was synchronised in the old file is in the snapshot, because `upkeep` is held: the rest may wait for its turn.
        state.dirty = !tail.is_empty();
        state.name_dirty = true;
        drop(state);
        self.sync_name()
    }
}

impl State {
    fn append<T: Serialize>(&mut self, number: u64, entry: &Entry<T>) {
        let Some(file) = &self.file else { return };
        self.frame.clear();
        encode(entry, &mut self.frame);
        match entry {
            Entry::Begun { seed, index, .. } | Entry::BegunWith { seed, index, .. } => {
                note_begun(&mut self.header.next_index, *seed, *index);
                self.games.insert(number, self.frame.clone());
                self.live_bytes += self.frame.len() as u64;
            }
            Entry::End { .. } => {
                let Some(frames) = self.games.remove(&number) else { return };
                self.live_bytes -= frames.len() as u64;
            }
            _ => {
                let Some(frames) = self.games.get_mut(&number) else { return };
                frames.extend_from_slice(&self.frame);
                self.live_bytes += self.frame.len() as u64;
            }
        }
        if let Entry::Staging { stem, .. } = entry {
            self.header.highest_ms = self.header.highest_ms.max(stem.ms());
        }
        if let Some(tail) = &mut self.tail {
            tail.extend_from_slice(&self.frame);
        }
        if self.failure.is_some() {
            return;
        }
        match file.as_ref().write_all(&self.frame) {
            Ok(()) => {
                self.length += self.frame.len() as u64;
                self.dirty = true;
            }
            Err(source) => {
                self.failure = Some(format!("it cannot be written: {source}"));
                // Should this fail too, the reader cuts the torn entry off by its checksum.
                drop(file.set_len(self.length));
            }
        }
    }

    /// A whole file: what is unfinished and nothing else.
    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        encode(&Entry::<ReadTargets>::Header(self.header.clone()), &mut bytes);
        bytes.extend(self.games.values().flatten());
        bytes
    }
}

/// Makes a file that this process has locked and that is on the disk.
fn create_locked(path: &Path, bytes: &[u8]) -> Result<File, JournalError> {
    let failed = |what| move |source| io_error(what, path, source);
    let mut file = open_in_place(path, Open::Append).map_err(failed("create file"))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::Error(source) => io_error("lock", path, source),
        TryLockError::WouldBlock => io_error("lock", path, io::ErrorKind::WouldBlock.into()),
    })?;
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(bytes))
        .map_err(failed("write file"))
        .and_then(|()| file.sync_all().map_err(failed("synchronise")));
    if let Err(error) = written {
        drop(fs::remove_file(path));
        return Err(error);
    }
    Ok(file)
}

/// Whether `path` names the file that is open.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

pub(super) fn io_error(what: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::Io { what, path: path.to_owned(), source }
}
