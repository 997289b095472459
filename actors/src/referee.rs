//! The referee actor: has matches between models played beside play, in a bounded share of the machine. It lives on a thread of its own.
//!
//! ```text
//! loader ──Entered: a model serves──────────────▶ referee ─▶ ratings, in Stats::standings
//! loader ──Examine: may it take another's place?─▶ referee ──Judged──▶ loader
//! ```
//!
//! What is played is up to a [`Referee`], which works a moment at a time; the actor lets it rest in between, so that it takes no more
//! than its share. What must stay true:
//!
//! - Play does not depend on it. It has evaluators of its own and sends nothing to games, cache and batcher; games are the same with it
//!   and without. When its restarts are used up, play goes on, and the loader is told: nothing is held back any more.
//! - Every [`Examine`] is answered, unless the process ends or another was asked about the same model since.
//! - It rests while play is paused, and for good once the process is told to stop: nothing has to wait for more than the work of a moment.

mod pace;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use tokio::time::Instant;

use self::pace::Pace;
use crate::{
    control::Control,
    onnx::{Checksum, ModelFile, thread_cpu_seconds},
    stats::Stats,
};

/// How often it looks whether a pause is over.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A model, as it may play.
#[derive(Clone, Debug)]
pub struct Entrant {
    /// The trainer's number.
    pub version: i64,
    /// Its contents.
    pub file: ModelFile,
}

/// A model came into service. Sent by the loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Entered(pub Entrant);

/// Find out whether a model may take the place of the one that serves. Sent by the loader; [`Judged`] is the answer.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Examine {
    /// The model that is to serve.
    pub candidate: Entrant,
    /// The model that serves.
    pub serving: Entrant,
}

/// What came of an [`Examine`]. Sent by the referee.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Judged {
    /// Of the model that is to serve.
    pub candidate: Checksum,
    /// Whether it may.
    pub verdict: Judgement,
}

/// Whether a model may serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It did not lose: how it did.
    Promoted(String),
    /// It lost: how it did.
    Refused(String),
    /// The match could not be played, for this reason.
    Unjudged(String),
}

/// There is no referee any more. Sent by the root to the loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RefereeGone;

/// What plays matches, a moment at a time. Called on the referee's thread.
pub trait Referee: Send {
    /// A model came into service.
    fn entered(&mut self, model: Entrant);

    /// It is to be found out whether a model may serve.
    fn examine(&mut self, examine: Examine);

    /// Whether a model waits for its judgement.
    fn is_urgent(&self) -> bool;

    /// Works for some tens of milliseconds.
    fn work(&mut self) -> Worked;

    /// Gives the device back: play is paused for long.
    fn release(&mut self);

    /// It panicked. What it was doing may be broken off.
    fn recover(&mut self);
}

/// What came of a moment's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worked {
    /// There is more to do.
    On,
    /// A model was judged. There may be more to do.
    Judged(Judged),
    /// Nothing is to be done until there is another model.
    Idle,
}

/// How much of the machine a referee may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    /// Seconds of computing a second.
    pub rate: f64,
    /// The same while a model waits for its judgement.
    pub urgent: f64,
    /// Computing is done elsewhere than on the thread that waits for it, as on a GPU: time counts, not this thread's CPU time.
    pub elsewhere: bool,
}

/// A referee, and how much of the machine it may take.
pub struct RefereeOptions {
    /// It.
    pub referee: Box<dyn Referee>,
    /// How much it may take.
    pub shares: Shares,
    /// Whether models wait for their judgement before they serve.
    pub gate: bool,
    /// The model that serves first, if it can, whatever is newer.
    pub first: Option<Entrant>,
}

/// Lets a [`Referee`] work, and rest.
pub struct RefereeActor {
    referee: Box<dyn Referee>,
    shares: Shares,
    judged: Recipient<Judged>,
    control: Arc<Control>,
    stats: Arc<Stats>,
    pace: Pace,
    /// Until when time is paid for.
    paid: Instant,
    /// There may be something to do.
    busy: bool,
    /// Number of the timer that counts. (What is cancelled before a restart, actix may cancel after it, too.)
    timer: u64,
}

impl RefereeActor {
    /// Tells `judged` of models that were judged.
    pub fn new(
        referee: Box<dyn Referee>,
        shares: Shares,
        judged: Recipient<Judged>,
        control: Arc<Control>,
        stats: Arc<Stats>,
    ) -> Self {
        let (pace, paid) = (Pace::default(), Instant::now());
        Self { referee, shares, judged, control, stats, pace, paid, busy: true, timer: 0 }
    }

    fn rate(&self) -> f64 {
        if self.referee.is_urgent() { self.shares.urgent.max(self.shares.rate) } else { self.shares.rate }
    }

    /// Goes on as soon as it has rested enough.
    fn go_on(&mut self, ctx: &mut Context<Self>) {
        self.timer += 1;
        if !self.busy || self.control.is_draining() {
            return;
        }
        let rate = self.rate();
        let now = Instant::now();
        self.pace.pass(now - std::mem::replace(&mut self.paid, now), rate);
        let rest = if self.control.is_paused() { LOOK_AGAIN } else { self.pace.rest(rate) };
        let timer = self.timer;
        ctx.run_later(rest, move |referee, ctx| {
            if referee.timer == timer {
                referee.work(ctx);
            }
        });
    }

    fn work(&mut self, ctx: &mut Context<Self>) {
        if self.control.is_draining() {
            return;
        }
        let state = self.control.state();
        if state.unloaded {
            self.referee.release();
        }
        if !state.paused {
            crate::faults::hit(crate::faults::Point::Referee);
            let (begun, computed) = (Instant::now(), thread_cpu_seconds());
            let worked = self.referee.work();
            let cpu = computed
                .zip(thread_cpu_seconds())
                .map(|(before, after)| Duration::from_secs_f64((after - before).max(0.0)));
            let used = cpu.filter(|_| !self.shares.elsewhere).unwrap_or_else(|| begun.elapsed());
            self.pace.spend(used);
            self.stats.match_ns.add(used);
            match worked {
                Worked::On => {}
                Worked::Judged(judged) => self.judged.do_send(judged),
                Worked::Idle => self.busy = false,
            }
        }
        self.go_on(ctx);
    }

    fn has_news(&mut self, ctx: &mut Context<Self>) {
        self.busy = true;
        self.go_on(ctx);
    }
}

impl Actor for RefereeActor {
    type Context = Context<Self>;

    /// Also after a restart.
    fn started(&mut self, ctx: &mut Self::Context) {
        self.has_news(ctx);
    }
}

impl Supervised for RefereeActor {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.referee.recover();
    }
}

impl Handler<Entered> for RefereeActor {
    type Result = ();

    fn handle(&mut self, Entered(model): Entered, ctx: &mut Self::Context) {
        self.referee.entered(model);
        self.has_news(ctx);
    }
}

impl Handler<Examine> for RefereeActor {
    type Result = ();

    fn handle(&mut self, examine: Examine, ctx: &mut Self::Context) {
        self.referee.examine(examine);
        self.has_news(ctx);
    }
}
