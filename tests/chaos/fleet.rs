//! A whole fleet as processes: workers, a NATS server and hubs, with links between that can be cut.
//!
//! - [`ground`]: its machines, as directories, links and small disks
//! - [`run`]: such a fleet beside a trainer, all that is known of its games, and how it comes to rest
//! - [`scenarios`]: one fault each
//! - [`storm`]: faults by a seeded schedule, and the reckoning at the end
//!
//! The account is that of the games themselves, each known by seed and number, whichever process played it and whatever it went through:
//! begun, as the logs of all workers say = taken by the trainer + refused by the collector, which keeps them with the reason + set aside or
//! lost as a log says. In outboxes, at the server and in folders nothing is left, as all is let run until they are empty.

mod ground;
mod run;
mod scenarios;
mod storm;

use std::time::Duration;

use self::storm::FleetStorm;
use crate::{nats::has_server, storms};

#[test]
fn a_short_storm() {
    if has_server() {
        FleetStorm::rages(storms::seed().unwrap_or(5), Duration::from_secs(15));
    }
}

/// `cargo xtask chaos --fleet --minutes M [--seed S]`.
#[test]
#[ignore = "as long as CHAOS_MINUTES says"]
fn a_long_storm() {
    assert!(has_server(), "run `cargo xtask fetch-nats`");
    let (seed, length) = storms::long();
    FleetStorm::rages(seed, length);
}
