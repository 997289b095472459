//! A part of the hub as a supervised actor: collector or publisher.
//!
//! The part says itself when it wants to be called again; its link calls it earlier. After a panic it is made afresh: what it knew
//! is in the trainer's folder and at the broker.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use actix::{Actor, AsyncContext as _, Context, Handler, Message, SpawnHandle, Supervised, WeakRecipient};
use selfplay_actors::{
    faults::{self, Point},
    health::{Child, Escalation, Hang, Limits, Restart, Setting},
    supervision::fail,
};
use selfplay_fleet::{
    disk::RealDisk,
    link::{CollectorLink, PublisherLink},
    nats::Bell,
    service::{CollectorService, CollectorState, PublisherService, PublisherState, SteerError},
};

/// How often what a part tells of itself is made: it takes time with many workers.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Restarts of a part: so many within a minute.
const RESTARTS: Limits = Limits {
    restarts: 5,
    window: Duration::from_secs(60),
    first_backoff: Duration::from_millis(50),
    max_backoff: Duration::from_secs(5),
};

/// The collector's row of the table of children. It waits for the disk.
pub(super) static COLLECTOR: Child = Child {
    name: "collector",
    restart: Restart::Permanent,
    limits: RESTARTS,
    hang: Hang::Call(Setting::Write),
    cost: "frames in hand come again from the broker",
    escalation: Escalation::Ends,
};

/// The publisher's row of the table of children. It reads models from the disk.
pub(super) static PUBLISHER: Child = Child {
    name: "publisher",
    restart: Restart::Permanent,
    limits: RESTARTS,
    hang: Hang::Call(Setting::Load),
    cost: "a model on its way to the broker is sent again",
    escalation: Escalation::Ends,
};

/// A service of the fleet.
pub(super) trait Part: Unpin + 'static {
    /// What it tells of itself.
    type State: Send + Sync + 'static;

    /// Does what is due; in how long it wants to be called again at the latest.
    fn step(&mut self, now: Duration) -> Duration;

    /// How it is.
    fn state(&self) -> Self::State;
}

impl<L: CollectorLink + Unpin + 'static> Part for CollectorService<L, RealDisk> {
    type State = CollectorState;

    fn step(&mut self, now: Duration) -> Duration {
        faults::hit(Point::Collector);
        self.step(now)
    }

    fn state(&self) -> CollectorState {
        self.state()
    }
}

impl<L: PublisherLink + Unpin + 'static> Part for PublisherService<L, RealDisk> {
    type State = PublisherState;

    fn step(&mut self, now: Duration) -> Duration {
        faults::hit(Point::Publisher);
        self.step(now)
    }

    fn state(&self) -> PublisherState {
        self.state()
    }
}

/// What a part told last; nothing before its first step.
#[derive(Debug)]
pub(super) struct Told<S>(Arc<Mutex<Option<Arc<S>>>>);

impl<S> Told<S> {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// What was told last.
    pub(super) fn last(&self) -> Option<Arc<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, state: S) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(state));
    }
}

impl<S> Clone for Told<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Makes a part whose link rings this bell.
pub(super) type Make<P> = Box<dyn FnMut(Bell) -> anyhow::Result<P> + Send>;

/// See the module.
pub(super) struct PartActor<P: Part> {
    make: Make<P>,
    part: Option<P>,
    begun: Instant,
    told: Told<P::State>,
    told_at: Option<Instant>,
    next: Option<SpawnHandle>,
    rung: Arc<AtomicBool>,
}

impl<P: Part> PartActor<P> {
    /// An actor of the part that `make` makes; what it tells goes to `told`.
    pub(super) fn new(make: Make<P>, told: Told<P::State>) -> Self {
        let (begun, rung) = (Instant::now(), Arc::default());
        Self { make, part: None, begun, told, told_at: None, next: None, rung }
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        self.rung.store(false, Ordering::Release);
        let Some(part) = &mut self.part else { return };
        let wait = part.step(self.begun.elapsed());
        if self.told_at.is_none_or(|then| then.elapsed() >= TELL_EVERY) {
            self.tell();
        }
        if let Some(next) = self.next.take() {
            ctx.cancel_future(next);
        }
        self.next = Some(ctx.run_later(wait, |actor, ctx| {
            actor.next = None;
            actor.step(ctx);
        }));
    }

    fn tell(&mut self) {
        if let Some(part) = &self.part {
            self.told.tell(part.state());
            self.told_at = Some(Instant::now());
        }
    }
}

impl<P: Part> Actor for PartActor<P> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let bell = bell(ctx.address().downgrade().recipient(), self.rung.clone());
        match (self.make)(bell) {
            Ok(part) => {
                self.part = Some(part);
                self.step(ctx);
            }
            Err(error) => fail(ctx, format!("start: {error:#}")),
        }
    }
}

impl<P: Part> Supervised for PartActor<P> {
    /// Whatever state a panic has left is dropped; the lock of the trainer's folder with it.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.part = None;
        self.next = None;
    }
}

/// Rings by a message, of which one at most is on its way.
fn bell(actor: WeakRecipient<Step>, rung: Arc<AtomicBool>) -> Bell {
    Bell::new(move || {
        if !rung.swap(true, Ordering::AcqRel)
            && let Some(actor) = actor.upgrade()
        {
            actor.do_send(Step);
        }
    })
}

/// There is something to hear.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
struct Step;

impl<P: Part> Handler<Step> for PartActor<P> {
    type Result = ();

    fn handle(&mut self, Step: Step, ctx: &mut Self::Context) {
        self.step(ctx);
    }
}

/// What a person asks of a roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "Result<(), SteerError>")]
pub(crate) enum Steer {
    /// All workers are to serve the newest model.
    Promote,
    /// All are to go back to the one before, for this reason.
    Withdraw(String),
    /// It stays where it is, or goes on.
    Hold(bool),
}

impl<L: PublisherLink + Unpin + 'static> Handler<Steer> for PartActor<PublisherService<L, RealDisk>> {
    type Result = Result<(), SteerError>;

    fn handle(&mut self, steer: Steer, ctx: &mut Self::Context) -> Self::Result {
        let publisher = self.part.as_mut().ok_or(SteerError::Unknown)?;
        match steer {
            Steer::Promote => publisher.promote()?,
            Steer::Withdraw(why) => publisher.withdraw(&why)?,
            Steer::Hold(hold) => publisher.hold(hold),
        }
        self.told_at = None;
        self.step(ctx);
        Ok(())
    }
}
