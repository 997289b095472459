//! Faults on purpose, to see that they are survived. Only with the cargo feature `fault-injection`, which no release has:
//! without it every hook here is an empty inlined function.
//!
//! What goes wrong, and how often, comes from the environment variable [`VARIABLE`]: items separated by commas, each
//! `<point>=<fault>/<n>` (again and again, on average at every n-th hit, at seeded random distances, so that nothing can fall
//! into step with it), `<point>=<fault>@<n>` (once, at the n-th hit) or `seed=<number>` (of those distances; default 0).
//!
//! | point | hit by | faults |
//! |---|---|---|
//! | `game`, `cache`, `batcher`, `writer` | every message that makes the actor work | `panic` |
//! | `loader` | every look for a model | `panic`, `hang` |
//! | `referee` | every moment of work on a match beside play | `panic` |
//! | `format` | every game that the writer turns into the bytes of files | `panic` |
//! | `thread` | every command an inference thread takes, outside the guard around the evaluator | `panic` |
//! | `inference` | every batch, inside that guard | `panic`, `hang`, `slow` (a quarter of a second) |
//! | `evaluator` | every batch for `error`, every position for `nan` | `error`, `nan` |
//! | `fleet` | every step of the fleet's side of a worker | `panic` |
//! | `collector`, `publisher` | every step of that part of a hub | `panic`, `hang` |
//!
//! So `cache=panic/5000,evaluator=nan/3000,inference=hang@20000,seed=7` panics in the cache about every 5000 messages, makes
//! one position in 3000 NaN, and lets an inference thread hang at its 20000th batch. Each fault is logged as `fault injected`.

use selfplay_engine::evaluation::EvaluateError;
use thiserror::Error;

/// The environment variable that says what goes wrong.
pub const VARIABLE: &str = "SELFPLAYD_FAULTS";

/// Where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// A game actor.
    Game,
    /// The cache actor.
    Cache,
    /// The batcher actor.
    Batcher,
    /// The writer actor.
    Writer,
    /// The writer actor, with a game in its hands.
    Format,
    /// The loader actor.
    Loader,
    /// The referee actor.
    Referee,
    /// An inference thread, outside its guard against panics of evaluators.
    Thread,
    /// An inference thread, inside that guard.
    Inference,
    /// What the network answers.
    Evaluator,
    /// The fleet's side of a worker.
    Fleet,
    /// A hub's collector.
    Collector,
    /// A hub's publisher.
    Publisher,
}

/// Why [`VARIABLE`] cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FaultsError {
    /// An item has another form.
    #[error(
        "read {VARIABLE}: {item:?} is neither <point>=<fault>/<n> nor <point>=<fault>@<n>, with n at least 1, nor seed=<n>"
    )]
    Form {
        /// The item.
        item: String,
    },
    /// There is no such point.
    #[error("read {VARIABLE}: {item:?} names no point; there are {points}", points = known())]
    Point {
        /// The item.
        item: String,
    },
    /// This cannot go wrong there.
    #[error("read {VARIABLE}: {item:?} names a fault that its point does not have; it has {faults}")]
    Fault {
        /// The item.
        item: String,
        /// The point's faults.
        faults: String,
    },
    /// The daemon was built without the feature.
    #[error("inject the faults of {VARIABLE}: this binary was built without the feature fault-injection")]
    Absent,
}

const POINTS: [(&str, Point, &[&str]); 13] = [
    ("game", Point::Game, &["panic"]),
    ("cache", Point::Cache, &["panic"]),
    ("batcher", Point::Batcher, &["panic"]),
    ("writer", Point::Writer, &["panic"]),
    ("format", Point::Format, &["panic"]),
    ("loader", Point::Loader, &["panic", "hang"]),
    ("referee", Point::Referee, &["panic"]),
    ("thread", Point::Thread, &["panic"]),
    ("inference", Point::Inference, &["panic", "hang", "slow"]),
    ("evaluator", Point::Evaluator, &["error", "nan"]),
    ("fleet", Point::Fleet, &["panic"]),
    ("collector", Point::Collector, &["panic", "hang"]),
    ("publisher", Point::Publisher, &["panic", "hang"]),
];

fn known() -> String {
    POINTS.map(|(name, ..)| name).join(", ")
}

/// Reads [`VARIABLE`]; to be called before anything starts. Only the first call of a process counts.
///
/// # Errors
/// When it is set and cannot be read, or this binary has no faults to inject.
pub fn prepare() -> Result<(), FaultsError> {
    match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(value) => imp::prepare(&value.to_string_lossy()),
        None => Ok(()),
    }
}

/// Passes `point`: may take its time, panic, or never return.
#[inline]
pub fn hit(point: Point) {
    imp::hit(point);
}

/// Passes the evaluator with a batch.
///
/// # Errors
/// When the batch is to fail.
#[inline]
pub fn batch() -> Result<(), EvaluateError> {
    imp::batch()
}

/// Passes the evaluator with a position's value: may make it NaN.
#[inline]
#[must_use]
pub fn value(value: f32) -> f32 {
    imp::value(value)
}

#[cfg(not(feature = "fault-injection"))]
mod imp {
    use super::{EvaluateError, FaultsError, Point};

    pub(super) const fn prepare(_: &str) -> Result<(), FaultsError> {
        Err(FaultsError::Absent)
    }

    #[inline]
    pub(super) const fn hit(_: Point) {}

    #[inline]
    pub(super) const fn batch() -> Result<(), EvaluateError> {
        Ok(())
    }

    #[inline]
    pub(super) const fn value(value: f32) -> f32 {
        value
    }
}

#[cfg(feature = "fault-injection")]
mod imp;
