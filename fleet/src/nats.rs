//! The link to a real broker: a NATS server with JetStream, version 2.11 or newer.
//!
//! | | |
//! |---|---|
//! | [`NatsWorker`], [`NatsCollector`], [`NatsPublisher`] | the traits of [`crate::link`]; each has a thread with a runtime of its own, and none waits |
//! | [`Dial`] | which servers, and who we are |
//! | [`Health`] | how the connection is, in words |
//! | [`assets`] | the streams, buckets and the consumer that a server must have |
//! | [`keys`], [`server`], [`reload`] | keys in files, the configuration of a server that knows them, and how it is told of another |
//!
//! What goes where, and who may use it, follows from the names of run and worker alone ([`subjects`]). A worker's key opens its own
//! subjects and no other: so the subject that a frame comes on says who sent it.
//!
//! Only the server's answer says that a frame is stored. A frame without one may be stored all the same, which the ledger settles.
//! While there is no connection nothing is handed to the client, which would keep it in memory and send it much later.

mod ask;
pub mod assets;
mod collector;
mod dial;
mod health;
mod inbox;
pub mod keys;
mod line;
mod publisher;
pub mod reload;
mod reports;
pub mod server;
pub mod subjects;
mod wire;
mod worker;

pub use self::{
    collector::NatsCollector,
    dial::{Dial, DialError},
    health::{Connection, Health},
    inbox::Bell,
    publisher::NatsPublisher,
    worker::NatsWorker,
};
