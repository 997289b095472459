//! When batches leave, how large they are, and that no leaf is forgotten on the way.

use super::*;
use crate::{
    testing::{Inbox, Numbers, leaf, play},
    ticket::{BatchDone, TicketError},
};

const POLICY: BatchPolicy = BatchPolicy { max_batch: 8, max_wait: Duration::from_millis(2), min_share: 2, cores: 1 };

/// A queue and the mail of the cache that filled it.
struct Stage {
    queue: Queue<Numbers>,
    done: Inbox<BatchDone>,
    now: Instant,
    next: u16,
}

impl Stage {
    fn new(policy: BatchPolicy) -> Self {
        Self { queue: Queue::new(policy), done: Inbox::new(), now: Instant::now(), next: 0 }
    }

    /// Queues a request for the next `count` positions; the id of position p is 100 + p.
    fn push(&mut self, count: u16) {
        let mut request = LeafBatch::new(1, self.done.address.clone());
        for position in self.next..self.next + count {
            request.push(100 + u64::from(position), leaf(position));
        }
        self.next += count;
        self.queue.push(self.now, request);
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn depart(&mut self, busy: usize, threads: usize) -> Option<Departure<Numbers>> {
        self.queue.next_batch(self.now, busy, busy, threads)
    }

    fn next(&mut self, busy: usize, threads: usize) -> Option<LeafBatch<Numbers>> {
        self.depart(busy, threads).map(|departure| departure.batch)
    }

    /// Sizes of the batches that leave now for idle threads.
    fn sizes(&mut self, threads: usize) -> Vec<usize> {
        std::iter::from_fn(|| self.next(0, threads)).map(|batch| batch.len()).collect()
    }
}

fn positions(batch: &LeafBatch<Numbers>) -> Vec<u16> {
    batch.leaves().iter().map(|leaf| leaf.position).collect()
}

#[test]
fn a_full_batch_leaves_at_once_and_the_rest_when_it_has_waited() {
    play(async {
        let mut stage = Stage::new(POLICY);
        stage.push(5);
        assert!(stage.next(0, 1).is_none());
        assert_eq!(stage.queue.time_left(stage.now), Some(Duration::from_millis(2)));
        stage.wait(1);
        stage.push(6);
        assert_eq!(stage.queue.time_left(stage.now), Some(Duration::from_millis(1)), "the oldest counts");
        assert_eq!(stage.sizes(1), [8]);
        assert_eq!(stage.queue.time_left(stage.now), Some(Duration::from_millis(2)), "its rest came later");
        stage.wait(2);
        assert_eq!(stage.sizes(1), [3]);
        assert_eq!(stage.queue.time_left(stage.now), None);
        assert!(stage.next(0, 1).is_none());
    });
}

#[test]
fn a_small_batch_takes_no_core_from_games_that_would_make_it_larger() {
    play(async {
        let mut stage = Stage::new(BatchPolicy { max_wait: Duration::ZERO, min_share: 4, cores: 1, ..POLICY });
        let size = |stage: &mut Stage, running| {
            let departure = stage.queue.next_batch(stage.now, 0, running, 2);
            departure.map(|departure| departure.batch.len())
        };
        stage.push(3);
        assert_eq!(size(&mut stage, 0), None, "games are about to make it larger");
        stage.wait(1);
        assert_eq!(size(&mut stage, 1), None, "the other core belongs to games");
        stage.push(1);
        assert_eq!(size(&mut stage, 1), Some(4), "large enough");
        stage.push(1);
        assert_eq!(stage.queue.time_left(stage.now), Some(PATIENCE));
        stage.wait(1);
        assert_eq!(size(&mut stage, 0), Some(1), "a core would idle");
        stage.push(3);
        assert_eq!(size(&mut stage, 0), None);
        stage.queue.set_complete(true);
        assert_eq!(size(&mut stage, 1), Some(3), "it cannot become larger");
    });
}

#[test]
fn nothing_waits_for_leaves_that_cannot_come() {
    play(async {
        let mut stage = Stage::new(BatchPolicy { max_wait: Duration::from_secs(3600), ..POLICY });
        stage.push(5);
        assert!(stage.next(0, 1).is_none());
        stage.queue.set_complete(true);
        assert_eq!(stage.queue.time_left(stage.now), None);
        let departure = stage.depart(0, 2).unwrap();
        assert_eq!((departure.batch.len(), departure.reason), (3, Reason::IdleDevice), "shared among two threads");
        assert_eq!(stage.sizes(2), [2]);
        stage.queue.set_complete(true);
        assert!(stage.next(0, 1).is_none(), "nothing is not a batch");
        stage.push(1);
        assert!(stage.next(0, 1).is_none(), "games go on again: there may be more");
    });
}

#[test]
fn without_a_wait_a_free_thread_takes_what_there_is() {
    play(async {
        let mut stage = Stage::new(BatchPolicy { max_wait: Duration::ZERO, ..POLICY });
        assert!(stage.next(0, 1).is_none(), "nothing is not a batch");
        stage.push(1);
        assert!(stage.next(1, 1).is_none(), "while the thread is busy the batch grows");
        stage.push(3);
        assert_eq!(stage.queue.time_left(stage.now), None, "no timer is needed");
        assert_eq!(stage.sizes(1), [4]);
    });
}

#[test]
fn what_waits_is_shared_out_among_threads_but_not_into_crumbs() {
    play(async {
        let waitless = BatchPolicy { max_wait: Duration::ZERO, ..POLICY };
        let cases = [
            (waitless, 16, 4, 4),
            (waitless, 16, 1, 8),
            (waitless, 5, 4, 2),
            (waitless, 9, 4, 3),
            (waitless, 1, 4, 1),
            (BatchPolicy { min_share: 8, ..waitless }, 16, 4, 8),
            (BatchPolicy { min_share: 100, ..waitless }, 16, 4, 8),
        ];
        for (policy, waiting, threads, expected) in cases {
            let mut stage = Stage::new(policy);
            stage.push(waiting);
            stage.queue.set_complete(true);
            assert_eq!(stage.next(0, threads).unwrap().len(), expected, "{waiting} among {threads}");
        }
    });
}

#[test]
fn a_busy_thread_is_given_a_batch_in_advance_once_it_is_worth_running() {
    play(async {
        let mut stage = Stage::new(BatchPolicy { min_share: 4, ..POLICY });
        stage.push(3);
        stage.wait(100);
        assert!(stage.next(1, 1).is_none(), "too small");
        stage.push(4);
        assert!(stage.next(2, 1).is_none(), "one in advance is enough");
        let Departure { batch, waited, .. } = stage.depart(1, 1).unwrap();
        assert_eq!((batch.len(), waited), (7, Duration::from_millis(100)), "as long as the first of its leaves");

        stage.push(4);
        assert!(stage.next(1, 1).is_none(), "it may still be let wait for a fuller one");
        stage.push(4);
        assert_eq!(stage.next(1, 1).unwrap().len(), 8);
    });
}

#[test]
fn a_batch_says_why_it_leaves() {
    play(async {
        let reason = |policy, count, millis| {
            let mut stage = Stage::new(policy);
            stage.push(count);
            stage.wait(millis);
            stage.depart(0, 1).map(|departure| departure.reason)
        };
        let waitless = BatchPolicy { max_wait: Duration::ZERO, ..POLICY };
        assert_eq!(reason(POLICY, 3, 1), None);
        assert_eq!(reason(POLICY, 3, 2), Some(Reason::Timer));
        assert_eq!(reason(waitless, 3, 0), Some(Reason::IdleDevice));
        assert_eq!((reason(POLICY, 8, 0), reason(waitless, 9, 0)), (Some(Reason::Full), Some(Reason::Full)));
    });
}

#[test]
fn requests_are_split_and_joined_in_order_with_their_ids() {
    play(async {
        let mut stage = Stage::new(POLICY);
        stage.push(5);
        stage.push(9);
        stage.push(2);
        stage.wait(2);
        let batches: Vec<_> = std::iter::from_fn(|| stage.next(0, 1)).collect();
        let found: Vec<_> = batches.iter().map(positions).collect();
        assert_eq!(found, [Vec::from_iter(0..8), Vec::from_iter(8..16)]);
        let error = TicketError::Backend("no".to_owned());
        batches.into_iter().for_each(|batch| batch.finish(Err(error.clone()), None));
        let ids: Vec<_> = stage.done.take().await.into_iter().map(|done| done.ids).collect();
        assert_eq!(
            ids,
            [Vec::from_iter(100..108), Vec::from_iter(108..116)],
            "each id is reported once, with its batch"
        );
    });
}

#[test]
fn discarded_leaves_are_not_reported_and_dropped_ones_are() {
    play(async {
        let mut stage = Stage::new(POLICY);
        stage.push(3);
        stage.queue.discard();
        assert!(stage.next(0, 1).is_none() && stage.queue.time_left(stage.now).is_none());
        assert!(stage.done.take().await.is_empty());

        stage.push(9);
        let taken = stage.next(0, 1).unwrap();
        stage.queue = Queue::new(POLICY);
        let lost = stage.done.take().await;
        assert_eq!(lost.iter().map(|done| done.ids.clone()).collect::<Vec<_>>(), [[111]], "what was not handed out");
        assert_eq!(lost[0].outcome, Err(TicketError::Lost));
        drop(taken);
        assert_eq!(stage.done.take().await[0].ids, Vec::from_iter(103..111));
    });
}
