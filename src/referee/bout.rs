//! One match as it is played beside play: few games at a time, a moment at a time.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use selfplay_actors::standings::Playing;
use selfplay_engine::{
    Evaluator,
    matches::{Mover, Seat},
};

use super::history::{Anchor, Fixed, Player};
use crate::{
    matches::{
        openings::{Openings, Source},
        record::Record,
        score::Score,
        table::{self, Fixture, PlayedPair, Table},
    },
    played::PlayedGame,
};

/// Games in play at once: enough for batches of some size, and few enough that a moment is short.
const AT_ONCE: usize = 16;
/// Evaluations that are known of one model at most.
const KNOWN: usize = 8_000;
/// Of openings and random players. The same for all matches, so that they can be compared.
const SEED: u64 = 0;

/// How all matches are played.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// How models play.
    pub seat: Seat,
    /// Plies at the start that are drawn at random.
    pub opening_plies: u32,
    /// What tells matches that can be compared from others.
    pub name: String,
}

/// An evaluator, and whose it is.
pub(super) type Owned<G> = (String, Box<dyn Evaluator<G>>);

/// A match that is played.
pub(super) struct Bout<G: PlayedGame> {
    pub fixed: Fixed,
    of: u64,
    fixture: Fixture<G>,
    table: Table<G>,
    /// Whose the table's evaluators are, in their order.
    owners: Vec<String>,
    pub score: Score,
    /// Pairs that ended before one whose opening came first.
    early: BTreeMap<u64, PlayedPair<G>>,
    record: Option<Record>,
}

impl<G: PlayedGame> Bout<G> {
    /// A match of `of` pairs, with the evaluators of the players that have one. `record`: where its pairs are kept, and may be.
    pub(super) fn new(
        game: &G,
        terms: &Terms,
        fixed: Fixed,
        of: u64,
        evaluators: Vec<Owned<G>>,
        record: Option<&Path>,
    ) -> Self {
        let mut record = record.and_then(|path| open_record(path, game, terms, &fixed));
        let mut score = Score::default();
        let earlier = record.as_mut().map(Record::take_earlier).unwrap_or_default();
        earlier.into_iter().take(of as usize).for_each(|(results, plies)| score.count(results, plies));
        let mover = |mover| Seat { mover, ..terms.seat };
        let opponent = match fixed.b {
            Player::Model(_) | Player::Anchor(Anchor::Uniform) => (mover(Mover::Search), Some(1)),
            Player::Anchor(Anchor::Random) => (mover(Mover::Random), None),
        };
        let fixture = Fixture {
            game: game.clone(),
            at_once: AT_ONCE,
            seats: [mover(Mover::Search), opponent.0],
            move_times: [None; 2],
            asks: [Some(0), opponent.1],
            pairs: of,
            openings: Mutex::new(Openings::new(SEED, Source::Random { plies: terms.opening_plies })),
            seed: SEED,
            next: AtomicU64::new(score.pairs.total()),
            stop: AtomicBool::new(false),
        };
        let (owners, evaluators) = evaluators.into_iter().unzip();
        Self { fixed, of, fixture, table: Table::new(evaluators, KNOWN), owners, score, early: BTreeMap::new(), record }
    }

    /// Plays for a moment, or for as long as one batch takes. Whether there is more to play.
    ///
    /// # Errors
    /// When an evaluator fails.
    pub(super) fn play(&mut self, moment: Duration) -> anyhow::Result<bool> {
        let begun = Instant::now();
        let Self { fixture, table, early, .. } = self;
        let mut play = || table.round(fixture, |pair, games| drop(early.insert(pair, games)));
        let mut goes_on = play()?;
        while goes_on && begun.elapsed() < moment {
            goes_on = play()?;
        }
        // Pairs count in the order of their openings, so that a match that goes on later is the same.
        while let Some(games) = self.early.remove(&self.score.pairs.total()) {
            self.score.count(Score::results(&games), table::plies(&games));
            if let Some(Err(error)) = self.record.as_mut().map(|record| record.add(&self.fixture.game, &games)) {
                // What would follow on half a line could not be read.
                tracing::warn!("a match would begin anew after a restart: {error:#}");
                self.record = None;
            }
        }
        Ok(goes_on)
    }

    /// How far it is.
    pub(super) fn progress(&self) -> Playing {
        Playing {
            players: [self.fixed.a.version.to_string(), self.fixed.b.name()],
            gate: self.fixed.gate,
            pairs: self.score.pairs.total(),
            of: self.of,
        }
    }

    /// The evaluators, for other matches.
    pub(super) fn into_evaluators(self) -> Vec<Owned<G>> {
        self.owners.into_iter().zip(self.table.into_evaluators()).collect()
    }
}

/// The record of this match; that of another is over, or will not go on, and is taken away.
fn open_record<G: PlayedGame>(path: &Path, game: &G, terms: &Terms, fixed: &Fixed) -> Option<Record> {
    let identity = serde_json::json!({ "match": fixed, "game": game.title(), "terms": terms.name, "seed": SEED });
    let opened = Record::open(path, &identity).or_else(|_| {
        std::fs::remove_file(path).ok();
        Record::open(path, &identity)
    });
    opened.inspect_err(|error| tracing::warn!("a match would begin anew after a restart: {error:#}")).ok()
}
