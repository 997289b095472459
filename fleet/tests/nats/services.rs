//! Worker, collector and publisher as a program runs them, all at once.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use selfplay_engine::latest::Latest;
use selfplay_fleet::{
    collector::Rules,
    disk::RealDisk,
    frame::{Entry, GameFiles},
    models::{Hash, Stages, Standing},
    name::Origin,
    nats::{
        Bell, NatsCollector, NatsPublisher, NatsWorker,
        server::{HUB, PUBLISHER},
    },
    presence::Block,
    service::{
        CollectorConfig, CollectorService, DaemonWord, Found, PublisherConfig, PublisherService, Rollout, WorkerConfig,
        WorkerService,
    },
};

use crate::{
    broker::{Broker, DEADLINE, name},
    sides::{SETTINGS, game, names, pause},
};

/// Takes every game: these are none that a trainer could read.
fn lenient(_: &Entry, _: &GameFiles) -> Result<(), String> {
    Ok(())
}

/// A worker with something like a daemon.
struct Station {
    name: String,
    service: WorkerService<NatsWorker, RealDisk>,
    dir: PathBuf,
    word: DaemonWord,
    begun: Instant,
    games: u64,
    finds_bad: Option<i64>,
}

impl Station {
    fn new(broker: &Broker, worker: &str, settings: &str) -> Self {
        let dir = broker.dir().join(worker);
        let config = WorkerConfig {
            run: name("run"),
            worker: name(worker),
            dir: dir.clone(),
            most_outbox_bytes: 1 << 30,
            settings_hash: settings.to_owned(),
            fresh: Origin::new(std::array::from_fn(|place| worker.as_bytes()[place % worker.len()])),
        };
        let link = NatsWorker::connect(broker.dial(worker), &name("run"), &name(worker), Bell::silent()).unwrap();
        let mut service = WorkerService::new(config, link, RealDisk);
        service.open().unwrap();
        let (word, begun) = (DaemonWord::default(), Instant::now());
        Self { name: worker.to_owned(), service, dir, word, begun, games: 0, finds_bad: None }
    }

    /// Finishes games, as a daemon writes them; their names.
    fn finish(&mut self, games: u64) -> Vec<String> {
        let first = self.games + 1;
        self.games += games;
        let finish = |number: u64| {
            let made = game(&self.name, number, 1_000);
            let id = format!("{}-{number}", self.name);
            let yaml =
                format!("model_version: 3\ngame_length: 5\ncreator: '{number}'\nsettings_hash: {SETTINGS}\n# {id}\n");
            let file = |ending: &str| self.dir.join(format!("games/{}.{ending}", made.stem));
            fs::write(file("yaml"), &yaml).unwrap();
            fs::write(file("part"), made.npz).unwrap();
            fs::rename(file("part"), file("npz")).unwrap();
            yaml
        };
        (first..=self.games).map(finish).collect()
    }

    fn latest(&self) -> Option<Latest> {
        let bytes = fs::read(self.dir.join("models/latest.yaml")).ok()?;
        Some(Latest::read(&bytes).unwrap())
    }

    fn named(&self) -> Option<i64> {
        self.latest().map(|latest| latest.version)
    }

    /// Looks into the model that is named, and proves it in the next step.
    fn step(&mut self) {
        if let Some(Latest { path, version, sha256 }) = self.latest() {
            let sha256 = sha256.map(|sum| Hash::try_from(sum).unwrap());
            let known = self.word.newest.as_ref().is_some_and(|found| found.generation == version);
            if !known {
                assert_eq!(Some(Hash::of(&fs::read(path).unwrap())), sha256);
            }
            let standing = match known {
                false => Standing::Trying,
                true if self.finds_bad == Some(version) => Standing::Bad("not finite".to_owned()),
                true => Standing::Proven,
            };
            self.word.newest = Some(Found { generation: version, sha256, standing });
            self.word.serving = Some(version);
        }
        self.service.step(self.begun.elapsed(), &self.word);
    }
}

/// All of it.
struct Fleet {
    publisher: PublisherService<NatsPublisher, RealDisk>,
    collector: CollectorService<NatsCollector, RealDisk>,
    stations: Vec<Station>,
    run: PathBuf,
    begun: Instant,
    taken: std::collections::BTreeSet<String>,
}

impl Fleet {
    fn new(broker: &Broker, workers: &[&str]) -> Self {
        let run = broker.dir().join("run");
        for dir in [&run, &run.join("ready")] {
            fs::create_dir(dir).unwrap();
        }
        Self {
            publisher: Self::publisher(broker, &run),
            collector: Self::collector(broker, &run),
            stations: workers.iter().map(|worker| Station::new(broker, worker, SETTINGS)).collect(),
            run,
            begun: Instant::now(),
            taken: Default::default(),
        }
    }

    fn publisher(broker: &Broker, run: &Path) -> PublisherService<NatsPublisher, RealDisk> {
        let link = NatsPublisher::connect(broker.dial(PUBLISHER), &name("run"), Bell::silent()).unwrap();
        let config = PublisherConfig {
            run: name("run"),
            latest: run.join("latest.yaml"),
            stages: Stages::new(vec![10.0, 50.0]),
            settings_hash: SETTINGS.to_owned(),
            check: |_, _| Ok(()),
        };
        PublisherService::new(config, link, RealDisk)
    }

    fn collector(broker: &Broker, run: &Path) -> CollectorService<NatsCollector, RealDisk> {
        let link = NatsCollector::connect(broker.dial(HUB), Bell::silent()).unwrap();
        let rules = Rules { run: name("run"), settings: Some([SETTINGS.to_owned()].into()), check: lenient };
        let mut service = CollectorService::new(CollectorConfig { ready: run.join("ready"), rules }, link, RealDisk);
        assert!(service.open().unwrap());
        service
    }

    /// The trainer has a model.
    fn train(&self, generation: i64, bytes: usize) {
        let bytes = game("model", generation as u64, bytes).npz;
        let path = self.run.join(format!("model_{generation}.onnx"));
        fs::write(&path, &bytes).unwrap();
        let latest = Latest { path, version: generation, sha256: Some(Hash::of(&bytes).to_string()) };
        fs::write(self.run.join("latest.new"), latest.to_yaml().unwrap()).unwrap();
        fs::rename(self.run.join("latest.new"), self.run.join("latest.yaml")).unwrap();
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        loop {
            self.publisher.step(self.begun.elapsed());
            self.collector.step(self.begun.elapsed());
            self.stations.iter_mut().for_each(Station::step);
            self.take();
            if is_so(self) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "it does not come to this: {what}: {}", self.states());
            pause();
        }
    }

    /// For people who read why a test failed.
    fn states(&self) -> String {
        let stations: Vec<_> = self.stations.iter().map(|station| station.service.state()).collect();
        let states = (self.taken.len(), self.publisher.state(), self.collector.state(), stations);
        serde_json::to_string_pretty(&states).unwrap()
    }

    /// The trainer takes games away.
    fn take(&mut self) {
        for entry in fs::read_dir(self.run.join("ready")).unwrap() {
            let npz = entry.unwrap().path();
            if npz.extension().is_some_and(|ending| ending == "npz") {
                let yaml = npz.with_extension("yaml");
                let text = fs::read_to_string(&yaml).expect("YAML files come first");
                fs::remove_file(&npz).unwrap();
                fs::remove_file(&yaml).unwrap();
                assert!(self.taken.insert(text.clone()), "{text} came twice");
            }
        }
    }

    fn all_serve(&self, generation: i64) -> bool {
        self.stations.iter().all(|station| station.named() == Some(generation))
    }
}

#[test]
fn a_fleet_plays_trains_and_survives_its_broker() {
    let Some(mut broker) = Broker::start(&["w1", "w2", "w3"]) else { return };
    let mut fleet = Fleet::new(&broker, &["w1", "w2"]);
    fleet.train(1, 2_000_000);
    fleet.until("all serve the first model", |fleet| fleet.all_serve(1));
    let mut finished = Vec::new();
    for station in &mut fleet.stations {
        finished.push(station.finish(100));
    }
    fleet.until("the publisher knows of both", |fleet| fleet.publisher.state().workers.len() == 2);
    fleet.train(2, 3_000_000);
    fleet.until("the second is on its way", |fleet| {
        fleet.publisher.state().pointer.is_some_and(|pointer| pointer.generation == 2 && pointer.percent < 100.0)
    });
    // The broker is killed in the middle of it, and games go on meanwhile.
    broker.kill();
    for station in &mut fleet.stations {
        finished.push(station.finish(50));
    }
    fleet.until("all have noticed", |fleet| {
        let words = fleet.stations[0].service.state().link.words;
        !fleet.publisher.state().link.up && !fleet.collector.state().link.up && words.starts_with("not connected")
    });
    broker.restart();
    fleet
        .until("all serve the second, and all games have come", |fleet| fleet.all_serve(2) && fleet.taken.len() == 300);
    assert_eq!(fleet.taken, names(&finished));
    fleet.until("all is told as it is", |fleet| {
        let publisher = fleet.publisher.state();
        let outboxes: u64 = fleet.stations.iter().map(|station| station.service.state().outbox.frames).sum();
        let lag = fleet.collector.state().lag.is_some_and(|lag| (lag.waiting, lag.in_hand) == (0, 0));
        publisher.rollout == Rollout::Everywhere && publisher.workers.len() == 2 && outboxes == 0 && lag
    });
    let (state, sent) = (fleet.collector.state(), fleet.stations[0].service.state());
    assert_eq!((state.counts.games, state.workers[&name("w1")].games), (300, 150));
    assert!(sent.blocked.is_none() && sent.models.fetched == 2, "{sent:?}");
    // A model that one of them finds bad is taken back from all, by a publisher that has begun anew.
    fleet.publisher = Fleet::publisher(&broker, &fleet.run);
    fleet.stations.iter_mut().for_each(|station| station.finds_bad = Some(3));
    fleet.train(3, 1_000);
    fleet.until("the third is withdrawn", |fleet| {
        fleet.publisher.state().pointer.is_some_and(|pointer| pointer.generation == 3 && pointer.withdrawn)
    });
    fleet.until("all serve the second again", |fleet| fleet.all_serve(2));
    // A worker of other settings has the model, and starts no games.
    fleet.stations.push(Station::new(&broker, "w3", "0dd5"));
    fleet.until("it is told why", |fleet| {
        let workers = fleet.publisher.state().workers;
        let said = workers.iter().find(|worker| worker.worker == name("w3")).and_then(|worker| worker.said.clone());
        said.and_then(|said| said.blocked).is_some_and(|blocked| blocked.why == Block::SettingsDiffer)
    });
    fleet.until("it has the model that serves", |fleet| fleet.all_serve(2));
}
