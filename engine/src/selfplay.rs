//! One self-play game from the first ply to its record, without a runtime: it says which leaves it needs evaluated, takes the
//! evaluations, and goes on until the game is over.
//!
//! All randomness of a ply comes from a stream of its own, numbered by the ply, of a generator keyed by seed and game number.
//! So a game is a function of its seed, its settings and the models' outputs, and can go on from any completed ply.

mod early;
mod game;
mod opening;
mod random;
mod rows;
mod settings;
mod soft;
mod symmetric;
#[cfg(test)]
mod tests;

pub use early::{EarlyEnds, NEVER_RESIGNS, ResignSettings};
pub use game::{Progress, SelfPlayGame};
pub use opening::OpeningSettings;
pub use random::{Purpose, ply_rng};
pub use rows::RowSettings;
pub use settings::{Agent, Decay, PlaySettings};
pub use soft::SoftResign;
