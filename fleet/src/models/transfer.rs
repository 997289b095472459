//! A model's file to the broker and from it, in chunks: plain state, which a link serves.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    CHUNK_BYTES, Hash, ModelFile,
    chunks::{Chunks, WINDOW},
};
use crate::disk::{Disk, DiskError, failed};

/// Ending of files that are whole.
const WHOLE: &str = "onnx";

/// Ending of the one that is being fetched.
const PART: &str = "part";

/// Why a model was not fetched.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The cache cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// All chunks have come, and are those of another file.
    #[error("fetch model {wanted}: what came has SHA-256 {found}; it was damaged, or published wrongly")]
    Contents {
        /// What the pointer says.
        wanted: Hash,
        /// What came.
        found: Hash,
    },
}

/// The path in the cache `dir` of a model that was fetched whole.
///
/// # Errors
/// As the system has them.
pub fn cached<D: Disk>(disk: &D, dir: &Path, model: &ModelFile) -> Result<Option<PathBuf>, DiskError> {
    let path = path(dir, model.sha256, WHOLE);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let files = disk.list(dir).map_err(failed("list directory", dir))?;
    // Its contents were checked before it got this name, and whoever loads it checks them again.
    Ok(files.contains(&(name, model.size)).then_some(path))
}

/// Removes all models from a cache but these, and what was being fetched when a process ended. Files of other names are none of ours.
///
/// # Errors
/// As the system has them.
pub fn tidy<D: Disk>(disk: &D, dir: &Path, keep: &[Hash]) -> Result<(), DiskError> {
    for (name, _) in disk.list(dir).map_err(failed("list directory", dir))? {
        let Some((stem, ending)) = name.split_once('.') else { continue };
        let Ok(hash) = Hash::try_from(stem.to_owned()) else { continue };
        if ending == PART || ending == WHOLE && !keep.contains(&hash) {
            let path = dir.join(&name);
            disk.remove(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

fn path(dir: &Path, model: Hash, ending: &str) -> PathBuf {
    dir.join(format!("{model}.{ending}"))
}

/// A model on its way into a worker's cache.
#[derive(Debug)]
pub struct Download<D: Disk> {
    disk: D,
    dir: PathBuf,
    model: ModelFile,
    chunks: Chunks,
    hasher: Sha256,
    /// Chunks in the file.
    written: u64,
    /// Chunks that came before those in front of them.
    ahead: BTreeMap<u64, Vec<u8>>,
}

impl<D: Disk> Download<D> {
    /// Begins to fetch a model into `dir`, which must be there. One at a time per directory.
    #[must_use]
    pub fn new(disk: D, dir: &Path, model: ModelFile) -> Self {
        let chunks = Chunks::new(model.chunks());
        Self { disk, dir: dir.to_owned(), model, chunks, hasher: Sha256::new(), written: 0, ahead: BTreeMap::new() }
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    /// Chunks that have come, and how many there are.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.written + self.ahead.len() as u64, self.model.chunks())
    }

    /// The next chunk to ask for. `now`: time since the process began.
    pub fn next(&mut self, now: Duration) -> Option<u64> {
        // Those ahead are kept in memory: only a few may be.
        self.chunks.next(self.written + 2 * WINDOW as u64, now)
    }

    /// A chunk did not come.
    pub fn missed(&mut self, number: u64, now: Duration) {
        self.chunks.failed(number, now);
    }

    /// A chunk came. When it was the last one: the file, checked, whole and on the disk.
    ///
    /// # Errors
    /// When the disk fails, or the file is another than it should be. Then it is to be begun anew, after a while.
    pub fn came(&mut self, number: u64, bytes: Vec<u8>, now: Duration) -> Result<Option<PathBuf>, DownloadError> {
        let length = CHUNK_BYTES.min(self.model.size.saturating_sub(number.saturating_mul(CHUNK_BYTES)));
        if bytes.len() as u64 != length {
            self.chunks.failed(number, now);
            return Ok(None);
        }
        if !self.chunks.done(number) {
            return Ok(None);
        }
        self.ahead.insert(number, bytes);
        let part = path(&self.dir, self.model.sha256, PART);
        while let Some(bytes) = self.ahead.remove(&self.written) {
            let wrote = match self.written {
                // What a process before has left is no part of it.
                0 => self.disk.write(&part, &bytes),
                number => self.disk.append(&part, number * CHUNK_BYTES, &bytes),
            };
            wrote.map_err(failed("write file", &part))?;
            self.hasher.update(&bytes);
            self.written += 1;
        }
        if !self.chunks.is_done() { Ok(None) } else { self.finish(&part).map(Some) }
    }

    fn finish(&mut self, part: &Path) -> Result<PathBuf, DownloadError> {
        let (wanted, found) = (self.model.sha256, Hash(std::mem::take(&mut self.hasher).finalize().into()));
        if found != wanted {
            self.disk.remove(part).map_err(failed("remove", part))?;
            return Err(DownloadError::Contents { wanted, found });
        }
        let whole = path(&self.dir, wanted, WHOLE);
        self.disk.rename(part, &whole).map_err(failed("rename", part))?;
        self.disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))?;
        Ok(whole)
    }
}

/// A model on its way to the broker. The pointer to it is put when all of it is there.
#[derive(Debug)]
pub struct Upload {
    model: ModelFile,
    chunks: Chunks,
}

impl Upload {
    /// Begins to send a model.
    #[must_use]
    pub const fn new(model: ModelFile) -> Self {
        Self { model, chunks: Chunks::new(model.size.div_ceil(CHUNK_BYTES)) }
    }

    /// The model.
    #[must_use]
    pub const fn model(&self) -> &ModelFile {
        &self.model
    }

    /// The next chunk to send: its number, and which bytes of the file it is.
    pub fn next(&mut self, now: Duration) -> Option<(u64, std::ops::Range<u64>)> {
        let number = self.chunks.next(u64::MAX, now)?;
        let from = number * CHUNK_BYTES;
        Some((number, from..self.model.size.min(from + CHUNK_BYTES)))
    }

    /// A chunk is there.
    pub fn stored(&mut self, number: u64) {
        self.chunks.done(number);
    }

    /// A chunk is not there, as far as is known.
    pub fn failed(&mut self, number: u64, now: Duration) {
        self.chunks.failed(number, now);
    }

    /// Whether all are there.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.chunks.is_done()
    }
}

/// Reads a chunk of a model's file.
///
/// # Errors
/// As the system has them; when the file is shorter than it was said to be.
pub fn read_chunk(file: &std::fs::File, range: std::ops::Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, range.start)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{disk::fake::FakeDisk, frame::tests::noise};

    const NOW: Duration = Duration::from_secs(1);
    const CHUNK: usize = CHUNK_BYTES as usize;

    fn model(bytes: &[u8]) -> ModelFile {
        ModelFile { generation: 7, sha256: Hash::of(bytes), size: bytes.len() as u64 }
    }

    fn chunk(bytes: &[u8], number: u64) -> Vec<u8> {
        bytes.chunks(CHUNK).nth(number as usize).unwrap_or_default().to_vec()
    }

    fn asked(download: &mut Download<FakeDisk>) -> Vec<u64> {
        std::iter::from_fn(|| download.next(NOW)).collect()
    }

    #[test]
    fn chunks_come_in_any_order_and_become_the_file() {
        for length in [1, CHUNK, CHUNK + 1, 6 * CHUNK + 7] {
            let bytes = noise(length, 1);
            let (disk, dir) = (FakeDisk::with_dir(0, "cache"), Path::new("cache"));
            let mut download = Download::new(disk.clone(), dir, model(&bytes));
            let mut found = None;
            while found.is_none() {
                let numbers = asked(&mut download);
                assert!(!numbers.is_empty(), "it goes on");
                for number in numbers.into_iter().rev() {
                    assert!(cached(&disk, dir, &model(&bytes)).unwrap().is_none());
                    found = found.or(download.came(number, chunk(&bytes, number), NOW).unwrap());
                    assert!(download.came(number, chunk(&bytes, number), NOW).unwrap().is_none(), "it came twice");
                }
            }
            assert_eq!(disk.peek(found.as_ref().unwrap()).unwrap(), bytes);
            assert_eq!(cached(&disk, dir, &model(&bytes)).unwrap(), found);
            assert_eq!(disk.names("cache").len(), 1);
        }
    }

    #[test]
    fn only_a_few_chunks_wait_in_memory_for_one_that_does_not_come() {
        let bytes = noise(40 * CHUNK, 1);
        let mut download = Download::new(FakeDisk::with_dir(0, "cache"), Path::new("cache"), model(&bytes));
        let mut most = 0;
        for _ in 0..40 {
            for number in asked(&mut download).into_iter().filter(|number| *number > 0) {
                download.came(number, chunk(&bytes, number), NOW).unwrap();
            }
            most = most.max(download.ahead.len());
        }
        assert!((4..=2 * WINDOW).contains(&most), "{most}");
    }

    #[test]
    fn a_chunk_of_another_length_is_asked_for_again_and_another_file_is_refused() {
        let bytes = noise(2 * CHUNK, 1);
        let (disk, dir) = (FakeDisk::with_dir(0, "cache"), Path::new("cache"));
        let mut download = Download::new(disk.clone(), dir, model(&bytes));
        assert_eq!(asked(&mut download), [0, 1]);
        assert!(download.came(0, bytes[1..].to_vec(), NOW).unwrap().is_none());
        assert!(download.came(9, Vec::new(), NOW).unwrap().is_none(), "there is none of this number");
        assert_eq!(download.next(NOW + Duration::from_secs(1)), Some(0));
        download.came(0, chunk(&bytes, 1), NOW).unwrap();
        let error = download.came(1, chunk(&bytes, 0), NOW).unwrap_err().to_string();
        assert!(error.contains("it was damaged, or published wrongly"), "{error}");
        assert!(disk.names("cache").is_empty());
    }

    #[test]
    fn what_a_process_has_left_does_no_harm() {
        let bytes = noise(CHUNK + 9, 1);
        let (disk, dir) = (FakeDisk::with_dir(0, "cache"), Path::new("cache"));
        let mut download = Download::new(disk.clone(), dir, model(&bytes));
        asked(&mut download);
        download.came(0, chunk(&bytes, 0), NOW).unwrap();
        let mut download = Download::new(disk.clone(), dir, model(&bytes));
        asked(&mut download);
        download.came(0, chunk(&bytes, 0), NOW).unwrap();
        assert!(download.came(1, chunk(&bytes, 1), NOW).unwrap().is_some());
        disk.write(Path::new("cache/notes.txt"), b"mine").unwrap();
        tidy(&disk, dir, &[model(&bytes).sha256]).unwrap();
        assert_eq!(disk.names("cache").len(), 2);
        tidy(&disk, dir, &[]).unwrap();
        assert_eq!(disk.names("cache"), ["notes.txt"]);
    }

    #[test]
    fn a_model_is_sent_in_the_chunks_that_are_fetched() {
        let bytes = noise(2 * CHUNK + 5, 1);
        let mut upload = Upload::new(model(&bytes));
        let mut sent = Vec::new();
        while let Some((number, range)) = upload.next(NOW) {
            let range = range.start as usize..range.end as usize;
            assert_eq!(bytes[range.clone()], chunk(&bytes, number));
            sent.push(number);
        }
        assert!(!upload.is_done());
        sent.into_iter().for_each(|number| upload.stored(number));
        assert!(upload.is_done());
    }
}
