//! Puts finished games where the trainer looks for them, never half-written (contract, section 5).
//!
//! The trainer takes every `*.npz` in the directory and dies when the YAML file beside it is missing or the archive is torn.
//! So both files are written and synchronised under `tmp/`, and renamed into place one after the other, the archive last.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::stem::Stem;

/// Why a directory cannot hold games, or a game was not stored.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A directory cannot be created.
    #[error("create directory {path}")]
    CreateDirectory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory cannot be listed.
    #[error("list directory {path}")]
    List {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be created.
    #[error("create file {path}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written to: most often the disk is full.
    #[error("write file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be brought to the disk.
    #[error("synchronise {path} with the disk")]
    Sync {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file cannot be moved to its place.
    #[error("rename {from} to {to}")]
    Rename {
        /// Where it is.
        from: PathBuf,
        /// Where it belongs.
        to: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A leftover cannot be removed.
    #[error("remove {path}")]
    Remove {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A game of that name is there already.
    #[error("store a game as {path}: there is one already")]
    Exists {
        /// The archive that exists.
        path: PathBuf,
    },
    /// The game is stored and the trainer can see it, but a power cut may still lose it. It must not be written again.
    #[error("make {npz} durable")]
    NotDurable {
        /// The archive.
        npz: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// What the system said.
    #[must_use]
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::CreateDirectory { source, .. }
            | Self::List { source, .. }
            | Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::Sync { source, .. }
            | Self::Rename { source, .. }
            | Self::Remove { source, .. }
            | Self::NotDurable { source, .. } => source.kind(),
            Self::Exists { .. } => io::ErrorKind::AlreadyExists,
        }
    }

    /// Whether room on the disk would help: the same game can be written again later.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = matches!(self.io_kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        full && !matches!(self, Self::NotDurable { .. })
    }
}

/// A game that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where the archive is, until the trainer takes it away. The YAML file lies beside it.
    pub npz: PathBuf,
    /// Size of both files.
    pub bytes: u64,
}

/// The directory where the trainer looks for games. One store, and one thread, per process and directory.
#[derive(Debug)]
pub struct ReplayStore {
    dir: PathBuf,
    tmp: PathBuf,
}

impl ReplayStore {
    /// Opens `dir` for games of process `pid`: creates it and `dir/tmp` as needed, checks that files can be written to `tmp`
    /// and renamed into `dir`, and removes what an earlier process of the same id left in `tmp`.
    ///
    /// # Errors
    /// When a directory cannot be created, written to or listed, or `tmp` lies on another file system than `dir`.
    pub fn open(dir: impl Into<PathBuf>, pid: u32) -> Result<Self, StoreError> {
        let dir = dir.into();
        let tmp = dir.join("tmp");
        fs::create_dir_all(&tmp).map_err(|source| StoreError::CreateDirectory { path: tmp.clone(), source })?;
        let store = Self { dir, tmp };
        store.remove_leftovers(pid)?;
        store.probe(pid)?;
        Ok(store)
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
        let name = |ending: &str| format!("{stem}.{ending}");
        let target = self.dir.join(name("npz"));
        if matches!(target.try_exists(), Ok(true)) {
            return Err(StoreError::Exists { path: target });
        }
        let yaml_file = TempFile::write(self.tmp.join(name("yaml")), yaml)?;
        let npz_file = TempFile::write(self.tmp.join(name("npz")), npz)?;
        yaml_file.rename(self.dir.join(name("yaml")))?;
        // From here on an error leaves the YAML file where it is: without an archive the trainer never looks at it, whereas an
        // archive without it, should the system report a rename as failed that took place, would end the trainer.
        sync_directory(&self.dir).map_err(|source| StoreError::Sync { path: self.dir.clone(), source })?;
        npz_file.rename(target.clone())?;
        sync_directory(&self.dir).map_err(|source| StoreError::NotDurable { npz: target.clone(), source })?;
        Ok(Written { npz: target, bytes: (yaml.len() + npz.len()) as u64 })
    }

    /// Moves a small file through `tmp` into the directory and removes it.
    fn probe(&self, pid: u32) -> Result<(), StoreError> {
        let name = format!(".probe_{pid}");
        let target = self.dir.join(&name);
        TempFile::write(self.tmp.join(&name), b"selfplayd\n")?.rename(target.clone())?;
        fs::remove_file(&target).map_err(|source| StoreError::Remove { path: target, source })
    }

    /// Removes the files in `tmp` whose name says that process `pid` wrote them.
    fn remove_leftovers(&self, pid: u32) -> Result<(), StoreError> {
        let failed = |source| StoreError::List { path: self.tmp.clone(), source };
        for entry in fs::read_dir(&self.tmp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_str().is_some_and(|name| is_ours(name, pid)) {
                continue;
            }
            match fs::remove_file(entry.path()) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::Remove { path: entry.path(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether process `pid` writes files of this name to `tmp`.
fn is_ours(name: &str, pid: u32) -> bool {
    name == format!(".probe_{pid}")
        || name
            .strip_suffix(".npz")
            .or_else(|| name.strip_suffix(".yaml"))
            .is_some_and(|stem| stem.starts_with("game_") && stem.ends_with(&format!("_{pid}")))
}

/// Brings the directory's entries to the disk.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A complete and synchronised file that is removed when it is dropped before it was renamed.
struct TempFile {
    path: PathBuf,
    renamed: bool,
}

impl TempFile {
    /// Creates the file, which must not exist, and fills it.
    fn write(path: PathBuf, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(source) => return Err(StoreError::Create { path, source }),
        };
        let temp = Self { path, renamed: false };
        file.write_all(bytes).map_err(|source| StoreError::Write { path: temp.path.clone(), source })?;
        file.sync_all().map_err(|source| StoreError::Sync { path: temp.path.clone(), source })?;
        Ok(temp)
    }

    /// Moves the file to its place, over what is there.
    fn rename(mut self, to: PathBuf) -> Result<(), StoreError> {
        match fs::rename(&self.path, &to) {
            Ok(()) => {
                self.renamed = true;
                Ok(())
            }
            Err(source) => Err(StoreError::Rename { from: self.path.clone(), to, source }),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that led here is the one to report.
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::{super::stem::StemClock, *};

    const PID: u32 = 77;

    fn opened() -> (TempDir, ReplayStore) {
        let root = TempDir::new().unwrap();
        let store = ReplayStore::open(root.path().join("deep/ready"), PID).unwrap();
        (root, store)
    }

    fn stem() -> Stem {
        StemClock::new(PID).next(1_000, 5)
    }

    /// Names of all files and directories under `dir`, sorted.
    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_game_is_two_files_and_nothing_is_left_over() {
        let (_root, store) = opened();
        assert_eq!(names(store.dir()), ["tmp"]);
        let written = store.write(&stem(), b"yaml", b"arrays").unwrap();
        let npz = store.dir().join("game_0000000001000_0005_77.npz");
        assert_eq!(written, Written { npz: npz.clone(), bytes: 10 });
        assert_eq!(fs::read(&npz).unwrap(), b"arrays");
        assert_eq!(fs::read(npz.with_extension("yaml")).unwrap(), b"yaml");
        assert_eq!(names(store.dir()).len(), 3);
        assert!(names(&store.dir().join("tmp")).is_empty());
    }

    #[test]
    fn a_game_is_never_overwritten() {
        let (_root, store) = opened();
        store.write(&stem(), b"yaml", b"first").unwrap();
        let error = store.write(&stem(), b"yaml", b"second").unwrap_err();
        assert!(matches!(&error, StoreError::Exists { path } if fs::read(path).unwrap() == b"first"));
        assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn opening_removes_what_this_process_id_left_and_nothing_else() {
        let (_root, store) = opened();
        let tmp = store.dir().join("tmp");
        let others = ["game_1_0001_177.npz", "game_1_0001_7.yaml", "model_77.npz", "game_1_0001_77.txt"];
        for name in ["game_1_0001_77.npz", "game_1_0001_77.yaml", ".probe_77"].iter().chain(&others) {
            fs::write(tmp.join(name), b"torn").unwrap();
        }
        ReplayStore::open(store.dir(), PID).unwrap();
        let mut expected = others.to_vec();
        expected.sort_unstable();
        assert_eq!(names(&tmp), expected);
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_error() {
        let root = TempDir::new().unwrap();
        let file = root.path().join("ready");
        fs::write(&file, b"").unwrap();
        let error = ReplayStore::open(&file, PID).unwrap_err();
        assert!(matches!(error, StoreError::CreateDirectory { .. }));
        assert_eq!(error.to_string(), format!("create directory {}", file.join("tmp").display()));
    }

    #[test]
    fn a_file_in_the_place_of_tmp_is_an_error() {
        let root = TempDir::new().unwrap();
        fs::write(root.path().join("tmp"), b"").unwrap();
        let error = ReplayStore::open(root.path(), PID).unwrap_err();
        assert!(matches!(error, StoreError::CreateDirectory { .. }));
        assert_eq!(error.io_kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn directories_that_do_not_take_files_are_found_at_once() {
        let (_root, store) = opened();
        // A directory stands where the probe goes: first in `tmp`, where it counts as a leftover, then at its goal.
        let obstacle = store.dir().join("tmp/.probe_77");
        fs::create_dir(&obstacle).unwrap();
        assert!(
            matches!(ReplayStore::open(store.dir(), PID), Err(StoreError::Remove { path, .. }) if path == obstacle)
        );
        fs::remove_dir(&obstacle).unwrap();
        fs::create_dir(store.dir().join(".probe_77")).unwrap();
        assert!(matches!(ReplayStore::open(store.dir(), PID), Err(StoreError::Rename { .. })));
        assert!(names(&store.dir().join("tmp")).is_empty());
    }

    #[test]
    fn a_directory_that_went_away_is_an_error() {
        let (_root, store) = opened();
        fs::remove_dir_all(store.dir()).unwrap();
        let error = store.write(&stem(), b"yaml", b"arrays").unwrap_err();
        assert!(matches!(&error, StoreError::Create { path, .. } if path.ends_with("game_0000000001000_0005_77.yaml")));
        assert_eq!(error.io_kind(), io::ErrorKind::NotFound);
        assert!(!error.is_disk_full());
    }

    #[test]
    fn a_failure_at_any_step_leaves_no_archive_and_no_temporary_file() {
        // A directory, not empty, in the place of each file in turn makes its creation or its rename fail.
        for obstacle in ["tmp/{}.yaml", "tmp/{}.npz", "{}.yaml"] {
            let (_root, store) = opened();
            let blocked = store.dir().join(obstacle.replace("{}", stem().as_str()));
            fs::create_dir_all(blocked.join("full")).unwrap();
            store.write(&stem(), b"yaml", b"arrays").unwrap_err();
            fs::remove_dir_all(&blocked).unwrap();
            assert_eq!(names(store.dir()), ["tmp"], "{obstacle}");
            assert!(names(&store.dir().join("tmp")).is_empty(), "{obstacle}");
            store.write(&stem(), b"yaml", b"arrays").unwrap();
        }
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(StoreError::Write { path: PathBuf::new(), source: full() }.is_disk_full());
        assert!(StoreError::Sync { path: PathBuf::new(), source: full() }.is_disk_full());
        // The game is visible: writing it again would give it to the trainer twice.
        assert!(!StoreError::NotDurable { npz: PathBuf::new(), source: full() }.is_disk_full());
        assert!(!StoreError::Exists { path: PathBuf::new() }.is_disk_full());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_s_word_for_a_full_disk_is_understood() {
        let mut file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let source = file.write_all(b"arrays").unwrap_err();
        assert!(StoreError::Write { path: PathBuf::new(), source }.is_disk_full());
    }
}
