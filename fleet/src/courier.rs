//! Which frame is sent, and which is sent again: plain state of a process, with no file, clock or link.
//!
//! A frame is sent, and sent again under the same name until the broker says that it is stored. Then it waits for its receipt. It is sent
//! again under a new name only if the broker has lost it, which a [`Report`] tells in one of three ways:
//!
//! - the collector is past its place without a receipt: receipts go out before what makes the report;
//! - the stream ends before its place, in two reports (the first may have been made before the frame was stored): the broker lost the end,
//!   as one that does not synchronise each message does when its power is cut. If the frame was the last, nothing else tells;
//! - the stream was made anew since the frame was sent. The other two would tell as well, but where the new stream is long only when the
//!   collector has come as far as its place, and until then the outbox keeps all that was played since.
//!
//! All three can be wrong, where a receipt was lost or a report is late. Then the ledger has the frame, and says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use crate::link::Report;

/// Shortest and longest time between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a frame that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    round: u32,
    /// Attempts of this round that failed, in a row.
    failures: u32,
    state: State,
    /// The stream as it was known when the frame was sent for the first time in this round.
    stream: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The broker's answer is awaited.
    Asked { since: Duration },
    /// It is to be sent again, not before then.
    Pause { until: Duration },
    /// It is stored; reports that said that the stream ends before it.
    Stored { sequence: u64, short: u32 },
}

/// A frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToSend {
    /// Its number.
    pub number: u64,
    /// As in [`crate::link::MessageId`].
    pub round: u32,
}

/// See the module.
#[derive(Debug)]
pub struct Courier {
    /// Frames that were sent and have no receipt.
    sent: BTreeMap<u64, Sent>,
    /// Those of them that are asked, or pause: few, however many are stored.
    open: BTreeSet<u64>,
    /// The stream, as the last report has it.
    stream: Option<u64>,
    /// Most frames whose answer is awaited.
    window: usize,
}

impl Courier {
    /// A courier with at most `window` frames that wait for the broker's answer.
    #[must_use]
    pub const fn new(window: usize) -> Self {
        Self { sent: BTreeMap::new(), open: BTreeSet::new(), stream: None, window }
    }

    /// The next frame to send among those that may be sent; `now`: time since the process began.
    pub fn next(&mut self, sendable: RangeInclusive<u64>, now: Duration) -> Option<ToSend> {
        let (mut asked, mut due) = (0, None);
        for &number in &self.open {
            let Some(sent) = self.sent.get_mut(&number) else { continue };
            match sent.state {
                State::Asked { since } if now.saturating_sub(since) >= PATIENCE => sent.fail(now),
                State::Asked { .. } => asked += 1,
                State::Pause { until } if until <= now => due = due.or(Some(number)),
                _ => {}
            }
        }
        if asked >= self.window {
            return None;
        }
        // They are sent in their order, so those beyond the last one were never sent.
        let fresh = self.sent.last_key_value().map_or(*sendable.start(), |(&last, _)| last + 1);
        let number = due.or(Some(fresh)).filter(|number| sendable.contains(number))?;
        let asked = State::Asked { since: now };
        let fresh = Sent { round: 1, failures: 0, state: asked, stream: self.stream };
        let sent = self.sent.entry(number).or_insert(fresh);
        sent.state = asked;
        self.open.insert(number);
        Some(ToSend { number, round: sent.round })
    }

    /// Whether there is something to send among those that may be sent, now or soon, or an answer is awaited.
    #[must_use]
    pub fn is_busy(&self, sendable: &RangeInclusive<u64>) -> bool {
        let fresh = self.sent.last_key_value().map_or(*sendable.start(), |(&last, _)| last + 1);
        !self.open.is_empty() || sendable.contains(&fresh)
    }

    /// The broker has stored a frame.
    pub fn stored(&mut self, number: u64, round: u32, sequence: u64) {
        // An answer to an earlier round is about a message that was lost since.
        if let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.round == round)
            && !matches!(sent.state, State::Stored { .. })
        {
            sent.state = State::Stored { sequence, short: 0 };
            self.open.remove(&number);
        }
    }

    /// The broker has not stored a frame, as far as is known.
    pub fn failed(&mut self, number: u64, round: u32, now: Duration) {
        if let Some(sent) = self.sent.get_mut(&number).filter(|sent| sent.round == round)
            && matches!(sent.state, State::Asked { .. })
        {
            sent.fail(now);
        }
    }

    /// All frames up to this one have receipts.
    pub fn receipted(&mut self, number: u64) {
        self.sent = self.sent.split_off(&(number + 1));
        self.open = self.open.split_off(&(number + 1));
    }

    /// How the stream is; returns how many frames it has lost.
    pub fn report(&mut self, report: Report, now: Duration) -> usize {
        self.stream = Some(report.created);
        let mut lost = 0;
        for (&number, sent) in &mut self.sent {
            let State::Stored { sequence, short } = &mut sent.state else { continue };
            if *sequence > report.last {
                *short += 1;
            }
            // A frame stored in a stream that was not known yet may have been stored in the one before.
            if sent.stream != Some(report.created) || *sequence <= report.floor || *short >= 2 {
                *sent = Sent {
                    round: sent.round + 1,
                    failures: 0,
                    state: State::Pause { until: now },
                    stream: Some(report.created),
                };
                self.open.insert(number);
                lost += 1;
            }
        }
        lost
    }

    /// Whether a report was heard.
    #[must_use]
    pub const fn knows_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Frames that are stored, as far as is known, and wait for their receipts.
    #[must_use]
    pub fn stored_frames(&self) -> usize {
        self.sent.values().filter(|sent| matches!(sent.state, State::Stored { .. })).count()
    }
}

impl Sent {
    fn fail(&mut self, now: Duration) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.state = State::Pause { until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn send(courier: &mut Courier, last: u64, now: Duration) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| courier.next(1..=last, now)).map(|next| (next.number, next.round)).collect()
    }

    fn report(created: u64, floor: u64, last: u64) -> Report {
        Report { created, floor, last }
    }

    #[test]
    fn frames_go_in_order_within_the_window() {
        let mut courier = Courier::new(3);
        assert_eq!(send(&mut courier, 5, SECOND), [(1, 1), (2, 1), (3, 1)]);
        courier.stored(2, 1, 10);
        assert_eq!(send(&mut courier, 5, SECOND), [(4, 1)]);
        courier.stored(1, 1, 9);
        courier.receipted(1);
        assert_eq!(courier.next(2..=5, SECOND), Some(ToSend { number: 5, round: 1 }));
        assert_eq!(courier.stored_frames(), 1);
    }

    #[test]
    fn what_is_not_answered_is_sent_again_under_its_name_and_ever_more_rarely() {
        let mut courier = Courier::new(3);
        let mut now = SECOND;
        send(&mut courier, 1, now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            courier.failed(1, 1, now);
            let before = now;
            while send(&mut courier, 1, now).is_empty() {
                now += Duration::from_millis(50);
            }
            pauses.push((now - before).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        now += PATIENCE;
        assert!(send(&mut courier, 1, now).is_empty());
        assert_eq!(send(&mut courier, 1, now + LONGEST_PAUSE), [(1, 1)], "no answer at all is a failure too");
    }

    #[test]
    fn what_the_collector_is_past_without_a_receipt_is_sent_again_under_a_new_name() {
        let mut courier = Courier::new(9);
        courier.report(report(7, 0, 0), SECOND);
        send(&mut courier, 3, SECOND);
        (1..=3).for_each(|number| courier.stored(number, 1, number + 10));
        assert_eq!(courier.report(report(7, 11, 13), SECOND), 1);
        assert_eq!(send(&mut courier, 3, SECOND), [(1, 2)]);
        courier.stored(1, 1, 11);
        assert_eq!(courier.report(report(7, 11, 13), SECOND), 0, "the old round's answer says nothing of the new");
        courier.stored(1, 2, 14);
        courier.receipted(3);
        assert_eq!(courier.report(report(7, 20, 20), SECOND), 0);
    }

    #[test]
    fn what_was_in_a_stream_that_is_gone_is_sent_again() {
        let mut courier = Courier::new(9);
        send(&mut courier, 1, SECOND);
        courier.stored(1, 1, 5);
        assert_eq!(courier.report(report(7, 0, 5), SECOND), 1, "in which stream it was is not known");
        send(&mut courier, 2, SECOND);
        courier.stored(1, 2, 6);
        courier.stored(2, 1, 7);
        assert_eq!(courier.report(report(7, 0, 7), SECOND), 0);
        assert_eq!(courier.report(report(8, 0, 7), SECOND), 2);
        assert_eq!(send(&mut courier, 2, SECOND), [(1, 3), (2, 2)]);
    }

    #[test]
    fn what_was_at_the_end_of_a_stream_that_was_cut_is_sent_again() {
        let mut courier = Courier::new(9);
        courier.report(report(7, 0, 0), SECOND);
        send(&mut courier, 2, SECOND);
        courier.stored(1, 1, 5);
        courier.stored(2, 1, 6);
        assert_eq!(courier.report(report(7, 0, 5), SECOND), 0, "it may be older than the frame");
        assert_eq!(courier.report(report(7, 0, 5), SECOND), 1);
        assert_eq!(send(&mut courier, 2, SECOND), [(2, 2)]);
    }

    #[test]
    fn a_long_backlog_is_not_sent_again() {
        let mut courier = Courier::new(32);
        courier.report(report(7, 0, 0), SECOND);
        for number in 1..=5_000 {
            let next = courier.next(1..=5_000, SECOND).unwrap();
            courier.stored(next.number, next.round, number);
        }
        for second in 1..4_000 {
            assert_eq!(courier.report(report(7, 0, 5_000), SECOND * second), 0);
            assert_eq!(courier.next(1..=5_000, SECOND * second), None);
        }
    }
}
