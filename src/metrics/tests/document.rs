//! `docs/metrics.md` is the catalogue as a table, and the metrics of a hub as another.

use std::{fmt::Write as _, path::Path};

use selfplay_actors::stats::{CATALOGUE, Kind, Metric};

use crate::hub::METRICS;

/// Set to anything, the test writes the file instead of checking it.
const UPDATE: &str = "SELFPLAYD_UPDATE_DOCS";

const HEAD: &str = "\
# Metrics

What `GET /metrics` answers, in the text format of Prometheus. Generated from the one table in `actors/src/stats/names.rs`, and for a
[hub](#metrics-of-a-hub) from that in `src/hub/metrics.rs`: to change it, change those and run `SELFPLAYD_UPDATE_DOCS=1 cargo test --workspace --lib metrics`.

Counters count from the start of the process. Labels have the values listed and no others; where none are listed, they are known
only at run time. No label names a game, a thread or a model version.

| name | type | unit | labels | what it says |
|---|---|---|---|---|
";

const BUCKETS: &str = "
## Buckets

Upper bounds of the histograms' buckets, each inclusive, in the metric's unit; one more takes what is above the last.

";

const HUB: &str = "
## Metrics of a hub

What `GET /metrics` of `selfplayd fleet hub` answers, and nothing else. Rows of workers are there for those of whom something is known.

| name | type | labels | what it says |
|---|---|---|---|
";

fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for metric in CATALOGUE {
        let Metric { name, kind, unit, help, .. } = metric;
        writeln!(text, "| `{name}` | {} | {unit} | {} | {help} |", kind.name(), labels(metric)).unwrap();
    }
    text.push_str(BUCKETS);
    for metric in CATALOGUE.iter().filter(|metric| metric.kind == Kind::Histogram) {
        let bounds: Vec<_> = metric.bounds.iter().map(f64::to_string).collect();
        writeln!(text, "- `{}`: {}", metric.name, bounds.join(", ")).unwrap();
    }
    text.push_str(HUB);
    for metric in &METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(text, "| `{}` | {} | {} | {} |", metric.name, metric.kind, labels.join("; "), metric.help).unwrap();
    }
    text
}

fn labels(metric: &Metric) -> String {
    let label = |(name, values): (&str, Vec<&str>)| match values.is_empty() {
        true => format!("`{name}`"),
        false => format!("`{name}`: {}", values.join(", ")),
    };
    metric.labels().into_iter().map(label).collect::<Vec<_>>().join("; ")
}

#[test]
fn the_document_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == markdown(),
        "docs/metrics.md is not what the catalogue says: run `{UPDATE}=1 cargo test --workspace --lib metrics`"
    );
}
