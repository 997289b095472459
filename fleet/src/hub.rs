//! The collector's side of the protocol: what is taken from the broker in one go, and what is said of it.
//!
//! Receipts go out before messages are acknowledged, and a report only after both: so a worker that hears in order has its receipt before
//! it hears that the collector is past its frame.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    collector::{Collector, CollectorError, Delivery, Verdict},
    disk::Disk,
    link::{Answer, CollectorLink, Tag, ToCollector},
    name::Name,
};

/// Most messages of a group, and most bytes: a batch must stay below what the broker sends one client at a time.
const MOST_MESSAGES: usize = 32;
const MOST_BYTES: usize = 4 << 20;

/// When a message is to come again that could not be taken because the disk failed.
const AGAIN: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Hub<D: Disk> {
    collector: Collector<D>,
    /// Messages to be taken up.
    queue: Vec<(Tag, Name, Vec<u8>)>,
    /// Workers that are to get their receipts.
    owed: BTreeSet<Name>,
}

impl<D: Disk + Clone> Hub<D> {
    /// The hub of a collector. Every worker that is known gets its receipts afresh.
    #[must_use]
    pub fn new(collector: Collector<D>) -> Self {
        let owed = collector.workers();
        Self { collector, queue: Vec::new(), owed }
    }

    /// The collector.
    #[must_use]
    pub const fn collector(&self) -> &Collector<D> {
        &self.collector
    }

    /// Asks for messages, unless there are enough. What was asked and never came is asked again: to be called about once a second, and
    /// after each [`Hub::collect`].
    pub fn want(&self, link: &mut impl CollectorLink) {
        let room = MOST_MESSAGES.saturating_sub(self.queue.len());
        if room > 0 {
            link.want(room, MOST_BYTES);
        }
    }

    /// Whether there is something to collect.
    #[must_use]
    pub const fn has_messages(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Takes up one thing heard.
    pub fn heard(&mut self, event: ToCollector, link: &mut impl CollectorLink) {
        match event {
            ToCollector::Message { tag, from, bytes } => self.queue.push((tag, from, bytes)),
            ToCollector::Stream(report) => {
                // Receipts for all that the report speaks of have been put: they go out with what collects.
                self.put_receipts(link);
                link.put_report(report);
            }
            // They concern people alone.
            ToCollector::Lag(_) | ToCollector::Rival(_) => {}
        }
    }

    /// Takes all messages that have come, and says what became of them; how many there were.
    ///
    /// # Errors
    /// When the disk fails. Then all of them are to come again.
    pub fn collect(&mut self, link: &mut impl CollectorLink) -> Result<usize, CollectorError> {
        let group: Vec<_> = self.queue.drain(..).collect();
        let messages: Vec<_> = group.iter().map(|(_, from, bytes)| Delivery { from, bytes }).collect();
        let verdicts = match self.collector.take(&messages) {
            Ok(verdicts) => verdicts,
            Err(error) => {
                group.iter().for_each(|(tag, ..)| link.answer(*tag, Answer::Later(AGAIN)));
                return Err(error);
            }
        };
        let receipted = |verdict: &Verdict| matches!(verdict, Verdict::Done { .. } | Verdict::Duplicate);
        for ((_, from, _), _) in group.iter().zip(&verdicts).filter(|(_, verdict)| receipted(verdict)) {
            self.owed.insert(from.clone());
        }
        self.put_receipts(link);
        for ((tag, ..), verdict) in group.iter().zip(&verdicts) {
            let refused = matches!(verdict, Verdict::Refused(_));
            link.answer(*tag, if refused { Answer::Term } else { Answer::Ack });
        }
        Ok(group.len())
    }

    fn put_receipts(&mut self, link: &mut impl CollectorLink) {
        for worker in std::mem::take(&mut self.owed) {
            let receipts = self.collector.receipts(&worker);
            link.put_receipts(&worker, receipts);
        }
    }
}
