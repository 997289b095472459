//! The trainer's newest model, as its file names it.

use std::{
    io,
    path::{Path, PathBuf},
};

use selfplay_engine::latest::{Latest, MOST_BYTES};

use crate::{
    disk::Disk,
    models::{Hash, MOST_MODEL_BYTES, ModelFile},
};

/// Says why a model is not to be published.
pub type Check = fn(&Path, &[u8]) -> Result<(), String>;

/// Follows the file. A model is believed once two looks saw the same.
#[derive(Debug)]
pub(super) struct Source<D> {
    disk: D,
    path: PathBuf,
    check: Check,
    /// What the last look saw: the file's bytes, and the length of the model's.
    seen: Option<(Vec<u8>, Option<u64>)>,
    /// What was taken, or found to be no model, last.
    taken: Option<(Vec<u8>, Option<u64>)>,
    /// Why the last was not.
    refused: Option<String>,
}

impl<D: Disk> Source<D> {
    pub(super) const fn new(disk: D, path: PathBuf, check: Check) -> Self {
        Self { disk, path, check, seen: None, taken: None, refused: None }
    }

    /// What was taken is read again.
    pub(super) fn again(&mut self) {
        self.taken = None;
    }

    /// A model, if there is a new one.
    ///
    /// # Errors
    /// Why there is none, in words: the same at each look, until something changes.
    pub(super) fn look(&mut self) -> Result<Option<(ModelFile, PathBuf)>, String> {
        let failed = |what: &str, path: &Path, why: &dyn std::fmt::Display| format!("{what} {}: {why}", path.display());
        let text = match self.disk.read(&self.path, MOST_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(failed(
                    "read",
                    &self.path,
                    &"it is not there yet; the trainer writes it with its first model",
                ));
            }
            Err(error) => return Err(failed("read", &self.path, &error)),
        };
        let latest = Latest::read(&text).map_err(|reason| failed("read", &self.path, &reason));
        let length = match &latest {
            Ok(latest) => self.length(&latest.path).map_err(|error| failed("look for", &latest.path, &error))?,
            Err(_) => None,
        };
        let seen = (text, length);
        let is_still = self.seen.as_ref() == Some(&seen);
        self.seen = Some(seen.clone());
        if !is_still {
            return Ok(None);
        }
        if self.taken.as_ref() == Some(&seen) {
            return self.refused.clone().map_or(Ok(None), Err);
        }
        let latest = latest?;
        let path = latest.path;
        if length.is_none() {
            return Err(failed("read model", &path, &"it is not there"));
        }
        let bytes = self.disk.read(&path, MOST_MODEL_BYTES).map_err(|error| failed("read model", &path, &error))?;
        let sha256 = Hash::of(&bytes);
        let checked = match latest.sha256 {
            _ if bytes.is_empty() => Err("it is empty".to_owned()),
            Some(said) if said != sha256.to_string() => {
                Err(format!("it has SHA-256 {sha256}, and is said to have {said}"))
            }
            _ => (self.check)(&path, &bytes),
        };
        self.taken = Some(seen);
        self.refused = checked.err().map(|reason| failed("publish model", &path, &reason));
        match &self.refused {
            Some(reason) => Err(reason.clone()),
            None => Ok(Some((ModelFile { generation: latest.version, sha256, size: bytes.len() as u64 }, path))),
        }
    }

    /// Length of a file; nothing where there is none.
    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match self.disk.list(dir) {
            Ok(files) => Ok(files.into_iter().find(|(found, _)| found == name).map(|(_, length)| length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
