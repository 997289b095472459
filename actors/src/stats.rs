//! Everything that is counted: for the summary line, the bench, the status and Prometheus.
//!
//! `names` is the one table of all metrics: name, type, unit, labels, buckets and help. From it come the fields of
//! [`Stats`], which actors and threads write, [`Snapshot`], which anyone may take, and [`CATALOGUE`], from which metrics are
//! described, exported and documented. Nothing is registered at run time, so that counting is one atomic addition; it is done
//! once per message, batch, move or game, never per leaf.
//!
//! - `cell`: counters and gauges
//! - `clock`: a clock that only goes forward
//! - `histogram`: distributions
//! - `metric`: what is known of a metric beside its value
//! - `sampler`: times some of what happens often
//! - `table`: turns the table into code
//! - `names`: the table

mod cell;
mod clock;
mod histogram;
mod metric;
mod names;
mod sampler;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use self::sampler::Sampler;
pub use self::{
    cell::{Counter, Elapsed, Gauge, Moment, Share},
    clock::monotonic_ms,
    histogram::{Bucket, Distribution, Histogram, MOST_BUCKETS},
    metric::{Kind, Metric, PREFIX, Row, Unit, Value},
    names::{CATALOGUE, Snapshot, Stats},
};
