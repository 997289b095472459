//! The fleet's link with a real NATS server, on loopback ports with stores of its own.
//!
//! What the tests are made of:
//! - [`broker`]: a server that can be killed, restarted, emptied, frozen and told of other keys
//! - [`cluster`]: three servers of a fleet's folder
//! - [`sides`]: a worker and a collector, with real disks
//! - [`children`]: the same in processes that can be killed
//!
//! The tests:
//! - [`folder`]: a fleet's folder, from nothing to a worker that plays and one that is shut out
//! - [`games`]: games come into the trainer's folder, each once, whatever ends or is full meanwhile
//! - [`losses`]: a cluster loses servers, and what they keep
//! - [`machines`]: a cluster's files on machines of their own
//! - [`models`]: models reach workers, whole, and the pointer to them
//! - [`rights`]: whose key opens what, and what is said to those whose key does not
//! - [`services`]: all of it as a program runs it
//! - [`setup`]: what a server must have, and how it is told
//!
//! The server comes from `cargo xtask fetch-nats`. Without it the tests are skipped, but not under continuous integration.
#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod broker;
mod children;
mod cluster;
mod folder;
mod games;
mod losses;
mod machines;
mod models;
mod rights;
mod services;
mod setup;
mod sides;
