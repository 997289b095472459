//! Recorded behaviour of the trainer's own code, replayed. The records and their layout: `tests/data/README.md`.
//!
//! Further folders of the same layout are checked too if the environment variable `CONFORMANCE_DIR` names them, separated by
//! colons: see [`records`].

/// The other games: legal actions, movers and results at every ply, counts of action sequences.
mod games;
/// Whole games, searched and written again.
mod golden;
/// Positions as network input, in full.
mod observations;
/// Counts of action sequences.
mod perft;
/// Where the records are and how they are read.
mod records;
/// Quoridor games: legal actions, network frame, results.
mod rules;
/// Sequential searches, visit for visit.
mod search;
/// Positions and the worth of their moves.
mod solved;
