//! A worker and a collector in processes of their own, which are killed without a word.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use selfplay_fleet::nats::{Dial, keys::Key, server::HUB};

use crate::{
    broker::{Broker, name},
    sides::{HubSide, Side, Trainer, pause, until},
};

/// Says what a child is to be.
const ROLE: &str = "FLEET_TEST_ROLE";
const DIR: &str = "FLEET_TEST_DIR";
const URL: &str = "FLEET_TEST_URL";

/// Frames that a worker plays in one life, if it is let.
const FRAMES: u64 = 40;

/// A process. Killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(role: &str, broker: &Broker) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "children::a_child", "--nocapture"]);
        child.env(ROLE, role).env(DIR, broker.dir()).env(URL, broker.url());
        // It ends when this end of the pipe is closed, however this process ends.
        Self(child.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// No test but what the processes run.
#[test]
fn a_child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    let dir = PathBuf::from(std::env::var_os(DIR).unwrap());
    let dial = |who: &str| {
        let key = Key::read(&dir.join(format!("{who}.nk"))).unwrap();
        Dial::new(&[std::env::var(URL).unwrap()], None, &name(who), key).unwrap()
    };
    if role == HUB { collect(&dir, dial(HUB)) } else { play(&dir, &role, dial(&role)) }
}

fn collect(dir: &Path, dial: Dial) {
    let mut hub = HubSide::open(&dir.join("ready"), dial);
    loop {
        hub.step();
        pause();
    }
}

/// Plays games whose names go on where the last life ended, up to `FRAMES` in all.
fn play(dir: &Path, worker: &str, dial: Dial) {
    let mut side = Side::open(dir, worker, dial);
    side.skip(side.worker.outbox().last());
    loop {
        if side.worker.outbox().last() < FRAMES {
            side.play(1, 1, 5_000);
        }
        side.step();
        pause();
    }
}

#[test]
fn workers_and_collectors_that_are_killed_lose_and_double_nothing() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let ready = broker.dir().join("ready");
    std::fs::create_dir(&ready).unwrap();
    let mut trainer = Trainer::new(&ready);
    let mut worker = Some(Process::start("w1", &broker));
    let mut hub = Some(Process::start(HUB, &broker));
    // One of the two is killed whenever so many more games have come, and at the end both go on until all are there.
    for round in 1..=4 {
        until("some games have come", || {
            trainer.take();
            trainer.taken.len() >= round * 6
        });
        if round % 2 == 0 {
            drop(worker.take());
            worker = Some(Process::start("w1", &broker));
        } else {
            drop(hub.take());
            hub = Some(Process::start(HUB, &broker));
        }
    }
    until("all games have come", || {
        trainer.take();
        trainer.taken.len() as u64 >= FRAMES
    });
    drop((worker, hub));
    let played: BTreeSet<_> = (0..FRAMES).map(|number| format!("w1-{number}")).collect();
    assert_eq!(trainer.taken, played);
}
