//! What follows from being a worker of a fleet. Models come from the trainer and games go to it through the
//! worker's own folder, so that neither is to be said.

use std::path::Path;

use config::ValueKind;
use selfplay_fleet::folder::WorkerFile;

use super::check::{Found, missing};
use super::layer::default_of;
use super::mistake::Mistake;
use super::resolve::Entries;

/// The source of what follows.
const FOLLOWS: &str = "follows from fleet.dir";

/// What is set as text, and not left open.
fn text(entries: &Entries, key: &str) -> Option<String> {
    match &entries.get(key)?.value {
        ValueKind::String(text) if !text.is_empty() && default_of(key).as_ref() != Some(text) => Some(text.clone()),
        _ => None,
    }
}

/// Sets what follows from being a worker, and refuses what says otherwise.
pub(super) fn follow(entries: &mut Entries, found: &mut Found) {
    if text(entries, "fleet.servers").is_none() {
        return;
    }
    let worker = match text(entries, "fleet.credentials") {
        None => {
            let remedy = "a worker proves who it is by a file: name the one that `selfplayd fleet add-worker NAME` wrote \
                          beside the trainer with --credentials";
            found.missing.push(missing("fleet.credentials", remedy));
            None
        }
        Some(path) => match WorkerFile::read(Path::new(&path)) {
            Ok(file) => Some(file),
            Err(error) => {
                let allowed = format!("the file of a worker, but: {:#}", anyhow::Error::from(error));
                found.mistakes.push(entries.refuse("fleet.credentials", allowed));
                None
            }
        },
    };
    let usual = || format!("selfplayd-{}", worker.as_ref().map_or("worker", |file| file.worker().as_str()));
    let dir = text(entries, "fleet.dir").unwrap_or_else(usual);
    let path = |name: &str| ValueKind::from(Path::new(&dir).join(name).to_string_lossy().into_owned());
    let other = |key: &str, value: &ValueKind| {
        let entry = entries.get(key);
        // A copy of all defaults means none of them; and what was printed once is read again.
        entry.is_some_and(|entry| {
            entry.value != *value && entry.value != ValueKind::Nil && !is_default(key, &entry.value)
        })
    };
    let models = "left out beside fleet.servers, as models come from the trainer through fleet.dir";
    let games = "left out beside fleet.servers, as games go to the trainer through fleet.dir";
    let mode = "left out beside fleet.servers, as a worker plays until it is told to stop";
    let gate = "left out beside fleet.servers, as the trainer's side decides which model serves";
    let follows = [
        ("output.dir", path("games"), games),
        ("model.latest_yaml", path("models/latest.yaml"), models),
        ("daemon.continuous", true.into(), mode),
        ("evaluation.promote", "always".into(), gate),
    ];
    let nothing = [("model.source", models), ("model.path", models), ("play.num_games", mode)];
    let refused = follows.iter().map(|(key, value, words)| (*key, value.clone(), *words));
    let refused = refused.chain(nothing.map(|(key, words)| (key, ValueKind::Nil, words)));
    let refused: Vec<Mistake> =
        refused.filter(|(key, value, _)| other(key, value)).map(|(key, _, words)| entries.refuse(key, words)).collect();
    found.mistakes.extend(refused);
    for (key, value, _) in follows {
        entries.set(key, value, FOLLOWS);
    }
}

fn is_default(key: &str, value: &ValueKind) -> bool {
    let written = match value {
        ValueKind::String(text) => text.clone(),
        other => super::kind::written(other),
    };
    default_of(key) == Some(written)
}
