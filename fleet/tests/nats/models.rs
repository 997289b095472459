//! Models reach workers, whole, and the pointer to them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use selfplay_fleet::{
    disk::RealDisk,
    link::{PlayerLink as _, PublisherLink as _, Refusal, ToPlayer, ToPublisher},
    models::{CHUNK_BYTES, Download, Hash, ModelFile, Pointer, Upload},
    nats::{Bell, Dial, NatsPublisher, NatsWorker, server::PUBLISHER},
};

use crate::{
    broker::{Broker, PLAN, name},
    sides::{game, until},
};

/// Sends models and puts the pointer.
pub(crate) struct Publisher {
    link: NatsPublisher,
    begun: Instant,
}

impl Publisher {
    pub(crate) fn new(dial: Dial) -> Self {
        let link = NatsPublisher::connect(dial, &name("run"), Bell::silent()).unwrap();
        Self { link, begun: Instant::now() }
    }

    /// Sends a model and puts the pointer to it, in the place of the one that is there.
    pub(crate) fn publish(&mut self, model: ModelFile, bytes: &[u8]) {
        let mut upload = Upload::new(model);
        until("the model is there", || {
            self.step(&mut upload, bytes);
            upload.is_done()
        });
        let pointer = Pointer::new(model, 100.0, "5e77".to_owned());
        loop {
            let there = self.pointer();
            // A put whose answer was lost may have been stored.
            if there.as_ref().is_some_and(|(_, there)| *there == pointer) {
                return;
            }
            self.put(there.map_or(0, |(revision, _)| revision), &pointer);
        }
    }

    /// Sends what is due of a model.
    fn step(&mut self, upload: &mut Upload, bytes: &[u8]) {
        while let Some((number, range)) = upload.next(self.begun.elapsed()) {
            let chunk = bytes[range.start as usize..range.end as usize].to_vec();
            self.link.put_chunk(upload.model().sha256, number, chunk);
        }
        while let Some(event) = self.link.hear() {
            match event {
                ToPublisher::Stored { number, .. } => upload.stored(number),
                ToPublisher::Refused { number, .. } => upload.failed(number, self.begun.elapsed()),
                _ => {}
            }
        }
    }

    /// The pointer that is there, and its revision.
    fn pointer(&mut self) -> Option<(u64, Pointer)> {
        let mut found = None;
        let mut asked = Instant::now();
        self.link.ask_pointer();
        until("the pointer is told", || {
            if asked.elapsed().as_secs() > 5 {
                asked = Instant::now();
                self.link.ask_pointer();
            }
            while let Some(event) = self.link.hear() {
                if let ToPublisher::Pointer(pointer) = event {
                    found = Some(pointer);
                }
            }
            found.is_some()
        });
        found.unwrap().map(|(revision, bytes)| (revision, Pointer::read(&bytes).unwrap()))
    }

    /// Puts a pointer; what is said.
    fn put(&mut self, after: u64, pointer: &Pointer) -> ToPublisher {
        let (mut said, mut again) = (None, true);
        until("something is said of the pointer", || {
            if std::mem::take(&mut again) {
                self.link.put_pointer(after, pointer.to_json().into_bytes());
            }
            while let Some(event) = self.link.hear() {
                match event {
                    ToPublisher::Put(_) | ToPublisher::Changed => said = Some(event),
                    ToPublisher::NotPut(Refusal::Unanswered(_)) => again = true,
                    other => panic!("{other:?}"),
                }
            }
            said.is_some()
        });
        said.unwrap()
    }
}

/// Follows the pointer, and fetches what it names.
struct Player {
    link: NatsWorker,
    cache: PathBuf,
    begun: Instant,
    pointer: Option<(u64, Pointer)>,
    download: Option<Download<RealDisk>>,
    have: BTreeMap<Hash, PathBuf>,
}

impl Player {
    fn new(broker: &Broker, worker: &str) -> Self {
        let link = NatsWorker::connect(broker.dial(worker), &name("run"), &name(worker), Bell::silent()).unwrap();
        let cache = broker.dir().join(format!("cache-{worker}"));
        fs::create_dir_all(&cache).unwrap();
        Self { link, cache, begun: Instant::now(), pointer: None, download: None, have: BTreeMap::new() }
    }

    fn step(&mut self) {
        while let Some(event) = self.link.hear_of_models() {
            let now = self.begun.elapsed();
            match event {
                ToPlayer::Pointer { revision, bytes } => {
                    self.pointer = Some((revision, Pointer::read(&bytes).unwrap()));
                }
                ToPlayer::Chunk { model, number, bytes } => {
                    let Some(download) = self.download.as_mut().filter(|it| it.model().sha256 == model) else {
                        continue;
                    };
                    if let Some(path) = download.came(number, bytes, now).unwrap() {
                        self.have.insert(model, path);
                        self.download = None;
                    }
                }
                ToPlayer::NoChunk { number, .. } => {
                    if let Some(download) = &mut self.download {
                        download.missed(number, now);
                    }
                }
            }
        }
        let Some((_, pointer)) = &self.pointer else { return };
        if self.download.is_none() && !self.have.contains_key(&pointer.model.sha256) {
            self.download = Some(Download::new(RealDisk, &self.cache, pointer.model));
        }
        if let Some(download) = &mut self.download {
            while let Some(number) = download.next(self.begun.elapsed()) {
                self.link.get_chunk(download.model().sha256, number);
            }
        }
    }

    fn has(&self, model: &ModelFile, bytes: &[u8]) -> bool {
        self.have.get(&model.sha256).is_some_and(|path: &PathBuf| fs::read::<&Path>(path).unwrap() == bytes)
    }
}

/// A model of so many bytes.
pub(crate) fn model(generation: i64, bytes: usize) -> (ModelFile, Vec<u8>) {
    let bytes = game("model", generation as u64 + 100, bytes).npz;
    (ModelFile { generation, sha256: Hash::of(&bytes), size: bytes.len() as u64 }, bytes)
}

#[test]
fn a_model_reaches_all_workers_and_one_that_comes_later() {
    let Some(broker) = Broker::start(&["w1", "w2"]) else { return };
    let mut publisher = Publisher::new(broker.dial(PUBLISHER));
    let mut one = Player::new(&broker, "w1");
    assert!(publisher.pointer().is_none());
    let (first, bytes) = model(1, 3 * CHUNK_BYTES as usize + 17);
    let mut upload = Upload::new(first);
    until("the model is there", || {
        publisher.step(&mut upload, &bytes);
        upload.is_done()
    });
    // All of it once more, as by a publisher that began anew: it is there.
    let mut again = Upload::new(first);
    until("the model is found to be there", || {
        publisher.step(&mut again, &bytes);
        again.is_done()
    });
    let ToPublisher::Put(revision) = publisher.put(0, &Pointer::new(first, 100.0, "5e77".to_owned())) else { panic!() };
    until("it has come", || {
        one.step();
        one.has(&first, &bytes)
    });
    let mut two = Player::new(&broker, "w2");
    until("it has come to the other", || {
        two.step();
        two.has(&first, &bytes)
    });
    assert_eq!((one.pointer.as_ref().unwrap().0, two.pointer.as_ref().unwrap().0), (revision, revision));
    assert_eq!(publisher.pointer().unwrap().0, revision);
}

#[test]
fn two_publishers_do_not_overwrite_each_other() {
    let Some(broker) = Broker::start(&[]) else { return };
    let (mut one, mut other) = (Publisher::new(broker.dial(PUBLISHER)), Publisher::new(broker.dial(PUBLISHER)));
    let pointer = |generation| Pointer::new(model(generation, 10).0, 5.0, "5e77".to_owned());
    let ToPublisher::Put(revision) = one.put(0, &pointer(1)) else { panic!() };
    assert_eq!(other.put(0, &pointer(2)), ToPublisher::Changed);
    let ToPublisher::Put(second) = other.put(revision, &pointer(2)) else { panic!() };
    assert_eq!(one.put(revision, &pointer(3)), ToPublisher::Changed);
    assert_eq!(one.pointer().unwrap(), (second, pointer(2)));
}

#[test]
fn a_model_comes_through_a_broker_that_is_killed_and_one_that_is_forgotten_does_not() {
    let Some(mut broker) = Broker::start(&["w1"]) else { return };
    let mut publisher = Publisher::new(broker.dial(PUBLISHER));
    let mut player = Player::new(&broker, "w1");
    let (old, old_bytes) = model(1, 1_000_000);
    let (new, bytes) = model(2, 20 * CHUNK_BYTES as usize);
    for (model, bytes) in [(old, &old_bytes), (new, &bytes)] {
        let mut upload = Upload::new(model);
        until("the model is there", || {
            publisher.step(&mut upload, bytes);
            upload.is_done()
        });
    }
    publisher.put(0, &Pointer::new(new, 100.0, "5e77".to_owned()));
    until("some of it has come", || {
        player.step();
        player.download.as_ref().is_some_and(|download| download.progress().0 > 0) || player.has(&new, &bytes)
    });
    broker.kill();
    until("a chunk does not come", || {
        player.step();
        !player.link.health().is_up()
    });
    broker.restart();
    until("it has come", || {
        player.step();
        player.has(&new, &bytes)
    });
    publisher.link.forget(old.sha256);
    player.link.get_chunk(old.sha256, 0);
    let mut missing = false;
    until("the old one is gone", || {
        while let Some(event) = player.link.hear_of_models() {
            match event {
                ToPlayer::NoChunk { reason, .. } if reason.contains("does not have it") => missing = true,
                ToPlayer::NoChunk { .. } | ToPlayer::Chunk { .. } => {
                    publisher.link.forget(old.sha256);
                    player.link.get_chunk(old.sha256, 0);
                }
                ToPlayer::Pointer { .. } => {}
            }
        }
        missing
    });
    // What is lost with the broker's disk is made anew by the publisher.
    broker.kill();
    broker.lose_store();
    broker.restart();
    broker.prepare(PLAN);
    assert!(publisher.pointer().is_none());
}
