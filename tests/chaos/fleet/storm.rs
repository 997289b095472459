//! Faults by a seeded schedule against a whole fleet, and the reckoning at the end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    ground::WORKERS,
    run::{Run, address, quick},
};
use crate::{
    config::Config,
    link::State,
    models::{Kind, Mangled},
    random::Random,
    session::{Ended, Launch, Session, Signal},
    site::Disk,
    wait::pause,
};

/// Games of a second or more, so that some are in play when something happens.
const CONFIG: Config = Config { simulations: 100, games: 4, ..Config::QUICK };

/// The second hub stands by, if it is there.
const HUBS: usize = 2;

/// The worker whose disk can be filled.
const ON_DISK: usize = WORKERS.len() - 1;

const TICK: Duration = Duration::from_millis(20);
const PROGRESS: Duration = Duration::from_secs(30);

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    GoodModel,
    BadModel,
    MangledLatest,
    Steer,
    KillWorker,
    TerminateWorker,
    FreezeWorker,
    KillHub,
    TerminateHub,
    FreezeHub,
    /// A hub with the settings of another run refuses what comes.
    MistakenHub,
    KillServer,
    TerminateServer,
    FreezeServer,
    EmptyServer,
    FullServer,
    Link,
    Key,
    FullTrainer,
    NoDirectory,
    FullWorker,
    IdleTrainer,
}

const WEIGHTS: [(u64, Fault); 22] = [
    (8, Fault::GoodModel),
    (6, Fault::BadModel),
    (3, Fault::MangledLatest),
    (4, Fault::Steer),
    (6, Fault::KillWorker),
    (4, Fault::TerminateWorker),
    (3, Fault::FreezeWorker),
    (4, Fault::KillHub),
    (2, Fault::TerminateHub),
    (2, Fault::FreezeHub),
    (1, Fault::MistakenHub),
    (3, Fault::KillServer),
    (2, Fault::TerminateServer),
    (2, Fault::FreezeServer),
    (2, Fault::EmptyServer),
    (1, Fault::FullServer),
    (12, Fault::Link),
    (2, Fault::Key),
    (2, Fault::FullTrainer),
    (2, Fault::NoDirectory),
    (2, Fault::FullWorker),
    (2, Fault::IdleTrainer),
];

/// What workers do to themselves, one of these for each start.
const OF_WORKERS: [&str; 7] = [
    "",
    "",
    "fleet=panic/40",
    "fleet=panic/15,game=panic/2000,cache=panic/3000",
    "writer=panic/30,format=panic/40,loader=panic/60",
    "inference=panic/300,evaluator=error/300",
    "evaluator=nan/20000",
];

/// The same of hubs.
const OF_HUBS: [&str; 5] =
    ["", "", "collector=panic/60", "publisher=panic/60", "collector=panic/25,publisher=panic/25"];

/// A worker or a hub.
enum Slot {
    Runs(Box<Session>),
    Frozen(Box<Session>, Instant),
    /// Starts at this time.
    Waits(Instant),
}

/// How the server is.
#[derive(Clone, Copy)]
enum Server {
    Up,
    Frozen(Instant),
    /// Starts at this time.
    Down(Instant),
    /// Its disk is full until then.
    Full(Instant),
}

/// What is missing for a while.
#[derive(Clone, Copy, Default)]
struct Missing {
    /// Disk or directory of the trainer.
    trainer: Option<(Instant, Fault)>,
    /// Disk of the last worker.
    worker: Option<Instant>,
    /// The trainer's attention.
    attention: Option<Instant>,
    /// A worker's key.
    key: Option<(usize, Instant)>,
    /// A `latest.yaml` that can be read.
    latest: Option<Instant>,
}

/// A run.
pub(crate) struct FleetStorm {
    // Dropped before the ground that they stand on.
    workers: Vec<Slot>,
    hubs: Vec<Slot>,
    run: Run,
    server: Server,
    links: Vec<Option<Instant>>,
    missing: Missing,
    /// The next hub is given the settings of another run.
    mistaken: bool,
    random: Random,
    faults: BTreeMap<Fault, u64>,
    /// Commands of people that a hub obeyed, and all.
    steered: (u64, u64),
}

fn is_over(until: Option<Instant>, now: Instant) -> bool {
    until.is_some_and(|until| now >= until)
}

impl FleetStorm {
    /// Runs for `length`, then lets everything end in peace and checks that the books of the fleet balance.
    pub(crate) fn rages(seed: u64, length: Duration) {
        let mut random = Random::new(seed);
        let tls = random.one_in(2);
        eprintln!("chaos of a fleet for {length:?}, encrypted: {tls}; CHAOS_SEED={seed} repeats its schedule");
        let run = Run::new(CONFIG, tls);
        let now = Instant::now();
        let waits = |count: usize| (0..count).map(|_| Slot::Waits(now)).collect::<Vec<_>>();
        let mut storm = Self {
            workers: waits(WORKERS.len()),
            hubs: waits(HUBS),
            links: run.ground.links.iter().map(|_| None).collect(),
            run,
            server: Server::Up,
            missing: Missing { latest: Some(now), ..Missing::default() },
            mistaken: false,
            random,
            faults: BTreeMap::new(),
            steered: (0, 0),
        };
        storm.blow(now + length);
        storm.calm();
    }

    fn blow(&mut self, end: Instant) {
        let (mut next, mut progress) = (Instant::now() + Duration::from_secs(3), Instant::now() + PROGRESS);
        while Instant::now() < end {
            self.tick();
            if Instant::now() >= next {
                let fault = self.random.weighted(&WEIGHTS);
                if self.strike(fault) {
                    *self.faults.entry(fault).or_default() += 1;
                }
                next = Instant::now() + self.random.millis(100, 1500);
            }
            if Instant::now() >= progress {
                let left = end.saturating_duration_since(Instant::now()).as_secs();
                let faults: u64 = self.faults.values().sum();
                eprintln!("{left} s left: {} games taken, {faults} faults", self.run.ingest.taken().len());
                progress = Instant::now() + PROGRESS;
            }
            pause(TICK);
        }
    }

    /// What goes on all the time.
    fn tick(&mut self) {
        let now = Instant::now();
        self.mend(now);
        if self.missing.attention.is_none() {
            if is_over(self.missing.latest, now) {
                self.missing.latest = None;
                self.run.models.publish(Kind::Good);
            }
            if !matches!(self.missing.trainer, Some((_, Fault::NoDirectory))) {
                self.run.ingest();
            }
        }
        for worker in 0..WORKERS.len() {
            let starved = worker == ON_DISK && self.missing.worker.is_some();
            if let Some(ended) = look_after(&mut self.workers[worker], starved, now) {
                self.run.enter_worker(&ended);
                self.workers[worker] = Slot::Waits(now + self.random.millis(0, 1500));
            }
            if matches!(self.workers[worker], Slot::Waits(until) if now >= until && !starved) {
                let launch = self.launch(&OF_WORKERS);
                // The second has little room for games that wait.
                let room = if worker == 1 { self.random.pick(&["20000", "200000"]) } else { "1GB" };
                let session = self.run.start_worker(worker, &launch.setting("fleet.max_outbox_bytes", room));
                self.workers[worker] = Slot::Runs(Box::new(session));
            }
        }
        for hub in 0..HUBS {
            let starved = self.missing.trainer.is_some();
            if let Some(ended) = look_after(&mut self.hubs[hub], starved, now) {
                self.run.enter_hub(&ended);
                // Now and then there is a second one.
                let longest = if hub == 0 { 1500 } else { 40_000 };
                self.hubs[hub] = Slot::Waits(now + self.random.millis(0, longest));
            }
            if matches!(self.hubs[hub], Slot::Waits(until) if now >= until && !starved) {
                let config = if std::mem::take(&mut self.mistaken) { "other.yaml" } else { "config.yaml" };
                let launch = self.launch(&OF_HUBS);
                let session = self.run.start_hub(config, &launch);
                self.hubs[hub] = Slot::Runs(Box::new(session));
            }
        }
    }

    fn launch(&mut self, faults: &[&str]) -> Launch {
        let grace = self.random.pick(&[0.0, 0.3, 1.0, 3.0]);
        let faults = match self.random.pick(faults) {
            "" => String::new(),
            faults => format!("{faults},seed={}", self.random.below(1000)),
        };
        quick().grace(grace).faults(&faults)
    }

    /// Ends what has lasted long enough.
    fn mend(&mut self, now: Instant) {
        match self.server {
            Server::Frozen(until) if now >= until => {
                self.run.ground.signal_server(Signal::CONT);
                self.server = Server::Up;
            }
            Server::Full(until) if now >= until => {
                self.run.ground.store_disk.as_mut().unwrap().empty();
                // One that met a full disk stores nothing before it is started anew.
                self.run.ground.end_server(false);
                self.server = Server::Down(now);
            }
            Server::Down(until) if now >= until => {
                self.run.ground.serve();
                self.server = Server::Up;
            }
            _ => {}
        }
        for (link, until) in
            self.run.ground.links.iter().zip(&mut self.links).filter(|(_, until)| is_over(**until, now))
        {
            link.set(State::Well);
            *until = None;
        }
        if self.missing.trainer.is_some_and(|(until, _)| now >= until) {
            self.end_of_starvation();
        }
        if is_over(self.missing.worker, now) {
            self.missing.worker = None;
            self.run.ground.worker_disk.as_mut().unwrap().empty();
        }
        if is_over(self.missing.attention, now) {
            self.missing.attention = None;
        }
        if let (Some((worker, until)), Server::Up) = (self.missing.key, self.server)
            && now >= until
        {
            self.give_key(worker);
        }
    }

    /// A worker gets another key, and is started anew with it.
    fn give_key(&mut self, worker: usize) {
        self.missing.key = None;
        self.run.ground.add_worker(worker);
        if let Slot::Runs(session) = &mut self.workers[worker]
            && !session.told.terminated
        {
            session.signal(Signal::TERM);
        }
    }

    fn end_of_starvation(&mut self) {
        match self.missing.trainer.take() {
            Some((_, Fault::FullTrainer)) => self.run.ground.site.disk().unwrap().empty(),
            Some(_) => self.run.ground.site.give_directory_back(),
            None => {}
        }
    }

    /// Whether the fault could be.
    fn strike(&mut self, fault: Fault) -> bool {
        let now = Instant::now();
        let until = now + self.random.millis(500, 8000);
        let worker = self.random.below(WORKERS.len() as u64) as usize;
        let hub = usize::from(self.random.one_in(3));
        match fault {
            Fault::GoodModel | Fault::BadModel | Fault::MangledLatest if self.missing.attention.is_some() => false,
            Fault::GoodModel => {
                self.run.models.publish(if self.random.one_in(6) { Kind::Constant } else { Kind::Good });
                true
            }
            Fault::BadModel => {
                self.run.models.publish(self.random.pick(&Kind::BAD));
                true
            }
            Fault::MangledLatest => {
                self.run.models.mangle(self.random.pick(&Mangled::ALL));
                self.missing.latest = Some(now + self.random.millis(200, 2000));
                true
            }
            Fault::Steer => self.steer(hub),
            Fault::KillWorker => strike(&mut self.workers[worker], Signal::KILL, until),
            Fault::TerminateWorker => strike(&mut self.workers[worker], Signal::TERM, until),
            Fault::FreezeWorker => strike(&mut self.workers[worker], Signal::STOP, until),
            Fault::KillHub => strike(&mut self.hubs[hub], Signal::KILL, until),
            Fault::TerminateHub => strike(&mut self.hubs[hub], Signal::TERM, until),
            Fault::FreezeHub => strike(&mut self.hubs[hub], Signal::STOP, until),
            Fault::MistakenHub => {
                self.mistaken = true;
                strike(&mut self.hubs[0], Signal::KILL, until)
            }
            Fault::Link => {
                let link = self.random.below(self.links.len() as u64) as usize;
                let flapping = State::Flapping(self.random.millis(100, 1500));
                let slow = State::Slow(self.random.millis(20, 400));
                let state = self.random.pick(&[State::Cut, State::Deaf, State::Mute, flapping, slow]);
                self.run.ground.links[link].set(state);
                self.links[link] = Some(until);
                true
            }
            Fault::Key => {
                let can_be = self.missing.key.is_none() && matches!(self.server, Server::Up);
                if can_be {
                    self.run.ground.remove_worker(worker);
                    self.missing.key = Some((worker, until));
                }
                can_be
            }
            Fault::FullTrainer | Fault::NoDirectory => self.starve_trainer(fault, until),
            Fault::FullWorker => fill(&mut self.run.ground.worker_disk, &mut self.missing.worker, until),
            Fault::IdleTrainer => {
                self.missing.attention = Some(until);
                true
            }
            _ => self.strike_server(fault, until),
        }
    }

    fn starve_trainer(&mut self, fault: Fault, until: Instant) -> bool {
        if self.missing.trainer.is_some() {
            return false;
        }
        if fault == Fault::FullTrainer {
            let Some(disk) = self.run.ground.site.disk() else { return false };
            disk.fill();
        } else {
            self.run.ingest();
            self.run.ground.site.take_directory();
        }
        self.missing.trainer = Some((until, fault));
        true
    }

    fn strike_server(&mut self, fault: Fault, until: Instant) -> bool {
        if !matches!(self.server, Server::Up) {
            return false;
        }
        match fault {
            Fault::FreezeServer => {
                self.run.ground.signal_server(Signal::STOP);
                self.server = Server::Frozen(until);
            }
            Fault::FullServer => {
                let Some(disk) = &mut self.run.ground.store_disk else { return false };
                disk.fill();
                self.server = Server::Full(until);
            }
            _ => {
                self.run.ground.end_server(fault == Fault::TerminateServer);
                if fault == Fault::EmptyServer {
                    self.run.ground.lose_store();
                }
                self.server = Server::Down(until);
            }
        }
        true
    }

    /// A person tells a hub what to do.
    fn steer(&mut self, hub: usize) -> bool {
        let what = self.random.pick(&["hold", "resume", "promote", "withdraw"]);
        let Slot::Runs(session) = &self.hubs[hub] else { return false };
        let Some(address) = address(session) else { return false };
        let mut command = Launch::plain().command();
        let output = command.args(["fleet", what, "--address", &format!("http://{address}")]).output().unwrap();
        let code = output.status.code();
        // It may be refused, or the hub may end in this moment.
        assert!(matches!(code, Some(0 | 1 | 69)), "{what}: {output:?}");
        self.steered.0 += u64::from(code == Some(0));
        self.steered.1 += 1;
        true
    }

    /// Ends all faults and all processes, lets others bring what was begun to its end, and reckons.
    fn calm(mut self) {
        self.end_of_faults();
        self.end_all();
        let mut faults: String =
            self.faults.iter().map(|(fault, count)| format!("  {:<60}{count:>9}\n", format!("{fault:?}"))).collect();
        faults += &format!("  {:<60}{:>9}", "obeyed by a hub", self.steered.0);
        eprintln!("{faults}");
        self.run.ends_in_peace();
    }

    fn end_of_faults(&mut self) {
        self.end_of_starvation();
        self.missing.attention = None;
        if self.missing.worker.take().is_some() {
            self.run.ground.worker_disk.as_mut().unwrap().empty();
        }
        self.run.ground.links.iter().for_each(|link| link.set(State::Well));
        if let Server::Full(_) = self.server {
            self.run.ground.store_disk.as_mut().unwrap().empty();
        }
        match self.server {
            Server::Frozen(_) => self.run.ground.signal_server(Signal::CONT),
            Server::Down(_) => self.run.ground.serve(),
            Server::Full(_) => {
                self.run.ground.end_server(false);
                self.run.ground.serve();
            }
            Server::Up => {}
        }
        self.server = Server::Up;
        if let Some((worker, _)) = self.missing.key {
            self.give_key(worker);
        }
    }

    fn end_all(&mut self) {
        let take = |slots: &mut Vec<Slot>| {
            let sessions = std::mem::take(slots).into_iter().filter_map(|slot| match slot {
                Slot::Runs(session) | Slot::Frozen(session, _) => Some(*session),
                Slot::Waits(_) => None,
            });
            let mut sessions: Vec<_> = sessions.collect();
            for session in &mut sessions {
                session.signal(Signal::CONT);
                if !session.told.terminated {
                    session.signal(Signal::TERM);
                }
            }
            sessions
        };
        let (workers, hubs) = (take(&mut self.workers), take(&mut self.hubs));
        workers.into_iter().for_each(|worker| self.run.enter_worker(&worker.wait()));
        hubs.into_iter().for_each(|hub| self.run.enter_hub(&hub.wait()));
    }
}

/// Sees whether a process has ended, and lets one go on that was frozen for long enough.
fn look_after(slot: &mut Slot, starved: bool, now: Instant) -> Option<Ended> {
    match slot {
        Slot::Runs(session) => {
            session.told.starved |= starved;
            return session.ended();
        }
        Slot::Frozen(session, until) if now >= *until => {
            session.signal(Signal::CONT);
            if let Slot::Frozen(session, _) = std::mem::replace(slot, Slot::Waits(now)) {
                *slot = Slot::Runs(session);
            }
        }
        Slot::Frozen(session, _) => session.told.starved |= starved,
        Slot::Waits(_) => {}
    }
    None
}

/// Whether the signal could be sent; a process that is stopped goes on at `until`.
fn strike(slot: &mut Slot, signal: Signal, until: Instant) -> bool {
    let Slot::Runs(session) = slot else { return false };
    // A second signal would cut the end short.
    if session.told.killed || (signal == Signal::TERM && session.told.terminated) {
        return false;
    }
    session.signal(signal);
    if signal == Signal::STOP
        && let Slot::Runs(session) = std::mem::replace(slot, Slot::Waits(until))
    {
        *slot = Slot::Frozen(session, until);
    }
    true
}

/// Fills a disk, if there is one and it is not full.
fn fill(disk: &mut Option<Disk>, full: &mut Option<Instant>, until: Instant) -> bool {
    match disk {
        Some(disk) if full.is_none() => {
            disk.fill();
            *full = Some(until);
            true
        }
        _ => false,
    }
}
