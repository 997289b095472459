//! The start of everything: threads first, then one actor after the other.

use std::{
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{Addr, Arbiter, System};
use selfplay_engine::Game;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{
    Controller, Ending, Options, children,
    stop::Tree,
    supervisor::{RootAddresses, RootSupervisor},
    wires::{Seat, Seats, Threads, Wires},
};
use crate::{
    batcher::{BatchPolicy, BatcherActor, BatcherAddresses, ProbationLimits},
    cache::{CacheActor, CacheLimits, NearbyCache},
    game::{GameActor, GameAddresses, GamePlan, GameThread, Room},
    games::{GamesAddresses, GamesSupervisor, GamesToPlay, NewSlot},
    inference::{InferencePool, ThreadSpec},
    loader::{LoaderAddresses, ModelLoaderActor, ModelOrigin, ModelSource, lower_priority},
    referee::{Entrant, RefereeActor, RefereeOptions},
    supervision::{ChildSpec, Mailbox, mailbox},
    watchdog::Watchdog,
    writer::{Output, Provenance, WriterActor, WriterAddresses},
};

/// Starts everything on the current system. `started` hears when that is done.
pub(super) async fn start<G: Game>(
    options: Options<G>,
    ending: Arc<Mutex<Option<Ending>>>,
    started: impl FnOnce(Controller) + 'static,
) -> std::io::Result<Tree<G>> {
    let (wires, seats) = Wires::new(&options);
    let Options { plan, quota, resumable, source, origin, output, provenance, referee: matches, .. } = options;
    let Seats { root, loader, writer, batcher, cache, games, referee, game } = seats;
    let watchdog = Watchdog::start(wires.health.clone(), wires.escalate(), options.last_resort)?;
    let pool = wires.inference(options.inference_threads)?;
    let threads = Threads::start(&wires, options.game_threads)?;

    let cache = wires.cache(cache, options.cache, &threads);
    wires.batcher(batcher, &threads, pool.clone(), options.batching, options.probation);
    wires.writer(writer, &threads, plan.game.clone(), output, provenance);
    let room = Arc::new(Room::new(options.games_at_once));
    let to_play = GamesToPlay {
        at_once: options.games_at_once,
        threads: threads.games.len(),
        quota,
        resumable,
        terms: plan.terms.clone(),
        room: room.clone(),
    };
    wires.games(games, to_play, wires.slots(&threads, &plan, room, &game, cache));
    wires.root(root, ending, options.unload_after, options.journal_keeps_games);
    let (gate, first) = matches.as_ref().map_or((false, None), |matches| (matches.gate, matches.first.clone()));
    if let (Some(seat), Some(matches), Some(thread)) = (referee, matches, &threads.referee) {
        wires.referee(seat, thread, matches);
    }
    // The loader last: everything it may wake is there.
    wires.loader(loader, &threads, pool.clone(), (source, origin, gate, first), options.inference_threads);

    let Wires { root, control, health, loader, .. } = wires;
    started(Controller { drain: root.clone().recipient(), steer: root.recipient(), control });
    Ok(Tree { pool, arbiters: threads.into_arbiters(), health, watchdog, loader })
}

/// A slot whose actor is to start, its address and its mailbox.
type Slot<G> = (usize, Addr<GameActor<G>>, Mailbox<GameActor<G>>);

impl<G: Game> Wires<G> {
    fn inference(&self, threads: usize) -> std::io::Result<Arc<InferencePool<G>>> {
        let child = &children::INFERENCE;
        let hang_limit = child.hang_limit(&self.hang_limits);
        let spec = ThreadSpec { child, hang_limit, health: self.health.clone(), parent: self.escalate() };
        let workers = self.batcher.clone().recipient();
        Ok(Arc::new(InferencePool::start(threads, &workers, &self.stats, spec)?))
    }

    /// The cache is started here if it has a thread beside those of games; else on the one thread of games, by what is returned.
    fn cache(
        &self,
        seat: Seat<CacheActor<G>>,
        limits: CacheLimits,
        threads: &Threads,
    ) -> Option<impl FnOnce() -> NearbyCache<G> + Send + 'static> {
        let (batcher, waiting) = (self.batcher.clone().recipient(), self.batcher.clone().recipient());
        let (own, stats) = (self.cache.clone().recipient(), self.stats.clone());
        let start = move || {
            let cache = CacheActor::new(limits, batcher, waiting, own, stats);
            let nearby = cache.nearby();
            seat.start(cache);
            nearby
        };
        match &threads.evaluation {
            Some(thread) => {
                thread.spawn_fn(move || drop(start()));
                None
            }
            None => Some(start),
        }
    }

    fn batcher(
        &self,
        seat: Seat<BatcherActor<G>>,
        threads: &Threads,
        pool: Arc<InferencePool<G>>,
        policy: BatchPolicy,
        limits: ProbationLimits,
    ) {
        let addresses = BatcherAddresses {
            cache: self.cache.clone().recipient(),
            proven: self.loader.clone().recipient(),
            withdrawn: self.loader.clone().recipient(),
        };
        let (control, stats) = (self.control.clone(), self.stats.clone());
        seat.start_on(&threads.evaluation(), move || {
            BatcherActor::new(pool, policy, limits, addresses, control, stats)
        });
    }

    fn writer(&self, seat: Seat<WriterActor<G>>, threads: &Threads, game: G, output: Output, provenance: Provenance) {
        let addresses = WriterAddresses {
            credits: self.games.clone().recipient(),
            holds: self.games.clone().recipient(),
            flushed: self.root.clone().recipient(),
            gave_up: self.root.clone().recipient(),
        };
        let stats = self.stats.clone();
        seat.start_on(&threads.writer.handle(), move || WriterActor::new(game, output, provenance, addresses, stats));
    }

    /// What starts the actor of a slot, on the thread that it is given.
    fn slots(
        &self,
        threads: &Threads,
        plan: &GamePlan<G>,
        room: Arc<Room>,
        spec: &ChildSpec,
        mut cache: Option<impl FnOnce() -> NearbyCache<G> + Send + 'static>,
    ) -> NewSlot<G> {
        let addresses = GameAddresses {
            cache: self.cache.clone().recipient(),
            writer: self.writer.clone().recipient(),
            rejects: self.writer.clone().recipient(),
            supervisor: self.games.clone().recipient(),
            parked: self.games.clone().recipient(),
            room,
        };
        let host = |thread| host(thread, plan, &addresses, spec, cache.take());
        let hosts: Vec<_> = threads.games.iter().map(host).collect();
        Box::new(move |slot, thread: usize| {
            let (own, mailbox) = mailbox();
            // A thread that is gone has ended the process by then.
            hosts[thread].send((slot, own.clone(), mailbox)).ok();
            own
        })
    }

    fn games(&self, seat: Seat<GamesSupervisor<G>>, to_play: GamesToPlay<G>, new_slot: NewSlot<G>) {
        let addresses = GamesAddresses {
            done: self.root.clone().recipient(),
            stopped: self.root.clone().recipient(),
            escalate: self.escalate(),
            in_play: self.cache.clone().recipient(),
        };
        seat.start(GamesSupervisor::new(to_play, new_slot, self.control.clone(), addresses, self.stats.clone()));
    }

    fn root(
        &self,
        Seat { mailbox, spec }: Seat<RootSupervisor<G>>,
        ending: Arc<Mutex<Option<Ending>>>,
        unload_after: Option<Duration>,
        journal_keeps_games: bool,
    ) {
        let addresses = RootAddresses {
            games: self.games.clone(),
            writer: self.writer.clone(),
            batcher: self.batcher.clone(),
            loader: self.loader.clone(),
            cache: self.cache.clone(),
        };
        let (control, stats) = (self.control.clone(), self.stats.clone());
        let actor = RootSupervisor::new(addresses, control, unload_after, stats, ending, journal_keeps_games);
        actix::spawn(async move {
            mailbox.supervise(actor, spec).await;
            System::current().stop(); // Without a root nothing else would.
        });
    }

    fn referee(&self, seat: Seat<RefereeActor>, thread: &Arbiter, options: RefereeOptions) {
        let judged = self.loader.clone().recipient();
        let (control, stats) = (self.control.clone(), self.stats.clone());
        let RefereeOptions { referee, shares, .. } = options;
        // At normal priority: what it may take it is to get, and no more than that it takes by itself.
        seat.start_on(&thread.handle(), move || RefereeActor::new(referee, shares, judged, control, stats));
    }

    fn loader(
        &self,
        seat: Seat<ModelLoaderActor<G>>,
        threads: &Threads,
        pool: Arc<InferencePool<G>>,
        (source, origin, gate, first): (Box<dyn ModelSource<G>>, ModelOrigin, bool, Option<Entrant>),
        evaluators: usize,
    ) {
        let addresses = LoaderAddresses {
            batcher: self.batcher.clone().recipient(),
            unload: self.batcher.clone().recipient(),
            in_service: Arc::new(move || pool.generation().number),
            writer: self.writer.clone().recipient(),
            games: self.games.clone().recipient(),
            root: self.root.clone().recipient(),
            entered: self.referee.clone().map(Addr::recipient),
            examine: self.referee.clone().filter(|_| gate).map(Addr::recipient),
        };
        let (control, stats) = (self.control.clone(), self.stats.clone());
        seat.start_on(&threads.loader.handle(), move || {
            lower_priority();
            ModelLoaderActor::new(source, (origin, first), evaluators, addresses, control, stats)
        });
    }
}

/// Starts game actors on a thread, whenever they come, and before them the cache, if it is to live there.
fn host<G: Game>(
    thread: &Arbiter,
    plan: &GamePlan<G>,
    addresses: &GameAddresses<G>,
    spec: &ChildSpec,
    start_cache: Option<impl FnOnce() -> NearbyCache<G> + Send + 'static>,
) -> UnboundedSender<Slot<G>> {
    let (sender, mut slots) = unbounded_channel::<Slot<G>>();
    let (plan, addresses, spec) = (plan.clone(), addresses.clone(), spec.clone());
    thread.spawn_fn(move || {
        let thread = Rc::new(GameThread::new(start_cache.map(|start| start())));
        actix::spawn(async move {
            while let Some((slot, own, mailbox)) = slots.recv().await {
                let actor = GameActor::new(slot, plan.clone(), addresses.clone(), thread.clone(), &own);
                actix::spawn(mailbox.supervise(actor, spec.clone()));
            }
        });
    });
    sender
}
