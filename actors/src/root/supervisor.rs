//! The root actor: hears of everything that may end the process, and ends it in order: games, writer, system.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Supervised, System};
use selfplay_engine::Game;

use super::{Drain, Ending};
use crate::{
    batcher::BatcherActor,
    cache::CacheActor,
    control::Control,
    games::{DrainGames, GamesDone, GamesStopped, GamesSupervisor, StopGames},
    health::Escalation,
    loader::{Fatal, ModelLoaderActor},
    referee::RefereeGone,
    stats::Stats,
    supervision::ChildGaveUp,
    writer::{Flush, WriterActor, WriterFlushed, WritingFails},
};

/// How long games may take to stop: as long as a game actor may be backing off.
const STOP_WITHIN: Duration = Duration::from_secs(5);

#[derive(Message)]
#[rtype(result = "()")]
struct GraceOver {
    /// Whether games were given any time at all.
    waited: bool,
}

/// Some games do not say that they stopped. Sent by the root to itself.
#[derive(Message)]
#[rtype(result = "()")]
struct StopOverdue;

/// Whom the root tells.
pub(super) struct RootAddresses<G: Game> {
    pub(super) games: Addr<GamesSupervisor<G>>,
    pub(super) writer: Addr<WriterActor<G>>,
    pub(super) batcher: Addr<BatcherActor<G>>,
    pub(super) loader: Addr<ModelLoaderActor<G>>,
    pub(super) cache: Addr<CacheActor<G>>,
}

/// Watches over all other actors. It decides when the process ends and with which [`Ending`], and stops them in order.
pub(super) struct RootSupervisor<G: Game> {
    pub(super) addresses: RootAddresses<G>,
    pub(super) control: Arc<Control>,
    pub(super) unload_after: Option<Duration>,
    pub(super) stats: Arc<Stats>,
    ending: Arc<Mutex<Option<Ending>>>,
    journal_keeps_games: bool,
    draining: bool,
    /// Whether the grace period is over that games were given.
    waited: bool,
    stopping: bool,
    flushing: bool,
    /// Games in play when they were stopped, if nothing keeps them.
    given_up: u64,
}

impl<G: Game> RootSupervisor<G> {
    /// Sets `ending` before it stops the system. `journal_keeps_games`: what is stopped goes on at the next start. A pause that
    /// lasts for `unload_after` frees the device.
    pub(super) fn new(
        addresses: RootAddresses<G>,
        control: Arc<Control>,
        unload_after: Option<Duration>,
        stats: Arc<Stats>,
        ending: Arc<Mutex<Option<Ending>>>,
        journal_keeps_games: bool,
    ) -> Self {
        Self {
            addresses,
            control,
            unload_after,
            stats,
            ending,
            journal_keeps_games,
            draining: false,
            waited: false,
            stopping: false,
            flushing: false,
            given_up: 0,
        }
    }

    /// Stops the games in play: only when they have stopped is everything that was finished on its way to the writer.
    fn stop_games(&mut self, ctx: &mut Context<Self>) {
        if !self.flushing && !std::mem::replace(&mut self.stopping, true) {
            self.addresses.games.do_send(StopGames);
            ctx.notify_later(StopOverdue, STOP_WITHIN);
        }
    }

    /// No more games will come: write what is queued.
    fn flush(&mut self) {
        if !std::mem::replace(&mut self.flushing, true) {
            self.addresses.writer.do_send(Flush);
        }
    }

    /// `unfinished` games were stopped.
    fn stopped(&mut self, unfinished: u64) {
        if unfinished > 0 && self.journal_keeps_games {
            tracing::info!(games = unfinished, "games in play go on at the next start");
        } else if unfinished > 0 {
            self.given_up = unfinished;
            match self.waited {
                true => tracing::warn!(games = unfinished, "games in play are given up"),
                false => tracing::info!(games = unfinished, "games in play are given up"),
            }
        }
        self.flush();
    }

    /// Games in play or parked, as far as counters say.
    fn unfinished(&self) -> u64 {
        self.stats.snapshot().games_unfinished()
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
            self.stats.draining.set(1);
            tracing::info!(
                reason,
                grace_seconds = grace.as_secs_f64(),
                "stopping: no new games, waiting for those in play"
            );
            self.addresses.games.do_send(DrainGames);
            if self.control.is_paused() && self.journal_keeps_games {
                tracing::info!("play is paused: games in play are not waited for");
                return self.stop_games(ctx);
            }
            // Else there is no other way to bring games to their end.
            self.control.resume(|| self.play_on());
            ctx.notify_later(GraceOver { waited: !grace.is_zero() }, grace);
        }
    }
}

impl<G: Game> Handler<GraceOver> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, GraceOver { waited }: GraceOver, ctx: &mut Self::Context) {
        if !self.flushing && !self.stopping {
            self.waited = waited;
            tracing::info!("the grace period is over");
        }
        self.stop_games(ctx);
    }
}

impl<G: Game> Handler<GamesStopped> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, GamesStopped { unfinished }: GamesStopped, _: &mut Self::Context) {
        if !self.flushing {
            self.stopped(unfinished);
        }
    }
}

impl<G: Game> Handler<StopOverdue> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, StopOverdue: StopOverdue, _: &mut Self::Context) {
        if !self.flushing {
            tracing::warn!("some games do not stop: what they finish from now on is lost");
            self.stopped(self.unfinished());
        }
    }
}

impl<G: Game> Handler<GamesDone> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, done: GamesDone, _: &mut Self::Context) {
        if done.abandoned > 0 {
            tracing::error!(games = done.abandoned, "some games were given up; see above");
        }
        self.waited |= done.parked > 0;
        self.stopped(done.parked);
    }
}

impl<G: Game> Handler<WriterFlushed> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, WriterFlushed { lost, kept, spooled, reason }: WriterFlushed, _: &mut Self::Context) {
        if lost + kept + spooled > 0 {
            tracing::error!(lost, kept_for_the_next_start = kept, spooled, reason, "finished games are not written");
            self.end(Ending::Unwritten { lost, kept, spooled, reason });
        }
        if self.waited && self.given_up > 0 {
            self.end(Ending::DrainDeadline { given_up: self.given_up });
        }
        self.end(Ending::Clean);
        System::current().stop();
    }
}

impl<G: Game> Handler<WritingFails> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, WritingFails { reason }: WritingFails, ctx: &mut Self::Context) {
        self.end(Ending::WriterGaveUp(reason));
        self.stop_games(ctx);
    }
}

impl<G: Game> Handler<ChildGaveUp> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, ChildGaveUp { child, escalation, reason }: ChildGaveUp, ctx: &mut Self::Context) {
        if escalation == Escalation::GoesOnWithout {
            return self.addresses.loader.do_send(RefereeGone);
        }
        let reason = format!("{child}: {reason}");
        if escalation == Escalation::EndsUnwritten {
            let counts = self.stats.snapshot();
            let unwritten = counts.games_finished.saturating_sub(counts.games_settled());
            let (kept, lost) = if self.journal_keeps_games { (unwritten, 0) } else { (0, unwritten) };
            self.end(Ending::Unwritten { lost, kept, spooled: 0, reason });
            System::current().stop();
        } else {
            self.end(Ending::Escalated(reason));
            self.stop_games(ctx);
        }
    }
}

impl<G: Game> Handler<Fatal> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, Fatal { reason }: Fatal, ctx: &mut Self::Context) {
        self.end(Ending::Unusable(reason));
        self.stop_games(ctx);
    }
}
