//! Worker, collector and publisher as a program runs them: plain objects that are called step by step.
//!
//! A step takes up what was heard, does what is due, and says in how long it wants to be called again at the latest; a
//! [`crate::nats::Bell`] may call it earlier. It waits for nothing but the disk. Who calls it, and what becomes of a panic, is the
//! caller's matter. `now` is the time since the process began, and never goes back.
//!
//! What goes wrong ends none of them: it is told in their states, in words, and tried again.

mod collector;
mod publisher;
#[cfg(test)]
mod tests;
mod troubles;
mod worker;

pub use self::{
    collector::{Collected, CollectorConfig, CollectorService, CollectorState},
    publisher::{Check, PointerState, Present, PublisherConfig, PublisherService, PublisherState, Rollout, SteerError},
    troubles::Troubles,
    worker::{DaemonWord, Found, ModelsState, WorkerConfig, WorkerService, WorkerState},
};
