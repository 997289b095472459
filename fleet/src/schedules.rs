//! Workers, a collector, a trainer and a broker under thousands of histories, each of which follows from a seed.
//!
//! The real outboxes, couriers, ledger, collector and hub run one step at a time on file systems in memory, and dice choose among all
//! steps that could come next: a game ends, is written, ended in the journal, released, sent; a message is delivered, a group collected;
//! the trainer takes what it sees; time passes; a process dies between two steps, or at a step of its disk within a call, by a kill or a
//! power cut; a disk fails or is full; the broker loses, repeats, reorders, is full, forgets, loses the end of its stream, starts empty.
//! Then everything comes to rest: faults end, the dead are started again, and what can go on goes on.
//!
//! Checked at every step: the trainer gets no game twice, and none without its YAML file; whatever a receipt covers is in the trainer's
//! hands or folder, or refused; a number never stands for other bytes. At rest: every game that a worker finished came to the trainer or was
//! refused with a word, outboxes and broker are empty, and the ledger's counts are those of a model that knows nothing but what
//! was finished.
//!
//! `SELFPLAYD_SCHEDULE_SEED=n` repeats one history, `SELFPLAYD_SCHEDULES=n` plays so many.

mod plan;
mod player;
mod real;
mod world;

use std::collections::BTreeMap;

use self::world::World;

const ONE_SEED: &str = "SELFPLAYD_SCHEDULE_SEED";
const HOW_MANY: &str = "SELFPLAYD_SCHEDULES";

/// How often things happened, by name.
type Seen = BTreeMap<&'static str, u64>;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect(variable))
}

fn explore(seeds: impl IntoIterator<Item = u64>) -> (Seen, u64) {
    let (mut all, mut steps) = (Seen::new(), 0);
    for seed in seeds {
        let (seen, taken) = World::new(seed).play();
        seen.into_iter().for_each(|(what, count)| *all.entry(what).or_default() += count);
        steps += taken;
    }
    (all, steps)
}

#[test]
fn no_history_loses_a_game_or_shows_one_twice() {
    if let Some(seed) = number(ONE_SEED) {
        let (seen, steps) = explore([seed]);
        eprintln!("history {seed}: {steps} steps, {seen:#?}");
        return;
    }
    let histories = number(HOW_MANY).unwrap_or(2_000);
    let (seen, steps) = explore(0..histories);
    eprintln!("{histories} histories, {steps} steps, {seen:#?}");
    if histories >= 2_000 {
        for what in EVERYTHING {
            assert!(seen.get(what).is_some_and(|&count| count >= 10), "{what} is hardly explored");
        }
    }
}

#[test]
fn a_seed_fixes_a_history() {
    for seed in 0..20 {
        assert_eq!(explore([seed]), explore([seed]), "history {seed}");
    }
}

/// What histories are to contain, among them the orders that are hard to come by.
const EVERYTHING: &[&str] = &[
    "broker: acknowledgement lost",
    "broker: answer lost",
    "broker: delivered again",
    "broker: delivered though acknowledged",
    "broker: delivery lost",
    "broker: event lost",
    "broker: full",
    "broker: lost its tail",
    "broker: message lost",
    "broker: receipts lost",
    "broker: repetition known",
    "broker: started empty",
    "broker: stored twice",
    "collector died",
    "collector died between two words",
    "collector: a group failed",
    "collector: duplicate by the ledger",
    "collector: game refused",
    "game in parts",
    "folder: game found in the outbox",
    "trainer took games",
    "trainer's disk is full",
    "worker died",
    "worker: a write failed",
    "worker: sent again, as the broker lost it",
];
