//! Faults by a seeded schedule against daemons that share a directory, and the reckoning at the end.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use crate::{
    books::Books,
    config::Config,
    ingest::Ingest,
    models::{Kind, Mangled, Models},
    random::Random,
    session::{Ended, Launch, Session, Signal},
    site::Site,
    wait::{self, pause},
};

/// Games of a few seconds, so that most are in play when something happens.
const CONFIG: Config = Config { simulations: 300, games: 6, ..Config::QUICK };

/// Daemons that share the directory.
const DAEMONS: usize = 2;

const TICK: Duration = Duration::from_millis(20);
const PROGRESS: Duration = Duration::from_secs(30);

/// Longest call of the network. Far longer than any takes on a busy machine.
const HANG_SECONDS: &str = "5";

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    GoodModel,
    BadModel,
    MangledLatest,
    Kill,
    Terminate,
    Freeze,
    FullDisk,
    NoDirectory,
    NoTmp,
    IdleTrainer,
}

const WEIGHTS: [(u64, Fault); 10] = [
    (10, Fault::GoodModel),
    (10, Fault::BadModel),
    (5, Fault::MangledLatest),
    (5, Fault::Kill),
    (4, Fault::Terminate),
    (3, Fault::Freeze),
    (2, Fault::FullDisk),
    (2, Fault::NoDirectory),
    (1, Fault::NoTmp),
    (2, Fault::IdleTrainer),
];

/// What daemons do to themselves, one of these for each start.
const INJECTIONS: [&str; 9] = [
    "",
    "game=panic/2000,cache=panic/3000,batcher=panic/5000",
    "writer=panic/30,format=panic/20,loader=panic/30",
    "inference=panic/300,evaluator=error/300",
    "evaluator=nan/20000",
    "thread=panic/2000",
    "inference=hang@2000",
    "cache=panic/2000,evaluator=nan/20000,writer=panic/20",
    "game=panic/1000,inference=panic/1000,evaluator=error/1000",
];

/// One of the daemons.
enum Slot {
    Runs(Box<Session>),
    Frozen(Box<Session>, Instant),
    /// Starts at this time.
    Waits(Instant),
}

/// A run.
pub(crate) struct Storm {
    site: Site,
    models: Models,
    ingest: Ingest,
    books: Books,
    random: Random,
    slots: Vec<Slot>,
    faults: BTreeMap<Fault, u64>,
    /// When the disk or the directory comes back.
    starved: Option<(Instant, Fault)>,
    /// When the trainer goes on.
    idle: Option<Instant>,
    /// When `latest.yaml` is put right.
    mangled: Option<Instant>,
}

impl Storm {
    /// Runs for `length`, then lets everything end in peace and checks that the books balance.
    pub(crate) fn rages(seed: u64, length: Duration) {
        eprintln!("chaos for {length:?}; CHAOS_SEED={seed} repeats its schedule");
        let site = Site::new(CONFIG, true);
        let models = Models::new(&site);
        let now = Instant::now();
        let mut storm = Self {
            site,
            models,
            ingest: Ingest::new(),
            books: Books::default(),
            random: Random::new(seed),
            slots: (0..DAEMONS).map(|_| Slot::Waits(now)).collect(),
            faults: BTreeMap::new(),
            starved: None,
            idle: None,
            mangled: Some(now),
        };
        storm.blow(now + length);
        storm.calm();
        storm.reckon();
    }

    fn blow(&mut self, end: Instant) {
        let (mut next, mut progress) = (Instant::now() + Duration::from_secs(2), Instant::now() + PROGRESS);
        while Instant::now() < end {
            self.tick();
            if Instant::now() >= next {
                let fault = self.random.weighted(&WEIGHTS);
                if self.strike(fault) {
                    *self.faults.entry(fault).or_default() += 1;
                }
                next = Instant::now() + self.random.millis(100, 1200);
            }
            if Instant::now() >= progress {
                let left = end.saturating_duration_since(Instant::now()).as_secs();
                let faults: u64 = self.faults.values().sum();
                eprintln!("{left} s left: {} games taken, {faults} faults", self.ingest.taken().len());
                progress = Instant::now() + PROGRESS;
            }
            pause(TICK);
        }
    }

    /// What goes on all the time.
    fn tick(&mut self) {
        let now = Instant::now();
        if self.starved.is_some_and(|(until, _)| now >= until) {
            self.end_of_starvation();
        }
        if self.idle.is_some_and(|until| now >= until) {
            self.idle = None;
        }
        if self.idle.is_none() {
            if self.mangled.is_some_and(|until| now >= until) {
                self.mangled = None;
                self.models.publish(Kind::Good);
            }
            if !matches!(self.starved, Some((_, Fault::NoDirectory))) {
                self.ingest.round(&self.site, &self.models);
            }
        }
        for slot in 0..self.slots.len() {
            self.look_after(slot, now);
        }
    }

    fn look_after(&mut self, slot: usize, now: Instant) {
        match &mut self.slots[slot] {
            Slot::Runs(session) => {
                session.told.starved |= self.starved.is_some();
                if let Some(ended) = session.ended() {
                    self.enter(&ended);
                    self.slots[slot] = Slot::Waits(now + self.random.millis(0, 1500));
                }
            }
            Slot::Frozen(session, until) if now >= *until => {
                session.signal(Signal::CONT);
                let waits = Slot::Waits(now);
                if let Slot::Frozen(session, _) = std::mem::replace(&mut self.slots[slot], waits) {
                    self.slots[slot] = Slot::Runs(session);
                }
            }
            Slot::Waits(until) if now >= *until && self.starved.is_none() => {
                let grace = self.random.pick(&[0.0, 0.3, 1.0, 3.0]);
                let faults = self.random.pick(&INJECTIONS);
                let faults = match faults {
                    "" => String::new(),
                    faults => format!("{faults},seed={}", self.random.below(1000)),
                };
                let launch = launch().grace(grace).faults(&faults);
                self.slots[slot] = Slot::Runs(Box::new(launch.start(&mut self.site, &self.models)));
            }
            Slot::Frozen(..) | Slot::Waits(_) => {}
        }
    }

    /// Whether the fault could be.
    fn strike(&mut self, fault: Fault) -> bool {
        let now = Instant::now();
        match fault {
            Fault::GoodModel | Fault::BadModel | Fault::MangledLatest if self.idle.is_some() => return false,
            Fault::GoodModel => {
                self.models.publish(if self.random.one_in(6) { Kind::Constant } else { Kind::Good });
            }
            Fault::BadModel => {
                self.models.publish(self.random.pick(&Kind::BAD));
            }
            Fault::MangledLatest => {
                self.models.mangle(self.random.pick(&Mangled::ALL));
                self.mangled = Some(now + self.random.millis(200, 2000));
            }
            Fault::Kill | Fault::Terminate | Fault::Freeze => return self.strike_daemon(fault),
            Fault::FullDisk | Fault::NoDirectory | Fault::NoTmp if self.starved.is_some() => return false,
            Fault::FullDisk if self.site.disk().is_none() => return false,
            Fault::FullDisk | Fault::NoDirectory => {
                if fault == Fault::FullDisk {
                    self.site.disk().unwrap().fill();
                } else {
                    self.ingest.round(&self.site, &self.models);
                    self.site.take_directory();
                }
                self.starved = Some((now + self.random.millis(500, 6000), fault));
            }
            Fault::NoTmp => {
                // While daemons work in it, it may not be empty for long enough.
                fs::remove_dir_all(self.site.ready().join("tmp")).ok();
                self.books.journals_are_gone();
                for slot in &mut self.slots {
                    if let Slot::Runs(session) | Slot::Frozen(session, _) = slot {
                        session.told.starved = true;
                    }
                }
            }
            Fault::IdleTrainer => self.idle = Some(now + self.random.millis(1000, 6000)),
        }
        true
    }

    fn strike_daemon(&mut self, fault: Fault) -> bool {
        let slot = self.random.below(DAEMONS as u64) as usize;
        let until = Instant::now() + self.random.millis(500, 8000);
        match &mut self.slots[slot] {
            Slot::Runs(session) if fault == Fault::Kill => session.signal(Signal::KILL),
            // A second signal would cut the end short.
            Slot::Runs(session) if fault == Fault::Terminate && !session.told.terminated => {
                session.signal(Signal::TERM)
            }
            Slot::Runs(session) if fault == Fault::Freeze && !session.told.killed => {
                session.signal(Signal::STOP);
                if let Slot::Runs(session) = std::mem::replace(&mut self.slots[slot], Slot::Waits(until)) {
                    self.slots[slot] = Slot::Frozen(session, until);
                }
            }
            Slot::Runs(_) | Slot::Frozen(..) | Slot::Waits(_) => return false,
        }
        true
    }

    fn end_of_starvation(&mut self) {
        match self.starved.take() {
            Some((_, Fault::FullDisk)) => self.site.disk().unwrap().empty(),
            Some(_) => self.site.give_directory_back(),
            None => {}
        }
    }

    fn enter(&mut self, ended: &Ended) {
        self.books.enter(ended);
        judge(ended);
    }

    /// Ends all faults, all daemons, and then the games that they left.
    fn calm(&mut self) {
        self.end_of_starvation();
        self.idle = None;
        let version = self.models.publish(Kind::Good);
        for slot in std::mem::take(&mut self.slots) {
            if let Slot::Runs(mut session) | Slot::Frozen(mut session, _) = slot {
                session.signal(Signal::CONT);
                if !session.told.terminated {
                    session.signal(Signal::TERM);
                }
                let ended = session.wait();
                self.enter(&ended);
            }
        }
        self.ingest.round(&self.site, &self.models);

        let mut last = Launch::plain().start(&mut self.site, &self.models);
        last.resumes_all();
        last.signal(Signal::TERM);
        let ended = wait::until("the end of the last games", || {
            self.ingest.round(&self.site, &self.models);
            last.ended()
        });
        assert!(ended.log.saying("model in service").any(|line| line["version"] == version), "{}", ended.log.tail());
        self.books.enter(&ended);
        ended.exited_with(0);
        self.ingest.round(&self.site, &self.models);
    }

    fn reckon(&self) {
        let faults: String =
            self.faults.iter().map(|(fault, count)| format!("  {:<60}{count:>9}\n", format!("{fault:?}"))).collect();
        eprintln!("{faults}{}", self.books.table(&self.ingest));
        assert_eq!(self.site.leftovers(), [""; 0]);
        assert_eq!(self.site.processes(), [0; 0]);
        self.books.balance(&self.ingest);
    }
}

fn launch() -> Launch {
    Launch::plain().setting("inference.hang_seconds", HANG_SECONDS).setting("play.processes", &DAEMONS.to_string())
}

/// Whether a daemon may have ended like this.
fn judge(ended: &Ended) {
    let (told, injected) = (ended.told, ended.log.has_injections());
    let expected = match ended.code() {
        // On a busy machine a daemon may be told to end before it has begun to listen.
        None => told.killed || (told.terminated && ended.log.lines.is_empty()),
        Some(0) => told.terminated,
        // A budget of restarts was used up, or a thread hung; or games were given up after faults.
        Some(70) => injected,
        Some(74) | Some(78) => told.starved,
        Some(_) => false,
    };
    let how = format!("{:?}, signal {:?}, {told:?}, {:?}", ended.code(), ended.signal(), ended.launch);
    assert!(expected, "a daemon ended as it should not: {how}:\n{}", ended.log.tail());
}
