//! The trainer's `latest.yaml`, as a file.

use std::{fs, io, io::Read as _, path::Path};

use selfplay_engine::latest::{Latest, MOST_BYTES};

use super::feed::Candidate;

/// What the file at `path` says; `None` while it is not there.
///
/// # Errors
/// When it cannot be read or understood, with a sentence that names it.
pub(super) fn read(path: &Path) -> Result<Option<Candidate>, String> {
    let failed = |reason: String| format!("{} cannot be read: {reason}", path.display());
    match bytes(path) {
        Ok(bytes) => {
            let Latest { path, version, sha256 } = Latest::read(&bytes).map_err(failed)?;
            Ok(Some(Candidate { path, version, sha256 }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// At most one byte more than is allowed.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_is_not_there_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latest.yaml");
        assert_eq!(read(&path), Ok(None));
        assert!(read(dir.path()).unwrap_err().contains("no regular file"));
        fs::write(&path, "filename: [").unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.starts_with(&format!("{} cannot be read: ", path.display())), "{error}");
        // Larger than memory, were it read whole.
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(read(&path).unwrap_err().contains("too large"));
    }
}
