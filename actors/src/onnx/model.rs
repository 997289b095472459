//! A model file in memory.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::{
    read::{FileLimits, read, weight_files},
    refusal::ModelError,
    report::ModelReport,
};

/// The SHA-256 of something; written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A file of weights that a model names.
#[derive(Clone, Debug)]
pub(super) struct WeightFile {
    /// As the model writes it.
    pub(super) location: String,
    /// Its contents.
    pub(super) bytes: Arc<[u8]>,
}

/// A model file and the weights it keeps in other files, read once: every session is built from the same bytes, whatever
/// happens to the files meanwhile. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Arc<[u8]>,
    weights: Arc<[WeightFile]>,
    checksum: Checksum,
    content: Checksum,
}

impl ModelFile {
    /// Reads the file at `path` and what it keeps beside it, wherever it is and as large as the format allows.
    ///
    /// # Errors
    /// When it cannot be read or is no ONNX model.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        Self::check(path, None, &FileLimits::default(), &mut ModelReport::new(path))
    }

    /// Checks the file at `path`, and reads it and what it keeps beside it: the steps from
    /// [`Step::Origin`](super::Step::Origin) to [`Step::ExternalData`](super::Step::ExternalData).
    ///
    /// # Errors
    /// At the first step that refuses it.
    pub fn check(
        path: &Path,
        sha256: Option<&str>,
        limits: &FileLimits,
        report: &mut ModelReport,
    ) -> Result<Self, ModelError> {
        read(path, sha256, limits, report)
    }

    /// Files that the model at `path` keeps weights in, there or not.
    ///
    /// # Errors
    /// When the file at `path` cannot be read or is no ONNX model.
    pub fn weight_files(path: &Path, limits: &FileLimits) -> Result<Vec<PathBuf>, ModelError> {
        weight_files(path, limits)
    }

    /// Whether it keeps weights in other files: alone, its file is no model.
    #[must_use]
    pub fn has_weight_files(&self) -> bool {
        !self.weights.is_empty()
    }

    /// A model whose bytes are here already and that keeps nothing elsewhere. `path` names it in errors.
    ///
    /// # Errors
    /// When there are no bytes.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ModelError> {
        let (path, bytes) = (path.into(), bytes.into());
        if bytes.is_empty() {
            return Err(ModelError::NotOnnx { path, reason: "the file is empty".to_owned() });
        }
        Ok(Self::with_weights(path, bytes, Vec::new()))
    }

    /// What stands for a model where evaluators need no file: known by its path alone.
    #[must_use]
    pub fn named(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = Checksum::of(path.as_os_str().as_encoded_bytes());
        Self { path, bytes: Arc::default(), weights: Arc::default(), checksum: name, content: name }
    }

    pub(super) fn with_weights(path: PathBuf, bytes: Arc<[u8]>, weights: Vec<WeightFile>) -> Self {
        let checksum = Checksum::of(&bytes);
        let content = if weights.is_empty() {
            checksum
        } else {
            let parts = weights.iter().map(|file| format!("{} {}", Checksum::of(&file.bytes), file.location));
            Checksum::of(parts.fold(checksum.to_string(), |all, part| all + "\n" + &part).as_bytes())
        };
        Self { path, bytes, weights: weights.into(), checksum, content }
    }

    /// Writes it and what it keeps beside it into `folder`, which is made, under this name.
    ///
    /// # Errors
    /// When that fails; the folder may then hold a part of it.
    pub fn save(&self, folder: &Path, name: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        for WeightFile { location, bytes } in self.weights.iter() {
            // It lies in the model's own directory or below: else it would not have been read.
            let path = folder.join(location);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, bytes)?;
        }
        fs::write(folder.join(name), &self.bytes)
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's contents; empty for a model that is only [named](ModelFile::named).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checksum of the file alone, as a trainer can give it.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// What tells this model from any other: the checksum of the file and of everything it keeps in other files.
    #[must_use]
    pub const fn content(&self) -> Checksum {
        self.content
    }

    /// The file's contents, shared.
    pub(super) fn shared_bytes(&self) -> Arc<[u8]> {
        self.bytes.clone()
    }

    pub(super) const fn weights(&self) -> &Arc<[WeightFile]> {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_an_empty_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let missing = crate::error_text::with_sources(&ModelFile::read(&path).unwrap_err());
        assert!(missing.starts_with(&format!("read model {}: No such file", path.display())), "{missing}");
        std::fs::write(&path, "").unwrap();
        let empty = ModelFile::read(&path).unwrap_err().to_string();
        let expected = format!("load model {}: not a complete ONNX model: the file is empty", path.display());
        assert_eq!(empty, expected);
    }

    #[test]
    fn models_are_told_apart_by_all_they_consist_of() {
        let model = |bytes: &[u8], weights: &[(&str, &[u8])]| {
            let file =
                |&(location, bytes): &(&str, &[u8])| WeightFile { location: location.to_owned(), bytes: bytes.into() };
            ModelFile::with_weights("m.onnx".into(), bytes.into(), weights.iter().map(file).collect())
        };
        let plain = model(b"abc", &[]);
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((plain.checksum().to_string(), plain.content()), (sha.to_owned(), plain.checksum()));
        let with = model(b"abc", &[("w", b"1")]);
        assert_eq!(with.checksum(), plain.checksum());
        let others = [&plain, &model(b"abc", &[("w", b"2")]), &model(b"abc", &[("v", b"1")])];
        assert!(others.into_iter().all(|other| other.content() != with.content()));
        assert_eq!(model(b"abc", &[("w", b"1")]).content(), with.content());
    }
}
