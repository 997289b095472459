//! Real models through the real ONNX Runtime, on the CPU.

mod checks;
mod devices;
mod outputs;
mod support;
