//! Any game, solved by looking at every position that matters: for small boards, and for endings of larger ones.

use hashbrown::HashMap;

use super::{Class, SolveError, Solver, outcome};
use crate::game::{ActionSet, Game};

/// How many plies below a position are followed. Rules need not end a game by themselves.
const MOST_PLIES: u32 = 256;

/// A solver that knows nothing but the rules: alpha-beta, and a memory of positions up to symmetry.
///
/// It keeps what it learns from one question to the next.
#[derive(Clone, Debug)]
pub struct Exhaustive<G: Game> {
    game: G,
    known: HashMap<Key<G>, Bounds>,
    /// Positions looked at for the question at hand, and the most there may be.
    nodes: u64,
    most_nodes: u64,
}

/// A position and its ply: a step limit makes late positions worth something else than early ones, and without a ply the
/// search could go round in circles.
type Key<G> = (<G as Game>::Position, u32);

/// The value for the mover is in here.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    low: i8,
    high: i8,
}

const UNKNOWN: Bounds = Bounds { low: -1, high: 1 };

impl<G: Game> Exhaustive<G> {
    /// A solver that looks at `most_nodes` positions, and then gives up. It needs about 50 bytes and the size of a
    /// [`Game::Position`] for each.
    #[must_use]
    pub fn new(game: G, most_nodes: u64) -> Self {
        Self { game, known: HashMap::new(), nodes: 0, most_nodes }
    }

    fn key(&self, state: &G::State) -> Key<G> {
        let position = self.game.position(state);
        let images = (1..self.game.symmetries()).map(|symmetry| self.game.transform(symmetry, &position));
        (images.fold(position, Ord::min), self.game.ply(state))
    }

    /// The value if it lies between `alpha` and `beta`, else a bound of it on that side.
    fn negamax(&mut self, state: &G::State, alpha: i8, beta: i8, deepest: u32) -> Result<i8, SolveError> {
        if let Some(outcome) = outcome(&self.game, state) {
            return Ok(Class::of_outcome(outcome, self.game.side_to_move(state)).value());
        }
        let key = self.key(state);
        let bounds = self.known.get(&key).copied().unwrap_or(UNKNOWN);
        let (mut alpha, beta) = (alpha.max(bounds.low), beta.min(bounds.high));
        if alpha >= beta {
            return Ok(if bounds.low >= beta { bounds.low } else { bounds.high });
        }
        self.nodes += 1;
        if self.nodes > self.most_nodes {
            return Err(SolveError::TooLarge { most: self.most_nodes });
        }
        if key.1 >= deepest {
            return Err(SolveError::TooLong { plies: MOST_PLIES });
        }
        let (start, mut best) = (alpha, -1);
        for (next, known) in self.children(state) {
            let value = match known {
                Bounds { low, high } if low == high => -low,
                _ => -self.negamax(&next, -beta, -alpha, deepest)?,
            };
            best = best.max(value);
            alpha = alpha.max(value);
            if alpha >= beta {
                break;
            }
        }
        let low = if best > start { best } else { bounds.low };
        let high = if best < beta { best } else { bounds.high };
        self.known.insert(key, Bounds { low, high });
        Ok(best)
    }

    /// The positions after each legal move and what is known of them (from their movers' view), those first that are best for
    /// who moves now: what ends the game or was seen before may spare the rest.
    fn children(&self, state: &G::State) -> Vec<(G::State, Bounds)> {
        let child = |action| {
            let mut next = state.clone();
            self.game.play(&mut next, action);
            let bounds = match outcome(&self.game, &next) {
                Some(outcome) => {
                    let value = Class::of_outcome(outcome, self.game.side_to_move(&next)).value();
                    Bounds { low: value, high: value }
                }
                None => self.known.get(&self.key(&next)).copied().unwrap_or(UNKNOWN),
            };
            (next, bounds)
        };
        let mut children: Vec<_> = self.game.legal_actions(state).iter().map(child).collect();
        children.sort_by_key(|(_, bounds)| (bounds.high, bounds.low));
        children
    }
}

impl<G: Game> Solver<G> for Exhaustive<G> {
    fn class(&mut self, state: &G::State) -> Result<Class, SolveError> {
        self.nodes = 0;
        if self.known.len() as u64 > self.most_nodes {
            self.known.clear();
        }
        let deepest = self.game.ply(state).saturating_add(MOST_PLIES);
        self.negamax(state, -1, 1, deepest).map(|value| Class::of_sign(value.into()))
    }

    fn game(&self) -> &G {
        &self.game
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action,
        games::{
            breakthrough::Breakthrough, hex::Hex, mnk::Mnk, othello::Othello, quoridor::Quoridor, tictactoe::TicTacToe,
        },
    };

    fn class<G: Game>(game: &G) -> Class {
        Exhaustive::new(game.clone(), 1 << 20).class(&game.start()).unwrap()
    }

    #[test]
    fn tic_tac_toe_is_a_draw_whatever_the_first_move() {
        let mut solver = Exhaustive::new(TicTacToe, 1 << 16);
        let moves = solver.moves(&TicTacToe.start()).unwrap();
        assert_eq!(moves, (0..9).map(|cell| (cell, Class::Draw)).collect::<Vec<_>>());
        // A corner must be answered in the middle.
        let mut state = TicTacToe.start();
        TicTacToe.play(&mut state, 0);
        let answers = solver.moves(&state).unwrap();
        let sound: Vec<Action> =
            answers.iter().filter(|(_, class)| *class == Class::Draw).map(|&(cell, _)| cell).collect();
        assert_eq!(sound, [4]);
        assert_eq!(class(&Mnk::new(3, 3, 3).unwrap()), Class::Draw);
    }

    #[test]
    fn known_results_of_small_boards_are_found() {
        // Of Hex the first player wins every board, unless the second may take over its stone.
        assert_eq!(class(&Hex::new(3, false).unwrap()), Class::Win);
        assert_eq!(class(&Hex::new(3, true).unwrap()), Class::Loss);
        assert_eq!(class(&Othello::new(4).unwrap()), Class::Loss);
        assert_eq!(class(&Mnk::new(4, 3, 3).unwrap()), Class::Win);
    }

    #[test]
    fn games_that_need_not_end_are_refused_and_step_limits_count() {
        let endless = Quoridor::new(5, 2, None).unwrap();
        let mut solver = Exhaustive::new(endless, 1 << 20);
        assert_eq!(solver.class(&endless.start()), Err(SolveError::TooLong { plies: MOST_PLIES }));
        let short = Quoridor::new(3, 0, Some(2)).unwrap();
        assert_eq!(class(&short), Class::Draw);
        let long = Quoridor::new(3, 0, Some(20)).unwrap();
        assert_ne!(class(&long), Class::Draw);
    }

    #[test]
    fn the_bound_on_positions_holds_and_what_is_small_enough_is_solved_after_it() {
        let game = Breakthrough::new(8, 8).unwrap();
        let mut solver = Exhaustive::new(game, 1000);
        assert_eq!(solver.class(&game.start()), Err(SolveError::TooLarge { most: 1000 }));
        assert!(solver.known.len() <= 1000);
    }
}
