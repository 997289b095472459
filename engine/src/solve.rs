//! What positions are worth when both sides play without mistakes.
//!
//! - [`connect_four`]: bitboards and the threats of that game, fast from the middle of a game on
//! - [`exhaustive`]: any game, by looking at everything; for small boards and endings
//!
//! Both are a [`Solver`], both exact, and both give up after a number of positions rather than take for ever.
//!
//! - `adjudicator`: what is known so cheaply that games can end there

mod adjudicator;
pub mod connect_four;
pub mod exhaustive;

use std::ops::Neg;

use thiserror::Error;

use crate::game::{Action, ActionSet, Draw, Game, Outcome, Player};

pub use self::{
    adjudicator::{Adjudicator, ConnectFourEndings, FilledBoards},
    connect_four::ConnectFourSolver,
    exhaustive::Exhaustive,
};

/// What a position or a move is worth under perfect play, from the view of one side. A larger class is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The other side wins.
    Loss,
    /// Neither side can win.
    Draw,
    /// This side wins.
    Win,
}

impl Class {
    /// −1, 0 or 1.
    #[must_use]
    pub const fn value(self) -> i8 {
        self as i8 - 1
    }

    /// The class with this sign.
    #[must_use]
    pub const fn of_sign(value: i32) -> Self {
        match value {
            ..=-1 => Self::Loss,
            0 => Self::Draw,
            1.. => Self::Win,
        }
    }

    /// The result that a position of this class for `mover` comes to; a draw by the rules.
    const fn outcome(self, mover: Player) -> Outcome {
        match self {
            Self::Win => Outcome::Win(mover),
            Self::Loss => Outcome::Win(mover.opponent()),
            Self::Draw => Outcome::Draw(Draw::Rule),
        }
    }

    pub(crate) fn of_outcome(outcome: Outcome, player: Player) -> Self {
        match outcome {
            Outcome::Win(winner) if winner == player => Self::Win,
            Outcome::Win(_) => Self::Loss,
            Outcome::Draw(_) => Self::Draw,
        }
    }
}

/// The class from the view of the other side.
impl Neg for Class {
    type Output = Self;

    fn neg(self) -> Self {
        Self::of_sign(-i32::from(self.value()))
    }
}

/// A position was not solved.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SolveError {
    /// The bound on positions was reached.
    #[error("solve the position: more than {most} positions would have to be looked at")]
    TooLarge {
        /// The bound.
        most: u64,
    },
    /// Play can go on for longer than the search can follow.
    #[error("solve the position: play can go on for more than {plies} plies from there")]
    TooLong {
        /// How far the search can follow.
        plies: u32,
    },
}

/// Says what positions of a game are worth, always exactly.
pub trait Solver<G: Game>: Send {
    /// The position's class for its mover. A finished game is worth what its outcome is worth to who would move next.
    ///
    /// # Errors
    /// When that takes more work than the solver is allowed.
    fn class(&mut self, state: &G::State) -> Result<Class, SolveError>;

    /// The rules.
    fn game(&self) -> &G;

    /// The class of every legal move for the mover, in ascending order of actions; none when the game is over.
    ///
    /// # Errors
    /// As [`Solver::class`].
    fn moves(&mut self, state: &G::State) -> Result<Vec<(Action, Class)>, SolveError> {
        if outcome(self.game(), state).is_some() {
            return Ok(Vec::new());
        }
        let legal = self.game().legal_actions(state);
        let class = |action| {
            let mut next = state.clone();
            self.game().play(&mut next, action);
            Ok((action, -self.class(&next)?))
        };
        legal.iter().map(class).collect()
    }
}

/// How a game ended, with the draw of a mover who has nothing to play.
fn outcome<G: Game>(game: &G, state: &G::State) -> Option<Outcome> {
    let stuck = || game.legal_actions(state).is_empty().then_some(Outcome::Draw(Draw::NoLegalAction));
    game.outcome(state).or_else(stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_signs() {
        for (class, value) in [(Class::Loss, -1), (Class::Draw, 0), (Class::Win, 1)] {
            assert_eq!((class.value(), Class::of_sign(7 * i32::from(value))), (value, class));
            assert_eq!((-class).value(), -value);
        }
        assert!(Class::Loss < Class::Draw && Class::Draw < Class::Win);
        assert_eq!(Class::of_outcome(Outcome::Win(Player::First), Player::Second), Class::Loss);
    }
}
