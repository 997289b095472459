//! Names of runs, workers and outboxes. They come from other machines and become parts of subjects and of file names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name of a run or worker.
const MOST_LETTERS: usize = 32;

/// The one word that no worker may have as its name: it stands for all of them.
const RESERVED: &str = "all";

/// Name of a run or of a worker: 1 to 32 of `a`–`z`, `0`–`9`, `_` and `-`; not `all`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A text is not a [`Name`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// It has other letters, none or too many.
    #[error(
        "use {0:?} as a name: it must have 1 to {MOST_LETTERS} letters, all of them a to z, 0 to 9, _ or -, because it becomes part of subjects and of file names"
    )]
    Letters(String),
    /// It is the word that stands for all workers.
    #[error("use {RESERVED:?} as a name: it stands for all workers; choose another")]
    Reserved,
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let fits = |letter: u8| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        match &*text {
            RESERVED => Err(NameError::Reserved),
            name if (1..=MOST_LETTERS).contains(&name.len()) && name.bytes().all(fits) => Ok(Self(text)),
            // What is shown of it stays short.
            name => Err(NameError::Letters(name.chars().take(2 * MOST_LETTERS).collect())),
        }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Which outbox a frame is from: 128 random bits, drawn once when the outbox was made. Unguessable, because another worker that
/// knew it could have frames of it taken for repeated ones. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin([u8; 16]);

impl Origin {
    /// The origin of these bits.
    #[must_use]
    pub const fn new(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// The first 64 bits, in the two halves that stand for a session in the names of files.
    #[must_use]
    pub const fn short(self) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for name in ["w1", "a", "-", "_", "run_7-b", &"x".repeat(32)] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
        for name in ["", "W1", "w.1", "w 1", "w/1", "..", "w*", "w>", "ä", "w\0", &"x".repeat(33)] {
            let refusal = name.parse::<Name>().unwrap_err().to_string();
            assert!(refusal.contains("it must have 1 to 32 letters"), "{refusal}");
        }
        assert_eq!("all".parse::<Name>(), Err(NameError::Reserved));
        assert!("\u{10ffff}".repeat(1 << 20).parse::<Name>().unwrap_err().to_string().len() < 1_000);
    }

    #[test]
    fn origins_are_hexadecimal() {
        let origin = Origin::new(std::array::from_fn(|index| (index as u8).wrapping_add(250)));
        assert_eq!(origin.to_string(), "fafbfcfdfeff00010203040506070809");
        assert_eq!(origin.short(), (0xfafb_fcfd, 0xfeff_0001));
    }
}
