//! Networks in ONNX files: finding ONNX Runtime, choosing a device, checking a model against the game, evaluating.
//!
//! Low to high: `runtime` (the shared library), `device` (what was asked for, what it runs on), `model` (the file),
//! `session` (one loaded network on one device), `signature` (what a model takes and gives, and whether that fits the game),
//! `buckets` (batch sizes), `network` (planes in, logits out), `evaluator` (leaves in, evaluations out), `load` (all of it
//! for one file), `probe` (which device there is), `throughput` (the same sessions with nothing around them, for comparison).

mod buckets;
mod device;
mod evaluator;
mod load;
mod model;
mod network;
mod probe;
mod runtime;
mod session;
mod signature;
mod throughput;

pub use self::{
    buckets::BatchBuckets,
    device::{Device, DeviceError, ParseDeviceError, Provider},
    evaluator::OnnxEvaluator,
    load::{LoadError, LoadOptions, Loaded, load_evaluators},
    model::{ModelError, ModelFile},
    network::Network,
    probe::probe_device,
    runtime::{LibrarySearch, Runtime, RuntimeError},
    signature::GameDescription,
    throughput::{RawThroughput, raw_throughput},
};
