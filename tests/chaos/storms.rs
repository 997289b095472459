//! All faults at once.

use std::{env, time::Duration};

use crate::storm::Storm;

fn variable(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// The seed of a storm, if one is said.
pub(crate) fn seed() -> Option<u64> {
    variable("CHAOS_SEED")
}

/// Seed and length of a long storm.
pub(crate) fn long() -> (u64, Duration) {
    let fresh = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let minutes = variable("CHAOS_MINUTES").expect("cargo xtask chaos sets CHAOS_MINUTES");
    (seed().unwrap_or_else(fresh), Duration::from_secs(60 * minutes))
}

#[test]
fn a_short_storm() {
    Storm::rages(seed().unwrap_or(3), Duration::from_secs(40));
}

/// `cargo xtask chaos --minutes M [--seed S]`.
#[test]
#[ignore = "as long as CHAOS_MINUTES says"]
fn a_long_storm() {
    let (seed, length) = long();
    Storm::rages(seed, length);
}
