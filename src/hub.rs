//! `selfplayd fleet hub`: collects the games of a fleet into the trainer's folder and publishes the trainer's models, beside the trainer.
//!
//! ```text
//! broker ─▶ CollectorService ─▶ PartActor ┐ told, twice a second           ┌─▶ log (news)
//!                                         ├──────────▶ Lookout ─▶ FleetStatus ─▶ page, status, metrics (site)
//! broker ◀▶ PublisherService ─▶ PartActor ┘ once a second                  └─▶ `selfplayd fleet status`
//! ```
//!
//! Collector and publisher are actors on threads of their own, under the supervision and the watchdog of the daemon's actors: a panic of
//! one is none of the other. What they know is in the trainer's folder and at the broker, so that the process may die at any moment.
//!
//! - [`part`]: a part as a supervised actor
//! - [`status`]: what is told
//! - [`mod@news`]: what of it is logged
//! - [`mod@metrics`]: what of it Prometheus reads
//! - [`site`]: what is asked over HTTP, and the answer
//! - [`mod@table`]: what of it people read on a terminal

mod metrics;
mod news;
mod part;
mod site;
mod status;
pub(crate) mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use actix::{Actor, Addr, Arbiter, Context, Handler, System};
use anyhow::{Context as _, bail};
use sd_notify::NotifyState;
use selfplay_actors::{
    faults,
    health::{Child, Health},
    onnx::{FileLimits, ModelFile, ModelReport},
    stats::Stats,
    supervision::{ChildGaveUp, ChildSpec, Mailbox, mailbox},
    watchdog::Watchdog,
};
use selfplay_fleet::{
    collector::{Collector, Rules, check_game},
    disk::RealDisk,
    folder::Folder,
    models::Stages,
    name::Name,
    nats::{Dial, NatsCollector, NatsPublisher, assets, server},
    service::{CollectorConfig, CollectorService, PublisherConfig, PublisherService},
};
use tokio::sync::watch;

#[cfg(test)]
pub(crate) use self::metrics::METRICS;
pub(crate) use self::{metrics::render, part::Steer, status::FleetStatus};
use self::{
    news::news,
    part::{COLLECTOR, Make, PUBLISHER, Part, PartActor, Told},
    site::ServedHub,
    status::{Lookout, Seen},
};
use crate::{
    daemon::{
        evaluation::hang_limits,
        siblings,
        signals::{Request, Signals},
        stop::Stopper,
    },
    exit::{Exit, failed},
    http,
    settings::Settings,
    status::ChildStatus,
};

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the folder is read for keys that were added or removed.
const KEYS_EVERY: Duration = Duration::from_secs(10);
/// How often a service manager hears how it is.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// When it is tried again to prepare a broker, and how often it is looked whether it has all that it must have: it may have been
/// started anew without what it kept.
const PREPARE_AGAIN: Duration = Duration::from_secs(5);
const PREPARED_EVERY: Duration = Duration::from_secs(20);
/// How long threads may take to end.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The collector of a hub.
type Games = CollectorService<NatsCollector, RealDisk>;
/// The publisher of a hub.
type Models = PublisherService<NatsPublisher, RealDisk>;

/// What a hub is to do.
pub(crate) struct Plan {
    /// The fleet.
    pub folder: Folder,
    /// The trainer's folder of finished games; without one nothing is collected.
    pub ready: Option<PathBuf>,
    /// The trainer's `latest.yaml`; without one nothing is published.
    pub latest: Option<PathBuf>,
    /// Percentages of the workers that a new model goes through.
    pub stages: Stages,
    /// Fingerprint of the settings that games are to be played with; empty: any.
    pub settings_hash: String,
    /// Whether another address will do for HTTP.
    pub may_move: bool,
}

/// Steers the roll-out of a hub.
#[derive(Clone)]
pub(crate) struct Steering(Addr<PartActor<Models>>);

impl Steering {
    /// Passes on what a person asks. Why it cannot be done, if it cannot.
    pub(crate) async fn steer(&self, steer: Steer) -> Result<(), String> {
        match self.0.send(steer).await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(error) => Err(format!("steer the roll-out: the publisher does not answer: {error}")),
        }
    }
}

/// Collects and publishes until a signal ends it, or nothing can go on.
pub(crate) fn run(plan: Plan, settings: &Settings, signals: Signals) -> anyhow::Result<Exit> {
    faults::prepare().map_err(failed)?;
    let listening = http::Listening::bind(&settings.http, plan.may_move)?;
    let run = plan.folder.run().clone();
    if let Some(ready) = &plan.ready {
        look_at_folder(ready, &plan.rules())?;
    }
    // Whether our own keys are here is said before anything begins.
    for who in plan.parts() {
        plan.folder.dial(who).map_err(failed)?;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        run = %run,
        broker = plan.folder.urls().join(", "),
        games = plan.ready.as_ref().map(|path| path.display().to_string()),
        models = plan.latest.as_ref().map(|path| path.display().to_string()),
        settings = plan.settings_hash,
        "selfplayd's hub starts"
    );
    let _preparing = Preparing::start(&plan.folder)?;
    let stats = Arc::new(Stats::default());
    let health = Health::new(stats.clone());
    let ending = Arc::new(Mutex::new(Exit::Clean));
    let system = System::new();
    let Signals { stop, requests, ask: _, stopping } = signals;
    let stopper = Stopper {
        signal: stop,
        stopping,
        shutdown_file: settings.daemon.shutdown_file.clone(),
        parent: settings.daemon.exit_with_parent.then(std::os::unix::process::parent_id),
        poll: Duration::from_millis(settings.model.poll_ms),
        grace: Duration::ZERO,
    };
    let started = system.block_on(async {
        let root = Root(ending.clone()).start();
        let last_resort = Arc::new(|| std::process::exit(Exit::Escalation.code().into()));
        let watchdog = Watchdog::start(health.clone(), root.clone().recipient(), last_resort)?;
        let place = Place { health: health.clone(), root, limits: hang_limits(settings) };
        let mut threads = Vec::new();
        // An actor without an address ends.
        let (mut kept, collector) = (None, Told::new());
        if let Some(make) = plan.collector() {
            let (address, mailbox) = mailbox();
            threads.push(place.start(&COLLECTOR, mailbox, make, collector.clone())?);
            kept = Some(address);
        }
        let (mut steering, publisher) = (None, Told::new());
        if let Some(make) = plan.publisher() {
            let (address, mailbox) = mailbox();
            threads.push(place.start(&PUBLISHER, mailbox, make, publisher.clone())?);
            steering = Some(Steering(address));
        }
        let dir = plan.folder.dir().to_owned();
        let lookout = Watch {
            begun: Instant::now(),
            run,
            keys: plan.folder.workers().cloned().collect(),
            keys_at: Instant::now(),
            dir,
            collector: plan.ready.is_some().then_some(collector),
            publisher: plan.latest.is_some().then_some(publisher),
            health: health.clone(),
            lookout: Lookout::default(),
        };
        anyhow::Ok((watchdog, threads, (kept, steering), lookout))
    });
    let (watchdog, threads, (kept, steering), mut lookout) = started?;
    let first = Arc::new(lookout.look());
    news(None, &first).iter().for_each(news::Line::log);
    let (tell, told) = watch::channel(first);
    let server = listening.map(|listening| {
        let served = ServedHub { status: told.clone(), steering: steering.clone() };
        http::Server::start_site(listening, &settings.http, stats.clone(), move |access, _| served.site(access))
    });
    let server = server.transpose()?;
    hear(requests, told, steering);
    system.block_on(async {
        actix::spawn(lookout.watch(tell));
        actix::spawn(async move {
            tracing::info!("stopping: {}", stopper.reason().await);
            System::current().stop();
        });
    });
    sd_notify::notify(&[NotifyState::Ready]).ok();
    system.run()?;
    sd_notify::notify(&[NotifyState::Stopping]).ok();
    drop(kept);
    end(threads, watchdog);
    health.status().log();
    drop(server);
    let ending = *ending.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(ending)
}

impl Plan {
    fn rules(&self) -> Rules {
        let settings = (!self.settings_hash.is_empty()).then(|| BTreeSet::from([self.settings_hash.clone()]));
        Rules { run: self.folder.run().clone(), settings, check: check_game }
    }

    /// The keys that are needed.
    fn parts(&self) -> impl Iterator<Item = &'static str> {
        let collector = self.ready.as_ref().map(|_| server::HUB);
        collector.into_iter().chain(self.latest.as_ref().map(|_| server::PUBLISHER))
    }

    fn collector(&self) -> Option<Make<Games>> {
        let config = CollectorConfig { ready: self.ready.clone()?, rules: self.rules() };
        let folder = self.folder.clone();
        Some(Box::new(move |bell| {
            let link = NatsCollector::connect(folder.dial(server::HUB)?, bell)?;
            Ok(CollectorService::new(config.clone(), link, RealDisk))
        }))
    }

    fn publisher(&self) -> Option<Make<Models>> {
        let config = PublisherConfig {
            run: self.folder.run().clone(),
            latest: self.latest.clone()?,
            stages: self.stages.clone(),
            settings_hash: self.settings_hash.clone(),
            check: publishable,
        };
        let folder = self.folder.clone();
        Some(Box::new(move |bell| {
            let link = NatsPublisher::connect(folder.dial(server::PUBLISHER)?, &config.run, bell)?;
            Ok(PublisherService::new(config.clone(), link, RealDisk))
        }))
    }
}

/// What is found of a model before any worker is told of it, without its game's rules: that it is one whole ONNX model in one file.
fn publishable(path: &Path, _: &[u8]) -> Result<(), String> {
    let mut report = ModelReport::new(path);
    let model = ModelFile::check(path, None, &FileLimits::default(), &mut report);
    let model = model.map_err(|error| format!("{:#}", failed(error)))?;
    if model.has_weight_files() {
        return Err("it keeps its weights in other files, which would not come along: export it as one file".to_owned());
    }
    Ok(())
}

/// Says what a person must mend of the trainer's folder before anything begins.
fn look_at_folder(ready: &Path, rules: &Rules) -> anyhow::Result<()> {
    if !ready.exists() {
        std::fs::create_dir_all(ready).with_context(|| format!("failed to create directory {}", ready.display()))?;
        tracing::warn!(
            "{} was not there and has been made: is it where the trainer takes games from?",
            ready.display()
        );
    }
    let daemons = siblings::daemons_of(ready, &siblings::host_name().unwrap_or_default());
    if let Some(daemon) = daemons.first() {
        bail!(
            "failed to collect into {}: a daemon plays into it by itself (process {} on {}); stop that one, or let it play as a worker \
             of the fleet with --fleet",
            ready.display(),
            daemon.pid,
            daemon.host
        );
    }
    // Another hub may have it: then this one waits for its turn.
    Collector::open(RealDisk, ready, rules.clone()).map(drop).map_err(failed)
}

/// Keeps the broker prepared, on a thread of its own: nothing else waits for it.
struct Preparing {
    // Ends the thread when it is dropped.
    _stop: mpsc::Sender<()>,
}

impl Preparing {
    fn start(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let dial = match folder.dial(server::ADMIN) {
            Ok(dial) => dial,
            Err(error) => {
                tracing::info!("the broker's streams are left as they are: {error}");
                return Ok(None);
            }
        };
        let plan = folder.plan();
        let (stop, stopped) = mpsc::channel::<()>();
        std::thread::Builder::new().name("prepare".to_owned()).spawn(move || {
            let (mut told, mut behind) = (None, BTreeSet::new());
            loop {
                let again = match assets::prepare(&dial, plan) {
                    Ok(changes) => {
                        told = None;
                        let changed = changes.iter().filter(|change| change.done != assets::Done::Nothing);
                        changed.for_each(|change| tracing::info!("broker: {change}"));
                        behind = tell_behind(&dial, behind);
                        PREPARED_EVERY
                    }
                    Err(error) => {
                        let words = error.to_string();
                        if told.as_ref() != Some(&words) {
                            tracing::warn!("the broker is not prepared: {words}");
                            told = Some(words);
                        }
                        PREPARE_AGAIN
                    }
                };
                if stopped.recv_timeout(again) != Err(mpsc::RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Some(Self { _stop: stop }))
    }
}

/// Tells which servers of a cluster do not have all; those that it was told of before are told again only when they are others.
fn tell_behind(dial: &Dial, before: BTreeSet<String>) -> BTreeSet<String> {
    // What cannot be asked just now is asked again soon.
    let Ok(kept) = assets::kept(dial) else { return before };
    // How many messages they are behind changes all the time.
    let name = |server: &String| server.split(' ').next().unwrap_or_default().to_owned();
    let behind: BTreeSet<_> = kept.iter().flat_map(|kept| &kept.behind).map(name).collect();
    if behind != before {
        let names = behind.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match behind.is_empty() {
            true => tracing::info!("broker: every server of the cluster has all again"),
            false => tracing::warn!(
                "broker: these servers of the cluster are away or do not have all yet: {names}; the loss of another may stop games and models"
            ),
        }
    }
    behind
}

/// Where parts start.
struct Place {
    health: Arc<Health>,
    root: Addr<Root>,
    limits: selfplay_actors::health::HangLimits,
}

impl Place {
    /// Runs a part on a thread of its own.
    fn start<P: Part>(
        &self,
        child: &'static Child,
        mailbox: Mailbox<PartActor<P>>,
        make: Make<P>,
        told: Told<P::State>,
    ) -> anyhow::Result<Arbiter> {
        let member = self.health.join(child, child.name, child.hang_limit(&self.limits));
        let spec = ChildSpec::new(member, self.root.clone().recipient());
        let arbiter = Arbiter::new();
        arbiter.spawn_fn(move || drop(actix::spawn(mailbox.supervise(PartActor::new(make, told), spec))));
        Ok(arbiter)
    }
}

/// Hears of parts that give up.
struct Root(Arc<Mutex<Exit>>);

impl Actor for Root {
    type Context = Context<Self>;
}

impl Handler<ChildGaveUp> for Root {
    type Result = ();

    fn handle(&mut self, message: ChildGaveUp, _: &mut Self::Context) {
        let ChildGaveUp { child, reason, .. } = message;
        tracing::error!("stopping: the {child} {reason}");
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Exit::Escalation;
        System::current().stop();
    }
}

/// Looks at the parts once a second.
struct Watch {
    begun: Instant,
    run: Name,
    dir: PathBuf,
    keys: BTreeSet<Name>,
    keys_at: Instant,
    collector: Option<Told<<Games as Part>::State>>,
    publisher: Option<Told<<Models as Part>::State>>,
    health: Arc<Health>,
    lookout: Lookout,
}

impl Watch {
    fn look(&mut self) -> FleetStatus {
        if self.keys_at.elapsed() >= KEYS_EVERY {
            self.keys_at = Instant::now();
            // One that cannot be read in this moment was read before.
            if let Ok(folder) = Folder::read(&self.dir) {
                self.keys = folder.workers().cloned().collect();
            }
        }
        let (collector, publisher) = (self.collector.as_ref().map(Told::last), self.publisher.as_ref().map(Told::last));
        self.lookout.look(Seen {
            now: self.begun.elapsed(),
            run: &self.run,
            keys: &self.keys,
            collector: collector.as_ref().map(Option::as_deref),
            publisher: publisher.as_ref().map(Option::as_deref),
            children: self.health.status().children.iter().map(ChildStatus::from).collect(),
        })
    }

    async fn watch(mut self, tell: watch::Sender<Arc<FleetStatus>>) {
        let has_watchdog = sd_notify::watchdog_enabled().is_some();
        let mut said = None::<Instant>;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = Arc::new(self.look());
            if has_watchdog && !self.health.hangs() {
                sd_notify::notify(&[NotifyState::Watchdog]).ok();
            }
            if said.is_none_or(|said| said.elapsed() >= STATUS_EVERY) {
                said = Some(Instant::now());
                sd_notify::notify(&[NotifyState::Status(&table::in_a_line(&now))]).ok();
            }
            let before = tell.send_replace(now.clone());
            news(Some(&before), &now).iter().for_each(news::Line::log);
        }
    }
}

/// Does what signals ask for beside an end, on a thread of its own.
fn hear(requests: mpsc::Receiver<Request>, status: watch::Receiver<Arc<FleetStatus>>, steering: Option<Steering>) {
    let work = move || {
        for request in requests {
            match (request, &steering) {
                (Request::LogStatus, _) => {
                    table::table(&status.borrow()).lines().for_each(|line| tracing::info!("{line}"));
                }
                (Request::Reload, _) => tracing::info!("SIGHUP: a hub reads its folder every few seconds by itself"),
                (Request::TogglePause, Some(steering)) => {
                    let hold = !status.borrow().publisher.as_ref().is_some_and(|part| part.held);
                    steering.0.do_send(Steer::Hold(hold));
                    tracing::info!("SIGUSR1: the roll-out {}", if hold { "stays where it is" } else { "goes on" });
                }
                (Request::TogglePause, None) => tracing::info!("SIGUSR1: this hub publishes no models"),
            }
        }
    };
    if let Err(error) = std::thread::Builder::new().name("requests".to_owned()).spawn(work) {
        tracing::warn!("signals other than to stop are not heard: {error}");
    }
}

/// Ends all threads, but does not wait for long.
fn end(threads: Vec<Arbiter>, watchdog: Watchdog) {
    drop(watchdog); // A thread that has ended gives no sign of life.
    let (done, joined) = mpsc::channel();
    let joiner = std::thread::Builder::new().name("joiner".to_owned()).spawn(move || {
        for arbiter in threads {
            arbiter.stop();
            if arbiter.join().is_err() {
                tracing::error!("an arbiter ended in a panic");
            }
        }
        done.send(()).ok();
    });
    if joiner.is_err() || joined.recv_timeout(JOIN_TIMEOUT).is_err() {
        tracing::warn!("some threads did not end in time");
    }
}
