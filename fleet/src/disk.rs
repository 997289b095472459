//! The few calls to a file system that everything durable here is made of, so that tests can stop, fail and forget between any two.
//!
//! Directories hold plain files only, each written whole before it gets the name that counts, or appended to at a known place.

#[cfg(test)]
pub(crate) mod fake;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use selfplay_engine::replay::{Open, open_in_place};
use thiserror::Error;

/// A file or directory cannot be used.
#[derive(Debug, Error)]
#[error("{what} {path}")]
pub struct DiskError {
    /// What was tried, such as `write file`.
    pub what: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Says what was tried with which file or directory.
pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    move |source| DiskError { what, path: path.to_owned(), source }
}

/// A file system.
pub trait Disk: std::fmt::Debug {
    /// A lock on a file, given back when it is dropped, or when the process ends, however it ends.
    type Lock: std::fmt::Debug;

    /// Makes a directory and brings its name to the disk; fine when it is there. The one around it must be there.
    ///
    /// # Errors
    /// As the system has them.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Names and lengths of the files in a directory, sorted by name. Names that are not text are none of ours.
    ///
    /// # Errors
    /// As the system has them.
    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>>;

    /// Whether there is a file.
    ///
    /// # Errors
    /// As the system has them.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// A file's bytes.
    ///
    /// # Errors
    /// As the system has them; when it has more than `most` bytes, [`io::ErrorKind::FileTooLarge`].
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// Makes a file, or empties the one that is there, fills it and synchronises it: its contents, not its name.
    ///
    /// # Errors
    /// As the system has them. Then it may hold anything.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// [`Disk::write`] for each of these files, in any order, or all at once: the waits are shared.
    ///
    /// # Errors
    /// As the system has them, the first that is met. Then any of the files may hold anything, or not be there.
    fn write_many(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), DiskError> {
        files.iter().try_for_each(|(path, bytes)| self.write(path, bytes).map_err(failed("write file", path)))
    }

    /// Appends to a file that has `length` bytes, after cutting off what an append that failed may have left, and synchronises it.
    ///
    /// # Errors
    /// As the system has them. Then anything may stand behind `length`, and what was synchronised before may be lost.
    fn append(&self, path: &Path, length: u64, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name, in the place of what has that name.
    ///
    /// # Errors
    /// As the system has them. Then it may have taken place all the same.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; fine when it is not there.
    ///
    /// # Errors
    /// As the system has them. Then it may have taken place all the same.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Brings the names in a directory to the disk.
    ///
    /// # Errors
    /// As the system has them.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Locks a file, which is made as needed; nothing when another process has it locked.
    ///
    /// # Errors
    /// As the system has them.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
}

/// Files that are written at once: one alone waits for the disk most of its time, and what waits together is brought there together.
const AT_ONCE: usize = 8;

/// The system's own. Neither a file nor the directory that it is in may be a link, but where files are renamed to.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type Lock = File;

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::create_dir(dir) {
            // A process that was killed may have made it just now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let around = dir.parent().filter(|around| !around.as_os_str().is_empty());
        self.sync_dir(around.unwrap_or(Path::new(".")))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                found.push((name, metadata.len()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = open_in_place(path, Open::Read)?;
        // All of it at once: a buffer that grows is copied again and again. One byte more, as the end is found by reading on.
        let length = file.metadata()?.len().min(most) as usize;
        let mut bytes = Vec::with_capacity(length + 1);
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = open_in_place(path, Open::Empty)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn write_many(&self, files: &[(PathBuf, Vec<u8>)]) -> Result<(), DiskError> {
        let next = AtomicUsize::new(0);
        let write = || {
            while let Some((path, bytes)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                if let Err(error) = self.write(path, bytes) {
                    // The others end with what they have in hand.
                    next.store(files.len(), Ordering::Relaxed);
                    return Err(failed("write file", path)(error));
                }
            }
            Ok(())
        };
        thread::scope(|scope| {
            let helper = |number| thread::Builder::new().name(format!("disk-{number}")).spawn_scoped(scope, write);
            // Where the system has no thread to give, those that there are do it.
            let helpers: Vec<_> = (1..files.len().min(AT_ONCE)).filter_map(|number| helper(number).ok()).collect();
            let own = write();
            let joined = helpers.into_iter().map(|helper| helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.fold(own, |written, other| written.and(other))
        })
    }

    fn append(&self, path: &Path, length: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = open_in_place(path, Open::Keep)?;
        let found = file.metadata()?.len();
        if found < length {
            // It was replaced or cut by something else: what it held is gone.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it has {found} bytes, not {length}")));
        }
        if found > length {
            file.set_len(length)?;
        }
        file.seek(SeekFrom::Start(length))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = open_in_place(path, Open::Keep)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Disk as _, RealDisk};

    #[test]
    fn many_files_are_written_at_once_and_the_one_that_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = |number: usize| -> Vec<_> {
            (0..number).map(|number| (dir.path().join(number.to_string()), vec![number as u8; 1000 * number])).collect()
        };
        for number in [0, 1, 2, AT_ONCE, 5 * AT_ONCE + 1] {
            let files = files(number);
            RealDisk.write_many(&files).unwrap();
            for (path, bytes) in &files {
                assert_eq!(std::fs::read(path).unwrap(), *bytes);
            }
        }
        let mut files = files(3 * AT_ONCE);
        files[AT_ONCE + 1].0 = dir.path().join("none/file");
        let error = RealDisk.write_many(&files).unwrap_err();
        assert!(error.path.ends_with("none/file") && error.what == "write file", "{error:?}");
    }
}
