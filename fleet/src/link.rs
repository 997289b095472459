//! What stands between workers and collector, as either sees it: a broker that keeps messages for a while and may lose anything.
//!
//! Nothing here waits. What is asked is sent when it can be, or never; answers come, or do not, as events of [`WorkerLink::hear`] and
//! [`CollectorLink::hear`], in any order, repeated, or late. A link that connects to a real broker does so on threads of its own.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ledger::Receipt,
    models::Hash,
    name::{Name, Origin},
};

/// How a link is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// Whether there is a connection that can be used.
    pub up: bool,
    /// All of it, in words that a person can act on.
    pub words: String,
    /// How often a connection came about.
    pub connects: u64,
    /// How often our key was refused.
    pub refused: u64,
    /// How often something was not allowed to us.
    pub denied: u64,
}

/// What every side's link can tell of itself.
pub trait Link {
    /// How it is now.
    fn state(&self) -> LinkState;
}

/// Name of a message: of the frame, and the how-many-th time it is sent *for a reason*. Repeated because an answer is missing it keeps its
/// name, so that the broker can drop the repetition; sent again because the broker has lost it, it gets another, so that the broker does
/// not take it for a repetition. Written `origin-number` and `origin-number-r2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// The outbox.
    pub origin: Origin,
    /// Number of the frame.
    pub number: u64,
    /// From 1.
    pub round: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, number, round } = self;
        write!(f, "{origin}-{number}")?;
        if *round > 1 { write!(f, "-r{round}") } else { Ok(()) }
    }
}

/// Why a frame was not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The broker has no room: the collector is behind, or away.
    Full(String),
    /// No answer, or the connection was lost: it may be stored all the same.
    Unanswered(String),
    /// The broker does not let us, or does not know the stream: worth telling, and worth another try, as people can mend it.
    Denied(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(reason) => write!(f, "the broker has no room: {reason}"),
            Self::Unanswered(reason) => write!(f, "the broker does not answer: {reason}"),
            Self::Denied(reason) => write!(f, "the broker refuses: {reason}"),
        }
    }
}

/// How the broker's stream is, as the collector says to all once a second. Sent after the receipts for what it speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the stream was made, in nanoseconds since 1970: which stream it is.
    pub created: u64,
    /// All messages up to this one were delivered and acknowledged, or are lost.
    pub floor: u64,
    /// The last message that was ever stored in it.
    pub last: u64,
}

/// What a worker hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// A frame is stored.
    Stored {
        /// Its name.
        id: MessageId,
        /// Its place in the stream.
        sequence: u64,
        /// It was there already.
        duplicate: bool,
    },
    /// A frame is not stored, as far as is known.
    Refused {
        /// Its name.
        id: MessageId,
        /// Why.
        refusal: Refusal,
    },
    /// Receipts for this worker's outboxes.
    Receipts(Vec<Receipt>),
    /// How the stream is.
    Report(Report),
}

/// A worker's side of the broker.
pub trait WorkerLink: Link {
    /// Sends a frame. The answer is [`ToWorker::Stored`] or [`ToWorker::Refused`], or none.
    fn publish(&mut self, id: MessageId, frame: Vec<u8>);

    /// The next thing heard.
    fn hear(&mut self) -> Option<ToWorker>;
}

/// A message that was delivered to the collector, this once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

/// What becomes of a message that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The broker may forget it.
    Ack,
    /// The broker may forget it, and should tell those who watch it that it made no sense.
    Term,
    /// It is to be delivered again, after this time.
    Later(Duration),
}

/// What a collector hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToCollector {
    /// A frame, from the one worker that may use the subject on which it came.
    Message {
        /// What to answer with.
        tag: Tag,
        /// Who sent it.
        from: Name,
        /// The frame, so it says.
        bytes: Vec<u8>,
    },
    /// How the stream is, as was asked.
    Stream(Report),
    /// How far the collector is behind, as was asked with it.
    Lag(Lag),
    /// Whether another collector takes messages of this fleet too, which collects into another folder.
    Rival(bool),
}

/// Messages that the broker keeps for the collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Not delivered yet.
    pub waiting: u64,
    /// Delivered, and not answered for.
    pub in_hand: u64,
}

/// The collector's side of the broker.
pub trait CollectorLink: Link {
    /// Asks for so many messages, of so many bytes in all, in the place of those that were asked for before and have not come.
    fn want(&mut self, messages: usize, bytes: usize);

    /// Says what becomes of a message.
    fn answer(&mut self, tag: Tag, answer: Answer);

    /// Replaces a worker's receipts, for it to hear now and whenever it asks.
    fn put_receipts(&mut self, worker: &Name, receipts: Vec<Receipt>);

    /// Asks how the stream is. The answers are [`ToCollector::Stream`] and [`ToCollector::Lag`], or none.
    fn ask_stream(&mut self);

    /// Tells all workers how the stream is.
    fn put_report(&mut self, report: Report);

    /// The next thing heard.
    fn hear(&mut self) -> Option<ToCollector>;
}

/// What a worker hears of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToPlayer {
    /// The pointer as it is now, for [`crate::models::Pointer::read`]. Told again and again.
    Pointer {
        /// Which of the pointers ever put it is, in its bucket.
        revision: u64,
        /// The pointer, so it says.
        bytes: Vec<u8>,
    },
    /// A chunk that was asked for.
    Chunk {
        /// The model.
        model: Hash,
        /// Which chunk, from 0.
        number: u64,
        /// The chunk, so it says.
        bytes: Vec<u8>,
    },
    /// A chunk did not come.
    NoChunk {
        /// The model.
        model: Hash,
        /// Which chunk, from 0.
        number: u64,
        /// Why not.
        reason: String,
    },
}

/// How models come to a worker.
pub trait PlayerLink {
    /// Asks for a chunk. The answer is [`ToPlayer::Chunk`] or [`ToPlayer::NoChunk`], or none.
    fn get_chunk(&mut self, model: Hash, number: u64);

    /// The next thing heard.
    fn hear_of_models(&mut self) -> Option<ToPlayer>;

    /// Tells those who look after the fleet what this worker says of itself, for half a minute: a [`crate::presence::Said`]. Lost where
    /// there is no connection.
    fn say(&mut self, said: Vec<u8>);
}

/// What a publisher hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToPublisher {
    /// A chunk is stored.
    Stored {
        /// The model.
        model: Hash,
        /// Which chunk, from 0.
        number: u64,
    },
    /// A chunk is not stored, as far as is known.
    Refused {
        /// The model.
        model: Hash,
        /// Which chunk, from 0.
        number: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The pointer as it is now, as was asked: its revision and bytes; nothing where none was ever put.
    Pointer(Option<(u64, Vec<u8>)>),
    /// The pointer was put, as this revision.
    Put(u64),
    /// The pointer was not put, as another was put before: it is to be asked for.
    Changed,
    /// The pointer was not put, as far as is known.
    NotPut(Refusal),
    /// What a worker says of itself.
    Said {
        /// Who: no other may use its subject.
        worker: Name,
        /// What, for [`crate::presence::Said::read`].
        bytes: Vec<u8>,
    },
}

/// A publisher's side of the broker.
pub trait PublisherLink: Link {
    /// Stores a chunk. The answer is [`ToPublisher::Stored`] or [`ToPublisher::Refused`], or none.
    fn put_chunk(&mut self, model: Hash, number: u64, bytes: Vec<u8>);

    /// Forgets a model, or what is there of one, that no pointer names any more.
    fn forget(&mut self, model: Hash);

    /// Asks for the pointer. The answer is [`ToPublisher::Pointer`], or none.
    fn ask_pointer(&mut self);

    /// Replaces the pointer of revision `after` (0: there is none). The answer is [`ToPublisher::Put`], [`ToPublisher::Changed`] or
    /// [`ToPublisher::NotPut`], or none.
    fn put_pointer(&mut self, after: u64, bytes: Vec<u8>);

    /// The next thing heard.
    fn hear(&mut self) -> Option<ToPublisher>;
}
