//! The actors of selfplayd, their supervision, and the inference threads.
//!
//! Actors are thin shells around plain state; they exchange whole gathers, never single leaves. One evaluation's way:
//! [`game`] → [`cache`] → [`batcher`] → [`inference`] → [`cache`] → [`game`]; a finished game's: [`game`] → [`writer`]; a
//! model's: [`loader`] → [`batcher`] → [`inference`] and [`cache`]. Modules in dependency order, low to high:
//!
//! - `error_text`: errors as text
//! - [`account`]: where the threads' time goes
//! - [`rejections`]: why the last models were refused
//! - [`findings`]: what was found when a model was looked for last
//! - [`standings`]: how strong the last models are
//! - [`onward`]: why no new games should start although the disk has room
//! - [`changes`]: what each new model changes
//! - [`learning`]: what the games of each model version teach
//! - [`stats`]: everything that is counted, in one table
//! - [`control`]: whether play is paused or is to end
//! - [`faults`]: faults on purpose, in binaries built for tests
//! - [`health`]: how every child is doing, and what is written down of it
//! - [`supervision`]: restarts after panics and errors, within a budget
//! - [`watchdog`]: notices hangs
//! - [`ticket`]: requests, batches and the promise of one answer each
//! - [`onnx`]: ONNX Runtime: finding it, checking models, running them
//! - [`inference`]: the threads that run networks
//! - [`batcher`]: which leaves go to which thread, and when
//! - [`cache`]: what is known, and what is waited for
//! - [`writer`]: games out
//! - [`game`]: the games
//! - [`games`]: who starts them
//! - [`referee`]: matches between models, beside play
//! - [`loader`]: models in
//! - [`bottleneck`]: what holds play back, judged by counters and accounts
//! - [`root`]: starts and stops all of it
//!
//! A command stands with the part that obeys it, an event with the part that speaks it; what two must know before either exists stands
//! below both, in [`ticket`] and [`control`]. `cargo xtask arrows` holds the modules to this order.

pub mod account;
pub mod batcher;
pub mod bottleneck;
pub mod cache;
pub mod changes;
pub mod control;
mod error_text;
pub mod faults;
pub mod findings;
pub mod game;
pub mod games;
pub mod health;
pub mod inference;
#[cfg(test)]
mod interleave;
pub mod learning;
pub mod loader;
pub mod onnx;
pub mod onward;
pub mod referee;
pub mod rejections;
pub mod root;
pub mod standings;
pub mod stats;
pub mod supervision;
#[cfg(test)]
mod testing;
pub mod ticket;
pub mod watchdog;
pub mod writer;
