//! Finished games on their way to the disk: plain state, no actor and no clock.
//!
//! Invariants: games are published in the order in which they were finished; a game leaves the queue when it is visible to
//! the trainer, or unfit for it; the journal hears of every step before the step that must not be lost without it.

use std::{collections::VecDeque, io::ErrorKind, sync::Arc};

use selfplay_engine::{
    Game,
    journal::JournalNumber,
    replay::{GameArrays, GameMetadata, GameRecord, ReplayStore, Staged, Stem, StoreError, Unpublished},
};
use serde_json::{Value, json};

use super::{Output, Provenance};
use crate::error_text::with_sources;

/// Most games that are written as one group.
const LARGEST_GROUP: usize = 64;

/// What turns games into the bytes of files.
pub(super) struct Files<G: Game> {
    pub(super) game: G,
    pub(super) provenance: Provenance,
    pub(super) encoding: Option<G::Encoding>,
}

impl<G: Game> Files<G> {
    /// The metadata and the arrays; the reason if the game cannot be expressed.
    fn of(&self, record: &GameRecord<G>, settings_hash: &str) -> Result<(String, Vec<u8>), String> {
        let encoding = self.encoding.ok_or_else(|| "no model was ever loaded".to_owned())?;
        let npz = GameArrays::new(record, &self.game, encoding).and_then(|arrays| arrays.to_npz());
        let npz = npz.map_err(|error| with_sources(&error))?;
        let Provenance { pid, daemon_version, rules, .. } = &self.provenance;
        let metadata = GameMetadata::new(record, *pid, settings_hash, daemon_version);
        let yaml = GameMetadata { rules: rules.clone(), ..metadata }.to_yaml();
        Ok((yaml.map_err(|error| with_sources(&error))?, npz))
    }
}

/// A game that cannot be written, ever.
#[derive(Debug)]
pub(super) struct Unfit {
    pub(super) index: u64,
    pub(super) seed: u64,
    model_version: i64,
    actions: Vec<u16>,
    pub(super) reason: String,
}

impl Unfit {
    fn new<G: Game>(record: &GameRecord<G>, reason: String) -> Self {
        let actions = record.plies.iter().map(|ply| ply.action).collect();
        Self { index: record.index, seed: record.seed, model_version: record.model_version, actions, reason }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "reason": self.reason,
            "seed": self.seed,
            "game_index": self.index,
            "model_version": self.model_version,
            "actions_played": self.actions,
        })
    }
}

struct Finished<G: Game> {
    number: JournalNumber,
    stem: Stem,
    record: GameRecord<G>,
    /// Hash of the settings that it was played with.
    settings_hash: Arc<str>,
    /// Its files under `tmp/`, complete and synchronised.
    staged: Option<Staged>,
}

impl<G: Game> Finished<G> {
    /// Its files will do for another attempt, unless they are gone.
    fn keep(&mut self, staged: Staged, error: &StoreError) {
        self.staged = (error.io_kind() != ErrorKind::NotFound).then_some(staged);
    }
}

/// What came of an attempt to write.
#[derive(Debug, Default)]
pub(super) struct Committed {
    /// Games that are now visible to the trainer.
    pub(super) written: Vec<Written>,
    pub(super) unfit: Vec<(JournalNumber, Unfit)>,
    /// Games without a policy target, which are not written: there is nothing for the trainer to sample.
    pub(super) without_targets: u64,
    /// Why there are games left.
    pub(super) failure: Option<Failure>,
}

#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    /// The model version that played each position.
    pub(super) versions: Vec<i64>,
}

/// Why games cannot be written.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// For people.
    pub(super) reason: String,
    pub(super) kind: ErrorKind,
}

impl Failure {
    fn of(error: &StoreError) -> Self {
        Self { reason: failed(error), kind: error.io_kind() }
    }
}

/// What became of the games that could not be written.
#[derive(Debug, Default)]
pub(super) struct Rescued {
    pub(super) lost: u64,
    pub(super) kept: u64,
    pub(super) spooled: u64,
    /// Why the spool directory did not take them.
    pub(super) failure: Option<String>,
}

pub(super) struct Queue<G: Game> {
    games: VecDeque<Finished<G>>,
    /// The game that is being turned into bytes, by its place: whatever panics meanwhile, panics over this game.
    in_hand: Option<usize>,
}

impl<G: Game> Default for Queue<G> {
    fn default() -> Self {
        Self { games: VecDeque::new(), in_hand: None }
    }
}

impl<G: Game> Queue<G> {
    pub(super) fn push(&mut self, number: JournalNumber, stem: Stem, record: GameRecord<G>, settings_hash: Arc<str>) {
        self.games.push_back(Finished { number, stem, record, settings_hash, staged: None });
    }

    pub(super) fn len(&self) -> usize {
        self.games.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.games.is_empty()
    }

    /// Takes out the game over which the last call panicked, if it was one.
    pub(super) fn drop_in_hand(&mut self) -> Option<(JournalNumber, Unfit)> {
        let Finished { number, record, .. } = self.games.remove(self.in_hand.take()?)?;
        Some((number, Unfit::new(&record, "the writer panicked over it".to_owned())))
    }

    /// Writes everything, group by group, up to the first failure.
    pub(super) fn commit(&mut self, files: &Files<G>, output: &Output) -> Committed {
        let mut committed = Committed::default();
        while !self.games.is_empty() && committed.failure.is_none() {
            // Without its file this session would count as dead, and its files as leftovers.
            output.journal.tend().ok();
            let staged = self.stage(files, output, &mut committed);
            // Those before the one that failed may still be written.
            if let Err(failure) = self.publish(staged, output, &mut committed) {
                committed.failure.get_or_insert(failure);
            }
        }
        committed
    }

    /// Brings the files of a group to `tmp/`; returns the number of games that are there, from the front of the queue.
    fn stage(&mut self, files: &Files<G>, output: &Output, committed: &mut Committed) -> usize {
        let mut place = 0;
        while place < self.games.len().min(LARGEST_GROUP) {
            if self.games[place].staged.is_some() {
                place += 1;
                continue;
            }
            if self.games[place].record.rows().next().is_none() {
                output.journal.end(self.games[place].number);
                self.games.remove(place);
                committed.without_targets += 1;
                continue;
            }
            self.in_hand = Some(place);
            crate::faults::hit(crate::faults::Point::Format);
            let game = &self.games[place];
            let bytes = files.of(&game.record, &game.settings_hash);
            self.in_hand = None;
            let game = &mut self.games[place];
            let (yaml, npz) = match bytes {
                Ok(bytes) => bytes,
                Err(reason) => {
                    committed.unfit.push((game.number, Unfit::new(&game.record, reason)));
                    self.games.remove(place);
                    continue;
                }
            };
            // One slow game is no hang, however many there are.
            crate::health::progress();
            output.journal.staging(game.number, &game.stem);
            match output.store.stage(&game.stem, yaml.as_bytes(), &npz) {
                Ok(staged) => game.staged = Some(staged),
                Err(error) => {
                    committed.failure = Some(Failure::of(&error));
                    break;
                }
            }
            place += 1;
        }
        place
    }

    /// Moves the first `count` games, which are staged, into place.
    fn publish(&mut self, count: usize, output: &Output, committed: &mut Committed) -> Result<(), Failure> {
        let mut staged: Vec<_> = self.games.iter_mut().take(count).filter_map(|game| game.staged.take()).collect();
        if staged.is_empty() {
            return Ok(());
        }
        // Should the journal fail here or below, a crash within the next steps may show these games twice; not to write them
        // would be worse. The journal's own trouble is told where it is tended.
        output.journal.sync().ok();
        if let Err(error) = output.store.complete(&mut staged) {
            self.games.iter_mut().zip(staged).for_each(|(game, staged)| game.keep(staged, &error));
            return Err(Failure::of(&error));
        }
        output.journal.staged(self.games.iter().take(count).map(|game| (game.number, &game.stem)));
        output.journal.sync().ok();
        let mut failure = Ok(());
        let mut place = 0;
        for published in output.store.publish(staged) {
            let bytes = match published {
                Ok(written) => written.bytes,
                // The game is visible and complete: writing it again would show it twice.
                Err(Unpublished {
                    error: error @ (StoreError::NotDurable { .. } | StoreError::Exists { .. }), ..
                }) => {
                    let index = self.games[place].record.index;
                    tracing::warn!(game = index, reason = with_sources(&error), "game may not survive a power loss");
                    0
                }
                Err(Unpublished { staged, error }) => {
                    self.games[place].keep(staged, &error);
                    place += 1;
                    failure = failure.and_then(|()| Err(Failure::of(&error)));
                    continue;
                }
            };
            let Some(Finished { number, stem, record, .. }) = self.games.remove(place) else { break };
            output.journal.end(number);
            let versions = record.rows().map(|ply| ply.model_version).collect();
            committed.written.push(Written { bytes, versions });
            tracing::debug!(
                game = record.index,
                file = stem.as_str(),
                plies = record.plies.len(),
                outcome = ?record.outcome,
                model = record.model_version,
                "game written"
            );
        }
        failure
    }

    /// At the very end: brings what could not be written to the spool directory, and counts what the journal keeps.
    pub(super) fn rescue(&mut self, files: &Files<G>, output: &Output) -> Rescued {
        let mut report = Rescued::default();
        let journal = &output.journal;
        let kept = journal.is_recording() && journal.tend().and_then(|()| journal.sync()).is_ok();
        for game in self.games.drain(..) {
            let number = game.number;
            match output.spool.as_ref().map(|spool| spool_game(spool, files, &game)) {
                Some(Ok(())) => {
                    // What it left in `tmp/` is removed by the next start, which looks into the spool directory first.
                    output.journal.end(number);
                    report.spooled += 1;
                    continue;
                }
                Some(Err(reason)) => report.failure = Some(reason),
                None => {}
            }
            if kept { report.kept += 1 } else { report.lost += 1 }
        }
        report
    }
}

fn failed(error: &StoreError) -> String {
    format!("failed to {}", with_sources(error))
}

fn spool_game<G: Game>(spool: &ReplayStore, files: &Files<G>, game: &Finished<G>) -> Result<(), String> {
    let (yaml, npz) = files.of(&game.record, &game.settings_hash)?;
    let written = spool.write(&game.stem, yaml.as_bytes(), &npz);
    written.map(drop).map_err(|error| failed(&error))
}
