//! Breaks the real `selfplayd` in every way a training run may meet, and checks the account of all games: begun = taken by the trainer +
//! set aside with a word + reported as lost, and none twice ("the books balance").
//!
//! What the tests are made of:
//! - [`random`]: seeded choices
//! - [`site`]: the directories of a training run, on a small disk where possible, and what can happen to them
//! - [`models`]: good and bad models, handed over properly and otherwise
//! - [`link`]: a link of a fleet, which can be cut, slowed and left half open
//! - [`session`]: one daemon process, its signals, log and end
//! - [`ingest`]: a stand-in for the trainer's reader that dies where the trainer would, and remembers every game
//! - [`books`]: what the logs say of games started, resumed, set aside and lost
//! - [`storm`]: faults by a seeded schedule, and the reckoning at the end
//!
//! The tests:
//! - [`scenarios`]: one fault each
//! - [`storms`]: all of them: one short run of a fixed seed, and the long one of `cargo xtask chaos`
//! - [`fleet`]: the same of a whole fleet: workers, a NATS server, hubs, and the links between
//!
//! The daemon must be built with the feature `fault-injection`, as `cargo xtask test` does.

#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod books;
mod fleet;
mod ingest;
mod link;
mod models;
mod random;
mod scenarios;
mod session;
mod site;
mod storm;
mod storms;

// What the tests of the unbroken daemon read games and wait with.
#[path = "../daemon/config.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod config;
#[path = "../daemon/games.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod games;
#[path = "../daemon/numpy.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod numpy;
#[path = "../daemon/wait.rs"]
mod wait;
// What the tests of a fleet ask and connect with.
#[path = "../daemon/ask.rs"]
#[expect(dead_code, reason = "some of it is for other tests")]
mod ask;
#[path = "../daemon/nats.rs"]
mod nats;
