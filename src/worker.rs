//! The fleet's side of a daemon that is one worker of many: a thread that takes finished games to the trainer and brings models.
//!
//! To the daemon it is a trainer on this machine: it takes games from the output directory, and replaces the `latest.yaml` that is followed.
//! Only what keeps games from going on is told to the writer, which then lets no new ones start. The thread waits for nothing but the disk,
//! and play waits for it never; if it panics it begins anew, and no game is lost by that.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rand::RngExt as _;
use selfplay_actors::{
    faults::{self, Point},
    stats::Stats,
};
use selfplay_fleet::{
    disk::RealDisk,
    folder::WorkerFile,
    models::Standing,
    name::Origin,
    nats::{Bell, Dial, NatsWorker},
    service::{DaemonWord, Found, WorkerConfig, WorkerService, WorkerState},
};

use crate::{
    daemon::{
        fleet::{Fleet, FleetStatus},
        siblings::host_name,
    },
    exit::failed,
    settings::Settings,
    status::{Outcome, Sampler, Sources, Status},
};

/// How often the daemon's status is read for what is said of it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long what is finished may take to get on its way at the end. What does not waits in the outbox for the next start.
const LAST_GAMES: Duration = Duration::from_secs(10);

/// Waits before the thread begins anew after a panic: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How often the log repeats what goes wrong.
const REMINDER: Duration = Duration::from_secs(30);

type Service = WorkerService<NatsWorker, RealDisk>;

/// What is needed to begin, as often as need be.
struct Beginning {
    config: WorkerConfig,
    dial: Dial,
    ring: SyncSender<()>,
}

impl Beginning {
    fn service(&self) -> std::io::Result<Service> {
        let ring = self.ring.clone();
        // One that has rung already is enough.
        let bell = Bell::new(move || {
            ring.try_send(()).ok();
        });
        let config = WorkerConfig { fresh: Origin::new(rand::rng().random()), ..self.config.clone() };
        let link = NatsWorker::connect(self.dial.clone(), &config.run, &config.worker, bell)?;
        Ok(WorkerService::new(config, link, RealDisk))
    }
}

/// A fleet's side that has its folders, and does nothing yet.
pub(crate) struct Opened {
    beginning: Beginning,
    service: Service,
    rung: Receiver<()>,
}

/// Opens a worker's folders, if the settings make this daemon one.
///
/// # Errors
/// When its file or a folder cannot be used, or another process uses them.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Option<Opened>> {
    let Some(servers) = settings.fleet.servers.as_deref() else { return Ok(None) };
    let credentials = settings.fleet.credentials.as_deref().context("fleet.credentials is not set")?;
    let file = WorkerFile::read(credentials).map_err(failed)?;
    let dial = file.dial(servers).map_err(failed)?;
    // The directory of the games is within the worker's: see the settings.
    let games = settings.output.dir.as_deref().context("output.dir is not set")?;
    let dir = games.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
    if let Some(around) = dir.parent().filter(|around| !around.as_os_str().is_empty()) {
        std::fs::create_dir_all(around).with_context(|| format!("failed to create {}", around.display()))?;
    }
    let config = WorkerConfig {
        run: file.run().clone(),
        worker: file.worker().clone(),
        dir,
        most_outbox_bytes: settings.fleet.max_outbox_bytes,
        settings_hash: settings.games_hash(),
        fresh: Origin::new(rand::rng().random()),
    };
    let (ring, rung) = mpsc::sync_channel(1);
    let beginning = Beginning { config, dial, ring };
    let mut service = beginning.service()?;
    service.open().map_err(failed)?;
    Ok(Some(Opened { beginning, service, rung }))
}

/// The fleet's side of a daemon that plays. Dropped, it ends after what is finished has been sent, or a short time has passed.
pub(crate) struct Worker {
    ring: SyncSender<()>,
    ending: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Opened {
    /// Starts it. `sources`: what the daemon is read by, for what is said of it.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(self, sources: Sources) -> std::io::Result<Worker> {
        let Self { beginning, service, rung } = self;
        let (ring, ending) = (beginning.ring.clone(), Arc::new(AtomicBool::new(false)));
        let side = Side {
            stats: sources.stats.clone(),
            fleet: sources.fleet.clone(),
            sampler: Sampler::new(sources),
            begun: Instant::now(),
            rung,
            ending: ending.clone(),
            restarts: AtomicU64::new(0),
            told: Told::default(),
        };
        let thread = thread::Builder::new().name("fleet".to_owned()).spawn(move || side.live(&beginning, service))?;
        Ok(Worker { ring, ending, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.ending.store(true, Relaxed);
        self.ring.try_send(()).ok();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What the thread has.
struct Side {
    stats: Arc<Stats>,
    fleet: Fleet,
    sampler: Sampler,
    begun: Instant,
    rung: Receiver<()>,
    ending: Arc<AtomicBool>,
    restarts: AtomicU64,
    told: Told,
}

impl Side {
    /// Works until the daemon ends; begins anew after each panic.
    fn live(mut self, beginning: &Beginning, service: Service) {
        let mut next = Some(service);
        let mut wait = AGAIN.0;
        loop {
            let service = match next.take().map_or_else(|| beginning.service(), Ok) {
                Ok(service) => service,
                Err(error) => {
                    tracing::error!(reason = %error, "the fleet's side does not begin");
                    if self.is_over(wait) {
                        return;
                    }
                    continue;
                }
            };
            let since = Instant::now();
            // What it holds is rebuilt from the disk.
            match catch_unwind(AssertUnwindSafe(|| self.work(service))) {
                Ok(()) => return,
                Err(_) => {
                    let restarts = self.restarts.fetch_add(1, Relaxed) + 1;
                    tracing::error!(restarts, "the fleet's side panicked: it begins anew; no game is lost by that");
                }
            }
            wait = if since.elapsed() > AGAIN.1 { AGAIN.0 } else { (2 * wait).min(AGAIN.1) };
            if self.is_over(wait) {
                return;
            }
        }
    }

    /// Waits; whether the daemon ends.
    fn is_over(&self, wait: Duration) -> bool {
        let begun = Instant::now();
        while !self.ending.load(Relaxed) && begun.elapsed() < wait {
            self.rung.recv_timeout(wait.saturating_sub(begun.elapsed())).ok();
        }
        self.ending.load(Relaxed)
    }

    /// Steps until the daemon ends, and then until what is finished is sent, or a short time has passed.
    fn work(&mut self, mut service: Service) {
        let mut word = DaemonWord::default();
        let (mut looked, mut ends) = (None::<Instant>, None::<Instant>);
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                let named = self.fleet.get().and_then(|fleet| fleet.state.models.named);
                let (status, _) = self.sampler.sample();
                // After the version, before which it is set: no model is taken for proven.
                word = said_of(&status, named, self.stats.on_probation.get() != 0);
            }
            faults::hit(Point::Fleet);
            let wait = service.step(self.begun.elapsed(), &word);
            let state = service.state();
            self.stats.onward.tell(state.blocked.as_ref().map(|blocked| blocked.words.clone()));
            self.told.tell(&state);
            let (is_up, is_idle) = (state.link.up, state.outbox.frames == 0);
            self.fleet.put(FleetStatus { state, restarts: self.restarts.load(Relaxed) });
            if self.ending.load(Relaxed) {
                let begun = *ends.get_or_insert_with(Instant::now);
                // The folder is looked into once a second: what the daemon wrote last has been seen by then.
                let has_looked = begun.elapsed() > 2 * LOOK_EVERY;
                if (has_looked && (is_idle || !is_up)) || begun.elapsed() > LAST_GAMES {
                    return;
                }
            }
            self.rung.recv_timeout(wait.min(LOOK_EVERY)).ok();
        }
    }
}

/// What the daemon says of itself. `named`: the model that it was told to play with.
fn said_of(status: &Status, named: Option<i64>, on_probation: bool) -> DaemonWord {
    let model = &status.model;
    let newest = named.and_then(|named| {
        // The newest first: one that was refused may have come again.
        let last = model.swaps.iter().find(|swap| swap.version == Some(named));
        let standing = match last {
            Some(swap) if swap.outcome != Outcome::Served => Standing::Bad(swap.reason.clone().unwrap_or_default()),
            _ if model.version != Some(named) => return None,
            _ if on_probation => Standing::Trying,
            _ => Standing::Proven,
        };
        Some(Found { generation: named, sha256: None, standing })
    });
    let state = serde_json::to_value(status.state).ok();
    DaemonWord {
        version: status.version.clone(),
        process: format!("process {} on {}", std::process::id(), host_name().unwrap_or_default()),
        serving: model.version,
        newest,
        playing: state.as_ref().and_then(|state| state.as_str()).unwrap_or_default().to_owned(),
        games: status.games.finished,
        simulations_per_second: status.rates.simulations_per_s,
        bottleneck: status.bottleneck.as_ref().map(|bottleneck| bottleneck.statement.clone()).unwrap_or_default(),
    }
}

/// What the log was told, so that it hears what is new.
#[derive(Debug, Default)]
struct Told {
    up: Option<bool>,
    blocked: Option<String>,
    named: Option<i64>,
    aside: u64,
    lost: u64,
    refused: u64,
    troubles: BTreeMap<&'static str, (String, Instant)>,
}

impl Told {
    fn tell(&mut self, state: &WorkerState) {
        let WorkerState { run, worker, link, .. } = state;
        if self.up.replace(link.up) != Some(link.up) {
            let connection = &link.words;
            if link.up {
                tracing::info!(%run, %worker, connection, "the fleet's server is connected");
            } else {
                tracing::warn!(%run, %worker, connection, "the fleet's server is not connected: play goes on");
            }
        }
        let blocked = state.blocked.as_ref().map(|blocked| format!("{:?}", blocked.why));
        if blocked != self.blocked {
            match &state.blocked {
                Some(blocked) => tracing::warn!(reason = blocked.words, "games cannot go on to the trainer"),
                None => tracing::info!("games go on to the trainer again"),
            }
            self.blocked = blocked;
        }
        if state.models.named != self.named {
            self.named = state.models.named;
            let seconds = state.models.fetch_seconds;
            tracing::info!(version = self.named, seconds, "a model has come from the trainer");
        }
        let counted = [
            (&mut self.aside, state.games_aside, &state.aside, "a game cannot be sent, and was moved aside"),
            (&mut self.lost, state.frames_lost, &state.lost, "games that waited for the trainer are lost to the disk"),
            (&mut self.refused, state.counts.refused, &state.counts.reason, "the trainer's side refused a game"),
        ];
        for (known, count, reason, what) in counted {
            if count > *known {
                tracing::error!(count, reason = reason.as_deref().unwrap_or_default(), "{what}");
            }
            *known = count;
        }
        self.troubles.retain(|about, _| state.troubles.get(about).is_some());
        for (about, words) in state.troubles.iter() {
            let is_old = |(said, at): &(String, Instant)| said == words || at.elapsed() < REMINDER;
            if !self.troubles.get(about).is_some_and(is_old) {
                tracing::warn!(reason = words, "the fleet's side has trouble with {about}");
                self.troubles.insert(about, (words.to_owned(), Instant::now()));
            }
        }
    }
}
