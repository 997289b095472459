//! One loaded network on one device: the only place where sessions are built.

use std::path::Path;

use ort::{
    ErrorCode,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{
    device::{Device, one_line},
    gpu::{EnginePlan, GpuOptions, compiled_in, providers},
    model::ModelFile,
    refusal::ModelError,
    runtime::Runtime,
};

/// A folder that is not there.
const NOWHERE: &str = "/dev/null/none";

/// Options of ONNX Runtime: names and values.
pub(super) type Config = &'static [(&'static str, &'static str)];

/// Where and how sessions are built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) device: Device,
    pub(super) gpu: &'a GpuOptions,
    pub(super) plan: &'a EnginePlan,
    /// Besides the usual ones.
    pub(super) config: Config,
}

/// Builds a session of `model` on the CPU.
///
/// # Errors
/// When the model cannot be loaded there.
pub(super) fn open_on_cpu(runtime: &Runtime, model: &ModelFile) -> Result<Session, ModelError> {
    let (gpu, plan) = (&GpuOptions::default(), &EnginePlan::default());
    Site { runtime, device: Device::Cpu, gpu, plan, config: &[] }.open(model)
}

impl Site<'_> {
    /// Builds a session of `model`.
    ///
    /// # Errors
    /// When the model cannot be loaded there, or the library knows no such device.
    pub(super) fn open(&self, model: &ModelFile) -> Result<Session, ModelError> {
        compiled_in(self.runtime, self.device)
            .map_err(|reason| ModelError::Unsupported { path: model.path().to_path_buf(), reason })?;
        self.build(model).map_err(|error| classify(model.path(), &error))
    }

    /// A failed `with_*` returns the builder inside its error, which can be neither sent nor shared: `?` drops it here.
    fn build(&self, model: &ModelFile) -> ort::Result<Session> {
        let mut builder = Session::builder(self.runtime.environment())?
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
        for (name, value) in self.config {
            builder = builder.with_config_entry(name, value)?;
        }
        let providers = providers(self.device, self.gpu, self.plan);
        if !providers.is_empty() {
            builder = builder.with_execution_providers(providers)?;
        }
        builder.commit_from_memory(model.bytes())
    }
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
