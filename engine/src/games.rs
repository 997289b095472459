//! The games that selfplayd plays, and a count of move sequences to check and time their rules.
//!
//! Modules, low to high:
//!
//! - `grid`: boards of rows and columns whose cells are bits
//! - [`breakthrough`], [`connect_four`], [`hex`], [`mnk`], [`othello`], [`quoridor`], [`tictactoe`]: a game each
//! - [`perft`]: how many sequences of actions there are

pub mod breakthrough;
pub mod connect_four;
#[cfg(test)]
mod documented;
mod grid;
pub mod hex;
pub mod mnk;
pub mod othello;
pub mod perft;
pub mod quoridor;
#[cfg(test)]
mod symmetry_tests;
pub mod tictactoe;

use std::ops::RangeInclusive;

use thiserror::Error;

/// A parameter that a game cannot be played with.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("set up {game} with {name} {value}: {name} must be {allowed}")]
pub struct ParameterError {
    /// Name of the game, such as `hex`.
    pub game: &'static str,
    /// Name of the parameter, such as `size`.
    pub name: &'static str,
    /// What was asked for.
    pub value: u32,
    /// What is allowed, in words.
    pub allowed: String,
}

/// The parameter, if it is in range.
fn within(
    game: &'static str,
    name: &'static str,
    value: u32,
    range: RangeInclusive<u32>,
) -> Result<u8, ParameterError> {
    if range.contains(&value) {
        return Ok(value as u8);
    }
    Err(ParameterError { game, name, value, allowed: format!("{} to {}", range.start(), range.end()) })
}

/// The length of a line that has to fit on a board.
fn line_length(game: &'static str, name: &'static str, value: u32, sides: [u8; 2]) -> Result<u8, ParameterError> {
    let longest = u32::from(sides[0].max(sides[1]));
    within(game, name, value, 2..=longest)
        .map_err(|error| ParameterError { allowed: format!("2 to {longest}, the longer side of the board"), ..error })
}

/// Reverses runs of these lengths, one after the other: priors in the order of a board whose rows are read backwards.
fn reverse_rows(mut priors: &mut [f32], lengths: impl IntoIterator<Item = usize>) {
    for length in lengths {
        let (row, rest) = std::mem::take(&mut priors).split_at_mut(length);
        row.reverse();
        priors = rest;
    }
}
