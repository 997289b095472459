//! Numbers that many threads write and anyone reads: one relaxed atomic each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{Stats, metric::Kind, metric::Value};

/// What a field of the table can be.
pub(super) trait Cell {
    /// Its type in the catalogue.
    const KIND: Kind;
    /// What is read of it.
    type Reading: Copy;
    /// Reads it.
    fn read(&self) -> Self::Reading;
    /// Reads it for an exporter.
    fn value(&self) -> Value<'_>;
    /// What changed between two readings; of what has no meaning as a difference, the later one.
    fn since(now: Self::Reading, earlier: Self::Reading) -> Self::Reading;
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(super) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds to it.
    pub fn add(&self, count: u64) {
        // Often there is nothing to add, and other threads want the memory.
        if count > 0 {
            self.0.fetch_add(count, Relaxed);
        }
    }

    /// Replaces it by a number that is counted elsewhere, and must not be smaller.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Counter {
    const KIND: Kind = Kind::Counter;
    type Reading = u64;

    fn read(&self) -> u64 {
        self.get()
    }

    fn value(&self) -> Value<'_> {
        Value::Counter(self.get())
    }

    fn since(now: u64, earlier: u64) -> u64 {
        now.saturating_sub(earlier)
    }
}

/// A time that only grows, counted in nanoseconds.
#[derive(Debug, Default)]
pub struct Elapsed(Counter);

impl Elapsed {
    pub(super) const fn new() -> Self {
        Self(Counter::new())
    }

    /// Adds to it.
    pub fn add(&self, time: Duration) {
        self.0.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Reads it, in nanoseconds.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Cell for Elapsed {
    const KIND: Kind = Kind::Counter;
    type Reading = u64;

    fn read(&self) -> u64 {
        self.get()
    }

    fn value(&self) -> Value<'_> {
        Value::Counter(self.get())
    }

    fn since(now: u64, earlier: u64) -> u64 {
        Counter::since(now, earlier)
    }
}

/// A number that may fall.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub(super) const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// Adds to it.
    pub fn add(&self, count: i64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// Replaces it by a number of things or bytes.
    pub fn set_count(&self, count: impl TryInto<i64>) {
        self.set(count.try_into().unwrap_or(i64::MAX));
    }

    /// Reads it.
    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Cell for Gauge {
    const KIND: Kind = Kind::Gauge;
    type Reading = i64;

    fn read(&self) -> i64 {
        self.get()
    }

    fn value(&self) -> Value<'_> {
        Value::Gauge(self.get())
    }

    fn since(now: i64, _: i64) -> i64 {
        now
    }
}

/// A point in time, in milliseconds since 1970; 0: never.
#[derive(Debug, Default)]
pub struct Moment(Gauge);

impl Moment {
    pub(super) const fn new() -> Self {
        Self(Gauge::new())
    }

    /// Replaces it.
    pub fn set(&self, time: SystemTime) {
        // A clock before 1970 counts as 1970.
        self.0.set_count(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis());
    }
}

impl Cell for Moment {
    const KIND: Kind = Kind::Gauge;
    type Reading = i64;

    fn read(&self) -> i64 {
        self.0.get()
    }

    fn value(&self) -> Value<'_> {
        Value::Gauge(self.read())
    }

    fn since(now: i64, _: i64) -> i64 {
        now
    }
}

/// One holder's part in a gauge that sums over many, such as the bytes of one game's tree: taken back when it is dropped.
#[derive(Debug)]
pub struct Share {
    stats: Arc<Stats>,
    gauge: fn(&Stats) -> &Gauge,
    part: i64,
}

impl Share {
    /// Nothing yet.
    #[must_use]
    pub fn new(stats: &Arc<Stats>, gauge: fn(&Stats) -> &Gauge) -> Self {
        Self { stats: stats.clone(), gauge, part: 0 }
    }

    /// Replaces the part.
    pub fn set(&mut self, part: impl TryInto<i64>) {
        let part = part.try_into().unwrap_or(i64::MAX);
        let before = std::mem::replace(&mut self.part, part);
        if part != before {
            (self.gauge)(&self.stats).add(part - before);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}
