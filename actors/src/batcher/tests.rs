//! The batcher before real threads.

mod pause;

use super::*;
use crate::{
    testing::{FLAWED, Inbox, Model, Numbers, PANICS, answer, leaf, nth, play},
    ticket::{Answer, BatchDone, LeafId, TicketError},
};

/// A batcher before real threads, and the cache's mail.
struct Stage {
    batcher: actix::Addr<BatcherActor<Numbers>>,
    pool: Arc<InferencePool<Numbers>>,
    control: Arc<Control>,
    changes: Inbox<ModelChanged>,
    proven: Inbox<ModelProven>,
    withdrawn: Inbox<ModelWithdrawn>,
    done: Inbox<BatchDone>,
}

impl Stage {
    fn new(threads: usize, policy: BatchPolicy) -> Self {
        let stats = Arc::new(Stats::default());
        let (changes, done) = (Inbox::new(), Inbox::new());
        let (batcher, mailbox) = crate::supervision::mailbox();
        let pool = Arc::new(
            InferencePool::start(threads, &batcher.clone().recipient(), &stats, crate::testing::threads()).unwrap(),
        );
        let (proven, withdrawn) = (Inbox::new(), Inbox::new());
        let addresses = BatcherAddresses {
            cache: changes.address.clone(),
            proven: proven.address.clone(),
            withdrawn: withdrawn.address.clone(),
        };
        let limits = ProbationLimits { evaluations: 3, max_flawed_rate: 0.01 };
        let control = Arc::new(Control::default());
        let actor = BatcherActor::new(pool.clone(), policy, limits, addresses, control.clone(), stats);
        let spec = crate::testing::supervised();
        actix::spawn(mailbox.supervise(actor, spec));
        Self { batcher, pool, control, changes, proven, withdrawn, done }
    }

    fn ask(&self, generation: u64, positions: std::ops::Range<u16>) {
        let mut batch = LeafBatch::new(generation, self.done.address.clone());
        positions.for_each(|position| batch.push(LeafId::from(position), leaf(position)));
        self.batcher.do_send(Evaluate(batch));
    }

    fn swap(&self, number: u64) {
        let evaluator = |_| Box::new(Model(number)) as Box<dyn Evaluator<Numbers>>;
        let evaluators = (0..self.pool.len()).map(evaluator).collect();
        self.batcher.do_send(SwapModel { generation: nth(number), evaluators });
    }

    async fn next(&mut self) -> (Vec<LeafId>, Result<Answer, TicketError>) {
        let BatchDone { ids, outcome, .. } = self.done.next().await;
        (ids, outcome)
    }
}

const POLICY: BatchPolicy = BatchPolicy { max_batch: 4, max_wait: Duration::ZERO, min_share: 1, cores: 1 };

#[test]
fn leaves_from_before_a_model_are_given_up_in_silence_once_the_cache_knows_better() {
    play(async {
        let mut stage = Stage::new(1, POLICY);
        stage.ask(0, 0..3);
        assert!(stage.done.take().await.is_empty());
        stage.swap(1);
        stage.ask(1, 20..22);
        assert_eq!(stage.next().await, (vec![20, 21], Ok(answer(1, [20, 21]))));
        assert_eq!(stage.changes.take().await.iter().map(|change| change.0).collect::<Vec<_>>(), [nth(1)]);
        assert!(stage.done.take().await.is_empty());
        stage.pool.close();
    });
}

#[test]
fn a_cache_that_missed_a_new_model_is_told_again() {
    play(async {
        let mut stage = Stage::new(1, POLICY);
        stage.swap(1);
        stage.swap(2);
        stage.changes.take().await;
        stage.ask(1, 0..3);
        assert_eq!(stage.changes.next().await.0, nth(2));
        assert!(stage.done.take().await.is_empty(), "it asks them again by itself");
        stage.pool.close();
    });
}

#[test]
fn everything_asked_is_evaluated_whatever_the_policy() {
    play(async {
        for (threads, max_batch, millis) in [(1, 4, 0), (3, 4, 0), (1, 1, 5), (2, 64, 5), (2, 3, 5)] {
            let max_wait = Duration::from_millis(millis);
            let mut stage = Stage::new(threads, BatchPolicy { max_batch, max_wait, min_share: 2, cores: 1 });
            stage.swap(1);
            stage.ask(1, 100..107);
            stage.ask(1, 107..108);
            stage.ask(1, 108..111);
            let mut ids = Vec::new();
            while ids.len() < 11 {
                let (batch, outcome) = stage.next().await;
                assert!(batch.len() <= max_batch);
                assert_eq!(outcome, Ok(answer(1, batch.iter().map(|&id| id as u16))));
                ids.extend(batch);
            }
            ids.sort_unstable();
            assert_eq!(ids, Vec::from_iter(100..111));
            stage.pool.close();
        }
    });
}

#[test]
fn a_panic_loses_what_is_queued_and_leaves_the_serving_model() {
    play(async {
        let policy = BatchPolicy { max_wait: Duration::from_secs(3600), ..POLICY };
        let mut stage = Stage::new(1, policy);
        stage.swap(1);
        stage.ask(1, 0..2);
        stage.changes.take().await;
        // A model without evaluators: the loader would refuse it.
        stage.batcher.do_send(SwapModel { generation: nth(2), evaluators: Vec::new() });
        assert_eq!(stage.next().await, (vec![0, 1], Err(TicketError::Lost)));
        assert!(stage.changes.take().await.is_empty(), "no actor hears of a model that did not come into service");
        stage.ask(1, 4..8);
        assert_eq!(stage.next().await, (vec![4, 5, 6, 7], Ok(answer(1, [4, 5, 6, 7]))));
        stage.pool.close();
    });
}

#[test]
fn a_withdrawn_model_evaluates_nothing_more_until_another_comes() {
    play(async {
        let mut stage = Stage::new(1, POLICY);
        stage.swap(1);
        stage.ask(1, 1..4);
        assert_eq!(stage.next().await, (vec![1, 2, 3], Ok(answer(1, [1, 2, 3]))));
        assert_eq!(stage.proven.next().await, ModelProven { generation: nth(1) });
        stage.swap(2);
        stage.ask(2, FLAWED..FLAWED + 1);
        let (_, outcome) = stage.next().await;
        assert_eq!(outcome.unwrap().evaluations.flaws().len(), 1);
        let reason = "1 of its first 1 evaluations are not finite".to_owned();
        assert_eq!(stage.withdrawn.next().await, ModelWithdrawn { generation: nth(2), reason });
        stage.ask(2, 1..3);
        assert!(stage.done.take().await.is_empty());
        stage.swap(3);
        stage.ask(3, 1..3);
        assert_eq!(stage.next().await, (vec![1, 2], Ok(answer(3, [1, 2]))));
        stage.pool.close();
    });
}

#[test]
fn threads_are_not_forgotten_after_a_bad_batch() {
    play(async {
        let mut stage = Stage::new(1, POLICY);
        stage.swap(1);
        for _ in 0..5 {
            stage.ask(1, PANICS..PANICS + 1);
            assert!(matches!(stage.next().await, (_, Err(TicketError::Backend(_)))));
            stage.ask(1, 1..2);
            assert_eq!(stage.next().await, (vec![1], Ok(answer(1, [1]))));
        }
        stage.pool.close();
    });
}
