//! Real models through the real ONNX Runtime, on the CPU.

#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod checks;
mod conformance;
mod devices;
mod exports;
mod others;
mod outputs;
mod packed;
mod precision;
/// Where the records are and how they are read.
#[path = "../../../engine/tests/conformance/records.rs"]
mod records;
mod support;
