//! One loaded network on one device: the only place where sessions are built.

use std::path::Path;

use ort::{
    ErrorCode,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{
    device::{Device, DeviceError, Provider, cuda_candidate, cuda_provider, one_line},
    load::LoadError,
    model::ModelFile,
    refusal::ModelError,
    runtime::Runtime,
};

/// A folder that is not there.
const NOWHERE: &str = "/dev/null/none";

/// Finds the device for `requested` by making `attempt` on it: only a session that runs shows whether a device works.
///
/// When CUDA fails, the CPU is tried as well: if that fails too, the fault is the model's, else the device's.
///
/// # Errors
/// [`DeviceError`] when CUDA is demanded and not to be had, otherwise the attempt's own error.
pub(super) fn settle_device<T>(
    runtime: &Runtime,
    requested: Device,
    mut attempt: impl FnMut(Device) -> Result<T, ModelError>,
) -> Result<(T, Provider), LoadError> {
    match cuda_candidate(runtime, requested) {
        None => Ok((attempt(Device::Cpu)?, Provider::as_requested(Device::Cpu))),
        Some(Err(reason)) => {
            let provider = cpu_instead(requested, reason)?;
            Ok((attempt(Device::Cpu)?, provider))
        }
        Some(Ok(index)) => match attempt(Device::Cuda(index)) {
            Ok(done) => Ok((done, Provider { requested, actual: Device::Cuda(index), note: None })),
            Err(error) => {
                let done = attempt(Device::Cpu)?;
                Ok((done, cpu_instead(requested, error.into_reason())?))
            }
        },
    }
}

fn cpu_instead(requested: Device, reason: String) -> Result<Provider, DeviceError> {
    match requested {
        Device::Cuda(_) => Err(DeviceError { device: requested, reason }),
        Device::Auto | Device::Cpu => Ok(Provider { requested, actual: Device::Cpu, note: Some(reason) }),
    }
}

/// Options of ONNX Runtime: names and values.
pub(super) type Config = &'static [(&'static str, &'static str)];

/// Builds a session of `model` on a settled device ([`Device::Auto`] counts as the CPU).
///
/// # Errors
/// When the model cannot be loaded there.
pub(super) fn open(runtime: &Runtime, model: &ModelFile, device: Device) -> Result<Session, ModelError> {
    open_with(runtime, model, device, &[])
}

/// [`open`], with options besides the usual ones.
///
/// # Errors
/// When the model cannot be loaded there.
pub(super) fn open_with(
    runtime: &Runtime,
    model: &ModelFile,
    device: Device,
    config: Config,
) -> Result<Session, ModelError> {
    build(runtime, model, device, config).map_err(|error| classify(model.path(), &error))
}

/// A failed `with_*` returns the builder inside its error, which can be neither sent nor shared: `?` drops it here.
fn build(runtime: &Runtime, model: &ModelFile, device: Device, config: Config) -> ort::Result<Session> {
    let mut builder = Session::builder(runtime.environment())?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        // One thread per session and as many sessions as threads: see ARCHITECTURE.md. A spinning pool would halve
        // throughput where cores are shared.
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?;
    for file in model.weights().iter() {
        builder = builder.with_external_initializer_file_in_memory(&file.location, file.bytes.clone())?;
    }
    // What was not read with the model is not looked for elsewhere, such as in the working directory.
    builder = builder.with_config_entry("session.model_external_initializers_file_folder_path", NOWHERE)?;
    for (name, value) in config {
        builder = builder.with_config_entry(name, value)?;
    }
    if let Device::Cuda(index) = device {
        builder = builder.with_execution_providers([cuda_provider(index)])?;
    }
    builder.commit_from_memory(model.bytes())
}

fn classify(path: &Path, error: &ort::Error) -> ModelError {
    let (path, reason) = (path.to_path_buf(), one_line(error.message()));
    if reason.to_lowercase().contains("external") {
        return ModelError::ExternalData { path, reason };
    }
    match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => ModelError::NotOnnx { path, reason },
        _ => ModelError::Unsupported { path, reason },
    }
}
