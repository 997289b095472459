//! What a process that plays is made of.
//!
//! - [`run`]: what a daemon plays for
//! - [`agents`], [`sizes`]: from settings to players, threads and batches
//! - [`evaluation`], [`device`]: ONNX Runtime and how positions are evaluated; what the network runs on
//! - [`output`]: where games go, and which ones go on
//! - [`siblings`]: other daemons that play into the same output directory
//! - [`signals`], [`stop`]: signals, and what stops play
//! - [`service`]: what a service manager is told
//! - [`fleet`]: how its side of a fleet is
//! - [`progress`], [`report`]: how far a batch is, and the lines that tell it

pub(crate) mod agents;
pub(crate) mod device;
pub(crate) mod evaluation;
pub(crate) mod fleet;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod service;
pub(crate) mod siblings;
pub(crate) mod signals;
pub(crate) mod sizes;
pub(crate) mod stop;
