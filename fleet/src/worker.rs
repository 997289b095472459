//! A worker's side of the protocol: its outbox, and what goes out of it when.

use std::time::Duration;

use serde::Serialize;

use crate::{
    courier::Courier,
    disk::Disk,
    link::{MessageId, ToWorker, WorkerLink},
    outbox::{Outbox, OutboxError},
};

/// Frames whose storing is awaited.
pub const WINDOW: usize = 32;

/// How long the first report is waited for while there is a connection: what is sent before it counts as lost once it is heard.
const FIRST_REPORT: Duration = Duration::from_secs(3);

/// What a worker counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames sent, the same ones again too.
    pub sent: u64,
    /// Frames stored by the broker.
    pub stored: u64,
    /// Frames that the broker had already.
    pub duplicates: u64,
    /// Times that the broker did not store a frame.
    pub refusals: u64,
    /// Why not, the last time.
    pub refusal: Option<String>,
    /// Frames that the broker lost.
    pub lost_by_broker: u64,
    /// Games of this outbox that the collector refused, ever.
    pub refused: u64,
    /// Why the last of them was.
    pub reason: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Worker<D: Disk> {
    outbox: Outbox<D>,
    courier: Courier,
    counts: Counts,
    /// Since when there is a connection, where no report was heard yet.
    up_since: Option<Duration>,
}

impl<D: Disk> Worker<D> {
    /// The worker of an outbox.
    #[must_use]
    pub fn new(outbox: Outbox<D>) -> Self {
        Self { outbox, courier: Courier::new(WINDOW), counts: Counts::default(), up_since: None }
    }

    /// The outbox.
    #[must_use]
    pub const fn outbox(&self) -> &Outbox<D> {
        &self.outbox
    }

    /// The outbox, to keep games in.
    pub const fn outbox_mut(&mut self) -> &mut Outbox<D> {
        &mut self.outbox
    }

    /// What happened since the process began.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Takes up one thing heard. `now`: time since the process began.
    ///
    /// # Errors
    /// When the outbox cannot be used, and then the thing counts as not heard; or a receipt shows that it is an older copy.
    pub fn heard(&mut self, event: ToWorker, now: Duration) -> Result<(), OutboxError> {
        match event {
            ToWorker::Stored { id, sequence, duplicate } => {
                if id.origin == self.outbox.origin() {
                    self.courier.stored(id.number, id.round, sequence);
                    self.counts.stored += 1;
                    self.counts.duplicates += u64::from(duplicate);
                }
            }
            ToWorker::Refused { id, refusal } => {
                if id.origin == self.outbox.origin() {
                    self.courier.failed(id.number, id.round, now);
                    self.counts.refusals += 1;
                    self.counts.refusal = Some(refusal.to_string());
                }
            }
            ToWorker::Receipts(receipts) => {
                let origin = self.outbox.origin();
                for receipt in receipts.into_iter().filter(|receipt| receipt.origin == origin) {
                    self.outbox.receipt(receipt.origin, receipt.done)?;
                    self.courier.receipted(self.outbox.receipted());
                    if receipt.refused > self.counts.refused {
                        (self.counts.refused, self.counts.reason) = (receipt.refused, receipt.reason);
                    }
                }
            }
            ToWorker::Report(report) => self.counts.lost_by_broker += self.courier.report(report, now) as u64,
        }
        Ok(())
    }

    /// Whether frames are to be sent, or answers awaited.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.courier.is_busy(&self.outbox.sendable())
    }

    /// Whether it is known how the stream is, or was waited for.
    fn may_send(&mut self, link: &impl WorkerLink, now: Duration) -> bool {
        if self.courier.knows_stream() {
            return true;
        }
        if !link.state().up {
            self.up_since = None;
            return false;
        }
        now.saturating_sub(*self.up_since.get_or_insert(now)) >= FIRST_REPORT
    }

    /// Sends a frame, if one is due; whether there was one. The first waits a moment for the first report.
    ///
    /// # Errors
    /// When it cannot be read. Then it is tried again as if the broker had not answered.
    pub fn send(&mut self, link: &mut impl WorkerLink, now: Duration) -> Result<bool, OutboxError> {
        if !self.may_send(link, now) {
            return Ok(false);
        }
        let Some(next) = self.courier.next(self.outbox.sendable(), now) else { return Ok(false) };
        match self.outbox.frame(next.number) {
            Ok(bytes) => {
                let id = MessageId { origin: self.outbox.origin(), number: next.number, round: next.round };
                link.publish(id, bytes);
                self.counts.sent += 1;
                Ok(true)
            }
            Err(error) => {
                self.courier.failed(next.number, next.round, now);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::fake::FakeDisk,
        frame::tests::{game, pack},
        link::{CollectorLink as _, Report, ToCollector},
        memory::{Broker, Faults, WorkerSide},
        name::Origin,
        outbox::Owner,
    };

    const NOW: Duration = Duration::from_secs(1);

    /// A worker with `frames` frames of a game each, which may be sent.
    fn worker(name: &str, number: u8, frames: u64) -> Worker<FakeDisk> {
        let owner = Owner { run: "run".parse().unwrap(), worker: name.parse().unwrap() };
        let mut outbox = Outbox::open(FakeDisk::new(0), "outbox", &owner, 1 << 20, Origin::new([number; 16])).unwrap();
        for number in 0..frames {
            outbox.write("5e77", &pack(&[game(number, b"yaml", b"npz")])).unwrap();
        }
        outbox.release(frames);
        Worker::new(outbox)
    }

    /// Sends all that is due; how many frames.
    fn send(worker: &mut Worker<FakeDisk>, link: &mut WorkerSide) -> usize {
        std::iter::from_fn(|| worker.send(link, NOW).unwrap().then_some(())).count()
    }

    fn hear(worker: &mut Worker<FakeDisk>, link: &mut WorkerSide) {
        std::iter::from_fn(|| link.hear()).for_each(|event| worker.heard(event, NOW).unwrap());
    }

    #[test]
    fn the_first_frame_waits_a_moment_for_the_first_report() {
        let broker = Broker::new(0, Faults::default());
        let mut one = worker("w1", 1, 3);
        let mut link = broker.worker(&"w1".parse().unwrap());
        assert!(one.is_sending());
        for wait in [Duration::ZERO, FIRST_REPORT / 2] {
            assert!(!one.send(&mut link, NOW + wait).unwrap());
        }
        assert!(one.send(&mut link, NOW + FIRST_REPORT).unwrap(), "there is no collector, perhaps");
        let mut other = worker("w2", 2, 3);
        let mut link = broker.worker(&"w2".parse().unwrap());
        other.heard(ToWorker::Report(Report { created: 1, floor: 0, last: 0 }), NOW).unwrap();
        assert_eq!(send(&mut other, &mut link), 3);
        assert!(other.is_sending(), "answers are awaited");
        hear(&mut other, &mut link);
        assert!(!other.is_sending() && other.counts().stored == 3);
        other.heard(ToWorker::Report(Report { created: 1, floor: 0, last: 4 }), NOW).unwrap();
        assert_eq!(other.counts().lost_by_broker, 0, "none is sent twice for want of a report");
    }

    #[test]
    fn what_was_in_a_stream_that_is_gone_is_sent_again_though_the_new_one_is_long() {
        let broker = Broker::new(0, Faults::default());
        let mut collector = broker.collector();
        let mut report = || {
            collector.ask_stream();
            let heard = std::iter::from_fn(|| collector.hear());
            let reports =
                heard.filter_map(|event| if let ToCollector::Stream(report) = event { Some(report) } else { None });
            let report = reports.last().expect("it was asked");
            collector.put_report(report);
        };
        let (mut one, mut other) = (worker("w1", 1, 3), worker("w2", 2, 9));
        let (mut to_one, mut to_other) = (broker.worker(&"w1".parse().unwrap()), broker.worker(&"w2".parse().unwrap()));
        report();
        hear(&mut one, &mut to_one);
        assert_eq!(send(&mut one, &mut to_one), 3);
        hear(&mut one, &mut to_one);
        report();
        hear(&mut one, &mut to_one);
        assert_eq!(send(&mut one, &mut to_one), 0, "they wait for their receipts");
        broker.start_empty();
        // Their places are taken by others, and the collector is not there yet: neither says that they are lost.
        hear(&mut other, &mut to_other);
        assert_eq!(send(&mut other, &mut to_other), 9);
        report();
        hear(&mut one, &mut to_one);
        assert_eq!((send(&mut one, &mut to_one), one.counts().lost_by_broker), (3, 3));
    }
}
