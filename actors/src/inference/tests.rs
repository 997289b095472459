//! Real threads with models that panic, fail and forget.

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
        assert_eq!((stage.stats.batch_size.get().count(), stage.stats.batch_errors.get()), (3, 3));
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
        let mut finished: Vec<_> = stage.done.take().await.into_iter().map(|done| (done.ids, done.outcome)).collect();
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

/// A panic's payload that panics when it is dropped: it unwinds through the code that caught the first panic.
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
