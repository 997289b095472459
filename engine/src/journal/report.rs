//! What a start made of what earlier sessions left.

use std::fmt;

use crate::replay::{SessionId, Stem};

/// One thing that was found or done. Displayed as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryEvent {
    /// A game whose files were complete was put in place.
    Published(Stem),
    /// Files of a game that is visible already were removed.
    AlreadyPublished(Stem),
    /// A leftover file of a dead session was removed.
    Removed {
        /// Name of the file within `tmp/`.
        file: String,
    },
    /// Games of a dead session go on in this one.
    Adopted {
        /// The dead session.
        session: SessionId,
        /// How many games.
        games: usize,
        /// Their completed plies.
        plies: usize,
    },
    /// Games of a dead session were given up.
    Discarded {
        /// The dead session.
        session: SessionId,
        /// How many games.
        games: usize,
        /// Whether because they were played with other settings; else because nothing was to go on.
        other_settings: bool,
    },
    /// A journal makes no sense from some byte on; what stood before was used.
    Cut {
        /// The dead session.
        session: SessionId,
        /// The first byte that was not used.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A journal cannot be read at all and was renamed to `*.journal.unreadable`.
    Unreadable {
        /// The dead session.
        session: SessionId,
        /// What is wrong.
        reason: String,
    },
    /// A journal whose games another session had taken over was removed.
    AlreadyAdopted {
        /// The dead session.
        session: SessionId,
    },
    /// The session lives: nothing of it was touched.
    Live {
        /// The session.
        session: SessionId,
    },
}

impl fmt::Display for RecoveryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Published(stem) => write!(f, "finished game {stem} put in place"),
            Self::AlreadyPublished(stem) => write!(f, "game {stem} is in place already: its leftovers removed"),
            Self::Removed { file } => write!(f, "leftover {file} removed"),
            Self::Adopted { session, games, plies } => {
                write!(f, "{games} games of session {session} go on after {plies} plies")
            }
            Self::Discarded { session, games, other_settings: true } => {
                write!(f, "{games} games of session {session} discarded: they were played with other settings")
            }
            Self::Discarded { session, games, other_settings: false } => {
                write!(f, "{games} games of session {session} discarded, as asked")
            }
            Self::Cut { session, offset, reason } => {
                write!(f, "journal of session {session} cut at byte {offset}: {reason}")
            }
            Self::Unreadable { session, reason } => write!(f, "journal of session {session} set aside: {reason}"),
            Self::AlreadyAdopted { session } => {
                write!(f, "journal of session {session} removed: its games went on elsewhere")
            }
            Self::Live { session } => write!(f, "session {session} lives: left alone"),
        }
    }
}

/// What was found and done in a directory. Displayed as one line per event, each ended by a newline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// In the order of what happened.
    pub events: Vec<RecoveryEvent>,
}

impl RecoveryReport {
    /// Whether nothing was done; that other sessions live is no deed.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.events.iter().all(|event| matches!(event, RecoveryEvent::Live { .. }))
    }

    /// Finished games that were put in place.
    #[must_use]
    pub fn published(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, RecoveryEvent::Published(_))).count()
    }

    /// Games that were given up.
    #[must_use]
    pub fn discarded(&self) -> usize {
        let games = |event: &RecoveryEvent| match event {
            RecoveryEvent::Discarded { games, .. } => *games,
            _ => 0,
        };
        self.events.iter().map(games).sum()
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
