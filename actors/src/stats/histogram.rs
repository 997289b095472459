//! Distributions of what is measured, as counts in fixed buckets.
//!
//! The buckets are ours rather than a recorder's: the status shows them, nothing piles up between two readings, and what is
//! exported agrees with what a snapshot says.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    cell::Cell,
    metric::{Kind, Value},
};

/// Most buckets of one histogram, the one without an upper bound included.
pub const MOST_BUCKETS: usize = 24;

/// Counts observations by buckets with fixed upper bounds. Seconds are observed as seconds.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds, inclusive, ascending; one more bucket holds what is above the last.
    bounds: &'static [f64],
    counts: [AtomicU64; MOST_BUCKETS],
    /// Bits of an `f64`.
    sum: AtomicU64,
}

impl Histogram {
    /// `bounds` ascend; there are fewer than [`MOST_BUCKETS`].
    #[must_use]
    pub const fn new(bounds: &'static [f64]) -> Self {
        assert!(bounds.len() < MOST_BUCKETS, "one bucket is for what is above the last bound");
        Self { bounds, counts: [const { AtomicU64::new(0) }; MOST_BUCKETS], sum: AtomicU64::new(0) }
    }

    /// One observation.
    pub fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    /// The same observation `count` times. What is no number is left out.
    pub fn record_many(&self, value: f64, count: u64) {
        if value.is_nan() || count == 0 {
            return;
        }
        let place = self.bounds.partition_point(|&bound| bound < value);
        self.counts[place].fetch_add(count, Relaxed);
        let add = |sum: u64| Some((f64::from_bits(sum) + value * count as f64).to_bits());
        // Never fails: every sum has a successor.
        self.sum.fetch_update(Relaxed, Relaxed, add).ok();
    }

    /// What was observed so far.
    pub fn get(&self) -> Distribution {
        let counts = std::array::from_fn(|place| self.counts[place].load(Relaxed));
        Distribution { bounds: self.bounds, counts, sum: f64::from_bits(self.sum.load(Relaxed)) }
    }
}

impl Cell for Histogram {
    const KIND: Kind = Kind::Histogram;
    type Reading = Distribution;

    fn read(&self) -> Distribution {
        self.get()
    }

    fn value(&self) -> Value<'_> {
        Value::Histogram(self)
    }

    fn since(now: Distribution, earlier: Distribution) -> Distribution {
        let counts = std::array::from_fn(|place| now.counts[place].saturating_sub(earlier.counts[place]));
        Distribution { counts, sum: now.sum - earlier.sum, ..now }
    }
}

/// What a [`Histogram`] observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distribution {
    bounds: &'static [f64],
    counts: [u64; MOST_BUCKETS],
    sum: f64,
}

/// A bucket of a [`Distribution`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bucket {
    /// Upper bound, inclusive; `None`: no bound.
    pub le: Option<f64>,
    /// Observations above the bound before and up to this one.
    pub count: u64,
}

impl Distribution {
    /// The buckets in ascending order; not cumulative.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let Self { bounds, counts, .. } = *self;
        (0..=bounds.len()).map(move |place| Bucket { le: bounds.get(place).copied(), count: counts[place] })
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Sum of all observations.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// Their mean; 0 without any.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.sum / self.count() as f64 }
    }
}

impl Distribution {
    /// What a share `part` of the observations is at most, by assuming that they are spread evenly within a bucket; above the
    /// last bound, that bound. `None` without observations.
    #[must_use]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let count = self.count();
        let mut left = part.clamp(0.0, 1.0) * count as f64;
        let mut lower = 0.0;
        for Bucket { le, count } in self.buckets() {
            let Some(upper) = le else { break };
            if count > 0 && left <= count as f64 {
                return Some(lower + (upper - lower) * left / count as f64);
            }
            left -= count as f64;
            lower = upper;
        }
        (count > 0).then_some(lower)
    }
}

impl Default for Distribution {
    fn default() -> Self {
        Self { bounds: &[], counts: [0; MOST_BUCKETS], sum: 0.0 }
    }
}

impl Serialize for Distribution {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Distribution", 3)?;
        fields.serialize_field("count", &self.count())?;
        fields.serialize_field("sum", &self.sum)?;
        fields.serialize_field("buckets", &self.buckets().collect::<Vec<_>>())?;
        fields.end()
    }
}
