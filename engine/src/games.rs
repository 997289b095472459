//! The games that selfplayd plays.

pub mod quoridor;
