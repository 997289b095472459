//! The batcher actor: collects leaves and hands batches to free inference threads.

mod queue;

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle, Supervised};
use selfplay_engine::{Evaluator, Game};
use tokio::time::Instant;

pub use self::queue::BatchPolicy;
use self::queue::Queue;
use crate::{
    cache::ModelChanged,
    inference::InferencePool,
    stats::Stats,
    ticket::{Generation, LeafBatch},
};

/// Leaves to evaluate. Sent by the cache; what becomes of them is reported as the batch says.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Evaluate<G: Game>(pub LeafBatch<G>);

/// An inference thread has finished a batch. Sent by that thread.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerFree;

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

/// See the module.
pub struct BatcherActor<G: Game> {
    pool: Arc<InferencePool<G>>,
    policy: BatchPolicy,
    cache: Recipient<ModelChanged>,
    stats: Arc<Stats>,
    queue: Queue<G>,
    timer: Option<SpawnHandle>,
}

impl<G: Game> BatcherActor<G> {
    /// A batcher with an empty queue before `pool`.
    pub fn new(
        pool: Arc<InferencePool<G>>,
        policy: BatchPolicy,
        cache: Recipient<ModelChanged>,
        stats: Arc<Stats>,
    ) -> Self {
        Self { pool, policy, cache, stats, queue: Queue::new(policy), timer: None }
    }

    /// Hands out batches while threads are free and the policy lets a batch leave.
    fn dispatch(&mut self, ctx: &mut Context<Self>) {
        if self.pool.generation().number == 0 {
            return; // No model yet: leaves wait.
        }
        while let Some((worker, busy)) = self.pool.least_busy() {
            let Some(batch) = self.queue.next_batch(Instant::now(), busy, self.pool.len()) else { break };
            self.pool.run(worker, batch);
        }
        if self.timer.is_none()
            && let Some(wait) = self.queue.time_left(Instant::now())
        {
            self.timer = Some(ctx.run_later(wait.max(Duration::from_micros(50)), |batcher, ctx| {
                batcher.timer = None;
                batcher.dispatch(ctx);
            }));
        }
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
        if batch.generation() < self.pool.generation().number {
            batch.discard();
            // The cache asks again when it hears of the new model. Mostly it has by now; but had the notice been lost in a
            // panic of the cache, no other would ever come.
            self.cache.do_send(ModelChanged(self.pool.generation()));
        } else {
            self.queue.push(Instant::now(), batch);
        }
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<WorkerFree> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, WorkerFree: WorkerFree, ctx: &mut Self::Context) {
        self.dispatch(ctx);
    }
}

impl<G: Game> Handler<SwapModel<G>> for BatcherActor<G> {
    type Result = ();

    fn handle(&mut self, SwapModel { generation, evaluators }: SwapModel<G>, ctx: &mut Self::Context) {
        // The cache's mail is in order: it hears of the model before it gets the first answer made by it.
        self.cache.do_send(ModelChanged(generation));
        self.pool.swap(generation, evaluators);
        self.queue.discard();
        self.stats.models_loaded.add(1);
        self.stats.model_version.set(generation.version as u64);
        self.dispatch(ctx);
    }
}
