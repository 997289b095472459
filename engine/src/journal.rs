//! What a session would lose when its process dies, kept on the disk: the plies of its games in play, and how far finished games
//! have come on their way to the trainer.
//!
//! Each session appends to a file of its own, `tmp/session_{id}.journal` in the store's directory, which it keeps locked while it
//! lives. [`open_session`] reads the journals of dead sessions, finishes or removes what they left, and makes a new journal.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::{
    game::{Action, Game},
    replay::{LockError, PlyRecord, SessionId, Stem, StoreError},
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
    #[error("rely on the journal, which missed something: {reason}")]
    Unhealthy {
        /// What happened.
        reason: String,
    },
    /// Another process has taken over this session's games, as if this process were dead: it must not go on.
    #[error("go on with this session: {by} has taken over its games")]
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

/// What a game's ply is kept as: what the rules cannot tell.
#[derive(Clone, Debug, PartialEq)]
pub struct JournaledPly {
    /// The action played, game frame.
    pub action: Action,
    /// The training policy: action (network frame), visits, probability.
    pub targets: Vec<(Action, u32, f32)>,
    /// As [`PlyRecord::root_value`].
    pub root_value: f32,
    /// As [`PlyRecord::model_version`].
    pub model_version: i64,
}

/// A game of a dead session that goes on here.
#[derive(Clone, Debug, PartialEq)]
pub struct UnfinishedGame {
    /// Its number in this session's journal, where it stands already.
    pub number: JournalNumber,
    /// The seed it was begun with, not necessarily this session's.
    pub seed: u64,
    /// Its number within that seed.
    pub index: u64,
    /// Version of the model that served when it began.
    pub first_version: Option<i64>,
    /// Its completed plies. All of them when it was over: resumed, it is finished at once.
    pub plies: Vec<JournaledPly>,
}

/// Why plies cannot be played again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// The rules do not allow it.
    #[error("play ply {ply} again: action {action} is not legal")]
    Illegal {
        /// The ply, from 0.
        ply: usize,
        /// The action.
        action: Action,
    },
    /// The training policy names an action that is not legal.
    #[error("restore the policy of ply {ply}: action {action} is not legal")]
    IllegalTarget {
        /// The ply, from 0.
        ply: usize,
        /// The action, network frame.
        action: Action,
    },
}

/// Plays a journaled game's plies again and makes their records, for [`crate::selfplay::SelfPlayGame::resume`].
///
/// # Errors
/// When the plies are not of this game.
pub fn restore_plies<G: Game>(_game: &G, _plies: &[JournaledPly]) -> Result<Vec<PlyRecord<G>>, RestoreError> {
    todo!()
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

/// What was found and done in a directory; printable, one line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {}

/// A session, ready to play.
#[derive(Debug)]
pub struct Recovered {
    /// The session's journal.
    pub journal: Journal,
    /// Games to go on with.
    pub unfinished: Vec<UnfinishedGame>,
    /// Lowest number of a game that no known session with our seed has begun.
    pub next_index: u64,
    /// For [`crate::replay::StemClock::new`]: later than every name in use.
    pub not_before_ms: u64,
    /// What was done.
    pub report: RecoveryReport,
}

/// Looks after what dead sessions left in `dir`, and begins a new one. Nothing of a live session is touched.
///
/// # Errors
/// When the directory cannot be locked, read or written; it may be called again.
pub fn open_session(_dir: &Path, _options: &SessionOptions) -> Result<Recovered, JournalError> {
    todo!()
}

/// A session's journal: a handle, cheap to clone and shared between threads.
#[derive(Clone, Debug)]
pub struct Journal;

impl Journal {
    /// A journal that keeps nothing and never fails.
    #[must_use]
    pub fn disabled() -> Self {
        todo!()
    }
    /// A game begins.
    pub fn begin(&self, _seed: u64, _index: u64) -> JournalNumber {
        todo!()
    }
    /// Ply `index` (from 0) of a game is complete. `first_version`: version of the model that served when the game began.
    /// A game that goes back to an earlier ply, after a panic, gives that ply again.
    pub fn ply<G: Game>(
        &self,
        _number: JournalNumber,
        _index: usize,
        _ply: &PlyRecord<G>,
        _first_version: Option<i64>,
    ) {
        todo!()
    }
    /// The game is over and will be staged as `stem`. To be called before [`crate::replay::ReplayStore::stage`].
    pub fn staging(&self, _number: JournalNumber, _stem: &Stem) {
        todo!()
    }
    /// The games' files are complete. To be called, and followed by a successful [`Journal::sync`], before they are published.
    pub fn staged(&self, _games: &[(JournalNumber, Stem)]) {
        todo!()
    }
    /// The game needs nothing more: it was published, given up or lost.
    pub fn end(&self, _number: JournalNumber) {
        todo!()
    }
    /// Brings what was appended to the disk.
    ///
    /// # Errors
    /// When that fails, or the journal has missed something since the last successful [`Journal::tend`].
    pub fn sync(&self) -> Result<(), JournalError> {
        todo!()
    }
    /// Keeps the file in order: writes it afresh when it missed something, was removed, or holds mostly what is over. To be called
    /// about once a second and before each group of games is staged.
    ///
    /// # Errors
    /// When it is needed and fails; or another session has taken over.
    pub fn tend(&self) -> Result<(), JournalError> {
        todo!()
    }
    /// Size of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// Whether the file holds everything it was given.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        todo!()
    }
    /// Ends the session: removes the file when nothing is unfinished, else brings it to the disk. Nothing is kept afterwards.
    ///
    /// # Errors
    /// When the file can neither be removed nor brought to the disk.
    pub fn close(&self) -> Result<(), JournalError> {
        todo!()
    }
}
