//! Which chunk of a model is asked for, or sent, next: plain state, with no file, clock or link.

use std::{collections::BTreeMap, time::Duration};

/// Chunks whose answer is awaited at a time.
pub const WINDOW: usize = 4;

/// Shortest and longest time before a chunk is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Asked { since: Duration },
    Pause { until: Duration },
}

/// See the module. Times are since the process began.
#[derive(Debug)]
pub(super) struct Chunks {
    count: u64,
    /// The first that was never tried.
    fresh: u64,
    /// Those that were tried and are not done: few.
    open: BTreeMap<u64, State>,
    /// Attempts in a row that failed.
    failures: u32,
}

impl Chunks {
    pub(super) const fn new(count: u64) -> Self {
        Self { count, fresh: 0, open: BTreeMap::new(), failures: 0 }
    }

    /// The next chunk to try, below `limit`.
    pub(super) fn next(&mut self, limit: u64, now: Duration) -> Option<u64> {
        let overdue: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, state)| matches!(state, State::Asked { since } if now.saturating_sub(*since) >= PATIENCE))
            .map(|(&number, _)| number)
            .collect();
        overdue.into_iter().for_each(|number| self.failed(number, now));
        let asked = self.open.values().filter(|state| matches!(state, State::Asked { .. })).count();
        if asked >= WINDOW {
            return None;
        }
        let due = self.open.iter().find(|(_, state)| matches!(state, State::Pause { until } if *until <= now));
        let number = match due {
            Some((&number, _)) => number,
            // While some pause none is begun: the broker is away.
            None if self.failures == 0 && self.fresh < self.count.min(limit) => {
                self.fresh += 1;
                self.fresh - 1
            }
            None => return None,
        };
        self.open.insert(number, State::Asked { since: now });
        Some(number)
    }

    /// A chunk is done; whether it was still to be.
    pub(super) fn done(&mut self, number: u64) -> bool {
        let was_open = self.open.remove(&number).is_some();
        if was_open {
            self.failures = 0;
        }
        was_open
    }

    /// A chunk is not done, as far as is known.
    pub(super) fn failed(&mut self, number: u64, now: Duration) {
        if let Some(state @ State::Asked { .. }) = self.open.get_mut(&number) {
            let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
            *state = State::Pause { until: now + pause };
            self.failures += 1;
        }
    }

    /// Whether all are done.
    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty() && self.fresh == self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn tried(chunks: &mut Chunks, now: Duration) -> Vec<u64> {
        std::iter::from_fn(|| chunks.next(u64::MAX, now)).collect()
    }

    #[test]
    fn all_are_tried_a_few_at_a_time() {
        let mut chunks = Chunks::new(6);
        assert_eq!(tried(&mut chunks, SECOND), [0, 1, 2, 3]);
        assert!(chunks.done(2) && !chunks.done(2));
        assert_eq!(tried(&mut chunks, SECOND), [4]);
        [0, 1, 3, 4].into_iter().for_each(|number| assert!(chunks.done(number)));
        assert_eq!(chunks.next(5, SECOND), None, "it is beyond the limit");
        assert_eq!(tried(&mut chunks, SECOND), [5]);
        assert!(!chunks.is_done());
        chunks.done(5);
        assert!(chunks.is_done() && tried(&mut chunks, SECOND).is_empty());
    }

    #[test]
    fn what_fails_or_has_no_answer_is_tried_again_ever_more_rarely() {
        let mut chunks = Chunks::new(1);
        let mut now = SECOND;
        let mut pauses = Vec::new();
        assert_eq!(tried(&mut chunks, now), [0]);
        for _ in 0..8 {
            chunks.failed(0, now);
            let before = now;
            while tried(&mut chunks, now).is_empty() {
                now += Duration::from_millis(50);
            }
            pauses.push((now - before).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        now += PATIENCE;
        assert!(tried(&mut chunks, now).is_empty());
        assert_eq!(tried(&mut chunks, now + LONGEST_PAUSE), [0], "no answer is a failure too");
        chunks.done(0);
        assert!(chunks.is_done());
    }
}
