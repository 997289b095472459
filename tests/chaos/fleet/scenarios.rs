//! One fault each. Every test ends with all games at the trainer and the books in balance.

use std::{fs, time::Duration};

use super::run::{Run, quick};
use crate::{
    config::Config,
    link::State,
    models::Kind,
    nats::has_server,
    session::{Launch, Session, Signal},
    site::Disk,
};

/// Games of a fraction of a second.
const CONFIG: Config = Config { simulations: 50, games: 4, ..Config::QUICK };

/// The worker whose disk can be filled.
const ON_DISK: usize = 2;

/// A fleet at work: one hub, one worker.
struct Fleet {
    hub: Session,
    worker: Session,
    run: Run,
}

impl Fleet {
    /// This worker, and a hub, with faults of their own.
    fn of(worker: usize, faults: &str, of_hub: &str) -> Self {
        Self::on(Run::new(CONFIG, false), worker, &quick().faults(faults), of_hub)
    }

    fn on(mut run: Run, worker: usize, launch: &Launch, of_hub: &str) -> Self {
        run.models.publish(Kind::Good);
        let hub = run.start_hub("config.yaml", &quick().faults(of_hub));
        let worker = run.start_worker(worker, launch);
        run.takes(3);
        Self { hub, worker, run }
    }

    /// Waits until games have begun that had not.
    fn plays_on(&mut self) {
        let begun = |worker: &Session| worker.log().saying("game begun").count();
        let before = begun(&self.worker);
        crate::wait::until("games that begin", || (begun(&self.worker) > before + 4).then_some(()));
    }

    fn ends_in_peace(self) {
        let Self { mut hub, mut worker, mut run } = self;
        for session in [&mut hub, &mut worker] {
            session.signal(Signal::TERM);
        }
        let worker = worker.wait().exited_with(0);
        run.enter_worker(&worker);
        let hub = hub.wait().exited_with(0);
        run.enter_hub(&hub);
        run.ends_in_peace();
    }
}

#[test]
fn links_that_are_cut_slow_or_carry_nothing() {
    if !has_server() {
        return;
    }
    let mut fleet = Fleet::of(0, "", "");
    // Connections that carry nothing are there, until something is missed. At the same time at both ends.
    let hubs = fleet.run.ground.links.len() - 1;
    for (times, state) in [State::Cut, State::Deaf].into_iter().enumerate() {
        let set = |fleet: &Fleet, state: State| [0, hubs].map(|link| fleet.run.ground.links[link].set(state));
        set(&fleet, state);
        fleet.worker.says_for_the(times + 1, "the fleet's server is not connected: play goes on");
        fleet.hub.says("not connected");
        fleet.plays_on();
        set(&fleet, State::Well);
        fleet.run.takes(10);
    }
    // Some comes through.
    for state in [State::Slow(Duration::from_millis(50)), State::Flapping(Duration::from_secs(2))] {
        fleet.run.ground.links[0].set(state);
        fleet.run.takes(10);
    }
    fleet.run.ground.links[0].set(State::Well);
    fleet.ends_in_peace();
}

#[test]
fn parts_of_a_fleet_that_panic() {
    if !has_server() {
        return;
    }
    let faults = "fleet=panic@3,fleet=panic@9,fleet=panic@20";
    let mut fleet = Fleet::of(0, faults, "collector=panic@9,collector=panic@10,publisher=panic@9");
    fleet.worker.says_for_the(3, "the fleet's side panicked: it begins anew; no game is lost by that");
    fleet.hub.says_for_the(3, "restarting child");
    fleet.run.takes(10);
    // One that panics again and again ends its process, and the next goes on.
    fleet.hub.signal(Signal::TERM);
    let hub = fleet.run.start_hub("config.yaml", &quick().faults("collector=panic/1"));
    let first = std::mem::replace(&mut fleet.hub, hub).wait().exited_with(0);
    fleet.run.enter_hub(&first);
    let hub = fleet.run.start_hub("config.yaml", &quick());
    let gave_up = std::mem::replace(&mut fleet.hub, hub).wait().exited_with(70);
    fleet.run.enter_hub(&gave_up);
    fleet.run.takes(10);
    fleet.ends_in_peace();
}

#[test]
fn disks_that_are_full() {
    if !has_server() {
        return;
    }
    let run = Run::new(CONFIG, false);
    // The games' folder has room, and only the outbox has none.
    let outbox = run.ground.worker_dir(ON_DISK).join("outbox");
    fs::create_dir_all(&outbox).unwrap();
    let Some(mut disk) = Disk::mount(&outbox) else { return };
    let launch = quick().setting("fleet.max_outbox_bytes", "100000").setting("output.min_free", "0");
    let mut fleet = Fleet::on(run, ON_DISK, &launch, "");
    disk.fill();
    fleet.worker.says("finished games cannot be kept");
    fleet.worker.says("no new games start");
    disk.empty();
    fleet.run.takes(10);
    // All of the worker's.
    fleet.run.ground.worker_disk.as_mut().unwrap().fill();
    fleet.worker.told.starved = true;
    fleet.worker.says("cannot write games");
    fleet.run.ground.worker_disk.as_mut().unwrap().empty();
    fleet.run.takes(10);
    // The trainer's.
    fleet.run.ground.site.disk().unwrap().fill();
    fleet.hub.says("games cannot be collected");
    fleet.run.ground.site.disk().unwrap().empty();
    fleet.run.takes(10);
    // The server's. It stores nothing more then, until it is started anew.
    fleet.run.ground.store_disk.as_mut().unwrap().fill();
    fleet.worker.says("outbox full");
    fleet.run.ground.store_disk.as_mut().unwrap().empty();
    fleet.run.ground.end_server(true);
    fleet.run.ground.serve();
    fleet.run.takes(10);
    drop(disk);
    fleet.ends_in_peace();
}
