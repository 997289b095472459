//! Inference threads: each owns one evaluator and runs one batch after the other.
//!
//! Threads are ours rather than an arbiter's: a batch blocks for milliseconds, and a panic in a native library's wrapper must
//! cost no more than that batch. The pool outlives restarts of the batcher. Each thread is a child of the root: a batch that
//! fails, or a panic of the thread itself, spends from its budget, and it takes no other before it has backed off. A thread
//! that has spent all (the device is lost: every batch fails) gives up.

#[cfg(test)]
mod tests;

#[cfg(test)]
mod by_hand;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use actix::Recipient;
use selfplay_engine::{ActionSet as _, Evaluations, Evaluator, Game, evaluation::EvaluatorEffort};

#[cfg(test)]
pub(crate) use self::by_hand::{HandThread, ThreadStep};
use crate::{
    account::{Account, Role},
    health::{Child, ExitReason, Health, Member, Presence},
    stats::Stats,
    supervision::{Budget, ChildGaveUp, caught, panic_text},
    ticket::{Answer, Generation, LeafBatch, Tally, ThreadFreed, TicketError, WorkerFree},
};

enum Command<G: Game> {
    Run(LeafBatch<G>, Busy),
    Swap(Generation, Box<dyn Evaluator<G>>),
    Unload(Unloaded),
}

/// What follows when the last clone is dropped: every thread has let go of its model.
#[derive(Clone)]
struct Unloaded {
    _last: Arc<OnDrop>,
}

struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(then) = self.0.take() {
            then();
        }
    }
}

/// One batch sent and not finished: whatever becomes of it, it is counted off once.
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn count(batches: &Arc<AtomicUsize>) -> Self {
        batches.fetch_add(1, Ordering::AcqRel);
        Self(batches.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a thread that gave up counts as busy with, so that the others get what is left.
const NEVER_FREE: usize = usize::MAX / 2;

/// How inference threads are supervised.
#[derive(Clone, Debug)]
pub struct ThreadSpec {
    /// Their row of the table; each has a budget of its own.
    pub child: &'static Child,
    /// How long one batch may take; `None`: any time.
    pub hang_limit: Option<Duration>,
    /// Where they report how they are.
    pub health: Arc<Health>,
    /// Who hears when one gives up.
    pub parent: Recipient<ChildGaveUp>,
}

struct Worker<G: Game> {
    /// `None` once the pool is closed.
    commands: Mutex<Option<mpsc::Sender<Command<G>>>>,
    /// Batches sent and not finished.
    busy: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The inference threads of a process. All methods may be called from any thread; only the batcher runs and swaps.
pub struct InferencePool<G: Game> {
    workers: Vec<Worker<G>>,
    generation: AtomicU64,
    version: AtomicU64,
    /// The threads have a model, or will before they take up a batch sent from here on.
    loaded: AtomicBool,
}

impl<G: Game> InferencePool<G> {
    /// Starts `threads` threads without a model; each reports to `batcher` when it has finished a batch.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(
        threads: usize,
        batcher: &Recipient<WorkerFree>,
        stats: &Arc<Stats>,
        spec: ThreadSpec,
    ) -> std::io::Result<Self> {
        let start = |number| {
            let (commands, receiver) = mpsc::channel();
            let busy = Arc::new(AtomicUsize::new(0));
            let name = format!("inference-{number}");
            let member = spec.health.join(spec.child, name.clone(), spec.hang_limit);
            let worker = WorkerLoop::new(&busy, batcher, stats, member, &spec);
            let thread = std::thread::Builder::new().name(name).spawn(move || worker.run(&receiver))?;
            Ok(Worker { commands: Mutex::new(Some(commands)), busy, thread: Mutex::new(Some(thread)) })
        };
        let workers = (0..threads).map(start).collect::<std::io::Result<_>>()?;
        stats.inference_threads.set_count(threads);
        stats.threads_inference.set_count(threads);
        Ok(Self::of(workers))
    }

    fn of(workers: Vec<Worker<G>>) -> Self {
        Self { workers, generation: AtomicU64::new(0), version: AtomicU64::new(0), loaded: AtomicBool::new(false) }
    }

    /// Number of threads.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there are no threads.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// The model that runs every batch sent from here on; number 0 before the first.
    pub fn generation(&self) -> Generation {
        Generation {
            number: self.generation.load(Ordering::Acquire),
            version: self.version.load(Ordering::Acquire) as i64,
        }
    }

    /// Whether there is a model to run batches on: not before the first, nor after [`InferencePool::unload`].
    pub fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    /// The thread with the fewest batches before it, and their number.
    pub fn least_busy(&self) -> Option<(usize, usize)> {
        let busy = self.workers.iter().map(|worker| worker.busy.load(Ordering::Acquire));
        busy.enumerate().min_by_key(|&(_, busy)| busy)
    }

    /// Number of threads with a batch.
    pub fn running(&self) -> usize {
        self.workers.iter().filter(|worker| worker.busy.load(Ordering::Acquire) > 0).count()
    }

    /// Queues a batch on a thread. After [`InferencePool::close`] the batch is reported lost.
    pub fn run(&self, worker: usize, batch: LeafBatch<G>) {
        let worker = &self.workers[worker];
        worker.send(Command::Run(batch, Busy::count(&worker.busy)));
    }

    /// Gives each thread its evaluator of a new model; batches queued before still run on the old one.
    pub fn swap(&self, generation: Generation, evaluators: Vec<Box<dyn Evaluator<G>>>) {
        assert_eq!(evaluators.len(), self.workers.len(), "one evaluator per inference thread");
        self.version.store(generation.version as u64, Ordering::Release);
        self.generation.store(generation.number, Ordering::Release);
        for (worker, evaluator) in self.workers.iter().zip(evaluators) {
            worker.send(Command::Swap(generation, evaluator));
        }
        self.loaded.store(true, Ordering::Release);
    }

    /// Lets every thread drop its model once it has run what is queued; `then` is called when the last one has, on its thread.
    /// No batch may be run until the next model is swapped in.
    pub fn unload(&self, then: impl FnOnce() + Send + Sync + 'static) {
        self.loaded.store(false, Ordering::Release);
        let unloaded = Unloaded { _last: Arc::new(OnDrop(Some(Box::new(then)))) };
        for worker in &self.workers {
            worker.send(Command::Unload(unloaded.clone()));
        }
    }

    /// Lets the threads finish what is queued and waits for them.
    pub fn close(&self) {
        for worker in &self.workers {
            worker.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        for worker in &self.workers {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = &thread {
                thread.thread().unpark(); // It may be backing off.
            }
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("an inference thread ended in a panic");
            }
        }
    }
}

impl<G: Game> Worker<G> {
    /// A batch that the thread cannot take is dropped here, and its drop reports it lost.
    fn send(&self, command: Command<G>) {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = commands.as_ref().is_some_and(|commands| commands.send(command).is_ok());
        if !sent {
            tracing::debug!("an inference thread is gone");
        }
    }
}

/// What became of a batch that was run.
struct Done<G: Game> {
    batch: LeafBatch<G>,
    outcome: Result<Answer, TicketError>,
    busy: Busy,
}

impl<G: Game> Done<G> {
    /// Tells the cache of the batch and the batcher that its thread is free: at once, or after a failure and `back_off`.
    fn tell(
        self,
        batcher: Recipient<WorkerFree>,
        back_off: impl FnOnce(ExitReason) -> Result<(), GaveUp>,
    ) -> Result<(), GaveUp> {
        let Self { batch, outcome, busy } = self;
        if let Err(TicketError::Backend(error)) = &outcome {
            let reason = ExitReason::Failed(error.clone());
            batch.finish(outcome, None);
            // Busy until it has backed off: the others get what comes.
            back_off(reason)?;
            drop(busy);
            batcher.do_send(WorkerFree(Tally::default()));
        } else {
            let tally = outcome.as_ref().map_or_else(|_| Tally::default(), tally);
            drop(busy);
            batch.finish(outcome, Some(ThreadFreed { batcher, tally }));
        }
        Ok(())
    }
}

struct WorkerLoop<G: Game> {
    busy: Arc<AtomicUsize>,
    batcher: Recipient<WorkerFree>,
    stats: Arc<Stats>,
    account: Arc<Account>,
    /// Kept in all failures: a fault of the thread says nothing about its model.
    model: Option<(Generation, Box<dyn Evaluator<G>>)>,
    member: Arc<Member>,
    presence: Presence,
    budget: Budget,
    parent: Recipient<ChildGaveUp>,
}

/// The budget of a thread is spent.
struct GaveUp;

impl<G: Game> WorkerLoop<G> {
    fn new(
        busy: &Arc<AtomicUsize>,
        batcher: &Recipient<WorkerFree>,
        stats: &Arc<Stats>,
        member: Arc<Member>,
        spec: &ThreadSpec,
    ) -> Self {
        Self {
            busy: busy.clone(),
            batcher: batcher.clone(),
            stats: stats.clone(),
            account: stats.accounts.open(Role::Inference),
            model: None,
            presence: member.arrive(),
            budget: Budget::new(spec.child.limits),
            parent: spec.parent.clone(),
            member,
        }
    }

    /// Serves until the pool is closed or the budget is spent. What is queued then is reported lost when `commands` is dropped.
    fn run(mut self, commands: &mpsc::Receiver<Command<G>>) {
        self.presence.running();
        loop {
            let served = catch_unwind(AssertUnwindSafe(|| self.serve(commands)));
            let spent = match served {
                Ok(Ok(())) => return,
                Ok(Err(GaveUp)) => true,
                // The batch in hand was reported lost when it was dropped, but the batcher has not been told.
                Err(payload) => self.back_off(ExitReason::Panicked(caught(payload))).is_err(),
            };
            if spent {
                self.account.rest();
                self.busy.fetch_add(NEVER_FREE, Ordering::AcqRel);
                return;
            }
            self.batcher.do_send(WorkerFree(Tally::default()));
        }
    }

    fn serve(&mut self, commands: &mpsc::Receiver<Command<G>>) -> Result<(), GaveUp> {
        loop {
            self.account.rest();
            let Ok(command) = commands.recv() else { return Ok(()) };
            self.account.work();
            crate::faults::hit(crate::faults::Point::Thread);
            if let Some(done) = self.execute(command) {
                done.tell(self.batcher.clone(), |reason| self.back_off(reason))?;
            }
        }
    }

    /// Does as told, and returns what is to be told of a batch.
    fn execute(&mut self, command: Command<G>) -> Option<Done<G>> {
        match command {
            Command::Swap(generation, evaluator) => {
                let begun = Instant::now();
                let old = self.model.replace((generation, evaluator));
                let_go(old);
                self.stats.reload_swap_ns.add(begun.elapsed());
                None
            }
            Command::Unload(unloaded) => {
                let_go(self.model.take());
                drop(unloaded);
                None
            }
            Command::Run(batch, busy) => {
                let _call = self.member.beat().enter();
                let outcome = self.evaluate(&batch);
                Some(Done { batch, outcome, busy })
            }
        }
    }

    /// Spends a restart and waits as long as that costs, or until the pool is closed.
    fn back_off(&mut self, reason: ExitReason) -> Result<(), GaveUp> {
        let child = self.member.name();
        let Some(wait) = self.budget.spend(tokio::time::Instant::now()) else {
            self.presence.stopped(&reason);
            tracing::error!(%child, %reason, "child has used up its restarts");
            self.parent.do_send(ChildGaveUp { child, escalation: self.member.child().escalation, reason });
            return Err(GaveUp);
        };
        self.presence.restarting(&reason);
        tracing::warn!(%child, %reason, wait_ms = wait.as_millis() as u64, "backing off");
        self.account.rest();
        std::thread::park_timeout(wait);
        self.presence.running();
        Ok(())
    }

    fn evaluate(&mut self, batch: &LeafBatch<G>) -> Result<Answer, TicketError> {
        let Some((generation, evaluator)) = &mut self.model else { return Err(TicketError::Lost) };
        let priors = batch.leaves().iter().map(|leaf| leaf.legal.len()).sum();
        let mut evaluations = Evaluations::with_capacity(batch.len(), priors);
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            crate::faults::hit(crate::faults::Point::Inference);
            evaluator.evaluate(batch.leaves(), &mut evaluations)
        }));
        let spent = begun.elapsed();
        let error = match outcome {
            Ok(Ok(())) if evaluations.len() != batch.len() => {
                format!("run the network: {} evaluations came back for {} positions", evaluations.len(), batch.len())
            }
            Ok(Ok(())) => {
                self.stats.count_batch(&evaluations, spent, evaluator.effort());
                return Ok(Answer { evaluations, generation: *generation });
            }
            Ok(Err(error)) => error.to_string(),
            Err(payload) => format!("run the network: it panicked: {}", panic_text(payload.as_ref())),
        };
        self.stats.infer_ns.add(spent);
        self.stats.batch_errors.add(1);
        self.stats.evaluations_failed.add(batch.len() as u64);
        tracing::warn!(batch = batch.len(), error, "a batch failed");
        Err(TicketError::Backend(error))
    }
}

impl Stats {
    /// A batch that was run in `spent`, of which the evaluator says what it is to say.
    pub(crate) fn count_batch(&self, evaluations: &Evaluations, spent: Duration, effort: EvaluatorEffort) {
        let flawed = evaluations.flaws().len() as u64;
        self.batch_size.record(evaluations.len() as f64);
        self.evaluations.add(evaluations.len() as u64 - flawed);
        self.evaluations_flawed.add(flawed);
        self.values_clamped.add(evaluations.clamped());
        self.padding_rows.add(effort.padding as u64);
        self.encode_ns.add(effort.encode);
        self.decode_ns.add(effort.decode);
        self.infer_ns.add(spent.saturating_sub(effort.encode + effort.decode));
        self.last_progress.set(SystemTime::now());
    }
}

/// The thread must outlive whatever a native library does when it lets go of a model.
fn let_go<T>(old: T) {
    if catch_unwind(AssertUnwindSafe(|| drop(old))).map_err(caught).is_err() {
        tracing::error!("the old model panicked while it was dropped");
    }
}

fn tally(answer: &Answer) -> Tally {
    Tally {
        generation: answer.generation.number,
        evaluated: answer.evaluations.len() as u64,
        flawed: answer.evaluations.flaws().len() as u64,
    }
}
