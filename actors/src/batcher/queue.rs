//! Leaves that wait for a thread, and when how many of them leave as a batch. Plain state: no actor, no clock of its own.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use selfplay_engine::Game;
use tokio::time::Instant;

use crate::ticket::LeafBatch;

/// How long a batch smaller than [`BatchPolicy::min_share`] waits although a core would idle: games that think make a leaf every few
/// microseconds.
const PATIENCE: Duration = Duration::from_micros(100);

/// When a batch leaves, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPolicy {
    /// Most positions per batch.
    pub max_batch: usize,
    /// How long a free thread lets the oldest request wait for a fuller batch. 0: not at all.
    pub max_wait: Duration,
    /// Leaves that wait are shared out among all threads, but not into batches smaller than this. On a CPU a small number, so
    /// that no thread is left without work; on a GPU `max_batch`, where one large batch beats two small ones.
    pub min_share: usize,
    /// Inference threads that have a core beside the threads of games, at least 1. When so many run, a batch smaller than
    /// `min_share` waits: it would take the core from games that are about to make it larger. When fewer run, as always on a
    /// device of its own (`usize::MAX`), it waits a tenth of a millisecond.
    pub cores: usize,
}

/// A batch that leaves, and what there is to say of it.
pub(super) struct Departure<G: Game> {
    pub(super) batch: LeafBatch<G>,
    pub(super) reason: Reason,
    /// How long its first leaf has waited.
    pub(super) waited: Duration,
}

/// Why a batch leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There are leaves for a whole batch.
    Full,
    /// The first leaf has waited as long as it may.
    Timer,
    /// No leaf is to wait, and a thread has nothing to do, or soon will have.
    IdleDevice,
}

/// Requests in order of arrival.
pub(super) struct Queue<G: Game> {
    policy: BatchPolicy,
    requests: VecDeque<(Instant, LeafBatch<G>)>,
    leaves: usize,
    /// No request can follow those that are here before one of them is answered.
    complete: bool,
}

impl<G: Game> Queue<G> {
    pub(super) fn new(policy: BatchPolicy) -> Self {
        Self { policy, requests: VecDeque::new(), leaves: 0, complete: false }
    }

    pub(super) fn set_max_wait(&mut self, wait: Duration) {
        self.policy.max_wait = wait;
    }

    /// Everything that waits counts as having arrived at `now`.
    pub(super) fn arrive_anew(&mut self, now: Instant) {
        self.requests.iter_mut().for_each(|(arrived, _)| *arrived = now);
    }

    pub(super) fn push(&mut self, now: Instant, request: LeafBatch<G>) {
        self.complete = false;
        self.leaves += request.len();
        self.requests.push_back((now, request));
    }

    /// Whether every game waits for an answer, so that what is queued has nothing to wait for. So it is until a request comes or
    /// one is answered.
    pub(super) fn set_complete(&mut self, complete: bool) {
        self.complete = complete;
    }

    pub(super) fn len(&self) -> usize {
        self.leaves
    }

    /// Drops everything without a report.
    pub(super) fn discard(&mut self) {
        self.leaves = 0;
        self.requests.drain(..).for_each(|(_, request)| request.discard());
    }

    /// Time until the oldest request has waited long enough; `None` when nothing waits, or is to wait.
    pub(super) fn time_left(&self, now: Instant) -> Option<Duration> {
        let (arrived, _) = self.requests.front().filter(|_| !self.complete)?;
        let patience = if self.leaves < self.policy.min_share { PATIENCE } else { Duration::ZERO };
        Some((*arrived + self.policy.max_wait.max(patience)).saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// The batch for a thread that has `busy` batches before it, out of `threads` threads of which `running` have any; `None` when
    /// none is to leave now.
    ///
    /// A busy thread gets one more batch in advance, so that it need not wait for one, if that batch is large enough.
    pub(super) fn next_batch(
        &mut self,
        now: Instant,
        busy: usize,
        running: usize,
        threads: usize,
    ) -> Option<Departure<G>> {
        let full = self.leaves >= self.policy.max_batch;
        let waited = self.time_left(now).is_none();
        let large = self.leaves >= self.policy.min_share;
        let leaves_now = match busy {
            0 => full || waited && (large || self.complete || running < self.policy.cores) && self.leaves > 0,
            1 => full || waited && large,
            _ => false,
        };
        if !leaves_now {
            return None;
        }
        let share = self.leaves.div_ceil(threads.max(1)).max(self.policy.min_share);
        let reason = match (full, self.complete || self.policy.max_wait.is_zero()) {
            (true, _) => Reason::Full,
            (false, false) => Reason::Timer,
            (false, true) => Reason::IdleDevice,
        };
        let waited = self.requests.front().map_or(Duration::ZERO, |&(arrived, _)| now.duration_since(arrived));
        let batch = self.take(share.min(self.policy.max_batch).min(self.leaves))?;
        Some(Departure { batch, reason, waited })
    }

    fn take(&mut self, count: usize) -> Option<LeafBatch<G>> {
        let mut batch = self.requests.front()?.1.empty_like();
        while batch.len() < count {
            let Some((_, request)) = self.requests.front_mut() else { break };
            if batch.take_from(request, count - batch.len()) == 0 {
                break; // What follows is for another batch.
            }
            if request.is_empty() {
                self.requests.pop_front();
            }
        }
        self.leaves -= batch.len();
        Some(batch)
    }
}
