//! What inference will run on, found out before there is a model of the user's.

use super::{
    device::{Device, DeviceError, Provider},
    load::LoadError,
    model::ModelFile,
    runtime::Runtime,
    session::{open, settle_device},
};

/// A network of a few hundred bytes: enough to see whether a provider starts.
const NETWORK: &[u8] = include_bytes!("probe.onnx");

/// Starts a tiny session as asked for and says what it runs on. Takes milliseconds on a CPU, some seconds where CUDA starts.
///
/// # Errors
/// When a device is demanded and cannot be used.
pub fn probe_device(runtime: &Runtime, requested: Device) -> Result<Provider, DeviceError> {
    let failed = |reason: String| DeviceError { device: requested, reason };
    let network = ModelFile::from_bytes("the built-in probe", NETWORK).map_err(|error| failed(error.to_string()))?;
    match settle_device(runtime, requested, |device| open(runtime, &network, device)) {
        Ok((_, provider)) => Ok(provider),
        Err(LoadError::Device(error)) => Err(error),
        Err(LoadError::Model(error)) => Err(failed(error.to_string())),
    }
}
