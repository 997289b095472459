//! The root of the supervision tree: starts everything, hears of every child that gives up, and stops everything in order.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, Message, Supervised, System};
use selfplay_engine::{Game, search::SpareTree};

use crate::{
    batcher::{BatchPolicy, BatcherActor, BatcherAddresses, ProbationLimits},
    cache::{CacheActor, CacheLimits},
    game::{GameActor, GameAddresses, GamePlan, ResumedGame},
    games::{DrainGames, GamesDone, GamesSupervisor, Quota},
    inference::InferencePool,
    loader::{LoaderAddresses, ModelLoaderActor, ModelOrigin, ModelSource},
    supervision::{Budget, ChildGaveUp, ChildSpec, Limits, Mailbox, Restart, SharedBudget, mailbox},
    writer::{Flush, Output, Provenance, WriterActor, WriterAddresses, WriterFlushed},
};

/// How long arbiters and inference threads may take to end once everything is written.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Stop starting games; end when those in play are over, or after `grace`. Sent by whoever runs the daemon.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Why, for the log.
    pub reason: String,
    /// Longest wait for games in play; what is not over by then is given up.
    pub grace: Duration,
}

/// Nothing can ever be played. Sent by the loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Fatal {
    /// What to tell the user.
    pub reason: String,
}

#[derive(Message)]
#[rtype(result = "()")]
struct GraceOver {
    /// Whether games were given any time at all.
    waited: bool,
}

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All games asked for were played, or it was told to stop.
    Clean,
    /// Nothing could be played: the model or the device.
    Unusable(String),
    /// A child used up its restarts.
    Escalated(String),
    /// Finished games could not be written to the output directory.
    Unwritten {
        /// Nobody has these.
        lost: u64,
        /// The journal has these: the next start writes them.
        kept: u64,
        /// The spool directory has these: the next start brings them to the output directory.
        spooled: u64,
        /// Why.
        reason: String,
    },
}

/// What [`run`] needs to know.
pub struct Options<G: Game> {
    /// What games are played with.
    pub plan: GamePlan<G>,
    /// Games at once.
    pub games_at_once: usize,
    /// How many games to play.
    pub quota: Quota,
    /// Games of earlier processes to go on with.
    pub resumable: Vec<ResumedGame<G>>,
    /// Threads that advance games.
    pub game_threads: usize,
    /// Inference threads; the source makes as many evaluators per model.
    pub inference_threads: usize,
    /// When batches leave.
    pub batching: BatchPolicy,
    /// When a model that serves is taken out of service.
    pub probation: ProbationLimits,
    /// Bounds of the cache.
    pub cache: CacheLimits,
    /// What loads models.
    pub source: Box<dyn ModelSource<G>>,
    /// Where models come from.
    pub origin: ModelOrigin,
    /// Where games go.
    pub output: Output,
    /// What is written with them.
    pub provenance: Provenance,
}

/// The table of children: name, restart type, restarts within a minute.
const CHILDREN: [(&str, Restart, u32); 6] = [
    ("model loader", Restart::Permanent, 5),
    ("writer", Restart::Permanent, 5),
    ("batcher", Restart::Permanent, 5),
    ("cache", Restart::Permanent, 5),
    ("games supervisor", Restart::Permanent, 5),
    // One budget for the whole group.
    ("game", Restart::Transient, 20),
];

/// See the module.
struct RootSupervisor<G: Game> {
    games: Addr<GamesSupervisor<G>>,
    writer: Addr<WriterActor<G>>,
    ending: Arc<Mutex<Option<Ending>>>,
    draining: bool,
    flushing: bool,
}

impl<G: Game> RootSupervisor<G> {
    /// No more games will come: write what is queued.
    fn flush(&mut self) {
        if !std::mem::replace(&mut self.flushing, true) {
            self.writer.do_send(Flush);
        }
    }

    /// Sets how the process ends; the first word counts.
    fn end(&self, ending: Ending) {
        let mut place = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        place.get_or_insert(ending);
    }
}

impl<G: Game> Actor for RootSupervisor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for RootSupervisor<G> {}

impl<G: Game> Handler<Drain> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, Drain { reason, grace }: Drain, ctx: &mut Self::Context) {
        if !std::mem::replace(&mut self.draining, true) {
            tracing::info!(
                reason,
                grace_seconds = grace.as_secs_f64(),
                "stopping: no new games, waiting for those in play"
            );
            self.games.do_send(DrainGames);
            ctx.notify_later(GraceOver { waited: !grace.is_zero() }, grace);
        }
    }
}

impl<G: Game> Handler<GraceOver> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, GraceOver { waited }: GraceOver, _: &mut Self::Context) {
        const NOTICE: &str = "the grace period is over: games still in play are given up";
        match (self.flushing, waited) {
            (true, _) => {}
            (false, true) => tracing::warn!("{NOTICE}"),
            (false, false) => tracing::info!("{NOTICE}"),
        }
        self.flush();
    }
}

impl<G: Game> Handler<GamesDone> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, done: GamesDone, _: &mut Self::Context) {
        if done.abandoned > 0 {
            tracing::error!(games = done.abandoned, "some games were given up; see above");
        }
        self.flush();
    }
}

impl<G: Game> Handler<WriterFlushed> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, WriterFlushed { lost, kept, spooled, reason }: WriterFlushed, _: &mut Self::Context) {
        if lost + kept + spooled > 0 {
            self.end(Ending::Unwritten { lost, kept, spooled, reason });
        }
        self.end(Ending::Clean);
        System::current().stop();
    }
}

impl<G: Game> Handler<ChildGaveUp> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, ChildGaveUp { child, reason }: ChildGaveUp, _: &mut Self::Context) {
        self.end(Ending::Escalated(format!("{child}: {reason}")));
        if child == "writer" {
            System::current().stop(); // Nobody is left to flush.
        } else {
            self.flush();
        }
    }
}

impl<G: Game> Handler<Fatal> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, Fatal { reason }: Fatal, _: &mut Self::Context) {
        self.end(Ending::Unusable(reason));
        self.flush();
    }
}

/// Tells a running system to stop. Cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Controller(actix::Recipient<Drain>);

impl Controller {
    /// Stops starting games and ends when those in play are over, or after `grace`. A second call changes nothing.
    pub fn drain(&self, reason: impl Into<String>, grace: Duration) {
        self.0.do_send(Drain { reason: reason.into(), grace });
    }
}

/// Plays until all games are played, or [`Controller::drain`] is called, or nothing can go on; then stops everything in order
/// and returns. `started` runs on the calling thread, inside the actor system, once everything is started.
///
/// # Errors
/// When the system gives no threads.
pub fn run<G: Game>(options: Options<G>, started: impl FnOnce(Controller) + 'static) -> std::io::Result<Ending> {
    let ending = Arc::new(Mutex::new(None));
    let system = System::new();
    let tree = system.block_on(start(options, ending.clone(), started))?;
    let outcome = system.run();
    tree.stop();
    outcome?;
    let ending = ending.lock().unwrap_or_else(PoisonError::into_inner).take();
    Ok(ending.unwrap_or_else(|| Ending::Escalated("the actor system stopped by itself".to_owned())))
}

/// What must be joined after the system has stopped.
struct Tree<G: Game> {
    pool: Arc<InferencePool<G>>,
    arbiters: Vec<Arbiter>,
    /// An actor without an address ends and is not restarted; nobody else holds this one's.
    loader: Addr<ModelLoaderActor<G>>,
}

impl<G: Game> Tree<G> {
    /// Stops and joins all threads, but waits no longer than [`JOIN_TIMEOUT`].
    fn stop(self) {
        let Self { pool, arbiters, loader: _until_joined } = self;
        let (done, joined) = mpsc::channel();
        let joiner = std::thread::Builder::new().name("joiner".to_owned()).spawn(move || {
            pool.close();
            for arbiter in arbiters {
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
}

async fn start<G: Game>(
    options: Options<G>,
    ending: Arc<Mutex<Option<Ending>>>,
    started: impl FnOnce(Controller) + 'static,
) -> std::io::Result<Tree<G>> {
    let Options { plan, games_at_once, quota, resumable, game_threads, inference_threads, .. } = options;
    let stats = plan.stats.clone();

    // Every address exists before any actor: nothing has to be told of another afterwards.
    let (root, root_mailbox) = mailbox::<RootSupervisor<G>>();
    let (games, games_mailbox) = mailbox::<GamesSupervisor<G>>();
    let (writer, writer_mailbox) = mailbox::<WriterActor<G>>();
    let (cache, cache_mailbox) = mailbox::<CacheActor<G>>();
    let (batcher, batcher_mailbox) = mailbox::<BatcherActor<G>>();
    let (loader, loader_mailbox) = mailbox::<ModelLoaderActor<G>>();
    let (slots, slot_mailboxes): (Vec<_>, Vec<_>) = (0..games_at_once).map(|_| mailbox::<GameActor<G>>()).unzip();

    let specs = CHILDREN.map(|(name, restart, restarts)| {
        let parent = root.clone().recipient();
        ChildSpec { name, restart, budget: budget(restarts), parent }
    });
    let [loader_spec, writer_spec, batcher_spec, cache_spec, games_spec, game_spec] = specs;

    let pool = Arc::new(InferencePool::start(inference_threads, &batcher.clone().recipient(), &stats)?);
    let game_arbiters: Vec<_> = (0..game_threads.max(1)).map(|_| Arbiter::new()).collect();
    let mut arbiters = Vec::new();

    // With one game thread its arbiter holds cache and batcher too: on few cores a hop between threads costs more than it
    // gives.
    let evaluation = if game_arbiters.len() == 1 { game_arbiters[0].handle() } else { own_arbiter(&mut arbiters) };
    let cache_actor = {
        let (limits, batcher, own) = (options.cache, batcher.clone().recipient(), cache.clone().recipient());
        let stats = stats.clone();
        move || CacheActor::new(limits, batcher, own, stats)
    };
    launch(&evaluation, cache_mailbox, cache_actor, cache_spec);
    let batcher_actor = {
        let addresses = BatcherAddresses {
            cache: cache.clone().recipient(),
            proven: loader.clone().recipient(),
            withdrawn: loader.clone().recipient(),
        };
        let (pool, policy, limits, stats) = (pool.clone(), options.batching, options.probation, stats.clone());
        move || BatcherActor::new(pool, policy, limits, addresses, stats)
    };
    launch(&evaluation, batcher_mailbox, batcher_actor, batcher_spec);

    let writer_actor = {
        let addresses = WriterAddresses {
            credits: games.clone().recipient(),
            holds: games.clone().recipient(),
            flushed: root.clone().recipient(),
            escalate: root.clone().recipient(),
        };
        let (game, output, provenance) = (plan.game.clone(), options.output, options.provenance);
        let stats = stats.clone();
        move || WriterActor::new(game, output, provenance, addresses, stats)
    };
    launch(&own_arbiter(&mut arbiters), writer_mailbox, writer_actor, writer_spec);

    let addresses = GameAddresses {
        cache: cache.recipient(),
        writer: writer.clone().recipient(),
        rejects: writer.clone().recipient(),
        supervisor: games.clone().recipient(),
    };
    let mut per_arbiter: Vec<Vec<_>> = game_arbiters.iter().map(|_| Vec::new()).collect();
    for (slot, (own, mailbox)) in slots.iter().cloned().zip(slot_mailboxes).enumerate() {
        per_arbiter[slot % game_arbiters.len()].push((slot, own, mailbox));
    }
    for (arbiter, slots) in game_arbiters.iter().zip(per_arbiter) {
        let (plan, addresses, spec) = (plan.clone(), addresses.clone(), game_spec.clone());
        arbiter.spawn_fn(move || {
            let spare = Rc::new(RefCell::new(SpareTree::default()));
            for (slot, own, mailbox) in slots {
                let actor = GameActor::new(slot, plan.clone(), addresses.clone(), spare.clone(), &own);
                actix::spawn(mailbox.supervise(actor, spec.clone()));
            }
        });
    }
    // Games in play, and as many again finished and waiting for the disk.
    let credits = 2 * games_at_once as u64;
    let supervisor = GamesSupervisor::new(
        slots,
        game_arbiters.len(),
        credits,
        quota,
        resumable,
        root.clone().recipient(),
        root.clone().recipient(),
    );
    actix::spawn(games_mailbox.supervise(supervisor, games_spec));

    let root_actor =
        RootSupervisor { games: games.clone(), writer: writer.clone(), ending, draining: false, flushing: false };
    let root_spec =
        ChildSpec { name: "root", restart: Restart::Permanent, budget: budget(0), parent: root.clone().recipient() };
    actix::spawn(async move {
        root_mailbox.supervise(root_actor, root_spec).await;
        System::current().stop(); // Without a root nobody else would.
    });

    // The loader last: everything it may wake is there.
    let loader_addresses = LoaderAddresses {
        batcher: batcher.recipient(),
        writer: writer.recipient(),
        games: games.recipient(),
        root: root.clone().recipient(),
    };
    let (source, origin) = (options.source, options.origin);
    let loader_actor = move || ModelLoaderActor::new(source, origin, inference_threads, loader_addresses, stats);
    launch(&own_arbiter(&mut arbiters), loader_mailbox, loader_actor, loader_spec);

    arbiters.extend(game_arbiters);
    started(Controller(root.recipient()));
    Ok(Tree { pool, arbiters, loader })
}

fn budget(restarts: u32) -> SharedBudget {
    Budget::shared(Limits {
        restarts,
        window: Duration::from_secs(60),
        first_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(5),
    })
}

fn own_arbiter(arbiters: &mut Vec<Arbiter>) -> actix::ArbiterHandle {
    let arbiter = Arbiter::new();
    let handle = arbiter.handle();
    arbiters.push(arbiter);
    handle
}

/// Makes an actor on an arbiter's thread and runs it there.
fn launch<A>(
    arbiter: &actix::ArbiterHandle,
    mailbox: Mailbox<A>,
    make: impl FnOnce() -> A + Send + 'static,
    spec: ChildSpec,
) where
    A: Actor<Context = Context<A>> + Supervised,
{
    arbiter.spawn_fn(move || {
        actix::spawn(mailbox.supervise(make(), spec));
    });
}
