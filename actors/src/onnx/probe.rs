//! What inference will run on, found out before there is a model of the user's.

use super::{
    device::{Device, DeviceError, DeviceRequest, Provider},
    gpu::{EnginePlan, GpuOptions, compiled_in},
    model::ModelFile,
    openvino,
    precision::Precision,
    runtime::Runtime,
    session::Site,
};

/// A network of a few hundred bytes: enough to see whether a provider starts.
const NETWORK: &[u8] = include_bytes!("probe.onnx");

/// Starts a tiny session on each device that was asked for and says what inference runs on. Takes milliseconds on a CPU, a few
/// hundred where OpenVINO starts, some seconds where CUDA starts, and more where TensorRT builds an engine for it.
///
/// # Errors
/// When a device is demanded and cannot be used.
pub fn probe_devices(runtime: &Runtime, requested: &DeviceRequest) -> Result<Provider, DeviceError> {
    Provider::settle(requested, openvino::has_bf16(), |device| probe(runtime, device))
}

fn probe(runtime: &Runtime, device: Device) -> Result<(), String> {
    compiled_in(runtime, device)?;
    let network = ModelFile::from_bytes("the built-in probe", NETWORK).map_err(|error| error.to_string())?;
    let site =
        Site { runtime, device, gpu: &GpuOptions::default(), plan: &EnginePlan::default(), precision: Precision::Fp32 };
    site.open(&network).map(drop).map_err(|error| error.into_reason())
}
