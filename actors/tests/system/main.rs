//! The whole system in this process: real actors, threads and files, deterministic evaluators instead of networks.
//!
//! - [`support`]: a scenario is settings, a directory and a deadline
//! - [`sources`]: models that depend on their version, panic, or cannot be loaded
//! - [`fragile`]: Quoridor with rules that panic now and then
//! - [`batch`]: so many games are played, and they follow from the seed alone
//! - [`faults`]: what panics is survived, what keeps panicking is escalated
//! - [`following`]: models change while games are in play, and games stop when told to
//! - [`stale`]: thousands of models in a few seconds, and every written game explained by them
//! - [`steering`]: pauses, and settings that change while games are played

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test that called them")]

mod batch;
mod faults;
mod following;
mod fragile;
mod sources;
mod stale;
mod steering;
mod support;
