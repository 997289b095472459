//! A worker and a collector with a real link and real disks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    time::{Duration, Instant},
};

use selfplay_engine::replay::Stem;
use selfplay_fleet::{
    collector::{Check, Collector, Rules},
    disk::RealDisk,
    frame::{Entry, GameFiles, Model, OutGame, Packer},
    hub::Hub,
    link::{CollectorLink as _, WorkerLink as _},
    name::Origin,
    nats::{Bell, Dial, NatsCollector, NatsWorker},
    outbox::{Outbox, Owner},
    worker::Worker,
};

use crate::broker::{DEADLINE, name};

pub(crate) const SETTINGS: &str = "5e77";

/// A little while, in a test that waits for a condition.
pub(crate) fn pause() {
    let (_keep, never) = mpsc::channel::<()>();
    never.recv_timeout(Duration::from_millis(10)).ok();
}

/// Runs `step` until it says that it is done.
pub(crate) fn until(what: &str, mut step: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !step() {
        assert!(begun.elapsed() < DEADLINE, "it does not come to this: {what}");
        pause();
    }
}

/// A game that names itself, and takes about `bytes` when it is packed.
pub(crate) fn game(worker: &str, number: u64, bytes: usize) -> OutGame {
    let stem: Stem = format!("game_{:013}_{number:04}_77-0000abcd", 1_700_000_000_000 + number).parse().unwrap();
    // Steps of a generator: nothing that can be packed.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let npz = (0..bytes).map(|_| step()).collect();
    let yaml = format!("{worker}-{number}").into_bytes();
    OutGame { stem, model: Model { version: 3, sha256: [9; 32] }, yaml, npz }
}

/// Takes every game: these are none that a trainer could read.
fn lenient(_: &Entry, _: &GameFiles) -> Result<(), String> {
    Ok(())
}

/// A worker.
pub(crate) struct Side {
    pub(crate) worker: Worker<RealDisk>,
    pub(crate) link: NatsWorker,
    name: String,
    begun: Instant,
    games: u64,
}

impl Side {
    /// The worker of this name with an outbox in `dir`.
    pub(crate) fn open(dir: &Path, worker: &str, dial: Dial) -> Self {
        let owner = Owner { run: name("run"), worker: name(worker) };
        let origin = Origin::new(std::array::from_fn(|place| worker.as_bytes()[place % worker.len()]));
        let outbox = Outbox::open(RealDisk, dir.join(format!("outbox-{worker}")), &owner, 1 << 30, origin).unwrap();
        let link = NatsWorker::connect(dial, &owner.run, &owner.worker, Bell::silent()).unwrap();
        let mut side =
            Self { worker: Worker::new(outbox), link, name: worker.to_owned(), begun: Instant::now(), games: 0 };
        let last = side.worker.outbox().last();
        side.worker.outbox_mut().release(last);
        side
    }

    /// Finishes games, one frame of `games` each; names of them.
    pub(crate) fn play(&mut self, frames: u64, games: u64, bytes: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for _ in 0..frames {
            let played: Vec<_> = (0..games).map(|place| game(&self.name, self.games + place, bytes)).collect();
            self.games += games;
            ids.extend(played.iter().map(|game| String::from_utf8(game.yaml.clone()).unwrap()));
            self.keep(&played);
        }
        ids
    }

    /// Games are numbered from here on.
    pub(crate) fn skip(&mut self, games: u64) {
        self.games = games;
    }

    /// Keeps games in the outbox, to be sent.
    pub(crate) fn keep(&mut self, games: &[OutGame]) {
        let mut packer = Packer::new().unwrap();
        let packed: Vec<_> = games.iter().map(|game| packer.pack(game).unwrap()).collect();
        let last = *self.worker.outbox_mut().write(SETTINGS, &packed).unwrap().end();
        self.worker.outbox_mut().release(last);
    }

    /// Sends what is due, and takes up what was heard.
    pub(crate) fn step(&mut self) {
        while self.worker.send(&mut self.link, self.begun.elapsed()).unwrap() {}
        while let Some(event) = self.link.hear() {
            self.worker.heard(event, self.begun.elapsed()).unwrap();
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.worker.outbox().waiting()
    }

    /// For people who read why a test failed.
    pub(crate) fn state(&self) -> String {
        format!("{} waiting, {:?}, {}", self.waiting(), self.worker.counts(), self.link.health())
    }
}

/// A collector.
pub(crate) struct HubSide {
    pub(crate) hub: Hub<RealDisk>,
    pub(crate) link: NatsCollector,
    asked: Option<Instant>,
}

impl HubSide {
    pub(crate) fn open(ready: &Path, dial: Dial) -> Self {
        Self::strict(ready, dial, lenient)
    }

    pub(crate) fn strict(ready: &Path, dial: Dial, check: Check) -> Self {
        fs::create_dir_all(ready).unwrap();
        let rules = Rules { run: name("run"), settings: Some([SETTINGS.to_owned()].into()), check };
        let mut collector = None;
        // The process before may still hold the lock.
        until("the folder is free", || {
            collector = Collector::open(RealDisk, ready, rules.clone()).unwrap();
            collector.is_some()
        });
        let link = NatsCollector::connect(dial, Bell::silent()).unwrap();
        Self { hub: Hub::new(collector.unwrap()), link, asked: None }
    }

    /// Takes up what was heard, and says what is to be said.
    pub(crate) fn step(&mut self) {
        while let Some(event) = self.link.hear() {
            self.hub.heard(event, &mut self.link);
        }
        let collected = self.hub.collect(&mut self.link).unwrap() > 0;
        if collected || self.asked.is_none_or(|asked| asked.elapsed() > Duration::from_millis(200)) {
            self.asked = Some(Instant::now());
            self.hub.want(&mut self.link);
            self.link.ask_stream();
        }
    }

    pub(crate) fn state(&self) -> String {
        format!("{:?}, {}", self.hub.collector().counts(), self.link.health())
    }
}

/// The trainer: takes games away; the names of all that it ever got.
pub(crate) struct Trainer {
    ready: PathBuf,
    pub(crate) taken: BTreeSet<String>,
}

impl Trainer {
    pub(crate) fn new(ready: &Path) -> Self {
        Self { ready: ready.to_owned(), taken: BTreeSet::new() }
    }

    pub(crate) fn take(&mut self) {
        for entry in fs::read_dir(&self.ready).unwrap() {
            let npz = entry.unwrap().path();
            if npz.extension().is_some_and(|ending| ending == "npz") {
                let yaml = npz.with_extension("yaml");
                let id = fs::read_to_string(&yaml).expect("YAML files come first");
                fs::remove_file(&npz).unwrap();
                fs::remove_file(&yaml).unwrap();
                assert!(self.taken.insert(id.clone()), "{id} came twice");
            }
        }
    }
}

/// Steps of all until every outbox is empty.
pub(crate) fn settle(sides: &mut [&mut Side], hub: &mut HubSide, trainer: &mut Trainer) {
    let begun = Instant::now();
    loop {
        sides.iter_mut().for_each(|side| side.step());
        hub.step();
        trainer.take();
        if sides.iter().all(|side| side.waiting() == 0) {
            return;
        }
        let states: Vec<_> = sides.iter().map(|side| side.state()).collect();
        assert!(begun.elapsed() < DEADLINE, "games do not come: {} -- {}", states.join(" -- "), hub.state());
        pause();
    }
}

pub(crate) fn names(ids: &[Vec<String>]) -> BTreeSet<String> {
    ids.iter().flatten().cloned().collect()
}
