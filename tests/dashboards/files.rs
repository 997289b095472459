//! The dashboards' panels and the rules, read from their files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// A file of this repository.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of this repository.
pub(crate) fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A YAML file of this repository.
pub(crate) fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The elements of the list `key` of `value`; none where there is no such list.
pub(crate) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The text `key` of `value`.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

/// Where the dashboards are: of daemons, and of fleets.
pub(crate) const BOARDS: [&str; 2] = ["dashboards/selfplayd.json", "dashboards/fleet.json"];

/// The dashboards.
pub(crate) fn boards() -> [Value; 2] {
    BOARDS.map(|board| serde_json::from_str(&read(board)).unwrap_or_else(|error| panic!("{board}: {error}")))
}

/// All panels of a dashboard but the rows.
pub(crate) fn panels(dashboard: &Value) -> Vec<&Value> {
    let outer = list(dashboard, "panels").iter();
    outer
        .flat_map(|panel| [panel].into_iter().chain(list(panel, "panels")))
        .filter(|panel| panel["type"] != "row")
        .collect()
}

/// An expression, and where it stands.
#[derive(Debug)]
pub(crate) struct Query {
    /// For people.
    pub(crate) place: String,
    /// As it is written in the file.
    pub(crate) expr: String,
}

/// The expressions of all panels and annotations.
pub(crate) fn panel_queries() -> Vec<Query> {
    boards().iter().flat_map(queries).collect()
}

fn queries(dashboard: &Value) -> Vec<Query> {
    let panels = panels(dashboard);
    let of_panels = panels.iter().flat_map(|panel| {
        list(panel, "targets").iter().map(|target| Query {
            place: format!("panel {:?}, query {}", text(panel, "title"), text(target, "refId")),
            expr: text(target, "expr").to_owned(),
        })
    });
    let of_annotations = list(&dashboard["annotations"], "list").iter().map(|annotation| Query {
        place: format!("annotation {:?}", text(annotation, "name")),
        expr: text(annotation, "expr").to_owned(),
    });
    of_panels.chain(of_annotations).collect()
}

/// Where the rules are.
pub(crate) const RULES: &str = "dashboards/rules/selfplayd.rules.yml";

/// A rule.
#[derive(Debug)]
pub(crate) enum Rule {
    /// Records an expression under a name.
    Recording(Query),
    /// Raises an alert of this name.
    Alert(String, Query, Value),
}

impl Rule {
    /// Its expression.
    pub(crate) fn query(&self) -> &Query {
        match self {
            Self::Recording(query) | Self::Alert(_, query, _) => query,
        }
    }
}

/// All rules.
pub(crate) fn rules() -> Vec<Rule> {
    let file = yaml(RULES);
    let rules = list(&file, "groups").iter().flat_map(|group| list(group, "rules"));
    rules
        .map(|rule| {
            let expr = text(rule, "expr").to_owned();
            match rule["alert"].as_str() {
                Some(name) => {
                    Rule::Alert(name.to_owned(), Query { place: format!("alert {name}"), expr }, rule.clone())
                }
                None => Rule::Recording(Query { place: text(rule, "record").to_owned(), expr }),
            }
        })
        .collect()
}

/// Names under which rules record.
pub(crate) fn recorded() -> Vec<String> {
    let name = |rule| match rule {
        Rule::Recording(query) => Some(query.place),
        Rule::Alert(..) => None,
    };
    rules().into_iter().filter_map(name).collect()
}

/// All alerts with their rules.
pub(crate) fn alerts() -> Vec<(String, Value)> {
    let alert = |rule| match rule {
        Rule::Alert(name, _, rule) => Some((name, rule)),
        Rule::Recording(_) => None,
    };
    rules().into_iter().filter_map(alert).collect()
}
