//! What a session would lose when its process dies, kept on the disk: the plies of its games in play, and how far finished games
//! have come on their way to the trainer.
//!
//! Each session appends to a file of its own, `tmp/session_{id}.journal` in the store's directory, which it keeps locked while it
//! lives. [`open_session`] reads the journals of dead sessions, finishes or removes what they left, and makes a new journal.
//!
//! What the writer does with a group of finished games, so that a crash or a power cut at any point neither loses one nor shows
//! one twice ([`Journal::sync`] must succeed each time, else it waits and calls [`Journal::tend`]):
//!
//! [`Journal::staging`], [`ReplayStore::stage`] → `sync` → [`ReplayStore::complete`] → [`Journal::staged`] → `sync` →
//! [`ReplayStore::publish`] → [`Journal::end`]
//!
//! [`ReplayStore::stage`]: crate::replay::ReplayStore::stage
//! [`ReplayStore::complete`]: crate::replay::ReplayStore::complete
//! [`ReplayStore::publish`]: crate::replay::ReplayStore::publish

mod entry;
mod file;
mod import;
mod leftovers;
mod read;
mod recovery;
mod report;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use thiserror::Error;

pub(crate) use self::restore::journaled;
use self::{
    entry::{Entry, ReadTargets},
    file::JournalFile,
};
pub use self::{
    import::Imported,
    recovery::open_session,
    report::{RecoveryEvent, RecoveryReport},
    restore::{RestoreError, restore_plies},
};
use crate::{
    evaluation::DrawChance,
    game::{Action, Game},
    replay::{LockError, PlyNotes, PlyRecord, SessionId, Stem, StoreError},
};

/// Number of a game within a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalNumber(u64);

/// Why the journal cannot be relied on, or what dead sessions left cannot be looked after.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file or directory of the journal cannot be used.
    #[error("{what} {path}")]
    Io {
        /// What was tried, such as `write file`.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The journal missed something and is to be written afresh by [`Journal::tend`].
    #[error("rely on the journal: {reason}")]
    Unhealthy {
        /// What happened.
        reason: String,
    },
    /// Another process has taken over this session's games, as if this process were dead: it must not go on.
    #[error("go on with this session: session {by} has taken over its games")]
    TakenOver {
        /// The other session.
        by: SessionId,
    },
    /// Another process keeps the directory locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A game of a dead session cannot be put in place.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is kept of a ply: what the rules cannot tell.
#[derive(Clone, Debug, PartialEq)]
pub struct JournaledPly {
    /// The action played, game frame.
    pub action: Action,
    /// The training policy: action (network frame), visits, probability.
    pub targets: Vec<(Action, u32, f32)>,
    /// As [`PlyRecord::root_value`].
    pub root_value: f32,
    /// As [`PlyRecord::root_draw`].
    pub root_draw: DrawChance,
    /// As [`PlyRecord::model_version`].
    pub model_version: i64,
    /// As [`PlyRecord::notes`]; of a ply that an earlier version of this program played, what can be told.
    pub notes: PlyNotes,
}

/// A game of a dead session that goes on here.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedGame {
    /// Its number in this session's journal, where it stands already: it is not to be begun again.
    pub number: JournalNumber,
    /// The seed it was begun with, not necessarily this session's.
    pub seed: u64,
    /// Its number within that seed.
    pub index: u64,
    /// Version of the model that served when it began.
    pub first_version: Option<i64>,
    /// The value below which its players resign, where that was fixed when it began.
    pub resign_below: Option<f32>,
    /// Its completed plies. All of them when it was over: resumed, it is finished at once.
    pub plies: Vec<JournaledPly>,
}

/// What a session is opened with.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The session, new.
    pub session: SessionId,
    /// Its seed.
    pub seed: u64,
    /// Hash of the settings that determine games: only games of the same settings go on.
    pub settings_hash: String,
    /// Version of the daemon.
    pub daemon_version: String,
    /// Whether games are journaled. Without it the session's file shows only that its process lives.
    pub journal: bool,
    /// Whether unfinished games of dead sessions go on; else they are discarded.
    pub resume: bool,
    /// Where games were put that the store did not take: they are not played again.
    pub spool: Option<PathBuf>,
    /// How long to wait for another process that looks after the same directory.
    pub lock_wait: Duration,
}

/// A session, ready to play.
#[derive(Debug)]
pub struct Recovered {
    /// The session's journal.
    pub journal: Journal,
    /// Games to go on with.
    pub unfinished: Vec<UnfinishedGame>,
    /// Lowest number of a game that no dead session known here has begun with our seed.
    pub next_index: u64,
    /// For [`crate::replay::StemClock::new`]: later than every name in use.
    pub not_before_ms: u64,
    /// What was done.
    pub report: RecoveryReport,
}

/// A session's journal: a handle, cheap to clone and shared between threads.
///
/// Appending never fails and never waits for the disk: what the file does not take, for example because the disk is full, is kept
/// in memory and reported by [`Journal::sync`], until [`Journal::tend`] gets it into the file.
#[derive(Clone, Debug)]
pub struct Journal {
    /// The next game's number.
    numbers: Arc<AtomicU64>,
    file: Option<Arc<JournalFile>>,
}

impl Journal {
    /// A journal that keeps nothing and never fails. Its games are numbered all the same.
    #[must_use]
    pub fn disabled() -> Self {
        Self::new(None, 0)
    }

    fn new(file: Option<Arc<JournalFile>>, numbers: u64) -> Self {
        Self { numbers: Arc::new(AtomicU64::new(numbers)), file }
    }

    /// A game begins, with the settings of the session.
    #[must_use]
    pub fn begin(&self, seed: u64, index: u64) -> JournalNumber {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.append(JournalNumber(number), &Entry::Begun { number, seed, index });
        JournalNumber(number)
    }

    /// A game begins, with settings of this hash: they may have been changed since the session began. Only a session of these
    /// settings will go on with it.
    #[must_use]
    pub fn begin_with(&self, seed: u64, index: u64, settings_hash: &str) -> JournalNumber {
        if self.file.as_ref().is_none_or(|file| file.settings_hash() == settings_hash) {
            return self.begin(seed, index);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let settings_hash = settings_hash.to_owned();
        self.append(JournalNumber(number), &Entry::BegunWith { number, seed, index, settings_hash });
        JournalNumber(number)
    }

    /// In this game, which has just begun, players resign below this value.
    pub fn resigning(&self, number: JournalNumber, below: f32) {
        self.append(number, &Entry::Resigning { number: number.0, below });
    }

    /// Ply `index` (from 0) of a game is complete. `first_version`: version of the model that served when the game began.
    ///
    /// A game that goes back to an earlier ply, after a panic, gives that ply again, and those after it count no more.
    pub fn ply<G: Game>(&self, number: JournalNumber, index: usize, ply: &PlyRecord<G>, first_version: Option<i64>) {
        let Some(file) = &self.file else { return };
        file.append(number.0, &Entry::played((number.0, index, first_version), ply));
    }

    /// The game is over and will be staged as `stem`. To be called, and followed by a successful [`Journal::sync`], before
    /// [`crate::replay::ReplayStore::complete`]; again when it is staged under another name.
    pub fn staging(&self, number: JournalNumber, stem: &Stem) {
        self.append(number, &Entry::Staging { number: number.0, stem: stem.clone() });
    }

    /// The games' files are complete. To be called, and followed by a successful [`Journal::sync`], before they are published.
    pub fn staged<'a>(&self, games: impl IntoIterator<Item = (JournalNumber, &'a Stem)>) {
        for (number, stem) in games {
            self.append(number, &Entry::Staged { number: number.0, stem: stem.clone() });
        }
    }

    /// The game needs nothing more: it was published, spooled or given up.
    pub fn end(&self, number: JournalNumber) {
        self.append(number, &Entry::End { number: number.0 });
    }

    /// Brings what was appended to the disk. Appending goes on meanwhile.
    ///
    /// # Errors
    /// When that fails, or the journal has missed something since the last successful [`Journal::tend`].
    pub fn sync(&self) -> Result<(), JournalError> {
        self.file.as_ref().map_or(Ok(()), |file| file.sync())
    }

    /// Keeps the file in order: writes it afresh when it missed something, was removed, or holds mostly what is over. To be
    /// called about once a second, and before each group of games is staged: without its file a session counts as dead.
    ///
    /// # Errors
    /// When it is needed and fails; or another session has taken over.
    pub fn tend(&self) -> Result<(), JournalError> {
        self.file.as_ref().map_or(Ok(()), |file| file.tend())
    }

    /// Size of the file; 0 for a disabled journal.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.bytes())
    }

    /// Whether games are kept at all.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.is_recording())
    }

    /// Number of games that it keeps for the next start, as things stand.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.file.as_ref().map_or(0, |file| file.unfinished())
    }

    /// Whether the file holds everything it was given.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.file.as_ref().is_none_or(|file| file.is_healthy())
    }

    /// Ends the session: removes the file when nothing is unfinished, else brings it to the disk. Nothing is kept afterwards,
    /// and the next start takes over what is unfinished.
    ///
    /// # Errors
    /// When the file can neither be removed nor brought to the disk; the call may be made again.
    pub fn close(&self) -> Result<(), JournalError> {
        self.file.as_ref().map_or(Ok(()), |file| file.close())
    }

    fn append(&self, number: JournalNumber, entry: &Entry<ReadTargets>) {
        if let Some(file) = &self.file {
            file.append(number.0, entry);
        }
    }
}
