//! `NAME.worker`: all that a worker's machine must have to connect: the run, its name, its key, and whom it trusts.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use thiserror::Error;

use super::files::{self, MOST_BYTES, quoted};
use crate::{
    disk::DiskError,
    name::Name,
    nats::{
        Dial, DialError,
        keys::{Key, PublicKey},
    },
};

/// A worker's credentials.
#[derive(Debug)]
pub struct WorkerFile {
    path: PathBuf,
    run: Name,
    worker: Name,
    key: Key,
    authority: Option<String>,
}

/// A worker's file cannot be used.
#[derive(Debug, Error)]
pub enum WorkerFileError {
    /// It cannot be read.
    #[error("read the worker's file {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read it.
    #[error(
        "use the worker's file {path}: others than its owner may read it (mode {mode:03o}); run `chmod 600 {path}`, and make a new one if others use this machine"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is none.
    #[error("use the worker's file {path}: {reason}; such a file is written by `selfplayd fleet add-worker NAME`")]
    Other {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What stands in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    run: Name,
    worker: Name,
    seed: String,
    authority: Option<String>,
}

impl WorkerFile {
    /// A worker of a run. `authority`: certificates in PEM of those who sign the server's, where the worker's system does not know them.
    pub(super) fn new(path: PathBuf, run: Name, worker: Name, key: Key, authority: Option<String>) -> Self {
        Self { path, run, worker, key, authority }
    }

    /// The worker in a file.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it holds none.
    pub fn read(path: &Path) -> Result<Self, WorkerFileError> {
        let failed = |source| WorkerFileError::Io { path: path.to_owned(), source };
        let other = |reason: String| WorkerFileError::Other { path: path.to_owned(), reason };
        // It may be a link: secrets are often handed over so. But nothing that one would wait for.
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(other("it is no plain file".to_owned()));
        }
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(WorkerFileError::Open { path: path.to_owned(), mode });
        }
        let mut text = String::new();
        match file.take(MOST_BYTES + 1).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(other("it is no text".to_owned())),
            read => drop(read.map_err(failed)?),
        }
        if text.len() as u64 > MOST_BYTES {
            return Err(other(format!("it has more than {MOST_BYTES} bytes")));
        }
        if Key::from_seed(text.trim()).is_some() {
            return Err(other("it holds a key alone, and not whose it is".to_owned()));
        }
        let fields: Fields = toml::from_str(&text).map_err(|error| other(files::told(&text, &error)))?;
        let key = Key::from_seed(&fields.seed).ok_or_else(|| other("its seed is none of a user's key".to_owned()))?;
        Ok(Self { path: path.to_owned(), run: fields.run, worker: fields.worker, key, authority: fields.authority })
    }

    /// Writes it, or replaces it.
    pub(super) fn write(&self, urls: &str) -> Result<(), DiskError> {
        files::put(&self.path, &self.text(urls), files::SECRET)
    }

    fn text(&self, urls: &str) -> String {
        let Self { run, worker, key, authority, .. } = self;
        let mut text = format!(
            "# A worker of a fleet. It is a secret: who has it plays as this worker. Copy it to the worker's machine, for its owner\n\
             # alone to read (chmod 600), and start there:\n\
             #   selfplayd --fleet {urls} --credentials {worker}.worker\n\
             run = {}\nworker = {}\nseed = {}\n",
            quoted(run.as_str()),
            quoted(worker.as_str()),
            quoted(&key.seed()),
        );
        if let Some(authority) = authority {
            // On lines of its own: see `dial`.
            text += &format!("# Who signs the server's certificate.\nauthority = '''\n{}\n'''\n", authority.trim());
        }
        text
    }

    /// The run that the worker plays for.
    #[must_use]
    pub const fn run(&self) -> &Name {
        &self.run
    }

    /// Its name.
    #[must_use]
    pub const fn worker(&self) -> &Name {
        &self.worker
    }

    /// What the server knows of it.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        self.key.public()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    pub(super) fn with_authority(self, authority: Option<String>) -> Self {
        Self { authority, ..self }
    }

    /// Connects to these servers as this worker. The file must stay where it is: whom to trust is read from it at each connection.
    ///
    /// # Errors
    /// When an address is none, or cannot be used.
    pub fn dial(&self, urls: &[String]) -> Result<Dial, DialError> {
        // Who reads certificates passes over all lines but theirs: the file itself can be named.
        let authority = self.authority.is_some().then(|| self.path.clone());
        Dial::new(urls, authority, &self.worker, self.key.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn written(dir: &Path, authority: Option<&str>) -> (PathBuf, WorkerFile) {
        let path = dir.join("w1.worker");
        let name = |name: &str| name.parse().unwrap();
        let key = Key::generate().unwrap();
        let file = WorkerFile::new(path.clone(), name("r1"), name("w1"), key, authority.map(str::to_owned));
        file.write("tls://host:4222").unwrap();
        (path, file)
    }

    #[test]
    fn a_worker_comes_back_from_its_file_which_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        for authority in [None, Some(AUTHORITY)] {
            let (path, made) = written(dir.path(), authority);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            let read = WorkerFile::read(&path).unwrap();
            assert_eq!((read.run(), read.worker(), read.public()), (made.run(), made.worker(), made.public()));
            assert_eq!(read.authority().map(str::trim), authority.map(str::trim));
            assert!(!format!("{read:?}").contains(&made.key.seed()));
            read.dial(&["tls://host:4222".to_owned()]).unwrap();
        }
    }

    #[test]
    fn what_others_can_read_or_is_none_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (path, made) = written(dir.path(), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let refusal = WorkerFile::read(&path).unwrap_err().to_string();
        assert!(refusal.contains("mode 644") && refusal.contains("chmod 600"), "{refusal}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let seed = made.key.seed();
        for (text, reason) in [
            (String::new(), "missing field"),
            (seed.clone(), "it holds a key alone"),
            (format!("seed = \"{seed}"), "line 1"),
            (format!("run = \"r1\"\nworker = \"w1\"\nseed = \"x{seed}\""), "its seed is none"),
            (format!("run = \"r1\"\nworker = \"W 1\"\nseed = \"{seed}\""), "line 2: use \"W 1\" as a name"),
            ("x".repeat(MOST_BYTES as usize + 1), "more than"),
        ] {
            fs::write(&path, &text).unwrap();
            let refusal = WorkerFile::read(&path).unwrap_err().to_string();
            assert!(refusal.contains(reason) && refusal.contains("fleet add-worker"), "{refusal}");
            assert!(!refusal.contains(&seed), "{refusal}");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(WorkerFile::read(&path).unwrap_err().to_string().contains("it is no text"));
        assert!(WorkerFile::read(dir.path()).unwrap_err().to_string().contains("no plain file"));
        assert!(matches!(WorkerFile::read(&dir.path().join("none")), Err(WorkerFileError::Io { .. })));
    }
}
