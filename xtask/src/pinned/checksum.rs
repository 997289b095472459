//! SHA-256 of files.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

/// Fails unless the file at `path` has the SHA-256 `expected` (lowercase hexadecimal).
pub(crate) fn verify(path: &Path, expected: &str) -> anyhow::Result<()> {
    let got = of(path)?;
    if got != expected {
        bail!("{} has the wrong SHA-256\n  expected {expected}\n  got      {got}", path.display());
    }
    Ok(())
}

fn of(path: &Path) -> anyhow::Result<String> {
    use std::fmt::Write;

    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hasher = Sha256Writer(Sha256::new());
    std::io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hex = String::with_capacity(64);
    for byte in hasher.0.finalize() {
        write!(hex, "{byte:02x}").context("cannot format a checksum")?;
    }
    Ok(hex)
}

/// Lets `io::copy` feed the hash: the files are too large to be read at once.
struct Sha256Writer(Sha256);

impl std::io::Write for Sha256Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{of, verify};

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn agrees_with_the_standards_examples() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("file");
        std::fs::write(&path, "").unwrap();
        assert_eq!(of(&path).unwrap(), EMPTY);
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(of(&path).unwrap(), ABC);
    }

    #[test]
    fn a_wrong_checksum_says_what_was_expected_and_what_came() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        verify(&path, ABC).unwrap();
        let error = verify(&path, EMPTY).expect_err("the file is not empty").to_string();
        assert!(error.contains(&format!("expected {EMPTY}")) && error.contains(&format!("got      {ABC}")), "{error}");
        assert!(verify(&dir.path().join("absent"), ABC).is_err());
    }
}
