//! Services with each other, over a broker in memory.

mod games;
mod models;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use selfplay_engine::latest::Latest;

use super::*;
use crate::{
    disk::{Disk as _, fake::FakeDisk},
    memory::{Broker, Faults, PublisherSide, WorkerSide},
    models::{Hash, Pointer, Stages, Standing},
    name::{Name, Origin},
};

/// Time between two steps of everything.
const TICK: Duration = Duration::from_millis(250);

/// How long a daemon takes to look at a model, and to prove it.
const PROBATION: Duration = Duration::from_secs(3);

const SETTINGS: &str = "5e77";

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

/// Contents of a model: more than one chunk, where it is a large one.
fn contents(generation: i64) -> Vec<u8> {
    let length = if generation == 7 { crate::models::CHUNK_BYTES as usize + 5 } else { 100 };
    (0..length).map(|place| (place as i64 * 7 + generation) as u8).collect()
}

/// A worker with something like a daemon.
struct Station {
    name: Name,
    disk: FakeDisk,
    service: WorkerService<WorkerSide, FakeDisk>,
    word: DaemonWord,
    /// What it plays with, and what it would go back to.
    serves: Option<(i64, Duration)>,
    proven: Option<i64>,
    before: Option<i64>,
    hashes: BTreeMap<i64, Hash>,
    /// What the daemon is told to play with, and the file that says so.
    named: Option<i64>,
    latest: Vec<u8>,
    /// Models that it finds bad, and when: at once, or after they have served.
    bad: BTreeMap<i64, Duration>,
}

impl Station {
    fn new(broker: &Broker, worker: &str, settings: &str) -> Self {
        let disk = FakeDisk::new(7);
        let service = Self::service(broker, &disk, worker, settings, 1 << 20);
        let (word, bad, hashes) = (DaemonWord::default(), BTreeMap::new(), BTreeMap::new());
        Self {
            name: name(worker),
            disk,
            service,
            word,
            serves: None,
            proven: None,
            before: None,
            hashes,
            named: None,
            latest: Vec::new(),
            bad,
        }
    }

    fn service(
        broker: &Broker,
        disk: &FakeDisk,
        worker: &str,
        settings: &str,
        room: u64,
    ) -> WorkerService<WorkerSide, FakeDisk> {
        let bits = std::array::from_fn(|place| worker.as_bytes()[place % worker.len()]);
        let config = WorkerConfig {
            run: name("run"),
            worker: name(worker),
            dir: "w".into(),
            most_outbox_bytes: room,
            settings_hash: settings.to_owned(),
            fresh: Origin::new(bits),
        };
        WorkerService::new(config, broker.worker(&name(worker)), disk.clone())
    }

    /// Looks at what the daemon is told to play with, whose file is always there and whole.
    fn look(&mut self) {
        let Some(text) = self.disk.peek("w/models/latest.yaml").filter(|text| *text != self.latest) else { return };
        let Latest { path, version, sha256 } = Latest::read(&text).unwrap();
        let sha256 = sha256.map(|sum| Hash::try_from(sum).unwrap());
        let here = std::env::current_dir().unwrap();
        let bytes = self.disk.peek(path.strip_prefix(here).unwrap()).expect("the model is there");
        assert_eq!((Some(Hash::of(&bytes)), &bytes), (sha256, &contents(version)));
        self.hashes.extend(sha256.map(|hash| (version, hash)));
        (self.latest, self.named) = (text, Some(version));
    }

    /// What a daemon does: takes the model that is named, and finds out of it what there is to be found.
    fn play(&mut self, now: Duration) {
        let Some(named) = self.named else { return };
        let newest = self.word.newest.as_ref().map(|found| found.generation);
        if newest != Some(named) && self.proven != Some(named) {
            self.serves = Some((named, now));
            self.find(named, Standing::Trying);
        } else if newest != Some(named) {
            self.serves = Some((named, now));
            self.find(named, Standing::Proven);
        }
        let Some((serves, since)) = self.serves else { return };
        let age = now - since;
        match self.bad.get(&serves) {
            Some(after) if age >= *after => {
                if self.proven == Some(serves) {
                    self.proven = self.before;
                }
                self.serves = self.proven.map(|proven| (proven, now));
                self.find(serves, Standing::Bad("not finite".to_owned()));
            }
            None if age >= PROBATION && self.word.newest.as_ref().is_some_and(|found| found.generation == serves) => {
                if self.proven != Some(serves) {
                    (self.before, self.proven) = (self.proven, Some(serves));
                }
                self.find(serves, Standing::Proven);
            }
            _ => {}
        }
        self.word.serving = self.serves.map(|(serves, _)| serves);
    }

    fn find(&mut self, generation: i64, standing: Standing) {
        let sha256 = self.hashes.get(&generation).copied();
        self.word.newest = Some(Found { generation, sha256, standing });
    }
}

/// All of it.
struct Fleet {
    broker: Broker,
    now: Duration,
    trainer: FakeDisk,
    publisher: PublisherService<PublisherSide, FakeDisk>,
    stations: Vec<Station>,
    /// Percentages that were seen, by model.
    percents: BTreeMap<i64, Vec<f64>>,
}

impl Fleet {
    fn new(workers: usize, seed: u64) -> Self {
        let broker = Broker::new(seed, Faults::default());
        let trainer = FakeDisk::with_dir(seed, "run");
        let publisher = Self::publisher(&broker, &trainer, "run/latest.yaml");
        let stations = (0..workers).map(|number| Station::new(&broker, &format!("w{number}"), SETTINGS)).collect();
        Self { broker, now: Duration::ZERO, trainer, publisher, stations, percents: BTreeMap::new() }
    }

    fn publisher(broker: &Broker, disk: &FakeDisk, latest: &str) -> PublisherService<PublisherSide, FakeDisk> {
        let config = PublisherConfig {
            run: name("run"),
            latest: latest.into(),
            stages: Stages::new(vec![20.0, 60.0]),
            settings_hash: SETTINGS.to_owned(),
            check: |_, _| Ok(()),
        };
        PublisherService::new(config, broker.publisher(), disk.clone())
    }

    /// The trainer has a model.
    fn train(&self, generation: i64) {
        self.train_as(generation, "run/latest.yaml");
    }

    fn train_as(&self, generation: i64, latest: &str) {
        let bytes = contents(generation);
        let path = PathBuf::from(format!("run/model_{generation}.onnx"));
        self.trainer.write(&path, &bytes).unwrap();
        let text = Latest { path, version: generation, sha256: Some(Hash::of(&bytes).to_string()) };
        self.trainer.write(Path::new(latest), text.to_yaml().unwrap().as_bytes()).unwrap();
    }

    fn pointer(&self) -> Option<Pointer> {
        self.broker.pointer().map(|bytes| Pointer::read(&bytes).unwrap())
    }

    fn tick(&mut self) {
        self.now += TICK;
        self.broker.set_now(self.now);
        self.publisher.step(self.now);
        for station in &mut self.stations {
            station.play(self.now);
            station.service.step(self.now, &station.word);
            station.look();
        }
        if let Some(pointer) = self.broker.pointer().and_then(|bytes| Pointer::read(&bytes).ok()) {
            let seen = self.percents.entry(pointer.model.generation).or_default();
            if seen.last() != Some(&pointer.percent) {
                seen.push(pointer.percent);
            }
        }
    }

    /// Ticks until something is so.
    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begun = self.now;
        while !is_so(self) {
            self.tick();
            let states = || serde_json::to_string_pretty(&(self.publisher.state(), self.named())).unwrap();
            assert!(self.now - begun < Duration::from_secs(600), "it does not come to this: {what}: {}", states());
        }
    }

    fn for_seconds(&mut self, seconds: u64) {
        for _ in 0..seconds * 1_000 / TICK.as_millis() as u64 {
            self.tick();
        }
    }

    fn named(&self) -> Vec<Option<i64>> {
        self.stations.iter().map(|station| station.named).collect()
    }

    /// Whether all play with this model.
    fn all_serve(&self, generation: i64) -> bool {
        self.stations.iter().all(|station| station.named == Some(generation))
    }

    fn serving(&self, generation: i64) -> BTreeSet<Name> {
        let serves = self.stations.iter().filter(|station| station.named == Some(generation));
        serves.map(|station| station.name.clone()).collect()
    }
}
