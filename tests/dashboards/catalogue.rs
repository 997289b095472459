//! Nothing is shown that is not counted, and what is counted is shown.

use std::{collections::BTreeSet, sync::LazyLock};

use selfplay_actors::stats::{CATALOGUE, Kind};

use crate::{
    files::{self, Query},
    promql::{self, Selector},
};

/// Metrics that no dashboard shows, deliberately.
const NOT_SHOWN: [(&str, &str); 7] = [
    ("process_virtual_memory_max_bytes", "no limit is set on almost every machine"),
    ("selfplayd_batch_games", "the dashboard is of daemons without an end"),
    ("selfplayd_batch_left_seconds", "the same"),
    ("selfplayd_cache_capacity_entries", "rarely set; evictions show what it costs"),
    ("selfplayd_http_refused_total", "nothing of play: for an alert where the daemon can be reached from outside"),
    ("selfplayd_model_looks_total", "reloads are shown by outcome; for the alert where the hand-over fails"),
    ("selfplayd_run_info", "to be joined to others by instance: its labels are names and paths"),
];

/// Time series that Prometheus makes itself.
const OF_PROMETHEUS: [&str; 2] = ["up", "ALERTS"];

/// Labels that Prometheus adds to every time series.
const OF_TARGETS: [&str; 2] = ["job", "instance"];

/// A metric of a daemon or of a hub.
#[derive(Clone, Debug)]
struct Metric {
    name: String,
    is_histogram: bool,
    /// Its labels, with the values of those that have no others.
    labels: Vec<(String, Vec<String>)>,
}

/// All metrics. Those of a hub are a list within the program, of which `docs/metrics.md` is made.
static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let owned = |(name, values): (&str, Vec<&str>)| (name.to_owned(), values.into_iter().map(str::to_owned).collect());
    let of_daemons = CATALOGUE.iter().map(|metric| Metric {
        name: metric.name.to_owned(),
        is_histogram: metric.kind == Kind::Histogram,
        labels: metric.labels().into_iter().map(owned).collect(),
    });
    let document = files::read("docs/metrics.md");
    let (_, table) = document.split_once("\n## Metrics of a hub\n").unwrap();
    let of_hubs = table.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| `")?.split(" | ").collect();
        let names = cells[2].split("; ").map(|label| label.trim_matches(['`', ' '])).filter(|label| !label.is_empty());
        let labels = names.map(|label| (label.to_owned(), Vec::new())).collect();
        Some(Metric { name: cells[0].trim_end_matches('`').to_owned(), is_histogram: false, labels })
    });
    of_daemons.chain(of_hubs).collect()
});

/// The metric that `name` is a time series of.
fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| match metric.is_histogram {
        true => name.strip_prefix(&metric.name).is_some_and(|series| ["_bucket", "_sum", "_count"].contains(&series)),
        false => name == metric.name,
    })
}

fn queries() -> Vec<Query> {
    let rules = files::rules();
    let of_rules = rules.iter().map(|rule| {
        let Query { place, expr } = rule.query();
        Query { place: place.clone(), expr: expr.clone() }
    });
    files::panel_queries().into_iter().chain(of_rules).collect()
}

/// What is wrong with `selector`, in words.
fn mistake(selector: &Selector, recorded: &[String]) -> Option<String> {
    let Selector { name, matchers } = selector;
    if OF_PROMETHEUS.contains(&name.as_str()) || recorded.contains(name) {
        return None;
    }
    let Some(metric) = metric(name) else { return Some(format!("there is no metric {name}")) };
    let labels = &metric.labels;
    matchers.iter().filter(|(label, ..)| !OF_TARGETS.contains(&label.as_str())).find_map(|(label, operator, value)| {
        let Some((_, values)) = labels.iter().find(|(known, _)| known == label) else {
            return Some(format!("{name} has no label {label}"));
        };
        let mut wanted = value.split('|').filter(|_| !values.is_empty());
        wanted
            .find(|wanted| !values.iter().any(|value| value == wanted))
            .map(|wanted| format!("{name} is never {label}{operator}{wanted}"))
    })
}

#[test]
fn panels_and_rules_refer_to_declared_metrics_labels_and_values() {
    let recorded = files::recorded();
    let mistakes: Vec<_> = queries()
        .iter()
        .flat_map(|Query { place, expr }| {
            let mistakes = promql::selectors(expr).into_iter().filter_map(|selector| mistake(&selector, &recorded));
            mistakes.map(|mistake| format!("{place}: {mistake}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

#[test]
fn every_declared_metric_is_shown_or_deliberately_not() {
    let selectors: Vec<_> = files::panel_queries().iter().flat_map(|query| promql::selectors(&query.expr)).collect();
    let shown: BTreeSet<_> =
        selectors.iter().filter_map(|selector| metric(&selector.name)).map(|metric| metric.name.as_str()).collect();
    let hidden: BTreeSet<_> = NOT_SHOWN.iter().map(|(name, _)| *name).collect();
    let all: BTreeSet<_> = METRICS.iter().map(|metric| metric.name.as_str()).collect();
    let missing: Vec<_> = all.iter().filter(|name| !shown.contains(*name) && !hidden.contains(*name)).collect();
    assert!(missing.is_empty(), "neither in a panel nor in NOT_SHOWN: {missing:?}");
    assert!(hidden.is_subset(&all), "not declared, but in NOT_SHOWN: {hidden:?}");
    assert!(hidden.is_disjoint(&shown), "shown, but in NOT_SHOWN: {hidden:?}");
}

#[test]
fn every_recorded_expression_is_used() {
    // By an alert, or for those who build dashboards of their own.
    const FOR_USERS: [&str; 5] = [
        "instance:selfplayd_games_finished:rate5m",
        "instance:selfplayd_evaluations:rate5m",
        "instance:selfplayd_simulations:rate5m",
        "instance:selfplayd_batch_size:mean5m",
        "instance:selfplayd_cache_hits:ratio_rate5m",
    ];
    let used: BTreeSet<_> =
        queries().iter().flat_map(|query| promql::selectors(&query.expr)).map(|selector| selector.name).collect();
    let unused: Vec<_> = files::recorded()
        .into_iter()
        .filter(|name| !used.contains(name) && !FOR_USERS.contains(&name.as_str()))
        .collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_wrong_name_label_or_value_is_found() {
    let mistake = |expr| promql::selectors(expr).iter().find_map(|selector| mistake(selector, &[]));
    assert_eq!(mistake("selfplayd_evaluations_total{outcome=\"ok\", job=\"x\"}"), None);
    assert!(mistake("selfplayd_evaluation_total").unwrap().contains("there is no metric"));
    assert!(
        mistake("selfplayd_batch_size").unwrap().contains("there is no metric"),
        "a histogram has no series of its own name"
    );
    assert_eq!(mistake("selfplayd_hub_connected{part=\"publisher\"}"), None);
    assert!(mistake("selfplayd_hub_connected{worker=\"w1\"}").unwrap().contains("no label worker"));
    assert!(mistake("selfplayd_evaluations_total{result=\"ok\"}").unwrap().contains("no label result"));
    assert!(mistake("selfplayd_evaluations_total{outcome=~\"ok|good\"}").unwrap().contains("outcome=~good"));
}
