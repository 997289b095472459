//! A file system in memory that fails on purpose.
//!
//! Every call takes *steps* (a write: made, half of it there, all of it there, synchronised). At a step that is chosen beforehand the
//! process dies: this call and all later ones fail and do nothing. [`FakeDisk::restart`] then gives the next process what is left:
//!
//! - after a kill, all that was done;
//! - after a power cut, what was synchronised, and of the rest what the dice leave: bytes torn or whole, and of the changes of names
//!   either those before some moment (as file systems that keep a log do) or any (as others may), but each rename whole or not at all.
//!
//! It can also run full, and fail a call by dice whether or not it takes effect.
//!
//! The trainer reads and removes files through [`FakeDisk::take`]: as it keeps what it took in the same file system, with its own
//! synchronisation, what it has seen is durable from then on.

mod dice;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

pub(crate) use self::dice::Dice;
use super::Disk;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Killed,
    PowerCut,
}

type FileId = usize;

#[derive(Clone, Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// A change of names that a power cut may undo.
#[derive(Clone, Debug)]
enum Change {
    Made(PathBuf, FileId),
    Removed(PathBuf),
    Moved(PathBuf, PathBuf, FileId),
}

impl Change {
    fn paths(&self) -> Vec<&PathBuf> {
        match self {
            Self::Made(path, _) | Self::Removed(path) => vec![path],
            Self::Moved(from, to, _) => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, FileId>) {
        match self {
            Self::Made(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Removed(path) => drop(names.remove(path)),
            Self::Moved(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

#[derive(Debug)]
struct State {
    dirs: BTreeSet<PathBuf>,
    files: Vec<Bytes>,
    names: BTreeMap<PathBuf, FileId>,
    durable: BTreeMap<PathBuf, FileId>,
    pending: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    /// Counts processes: locks of dead ones count no more.
    life: u64,
    steps: u64,
    dies_at: Option<u64>,
    dead: bool,
    /// Most bytes of all files.
    room: Option<u64>,
    /// Once in so many calls that change something fails.
    fails: u64,
    dice: Dice,
}

/// See the module. Clones are the same file system.
#[derive(Clone, Debug)]
pub(crate) struct FakeDisk(Rc<RefCell<State>>);

/// A lock in memory.
#[derive(Debug)]
pub(crate) struct FakeLock {
    disk: FakeDisk,
    path: PathBuf,
    life: u64,
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        let mut state = self.disk.0.borrow_mut();
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

impl FakeDisk {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(State {
            dirs: BTreeSet::new(),
            files: Vec::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            locks: BTreeSet::new(),
            life: 0,
            steps: 0,
            dies_at: None,
            dead: false,
            room: None,
            fails: 0,
            dice: Dice::new(seed),
        })))
    }

    /// A disk with a directory.
    pub(crate) fn with_dir(seed: u64, dir: &str) -> Self {
        let disk = Self::new(seed);
        disk.0.borrow_mut().dirs.insert(dir.into());
        disk
    }

    /// The process dies at the so-many-th step from here on, from 0.
    pub(crate) fn die_at(&self, step: u64) {
        let mut state = self.0.borrow_mut();
        state.dies_at = Some(state.steps + step);
    }

    /// The process is not to die after all.
    pub(crate) fn spare(&self) {
        self.0.borrow_mut().dies_at = None;
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.0.borrow().used()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// Steps taken so far.
    pub(crate) fn steps(&self) -> u64 {
        self.0.borrow().steps
    }

    pub(crate) fn set_room(&self, room: Option<u64>) {
        self.0.borrow_mut().room = room;
    }

    /// Once in so many calls that change something fails, by dice; 0: never.
    pub(crate) fn set_fails(&self, once_in: u64) {
        self.0.borrow_mut().fails = once_in;
    }

    /// The next process begins. All values of the one before must be gone, or not be used again.
    pub(crate) fn restart(&self, end: End) {
        let mut state = self.0.borrow_mut();
        state.life += 1;
        state.locks.clear();
        (state.dead, state.dies_at) = (false, None);
        if end == End::PowerCut {
            state.cut_power();
        }
    }

    /// Bytes of a file as they are.
    pub(crate) fn peek(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        state.names.get(path.as_ref()).map(|&file| state.files[file].now.clone())
    }

    /// Replaces a file's bytes, as a failing disk does.
    pub(crate) fn damage(&self, path: impl AsRef<Path>, bytes: Vec<u8>) {
        let mut state = self.0.borrow_mut();
        let file = state.names[path.as_ref()];
        state.files[file] = Bytes { now: bytes.clone(), synced: bytes };
    }

    /// Another program removes a file for good.
    pub(crate) fn erase(&self, path: impl AsRef<Path>) {
        let mut state = self.0.borrow_mut();
        state.settle(|_| true);
        state.names.remove(path.as_ref());
        state.durable.remove(path.as_ref());
    }

    /// Names of a directory's files.
    pub(crate) fn names(&self, dir: impl AsRef<Path>) -> Vec<String> {
        self.0.borrow().in_dir(dir.as_ref()).map(|(name, _)| name).collect()
    }

    /// What the trainer does: takes all archives of a directory with their YAML files.
    ///
    /// # Panics
    /// When the YAML file of one is missing: the trainer dies of that.
    pub(crate) fn take(&self, dir: impl AsRef<Path>) -> Vec<(String, Vec<u8>, Vec<u8>)> {
        let dir = dir.as_ref();
        let archives: Vec<_> = self.names(dir).into_iter().filter(|name| name.ends_with(".npz")).collect();
        if archives.is_empty() {
            return Vec::new();
        }
        // What it takes it keeps for good, and what it read is durable with that.
        self.0.borrow_mut().settle(|_| true);
        let take = |name: String| {
            let stem = name.trim_end_matches(".npz").to_owned();
            let (yaml, npz) = (dir.join(format!("{stem}.yaml")), dir.join(&name));
            let files = (self.peek(&yaml).expect("the trainer needs the YAML file"), self.peek(&npz).expect("listed"));
            let mut state = self.0.borrow_mut();
            for path in [npz, yaml] {
                state.names.remove(&path);
                state.durable.remove(&path);
            }
            (stem, files.0, files.1)
        };
        archives.into_iter().map(take).collect()
    }

    /// A copy of all that is durable, as a backup has it.
    pub(crate) fn backup(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut state = self.0.borrow_mut();
        state.settle(|_| true);
        state.names.iter().map(|(path, &file)| (path.clone(), state.files[file].now.clone())).collect()
    }

    /// Everything is as it was in the backup.
    pub(crate) fn restore(&self, backup: &BTreeMap<PathBuf, Vec<u8>>) {
        let mut state = self.0.borrow_mut();
        state.pending.clear();
        state.names.clear();
        for (path, bytes) in backup {
            let file = state.files.len();
            state.files.push(Bytes { now: bytes.clone(), synced: bytes.clone() });
            state.names.insert(path.clone(), file);
        }
        state.durable = state.names.clone();
    }

    /// One step; whether the call that takes it fails instead.
    fn step(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        if state.dies_at == Some(state.steps) {
            state.dead = true;
            return Err(io::Error::other("the process died"));
        }
        state.steps += 1;
        Ok(())
    }

    /// A call that changes something fails, by dice: before it takes effect, or after.
    fn failing(&self) -> Option<bool> {
        let mut state = self.0.borrow_mut();
        let fails = state.fails;
        state.dice.once_in(fails).then(|| state.dice.once_in(2))
    }

    /// Takes a step that changes names.
    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        self.step()?;
        match self.failing() {
            Some(false) => Err(io::Error::other("it failed on purpose")),
            Some(true) => {
                change(&mut self.0.borrow_mut())?;
                Err(io::Error::other("it failed on purpose, having taken effect"))
            }
            None => change(&mut self.0.borrow_mut()),
        }
    }
}

impl State {
    fn in_dir<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (String, u64)> + 'a {
        let here = self.names.iter().filter(move |(path, _)| path.parent() == Some(dir));
        here.map(|(path, &file)| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), self.files[file].now.len() as u64)
        })
    }

    fn note(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }

    /// Makes changes durable: those wanted, and those before them that concern the same names.
    fn settle(&mut self, wanted: impl Fn(&Change) -> bool) {
        let mut needed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut keep = vec![false; self.pending.len()];
        for (place, change) in self.pending.iter().enumerate().rev() {
            if wanted(change) || change.paths().iter().any(|path| needed.contains(*path)) {
                keep[place] = true;
                needed.extend(change.paths().into_iter().cloned());
            }
        }
        let mut keep = keep.into_iter();
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if keep.next() == Some(true) {
                change.apply(&mut self.durable);
            } else {
                self.pending.push(change);
            }
        }
    }

    fn cut_power(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if self.dice.once_in(2) {
            let survive = self.dice.below(pending.len() as u64 + 1) as usize;
            pending.iter().take(survive).for_each(|change| change.apply(&mut self.durable));
        } else {
            let mut lost: BTreeSet<&PathBuf> = BTreeSet::new();
            for change in &pending {
                let paths = change.paths();
                if paths.iter().any(|path| lost.contains(*path)) || self.dice.once_in(2) {
                    lost.extend(paths);
                } else {
                    change.apply(&mut self.durable);
                }
            }
        }
        self.names = self.durable.clone();
        for file in &mut self.files {
            if file.now != file.synced {
                // What was synchronised is appended to, never changed.
                let (kept, more) = file.now.split_at(file.synced.len());
                let more = match self.dice.below(4) {
                    0 => Vec::new(),
                    1 => more.to_vec(),
                    2 => vec![0; more.len()],
                    _ => more[..self.dice.below(more.len() as u64 + 1) as usize].to_vec(),
                };
                file.now = [kept, &more].concat();
                file.synced = file.now.clone();
            }
        }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].now.len() as u64).sum()
    }

    /// Lets a file have these bytes, or as many as there is room for.
    fn fill(&mut self, file: FileId, bytes: &[u8]) -> io::Result<()> {
        let others = self.used().saturating_sub(self.files[file].now.len() as u64);
        let fits = self.room.map_or(usize::MAX, |room| room.saturating_sub(others) as usize);
        self.files[file].now = bytes[..bytes.len().min(fits)].to_vec();
        if bytes.len() > fits { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn file_to_write(&mut self, path: &Path) -> io::Result<FileId> {
        if !path.parent().is_some_and(|dir| self.dirs.contains(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(&file) = self.names.get(path) {
            return Ok(file);
        }
        let file = self.files.len();
        self.files.push(Bytes::default());
        self.note(Change::Made(path.to_owned(), file));
        Ok(file)
    }
}

impl Disk for FakeDisk {
    type Lock = FakeLock;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        if !dir.parent().is_none_or(|parent| parent == Path::new("") || state.dirs.contains(parent)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        self.step()?;
        let state = self.0.borrow();
        if state.dirs.contains(dir) { Ok(state.in_dir(dir).collect()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.step()?;
        Ok(self.0.borrow().names.contains_key(path))
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        self.step()?;
        let bytes = self.peek(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(|state| {
            let file = state.file_to_write(path)?;
            // What it held may be gone from here on.
            state.files[file] = Bytes::default();
            Ok(())
        })?;
        for share in [bytes.len() / 2, bytes.len()] {
            self.step()?;
            let mut state = self.0.borrow_mut();
            let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
            state.fill(file, &bytes[..share])?;
        }
        self.change(|state| {
            let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
            state.files[file].synced = state.files[file].now.clone();
            Ok(())
        })
    }

    fn append(&self, path: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let file = *self.0.borrow().names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let mut all = self.0.borrow().files[file].now.clone();
        if (all.len() as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        all.truncate(length as usize);
        self.0.borrow_mut().files[file].synced.truncate(length as usize);
        all.extend_from_slice(bytes);
        for share in [bytes.len() / 2, bytes.len()] {
            self.step()?;
            self.0.borrow_mut().fill(file, &all[..length as usize + share])?;
        }
        self.change(|state| {
            state.files[file].synced = state.files[file].now.clone();
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            let file = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            state.note(Change::Moved(from.to_owned(), to.to_owned(), file));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            if state.names.contains_key(path) {
                state.note(Change::Removed(path.to_owned()));
            }
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(|state| {
            state.settle(|change| change.paths().iter().any(|path| path.parent() == Some(dir)));
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<FakeLock>> {
        self.step()?;
        let mut state = self.0.borrow_mut();
        state.file_to_write(path)?;
        let life = state.life;
        let taken = !state.locks.insert(path.to_owned());
        Ok((!taken).then(|| FakeLock { disk: self.clone(), path: path.to_owned(), life }))
    }
}
