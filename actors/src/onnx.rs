//! Networks in ONNX files: finding ONNX Runtime, choosing a device, checking a model against the game, evaluating.
//!
//! Low to high: `runtime` (the shared library), `device` (what was asked for, what it runs on), `refusal` (what can be wrong
//! with a model), `report` (the steps of its checks), `proto` (as much of the format as it takes to find external data),
//! `model` and `read` (the file), `graph` (the file taken apart, changed and put together again), `session` (one loaded network on one device), `signature` (what a model takes and gives,
//! and whether that fits the game), `buckets` (batch sizes), `network` (planes in, logits out), `evaluator` (leaves in,
//! evaluations out), `probe_positions` and `trial` (what a model answers before it serves),
//! `precision` (what it computes with, and how far that is from the file), `load` (all of it for one file),
//! `probe` (which device there is), `throughput` (the same sessions with nothing around them, for comparison).

mod buckets;
mod device;
mod evaluator;
#[expect(dead_code, reason = "packed inputs are to need the rest")]
mod graph;
mod load;
mod model;
mod network;
mod precision;
mod probe;
mod probe_positions;
mod proto;
mod read;
mod refusal;
mod report;
mod runtime;
mod session;
mod signature;
mod throughput;
mod trial;

pub(crate) use self::throughput::thread_cpu_seconds;
pub use self::{
    buckets::BatchBuckets,
    device::{Device, DeviceError, ParseDeviceError, Provider},
    evaluator::OnnxEvaluator,
    load::{LoadError, LoadOptions, Loaded, check_model, load_evaluators},
    model::{Checksum, ModelFile},
    network::Network,
    precision::{Agreement, Precision, PrecisionOptions},
    probe::probe_device,
    read::FileLimits,
    refusal::ModelError,
    report::{ModelReport, Step, StepOutcome, StepReport},
    runtime::{LibrarySearch, Runtime, RuntimeError},
    signature::GameDescription,
    throughput::{RawThroughput, raw_throughput},
};
