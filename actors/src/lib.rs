//! The actors of selfplayd, their supervision and the inference threads.

pub mod onnx;
