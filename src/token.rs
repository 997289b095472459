//! The bearer token: what a caller who is not on this machine shows to steer the daemon.

use std::{
    fmt, fs,
    io::Read as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Fewer characters could be guessed.
const LEAST: usize = 16;
/// What one header can carry with room for others.
const MOST: usize = 1024;

/// A token from a file. Nothing that prints it shows it.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Reads the file at `path`: one line of visible ASCII characters, for the eyes of its owner and group only.
    ///
    /// # Errors
    /// What is wrong with the file, to follow its name and a colon.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let failed = |error| format!("cannot be read: {error}");
        // Opening a pipe would wait for its writer.
        let opened = fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path).map_err(failed)?;
        let metadata = opened.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err("is not a regular file".to_owned());
        }
        if metadata.permissions().mode() & 0o007 != 0 {
            return Err(format!(
                "can be read or changed by everybody on this machine: chmod 600 {} and make a new token",
                path.display()
            ));
        }
        let mut text = String::new();
        opened.take(MOST as u64 + 2).read_to_string(&mut text).map_err(failed)?;
        let token = text.trim();
        match token.len() {
            0 => Err("is empty: it must hold a token, such as the output of `openssl rand -hex 32`".to_owned()),
            1..LEAST => {
                Err(format!("holds a token that is too short to be secret: it must have at least {LEAST} characters"))
            }
            LEAST..=MOST if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Self(token.to_owned())),
            LEAST..=MOST => Err("must hold one line of visible ASCII characters without spaces".to_owned()),
            _ => Err(format!("holds a token that is too long: at most {MOST} characters")),
        }
    }

    /// Whether `shown` is this token, in a time that tells nothing of it.
    pub(crate) fn is(&self, shown: &str) -> bool {
        // Digests have one length: comparing texts would tell that of the token.
        Sha256::digest(&self.0).as_slice().ct_eq(Sha256::digest(shown).as_slice()).into()
    }

    /// The value of the header that shows it.
    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

/// `O_NONBLOCK`, which regular files ignore.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn read(content: &[u8], mode: u32) -> Result<Token, String> {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Token::read(&path)
    }

    #[test]
    fn a_token_is_known_by_its_text_alone() {
        let token = read(b"0123456789abcdef\n", 0o640).unwrap();
        assert!(token.is("0123456789abcdef"));
        for other in ["", "0123456789abcde", "0123456789abcdeg", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!token.is(other), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token(…)");
    }

    #[test]
    fn files_that_hold_no_secret_are_refused() {
        for (content, mode, because) in [
            (&b"0123456789abcdef"[..], 0o644, "everybody on this machine"),
            (b"0123456789abcdef", 0o602, "everybody on this machine"),
            (b" \n", 0o600, "is empty"),
            (b"0123456789abcde\n", 0o600, "too short"),
            (b"0123456789abcdef 0123", 0o600, "visible ASCII"),
            (b"0123456789abcdef\r\n0123", 0o600, "visible ASCII"),
            (&[b'x'; 2000], 0o600, "too long"),
            (b"\xff0123456789abcdef", 0o600, "cannot be read"),
        ] {
            let error = read(content, mode).unwrap_err();
            assert!(error.contains(because), "{error}");
        }
        assert!(Token::read(Path::new("/nowhere/token")).unwrap_err().starts_with("cannot be read: No such file"));
        assert_eq!(Token::read(Path::new("/")).unwrap_err(), "is not a regular file");
    }
}
