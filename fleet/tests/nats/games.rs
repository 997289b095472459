//! Games come into the trainer's folder, each once.

use std::{fs, path::Path};

use selfplay_engine::replay::{GameMetadata, ReadGame};
use selfplay_fleet::{
    collector::check_game,
    frame::{Model, OutGame},
    link::{CollectorLink as _, Report, ToWorker, WorkerLink as _},
    nats::{Bell, NatsCollector, NatsWorker, server::HUB},
};

use crate::{
    broker::{Broker, PLAN, name},
    sides::{HubSide, Side, Trainer, game, names, settle, until},
};

/// Games that the trainer's own producer wrote.
fn golden() -> Vec<OutGame> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/golden");
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    paths.sort_unstable();
    let read = |(number, npz): (usize, &std::path::PathBuf)| {
        let yaml = fs::read(npz.with_extension("yaml")).unwrap();
        let version = GameMetadata::from_yaml(std::str::from_utf8(&yaml).unwrap()).unwrap().model_version;
        let model = Model { version, sha256: [0; 32] };
        OutGame { model, yaml, npz: fs::read(npz).unwrap(), ..game("w1", number as u64, 0) }
    };
    paths.iter().enumerate().map(read).collect()
}

#[test]
fn the_trainers_own_games_come_as_they_were() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut hub = HubSide::strict(&ready, broker.dial(HUB), check_game);
    let games = golden();
    side.keep(&games);
    until("all receipts have come", || {
        side.step();
        hub.step();
        side.waiting() == 0
    });
    let mut archives: Vec<_> = fs::read_dir(&ready).unwrap().map(|entry| entry.unwrap().path()).collect();
    archives.retain(|path| path.extension().is_some_and(|ending| ending == "npz"));
    assert_eq!(archives.len(), games.len());
    for archive in &archives {
        ReadGame::open(archive).unwrap();
        let (npz, yaml) = (fs::read(archive).unwrap(), fs::read(archive.with_extension("yaml")).unwrap());
        assert_eq!(games.iter().filter(|game| (&game.npz, &game.yaml) == (&npz, &yaml)).count(), 1);
    }
    let health = side.link.health();
    assert!(health.is_up() && health.connects == 1, "{health}");
    assert!(health.to_string().starts_with("connected to n1 (nats-server 2."), "{health}");
}

#[test]
fn two_workers_and_large_games_come_once() {
    let Some(broker) = Broker::start(&["w1", "w2"]) else { return };
    let ready = broker.dir().join("ready");
    let mut one = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut two = Side::open(broker.dir(), "w2", broker.dial("w2"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    // Frames of one game in parts, and more frames than are in flight at a time.
    let played = names(&[one.play(100, 3, 500), two.play(3, 1, 2_000_000), two.play(60, 2, 100_000)]);
    settle(&mut [&mut one, &mut two], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, played);
    assert_eq!(hub.hub.collector().counts().messages_refused, 0);
}

#[test]
fn a_broker_that_is_killed_loses_no_game_and_doubles_none() {
    let Some(mut broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let mut played = Vec::new();
    for round in 1..=3 {
        played.push(side.play(60, 4, 2_000));
        let before = side.worker.counts().stored;
        until("some frames are stored", || {
            side.step();
            hub.step();
            side.worker.counts().stored > before
        });
        broker.kill();
        until("both sides have noticed", || {
            side.step();
            hub.step();
            !side.link.health().is_up() && !hub.link.health().is_up()
        });
        // Games go on meanwhile.
        played.push(side.play(5, 4, 2_000));
        until("a frame is refused for want of a connection", || {
            side.step();
            side.worker.counts().refusal.as_ref().is_some_and(|refusal| refusal.contains("not connected"))
        });
        broker.restart();
        settle(&mut [&mut side], &mut hub, &mut trainer);
        let health = side.link.health();
        assert_eq!(health.connects, round + 1, "{health}");
    }
    assert_eq!(trainer.taken, names(&played));
}

#[test]
fn a_broker_that_is_frozen_is_waited_for() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let first = side.play(10, 2, 1_000);
    settle(&mut [&mut side], &mut hub, &mut trainer);
    broker.freeze();
    let second = side.play(50, 2, 1_000);
    until("a frame has no answer", || {
        side.step();
        hub.step();
        side.worker.counts().refusals > 0
    });
    broker.thaw();
    settle(&mut [&mut side], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&[first, second]));
}

#[test]
fn what_a_broker_has_lost_with_its_disk_is_sent_again() {
    let Some(mut broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let first = side.play(10, 2, 1_000);
    settle(&mut [&mut side], &mut hub, &mut trainer);
    let lost = side.worker.counts().lost_by_broker;
    // The collector is away: frames are stored and have no receipt.
    drop(hub);
    let stored = side.worker.counts().stored;
    let second = side.play(20, 2, 1_000);
    until("all are stored", || {
        side.step();
        side.worker.counts().stored == stored + 20
    });
    broker.kill();
    broker.lose_store();
    broker.restart();
    // Without streams nothing is stored, which passes.
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let third = side.play(3, 2, 1_000);
    until("a frame finds no stream", || {
        side.step();
        hub.step();
        side.worker.counts().refusal.as_ref().is_some_and(|refusal| refusal.contains("no stream takes it"))
    });
    broker.prepare(PLAN);
    settle(&mut [&mut side], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&[first, second, third]));
    // Those that came into a stream that was not known yet may count among the lost.
    assert!((20..=23).contains(&(side.worker.counts().lost_by_broker - lost)), "{}", side.state());
}

#[test]
fn a_full_stream_refuses_and_goes_on_when_there_is_room() {
    let Some(broker) = Broker::bare(&["w1"], |_| None) else { return };
    broker.prepare(selfplay_fleet::nats::assets::Plan { games: 1 << 20, ..PLAN });
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let played = side.play(40, 1, 100_000);
    until("the stream is full", || {
        side.step();
        side.worker.counts().refusal.as_ref().is_some_and(|refusal| refusal.contains("the broker has no room"))
    });
    let stored = side.worker.counts().stored;
    assert!((5..=11).contains(&stored), "{}", side.state());
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    settle(&mut [&mut side], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&[played]));
}

#[test]
fn a_worker_that_starts_anew_hears_of_receipts_that_it_missed() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let played = side.play(10, 1, 1_000);
    until("all are stored", || {
        side.step();
        side.worker.counts().stored == 10
    });
    // It ends before there is a receipt, and its receipts come while it is away.
    drop(side);
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    until("all games are there", || {
        hub.step();
        trainer.take();
        trainer.taken.len() == 10
    });
    // The collector is away now, after its last words: only what the broker has kept can tell.
    drop(hub);
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    until("its outbox is empty", || {
        while let Some(event) = selfplay_fleet::link::WorkerLink::hear(&mut side.link) {
            side.worker.heard(event, std::time::Duration::ZERO).unwrap();
        }
        side.waiting() == 0
    });
    assert_eq!((side.worker.counts().sent, trainer.taken), (0, names(&[played])));
}

#[test]
fn a_report_that_is_asked_for_again_is_heard_once() {
    let Some(mut broker) = Broker::start(&["w1"]) else { return };
    let mut worker = NatsWorker::connect(broker.dial("w1"), &name("run"), &name("w1"), Bell::silent()).unwrap();
    let mut collector = NatsCollector::connect(broker.dial(HUB), Bell::silent()).unwrap();
    let report = |last| Report { created: 1, floor: 0, last };
    let (mut reports, mut receipts) = (Vec::new(), 0);
    let mut hear = |worker: &mut NatsWorker| {
        for event in std::iter::from_fn(|| worker.hear()) {
            match event {
                ToWorker::Report(report) => reports.push(report.last),
                ToWorker::Receipts(_) => receipts += 1,
                _ => {}
            }
        }
        (reports.clone(), receipts)
    };
    collector.put_receipts(&name("w1"), Vec::new());
    collector.put_report(report(1));
    until("the first report is heard", || !hear(&mut worker).0.is_empty());
    // A connection that comes about anew has what was told last asked for: receipts, and with them the report.
    let before = hear(&mut worker).1;
    broker.kill();
    broker.restart();
    until("receipts are heard that were asked for", || hear(&mut worker).1 > before);
    collector.put_report(report(2));
    until("the second report is heard", || hear(&mut worker).0.contains(&2));
    // Heard twice, the first would count for two looks at a stream that ends before a frame, which the broker would seem to have lost.
    assert_eq!(hear(&mut worker).0, [1, 2]);
}
