//! A fleet's status for people, on a terminal.

use selfplay_fleet::presence::OutboxState;

use super::status::{FleetStatus, WorkerStatus};
use crate::{
    status::Verdict,
    words::{bytes, duration},
};

/// Width of the first column.
const NAMES: usize = 12;

/// Heads of the columns of workers.
const HEADS: [&str; 8] = ["worker", "last word", "model", "newest", "games", "games/s", "sims/s", "outbox"];

/// The status, with a line for each worker.
pub(crate) fn table(status: &FleetStatus) -> String {
    let mut lines = vec![format!(
        "selfplayd {}, hub of run {}, process {}, up {}",
        status.version,
        status.run,
        status.pid,
        duration(status.uptime_seconds)
    )];
    let mut line = |name: &str, text: String| lines.push(format!("{name:NAMES$} {text}"));
    line("healthy", verdict(&status.health));
    line("ready", verdict(&status.ready));
    status.warnings.iter().for_each(|warning| line("warning", warning.clone()));
    if let Some(part) = &status.collector {
        line("games", games(status));
        let lag = match (part.frames_waiting, part.frames_in_hand) {
            (Some(0), Some(0)) => "nothing waits at the broker".to_owned(),
            (Some(waiting), Some(in_hand)) => format!("{waiting} frames wait at the broker, {in_hand} are in hand"),
            _ => "the broker has not said how many frames wait".to_owned(),
        };
        line("collector", format!("{lag}; it is {}", part.link.words));
    }
    if let Some(part) = &status.publisher {
        let since = (part.stage != "everywhere").then(|| format!(", for {}", duration(part.stage_seconds)));
        line("roll-out", format!("{}{}", part.rollout, since.unwrap_or_default()));
        if !part.waits_for.is_empty() {
            line("", format!("waits for {}", part.waits_for.join(", ")));
        }
        if let Some(model) = part.uploading {
            line("", format!("model {model} is on its way to the broker"));
        }
        line("publisher", format!("it is {}", part.link.words));
    }
    for child in &status.children {
        let restarts = child.restarts;
        let total = restarts.panic + restarts.error + restarts.stopped + restarts.hang;
        if let Some(last) = child.last_exit.as_ref().filter(|_| total > 0) {
            line("trouble", format!("{} ({}): {total} restarts, the last: {last}", child.name, child.state));
        }
    }
    if status.workers.is_empty() {
        line("workers", "none: `selfplayd fleet add-worker NAME` makes one".to_owned());
    } else {
        lines.push(String::new());
        lines.extend(workers(&status.workers));
    }
    lines.join("\n")
}

/// The status in a line.
pub(super) fn in_a_line(status: &FleetStatus) -> String {
    let there = status.workers.iter().filter(|worker| worker.present == Some(true)).count();
    let workers = status.publisher.as_ref().map(|part| format!("{there} workers, {}", part.rollout));
    let games = status.collector.as_ref().map(|_| format!("{:.2} games/s", status.games_per_second));
    let reasons = (!status.ready.ok).then(|| status.ready.reasons.join("; "));
    [workers, games, reasons].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn games(status: &FleetStatus) -> String {
    let FleetStatus { games, games_refused, games_per_second, .. } = status;
    let refused = if *games_refused > 0 { format!(", {games_refused} refused") } else { String::new() };
    let folder = status.collector.as_ref().map(|part| part.ready.as_str()).unwrap_or_default();
    format!("{games_per_second:.2} a second; {games} in all{refused}, into {folder}")
}

fn verdict(verdict: &Verdict) -> String {
    if verdict.ok { "yes".to_owned() } else { format!("no: {}", verdict.reasons.join("; ")) }
}

/// The table of workers.
fn workers(workers: &[WorkerStatus]) -> Vec<String> {
    let rows: Vec<_> = workers.iter().map(row).collect();
    let heads = HEADS.map(str::to_owned);
    let widths: Vec<_> = (0..HEADS.len())
        .map(|column| rows.iter().chain([&heads]).map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let text = |row: &[String; 8]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if column == 0 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    [&heads].into_iter().chain(&rows).map(text).collect()
}

fn row(worker: &WorkerStatus) -> [String; 8] {
    let none = || "-".to_owned();
    let last_word = match (worker.last_word_seconds, worker.present) {
        (Some(seconds), _) => duration(seconds),
        (None, None) => none(),
        (None, Some(_)) => "not there".to_owned(),
    };
    let newest = match (worker.newest, worker.standing.as_deref()) {
        (Some(model), Some(standing)) => {
            let word = if standing.starts_with("bad") { "bad" } else { standing };
            format!("{model} {word}")
        }
        _ => none(),
    };
    let outbox = |OutboxState { bytes: waits, most_bytes, .. }: OutboxState| {
        format!("{} of {}", bytes(waits), bytes(most_bytes))
    };
    [
        worker.name.clone(),
        last_word,
        worker.model.map_or_else(none, |model| model.to_string()),
        newest,
        worker.games.to_string(),
        format!("{:.2}", worker.games_per_second),
        worker.simulations_per_second.map_or_else(none, |speed| format!("{speed:.0}")),
        worker.outbox.map_or_else(none, outbox),
    ]
}
