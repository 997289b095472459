//! Inference threads: each owns one evaluator and runs one batch after the other.
//!
//! Threads are ours rather than an arbiter's: a batch blocks for milliseconds, and a panic in a native library's wrapper must
//! cost no more than that batch. The pool outlives restarts of the batcher.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Instant,
};

use actix::Recipient;
use selfplay_engine::{Evaluations, Evaluator, Game};

use crate::{
    batcher::WorkerFree,
    stats::Stats,
    supervision::panic_text,
    ticket::{Answer, Generation, LeafBatch, TicketError},
};

enum Command<G: Game> {
    Run(LeafBatch<G>),
    Swap(Generation, Box<dyn Evaluator<G>>),
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
}

impl<G: Game> InferencePool<G> {
    /// Starts `threads` threads without a model; each reports to `batcher` when it has finished a batch.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(threads: usize, batcher: &Recipient<WorkerFree>, stats: &Arc<Stats>) -> std::io::Result<Self> {
        let start = |number| {
            let (commands, receiver) = mpsc::channel();
            let busy = Arc::new(AtomicUsize::new(0));
            let worker = WorkerLoop { busy: busy.clone(), batcher: batcher.clone(), stats: stats.clone(), model: None };
            let thread =
                std::thread::Builder::new().name(format!("inference-{number}")).spawn(move || worker.run(&receiver))?;
            Ok(Worker { commands: Mutex::new(Some(commands)), busy, thread: Mutex::new(Some(thread)) })
        };
        let workers = (0..threads).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self { workers, generation: AtomicU64::new(0), version: AtomicU64::new(0) })
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

    /// The thread with the fewest batches before it, and their number.
    pub fn least_busy(&self) -> Option<(usize, usize)> {
        let busy = self.workers.iter().map(|worker| worker.busy.load(Ordering::Acquire));
        busy.enumerate().min_by_key(|&(_, busy)| busy)
    }

    /// Queues a batch on a thread. After [`InferencePool::close`] the batch is reported lost.
    pub fn run(&self, worker: usize, batch: LeafBatch<G>) {
        let worker = &self.workers[worker];
        worker.busy.fetch_add(1, Ordering::AcqRel);
        if !worker.send(Command::Run(batch)) {
            worker.busy.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Gives each thread its evaluator of a new model; batches queued before still run on the old one.
    pub fn swap(&self, generation: Generation, evaluators: Vec<Box<dyn Evaluator<G>>>) {
        assert_eq!(evaluators.len(), self.workers.len(), "one evaluator per inference thread");
        self.version.store(generation.version as u64, Ordering::Release);
        self.generation.store(generation.number, Ordering::Release);
        for (worker, evaluator) in self.workers.iter().zip(evaluators) {
            worker.send(Command::Swap(generation, evaluator));
        }
    }

    /// Lets the threads finish what is queued and waits for them.
    pub fn close(&self) {
        for worker in &self.workers {
            worker.commands.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        for worker in &self.workers {
            let thread = worker.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!("an inference thread ended in a panic");
            }
        }
    }
}

impl<G: Game> Worker<G> {
    /// Whether the thread took it. A batch that it cannot take is dropped here, and its drop reports it lost.
    fn send(&self, command: Command<G>) -> bool {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = commands.as_ref().is_some_and(|commands| commands.send(command).is_ok());
        if !sent {
            tracing::debug!("an inference thread is gone");
        }
        sent
    }
}

struct WorkerLoop<G: Game> {
    busy: Arc<AtomicUsize>,
    batcher: Recipient<WorkerFree>,
    stats: Arc<Stats>,
    model: Option<(Generation, Box<dyn Evaluator<G>>)>,
}

impl<G: Game> WorkerLoop<G> {
    fn run(mut self, commands: &mpsc::Receiver<Command<G>>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Swap(generation, evaluator) => {
                    let old = self.model.replace((generation, evaluator));
                    // The thread must outlive whatever a native library does when it lets go of a model.
                    if catch_unwind(AssertUnwindSafe(|| drop(old))).is_err() {
                        tracing::error!("the old model panicked while it was dropped");
                    }
                }
                Command::Run(batch) => {
                    let outcome = self.evaluate(&batch);
                    self.busy.fetch_sub(1, Ordering::AcqRel);
                    self.batcher.do_send(WorkerFree);
                    batch.finish(outcome);
                }
            }
        }
    }

    fn evaluate(&mut self, batch: &LeafBatch<G>) -> Result<Answer, TicketError> {
        let Some((generation, evaluator)) = &mut self.model else { return Err(TicketError::Lost) };
        let mut evaluations = Evaluations::default();
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| evaluator.evaluate(batch.leaves(), &mut evaluations)));
        self.stats.inference_ns.add(begun.elapsed().as_nanos() as u64);
        let error = match outcome {
            Ok(Ok(())) if evaluations.len() != batch.len() => {
                format!("run the network: {} evaluations came back for {} positions", evaluations.len(), batch.len())
            }
            Ok(Ok(())) => {
                self.stats.batches.add(1);
                self.stats.evaluations.add(batch.len() as u64);
                return Ok(Answer { evaluations, generation: *generation });
            }
            Ok(Err(error)) => error.to_string(),
            Err(payload) => format!("run the network: it panicked: {}", panic_text(payload.as_ref())),
        };
        self.stats.batch_errors.add(1);
        tracing::warn!(batch = batch.len(), error, "a batch failed");
        Err(TicketError::Backend(error))
    }
}
