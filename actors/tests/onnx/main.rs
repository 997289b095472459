//! Real models through the real ONNX Runtime, on the CPU.

#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

mod checks;
mod devices;
mod outputs;
mod support;
