//! Keys of those who connect, each in a file that only its owner may read.
//!
//! A file holds the *seed*, the secret; a server's configuration has the *public key* alone. Seeds stand on no command line, in no
//! log and in no error.

use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nkeys::{KeyPair, KeyPairType};
use serde::Deserialize;
use thiserror::Error;

/// Longest file read; a seed has 58 letters.
const MOST_BYTES: u64 = 4096;

/// What a user's seed begins with.
const USER_SEED: &str = "SU";

/// A key that proves who connects.
#[derive(Clone)]
pub struct Key {
    seed: String,
    public: PublicKey,
}

/// What a server knows of a key. 56 letters, the first a `U`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct PublicKey(String);

/// A key cannot be made or used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Its file cannot be read or written.
    #[error("{what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a file already.
    #[error(
        "make key {path}: there is a file of this name, and a key is never overwritten; remove it first, or name another"
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "use key {path}: others than its owner may read it (mode {mode:03o}); run `chmod 600 {path}`, and make a new key if others use this machine"
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error("use key {path}: it holds no seed of a user's key, which is one line that begins with {USER_SEED}")]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// A text is no public key.
    #[error("use {0:?} as a public key: one has 56 letters and begins with U")]
    Public(String),
    /// The system has no random numbers, or the like.
    #[error("make a key: {0}")]
    Make(String),
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// When none can be made.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::new_user();
        let seed = pair.seed().map_err(|error| KeyError::Make(error.to_string()))?;
        Ok(Self { seed, public: PublicKey(pair.public_key()) })
    }

    /// A new key in a new file, on the disk when this returns.
    ///
    /// # Errors
    /// When there is a file of this name, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        let key = Self::generate()?;
        let failed = |what| move |source| KeyError::Io { what, path: path.to_owned(), source };
        // Whole, before it has its name: a process that is killed leaves no half of a key.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let tmp = path.with_file_name(name);
        let options = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&tmp);
        let mut file = options.map_err(failed("create"))?;
        file.write_all(format!("{}\n", key.seed).as_bytes()).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        let linked = fs::hard_link(&tmp, path);
        fs::remove_file(&tmp).map_err(failed("remove the first name of"))?;
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(KeyError::Exists { path: path.to_owned() });
            }
            linked => linked.map_err(failed("create"))?,
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("synchronise the directory of"))?;
        Ok(key)
    }

    /// The key in a file.
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it holds none.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { what: "read", path: path.to_owned(), source };
        // It may be a link: secrets are often handed over so.
        let file = fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let other = || KeyError::Other { path: path.to_owned() };
        let mut text = String::new();
        match file.take(MOST_BYTES).read_to_string(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(other()),
            read => drop(read.map_err(failed)?),
        }
        Self::from_seed(text.trim()).ok_or_else(other)
    }

    /// The key of a user's seed.
    pub(crate) fn from_seed(seed: &str) -> Option<Self> {
        let pair = KeyPair::from_seed(seed).ok()?;
        let is_users = seed.starts_with(USER_SEED) && pair.key_pair_type() == KeyPairType::User;
        is_users.then(|| Self { seed: seed.to_owned(), public: PublicKey(pair.public_key()) })
    }

    /// What a server is told.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn seed(&self) -> String {
        self.seed.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match KeyPair::from_public_key(text) {
            Ok(pair) if pair.key_pair_type() == KeyPairType::User => Ok(Self(text.to_owned())),
            // What is shown of it stays short.
            _ => Err(KeyError::Public(text.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_comes_back_from_its_file_which_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w1.nk");
        let made = Key::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = Key::read(&path).unwrap();
        assert_eq!((read.public(), read.seed()), (made.public(), made.seed()));
        assert_eq!(made.public().to_string().parse::<PublicKey>().unwrap(), *made.public());
        assert!(!format!("{made:?}").contains(&made.seed()));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w1.nk");
        let made = Key::create(&path).unwrap();
        assert!(Key::create(&path).unwrap_err().to_string().contains("never overwritten"));
        assert_eq!(Key::read(&path).unwrap().public(), made.public());
    }

    #[test]
    fn what_others_can_read_or_is_no_key_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w1.nk");
        let made = Key::create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refusal = Key::read(&path).unwrap_err().to_string();
        assert!(refusal.contains("mode 640") && refusal.contains("chmod 600"), "{refusal}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let account = KeyPair::new_account().seed().unwrap();
        for text in ["", "SUxyz", &account, &made.public().to_string(), &made.seed()[1..], "\u{fffd}"] {
            fs::write(&path, text).unwrap();
            let refusal = Key::read(&path).unwrap_err().to_string();
            assert!(refusal.contains("no seed of a user's key") && (text.is_empty() || !refusal.contains(text)));
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Key::read(&path), Err(KeyError::Other { .. })));
        assert!(matches!(Key::read(&dir.path().join("none")), Err(KeyError::Io { .. })));
        assert!("UABC".parse::<PublicKey>().is_err() && made.seed().parse::<PublicKey>().is_err());
    }
}
