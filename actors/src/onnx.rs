//! Networks in ONNX files: finding ONNX Runtime, choosing a device, checking a model against the game, evaluating.
//!
//! Low to high: `device` (what was asked for, what it runs on), `choice` (which of two devices was faster), `packages` (its library as a file, and as pip installs it), `runtime` (the library, loaded), `refusal` (what can be wrong
//! with a model), `ports` (which of its inputs and outputs are used), `report` (the steps of its checks), `proto` (as much of the format as it takes to find external data),
//! `model` and `read` (the file), `graph` (a model as a graph, to be changed), `packed` (networks that expand packed
//! positions), `batch` (networks with a batch size built in), `gpu` (providers and their options), `openvino` (the CPU through
//! OpenVINO), `engines` (TensorRT's engines, kept), `session` (one loaded network on
//! one device), `signature` (what a model takes and gives, and whether that fits the game), `buckets` (batch sizes),
//! `binding` (memory bound to a session), `network` (positions in, logits out), `evaluator` (leaves in, evaluations out),
//! `probe_positions` and `trial` (what a model answers before it serves), `precision` (what it computes with, and how far
//! that is from the file), `load` (all of it for one file), `probe` (which devices there are), `throughput` (the same
//! sessions with nothing around them, for comparison).

mod batch;
mod binding;
mod buckets;
mod choice;
mod device;
mod engines;
mod evaluator;
mod gpu;
#[expect(dead_code, reason = "whole messages and their builders, though not all are changed or built")]
mod graph;
mod load;
mod model;
mod network;
mod openvino;
mod packages;
mod packed;
mod ports;
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
mod upon;

pub(crate) use self::throughput::thread_cpu_seconds;
pub use self::{
    binding::Rows,
    buckets::BatchBuckets,
    choice::Placement,
    device::{
        Accelerator, Device, DeviceError, DeviceRequest, Gpus, OpenVinoDevice, ParseDeviceError, Provider,
        device_of_thread, devices_name,
    },
    evaluator::OnnxEvaluator,
    gpu::GpuOptions,
    load::{LoadError, LoadOptions, Loaded, check_model, load_evaluators},
    model::{Checksum, ModelFile},
    network::Network,
    packed::InputFormat,
    ports::Head,
    precision::{Agreement, Precision, PrecisionOptions, PrecisionRequest},
    probe::probe_devices,
    read::FileLimits,
    refusal::ModelError,
    report::{ModelReport, PortReport, Step, StepOutcome, StepReport},
    runtime::{LibrarySearch, Runtime, RuntimeError},
    signature::GameDescription,
    throughput::{RawThroughput, raw_throughput},
};
