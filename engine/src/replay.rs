//! What is kept of a finished game, and the files the trainer reads it from.

mod record;

pub use record::{EndReason, GameRecord, PlyRecord, Target};
