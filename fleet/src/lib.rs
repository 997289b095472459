//! Games of many machines come to one trainer, each exactly once; what stands between is a broker that may lose anything.
//!
//! The design, with a game's way and the invariants, is in this crate's `README.md`. Everything but [`nats`] is plain state: no runtime,
//! no thread, no clock. Modules in dependency order, low to high:
//!
//! - [`name`]: names of runs, workers and outboxes
//! - [`disk`]: the few calls to a file system that everything durable here is made of
//! - [`frame`]: many games as one message
//! - [`outbox`]: where a worker keeps games until the trainer has them
//! - [`intake`]: finished games out of the daemon's folder into it
//! - [`ledger`]: which frames have come to the trainer
//! - [`collector`]: games out of frames into the trainer's folder
//! - [`models`]: which model a worker serves, and how a new one spreads
//! - [`presence`]: what a worker says of itself
//! - [`link`]: what stands between, as either side sees it
//! - [`courier`]: which frame is sent, and which again
//! - [`worker`]: a worker's side
//! - [`hub`]: the collector's side
//! - [`service`]: worker, collector and publisher as a program runs them, step by step
//! - [`nats`]: the link to a real broker
//! - [`folder`]: a fleet's keys and configuration on the trainer's machine, and a worker's file

pub mod collector;
pub mod courier;
pub mod disk;
pub mod folder;
pub mod frame;
pub mod hub;
pub mod intake;
pub mod ledger;
pub mod link;
#[cfg(test)]
mod memory;
pub mod models;
pub mod name;
pub mod nats;
pub mod outbox;
pub mod presence;
#[cfg(test)]
mod schedules;
pub mod service;
pub mod worker;
