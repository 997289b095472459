//! What `selfplayd` does: each command takes settings or arguments and ends with an exit code.
//!
//! - [`play`]: the daemon
//! - [`show`]: finished games for people
//! - [`describe`]: what a trainer must know of a game
//! - [`check_model`], [`convert_model`]: the guard against bad models, and what the daemon makes of good ones
//! - [`judge`]: how often a network errs where the truth is known
//! - [`fleet`](mod@fleet): keys and the server's configuration of many machines
//! - [`hub`]: beside the trainer of a fleet
//! - [`client`]: the commands that speak to a running daemon or hub
//! - [`matches`](mod@matches): which of two players is stronger, and how strong the models of a directory are
//! - [`mod@bench`], [`tune`]: the yardstick, and what finds settings by it
//! - [`games`]: those that need a game, for whichever one it is

pub(crate) mod bench;
pub(crate) mod check_model;
pub(crate) mod client;
pub(crate) mod convert_model;
pub(crate) mod describe;
pub(crate) mod fleet;
pub(crate) mod games;
mod hub;
pub(crate) mod judge;
pub(crate) mod matches;
mod models;
pub(crate) mod play;
mod positions;
pub(crate) mod show;
pub(crate) mod tune;
