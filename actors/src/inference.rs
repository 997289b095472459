//! Inference threads: each owns one evaluator and runs one batch after the other.
//!
//! Threads are ours rather than an arbiter's: a batch blocks for milliseconds, and a panic in a native library's wrapper must
//! cost no more than that batch. The pool outlives restarts of the batcher. Each thread is a child of the root: a batch that
//! fails, or a panic of the thread itself, spends from its budget, and it takes no other before it has backed off. A thread
//! that has spent all (the device is lost: every batch fails) gives up.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use actix::Recipient;
use selfplay_engine::{ActionSet as _, Evaluations, Evaluator, Game};

use crate::{
    batcher::WorkerFree,
    health::{Child, ExitReason, Health, Member, Presence},
    stats::Stats,
    supervision::{Budget, ChildGaveUp, caught, panic_text},
    ticket::{Answer, Generation, LeafBatch, ThreadFreed, TicketError},
};

enum Command<G: Game> {
    Run(LeafBatch<G>, Busy),
    Swap(Generation, Box<dyn Evaluator<G>>),
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
            let worker = WorkerLoop {
                busy: busy.clone(),
                batcher: batcher.clone(),
                stats: stats.clone(),
                model: None,
                presence: member.arrive(),
                budget: Budget::new(spec.child.limits),
                parent: spec.parent.clone(),
                member,
            };
            let thread = std::thread::Builder::new().name(name).spawn(move || worker.run(&receiver))?;
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

struct WorkerLoop<G: Game> {
    busy: Arc<AtomicUsize>,
    batcher: Recipient<WorkerFree>,
    stats: Arc<Stats>,
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
    /// Serves until the pool is closed or the budget is spent. What is queued then is reported lost when `commands` is dropped.
    fn run(mut self, commands: &mpsc::Receiver<Command<G>>) {
        self.presence.running();
        loop {
            let served = catch_unwind(AssertUnwindSafe(|| self.serve(commands)));
            let spent = match served {
                Ok(Ok(())) => return,
                Ok(Err(GaveUp)) => true,
                // The batch in hand was reported lost when it was dropped, but nobody has told the batcher.
                Err(payload) => self.back_off(ExitReason::Panicked(caught(payload))).is_err(),
            };
            if spent {
                self.busy.fetch_add(NEVER_FREE, Ordering::AcqRel);
                return;
            }
            self.batcher.do_send(WorkerFree);
        }
    }

    fn serve(&mut self, commands: &mpsc::Receiver<Command<G>>) -> Result<(), GaveUp> {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Swap(generation, evaluator) => {
                    let old = self.model.replace((generation, evaluator));
                    // The thread must outlive whatever a native library does when it lets go of a model.
                    if catch_unwind(AssertUnwindSafe(|| drop(old))).map_err(caught).is_err() {
                        tracing::error!("the old model panicked while it was dropped");
                    }
                }
                Command::Run(batch, busy) => {
                    let call = self.member.beat().enter();
                    let outcome = self.evaluate(&batch);
                    drop(call);
                    if let Err(TicketError::Backend(error)) = &outcome {
                        let reason = ExitReason::Failed(error.clone());
                        batch.finish(outcome, None);
                        // Busy until it has backed off: the others get what comes.
                        self.back_off(reason)?;
                        drop(busy);
                        self.batcher.do_send(WorkerFree);
                    } else {
                        drop(busy);
                        batch.finish(outcome, Some(ThreadFreed(self.batcher.clone())));
                    }
                }
            }
        }
        Ok(())
    }

    /// Spends a restart and waits as long as that costs, or until the pool is closed.
    fn back_off(&mut self, reason: ExitReason) -> Result<(), GaveUp> {
        let child = self.member.name();
        let Some(wait) = self.budget.spend(tokio::time::Instant::now()) else {
            self.presence.stopped(&reason);
            tracing::error!(%child, %reason, "child has used up its restarts");
            self.parent.do_send(ChildGaveUp { child, reason });
            return Err(GaveUp);
        };
        self.presence.restarting(&reason);
        tracing::warn!(%child, %reason, wait_ms = wait.as_millis() as u64, "backing off");
        std::thread::park_timeout(wait);
        self.presence.running();
        Ok(())
    }

    fn evaluate(&mut self, batch: &LeafBatch<G>) -> Result<Answer, TicketError> {
        let Some((generation, evaluator)) = &mut self.model else { return Err(TicketError::Lost) };
        let priors = batch.leaves().iter().map(|leaf| leaf.legal.len()).sum();
        let mut evaluations = Evaluations::with_capacity(batch.len(), priors);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        health::State,
        testing::{CHILD, FAILS, FORGETS, Inbox, Model, Numbers, PANICS, answer, leaf, nth, play},
        ticket::BatchDone,
    };

    /// A pool, and the mail of the batcher and the cache.
    struct Stage {
        pool: InferencePool<Numbers>,
        free: Inbox<WorkerFree>,
        done: Inbox<BatchDone>,
        gave_up: Inbox<ChildGaveUp>,
        health: Arc<Health>,
        stats: Arc<Stats>,
    }

    impl Stage {
        fn new(threads: usize) -> Self {
            let (free, gave_up, stats) = (Inbox::new(), Inbox::<ChildGaveUp>::new(), Arc::new(Stats::default()));
            let (health, parent) = (Health::new(stats.clone()), gave_up.address.clone());
            let spec = ThreadSpec { child: &CHILD, hang_limit: None, health: health.clone(), parent };
            let pool = InferencePool::start(threads, &free.address, &stats, spec).unwrap();
            Self { pool, free, done: Inbox::new(), gave_up, health, stats }
        }

        fn swap(&self, number: u64) {
            let model = |_| Box::new(Model(number)) as Box<dyn Evaluator<Numbers>>;
            self.pool.swap(nth(number), (0..self.pool.len()).map(model).collect());
        }

        /// Queues positions on a thread; each is its own id.
        fn run(&self, worker: usize, positions: &[u16]) {
            let mut batch = LeafBatch::new(1, self.done.address.clone());
            positions.iter().for_each(|&position| batch.push(u64::from(position), leaf(position)));
            self.pool.run(worker, batch);
        }

        async fn next(&mut self) -> (Vec<u64>, Result<Answer, TicketError>) {
            let BatchDone { ids, outcome, .. } = self.done.next().await;
            (ids, outcome)
        }
    }

    #[test]
    fn a_batch_runs_on_the_model_that_was_swapped_in_before_it() {
        play(async {
            let mut stage = Stage::new(1);
            stage.run(0, &[1]);
            stage.swap(1);
            stage.run(0, &[2, 3]);
            stage.swap(2);
            stage.swap(3);
            stage.run(0, &[4]);
            assert_eq!(stage.pool.generation(), nth(3));
            assert_eq!(stage.next().await, (vec![1], Err(TicketError::Lost)), "there was no model yet");
            assert_eq!(stage.next().await, (vec![2, 3], Ok(answer(1, [2, 3]))));
            assert_eq!(stage.next().await, (vec![4], Ok(answer(3, [4]))));
            stage.pool.close();
        });
    }

    #[test]
    fn a_batch_that_goes_wrong_fails_alone_and_the_thread_goes_on() {
        play(async {
            let mut stage = Stage::new(1);
            stage.swap(1);
            for bad in [PANICS, FAILS, FORGETS] {
                stage.run(0, &[1, bad]);
                stage.run(0, &[2]);
            }
            for (bad, reason) in
                [(PANICS, "unlucky position"), (FAILS, "no luck"), (FORGETS, "1 evaluations came back for 2 positions")]
            {
                let (ids, outcome) = stage.next().await;
                assert_eq!(ids, [1, u64::from(bad)]);
                assert!(matches!(&outcome, Err(TicketError::Backend(text)) if text.contains(reason)), "{outcome:?}");
                assert_eq!(stage.next().await, (vec![2], Ok(answer(1, [2]))));
            }
            for _ in 0..6 {
                stage.free.next().await;
            }
            assert_eq!(stage.pool.least_busy(), Some((0, 0)));
            assert_eq!((stage.stats.batches.get(), stage.stats.batch_errors.get()), (3, 3));
            stage.pool.close();
        });
    }

    /// A model that cannot even be dropped.
    struct Cursed;

    impl Evaluator<Numbers> for Cursed {
        fn evaluate(
            &mut self,
            _: &[selfplay_engine::Leaf<Numbers>],
            _: &mut Evaluations,
        ) -> Result<(), selfplay_engine::evaluation::EvaluateError> {
            Ok(())
        }
    }

    impl Drop for Cursed {
        fn drop(&mut self) {
            panic!("as planned");
        }
    }

    #[test]
    fn a_model_that_panics_when_dropped_does_not_take_its_thread_along() {
        play(async {
            let mut stage = Stage::new(1);
            stage.pool.swap(nth(1), vec![Box::new(Cursed)]);
            stage.swap(2);
            stage.run(0, &[1]);
            assert_eq!(stage.next().await, (vec![1], Ok(answer(2, [1]))));
            stage.pool.close();
        });
    }

    #[test]
    fn closing_finishes_what_is_queued_and_loses_what_comes_later() {
        play(async {
            let mut stage = Stage::new(3);
            stage.swap(1);
            for position in 20..40 {
                stage.run(usize::from(position) % 3, &[position]);
            }
            stage.pool.close();
            let mut finished: Vec<_> =
                stage.done.take().await.into_iter().map(|done| (done.ids, done.outcome)).collect();
            finished.sort_by_key(|(ids, _)| ids[0]);
            let expected: Vec<_> =
                (20..40).map(|position| (vec![u64::from(position)], Ok(answer(1, [position])))).collect();
            assert_eq!(finished, expected);
            stage.run(1, &[1]);
            assert_eq!(stage.next().await, (vec![1], Err(TicketError::Lost)));
            assert_eq!(stage.pool.least_busy().map(|(_, busy)| busy), Some(0));
            stage.pool.close();
        });
    }

    #[test]
    fn the_least_busy_thread_is_found() {
        play(async {
            let stage = Stage::new(2);
            stage.pool.workers[0].busy.store(2, Ordering::Release);
            stage.pool.workers[1].busy.store(1, Ordering::Release);
            assert_eq!(stage.pool.least_busy(), Some((1, 1)));
            stage.pool.close();
        });
    }

    #[test]
    fn a_thread_whose_every_batch_fails_gives_up_and_loses_nothing_in_silence() {
        play(async {
            let mut stage = Stage::new(1);
            stage.swap(1);
            let failures = u16::try_from(CHILD.limits.restarts).unwrap() + 1;
            (0..failures).for_each(|_| stage.run(0, &[FAILS]));
            stage.run(0, &[1]);
            for _ in 0..failures {
                assert!(matches!(stage.next().await, (_, Err(TicketError::Backend(_)))));
            }
            assert_eq!(stage.next().await, (vec![1], Err(TicketError::Lost)), "queued when it gave up");
            let report = stage.gave_up.next().await;
            assert_eq!(report.child, "inference-0");
            assert!(matches!(&report.reason, ExitReason::Failed(text) if text.contains("no luck")), "{report:?}");
            stage.pool.close();
            assert!(stage.pool.least_busy().unwrap().1 >= NEVER_FREE);
            stage.run(0, &[2]);
            assert_eq!(stage.next().await, (vec![2], Err(TicketError::Lost)));
            let status = &stage.health.status().children[0];
            assert_eq!((status.state, status.restarts.error), (State::Stopped, u64::from(CHILD.limits.restarts)));
            assert_eq!(stage.stats.restarts.get(), u64::from(CHILD.limits.restarts));
        });
    }

    #[test]
    fn while_one_thread_backs_off_the_others_are_preferred() {
        static SLOW: Child = Child {
            limits: crate::health::Limits {
                first_backoff: Duration::from_secs(3600),
                max_backoff: Duration::from_secs(3600),
                ..CHILD.limits
            },
            ..CHILD
        };
        play(async {
            let (mut done, free) = (Inbox::new(), Inbox::new());
            let spec = ThreadSpec { child: &SLOW, ..crate::testing::threads() };
            let pool = InferencePool::start(2, &free.address, &Arc::default(), spec).unwrap();
            pool.swap(nth(1), vec![Box::new(Model(1)), Box::new(Model(1))]);
            let mut batch = LeafBatch::new(1, done.address.clone());
            batch.push(0, leaf(FAILS));
            pool.run(0, batch);
            let failed: BatchDone = done.next().await;
            assert!(failed.outcome.is_err());
            assert_eq!(pool.least_busy(), Some((1, 0)));
            pool.close(); // Does not wait for the hour to pass.
            assert_eq!(pool.workers[0].busy.load(Ordering::Acquire), 0);
        });
    }

    /// A panic's payload that panics when it is dropped: it unwinds through whoever caught the first panic.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as planned: once more");
        }
    }

    /// Answers as model 1 does, but for one position.
    struct Explosive;

    impl Evaluator<Numbers> for Explosive {
        fn evaluate(
            &mut self,
            leaves: &[selfplay_engine::Leaf<Numbers>],
            out: &mut Evaluations,
        ) -> Result<(), selfplay_engine::evaluation::EvaluateError> {
            if leaves.iter().any(|leaf| leaf.position == PANICS) {
                std::panic::panic_any(Bomb);
            }
            Model(1).evaluate(leaves, out)
        }
    }

    #[test]
    fn a_panic_of_the_thread_itself_loses_the_batch_in_hand_and_keeps_thread_and_model() {
        play(async {
            let mut stage = Stage::new(1);
            stage.pool.swap(nth(1), vec![Box::new(Explosive)]);
            stage.run(0, &[PANICS, 2]);
            stage.run(0, &[3]);
            let (ids, outcome) = stage.next().await;
            assert_eq!((ids, outcome.is_err()), (vec![PANICS.into(), 2], true));
            assert_eq!(stage.next().await, (vec![3], Ok(answer(1, [3]))));
            stage.free.next().await;
            stage.free.next().await;
            assert_eq!(stage.pool.least_busy(), Some((0, 0)));
            stage.pool.close();
            assert_eq!(stage.health.status().children[0].restarts.total(), 1);
        });
    }
}
