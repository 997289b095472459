//! What is known of a metric beside its value.

use std::fmt;

use super::{Stats, histogram::Histogram};

/// What the names of all metrics of this program begin with; those about the process by themselves begin with `process_`.
pub const PREFIX: &str = "selfplayd_";

/// The types of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// May fall.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl Kind {
    /// Its name in the exposition format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Games.
    Games,
    /// Plies.
    Plies,
    /// Moves, plies with a search behind them among others.
    Moves,
    /// Simulations.
    Simulations,
    /// Positions to be evaluated.
    Leaves,
    /// Nodes of a search tree.
    Nodes,
    /// Visits of a node.
    Visits,
    /// Requests.
    Requests,
    /// Batches.
    Batches,
    /// Entries of the cache.
    Entries,
    /// Models, or their versions.
    Models,
    /// Model versions apart.
    Versions,
    /// Threads.
    Threads,
    /// Anything else that is counted.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Natural units of information.
    Nats,
    /// Differences in playing strength.
    Elo,
    /// A share, 0 to 1.
    Ratio,
    /// 1 for yes, 0 for no.
    Switch,
    /// Always 1: the labels are what it says.
    Info,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Games => "games",
            Self::Plies => "plies",
            Self::Moves => "moves",
            Self::Simulations => "simulations",
            Self::Leaves => "positions",
            Self::Nodes => "nodes",
            Self::Visits => "visits",
            Self::Requests => "requests",
            Self::Batches => "batches",
            Self::Entries => "entries",
            Self::Models => "models",
            Self::Versions => "versions",
            Self::Threads => "threads",
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Nats => "nats",
            Self::Elo => "Elo",
            Self::Ratio => "ratio",
            Self::Switch => "0 or 1",
            Self::Info => "1",
        })
    }
}

/// A metric: one name with one or more rows.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is measured in.
    pub unit: Unit,
    /// What it says, in one sentence or two.
    pub help: &'static str,
    /// Upper bounds of its buckets; empty unless it is a histogram.
    pub bounds: &'static [f64],
    /// One per combination of label values; empty when [`Stats`] does not hold it.
    pub rows: &'static [Row],
    /// Labels of a metric that [`Stats`] does not hold.
    pub elsewhere: &'static [&'static str],
}

/// One time series.
#[derive(Clone, Copy)]
pub struct Row {
    /// Names of labels and their values.
    pub labels: &'static [(&'static str, &'static str)],
    /// Reads it.
    pub read: fn(&Stats) -> Value<'_>,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Row").field(&self.labels).finish()
    }
}

/// A value as it is kept.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Of a counter; of seconds, nanoseconds.
    Counter(u64),
    /// Of a gauge; of seconds, milliseconds since 1970.
    Gauge(i64),
    /// Of a histogram, in the metric's unit.
    Histogram(&'a Histogram),
}

impl Metric {
    /// A counter's or gauge's value in the metric's unit, and a histogram's number of observations.
    #[must_use]
    pub fn number(&self, value: Value<'_>) -> f64 {
        let seconds = self.unit == Unit::Seconds;
        match value {
            Value::Counter(nanoseconds) if seconds => nanoseconds as f64 / 1e9,
            Value::Gauge(milliseconds) if seconds => milliseconds as f64 / 1e3,
            Value::Counter(count) => count as f64,
            Value::Gauge(number) => number as f64,
            Value::Histogram(histogram) => histogram.get().count() as f64,
        }
    }

    /// Its labels, each with the values it may have; without values, when those are known only at run time.
    #[must_use]
    pub fn labels(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut labels: Vec<_> = self.elsewhere.iter().map(|&name| (name, Vec::new())).collect();
        for &(name, value) in self.rows.iter().flat_map(|row| row.labels) {
            match labels.iter_mut().find(|(known, _)| *known == name) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => labels.push((name, vec![value])),
            }
        }
        labels
    }
}
