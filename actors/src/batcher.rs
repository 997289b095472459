//! The batcher actor: collects leaves and hands batches to free inference threads.

#[cfg(test)]
mod inspect;
mod probation;
mod queue;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle, Supervised};
use selfplay_engine::{Evaluator, Game};
use tokio::time::Instant;

pub(crate) use self::queue::Reason;
pub use self::{probation::ProbationLimits, queue::BatchPolicy};
use self::{
    probation::{Probation, Verdict},
    queue::Queue,
};
use crate::{
    control::{Control, PlayResumed},
    inference::InferencePool,
    stats::{Stats, monotonic_ms},
    ticket::{Generation, LeafBatch, Tally, WorkerFree},
};

/// Leaves to evaluate. Sent by the cache; what becomes of them is reported as the batch says.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Evaluate<G: Game>(pub LeafBatch<G>);

/// Every game in play waits for an answer: no leaf will follow before one is given, so none is to wait for others. Sent by the
/// cache after the [`Evaluate`] of the last of them.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AllGamesWait;

/// A loaded, checked and warmed model takes over: one evaluator per inference thread. Sent by the model loader; the cache is
/// told before the first batch runs on it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct SwapModel<G: Game> {
    /// Its number and version.
    pub generation: Generation,
    /// One per inference thread.
    pub evaluators: Vec<Box<dyn Evaluator<G>>>,
}

/// From now on another model answers. Sent by the batcher before it runs the first batch on that model; requests still open
/// are asked again of the new model.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ModelChanged(pub Generation);

/// A model must not be used any more, as its evaluations are not finite: it is never tried again, and the last one that proved
/// itself takes over as a new generation. Sent by the batcher; of no effect when a newer model serves already.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ModelWithdrawn {
    /// The model.
    pub generation: Generation,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// A model has passed its probation: should a later one fail, play goes on with this one. Sent by the batcher, once per
/// generation.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ModelProven {
    /// The model.
    pub generation: Generation,
}

/// The inference threads are to drop the model. Sent by the model loader during pause number `pause`; the next [`SwapModel`]
/// brings a model back.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UnloadModel {
    /// The pause, for [`Control`].
    pub(crate) pause: u64,
}

/// How long a free thread lets the oldest request wait for a fuller batch, from now on. Sent by the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetMaxWait(pub Duration);

/// Whom the batcher tells of models.
#[derive(Clone)]
pub struct BatcherAddresses {
    /// Hears of a model before its first batch.
    pub cache: Recipient<ModelChanged>,
    /// Hears that a model answers well enough to go back to it.
    pub proven: Recipient<ModelProven>,
    /// Hears that a model must be replaced.
    pub withdrawn: Recipient<ModelWithdrawn>,
}

/// Queues the leaves that the cache sends on, and gives each free inference thread a batch. It brings new models to the threads
/// and withdraws one that answers with nonsense.
pub struct BatcherActor<G: Game> {
    pool: Arc<InferencePool<G>>,
    policy: BatchPolicy,
    addresses: BatcherAddresses,
    control: Arc<Control>,
    stats: Arc<Stats>,
    queue: Queue<G>,
    probation: Probation,
    timer: Option<SpawnHandle>,
}

impl<G: Game> BatcherActor<G> {
    /// A batcher with an empty queue before `pool`.
    pub fn new(
        pool: Arc<InferencePool<G>>,
        policy: BatchPolicy,
        limits: ProbationLimits,
        addresses: BatcherAddresses,
        control: Arc<Control>,
        stats: Arc<Stats>,
    ) -> Self {
        let (queue, probation) = (Queue::new(policy), Probation::new(limits));
        Self { pool, policy, addresses, control, stats, queue, probation, timer: None }
    }

    /// Hands out batches while threads are free and the policy lets a batch leave.
    fn dispatch(&mut self, ctx: &mut Context<Self>) {
        if !self.pool.is_loaded() || self.probation.is_withdrawn() || self.control.is_paused() {
            self.stats.queue_leaves.set_count(self.queue.len());
            return; // No model, or none to be trusted: leaves wait for the next. Or for the end of the pause.
        }
        while let Some((worker, busy)) = self.pool.least_busy() {
            let Some(departure) = self.queue.next_batch(Instant::now(), busy, self.pool.running(), self.pool.len())
            else {
                break;
            };
            self.stats.count_departure(departure.reason, departure.waited);
            self.pool.run(worker, departure.batch);
        }
        self.stats.queue_leaves.set_count(self.queue.len());
        if self.timer.is_none()
            && let Some(wait) = self.queue.time_left(Instant::now())
        {
            self.timer = Some(ctx.run_later(wait.max(Duration::from_micros(50)), Self::wake));
        }
    }

    /// The oldest request has waited long enough.
    fn wake(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        self.dispatch(ctx);
    }
}

impl<G: Game> BatcherActor<G> {
    /// Tells accounts and control whether a model is in service.
    fn serve(&self, serving: bool) {
        self.control.set_serving(serving);
        self.stats.accounts.set_serving(serving);
    }

    /// Judges the serving model by another batch of its answers.
    fn judge(&mut self, tally: Tally) {
        let generation = self.pool.generation();
        if tally.generation != generation.number {
            return; // Of a model that is gone already, or of none.
        }
        match self.probation.judge(tally) {
            Some(Verdict::Proven) => {
                self.stats.on_probation.set(0);
                self.addresses.proven.do_send(ModelProven { generation });
            }
            Some(Verdict::Withdrawn(reason)) => {
                self.serve(false);
                tracing::error!(version = generation.version, reason, "model withdrawn");
                self.addresses.withdrawn.do_send(ModelWithdrawn { generation, reason });
            }
            None => {}
        }
    }
}

impl Stats {
    /// A batch has left whose first leaf has waited so long.
    pub(crate) fn count_departure(&self, reason: Reason, waited: Duration) {
        self.batch_wait.record(waited.as_secs_f64());
        let reasons = match reason {
            Reason::Full => &self.batches_full,
            // The last games fill no batches.
            _ if self.draining.get() != 0 => &self.batches_drain,
            Reason::Timer => &self.batches_timer,
            Reason::IdleDevice => &self.batches_idle_device,
        };
        reasons.add(1);
    }
}

impl<G: Game> Actor for BatcherActor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for BatcherActor<G> {
    /// Queued leaves are reported lost when the old queue is dropped; threads and their models are not touched.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.queue = Queue::new(self.policy);
        self.timer = None;
    }
}

impl<G: Game> Handler<Evaluate<G>> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, Evaluate(batch): Evaluate<G>, ctx: &mut Self::Context) {
        crate::faults::hit(crate::faults::Point::Batcher);
        if batch.generation() < self.pool.generation().number {
            batch.discard();
            // The cache asks again when it hears of the new model. Mostly it has by now; but had the notice been lost in a
            // panic of the cache, no other would ever come.
            self.addresses.cache.do_send(ModelChanged(self.pool.generation()));
        } else {
            self.queue.push(Instant::now(), batch);
        }
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<AllGamesWait> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, AllGamesWait: AllGamesWait, ctx: &mut Self::Context) {
        self.queue.set_complete(true);
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<WorkerFree> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, WorkerFree(tally): WorkerFree, ctx: &mut Self::Context) {
        crate::faults::hit(crate::faults::Point::Batcher);
        if tally.generation > 0 {
            // Its answers let games go on, which is what the queue then waits for. A failed batch gives none.
            self.queue.set_complete(false);
        }
        self.judge(tally);
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<SwapModel<G>> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, SwapModel { generation, evaluators }: SwapModel<G>, ctx: &mut Self::Context) {
        crate::faults::hit(crate::faults::Point::Batcher);
        self.pool.swap(generation, evaluators);
        self.serve(true);
        // The cache's mail is in order: it hears of the model before it gets the first answer made by it, because no batch has
        // been sent since the swap.
        self.addresses.cache.do_send(ModelChanged(generation));
        self.probation.begin();
        self.queue.discard();
        // Before its version: no one is to take it for proven.
        self.stats.on_probation.set(1);
        self.stats.models_loaded.add(1);
        self.stats.model_version.set(generation.version);
        self.stats.model_generation.set_count(generation.number);
        self.stats.model_served.set(SystemTime::now());
        self.stats.model_served_at.set(monotonic_ms());
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<UnloadModel> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, UnloadModel { pause }: UnloadModel, _: &mut Self::Context) {
        self.serve(false);
        let control = self.control.clone();
        self.pool.unload(move || {
            control.note_unloaded(pause);
            tracing::info!("model unloaded: no inference thread holds a session");
        });
    }
}

impl<G: Game> Handler<PlayResumed> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, PlayResumed: PlayResumed, ctx: &mut Self::Context) {
        self.queue.arrive_anew(Instant::now()); // Only the pause kept it waiting.
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<SetMaxWait> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, SetMaxWait(wait): SetMaxWait, ctx: &mut Self::Context) {
        self.policy.max_wait = wait;
        self.queue.set_max_wait(wait);
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer); // Set for the old wait.
        }
        self.dispatch(ctx);
    }
}
