//! From a path to a model in memory, with all checks that need no ONNX Runtime.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    model::{Checksum, ModelFile, WeightFile},
    proto::{External, external_tensors},
    refusal::ModelError,
    report::{ModelReport, Step, StepOutcome, passed},
};

/// Which files may be models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Directories that they must lie in, links followed; empty: any. Looked up for each model, so that they may be made later.
    pub allowed_roots: Vec<PathBuf>,
    /// Most bytes of a model, its external data included.
    pub max_bytes: u64,
}

impl Default for FileLimits {
    /// From anywhere, as large as the format can hold (2 GiB).
    fn default() -> Self {
        Self { allowed_roots: Vec::new(), max_bytes: 2 << 30 }
    }
}

/// See [`ModelFile::check`].
pub(super) fn read(
    path: &Path,
    sha256: Option<&str>,
    limits: &FileLimits,
    report: &mut ModelReport,
) -> Result<ModelFile, ModelError> {
    let candidate = Candidate { path, limits };
    let real = report.step(Step::Origin, || candidate.origin())?;
    let (file, length) = report.step(Step::Size, || candidate.size(&real))?;
    let bytes = report.step(Step::Sha256, || candidate.contents(file, length, sha256))?;
    report.sha256 = Some(Checksum::of(&bytes).to_string());
    report.bytes = Some(length);
    let externals = report.step(Step::Format, || candidate.format(&bytes))?;
    let weights = report.step(Step::ExternalData, || candidate.weights(&real, length, &externals))?;
    report.bytes = Some(length + weights.iter().map(|file| file.bytes.len() as u64).sum::<u64>());
    Ok(ModelFile::with_weights(path.to_owned(), bytes, weights))
}

/// Files that the model at `path` keeps weights in, as its graph names them, there or not. Those where none may be are left out:
/// to read the model is to hear of them.
pub(super) fn weight_files(path: &Path, limits: &FileLimits) -> Result<Vec<PathBuf>, ModelError> {
    let candidate = Candidate { path, limits };
    let (real, _) = candidate.origin()?;
    let ((file, length), _) = candidate.size(&real)?;
    let (bytes, _) = candidate.contents(file, length, None)?;
    let (externals, _) = candidate.format(&bytes)?;
    let locations: BTreeSet<_> = externals.iter().map(|external| external.location.as_str()).collect();
    let folder = real.parent().unwrap_or(&real);
    Ok(locations.into_iter().filter(|location| lies_beside(location)).map(|location| folder.join(location)).collect())
}

struct Candidate<'a> {
    path: &'a Path,
    limits: &'a FileLimits,
}

impl Candidate<'_> {
    fn unreadable(&self) -> impl Fn(io::Error) -> ModelError {
        let path = self.path.to_owned();
        move |source| ModelError::Unreadable { path: path.clone(), source }
    }

    fn external(&self, reason: String) -> ModelError {
        ModelError::ExternalData { path: self.path.to_owned(), reason }
    }

    fn incomplete(&self, reason: String) -> ModelError {
        ModelError::WeightsIncomplete { path: self.path.to_owned(), reason }
    }

    /// Where the file really is.
    fn origin(&self) -> Result<(PathBuf, StepOutcome), ModelError> {
        let real = self.path.canonicalize().map_err(self.unreadable())?;
        let roots = &self.limits.allowed_roots;
        // A root that is not there holds no model.
        let root = roots.iter().find(|root| root.canonicalize().is_ok_and(|root| real.starts_with(root)));
        if root.is_none() && !roots.is_empty() {
            return Err(ModelError::Origin { path: self.path.to_owned(), real });
        }
        let metadata = fs::metadata(&real).map_err(self.unreadable())?;
        if metadata.is_dir() {
            return Err(self.unreadable()(io::ErrorKind::IsADirectory.into()));
        }
        if !metadata.is_file() {
            return Err(self.unreadable()(io::Error::other("it is no regular file")));
        }
        let detail = root.map_or_else(|| "any directory is allowed".to_owned(), |root| root.display().to_string());
        Ok((real, passed(detail)))
    }

    fn size(&self, real: &Path) -> Result<((File, u64), StepOutcome), ModelError> {
        let file = open(real).map_err(self.unreadable())?;
        let length = file.metadata().map_err(self.unreadable())?.len();
        self.refuse_above_limit(length)?;
        if length == 0 {
            return Err(ModelError::NotOnnx { path: self.path.to_owned(), reason: "the file is empty".to_owned() });
        }
        Ok(((file, length), passed(format!("{length} bytes"))))
    }

    fn refuse_above_limit(&self, bytes: u64) -> Result<(), ModelError> {
        let limit = self.limits.max_bytes;
        if bytes <= limit {
            return Ok(());
        }
        Err(ModelError::TooLarge { path: self.path.to_owned(), bytes, limit })
    }

    fn contents(&self, file: File, length: u64, sha256: Option<&str>) -> Result<(Arc<[u8]>, StepOutcome), ModelError> {
        let bytes = read_exactly(file, length).map_err(self.unreadable())?;
        let Some(expected) = sha256 else {
            return Ok((bytes, StepOutcome::Skipped("no checksum was announced".to_owned())));
        };
        let found = Checksum::of(&bytes).to_string();
        if found.eq_ignore_ascii_case(expected) {
            return Ok((bytes, passed("as announced")));
        }
        Err(ModelError::Checksum { path: self.path.to_owned(), expected: expected.to_owned(), found })
    }

    fn format(&self, bytes: &[u8]) -> Result<(Vec<External>, StepOutcome), ModelError> {
        match external_tensors(bytes) {
            Ok(externals) => Ok((externals, passed("ONNX"))),
            Err(reason) => Err(ModelError::NotOnnx { path: self.path.to_owned(), reason }),
        }
    }

    /// Reads every file that `externals` name, each once.
    fn weights(
        &self,
        real: &Path,
        length: u64,
        externals: &[External],
    ) -> Result<(Vec<WeightFile>, StepOutcome), ModelError> {
        let mut lengths: BTreeMap<&str, (PathBuf, u64)> = BTreeMap::new();
        for external in externals {
            if !external.plain {
                let tensor = &external.tensor;
                let reason = format!(
                    "tensor `{tensor}` of an inner graph is in another file; only weights of the main graph may be"
                );
                return Err(self.external(reason));
            }
            let located = match lengths.get(external.location.as_str()) {
                Some((_, length)) => *length,
                None => {
                    let (path, length) = self.locate(real, &external.location)?;
                    lengths.insert(&external.location, (path, length));
                    length
                }
            };
            let end = external.offset.saturating_add(external.length.unwrap_or(0));
            self.refuse_above_limit(end)?;
            if end > located {
                let (tensor, location) = (&external.tensor, &external.location);
                let reason = format!("tensor `{tensor}` ends at byte {end} of `{location}`, which has {located}");
                return Err(self.incomplete(reason));
            }
        }
        let all = lengths.values().fold(length, |sum, (_, length)| sum.saturating_add(*length));
        self.refuse_above_limit(all)?;
        let read = |(location, (path, length)): (&str, (PathBuf, u64))| {
            let bytes = open(&path).and_then(|file| read_exactly(file, length));
            let bytes = bytes.map_err(|error| self.incomplete(format!("`{location}`: {error}")))?;
            Ok(WeightFile { location: location.to_owned(), bytes })
        };
        let files = lengths.into_iter().map(read).collect::<Result<Vec<_>, ModelError>>()?;
        // Some programs allocate a file before they fill it.
        if !files.is_empty() && files.iter().all(|file| file.bytes.iter().all(|&byte| byte == 0)) {
            return Err(ModelError::WeightsUnfilled { path: self.path.to_owned() });
        }
        let outcome = match files.len() {
            0 => StepOutcome::Skipped("all weights are in the file".to_owned()),
            _ => passed(files.iter().map(|file| file.location.as_str()).collect::<Vec<_>>().join(", ")),
        };
        Ok((files, outcome))
    }

    /// A file of weights and its length. It must lie in the model's own directory or below, links followed.
    fn locate(&self, real: &Path, location: &str) -> Result<(PathBuf, u64), ModelError> {
        let refuse = |reason: &str| self.external(format!("`{location}`: {reason}"));
        if !lies_beside(location) {
            return Err(refuse("it does not lie in the model's own directory"));
        }
        let folder = real.parent().ok_or_else(|| refuse("the model has no directory"))?;
        let found = folder.join(location).canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.incomplete(format!("`{location}`: {error}")),
            _ => refuse(&error.to_string()),
        })?;
        if !found.starts_with(folder) {
            return Err(refuse(&format!("it leads to {}, outside the model's own directory", found.display())));
        }
        let metadata = fs::metadata(&found).map_err(|error| refuse(&error.to_string()))?;
        if !metadata.is_file() {
            return Err(refuse("it is no regular file"));
        }
        Ok((found, metadata.len()))
    }
}

/// Whether a model may keep weights at this place, links aside: in its own directory or below.
fn lies_beside(location: &str) -> bool {
    let plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    !location.is_empty() && Path::new(location).components().all(plain)
}

/// Opens a regular file; should it have become a pipe since it was looked at, this does not wait for a writer.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    fs::OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// All of a file that had `length` bytes when it was looked at.
fn read_exactly(file: File, length: u64) -> io::Result<Arc<[u8]>> {
    let mut bytes = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
    file.take(length + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::other("it changed while it was read"));
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests;
