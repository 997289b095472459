//! A fleet with a trainer beside it, all that is known of its games, and how it comes to rest.

use std::{
    fs,
    time::{Duration, Instant},
};

use selfplay_engine::replay::GameMetadata;
use selfplay_fleet::frame::Frame;
use serde_json::Value;

use super::ground::{Ground, WORKERS};
use crate::{
    ask,
    books::Books,
    config::Config,
    games::names,
    ingest::{Identity, Ingest},
    models::{Kind, Models},
    session::{Ended, Launch, Session, Signal},
    wait::{self, pause},
};

/// How long all that was interrupted may take to come to its end on a busy machine.
pub(crate) const PEACE: Duration = Duration::from_secs(300);

const TICK: Duration = Duration::from_millis(20);

/// See the module.
pub(crate) struct Run {
    pub(crate) ground: Ground,
    pub(crate) models: Models,
    pub(crate) ingest: Ingest,
    books: Books,
}

impl Run {
    /// A fleet whose server runs, and of which nothing else does yet.
    pub(crate) fn new(config: Config, tls: bool) -> Self {
        let mut ground = Ground::new(config, tls);
        ground.serve();
        let models = Models::new(&ground.site);
        Self { ground, models, ingest: Ingest::new(), books: Books::default() }
    }

    /// The trainer takes all games that are there.
    pub(crate) fn ingest(&mut self) {
        self.ingest.round(&self.ground.site, &self.models);
    }

    pub(crate) fn start_worker(&mut self, worker: usize, launch: &Launch) -> Session {
        self.ground.start_worker(worker, launch)
    }

    /// Starts a hub by these settings of the trainer.
    pub(crate) fn start_hub(&mut self, config: &str, launch: &Launch) -> Session {
        self.ground.start_hub(config, &self.models, launch)
    }

    /// Takes games until there are `more`.
    pub(crate) fn takes(&mut self, more: usize) {
        let enough = self.ingest.taken().len() + more;
        wait::within(PEACE, "more games", || {
            self.ingest();
            (self.ingest.taken().len() >= enough).then_some(())
        });
    }

    /// Enters what a worker did that has ended.
    pub(crate) fn enter_worker(&mut self, ended: &Ended) {
        self.books.enter(ended);
        judge(ended);
    }

    /// The same of a hub.
    pub(crate) fn enter_hub(&mut self, ended: &Ended) {
        self.books.enter_beside(ended);
        judge(ended);
    }

    /// Lets others bring to its end what processes that have ended have begun, and checks that the books of the fleet balance.
    pub(crate) fn ends_in_peace(mut self) {
        self.ingest();
        let version = self.models.publish(Kind::Good);
        let mut hub = self.start_hub("config.yaml", &quick());
        hub.says("status and control");
        let address = address(&hub).unwrap();
        let ours: Vec<_> = (0..WORKERS.len()).filter(|&worker| self.ground.worker_dir(worker).exists()).collect();
        let mut workers: Vec<_> = ours.iter().map(|&worker| self.start_worker(worker, &quick())).collect();
        let told = || ask::get(address.parse().unwrap(), "/v1/fleet").json();
        let mut last = told();
        // The newest model comes to all.
        let serves = |told: &Value| {
            let is_well = |worker: &Value| worker["model"] == version && worker["standing"] == "proven";
            told["publisher"]["model"] == version
                && told["publisher"]["stage"] == "everywhere"
                && ours.iter().all(|&worker| is_well(&told["workers"][worker]))
        };
        let begun = Instant::now();
        while !serves(&last) {
            assert!(begun.elapsed() < PEACE, "model {version} does not come to all: {last:#}");
            self.ingest();
            pause(TICK);
            last = told();
        }
        for worker in &mut workers {
            worker.resumes_all();
            worker.signal(Signal::TERM);
        }
        workers.into_iter().for_each(|worker| self.end_worker(worker));
        // What did not get on its way in time goes with the next start.
        let mut tries = 0;
        while let Some(&worker) = ours.iter().find(|&&worker| !self.outbox(worker).is_empty()) {
            tries += 1;
            assert!(tries < 20, "games stay in the outbox of {}: {:?}", WORKERS[worker], self.outbox(worker));
            let mut again = self.start_worker(worker, &quick());
            again.says("the fleet's server is connected");
            again.resumes_all();
            again.signal(Signal::TERM);
            self.end_worker(again);
        }
        let waits = |told: &Value| told["collector"]["frames_waiting"] != 0 || told["collector"]["frames_in_hand"] != 0;
        let begun = Instant::now();
        while waits(&told()) {
            assert!(begun.elapsed() < PEACE, "games stay at the server: {:#}", told());
            self.ingest();
            pause(TICK);
        }
        hub.signal(Signal::TERM);
        let ended = hub.wait();
        self.enter_hub(&ended);
        ended.exited_with(0);
        self.ground.end_server(true);
        self.ingest();
        self.reckon(&ours);
    }

    /// Waits for the end of a worker that was told to end in peace.
    fn end_worker(&mut self, mut worker: Session) {
        let ended = wait::within(PEACE, "the end of a worker", || {
            self.ingest();
            worker.ended()
        });
        self.enter_worker(&ended);
        ended.exited_with(0);
    }

    /// What a worker still keeps for the trainer.
    pub(crate) fn outbox(&self, worker: usize) -> Vec<String> {
        let mut waiting = names(&self.ground.worker_dir(worker).join("outbox"));
        waiting.retain(|name| !matches!(name.as_str(), "state" | ".lock"));
        waiting
    }

    /// Games that the collector refused, as it keeps them.
    fn refused(&self) -> Vec<Identity> {
        let dir = self.ground.site.ready().join("tmp/fleet/rejected");
        let mut refused = Vec::new();
        for name in names(&dir).into_iter().filter(|name| name.ends_with(".frame")) {
            assert!(dir.join(&name).with_extension("txt").is_file(), "{name} was refused without a word");
            let bytes = fs::read(dir.join(&name)).unwrap();
            let frame = Frame::read(&bytes).unwrap();
            for game in frame.games() {
                let yaml = String::from_utf8(game.unwrap().yaml).unwrap();
                let metadata = GameMetadata::from_yaml(&yaml).unwrap();
                let identity = Identity { seed: metadata.seed.unwrap(), index: metadata.game_index.unwrap() };
                refused.push(identity);
            }
        }
        refused
    }

    fn reckon(&mut self, workers: &[usize]) {
        let refused = self.refused();
        self.books.refused(&refused);
        eprintln!("  {:<60}{:>9}\n{}", "games refused by the collector", refused.len(), self.books.table(&self.ingest));
        let site = &self.ground.site;
        assert_eq!(names(&site.ready()), ["tmp"], "the trainer took all");
        assert_eq!(names(&site.ready().join("tmp")), ["fleet"]);
        let fleet: Vec<_> = names(&site.ready().join("tmp/fleet"));
        assert_eq!(fleet, [".lock", "ledger", "parts", "rejected"]);
        assert_eq!(names(&site.ready().join("tmp/fleet/parts")), [""; 0]);
        for &worker in workers {
            let games = self.ground.worker_dir(worker).join("games");
            let left: Vec<_> =
                names(&games).into_iter().filter(|name| !matches!(name.as_str(), "tmp" | "rejected")).collect();
            assert_eq!(left, [""; 0], "games of {}", WORKERS[worker]);
            assert_eq!(self.outbox(worker), [""; 0]);
        }
        assert_eq!(site.processes(), [0; 0]);
        self.books.balance(&self.ingest);
    }
}

/// With a short probation, so that roll-outs go on.
pub(crate) fn quick() -> Launch {
    let processes = WORKERS.len().to_string();
    Launch::plain().setting("play.processes", &processes).setting("model.probation_evaluations", "500")
}

/// Where a hub says that it serves HTTP, once it has.
pub(crate) fn address(hub: &Session) -> Option<String> {
    let log = hub.log();
    let line = log.saying("status and control").next()?;
    line["url"].as_str()?.strip_prefix("http://").map(str::to_owned)
}

/// Whether a worker or a hub may have ended like this.
fn judge(ended: &Ended) {
    let (told, injected) = (ended.told, ended.log.has_injections());
    let expected = match ended.code() {
        // On a busy machine a process may be told to end before it has begun to listen.
        None => told.killed || (told.terminated && ended.log.lines.is_empty()),
        Some(0) => told.terminated,
        // A budget of restarts was used up, the writer's among them; or games were given up after faults.
        Some(70) => injected,
        Some(74) => injected || told.starved,
        Some(78) => told.starved,
        Some(_) => false,
    };
    let how = format!("{:?}, signal {:?}, {told:?}, {:?}", ended.code(), ended.signal(), ended.launch);
    assert!(expected, "a process ended as it should not: {how}:\n{}", ended.log.tail());
    let panicked =
        ended.log.lines.iter().any(|line| line["message"].as_str().is_some_and(|text| text.contains("panicked")));
    assert!(injected || !panicked, "it panicked by itself: {how}:\n{}", ended.log.tail());
}
