//! The pool without threads of its own: a test takes each thread's steps, one at a time and in any order.

use super::*;

/// What stands in a thread's place.
pub(crate) struct HandThread<G: Game> {
    work: WorkerLoop<G>,
    commands: mpsc::Receiver<Command<G>>,
    next: Option<Command<G>>,
    done: Option<Done<G>>,
}

/// What a step of a thread was.
pub(crate) enum ThreadStep {
    /// Another model came into service on it.
    Swapped,
    /// It has run a batch keyed under `keyed`; `outcome` is the number of the model that answered.
    Ran { keyed: u64, outcome: Result<u64, TicketError> },
    /// It has told of the batch.
    Reported,
}

impl<G: Game> InferencePool<G> {
    /// A pool whose threads do nothing by themselves.
    pub(crate) fn by_hand(
        threads: usize,
        batcher: &Recipient<WorkerFree>,
        stats: &Arc<Stats>,
    ) -> (Self, Vec<HandThread<G>>) {
        let start = |_| {
            let (sender, commands) = mpsc::channel();
            let busy = Arc::new(AtomicUsize::new(0));
            let spec = crate::testing::threads();
            let member = spec.health.join(spec.child, "by hand", spec.hang_limit);
            let work = WorkerLoop::new(&busy, batcher, stats, member, &spec);
            let worker = Worker { commands: Mutex::new(Some(sender)), busy, thread: Mutex::new(None) };
            (worker, HandThread { work, commands, next: None, done: None })
        };
        let (workers, threads) = (0..threads).map(start).unzip();
        (Self::of(workers), threads)
    }

    /// Batches sent and not finished, on all threads.
    pub(crate) fn busy(&self) -> usize {
        self.workers.iter().map(|worker| worker.busy.load(Ordering::Acquire)).sum()
    }
}

impl<G: Game> HandThread<G> {
    /// Whether there is anything to do.
    pub(crate) fn is_ready(&mut self) -> bool {
        if self.next.is_none() {
            self.next = self.commands.try_recv().ok();
        }
        self.done.is_some() || self.next.is_some()
    }

    /// Takes one step: runs a batch, or sends its report, or takes another model.
    pub(crate) fn step(&mut self) -> Option<ThreadStep> {
        if let Some(done) = self.done.take() {
            // Nothing waits here, and no budget is spent.
            done.tell(self.work.batcher.clone(), |_| Ok(())).ok();
            return Some(ThreadStep::Reported);
        }
        let command = self.next.take()?;
        let Some(done) = self.work.execute(command) else { return Some(ThreadStep::Swapped) };
        let outcome = done.outcome.as_ref().map(|answer| answer.generation.number).map_err(Clone::clone);
        let step = ThreadStep::Ran { keyed: done.batch.generation(), outcome };
        self.done = Some(done);
        Some(step)
    }
}
