//! Ends of games before the rules end them.

use std::sync::Arc;

use crate::{
    game::{Game, Outcome},
    solve::Adjudicator,
};

/// Ends a game where its result under perfect play is known.
pub(super) struct Adjudication<G: Game> {
    adjudicator: Option<Arc<dyn Adjudicator<G>>>,
    /// What was found of the position at hand.
    verdict: Option<Outcome>,
}

impl<G: Game> Adjudication<G> {
    pub(super) const fn new(adjudicator: Option<Arc<dyn Adjudicator<G>>>) -> Self {
        Self { adjudicator, verdict: None }
    }

    /// Looks at a new position. One that the rules have ended is not asked about.
    pub(super) fn look(&mut self, game: &G, state: &G::State) {
        let Some(adjudicator) = &self.adjudicator else { return };
        let goes_on = game.outcome(state).is_none();
        self.verdict = if goes_on { adjudicator.verdict(state) } else { None };
    }

    /// The result, where it is known.
    pub(super) const fn verdict(&self) -> Option<Outcome> {
        self.verdict
    }
}
