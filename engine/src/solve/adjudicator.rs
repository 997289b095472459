//! Results that are known before a game is over, cheaply enough to be asked for after every ply of self-play.

use std::fmt::Debug;

use super::{ConnectFourSolver, Exhaustive, Solver};
use crate::{
    game::{ActionSet as _, Draw, Game, Outcome},
    games::{
        connect_four::{ConnectFour, ConnectFourStones},
        quoridor::{Endgame, Quoridor, QuoridorState},
    },
};

/// Knows of some positions how the game ends when both sides play without mistakes, the step limit included.
///
/// What it says depends on the position alone, and not on what it was asked before: games are to be the same whatever else
/// is played.
pub trait Adjudicator<G: Game>: Debug + Send + Sync {
    /// How the game ends from a position that goes on; `None` where finding out takes more than a few milliseconds, or the rules
    /// give no result.
    fn verdict(&self, state: &G::State) -> Option<Outcome>;
}

/// Quoridor is decided once no player has walls in hand.
impl Adjudicator<Self> for Quoridor {
    fn verdict(&self, state: &QuoridorState) -> Option<Outcome> {
        let plies = Endgame::of(self, state)?.plies(state);
        let mover = self.side_to_move(state);
        let in_time = |limit: u32| limit - self.ply(state) >= u32::from(plies.unsigned_abs());
        match (plies, self.max_steps().is_none_or(in_time)) {
            (1.., true) => Some(Outcome::Win(mover)),
            (..=-1, true) => Some(Outcome::Win(mover.opponent())),
            // Without a limit it would go on for ever, which the rules give no result.
            (0, _) | (_, false) => self.max_steps().map(|_| Outcome::Draw(Draw::StepLimit)),
        }
    }
}

/// Connect Four, where a short search solves the position.
#[derive(Clone, Copy, Debug)]
pub struct ConnectFourEndings(pub ConnectFour);

impl ConnectFourEndings {
    /// Empty cells of which a search is tried: more than half of such positions are solved by it.
    const MOST_CELLS: u32 = 24;
    /// Most nodes of that search.
    const MOST_NODES: u64 = 20_000;
    /// Entries of its table, which is made anew for each position.
    const TABLE: usize = 1 << 13;
}

impl Adjudicator<ConnectFour> for ConnectFourEndings {
    fn verdict(&self, state: &ConnectFourStones) -> Option<Outcome> {
        let Self(game) = self;
        let [rows, columns] = game.sides().map(u32::from);
        if rows * columns - game.ply(state) > Self::MOST_CELLS {
            return None;
        }
        let class = ConnectFourSolver::with_table(*game, Self::MOST_NODES, Self::TABLE).class(state).ok()?;
        Some(class.outcome(game.side_to_move(state)))
    }
}

/// A game whose players fill a board, where so few cells are empty that all can be tried.
#[derive(Clone, Copy, Debug)]
pub struct FilledBoards<G>(pub G);

impl<G> FilledBoards<G> {
    /// Most legal actions of a position that is tried.
    const MOST_ACTIONS: usize = 8;
    /// Positions looked at; more than eight empty cells have.
    const MOST_NODES: u64 = 10_000;
}

impl<G: Game> Adjudicator<G> for FilledBoards<G> {
    fn verdict(&self, state: &G::State) -> Option<Outcome> {
        let Self(game) = self;
        if game.legal_actions(state).len() > Self::MOST_ACTIONS {
            return None;
        }
        let class = Exhaustive::new(game.clone(), Self::MOST_NODES).class(state).ok()?;
        Some(class.outcome(game.side_to_move(state)))
    }
}

#[cfg(test)]
mod tests;
