//! What changes in a fleet, for the log: each change once.

use std::collections::BTreeMap;

use super::status::{FleetStatus, WorkerStatus};

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Whether a person should look at it.
    pub warns: bool,
    /// What happened.
    pub text: String,
}

impl Line {
    /// Puts it into the log.
    pub(super) fn log(&self) {
        if self.warns {
            tracing::warn!("{}", self.text);
        } else {
            tracing::info!("{}", self.text);
        }
    }
}

/// What is news after `before`; nothing for the first look but what is wrong.
pub(super) fn news(before: Option<&FleetStatus>, now: &FleetStatus) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |warns: bool, text: String| lines.push(Line { warns, text });
    links(before, now, &mut line);
    let was = |status: &FleetStatus| status.publisher.as_ref().map(|part| part.rollout.clone());
    if let Some(part) = &now.publisher
        && before.and_then(was).as_ref() != Some(&part.rollout)
    {
        line(part.stage == "withdrawn", format!("roll-out: {}", part.rollout));
    }
    if let (Some(now), before) = (&now.collector, before.and_then(|before| before.collector.as_ref())) {
        if now.collects && !before.is_some_and(|before| before.collects) {
            line(false, format!("games are collected into {}", now.ready));
        }
        if let Some(more) = now.messages_refused.checked_sub(before.map_or(0, |before| before.messages_refused))
            && more > 0
        {
            let text = format!("{more} messages were no frames of this fleet; see tmp/fleet/rejected in the folder");
            line(true, text);
        }
    }
    let empty = BTreeMap::new();
    let earlier: BTreeMap<_, _> = before.map_or(empty, |before| {
        before.workers.iter().map(|worker| (&*worker.name, worker)).collect::<BTreeMap<_, _>>()
    });
    for worker in &now.workers {
        of_worker(earlier.get(&*worker.name).copied(), worker, &mut line);
    }
    let (were, are) = (before.map(troubles).unwrap_or_default(), troubles(now));
    are.iter().filter(|words| !were.contains(words)).for_each(|words| line(true, (*words).to_owned()));
    if !were.is_empty() && are.is_empty() {
        line(false, "what was wrong has passed".to_owned());
    }
    lines
}

/// What is wrong with the hub itself.
fn troubles(status: &FleetStatus) -> Vec<&str> {
    let collector = status.collector.iter().flat_map(|part| &part.troubles);
    let publisher = status.publisher.iter().flat_map(|part| &part.troubles);
    collector.chain(publisher).map(String::as_str).collect()
}

fn links(before: Option<&FleetStatus>, now: &FleetStatus, line: &mut impl FnMut(bool, String)) {
    let of = |status: &FleetStatus| {
        let collector = status.collector.as_ref().map(|part| part.link.clone());
        let publisher = status.publisher.as_ref().map(|part| part.link.clone());
        [("collector", collector), ("publisher", publisher)]
    };
    let earlier = before.map(of);
    for (place, (part, link)) in of(now).into_iter().enumerate() {
        let Some(link) = link else { continue };
        let was_up = earlier.as_ref().and_then(|earlier| earlier[place].1.as_ref()).map(|link| link.up);
        // The first moments belong to the start.
        if was_up != Some(link.up) && (link.up || was_up.is_some()) {
            line(!link.up, format!("the {part} is {}", link.words));
        }
    }
}

fn of_worker(before: Option<&WorkerStatus>, now: &WorkerStatus, line: &mut impl FnMut(bool, String)) {
    let WorkerStatus { name, .. } = now;
    let was_there = before.is_some_and(|before| before.present == Some(true));
    match (was_there, now.present == Some(true)) {
        (false, true) => {
            let version = now.version.as_ref().map(|version| format!(", selfplayd {version}")).unwrap_or_default();
            line(false, format!("worker {name} is there{version}"));
        }
        (true, false) => line(true, format!("worker {name} is not there any more")),
        _ => {}
    }
    let was = |what: fn(&WorkerStatus) -> &Option<String>| before.and_then(|before| what(before).clone());
    // The words may hold figures that grow.
    match (was(|worker| &worker.blocked), &now.blocked) {
        (None, Some(words)) => line(true, format!("worker {name} starts no new games: {words}")),
        (Some(_), None) if now.present == Some(true) => line(false, format!("worker {name} starts new games again")),
        _ => {}
    }
    if let Some(standing) = now.standing.as_ref().filter(|standing| standing.starts_with("bad"))
        && was(|worker| &worker.standing).as_ref() != Some(standing)
    {
        let model = now.newest.map_or_else(String::new, |model| model.to_string());
        line(true, format!("worker {name} finds model {model} {standing}"));
    }
    if let Some(reason) = &now.refusal
        && before.is_some()
        && was(|worker| &worker.refusal).as_ref() != Some(reason)
    {
        line(true, format!("a game of worker {name} was refused: {reason}"));
    }
}
