//! The games that selfplayd plays, and a count of move sequences to check and time their rules.

pub mod perft;
pub mod quoridor;
pub mod tictactoe;
