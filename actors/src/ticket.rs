//! Requests for evaluations and the promise that each is answered exactly once.

use std::sync::Arc;

use actix::{Message, Recipient};
use selfplay_engine::{Evaluations, Game, Leaf, evaluation::RawOutput};
use thiserror::Error;

/// Number of a request, unique within the game that asks.
pub type Ticket = u64;

/// Which model answered: its number in this process, counting up from 1, and the trainer's version of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// Counts models in the order in which they were taken into service; 0 before the first.
    pub number: u64,
    /// The trainer's version.
    pub version: i64,
}

/// Why a request has no evaluations.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum TicketError {
    /// The actor or thread that held the request died. Asking again is right.
    #[error("evaluate positions: the request was lost in a restart")]
    Lost,
    /// The network could not be run. Asking again may help.
    #[error("evaluate positions: failed to {0}")]
    Backend(String),
    /// The network gave numbers that are not finite for one of the leaves. Asking again once tells chance from habit.
    #[error("evaluate positions: the output of model version {} is not finite", .0.generation.version)]
    NonFinite(Flaw),
}

/// An answer that cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Flaw {
    /// The leaf, by its place in the request.
    pub leaf: usize,
    /// The model.
    pub generation: Generation,
    /// What it gave.
    pub output: Arc<RawOutput>,
}

/// Evaluations of all leaves of a request, made by one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// In the order of the leaves asked.
    pub evaluations: Evaluations,
    /// The model that made them.
    pub generation: Generation,
}

/// Asks for evaluations of up to K leaves. Sent by a game to the cache; answered by exactly one [`Evaluated`] through `reply`.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lookup<G: Game> {
    /// The leaves of one gather.
    pub leaves: Vec<Leaf<G>>,
    /// Where the answer goes.
    pub reply: Reply,
}

/// The answer to a [`Lookup`]. Sent by the cache, or by the drop of a [`Reply`] whose holder died.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Evaluated {
    /// The request.
    pub ticket: Ticket,
    /// Its outcome.
    pub outcome: Result<Answer, TicketError>,
    /// Where the evaluations came from; of no meaning without any.
    pub origins: Origins,
}

/// How many leaves of a request needed no evaluation of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// They were in the cache.
    pub cached: u64,
    /// They were being evaluated for another request, or for another place in this one.
    pub joined: u64,
}

/// The duty to answer a request. Dropped without an answer, it answers [`TicketError::Lost`].
#[derive(Debug)]
pub struct Reply {
    to: Option<Recipient<Evaluated>>,
    ticket: Ticket,
}

impl Reply {
    /// The duty to answer `ticket` to `to`.
    #[must_use]
    pub fn new(to: Recipient<Evaluated>, ticket: Ticket) -> Self {
        Self { to: Some(to), ticket }
    }

    /// Answers.
    pub fn answer(self, outcome: Result<Answer, TicketError>) {
        self.answer_from(outcome, Origins::default());
    }

    /// Answers, and says where the evaluations came from.
    pub fn answer_from(mut self, outcome: Result<Answer, TicketError>, origins: Origins) {
        self.send(outcome, origins);
    }

    fn send(&mut self, outcome: Result<Answer, TicketError>, origins: Origins) {
        if let Some(to) = self.to.take() {
            to.do_send(Evaluated { ticket: self.ticket, outcome, origins });
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.send(Err(TicketError::Lost), Origins::default());
    }
}

/// Leaves on their way to the network and back, with the duty to say what became of them: dropped without an outcome, they
/// are reported lost.
pub struct LeafBatch<G: Game> {
    ids: Vec<LeafId>,
    leaves: Vec<Leaf<G>>,
    generation: u64,
    reply: Option<Recipient<BatchDone>>,
}

/// Number of a leaf in flight, unique within the cache's life.
pub type LeafId = u64;

/// What became of a batch. Sent by an inference thread to the cache, or by the drop of a [`LeafBatch`] whose holder died.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BatchDone {
    /// The leaves.
    pub ids: Vec<LeafId>,
    /// Their evaluations in that order.
    pub outcome: Result<Answer, TicketError>,
    /// Tells the batcher that a thread is free, when the cache takes this message up (or dies over it): one wake-up of their
    /// common thread instead of two.
    pub freed: Option<ThreadFreed>,
}

/// What a batch showed of its model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The model's number; 0 when the batch failed.
    pub generation: u64,
    /// Positions evaluated.
    pub evaluated: u64,
    /// Those among them whose numbers are not finite.
    pub flawed: u64,
}

/// An inference thread has finished a batch. Sent with the thread's report to the cache, by the drop of a
/// [`ThreadFreed`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WorkerFree(pub Tally);

/// The duty to tell the batcher that an inference thread has finished a batch; done when it is dropped.
#[derive(Debug)]
pub struct ThreadFreed {
    /// The batcher.
    pub batcher: Recipient<WorkerFree>,
    /// What the batch showed.
    pub tally: Tally,
}

impl Drop for ThreadFreed {
    fn drop(&mut self) {
        self.batcher.do_send(WorkerFree(self.tally));
    }
}

impl<G: Game> LeafBatch<G> {
    /// An empty batch of leaves keyed under model `generation`, to be reported to `reply`.
    #[must_use]
    pub fn new(generation: u64, reply: Recipient<BatchDone>) -> Self {
        Self { ids: Vec::new(), leaves: Vec::new(), generation, reply: Some(reply) }
    }

    /// Adds a leaf.
    pub fn push(&mut self, id: LeafId, leaf: Leaf<G>) {
        self.ids.push(id);
        self.leaves.push(leaf);
    }

    /// The leaves.
    #[must_use]
    pub fn leaves(&self) -> &[Leaf<G>] {
        &self.leaves
    }

    /// Their numbers.
    pub(crate) fn ids(&self) -> &[LeafId] {
        &self.ids
    }

    /// Number of leaves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Whether there are no leaves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// The model generation its leaves were keyed under.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Takes over the first leaves of `other`, at most `count`, and with them the duty to report on them; none where `other` is
    /// keyed under another generation. How many.
    pub fn take_from(&mut self, other: &mut Self, count: usize) -> usize {
        debug_assert!(self.reply == other.reply, "leaves for another address");
        if self.generation != other.generation {
            return 0;
        }
        let count = count.min(other.len());
        self.ids.extend(other.ids.drain(..count));
        self.leaves.extend(other.leaves.drain(..count));
        count
    }

    /// An empty batch that may take leaves from this one.
    #[must_use]
    pub fn empty_like(&self) -> Self {
        Self { ids: Vec::new(), leaves: Vec::new(), generation: self.generation, reply: self.reply.clone() }
    }

    /// Reports what became of the leaves.
    pub fn finish(mut self, outcome: Result<Answer, TicketError>, freed: Option<ThreadFreed>) {
        self.send(outcome, freed);
    }

    /// Drops the leaves without a report: their sender has given them up already.
    pub fn discard(mut self) {
        self.reply = None;
    }

    fn send(&mut self, outcome: Result<Answer, TicketError>, freed: Option<ThreadFreed>) {
        if let Some(reply) = self.reply.take()
            && !self.ids.is_empty()
        {
            reply.do_send(BatchDone { ids: std::mem::take(&mut self.ids), outcome, freed });
        }
    }
}

impl<G: Game> Drop for LeafBatch<G> {
    fn drop(&mut self) {
        self.send(Err(TicketError::Lost), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Inbox, Numbers, answer, leaf, play};

    #[test]
    fn a_reply_is_sent_once_whether_it_is_answered_or_dropped() {
        play(async {
            let mut inbox = Inbox::new();
            Reply::new(inbox.address.clone(), 1).answer(Ok(answer(1, [5])));
            drop(Reply::new(inbox.address.clone(), 2));
            let outcomes: Vec<_> = inbox.take().await.into_iter().map(|mail| (mail.ticket, mail.outcome)).collect();
            assert_eq!(outcomes, [(1, Ok(answer(1, [5]))), (2, Err(TicketError::Lost))]);
        });
    }

    #[test]
    fn a_reply_is_sent_when_its_holder_panics_or_its_message_meets_a_dead_actor() {
        play(async {
            let mut inbox = Inbox::new();
            let reply = Reply::new(inbox.address.clone(), 1);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                let _held = &reply;
                panic!("as planned");
            }))
            .unwrap_err();
            let (address, mailbox) = crate::supervision::mailbox::<crate::cache::CacheActor<Numbers>>();
            drop(mailbox);
            address.do_send(Lookup { leaves: vec![leaf(1)], reply: Reply::new(inbox.address.clone(), 2) });
            let tickets: Vec<_> = inbox.take().await.into_iter().map(|mail| (mail.ticket, mail.outcome)).collect();
            assert_eq!(tickets, [(1, Err(TicketError::Lost)), (2, Err(TicketError::Lost))]);
        });
    }

    /// Ids and outcomes of all reports.
    async fn reports(inbox: &mut Inbox<BatchDone>) -> Vec<(Vec<LeafId>, Result<Answer, TicketError>)> {
        inbox.take().await.into_iter().map(|done| (done.ids, done.outcome)).collect()
    }

    #[test]
    fn a_batch_reports_once_unless_it_is_discarded_or_empty() {
        play(async {
            let mut inbox = Inbox::new();
            let batch = |ids: std::ops::Range<u64>| {
                let mut batch = LeafBatch::<Numbers>::new(1, inbox.address.clone());
                ids.for_each(|id| batch.push(id, leaf(id as u16)));
                batch
            };
            batch(0..2).finish(Ok(answer(1, [0, 1])), None);
            drop(batch(2..4));
            batch(4..6).discard();
            drop(batch(0..0));
            batch(0..0).finish(Err(TicketError::Lost), None);
            let expected = [(vec![0, 1], Ok(answer(1, [0, 1]))), (vec![2, 3], Err(TicketError::Lost))];
            assert_eq!(reports(&mut inbox).await, expected);
        });
    }

    #[test]
    fn the_duty_to_report_moves_with_the_leaves() {
        play(async {
            let mut inbox = Inbox::new();
            let mut whole = LeafBatch::<Numbers>::new(1, inbox.address.clone());
            (0..5).for_each(|id| whole.push(id, leaf(id as u16)));
            let mut part = whole.empty_like();
            assert_eq!(part.take_from(&mut whole, 3), 3);
            assert_eq!((part.len(), whole.len(), part.generation()), (3, 2, 1));
            drop(whole);
            assert_eq!(reports(&mut inbox).await, [(vec![3, 4], Err(TicketError::Lost))]);
            drop(part);
            assert_eq!(reports(&mut inbox).await, [(vec![0, 1, 2], Err(TicketError::Lost))]);
        });
    }

    #[test]
    fn leaves_of_another_generation_are_not_mixed_in() {
        play(async {
            let inbox = Inbox::new();
            let batch = |generation| {
                let mut batch = LeafBatch::<Numbers>::new(generation, inbox.address.clone());
                batch.push(0, leaf(0));
                batch
            };
            let mut whole = batch(1);
            for (mut other, taken) in [(batch(1), 1), (batch(2), 0)] {
                assert_eq!((whole.take_from(&mut other, 9), other.len()), (taken, 1 - taken));
            }
        });
    }
}
