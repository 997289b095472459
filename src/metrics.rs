//! Metrics for Prometheus: what `GET /metrics` answers.
//!
//! The numbers are kept by [`Stats`] and named by its [`CATALOGUE`]; a scrape reads them and writes them down with the
//! exporter crate's formatting. There is no recorder between: it would keep counters as whole numbers, so that seconds lose
//! their fractions, and pile up observations of histograms until the next scrape. What is not in [`Stats`] comes from *feeds*,
//! each asked once per scrape: restarts from [`Health`], what is known of the process, and what others bring.

mod feeds;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use metrics::{Key, Label};
use metrics_exporter_prometheus::{
    LabelSet,
    formatting::{write_help_line, write_metric_line, write_type_line},
};
use selfplay_actors::{
    health::Health,
    stats::{CATALOGUE, Distribution, Metric, Stats, Value},
};

pub(crate) use self::feeds::{About, time};

/// Brings rows of metrics that are kept elsewhere. Must not block: it runs within a scrape.
pub(crate) type Feed = Box<dyn Fn(&mut Samples) + Send + Sync>;

/// Writes all metrics down on request. May be asked from any thread.
pub(crate) struct Exporter {
    stats: Arc<Stats>,
    feeds: Vec<Feed>,
    /// Labels of the rows of each metric of the catalogue, in its order.
    labels: Vec<Vec<LabelSet>>,
}

impl Exporter {
    /// Of what `stats` and `health` count, and what there is to say `about` this process.
    pub(crate) fn new(stats: Arc<Stats>, health: Arc<Health>, about: About) -> Self {
        let labels = |metric: &Metric| metric.rows.iter().map(|row| label_set(row.labels)).collect();
        Self { feeds: feeds::feeds(&stats, health, about), stats, labels: CATALOGUE.iter().map(labels).collect() }
    }

    /// Brings what is counted elsewhere, under names of the catalogue.
    pub(crate) fn with(mut self, feed: Feed) -> Self {
        self.feeds.push(feed);
        self
    }

    /// All metrics in the text format of Prometheus 0.0.4. Takes well under a millisecond and blocks no game.
    pub(crate) fn render(&self) -> String {
        let mut samples = Samples::default();
        self.feeds.iter().for_each(|feed| feed(&mut samples));
        let mut text = String::with_capacity(64 * 1024);
        for (metric, labels) in CATALOGUE.iter().zip(&self.labels) {
            write_help_line(&mut text, metric.name, None, None, metric.help);
            write_type_line(&mut text, metric.name, None, None, metric.kind.name());
            for (row, labels) in metric.rows.iter().zip(labels) {
                match (row.read)(&self.stats) {
                    Value::Histogram(histogram) => write_distribution(&mut text, metric.name, labels, &histogram.get()),
                    value => write_number(&mut text, metric.name, labels, metric.number(value)),
                }
            }
            for (labels, number) in samples.0.remove(metric.name).unwrap_or_default() {
                write_number(&mut text, metric.name, &labels, number);
            }
        }
        debug_assert!(samples.0.is_empty(), "not in the catalogue: {:?}", samples.0.keys());
        text
    }
}

/// Rows that feeds bring.
#[derive(Default)]
pub(crate) struct Samples(BTreeMap<&'static str, Vec<(LabelSet, f64)>>);

impl Samples {
    /// A row of a metric of the catalogue, in the metric's unit. What the catalogue does not know is not shown.
    pub(crate) fn push(&mut self, name: &'static str, labels: &[(&'static str, &str)], number: f64) {
        self.0.entry(name).or_default().push((label_set(labels), number));
    }
}

fn label_set(labels: &[(&'static str, &str)]) -> LabelSet {
    let labels = labels.iter().map(|&(name, value)| Label::new(name, value.to_owned())).collect::<Vec<_>>();
    LabelSet::from_key_and_global(&Key::from_parts("", labels), &Default::default())
}

/// Writes a metric that is no row of the catalogue: a counter or gauge, with its labels and numbers.
pub(crate) fn family(
    text: &mut String,
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    rows: &[(Vec<(&'static str, &str)>, f64)],
) {
    write_help_line(text, name, None, None, help);
    write_type_line(text, name, None, None, kind);
    for (labels, number) in rows {
        write_number(text, name, &label_set(labels), *number);
    }
}

fn write_number(text: &mut String, name: &str, labels: &LabelSet, number: f64) {
    write_metric_line::<f64, f64>(text, name, None, labels, None, number, None);
}

fn write_distribution(text: &mut String, name: &str, labels: &LabelSet, distribution: &Distribution) {
    let mut count = 0;
    for bucket in distribution.buckets() {
        count += bucket.count;
        let le = bucket.le.map_or_else(|| "+Inf".to_owned(), |le| le.to_string());
        write_metric_line(text, name, Some("bucket"), labels, Some(("le", le)), count, None);
    }
    write_metric_line::<f64, f64>(text, name, Some("sum"), labels, None, distribution.sum(), None);
    write_metric_line::<f64, u64>(text, name, Some("count"), labels, None, count, None);
}
