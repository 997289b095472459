//! The dashboards are readable: what a user of Grafana expects of every panel.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::files::{self, Query, list, text};

/// Left, top, right and bottom edge in the grid.
fn edges(panel: &Value) -> [u64; 4] {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    [x, y, x + w, y + h]
}

#[test]
fn panels_are_unique_and_do_not_overlap() {
    files::boards().iter().for_each(unique_and_apart);
}

fn unique_and_apart(dashboard: &Value) {
    let all = list(dashboard, "panels");
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "identifiers are unique");
    for (place, panel) in all.iter().enumerate() {
        let [left, top, right, bottom] = edges(panel);
        assert!(right <= 24 && left < right && top < bottom, "{}", text(panel, "title"));
        for other in &all[..place] {
            let [other_left, other_top, other_right, other_bottom] = edges(other);
            let apart = right <= other_left || other_right <= left || bottom <= other_top || other_bottom <= top;
            assert!(apart, "{:?} lies on {:?}", text(panel, "title"), text(other, "title"));
        }
    }
}

#[test]
fn every_panel_has_a_description_a_unit_a_legend_and_the_chosen_daemons() {
    for panel in files::boards().iter().flat_map(files::panels) {
        let title = text(panel, "title");
        assert!(text(panel, "description").ends_with('.'), "{title}: what it shows, in sentences");
        assert_eq!(panel["datasource"], json!({"type": "prometheus", "uid": "${datasource}"}), "{title}");
        let table = panel["type"] == "table";
        assert!(table || panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: a unit");
        let targets = list(panel, "targets");
        assert!(!targets.is_empty(), "{title}");
        let refs: BTreeSet<_> = targets.iter().map(|target| text(target, "refId")).collect();
        assert_eq!(refs.len(), targets.len(), "{title}: each query has a name of its own");
        for target in targets {
            assert!(table || !text(target, "legendFormat").is_empty(), "{title}: a legend");
        }
    }
    for Query { place, expr } in files::panel_queries() {
        for selector in crate::promql::selectors(&expr) {
            for label in ["job", "instance"] {
                let chosen = (label.to_owned(), "=~".to_owned(), format!("${label}"));
                assert!(selector.matchers.contains(&chosen), "{place}: {} ignores what is chosen", selector.name);
            }
        }
    }
}

#[test]
fn one_or_many_daemons_can_be_chosen() {
    files::boards().iter().for_each(can_be_chosen);
}

fn can_be_chosen(dashboard: &Value) {
    let variables = list(&dashboard["templating"], "list");
    let names: Vec<_> = variables.iter().map(|variable| text(variable, "name")).collect();
    assert_eq!(names, ["datasource", "job", "instance"]);
    for variable in &variables[1..] {
        assert_eq!((&variable["multi"], &variable["includeAll"]), (&json!(true), &json!(true)), "{variable}");
    }
}

#[test]
fn descriptions_name_only_alerts_that_exist() {
    let alerts: BTreeSet<_> = files::alerts().into_iter().map(|(name, _)| name).collect();
    let boards = files::boards();
    let said = boards.iter().flat_map(files::panels).flat_map(|panel| {
        text(panel, "description")
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.starts_with("Selfplayd"))
    });
    let said: BTreeSet<_> = said.map(str::to_owned).collect();
    assert!(said.len() > 10 && said.is_subset(&alerts), "{:?}", said.difference(&alerts));
}
