//! What connects the parts of the system: the address of every actor, the threads that they live on, and how each is supervised.

use std::{io, sync::Arc, time::Duration};

use actix::{Actor, Addr, Arbiter, ArbiterHandle, Context, Recipient, Supervised};
use selfplay_engine::Game;

use super::{Options, children, supervisor::RootSupervisor};
use crate::{
    account::{self, Role},
    batcher::BatcherActor,
    cache::CacheActor,
    control::Control,
    games::GamesSupervisor,
    health::{Child, HangLimits, Health, Member},
    loader::ModelLoaderActor,
    referee::RefereeActor,
    stats::Stats,
    supervision::{ChildGaveUp, ChildSpec, Mailbox, mailbox},
    writer::WriterActor,
};

/// How often a thread of actors shows that it runs timers.
const PULSE_EVERY: Duration = Duration::from_secs(1);

/// What any part may need of the others. Every address exists before any actor: nothing has to be told of another afterwards.
pub(super) struct Wires<G: Game> {
    pub(super) root: Addr<RootSupervisor<G>>,
    pub(super) loader: Addr<ModelLoaderActor<G>>,
    pub(super) writer: Addr<WriterActor<G>>,
    pub(super) batcher: Addr<BatcherActor<G>>,
    pub(super) cache: Addr<CacheActor<G>>,
    pub(super) games: Addr<GamesSupervisor<G>>,
    /// Where matches are played.
    pub(super) referee: Option<Addr<RefereeActor>>,
    pub(super) control: Arc<Control>,
    pub(super) stats: Arc<Stats>,
    pub(super) health: Arc<Health>,
    pub(super) hang_limits: HangLimits,
}

/// An actor that is yet to start.
pub(super) struct Seat<A: Actor> {
    pub(super) mailbox: Mailbox<A>,
    pub(super) spec: ChildSpec,
}

impl<A: Actor<Context = Context<A>> + Supervised> Seat<A> {
    /// Runs `actor` on this thread.
    pub(super) fn start(self, actor: A) {
        actix::spawn(self.mailbox.supervise(actor, self.spec));
    }

    /// Makes the actor on another thread, and runs it there.
    pub(super) fn start_on(self, thread: &ArbiterHandle, make: impl FnOnce() -> A + Send + 'static) {
        thread.spawn_fn(move || self.start(make()));
    }
}

/// All actors that are yet to start.
pub(super) struct Seats<G: Game> {
    pub(super) root: Seat<RootSupervisor<G>>,
    pub(super) loader: Seat<ModelLoaderActor<G>>,
    pub(super) writer: Seat<WriterActor<G>>,
    pub(super) batcher: Seat<BatcherActor<G>>,
    pub(super) cache: Seat<CacheActor<G>>,
    pub(super) games: Seat<GamesSupervisor<G>>,
    pub(super) referee: Option<Seat<RefereeActor>>,
    /// Of all games: their slots get mailboxes of their own.
    pub(super) game: ChildSpec,
}

impl<G: Game> Wires<G> {
    pub(super) fn new(options: &Options<G>) -> (Self, Seats<G>) {
        let (root, root_mailbox) = mailbox();
        let (loader, loader_mailbox) = mailbox();
        let (writer, writer_mailbox) = mailbox();
        let (batcher, batcher_mailbox) = mailbox();
        let (cache, cache_mailbox) = mailbox();
        let (games, games_mailbox) = mailbox();
        let (referee, referee_mailbox) = options.referee.as_ref().map(|_| mailbox()).unzip();
        let (control, stats) = (options.control.clone(), options.plan.stats.clone());
        let (health, hang_limits) = (options.health.clone(), options.hang_limits);
        let wires = Self { root, loader, writer, batcher, cache, games, referee, control, stats, health, hang_limits };
        let spec = |child: &'static Child| ChildSpec::new(wires.join(child, child.name), wires.escalate());
        let seats = Seats {
            root: Seat { mailbox: root_mailbox, spec: spec(&children::ROOT) },
            loader: Seat { mailbox: loader_mailbox, spec: spec(&children::LOADER) },
            writer: Seat { mailbox: writer_mailbox, spec: spec(&children::WRITER) },
            batcher: Seat { mailbox: batcher_mailbox, spec: spec(&children::BATCHER) },
            cache: Seat { mailbox: cache_mailbox, spec: spec(&children::CACHE) },
            games: Seat { mailbox: games_mailbox, spec: spec(&children::GAMES_SUPERVISOR) },
            referee: referee_mailbox.map(|mailbox| Seat { mailbox, spec: spec(&children::REFEREE) }),
            game: spec(&children::GAME),
        };
        (wires, seats)
    }

    /// Who hears of a child that gives up.
    pub(super) fn escalate(&self) -> Recipient<ChildGaveUp> {
        self.root.clone().recipient()
    }

    fn join(&self, child: &'static Child, name: impl Into<String>) -> Arc<Member> {
        self.health.join(child, name.into(), child.hang_limit(&self.hang_limits))
    }
}

/// The threads of actors, but for the one that all of this runs on.
pub(super) struct Threads {
    pub(super) games: Vec<Arbiter>,
    /// With one thread of games that holds cache and batcher too: on few cores a hop between threads costs more than it gives.
    pub(super) evaluation: Option<Arbiter>,
    pub(super) writer: Arbiter,
    pub(super) loader: Arbiter,
    pub(super) referee: Option<Arbiter>,
}

impl Threads {
    /// # Errors
    /// When the system gives no more threads.
    pub(super) fn start<G: Game>(wires: &Wires<G>, games: usize) -> std::io::Result<Self> {
        actix::spawn(pulse(wires.join(&children::THREAD, "thread main")));
        let start = |child, role, name: &str| {
            let account = wires.stats.accounts.open(role);
            let arbiter = Arbiter::try_with_tokio_rt(move || account::runtime(account))?;
            arbiter.spawn(pulse(wires.join(child, format!("thread {name}"))));
            std::io::Result::Ok(arbiter)
        };
        let (own, blocking) = (&children::THREAD, &children::BLOCKING_THREAD);
        let games: Vec<_> = (0..games.max(1))
            .map(|number| start(own, Role::Games, &format!("games-{number}")))
            .collect::<Result<_, _>>()?;
        let evaluation = (games.len() > 1).then(|| start(own, Role::Evaluation, "evaluation")).transpose()?;
        wires.stats.threads_games.set_count(games.len());
        wires.stats.threads_evaluation.set(evaluation.is_some().into());
        wires.stats.threads_writer.set(1);
        wires.stats.threads_loader.set(1);
        let writer = start(blocking, Role::Writer, "writer")?;
        let referee = wires.referee.as_ref().map(|_| referee_thread()).transpose()?;
        if let Some(thread) = &referee {
            thread.spawn(pulse(wires.join(blocking, "thread referee")));
        }
        Ok(Self { games, evaluation, writer, loader: start(blocking, Role::Loader, "loader")?, referee })
    }

    /// The thread of cache and batcher.
    pub(super) fn evaluation(&self) -> ArbiterHandle {
        self.evaluation.as_ref().unwrap_or(&self.games[0]).handle()
    }

    /// All of them, in the order in which they are to end.
    pub(super) fn into_arbiters(self) -> Vec<Arbiter> {
        let Self { games, evaluation, writer, loader, referee } = self;
        evaluation.into_iter().chain([writer, loader]).chain(games).chain(referee).collect()
    }
}

/// A thread that play does not depend on, and that keeps no account of where play's time goes.
fn referee_thread() -> io::Result<Arbiter> {
    Arbiter::try_with_tokio_rt(|| {
        std::fs::write("/proc/thread-self/comm", "referee").ok();
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()
    })
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
