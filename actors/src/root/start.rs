//! The start of everything: addresses, threads, actors.

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Actor, Addr, Arbiter, Context, Supervised, System};
use selfplay_engine::Game;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    CHILDREN, Controller, Ending, Options,
    stop::Tree,
    supervisor::{RootAddresses, RootSupervisor},
};
use crate::{
    account::{self, Role},
    batcher::{BatcherActor, BatcherAddresses},
    cache::{CacheActor, NearbyCache},
    game::{GameActor, GameAddresses, GamePlan, GameThread, Room},
    games::{GamesAddresses, GamesSupervisor, GamesToPlay},
    health::{Child, Member},
    inference::{InferencePool, ThreadSpec},
    loader::{LoaderAddresses, ModelLoaderActor, lower_priority},
    supervision::{ChildSpec, Mailbox, mailbox},
    watchdog::Watchdog,
    writer::{WriterActor, WriterAddresses},
};

/// How often a thread of actors shows that it runs timers.
const PULSE_EVERY: Duration = Duration::from_secs(1);

/// Starts everything on the current system. `started` hears when that is done.
pub(super) async fn start<G: Game>(
    options: Options<G>,
    ending: Arc<Mutex<Option<Ending>>>,
    started: impl FnOnce(Controller) + 'static,
) -> std::io::Result<Tree<G>> {
    let Options { plan, games_at_once, game_threads, inference_threads, health, hang_limits, .. } = options;
    let (stats, control) = (plan.stats.clone(), options.control);

    // Every address exists before any actor: nothing has to be told of another afterwards.
    let (root, root_mailbox) = mailbox::<RootSupervisor<G>>();
    let (games, games_mailbox) = mailbox::<GamesSupervisor<G>>();
    let (writer, writer_mailbox) = mailbox::<WriterActor<G>>();
    let (cache, cache_mailbox) = mailbox::<CacheActor<G>>();
    let (batcher, batcher_mailbox) = mailbox::<BatcherActor<G>>();
    let (loader, loader_mailbox) = mailbox::<ModelLoaderActor<G>>();

    let spec = |child: &'static Child| {
        let member = health.join(child, child.name, child.hang_limit(&hang_limits));
        ChildSpec::new(member, root.clone().recipient())
    };
    let [root_row, loader_row, writer_row, batcher_row, cache_row, games_row, game_row, inference, thread, blocking] =
        &CHILDREN;
    let actors = [root_row, loader_row, writer_row, batcher_row, cache_row, games_row, game_row];
    let [root_spec, loader_spec, writer_spec, batcher_spec, cache_spec, games_spec, game_spec] = actors.map(spec);
    let watchdog = Watchdog::start(health.clone(), root.clone().recipient(), options.last_resort)?;

    let inference_spec = ThreadSpec {
        child: inference,
        hang_limit: inference.hang_limit(&hang_limits),
        health: health.clone(),
        parent: root.clone().recipient(),
    };
    let workers = batcher.clone().recipient();
    let pool = Arc::new(InferencePool::start(inference_threads, &workers, &stats, inference_spec)?);
    let watched = |child: &'static Child, role, name: String| {
        let account = stats.accounts.open(role);
        let arbiter = Arbiter::try_with_tokio_rt(move || account::runtime(account))?;
        arbiter.spawn(pulse(health.join(child, name, child.hang_limit(&hang_limits))));
        std::io::Result::Ok(arbiter)
    };
    actix::spawn(pulse(health.join(thread, "thread main", thread.hang_limit(&hang_limits))));
    let game_threads = (0..game_threads.max(1)).map(|number| format!("thread games-{number}"));
    let game_arbiters: Vec<_> =
        game_threads.map(|name| watched(thread, Role::Games, name)).collect::<Result<_, _>>()?;
    let mut arbiters = Vec::new();
    let mut own_arbiter = |child, role, name: &str| {
        let arbiter = watched(child, role, name.to_owned())?;
        let handle = arbiter.handle();
        arbiters.push(arbiter);
        std::io::Result::Ok(handle)
    };

    stats.threads_games.set_count(game_arbiters.len());
    stats.threads_evaluation.set_count(usize::from(game_arbiters.len() > 1));
    stats.threads_writer.set(1);
    stats.threads_loader.set(1);
    // With one game thread its arbiter holds cache and batcher too: on few cores a hop between threads costs more than it
    // gives.
    let evaluation = match &game_arbiters[..] {
        [only] => only.handle(),
        _ => own_arbiter(thread, Role::Evaluation, "thread evaluation")?,
    };
    let start_cache = {
        let limits = options.cache;
        let (batcher, waiting) = (batcher.clone().recipient(), batcher.clone().recipient());
        let (own, stats) = (cache.clone().recipient(), stats.clone());
        move || {
            let cache = CacheActor::new(limits, batcher, waiting, own, stats);
            let nearby = cache.nearby();
            actix::spawn(cache_mailbox.supervise(cache, cache_spec));
            nearby
        }
    };
    let mut start_nearby = None;
    if game_arbiters.len() == 1 {
        start_nearby = Some(start_cache);
    } else {
        evaluation.spawn_fn(move || drop(start_cache()));
    }
    let batcher_actor = {
        let addresses = BatcherAddresses {
            cache: cache.clone().recipient(),
            proven: loader.clone().recipient(),
            withdrawn: loader.clone().recipient(),
        };
        let (pool, policy, limits, stats) = (pool.clone(), options.batching, options.probation, stats.clone());
        let control = control.clone();
        move || BatcherActor::new(pool, policy, limits, addresses, control, stats)
    };
    launch(&evaluation, batcher_mailbox, batcher_actor, batcher_spec);

    let writer_actor = {
        let addresses = WriterAddresses {
            credits: games.clone().recipient(),
            holds: games.clone().recipient(),
            flushed: root.clone().recipient(),
            gave_up: root.clone().recipient(),
        };
        let (game, output, provenance) = (plan.game.clone(), options.output, options.provenance);
        let stats = stats.clone();
        move || WriterActor::new(game, output, provenance, addresses, stats)
    };
    launch(&own_arbiter(blocking, Role::Writer, "thread writer")?, writer_mailbox, writer_actor, writer_spec);

    let room = Arc::new(Room::new(games_at_once));
    let addresses = GameAddresses {
        cache: cache.clone().recipient(),
        writer: writer.clone().recipient(),
        rejects: writer.clone().recipient(),
        supervisor: games.clone().recipient(),
        parked: games.clone().recipient(),
        room: room.clone(),
    };
    let host = |arbiter| host(arbiter, &plan, &addresses, &game_spec, start_nearby.take());
    let hosts: Vec<_> = game_arbiters.iter().map(host).collect();
    let new_slot = Box::new(move |slot, thread: usize| {
        let (own, mailbox) = mailbox();
        // A thread that is gone has ended the process by then.
        hosts[thread].send((slot, own.clone(), mailbox)).ok();
        own
    });
    let addresses = GamesAddresses {
        done: root.clone().recipient(),
        stopped: root.clone().recipient(),
        escalate: root.clone().recipient(),
        in_play: cache.clone().recipient(),
    };
    let to_play = GamesToPlay {
        at_once: games_at_once,
        threads: game_arbiters.len(),
        quota: options.quota,
        resumable: options.resumable,
        terms: plan.terms.clone(),
        room,
    };
    let supervisor = GamesSupervisor::new(to_play, new_slot, control.clone(), addresses, stats.clone());
    actix::spawn(games_mailbox.supervise(supervisor, games_spec));

    let keeps = options.journal_keeps_games;
    let addresses = RootAddresses {
        games: games.clone(),
        writer: writer.clone(),
        batcher: batcher.clone(),
        loader: loader.clone(),
        cache: cache.clone(),
    };
    let root_actor =
        RootSupervisor::new(addresses, control.clone(), options.unload_after, stats.clone(), ending, keeps);
    actix::spawn(async move {
        root_mailbox.supervise(root_actor, root_spec).await;
        System::current().stop(); // Without a root nothing else would.
    });

    // The loader last: everything it may wake is there.
    let serving = pool.clone();
    let loader_addresses = LoaderAddresses {
        batcher: batcher.clone().recipient(),
        unload: batcher.recipient(),
        in_service: Arc::new(move || serving.generation().number),
        writer: writer.recipient(),
        games: games.recipient(),
        root: root.clone().recipient(),
    };
    let (source, origin, loader_stats) = (options.source, options.origin, stats.clone());
    let loader_control = control.clone();
    let loader_actor = move || {
        lower_priority();
        ModelLoaderActor::new(source, origin, inference_threads, loader_addresses, loader_control, loader_stats)
    };
    launch(&own_arbiter(blocking, Role::Loader, "thread loader")?, loader_mailbox, loader_actor, loader_spec);

    arbiters.extend(game_arbiters);
    started(Controller { drain: root.clone().recipient(), steer: root.recipient(), control });
    Ok(Tree { pool, arbiters, health, watchdog, loader })
}

/// A slot whose actor is to start, its address and its mailbox.
type Slot<G> = (usize, Addr<GameActor<G>>, Mailbox<GameActor<G>>);

/// Starts game actors on an arbiter's thread, whenever they come, and before them the cache, if it is to live there.
fn host<G: Game>(
    arbiter: &Arbiter,
    plan: &GamePlan<G>,
    addresses: &GameAddresses<G>,
    spec: &ChildSpec,
    start_cache: Option<impl FnOnce() -> NearbyCache<G> + Send + 'static>,
) -> UnboundedSender<Slot<G>> {
    let (sender, mut slots) = unbounded_channel::<Slot<G>>();
    let (plan, addresses, spec) = (plan.clone(), addresses.clone(), spec.clone());
    arbiter.spawn_fn(move || {
        let cache = start_cache.map(|start| start());
        let thread = Rc::new(GameThread::new(cache));
        actix::spawn(async move {
            while let Some((slot, own, mailbox)) = slots.recv().await {
                let actor = GameActor::new(slot, plan.clone(), addresses.clone(), thread.clone(), &own);
                actix::spawn(mailbox.supervise(actor, spec.clone()));
            }
        });
    });
    sender
}

/// Shows that this thread runs its timers, until the thread is stopped.
async fn pulse(member: Arc<Member>) {
    let mut presence = member.arrive();
    presence.running();
    loop {
        member.beat().beat();
        tokio::time::sleep(PULSE_EVERY).await;
    }
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
