//! What a ledger says: plain state.

use std::collections::BTreeMap;

use selfplay_engine::replay::Stem;
use serde::{Deserialize, Serialize};

use super::{Entry, Intervals};
use crate::name::{Name, Origin};

/// Bytes that an outbox takes in a ledger written afresh, about; and each of its intervals.
const KNOWN_BYTES: u64 = 200;
const INTERVAL_BYTES: u64 = 16;

/// All that is known of an outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Whose it is.
    pub worker: Name,
    /// Numbers of the frames that need nothing more.
    pub done: Intervals,
    /// Games of them that were published.
    pub games: u64,
    /// Games of them that were refused.
    pub refused: u64,
    /// Why the last one was.
    pub reason: Option<String>,
    /// Frames that the worker had receipts for and this ledger did not know of: it was restored from an older copy.
    pub forgotten: u64,
}

/// Games that are about to be shown to the trainer: those of a frame, or the one that several frames hold in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publishing {
    /// The outbox.
    pub origin: Origin,
    /// Whose it is.
    pub worker: Name,
    /// Number of the frame, of the first one where there are several.
    pub first: u64,
    /// Number of the last one.
    pub last: u64,
    /// Up to which number the worker said that it has receipts.
    pub receipted: u64,
    /// Names of the games' files.
    pub files: Vec<Stem>,
    /// Number of games that were refused.
    pub refused: u64,
    /// Why the last one was.
    pub reason: Option<String>,
}

/// What a ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    origins: BTreeMap<Origin, Known>,
    /// Begun and not done, by outbox and first number.
    publishing: BTreeMap<(Origin, u64), Publishing>,
}

impl Book {
    /// What is known of an outbox.
    #[must_use]
    pub fn known(&self, origin: Origin) -> Option<&Known> {
        self.origins.get(&origin)
    }

    /// All outboxes.
    pub fn origins(&self) -> impl Iterator<Item = (&Origin, &Known)> {
        self.origins.iter()
    }

    /// Whether the frame needs nothing more, or is being published.
    #[must_use]
    pub fn contains(&self, origin: Origin, number: u64) -> bool {
        self.known(origin).is_some_and(|known| known.done.contains(number))
            || self.publishing_of(origin).any(|games| (games.first..=games.last).contains(&number))
    }

    /// Games that are about to be shown to the trainer, or were when the last process ended.
    pub fn publishing(&self) -> impl Iterator<Item = &Publishing> {
        self.publishing.values()
    }

    fn publishing_of(&self, origin: Origin) -> impl Iterator<Item = &Publishing> {
        self.publishing.range((origin, 0)..=(origin, u64::MAX)).map(|(_, games)| games)
    }

    pub(super) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Known(origin, known) => drop(self.origins.insert(origin, known)),
            Entry::Publishing(games) => drop(self.publishing.insert((games.origin, games.first), games)),
            Entry::Done { origin, first } => {
                let Some(games) = self.publishing.remove(&(origin, first)) else { return };
                let new = || Known {
                    worker: games.worker.clone(),
                    done: Intervals::default(),
                    games: 0,
                    refused: 0,
                    reason: None,
                    forgotten: 0,
                };
                let known = self.origins.entry(origin).or_insert_with(new);
                if games.receipted > 0 {
                    known.forgotten += known.done.insert(1, games.receipted);
                }
                known.done.insert(games.first, games.last);
                known.games += games.files.len() as u64;
                known.refused += games.refused;
                known.reason = games.reason.or(known.reason.take());
            }
        }
    }

    /// All of it as entries.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let known = self.origins.iter().map(|(&origin, known)| Entry::Known(origin, known.clone()));
        known.chain(self.publishing.values().cloned().map(Entry::Publishing)).collect()
    }

    /// About how long the file is when it is written afresh.
    pub(super) fn live_bytes(&self) -> u64 {
        let intervals: usize = self.origins.values().map(|known| known.done.len()).sum();
        (self.origins.len() + self.publishing.len()) as u64 * KNOWN_BYTES + intervals as u64 * INTERVAL_BYTES
    }
}
