//! The game that a slot was told to play, and what is told of it: to the journal, the log and the hook of the page.

use std::time::Instant;

use selfplay_engine::{Game, journal::JournalNumber, replay::PlyRecord};

use super::{ENDLESS_PLIES, GameKey, GameNews, GamePlan, Terms};
use crate::stats::Stats;

/// The game a slot was told to play; outlives panics, of its very first steps too.
pub(super) struct Assigned<G: Game> {
    pub(super) number: JournalNumber,
    pub(super) seed: u64,
    pub(super) index: u64,
    pub(super) terms: Terms,
    /// What was played of it before.
    pub(super) plies: Vec<PlyRecord<G>>,
    pub(super) first_version: Option<i64>,
    pub(super) resumes: u32,
    /// Plies already in the journal, and traced.
    pub(super) noted: usize,
    /// When it began here.
    pub(super) begun: Instant,
}

impl<G: Game> Assigned<G> {
    /// Brings every ply that is not there yet to the journal, and tells the plan's hook of it.
    pub(super) fn note(&mut self, plan: &GamePlan<G>, slot: usize, plies: &[PlyRecord<G>], first_version: Option<i64>) {
        while let Some(ply) = plies.get(self.noted) {
            plan.journal.ply(self.number, self.noted, ply, first_version);
            self.noted += 1;
            self.warn_if_endless(&plan.stats);
            self.tell(plan, slot, GameNews::Played(&plies[..self.noted]));
        }
    }

    /// Says of the first game that goes on without an end that it does, ever more rarely.
    fn warn_if_endless(&self, stats: &Stats) {
        let &Self { seed, index, noted, .. } = self;
        if noted >= ENDLESS_PLIES
            && noted.is_multiple_of(ENDLESS_PLIES)
            && (noted / ENDLESS_PLIES).is_power_of_two()
            && stats.endless_games.get() <= 1
        {
            tracing::warn!(
                seed,
                game = index,
                plies = noted,
                "a game may never end: set game.max_steps, which ends it as a draw"
            );
        }
    }

    /// Tells the hook, if there is one.
    pub(super) fn tell(&self, plan: &GamePlan<G>, slot: usize, news: GameNews<'_, G>) {
        if let Some(hook) = &plan.hook {
            hook(GameKey { slot, seed: self.seed, index: self.index }, &news);
        }
    }
}
