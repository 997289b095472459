//! A real Prometheus scrapes real daemons and a real fleet, and every expression returns data.

use std::{
    io::Write as _,
    path::Path,
    process::Stdio,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::{
    files::{self, Rule},
    fleet::Fleet,
    programs::{broker, installed, said},
    prometheus::{JOB, Prometheus, get},
    promql::{operands, selectors, without_macros},
    site::Site,
    wait,
};

/// Longest wait for all expressions: rates need some scrapes, and rules some evaluations.
const DEADLINE: Duration = Duration::from_secs(120);

/// Selectors that match nothing in this test, with the reason.
const ABSENT: [(&str, &str); 2] = [
    ("ALERTS{alertname=~\"Selfplayd.+\", alertstate=\"firing\"", "no alert fires"),
    ("selfplayd_execution_provider_info{actual=~\"(cuda|tensorrt).*\"", "tests need no GPU"),
];

/// Beginnings of what is known only of a fleet.
const OF_FLEETS: [&str; 2] = ["selfplayd_hub_", "selfplayd_fleet_"];

/// Every expression that is to return data: whole panels, what rules record, what alerts look at, and every selector in them. Those
/// about fleets, or all others.
fn questions(about_fleets: bool) -> Vec<String> {
    let mut questions: Vec<_> = files::panel_queries()
        .into_iter()
        // They mark moments: most of the time there is nothing to mark.
        .filter(|query| !query.place.starts_with("annotation"))
        .map(|query| query.expr)
        .collect();
    for rule in files::rules() {
        match rule {
            Rule::Recording(query) => questions.extend([query.place, query.expr]),
            Rule::Alert(_, query, _) => questions.extend(operands(&query.expr)),
        }
    }
    let annotations = files::panel_queries().into_iter().map(|query| query.expr);
    let selectors: Vec<_> = questions.iter().cloned().chain(annotations).flat_map(|expr| selectors(&expr)).collect();
    questions.extend(selectors.iter().map(|selector| selector.expr()));
    questions.sort();
    questions.dedup();
    questions.retain(|question| !ABSENT.iter().any(|(absent, _)| question.starts_with(absent)));
    questions.retain(|question| OF_FLEETS.iter().any(|of_fleets| question.contains(of_fleets)) == about_fleets);
    questions
}

#[test]
fn every_panel_and_every_rule_returns_data_from_daemons_under_load() {
    let Some(program) = installed("prometheus", "the expressions of the dashboard and the rules") else { return };
    let site = Site::start(&["cpu", "auto"]);
    let prometheus = Prometheus::start(program, &site.addresses());
    answers(&prometheus, questions(false), 2, |version| site.publish(version));
}

#[test]
fn every_panel_and_every_rule_about_fleets_returns_data_from_one_under_load() {
    let Some(program) = installed("prometheus", "the expressions about fleets") else { return };
    let Some(broker) = broker("the expressions about fleets") else { return };
    let fleet = Fleet::start(broker);
    let prometheus = Prometheus::start(program, fleet.addresses());
    // One model more: a roll-out that is always underway proves nothing.
    answers(&prometheus, questions(true), 3, |version| {
        if version == 2 {
            fleet.publish(version)
        }
    });
}

/// Waits until all these `questions` have answers, and nothing is wrong with `targets` targets that are well. `publish` makes a
/// model.
fn answers(prometheus: &Prometheus, questions: Vec<String>, targets: usize, publish: impl Fn(u32)) {
    wait::until("all to be scraped", || (prometheus.ask("up == 1").len() == targets).then_some(()));
    let begun = Instant::now();
    // Nothing is ever sent: a receiver is a timer that lints allow.
    let (_sender, ticks) = mpsc::channel::<()>();
    let mut missing = questions;
    assert!(!missing.is_empty());
    let mut version = 1;
    while !missing.is_empty() {
        version += 1;
        publish(version);
        missing
            .retain(|question| !prometheus.ask(&without_macros(question, JOB)).iter().any(|value| value.is_finite()));
        let waited = begun.elapsed();
        let log = || prometheus.log();
        assert!(waited < DEADLINE, "no data after {waited:?} for\n{}\n{}", missing.join("\n"), log());
        ticks.recv_timeout(Duration::from_secs(2)).ok();
    }
    let alarmed = prometheus.ask("ALERTS{severity=\"critical\"}");
    assert!(alarmed.is_empty(), "what is well raises no critical alert: {alarmed:?}");
    let failing = prometheus.failing_rules();
    assert!(failing.is_empty(), "{failing:?}");
}

#[test]
fn what_the_daemon_says_passes_promtool() {
    let Some(mut promtool) = installed("promtool", "the metrics as Prometheus reads them") else { return };
    let site = Site::start(&["cpu"]);
    let metrics = get(site.addresses()[0], "/metrics").unwrap();
    let check = promtool.args(["check", "metrics"]).current_dir(Path::new("/"));
    let mut check = check.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    check.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}
