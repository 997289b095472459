//! Prometheus's own checks, and the unit tests of the alerts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    files::{self, list, text},
    programs::{DASHBOARDS, installed, said, succeed},
};

const UNIT_TESTS: [&str; 4] =
    ["selfplayd.test.yml", "selfplayd-causes.test.yml", "selfplayd-quality.test.yml", "selfplayd-fleet.test.yml"];

#[test]
fn the_configuration_and_the_rules_are_valid() {
    let Some(mut promtool) = installed("promtool", "Prometheus's configuration and rules") else { return };
    let output =
        succeed(promtool.args(["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"]), DASHBOARDS);
    assert!(said(&output).contains(&format!("{} rules found", files::rules().len())), "{}", said(&output));
}

/// Runs one file of unit tests. Each file has a test of its own, as they take their time on a busy machine.
fn pass(file: &str) {
    let Some(mut promtool) = installed("promtool", "the alerts") else { return };
    succeed(promtool.args(["test", "rules", file]), "dashboards/rules");
}

#[test]
fn the_alerts_pass_their_unit_tests() {
    pass(UNIT_TESTS[0]);
}

#[test]
fn one_cause_raises_one_alert() {
    pass(UNIT_TESTS[1]);
}

#[test]
fn the_alerts_about_data_pass_their_unit_tests() {
    pass(UNIT_TESTS[2]);
}

#[test]
fn the_alerts_about_fleets_pass_their_unit_tests() {
    pass(UNIT_TESTS[3]);
}

/// Alerts by whether a unit test expects them.
fn tested(expected: bool) -> BTreeSet<String> {
    let files = UNIT_TESTS.map(|file| files::yaml(&format!("dashboards/rules/{file}")));
    let tests = files.iter().flat_map(|file| list(file, "tests")).flat_map(|test| list(test, "alert_rule_test"));
    tests
        .filter(|test| list(test, "exp_alerts").is_empty() != expected)
        .map(|test| text(test, "alertname").to_owned())
        .collect()
}

#[test]
fn every_alert_has_a_unit_test_that_it_fires_and_one_that_it_does_not() {
    let alerts: BTreeSet<_> = files::alerts().into_iter().map(|(name, _)| name).collect();
    assert_eq!(tested(true), alerts);
    assert_eq!(tested(false), alerts);
}

#[test]
fn every_alert_tells_how_bad_it_is_and_what_to_do() {
    let runbook = files::read("docs/runbook.md");
    let sections: BTreeSet<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = files::alerts();
    for (name, rule) in &alerts {
        let annotations = &rule["annotations"];
        let severity = rule["labels"]["severity"].as_str();
        assert!(severity.is_some_and(|it| ["critical", "warning", "info"].contains(&it)), "{name}: {severity:?}");
        for key in ["summary", "description"] {
            let said = annotations[key].as_str().filter(|said| said.contains("$labels.instance"));
            assert!(said.is_some(), "{name}: its {key} must name the daemon: {}", annotations[key]);
        }
        assert_eq!(
            annotations["runbook_url"],
            Value::from(format!("docs/runbook.md#{}", name.to_lowercase())),
            "{name}"
        );
        assert!(sections.contains(name.as_str()), "docs/runbook.md has no section {name}");
    }
    let names: BTreeSet<_> = alerts.iter().map(|(name, _)| name.as_str()).collect();
    let stale: Vec<_> =
        sections.iter().filter(|section| section.starts_with("Selfplayd") && !names.contains(*section)).collect();
    assert!(stale.is_empty(), "docs/runbook.md has sections without an alert: {stale:?}");
}
