//! What the logs say of games begun, resumed, set aside and lost, and whether that agrees with the games that were taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use crate::{
    ingest::{Identity, Ingest},
    session::{Ended, Log},
};

/// The account of all games: each one that a log says was begun must be taken by the trainer, set aside with a word, or reported
/// as lost, and none twice.
#[derive(Default)]
pub(crate) struct Books {
    /// Every game that a log knows of.
    begun: BTreeSet<Identity>,
    /// Games that a later process went on with, and how often.
    resumed: BTreeMap<Identity, u64>,
    /// Games that ended without a file for the trainer, as a log says.
    set_aside: BTreeSet<Identity>,
    /// Games of processes that had some in play when they ended. The journal keeps those.
    interrupted: BTreeSet<Identity>,
    /// Those of them whose journal was taken away, or could not be written, before the process ended.
    forgotten: BTreeSet<Identity>,
    /// Finished games reported as lost.
    lost: u64,
    /// Games of the processes that reported that: which of them it was is not said.
    perhaps_lost: BTreeSet<Identity>,
    /// By point and fault.
    injected: BTreeMap<String, u64>,
    /// By exit code or signal.
    ends: BTreeMap<String, u64>,
    /// Restarts of children, by name.
    restarts: BTreeMap<String, u64>,
    /// Models refused or withdrawn, by what the log says.
    refusals: BTreeMap<String, u64>,
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("no {field} in {line}"))
}

fn text<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}"))
}

/// The game that a line of a log is about.
pub(crate) fn identity(line: &Value) -> Identity {
    Identity { seed: number(line, "seed"), index: number(line, "game") }
}

impl Books {
    /// Enters what a daemon did.
    ///
    /// # Panics
    /// When its own books do not balance.
    pub(crate) fn enter(&mut self, ended: &Ended) {
        let log = &ended.log;
        self.enter_beside(ended);
        let mut here = BTreeSet::new();
        for line in &log.lines {
            match text(line, "message") {
                "game begun" => {
                    assert!(self.begun.insert(identity(line)), "begun twice: {line}");
                    here.insert(identity(line));
                }
                "game resumed" => {
                    // Its begin was not logged if the process was killed between journal and log.
                    self.begun.insert(identity(line));
                    *self.resumed.entry(identity(line)).or_default() += 1;
                    // Without room neither its end nor the file under `rejected/` was kept: it is played on, which loses nothing.
                    if self.forgotten.contains(&identity(line)) {
                        self.set_aside.remove(&identity(line));
                    }
                    here.insert(identity(line));
                }
                message if message == "game given up" || message.starts_with("game set aside") => {
                    self.set_aside.insert(identity(line));
                }
                message if message.starts_with("model") && matches!(text(line, "level"), "WARN" | "ERROR") => {
                    *self.refusals.entry(message.to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
        let lost = log.saying("finished games could not be written").map(|line| number(line, "lost")).sum::<u64>();
        if lost > 0 {
            self.lost += lost;
            self.perhaps_lost.extend(&here);
        }
        if ended.code() != Some(0) {
            if ended.told.starved {
                self.forgotten.extend(&here);
            }
            self.interrupted.extend(here);
        } else if log.saying("account of all games").any(|books| number(books, "games_unfinished") > 0) {
            // What it had in play is in its journal.
            self.interrupted.extend(here);
        }
        own_books_balance(ended);
    }

    /// Enters what a process did that plays no games.
    ///
    /// # Panics
    /// When its log is none.
    pub(crate) fn enter_beside(&mut self, ended: &Ended) {
        let log = &ended.log;
        // Beside the log there is what a user is told of wrong settings, whose lines after the first are indented.
        let told = |line: &&String| line.starts_with("selfplayd: ") || line.starts_with("  ");
        let torn = log.others.iter().find(|line| !told(line));
        assert!(torn.is_none() || ended.signal().is_some(), "no line of a log: {torn:?}");
        let end = match (ended.code(), ended.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (_, signal) => format!("signal {}", signal.unwrap()),
        };
        *self.ends.entry(end).or_default() += 1;
        for line in &log.lines {
            match text(line, "message") {
                "fault injected" => {
                    let what = format!("{} {}", text(line, "point"), text(line, "fault"));
                    *self.injected.entry(what).or_default() += 1;
                }
                "restarting child" | "backing off" => {
                    *self.restarts.entry(text(line, "child").to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    /// The collector of a fleet refused these games, and keeps them with the reason.
    pub(crate) fn refused(&mut self, games: &[Identity]) {
        self.set_aside.extend(games);
    }

    /// The journals of processes that have ended were removed.
    pub(crate) fn journals_are_gone(&mut self) {
        self.forgotten.extend(&self.interrupted);
    }

    /// All that was begun is accounted for, and nothing else is there. To be called when every daemon has ended, the last of
    /// them after it had played all unfinished games to their end.
    pub(crate) fn balance(&self, ingest: &Ingest) {
        let taken: BTreeSet<_> = ingest.taken().keys().copied().collect();
        let unknown: Vec<_> = taken.difference(&self.begun).collect();
        assert!(unknown.is_empty(), "no log says that these began: {unknown:?}");
        let twice: Vec<_> = taken.intersection(&self.set_aside).collect();
        assert!(twice.is_empty(), "set aside, and yet written: {twice:?}");
        let missing = self.missing(ingest);
        let unexplained: Vec<_> = missing.iter().filter(|game| !self.forgotten.contains(game)).collect();
        assert!(unexplained.len() as u64 <= self.lost, "begun, and neither written nor reported: {unexplained:?}");
        let others: Vec<_> = unexplained.iter().filter(|game| !self.perhaps_lost.contains(game)).collect();
        assert!(others.is_empty(), "begun, and neither written nor reported by those who had them: {others:?}");
    }

    /// Games that ended neither with a file nor with a word.
    fn missing(&self, ingest: &Ingest) -> BTreeSet<Identity> {
        let gone = |game: &&Identity| !ingest.taken().contains_key(game) && !self.set_aside.contains(game);
        self.begun.iter().filter(gone).copied().collect()
    }

    /// Games that a later process went on with.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.len()
    }

    /// For people.
    pub(crate) fn table(&self, ingest: &Ingest) -> String {
        let mut table = String::new();
        let mut row = |what: &str, count: u64| writeln!(table, "  {what:<60}{count:>9}").unwrap();
        row("games begun", self.begun.len() as u64);
        row("  taken by the trainer", ingest.taken().len() as u64);
        row("  given up or set aside", self.set_aside.len() as u64);
        row("  reported lost, though some came from a journal", self.lost);
        row("  neither, as a process that had them could keep nothing", self.missing(ingest).len() as u64);
        row("games resumed", self.resumed.len() as u64);
        row("  most often", self.resumed.values().copied().max().unwrap_or_default());
        self.injected.iter().for_each(|(what, count)| row(&format!("injected: {what}"), *count));
        self.restarts.iter().for_each(|(child, count)| row(&format!("restarts: {child}"), *count));
        self.refusals.iter().for_each(|(what, count)| row(what, *count));
        self.ends.iter().for_each(|(end, count)| row(&format!("daemons ended: {end}"), *count));
        table
    }
}

/// What the daemon itself says at its end.
fn own_books_balance(ended: &Ended) {
    let Some(books) = ended.log.saying("account of all games").next() else {
        assert_ne!(ended.code(), Some(0), "it ended without its books:\n{}", ended.log.tail());
        return;
    };
    let of = |name: &str| number(books, name);
    let over = of("games_finished") + of("games_abandoned") + of("games_rejected") + of("games_unfinished");
    assert_eq!(of("games_started"), over, "games begun and over: {books}\n{}", ended.log.tail());
    if ended.code() == Some(0) {
        assert_eq!(of("games_finished"), of("games_written"), "games finished and written: {books}");
    }
}

impl Log {
    /// Whether any fault was injected.
    pub(crate) fn has_injections(&self) -> bool {
        self.saying("fault injected").next().is_some()
    }
}
