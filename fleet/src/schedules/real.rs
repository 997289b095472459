//! The same on real disks, with the trainer's real files, and the strict reading of games.

use std::{fs, path::Path, time::Duration};

use selfplay_engine::replay::{GameMetadata, ReadGame};
use tempfile::TempDir;

use crate::{
    collector::{Collector, Rules, check_game},
    disk::RealDisk,
    frame::{
        Model, OutGame,
        tests::{game, pack},
    },
    hub::Hub,
    link::{CollectorLink, WorkerLink},
    memory::{Broker, Faults},
    name::Origin,
    outbox::{Outbox, Owner},
    worker::Worker,
};

/// Games that the trainer's own producer wrote.
fn golden() -> Vec<OutGame> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/golden");
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    paths.sort_unstable();
    let read = |(number, npz): (usize, &std::path::PathBuf)| {
        let yaml = fs::read(npz.with_extension("yaml")).unwrap();
        let version = GameMetadata::from_yaml(std::str::from_utf8(&yaml).unwrap()).unwrap().model_version;
        let model = Model { version, sha256: [0; 32] };
        OutGame { model, ..game(number as u64, &yaml, &fs::read(npz).unwrap()) }
    };
    paths.iter().enumerate().map(read).collect()
}

fn hub(ready: &Path) -> Hub<RealDisk> {
    let rules = Rules { run: "run".parse().unwrap(), settings: Some(["5e77".to_owned()].into()), check: check_game };
    Hub::new(Collector::open(RealDisk, ready, rules).unwrap().expect("no other collects here"))
}

/// Everything that is to be said is said, and everything that was said is heard.
fn exchange(
    worker: &mut Worker<RealDisk>,
    hub: &mut Hub<RealDisk>,
    broker: &Broker,
    link: &mut impl WorkerLink,
    to: &mut impl CollectorLink,
) {
    // A worker waits a moment for the first report.
    to.ask_stream();
    while let Some(event) = to.hear() {
        hub.heard(event, to);
    }
    while let Some(event) = link.hear() {
        worker.heard(event, Duration::from_secs(1)).unwrap();
    }
    while worker.send(link, Duration::from_secs(1)).unwrap() {}
    hub.want(to);
    while broker.deliver() {}
    while let Some(event) = to.hear() {
        hub.heard(event, to);
    }
    hub.collect(to).unwrap();
    while let Some(event) = link.hear() {
        worker.heard(event, Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn real_games_come_through_real_disks_as_they_were() {
    let place = TempDir::new().unwrap();
    let (ready, outbox) = (place.path().join("ready"), place.path().join("outbox"));
    fs::create_dir(&ready).unwrap();
    let games = golden();
    assert!(games.len() >= 6);
    let owner = Owner { run: "run".parse().unwrap(), worker: "w1".parse().unwrap() };
    let broker = Broker::new(0, Faults::default());
    let open = || Worker::new(Outbox::open(RealDisk, &outbox, &owner, 1 << 30, Origin::new([3; 16])).unwrap());
    for round in 0..2 {
        // Both processes begin anew in between.
        let (mut worker, mut hub) = (open(), hub(&ready));
        let mut link = broker.worker(&owner.worker);
        let mut to = broker.collector();
        let last = *worker.outbox_mut().write("5e77", &pack(&games)).unwrap().end();
        worker.outbox_mut().release(last);
        exchange(&mut worker, &mut hub, &broker, &mut link, &mut to);
        assert_eq!(
            (worker.outbox().waiting(), hub.collector().counts().games),
            (0, games.len() as u64),
            "round {round}"
        );
    }
    let mut archives: Vec<_> = fs::read_dir(&ready).unwrap().map(|entry| entry.unwrap().path()).collect();
    archives.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    archives.sort_unstable();
    assert_eq!(archives.len(), 2 * games.len());
    for archive in &archives {
        ReadGame::open(archive).unwrap();
        let (npz, yaml) = (fs::read(archive).unwrap(), fs::read(archive.with_extension("yaml")).unwrap());
        assert_eq!(games.iter().filter(|game| (&game.npz, &game.yaml) == (&npz, &yaml)).count(), 1);
    }
    assert_eq!(fs::read_dir(ready.join("tmp/fleet")).unwrap().count(), 4, "lock, ledger, and two folders");
}

#[test]
fn two_hubs_do_not_collect_into_one_folder() {
    let ready = TempDir::new().unwrap();
    let first = hub(ready.path());
    let rules = Rules { run: "run".parse().unwrap(), settings: None, check: check_game };
    assert!(Collector::open(RealDisk, ready.path(), rules).unwrap().is_none());
    drop(first);
    hub(ready.path());
}
