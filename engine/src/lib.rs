//! The pure half of selfplayd: rules, encoding, search, self-play of one game, and the replay format.
//!
//! Nothing in this crate knows a thread, a clock, a channel or a network runtime; the manifest has no such dependency. (One
//! exception: the wait for another process that looks after the same directory has a limit.)
//! Modules in dependency order, low to high:
//!
//! - `lanes`: arithmetic that the compiler makes vectors of
//! - [`packing`]: positions as few bytes, and how a device expands them
//! - [`game`]: the [`Game`] trait, what search and encoding need of a two-player game
//! - [`games`]: the games themselves; first of all Quoridor
//! - [`evaluation`]: what a network says of a position, and the deterministic evaluators of tests and benchmarks
//! - [`solve`]: what positions are worth under perfect play
//! - [`rating`]: what results of matches say of strength
//! - [`search`]: leaf-parallel PUCT, split into gather and apply
//! - [`latest`]: the file by which a trainer names its newest model
//! - [`replay`]: what is kept of a finished game, and the trainer's files
//! - [`journal`]: what survives the death of the process, and what the next start makes of it
//! - [`selfplay`]: one game from its first ply to its record
//! - [`matches`](mod@matches): games between two players that choose their moves in ways of their own
//! - [`testing`]: whether a game keeps the laws of [`Game`]

pub mod evaluation;
pub mod game;
pub mod games;
pub mod journal;
mod lanes;
pub mod latest;
pub mod matches;
pub mod packing;
pub mod rating;
pub mod replay;
pub mod search;
pub mod selfplay;
pub mod solve;
pub mod testing;

pub use evaluation::{Evaluation, Evaluations, Evaluator, Leaf};
pub use game::{Action, ActionBits, ActionSet, Draw, Game, Outcome, Player};
pub use packing::{Packing, Source};
