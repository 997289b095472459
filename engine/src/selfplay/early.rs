//! Ends of games before the rules end them: by a result that is known, and by players who resign.

use std::sync::Arc;

use rand::RngExt as _;

use super::random::{Purpose, ply_rng};
use crate::{
    game::{Game, Outcome},
    replay::{PlyRecord, ResignNotes},
    solve::Adjudicator,
};

/// A player who resigns below this value never does: no value is less.
pub const NEVER_RESIGNS: f32 = -1.0;

/// What ends games early, beside their settings.
#[derive(Debug)]
pub struct EarlyEnds<G: Game> {
    /// Games end where it knows the result; but not before the first ply that is no opening.
    pub adjudicator: Option<Arc<dyn Adjudicator<G>>>,
    /// Where players may resign ([`ResignSettings`]): the value below which they do in this game, from its first ply to its last.
    pub resign_below: f32,
}

impl<G: Game> Default for EarlyEnds<G> {
    fn default() -> Self {
        Self { adjudicator: None, resign_below: NEVER_RESIGNS }
    }
}

impl<G: Game> Clone for EarlyEnds<G> {
    fn clone(&self) -> Self {
        Self { adjudicator: self.adjudicator.clone(), ..*self }
    }
}

/// Players resign where both their position and their best move are worth less than a threshold to them (Silver et al. 2017,
/// "Mastering the game of Go without human knowledge", methods).
///
/// Some games are played on all the same: they tell how often that would have been wrong, and the threshold follows from them
/// ([`PlyRecord::worth_to_mover`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResignSettings {
    /// Share of games in which nobody resigns, above 0 to 1.
    pub played_on: f32,
    /// Largest share of those in which a player may have seen less than the threshold without losing, 0 to 1.
    pub most_wrong: f32,
}

impl ResignSettings {
    /// Whether a game is played on whatever its values.
    #[must_use]
    pub fn plays_on(&self, seed: u64, index: u64) -> bool {
        ply_rng(seed, index, 0, Purpose::Resign).random::<f32>() < self.played_on
    }
}

/// The early ends of one game.
pub(super) struct Early<G: Game> {
    adjudicator: Option<Arc<dyn Adjudicator<G>>>,
    /// What was found of the position at hand.
    verdict: Option<Outcome>,
    /// Where players may resign.
    resign: Option<Resign>,
}

#[derive(Clone, Copy)]
struct Resign {
    threshold: f32,
    played_on: bool,
}

impl<G: Game> Early<G> {
    /// Of the game with this number. `settings`: where players may resign.
    pub(super) fn new(ends: EarlyEnds<G>, settings: Option<ResignSettings>, seed: u64, index: u64) -> Self {
        let resign =
            settings.map(|settings| Resign { threshold: ends.resign_below, played_on: settings.plays_on(seed, index) });
        Self { adjudicator: ends.adjudicator, verdict: None, resign }
    }

    /// Looks at a new position. One that the rules have ended is not asked about.
    pub(super) fn look(&mut self, game: &G, state: &G::State) {
        let Some(adjudicator) = &self.adjudicator else { return };
        self.verdict = if game.outcome(state).is_none() { adjudicator.verdict(state) } else { None };
    }

    /// The result, where it is known.
    pub(super) const fn verdict(&self) -> Option<Outcome> {
        self.verdict
    }

    /// The result, where the player who moved last resigns.
    pub(super) fn resigned(&self, plies: &[PlyRecord<G>]) -> Option<Outcome> {
        let resign = self.resign.filter(|resign| !resign.played_on)?;
        let last = plies.last()?;
        last.is_worth_less(resign.threshold).then(|| Outcome::Win(last.player.opponent()))
    }

    /// What a game of these plies tells of resigning.
    pub(super) fn notes(&self, plies: &[PlyRecord<G>]) -> Option<ResignNotes> {
        let Resign { threshold, played_on } = self.resign?;
        let would = plies.iter().position(|ply| ply.is_worth_less(threshold));
        Some(ResignNotes { no_resign: played_on, would_resign_ply: would.map(|ply| ply as u32), threshold })
    }
}
