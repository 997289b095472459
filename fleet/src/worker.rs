//! A worker's side of the protocol: its outbox, and what goes out of it when.

use std::time::Duration;

use crate::{
    courier::Courier,
    disk::Disk,
    link::{MessageId, ToWorker, WorkerLink},
    outbox::{Outbox, OutboxError},
};

/// Frames whose storing is awaited.
pub const WINDOW: usize = 32;

/// What a worker counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Games that the collector refused, and why the last of them.
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
}

impl<D: Disk> Worker<D> {
    /// The worker of an outbox.
    #[must_use]
    pub fn new(outbox: Outbox<D>) -> Self {
        Self { outbox, courier: Courier::new(WINDOW), counts: Counts::default() }
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

    /// Sends a frame, if one is due; whether there was one.
    ///
    /// # Errors
    /// When it cannot be read. Then it is tried again as if the broker had not answered.
    pub fn send(&mut self, link: &mut impl WorkerLink, now: Duration) -> Result<bool, OutboxError> {
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
