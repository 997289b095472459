//! Answers for people, on a terminal.

use selfplay_actors::{
    findings::LookOutcome,
    standings::{Decided, Newest, Playing, Standings},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    daemon::siblings::Sibling,
    learning::{TrainerStatus, Verdict as DataVerdict, VersionFigures},
    status::{CacheStatus, LearningStatus, Limit, Outcome, ResignCheck, State, Status, Verdict},
    words::{bytes, duration},
};

/// Width of the first column.
const NAMES: usize = 12;

/// The games in play, as far as they are drawn here.
#[derive(Debug, Deserialize)]
pub(super) struct Games {
    /// Which game it is, with its parameters.
    rules: String,
    games: Vec<Game>,
}

#[derive(Debug, Deserialize)]
struct Game {
    slot: u64,
    game: u64,
    ply: u64,
    to_move: u8,
    value: Option<f64>,
    model: Option<i64>,
}

/// The status in some twenty lines.
pub(super) fn status(status: &Status) -> String {
    let mut lines =
        vec![format!("selfplayd {}, process {}, up {}", status.version, status.pid, duration(status.uptime_seconds))];
    let run = &status.run;
    let from = run.model_source.as_ref().map(|source| format!(", models from {source}")).unwrap_or_default();
    let mut line = |name: &str, text: String| lines.push(format!("{name:NAMES$} {text}"));
    line("run", format!("{}: {}, games to {}{from}", run.name, run.rules, run.output_dir));
    for Sibling { pid, host, url, .. } in &status.siblings {
        let at = url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
        line("beside it", format!("process {pid} on {host}{at}, into the same directory"));
    }
    line("state", state(status));
    line("healthy", verdict(&status.health));
    line("ready", verdict(&status.ready));
    status.warnings.iter().for_each(|warning| line("warning", warning.clone()));
    if let Some(bottleneck) = &status.bottleneck {
        line("bottleneck", format!("{}: {}", bottleneck.kind, bottleneck.statement));
        if let Some(advice) = &bottleneck.advice {
            line("", advice.clone());
        }
    }
    let device = &status.device;
    let note = device.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    let precision = device.precision.as_ref().map(|precision| format!(" in {precision}")).unwrap_or_default();
    line("device", format!("{}{precision} (asked for {}{note})", device.actual, device.requested));
    line("model", model(status));
    if let Some(change) = &status.model.change {
        line("", change.to_string());
    }
    status.matches.iter().flat_map(matches).for_each(|words| line("matches", words));
    learned(&status.learning).into_iter().for_each(|words| line("learning", words));
    status.trainer.iter().for_each(|status| line("trainer", trainer(status)));
    let rates = &status.rates;
    line(
        "speed",
        format!(
            "{:.0} evaluations/s, {:.0} simulations/s, {:.2} games/s, {:.1} positions/s",
            rates.evaluations_per_s, rates.simulations_per_s, rates.games_per_s, rates.positions_per_s
        ),
    );
    let cache = &status.cache;
    line(
        "batches",
        format!(
            "mean {:.1}; {:.2} evaluations per simulation; the cache answers {:.1}% ({})",
            rates.mean_batch,
            rates.evaluations_per_simulation,
            100.0 * rates.cache_hit_rate,
            cache_words(cache)
        ),
    );
    line("games", games_line(status));
    line("disk", disk(status));
    status.fleet.iter().flat_map(fleet).for_each(|words| line("fleet", words));
    for threads in &status.threads {
        let shares: Vec<_> = threads
            .shares
            .iter()
            .map(|(activity, share)| format!("{} {:.0}%", activity_words(activity), 100.0 * share))
            .collect();
        line("threads", format!("{} x{}: {}", threads.role, threads.count, shares.join(", ")));
    }
    let mut troubled = false;
    for child in &status.children {
        let restarts = child.restarts;
        let total = restarts.panic + restarts.error + restarts.stopped + restarts.hang;
        if let Some(last) = child.last_exit.as_ref().filter(|_| total > 0) {
            let ago = child.last_exit_seconds_ago.map(|ago| format!(", {} ago", duration(ago))).unwrap_or_default();
            line("trouble", format!("{} ({}): {total} restarts, the last: {last}{ago}", child.name, child.state));
            troubled = true;
        }
    }
    for (lines, what, stream) in
        [(status.lost_lines.stderr, "the log", "error"), (status.lost_lines.stdout, "traces", "output")]
    {
        if lines > 0 {
            line("trouble", format!("{lines} lines of {what} were lost: standard {stream} did not take them"));
            troubled = true;
        }
    }
    if !troubled {
        line("trouble", "none".to_owned());
    }
    lines.join("\n")
}

/// What threads spend their time on, where its name tells only those who know the code.
fn activity_words(activity: &str) -> &str {
    match activity {
        "swap" => "no model in service",
        other => other,
    }
}

fn state(status: &Status) -> String {
    let control = &status.control_state;
    match status.state {
        State::Draining => "draining: it ends when the games in play are over".to_owned(),
        State::Starting => "starting".to_owned(),
        State::Paused if control.unloaded => {
            format!("paused for {}; the device is given back", duration(control.paused_seconds))
        }
        State::Paused => format!("paused for {}", duration(control.paused_seconds)),
        State::WaitingForModel => "waiting for a model".to_owned(),
        State::WriterBlocked => "blocked: finished games do not get to the disk, or not on to the trainer".to_owned(),
        State::Playing => match &status.batch {
            Some(batch) => format!("playing: {}", batch.words()),
            None => "playing".to_owned(),
        },
    }
}

fn verdict(verdict: &Verdict) -> String {
    if verdict.ok { "yes".to_owned() } else { format!("no: {}", verdict.reasons.join("; ")) }
}

fn model(status: &Status) -> String {
    let model = &status.model;
    let mut text = match (model.version, model.age_seconds) {
        (Some(version), Some(age)) => format!("version {version}, for {}", duration(age)),
        (Some(version), None) => format!("version {version}"),
        (None, _) => "none".to_owned(),
    };
    let newest = model.found.as_ref().filter(|found| found.is_trouble() && found.outcome != LookOutcome::Refused);
    if let Some(found) = newest {
        text.push_str(&format!("; {found}"));
    }
    if let Some(swap) = model.swaps.iter().find(|swap| swap.outcome != Outcome::Served) {
        let what = if swap.outcome == Outcome::Refused { "refused" } else { "withdrawn" };
        let which = swap.version.map(|version| format!(" version {version}")).unwrap_or_default();
        let why = swap.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let ago = duration((status.unix - swap.unix).max(0.0));
        text.push_str(&format!("; {what}{which} {ago} ago{why}"));
    }
    text
}

/// What matches beside play have shown, a line each.
fn matches(standings: &Standings) -> Vec<String> {
    let Standings { playing, newest, rated: _, gate, trouble } = standings;
    let mut lines = Vec::new();
    match newest {
        Some(Newest { version, elo, margin, against, score, .. }) => {
            let score =
                against.zip(*score).map(|(against, score)| format!("; {:.1}% against {against}", 100.0 * score));
            let score = score.unwrap_or_default();
            lines.push(format!(
                "version {version} is {elo:+.0} ± {margin:.0} Elo above search without a network{score}"
            ));
        }
        None if gate.is_none() && playing.is_none() => lines.push("none is over yet".to_owned()),
        None => {}
    }
    if let Some(Decided { version, against, score, pairs, promoted }) = gate {
        let what = if *promoted { "promoted" } else { "not promoted" };
        let (score, games) = (100.0 * score, 2 * pairs);
        lines.push(format!("version {version} was {what}: {score:.1}% of {games} games against {against}"));
    }
    if let Some(Playing { players: [one, other], gate, pairs, of }) = playing {
        let purpose = if *gate { ", to be promoted" } else { "" };
        lines.push(format!("version {one} plays {other}{purpose}: {} of {} games are over", 2 * pairs, 2 * of));
    }
    lines.extend(trouble.clone());
    lines
}

/// What the last games teach, a line each.
fn learned(LearningStatus { recent, verdicts, trouble, .. }: &LearningStatus) -> Vec<String> {
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.0}%", 100.0 * share));
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.2}"));
    let mut lines = Vec::new();
    if let Some(recent) = recent {
        let VersionFigures { version, from, games, .. } = recent;
        let which =
            if from == version { format!("version {version}") } else { format!("versions {from} to {version}") };
        lines.push(format!(
            "{which}: {games} games of {} plies, {} won by the first player, {} drawn; targets {} nats from the network, values off by {} squared \
             (guessing {})",
            figure(recent.plies),
            percent(recent.first_share),
            percent(recent.draw_share),
            figure(recent.policy_kl),
            figure(recent.value_error),
            figure(recent.guess_error),
        ));
    }
    lines.extend(verdicts.iter().map(|DataVerdict { statement, advice, .. }| format!("{statement}; {advice}")));
    lines.extend(trouble.clone());
    lines
}

fn trainer(TrainerStatus { age_seconds, trouble, figures, .. }: &TrainerStatus) -> String {
    let figures = figures.clone().unwrap_or_default();
    let mut text = figures.state.clone().unwrap_or_else(|| "no state".to_owned());
    for (name, number) in
        [("version", figures.version), ("step", figures.step), ("rows in its window", figures.window_rows)]
    {
        text.extend(number.map(|number| format!(", {name} {number}")));
    }
    for (name, number) in [("loss", figures.loss), ("samples a row", figures.samples_per_row)] {
        text.extend(number.map(|number| format!(", {name} {number:.3}")));
    }
    text.extend(age_seconds.map(|age| format!("; {} ago", duration(age))));
    text.extend(trouble.as_ref().map(|trouble| format!("; {trouble}")));
    text
}

fn games_line(status: &Status) -> String {
    let games = &status.games;
    let mut text = format!("{} of {} in play, {} finished", games.active, games.target, games.finished);
    if let Some(plies) = games.mean_plies {
        text.push_str(&format!(", {plies:.1} plies each"));
    }
    if let Some(share) = games.draw_share {
        text.push_str(&format!(", {:.1}% draws", 100.0 * share));
    }
    for (count, what) in [
        (games.parked, "parked"),
        (games.resumed, "resumed"),
        (games.rejected, "rejected"),
        (games.given_up, "given up"),
        (games.adjudicated, "adjudicated"),
        (games.resigned, "resigned"),
    ] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if let Some(ResignCheck { games, wrong_share, low, high }) = games.resign_check {
        let [wrong, low, high] = [wrong_share, low, high].map(|share| 100.0 * share);
        let sure = format!("{wrong:.1}% [{low:.1}, {high:.1}]");
        text.push_str(&format!("; resigning would have been wrong in {sure} of {games} games played on"));
    }
    text
}

/// How full the cache is, by the limit that binds.
fn cache_words(cache: &CacheStatus) -> String {
    match (cache.limit, cache.capacity_entries) {
        (Some(Limit::Entries), Some(most)) => format!("{} of {most} entries", cache.entries),
        _ => format!("{} of {}", bytes(cache.bytes), bytes(cache.capacity_bytes)),
    }
}

fn disk(status: &Status) -> String {
    let writer = &status.writer;
    let mut text =
        format!("{} games written ({}), {} waiting", writer.written, bytes(writer.bytes_written), writer.queued);
    if writer.errors > 0 {
        text.push_str(&format!(", {} attempts failed", writer.errors));
    }
    if let Some(free) = writer.disk_free_bytes {
        text.push_str(&format!(", {} free", bytes(free)));
        if let Some(floor) = writer.disk_floor_bytes.filter(|floor| free < *floor) {
            text.push_str(&format!(" of at least {} that are needed", bytes(floor)));
        }
    }
    text
}

/// The way to and from a trainer elsewhere.
fn fleet(fleet: &Value) -> Vec<String> {
    let text = |path: &str| fleet.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let number = |path: &str| fleet.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let model = fleet.pointer("/models/named").and_then(Value::as_i64);
    let mut lines = vec![
        format!("worker {} of {}: {}", text("/worker"), text("/run"), text("/link/words")),
        format!(
            "{} games taken, {} of {} wait for the trainer in {}{}",
            number("/games_taken"),
            bytes(number("/outbox/bytes")),
            bytes(number("/outbox/most_bytes")),
            text("/dir"),
            model.map_or_else(String::new, |version| format!("; model {version} has come"))
        ),
    ];
    lines.extend(fleet.pointer("/blocked/words").and_then(Value::as_str).map(str::to_owned));
    let troubles = fleet["troubles"].as_object().into_iter().flatten();
    lines.extend(troubles.filter_map(|(_, words)| words.as_str()).map(str::to_owned));
    lines
}

/// The games in play, a line each.
pub(super) fn games(games: &Games) -> String {
    let count = games.games.len();
    let mut lines = vec![format!("{count} games of {} in play", games.rules)];
    if count > 0 {
        lines.push(format!("{:>6} {:>8} {:>5} {:>8} {:>7} {:>7}", "slot", "game", "ply", "to move", "value", "model"));
    }
    for Game { slot, game, ply, to_move, value, model } in &games.games {
        let to_move = if *to_move == 0 { "first" } else { "second" };
        let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:+.3}"));
        let model = model.map_or_else(|| "-".to_owned(), |model| model.to_string());
        lines.push(format!("{slot:>6} {game:>8} {ply:>5} {to_move:>8} {value:>7} {model:>7}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::tests::full;

    #[test]
    fn a_status_for_people() {
        let mut full = full();
        full.pid = 4711;
        full.uptime_seconds = 7384.0;
        full.unix = 1000.0 + 7384.0;
        full.model.served_unix = Some(1000.0 + 7372.0);
        full.model.swaps.insert(
            0,
            crate::status::Swap {
                version: Some(4),
                unix: 1000.0 + 7354.0,
                outcome: Outcome::Refused,
                reason: Some("its outputs are not finite".to_owned()),
                seconds: None,
            },
        );
        full.children[0].restarts.panic = 2;
        full.bottleneck = Some(crate::status::Bottleneck {
            kind: "games".to_owned(),
            statement: "the device idles 40% of the time".to_owned(),
            advice: Some("raise games_per_process to about 96".to_owned()),
        });
        insta::assert_snapshot!(status(&full));
    }

    #[test]
    fn games_for_people() {
        let json = serde_json::json!({"rules": "quoridor(board_size=5,max_walls=3)", "games": [
            {"slot": 0, "game": 12, "seed": "1", "ply": 14, "to_move": 0, "value": 0.1, "model": 3},
            {"slot": 1, "game": 13, "seed": "1", "ply": 0, "to_move": 1, "value": null, "model": null},
        ]});
        insta::assert_snapshot!(games(&serde_json::from_value(json).unwrap()));
        let none = serde_json::json!({"rules": "othello(size=8)", "games": []});
        assert_eq!(games(&serde_json::from_value(none).unwrap()), "0 games of othello(size=8) in play");
    }
}
