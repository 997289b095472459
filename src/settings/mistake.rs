//! What can be wrong with the settings, and how it is said: everything at once, each with its place.

use std::error::Error;
use std::fmt;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A file that could not be used at all. Holds its place and what is wrong with it.
    File {
        /// Flag and path.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that is not allowed.
    Value {
        /// Our key.
        key: String,
        /// The value as written.
        value: String,
        /// Where it came from.
        source: String,
        /// What is allowed, with the reason where it is not plain.
        allowed: String,
    },
    /// An unknown key.
    Unknown {
        /// The key as written.
        key: String,
        /// Where it stands.
        source: String,
        /// What was likely meant.
        nearest: Option<String>,
    },
    /// A value that is needed and not given.
    Missing {
        /// Our key.
        key: String,
        /// How to give it, and why it is needed.
        remedy: String,
    },
}

impl Mistake {
    /// Our key that this is about, if it is one.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Value { key, .. } | Self::Missing { key, .. } => Some(key),
            Self::File { .. } | Self::Unknown { .. } => None,
        }
    }
}

/// Most characters of a text of the user's that a message repeats.
const MOST_CHARACTERS: usize = 200;

/// Most mistakes that are told one by one.
const MOST_MISTAKES: usize = 50;

/// A line of the user's, fit for a terminal: without control characters, and cut where it is long.
pub(super) fn shortened(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == MOST_CHARACTERS {
            shown.push('…');
            break;
        }
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { place, reason } => write!(f, "{place}: {reason}"),
            Self::Value { key, value, source, allowed } => {
                write!(f, "{} = {} ({source}): must be {allowed}", shortened(key), shortened(value))
            }
            Self::Unknown { key, source, nearest: Some(nearest) } => {
                write!(f, "{} ({source}): unknown key, did you mean {nearest}?", shortened(key))
            }
            Self::Unknown { key, source, nearest: None } => {
                write!(f, "{} ({source}): unknown key; `selfplayd config` lists all keys", shortened(key))
            }
            Self::Missing { key, remedy } => write!(f, "{key} is missing: {remedy}"),
        }
    }
}

/// All that is wrong, never empty when used as an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "1 mistake in the settings:\n  {one}"),
            all => {
                write!(f, "{} mistakes in the settings:", all.len())?;
                all.iter().take(MOST_MISTAKES).try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
                let more = all.len().saturating_sub(MOST_MISTAKES);
                if more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
            }
        }
    }
}

impl Error for Mistakes {}
