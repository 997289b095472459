//! A worker of a history: its disk and the folder of its games, which outlive its processes, and the process that lives.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use selfplay_engine::replay::Stem;

use super::Seen;
use crate::{
    disk::fake::{Dice, End, FakeDisk},
    frame::{
        Frame, MOST_GAMES, OutGame, PART_BYTES,
        tests::{game, noise, pack},
    },
    link::WorkerLink,
    memory::{Broker, WorkerSide},
    name::{Name, Origin},
    outbox::{Outbox, OutboxError, Owner},
    worker::Worker,
};

/// Room in an outbox. Some histories fill it.
const ROOM: u64 = 1 << 26;

/// A process.
pub(super) struct Process {
    pub(super) worker: Worker<FakeDisk>,
    link: WorkerSide,
    began: Duration,
    /// Games in frames up to this number, which are still in the folder.
    written: Option<(u64, BTreeSet<Stem>)>,
    /// The games of frames up to this number are no longer there.
    ended: u64,
}

/// See the module.
pub(super) struct Player {
    pub(super) name: Name,
    number: u64,
    pub(super) disk: FakeDisk,
    /// Games that are over and not taken away: durable.
    pub(super) folder: VecDeque<OutGame>,
    pub(super) process: Option<Process>,
    pub(super) finished: u64,
    /// Games whose frame was seen under this number, with the bytes that it had.
    frames: BTreeMap<u64, (Vec<u8>, Vec<String>)>,
    /// Up to which number receipts were checked.
    checked: u64,
}

impl Player {
    pub(super) fn new(number: u64, seed: u64) -> Self {
        Self {
            name: format!("w{number}").parse().unwrap(),
            number,
            disk: FakeDisk::new(seed),
            folder: VecDeque::new(),
            process: None,
            finished: 0,
            frames: BTreeMap::new(),
            checked: 0,
        }
    }

    /// A game ends. Some are bad, one may be large; each names itself.
    pub(super) fn finish(&mut self, dice: &mut Dice, large: bool) -> String {
        self.finished += 1;
        let bad = if dice.once_in(12) { "bad " } else { "" };
        let id = format!("{bad}{}-{}", self.name, self.finished);
        let npz = if large { noise(PART_BYTES + 5_000, self.finished) } else { id.as_bytes().to_vec() };
        self.folder.push_back(game(self.number * 10_000 + self.finished, id.as_bytes(), &npz));
        id
    }

    /// Starts the process, if it does not die of it.
    pub(super) fn start(&mut self, broker: &Broker, dice: &mut Dice, now: Duration, seen: &mut Seen) {
        let owner = Owner { run: "run".parse().unwrap(), worker: self.name.clone() };
        let fresh: [u8; 16] = std::array::from_fn(|_| dice.roll() as u8);
        let Ok(mut outbox) = Outbox::open(self.disk.clone(), "outbox", &owner, ROOM, Origin::new(fresh)) else {
            return;
        };
        let Ok(newest) = outbox.newest(MOST_GAMES) else { return };
        let newest: BTreeSet<_> = newest.into_iter().collect();
        if self.folder.iter().any(|game| newest.contains(&game.stem)) {
            *seen.entry("folder: game found in the outbox").or_default() += 1;
        }
        self.remove(&newest);
        outbox.release(outbox.last());
        let (ended, link) = (outbox.last(), broker.worker(&self.name));
        self.process = Some(Process { worker: Worker::new(outbox), link, began: now, written: None, ended });
    }

    /// The process is gone.
    pub(super) fn die(&mut self, end: End) {
        self.process = None;
        self.disk.restart(end);
    }

    fn remove(&mut self, stems: &BTreeSet<Stem>) {
        self.folder.retain(|game| !stems.contains(&game.stem));
    }

    /// One step of the process: writes, ends, releases, sends or hears. Whether it did something.
    pub(super) fn step(&mut self, dice: &mut Dice, now: Duration, seen: &mut Seen) -> bool {
        let Some(process) = &mut self.process else { return false };
        let since = now.saturating_sub(process.began);
        match dice.below(4) {
            0 => {
                // Removing them may take its time: nothing may leave before.
                if let Some((number, stems)) = process.written.take_if(|_| dice.once_in(5)) {
                    process.ended = number;
                    self.remove(&stems);
                    return true;
                }
                if process.ended > *process.worker.outbox().sendable().end() {
                    process.worker.outbox_mut().release(process.ended);
                    return true;
                }
                process.written.is_none() && self.write(dice, seen)
            }
            1 | 2 => process.worker.send(&mut process.link, since).unwrap_or(true),
            _ => {
                let Some(event) = process.link.hear() else { return false };
                let lost = process.worker.counts().lost_by_broker;
                // What fails counts as not heard, which any event may be.
                if let Err(error) = process.worker.heard(event, since) {
                    assert!(!matches!(error, OutboxError::Ahead { .. }), "{error}");
                }
                if process.worker.counts().lost_by_broker > lost {
                    *seen.entry("worker: sent again, as the broker lost it").or_default() += 1;
                }
                true
            }
        }
    }

    fn write(&mut self, dice: &mut Dice, seen: &mut Seen) -> bool {
        let Some(process) = &mut self.process else { return false };
        let count = self.folder.len().min(1 + dice.below(6) as usize);
        if count == 0 {
            return false;
        }
        let games: Vec<_> = self.folder.iter().take(count).cloned().collect();
        match process.worker.outbox_mut().write("5e77", &pack(&games)) {
            Ok(numbers) => {
                if *numbers.end() > *numbers.start() {
                    *seen.entry("game in parts").or_default() += 1;
                }
                let stems = games.into_iter().map(|game| game.stem).collect();
                process.written = Some((*numbers.end(), stems));
            }
            Err(_) => *seen.entry("worker: a write failed").or_default() += 1,
        }
        true
    }

    /// Looks at all frames that may be sent: their bytes never change. Returns the games that receipts cover newly.
    pub(super) fn check(&mut self) -> Vec<String> {
        let Some(process) = &self.process else { return Vec::new() };
        let outbox = process.worker.outbox();
        for number in outbox.sendable() {
            let path = format!("outbox/{number:020}.frame");
            let bytes = self.disk.peek(&path).expect("a frame that may be sent is there");
            let known = self.frames.entry(number).or_insert_with(|| {
                let frame = Frame::read(&bytes).unwrap();
                let part = frame.header().part.is_some();
                let ids = if part {
                    // The large game names itself in its YAML file, which no part has whole; it is the only one of its stem.
                    frame.header().games.iter().map(|game| format!("large {}", game.stem)).collect()
                } else {
                    frame.games().map(|files| String::from_utf8(files.unwrap().yaml).unwrap()).collect()
                };
                (bytes.clone(), ids)
            });
            assert_eq!(known.0, bytes, "frame {number} of {} is another than it was", self.name);
        }
        let receipted = self.checked.max(outbox.receipted());
        let covered = self.checked + 1..receipted + 1;
        self.checked = receipted;
        let ids = self.frames.range(covered).flat_map(|(_, (_, ids))| ids.iter().cloned());
        ids.filter(|id| !id.starts_with("large")).collect()
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.folder.is_empty()
            && self
                .process
                .as_ref()
                .is_some_and(|process| process.written.is_none() && process.worker.outbox().waiting() == 0)
    }
}
