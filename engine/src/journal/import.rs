//! Games that a former process could not put in place and left in a spool directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{JournalError, file::io_error, recovery};
use crate::replay::{
    ReplayStore, Staged, Stem, StoreError, Written,
    store::{LOCK_WAIT, rename_once, sync_directory, write_file},
};

/// What came of a spool directory.
#[derive(Debug, Default)]
pub struct Imported {
    /// Games brought into the store.
    pub games: Vec<Written>,
    /// Games that were here already; they were removed from the spool.
    pub skipped: Vec<Stem>,
}

impl ReplayStore {
    /// Brings the complete games of dead sessions in `spool`, which is laid out like a store and may lie on another file system,
    /// into this one under the same names, each exactly once whatever crashes between. A spool that is not there is empty. To
    /// be called after [`super::open_session`], with the same spool.
    ///
    /// # Errors
    /// When a step fails: the games that came so far are in place, and the call may be made again for the others.
    pub fn import_from(&self, spool: &Path) -> Result<Imported, JournalError> {
        let path = match fs::canonicalize(spool) {
            Ok(path) => path,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Imported::default()),
            Err(source) => return Err(io_error("find directory", spool, source)),
        };
        if fs::canonicalize(self.dir()).is_ok_and(|own| own == path) {
            return Ok(Imported::default());
        }
        let import = Import::new(self, path)?;
        let _own_lock = self.lock(LOCK_WAIT)?;
        let _spool_lock = import.spool.lock(LOCK_WAIT)?;
        let Copied { games, skipped, failure } = import.copy()?;
        import.commit(&games)?;
        import.commit(&skipped)?;
        let games = import.place()?;
        failure.map_or(Ok(Imported { games, skipped }), |error| Err(error.into()))
    }
}

/// An import in steps. Copies get names of their own in `tmp`, which recovery leaves alone; that the archive leaves the spool is
/// what decides where the game belongs; then the copies are renamed into place.
pub(super) struct Import<'a> {
    store: &'a ReplayStore,
    pub(super) spool: ReplayStore,
    /// Ending of copies; tells spools apart.
    mark: String,
}

/// What the first step did.
pub(super) struct Copied {
    /// Games copied.
    pub(super) games: Vec<Stem>,
    /// Games that are here already.
    skipped: Vec<Stem>,
    /// What stopped it.
    failure: Option<StoreError>,
}

impl<'a> Import<'a> {
    /// `path`: the spool, canonical.
    pub(super) fn new(store: &'a ReplayStore, path: PathBuf) -> Result<Self, JournalError> {
        let mark = format!("import_{:08x}", crc32fast::hash(path.as_os_str().as_encoded_bytes()));
        let spool = ReplayStore::at(path);
        spool.create_tmp()?;
        Ok(Self { store, spool, mark })
    }

    /// Copies games into `tmp`, up to the first failure.
    pub(super) fn copy(&self) -> Result<Copied, JournalError> {
        let live = recovery::live_sessions(self.store.tmp())?;
        let mut stems = self.publish_in_spool(|stem| !live.contains(&stem.session()))?;
        stems.retain(|stem| self.spool.yaml(stem).exists());
        let mut copied = Copied { games: Vec::new(), skipped: Vec::new(), failure: None };
        for stem in stems {
            if self.store.npz(&stem).exists() || self.store.tmp_file(&stem, "npz").exists() {
                copied.skipped.push(stem);
                continue;
            }
            match self.copy_game(&stem) {
                Ok(()) => copied.games.push(stem),
                Err(error) => {
                    copied.failure = Some(error);
                    break;
                }
            }
        }
        sync(self.store.tmp())?;
        Ok(copied)
    }

    /// Removes games that are copied, or not needed, from the spool.
    pub(super) fn commit(&self, games: &[Stem]) -> Result<(), JournalError> {
        if games.is_empty() {
            return Ok(());
        }
        games.iter().try_for_each(|stem| remove(&self.spool.npz(stem)))?;
        sync(self.spool.dir())?;
        games.iter().try_for_each(|stem| remove(&self.spool.yaml(stem)))
    }

    /// Puts in place the copies whose game has left the spool, now or before a crash.
    pub(super) fn place(&self) -> Result<Vec<Written>, JournalError> {
        let ending = format!(".npz.{}", self.mark);
        let names = recovery::list(self.store.tmp())?;
        let stems = names.iter().filter_map(|name| name.strip_suffix(&ending)?.parse::<Stem>().ok());
        let stems: Vec<_> = stems.filter(|stem| !self.spool.npz(stem).exists()).collect();
        if stems.is_empty() {
            return Ok(Vec::new());
        }
        for stem in &stems {
            rename_once(&self.copy_of(stem, "yaml"), &self.store.yaml(stem))?;
        }
        sync(self.store.dir())?;
        let mut written = Vec::new();
        for stem in stems {
            let npz = self.store.npz(&stem);
            let copy = self.copy_of(&stem, "npz");
            let bytes = [&copy, &self.store.yaml(&stem)].map(|path| fs::metadata(path).map_or(0, |file| file.len()));
            rename_once(&copy, &npz)?;
            written.push(Written { stem, npz, bytes: bytes.iter().sum() });
        }
        sync(self.store.dir())?;
        Ok(written)
    }

    /// Puts games in place whose process died between completing and publishing them in the spool. Returns the names of all
    /// `wanted` games in the spool, in order.
    fn publish_in_spool(&self, wanted: impl Fn(&Stem) -> bool) -> Result<Vec<Stem>, JournalError> {
        let archives = |dir: &Path| -> Result<Vec<Stem>, JournalError> {
            let names = recovery::list(dir)?;
            let stems = names.iter().filter_map(|name| name.strip_suffix(".npz")?.parse::<Stem>().ok());
            Ok(stems.filter(|stem| wanted(stem)).collect())
        };
        let mut complete = Vec::new();
        for stem in archives(self.spool.tmp())? {
            let (unplaced, placed) = (self.spool.tmp_file(&stem, "yaml").exists(), self.spool.yaml(&stem).exists());
            if (unplaced || placed) && !self.spool.npz(&stem).exists() {
                complete.push(Staged::found(stem, 0, !unplaced));
            }
        }
        for answer in self.spool.publish(complete) {
            answer.map_err(|unpublished| unpublished.error)?;
        }
        archives(self.spool.dir())
    }

    fn copy_game(&self, stem: &Stem) -> Result<(), StoreError> {
        for ending in ["yaml", "npz"] {
            let path = self.spool.dir().join(format!("{stem}.{ending}"));
            let bytes = fs::read(&path).map_err(|source| StoreError::Read { path, source })?;
            // Another name at first, so that a copy is whole even if the spool is not there when it is looked at again.
            let part = self.store.tmp_file(stem, &format!("{ending}.{}.part", self.mark));
            write_file(part.clone(), &bytes)?;
            rename_once(&part, &self.copy_of(stem, ending))?;
        }
        Ok(())
    }

    fn copy_of(&self, stem: &Stem, ending: &str) -> PathBuf {
        self.store.tmp_file(stem, &format!("{ending}.{}", self.mark))
    }
}

fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path, source)),
        _ => Ok(()),
    }
}

fn sync(dir: &Path) -> Result<(), JournalError> {
    sync_directory(dir).map_err(|source| io_error("synchronise", dir, source))
}
