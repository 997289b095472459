//! What the logs say of games started, resumed, set aside and lost, and whether that agrees with the games that were taken.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    ingest::{Identity, Ingest},
    session::{Ended, Log},
};

/// See the module.
#[derive(Default)]
pub(crate) struct Books {
    /// Every game that a log says was started.
    started: BTreeSet<Identity>,
    /// Those of processes that were killed, or ended themselves, before they could put their affairs in order.
    interrupted: BTreeSet<Identity>,
    /// Games that a later process went on with.
    resumed: BTreeSet<Identity>,
    /// Games that ended without a file for the trainer, as the log says.
    set_aside: BTreeSet<Identity>,
    /// Finished games reported as lost.
    lost: u64,
    /// By point and fault.
    injected: BTreeMap<String, u64>,
    /// By exit code or signal.
    ends: BTreeMap<String, u64>,
    /// Restarts of children, by name.
    restarts: BTreeMap<String, u64>,
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("no {field} in {line}"))
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_else(|| panic!("no {field} in {line}")).to_owned()
}

impl Books {
    /// Enters what a daemon did.
    ///
    /// # Panics
    /// When its own books do not balance.
    pub(crate) fn enter(&mut self, ended: &Ended) {
        let log = &ended.log;
        let end = match (ended.code(), ended.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (_, signal) => format!("signal {}", signal.unwrap()),
        };
        *self.ends.entry(end).or_default() += 1;
        for line in log.saying("fault injected") {
            *self.injected.entry(format!("{} {}", text(line, "point"), text(line, "fault"))).or_default() += 1;
        }
        for line in log.saying("restarting child") {
            *self.restarts.entry(text(line, "child")).or_default() += 1;
        }
        let Some(own_seed) = log.saying("selfplayd starts").next().map(|line| number(line, "seed")) else { return };
        let identity =
            |line: &Value| Identity { seed: line["seed"].as_u64().unwrap_or(own_seed), index: number(line, "game") };
        let started: Vec<_> = log.saying("game starts").map(identity).collect();
        let resumed: Vec<_> = log.saying("game resumed").map(identity).collect();
        for game in &started {
            assert!(self.started.insert(*game), "{game:?} was started twice");
        }
        if !clean(ended) {
            self.interrupted.extend(started.iter().chain(&resumed));
        }
        self.resumed.extend(resumed);
        for message in ["game given up", "game set aside"] {
            self.set_aside.extend(log.saying(message).map(identity));
        }
        self.lost += log.saying("finished games could not be written").map(|line| number(line, "games")).sum::<u64>();
        own_books_balance(ended);
    }

    /// All that was started is accounted for, and nothing else is there. To be called when every daemon has ended, the last of
    /// them after it had played all unfinished games to their end.
    pub(crate) fn balance(&self, ingest: &Ingest) {
        let taken: BTreeSet<_> = ingest.taken().keys().copied().collect();
        let unknown: Vec<_> = taken.difference(&self.started).collect();
        assert!(unknown.is_empty(), "nobody started {unknown:?}");
        let twice: Vec<_> = taken.intersection(&self.set_aside).collect();
        assert!(twice.is_empty(), "set aside, and yet written: {twice:?}");
        let missing: Vec<_> = self.started.difference(&taken).filter(|game| !self.set_aside.contains(game)).collect();
        eprintln!(
            "{} started = {} taken + {} set aside + {} missing",
            self.started.len(),
            taken.len(),
            self.set_aside.len(),
            missing.len()
        );
        if std::env::var_os("LENIENT").is_none() {
            assert!(missing.is_empty(), "{missing:?} are missing");
        }
    }

    /// Games that a later process went on with.
    pub(crate) fn resumed(&self) -> usize {
        self.resumed.len()
    }

    /// For people.
    pub(crate) fn table(&self, ingest: &Ingest) -> String {
        let mut table = String::new();
        let mut row = |what: &str, count: u64| table.push_str(&format!("  {what:<34}{count:>9}\n"));
        row("games started", self.started.len() as u64);
        row("games resumed", self.resumed.len() as u64);
        row("games taken by the trainer", ingest.taken().len() as u64);
        row("games set aside", self.set_aside.len() as u64);
        row("finished games reported lost", self.lost);
        self.injected.iter().for_each(|(what, count)| row(&format!("injected: {what}"), *count));
        self.restarts.iter().for_each(|(child, count)| row(&format!("restarts: {child}"), *count));
        self.ends.iter().for_each(|(end, count)| row(&format!("daemons ended: {end}"), *count));
        table
    }
}

/// Whether it had the time to put its affairs in order.
fn clean(ended: &Ended) -> bool {
    ended.code() == Some(0)
}

/// What the daemon itself says at its end.
fn own_books_balance(ended: &Ended) {
    let Some(books) = ended.log.saying("books").next() else {
        if std::env::var_os("LENIENT").is_none() {
            assert!(!clean(ended), "it ended without its books:\n{}", ended.log.tail());
        }
        return;
    };
    let of = |name: &str| number(books, name);
    let begun = of("games_started") + of("games_resumed");
    let over = of("games_finished") + of("games_abandoned") + of("games_rejected") + of("games_unfinished");
    assert_eq!(begun, over, "games begun and over: {books}");
}

impl Log {
    /// Whether any fault was injected.
    pub(crate) fn has_injections(&self) -> bool {
        self.saying("fault injected").next().is_some()
    }
}
