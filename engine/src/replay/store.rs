//! Puts finished games where the trainer looks for them, never half-written (contract, section 5).
//!
//! The trainer takes every `*.npz` in the directory and dies when the YAML file beside it is missing or the archive is torn.
//! So a game takes these steps, the ones that wait for the disk shared by a group of games:
//!
//! 1. [`ReplayStore::stage`]: `tmp/stem.yaml.part` and `tmp/stem.npz.part` are written and synchronised;
//! 2. [`ReplayStore::complete`]: both lose their `.part`, the archive last, and `tmp/` is synchronised;
//! 3. [`ReplayStore::publish`]: the YAML files are renamed into place, the directory is synchronised, the archives follow, and
//!    the directory is synchronised again.
//!
//! Whatever dies between two steps, [`crate::journal::open_session`] finishes or removes what it left.

mod error;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::StoreError;

use super::{
    lock::{DirectoryLock, LockError},
    scratch::{Open, open_directory, open_in_place},
    stem::{SessionId, Stem},
};

/// How long [`ReplayStore::open`] and [`ReplayStore::import_from`] wait for another process that looks after the directory.
pub(crate) const LOCK_WAIT: Duration = Duration::from_secs(30);

/// A game that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub stem: Stem,
    /// Where the archive is, until the trainer takes it away. The YAML file lies beside it.
    pub npz: PathBuf,
    /// Size of both files.
    pub bytes: u64,
}

/// A game whose files are in `tmp/`. They stay there when it is dropped, for the next start to find.
#[derive(Debug)]
pub struct Staged {
    stem: Stem,
    bytes: u64,
    step: Step,
}

/// How far a game has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Parts,
    Complete,
    YamlPlaced,
    NpzPlaced,
}

impl Staged {
    /// A game whose complete files lie in `tmp/`, or its archive there and its YAML file in place.
    pub(crate) const fn found(stem: Stem, bytes: u64, yaml_placed: bool) -> Self {
        Self { stem, bytes, step: if yaml_placed { Step::YamlPlaced } else { Step::Complete } }
    }

    /// Its name.
    #[must_use]
    pub const fn stem(&self) -> &Stem {
        &self.stem
    }

    /// Size of both files.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether [`ReplayStore::complete`] has succeeded: from here on no crash loses the game.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.step >= Step::Complete
    }
}

/// A game that could not be published, to be published again.
#[derive(Debug)]
pub struct Unpublished {
    /// The game.
    pub staged: Staged,
    /// Why not.
    pub error: StoreError,
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// What this user may still write.
    pub free: u64,
    /// Size of the whole.
    pub total: u64,
}

/// The directory where the trainer looks for games. Any number of processes may share it, each with a store of its own.
#[derive(Debug)]
pub struct ReplayStore {
    dir: PathBuf,
    tmp: PathBuf,
}

impl ReplayStore {
    /// Opens `dir` for games of `session`: creates it and `dir/tmp` as needed, and checks that files can be written to `tmp`
    /// and renamed into `dir`.
    ///
    /// # Errors
    /// When a directory cannot be created or written to, `tmp` lies on another file system than `dir`, or another process keeps
    /// the directory locked for half a minute.
    pub fn open(dir: impl Into<PathBuf>, session: SessionId) -> Result<Self, StoreError> {
        let store = Self::at(dir.into());
        fs::create_dir_all(&store.tmp)
            .map_err(|source| StoreError::CreateDirectory { path: store.tmp.clone(), source })?;
        store.probe(session)?;
        Ok(store)
    }

    /// The store in `dir`, whether it is there or not.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { tmp: dir.join("tmp"), dir }
    }

    /// The directory the trainer looks into.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Stores one game: its metadata and its arrays, as the bytes of the two files.
    ///
    /// When it returns, both files are in place and on the disk.
    ///
    /// # Errors
    /// When any step fails. Then nothing is left in `tmp`, no archive is visible, and the same call may be made again; but for
    /// [`StoreError::NotDurable`], when the game is visible, and [`StoreError::Exists`], when another game has its name.
    pub fn write(&self, stem: &Stem, yaml: &[u8], npz: &[u8]) -> Result<Written, StoreError> {
        let mut staged = [self.stage(stem, yaml, npz)?];
        let completed = self.complete(&mut staged);
        let published = completed.and_then(|()| {
            let published = self.publish(staged.into()).pop();
            // One game went in.
            published.expect("an answer per game").map_err(|unpublished| unpublished.error)
        });
        if !matches!(published, Ok(_) | Err(StoreError::NotDurable { .. })) {
            for ending in ["yaml.part", "npz.part", "yaml", "npz"] {
                // The error that led here is the one to report.
                drop(fs::remove_file(self.tmp_file(stem, ending)));
            }
        }
        published
    }

    /// Writes a game's files to `tmp` and brings them to the disk, where they do not count before [`ReplayStore::complete`].
    ///
    /// # Errors
    /// When a file cannot be written, and then none is left; or a game of that name is visible already.
    pub fn stage(&self, stem: &Stem, yaml: &[u8], npz: &[u8]) -> Result<Staged, StoreError> {
        self.check_is_new(stem)?;
        self.create_tmp()?;
        if !self.tmp_file(stem, "npz").exists() {
            // A YAML file without its part vouches for the archive's part: one of an earlier attempt must not.
            drop(fs::remove_file(self.tmp_file(stem, "yaml")));
        }
        let yaml_file = TempFile::write(self.tmp_file(stem, "yaml.part"), yaml)?;
        let npz_file = TempFile::write(self.tmp_file(stem, "npz.part"), npz)?;
        yaml_file.keep();
        npz_file.keep();
        Ok(Staged { stem: stem.clone(), bytes: (yaml.len() + npz.len()) as u64, step: Step::Parts })
    }

    /// Makes staged games count: from here on a crash does not lose them.
    ///
    /// # Errors
    /// The first one met; every game was tried, and the call may be made again.
    pub fn complete(&self, games: &mut [Staged]) -> Result<(), StoreError> {
        let mut failure = None;
        let mut renamed = Vec::new();
        for game in games.iter_mut().filter(|game| game.step == Step::Parts) {
            let files = ["yaml", "npz"].map(|ending| {
                (self.tmp_file(&game.stem, &format!("{ending}.part")), self.tmp_file(&game.stem, ending))
            });
            match files.into_iter().try_for_each(|(from, to)| rename_once(&from, &to)) {
                Ok(()) => renamed.push(game),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if !renamed.is_empty() {
            open_directory(&self.tmp)
                .and_then(|tmp| tmp.sync_all())
                .map_err(|source| StoreError::Sync { path: self.tmp.clone(), source })?;
        }
        for game in renamed {
            game.step = Step::Complete;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Shows complete games to the trainer, in their order, and brings that to the disk. One answer per game, in order.
    ///
    /// A game that failed can be given again. [`StoreError::NotDurable`] says that it is visible all the same: another call only
    /// synchronises. After an error of kind `NotFound` its files are gone, and it must be staged again.
    pub fn publish(&self, games: Vec<Staged>) -> Vec<Result<Written, Unpublished>> {
        let mut games: Vec<_> = games.into_iter().map(|game| (game, None)).collect();
        self.for_each(&mut games, |game| self.place_yaml(game));
        // From here on an error leaves the YAML file where it is: without an archive the trainer never looks at it, whereas an
        // archive without it, should the system report a rename as failed that took place, would end the trainer.
        if games.iter().any(|(game, failure)| failure.is_none() && game.step == Step::YamlPlaced) {
            let synced = sync_directory(&self.dir);
            self.for_each(&mut games, |game| match &synced {
                Err(source) if game.step == Step::YamlPlaced => {
                    Err(StoreError::Sync { path: self.dir.clone(), source: again(source) })
                }
                _ => Ok(()),
            });
        }
        self.for_each(&mut games, |game| self.place_npz(game));
        if games.iter().any(|(game, _)| game.step == Step::NpzPlaced) {
            let synced = sync_directory(&self.dir);
            self.for_each(&mut games, |game| match &synced {
                Err(source) => Err(StoreError::NotDurable { npz: self.npz(&game.stem), source: again(source) }),
                Ok(()) => Ok(()),
            });
        }
        let answer = |(staged, failure): (Staged, Option<StoreError>)| match failure {
            Some(error) => Err(Unpublished { staged, error }),
            None => Ok(Written { npz: self.npz(&staged.stem), stem: staged.stem, bytes: staged.bytes }),
        };
        games.into_iter().map(answer).collect()
    }

    /// Room on the file system of the directory.
    ///
    /// # Errors
    /// When the directory cannot be asked, for example because it is gone.
    pub fn free_space(&self) -> Result<FreeSpace, StoreError> {
        let stat = rustix::fs::statvfs(&self.dir)
            .map_err(|source| StoreError::FreeSpace { path: self.dir.clone(), source: source.into() })?;
        Ok(FreeSpace {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    /// Where the archive belongs.
    pub(crate) fn npz(&self, stem: &Stem) -> PathBuf {
        self.dir.join(format!("{stem}.npz"))
    }

    /// Where the YAML file belongs.
    pub(crate) fn yaml(&self, stem: &Stem) -> PathBuf {
        self.dir.join(format!("{stem}.yaml"))
    }

    /// The directory of unfinished files.
    pub(crate) fn tmp(&self) -> &Path {
        &self.tmp
    }

    pub(crate) fn tmp_file(&self, stem: &Stem, ending: &str) -> PathBuf {
        self.tmp.join(format!("{stem}.{ending}"))
    }

    /// Takes the lock under which processes look after what others left.
    pub(crate) fn lock(&self, wait: Duration) -> Result<DirectoryLock, LockError> {
        DirectoryLock::take(&self.tmp, wait)
    }

    /// Does one step for all games that have not failed yet.
    fn for_each(
        &self,
        games: &mut [(Staged, Option<StoreError>)],
        mut step: impl FnMut(&mut Staged) -> Result<(), StoreError>,
    ) {
        for (game, failure) in games.iter_mut().filter(|(_, failure)| failure.is_none()) {
            *failure = step(game).err();
        }
    }

    fn place_yaml(&self, game: &mut Staged) -> Result<(), StoreError> {
        if game.step == Step::Complete {
            self.check_is_new(&game.stem)?;
            rename_once(&self.tmp_file(&game.stem, "yaml"), &self.yaml(&game.stem))?;
            game.step = Step::YamlPlaced;
        }
        Ok(())
    }

    fn place_npz(&self, game: &mut Staged) -> Result<(), StoreError> {
        if game.step == Step::YamlPlaced {
            rename_once(&self.tmp_file(&game.stem, "npz"), &self.npz(&game.stem))?;
            game.step = Step::NpzPlaced;
        }
        Ok(())
    }

    fn check_is_new(&self, stem: &Stem) -> Result<(), StoreError> {
        let path = self.npz(stem);
        if matches!(path.try_exists(), Ok(true)) { Err(StoreError::Exists { path }) } else { Ok(()) }
    }

    /// Creates `tmp` when it was removed, but not the directory around it: that may be a disk that is not mounted.
    pub(crate) fn create_tmp(&self) -> Result<(), StoreError> {
        match fs::create_dir(&self.tmp) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::CreateDirectory { path: self.tmp.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Moves a small file through `tmp` into the directory and removes it.
    fn probe(&self, session: SessionId) -> Result<(), StoreError> {
        // Held so that no other process takes the file for a leftover. A file system without locks is no reason not to store games.
        let _lock = match self.lock(LOCK_WAIT) {
            Err(error @ LockError::Busy { .. }) => return Err(error.into()),
            other => other.ok(),
        };
        let name = format!(".probe_{session}");
        let (from, to) = (self.tmp.join(&name), self.dir.join(&name));
        let probe = TempFile::write(from.clone(), b"selfplayd\n")?;
        rename(&from, &to)?;
        probe.keep();
        fs::remove_file(&to).map_err(|source| StoreError::Remove { path: to, source })
    }
}

/// Brings the directory's entries to the disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a file, or empties the one that is there, fills it and brings it to the disk. Leaves none when that fails.
pub(crate) fn write_file(path: PathBuf, bytes: &[u8]) -> Result<(), StoreError> {
    TempFile::write(path, bytes).map(TempFile::keep)
}

/// The same error once more: one failure of the system may concern a group of games.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

/// Moves a file to its place, over what is there.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    fs::rename(from, to).map_err(|source| StoreError::Rename { from: from.to_owned(), to: to.to_owned(), source })
}

/// Moves a file to its place; good too when an earlier attempt, though reported as failed, did so.
pub(crate) fn rename_once(from: &Path, to: &Path) -> Result<(), StoreError> {
    match rename(from, to) {
        Err(error) if error.io_kind() == io::ErrorKind::NotFound && matches!(to.try_exists(), Ok(true)) => Ok(()),
        other => other,
    }
}

/// A complete and synchronised file that is removed when it is dropped before it was kept.
struct TempFile {
    path: PathBuf,
    kept: bool,
}

impl TempFile {
    /// Creates the file, or empties what an earlier attempt left, and fills it.
    fn write(path: PathBuf, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut file = match open_in_place(&path, Open::Empty) {
            Ok(file) => file,
            Err(source) => return Err(StoreError::Create { path, source }),
        };
        let temp = Self { path, kept: false };
        file.write_all(bytes).map_err(|source| StoreError::Write { path: temp.path.clone(), source })?;
        file.sync_all().map_err(|source| StoreError::Sync { path: temp.path.clone(), source })?;
        Ok(temp)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept {
            // The error that led here is the one to report.
            drop(fs::remove_file(&self.path));
        }
    }
}
