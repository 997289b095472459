//! One loaded network on one device: the only place where sessions are built.

use std::{borrow::Cow, path::Path};

use ort::{
    ErrorCode,
    session::{Session, builder::GraphOptimizationLevel},
};

use super::{
    device::{Device, one_line},
    gpu::{EnginePlan, GpuOptions, compiled_in, providers},
    model::ModelFile,
    openvino,
    precision::Precision,
    refusal::ModelError,
    runtime::{Runtime, complaint},
};

/// A folder that is not there.
const NOWHERE: &str = "/dev/null/none";

/// Matrix products in bfloat16, inputs and outputs in f32: of ONNX Runtime's own kernels.
const FAST_MATH: (&str, &str) = ("mlas.enable_gemm_fastmath_arm64_bfloat16", "1");

/// Whether a node that no provider takes is an error, rather than run by ONNX Runtime's own kernels.
const NO_FALLBACK: (&str, &str) = ("session.disable_cpu_ep_fallback", "1");

/// Where and how sessions are built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Site<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) device: Device,
    pub(super) gpu: &'a GpuOptions,
    pub(super) plan: &'a EnginePlan,
    /// What is computed with, where the graph does not tell: inputs, outputs and weights stay as they are.
    pub(super) precision: Precision,
}

/// Builds a session of `model` on the CPU.
///
/// # Errors
/// When the model cannot be loaded there.
pub(super) fn open_on_cpu(runtime: &Runtime, model: &ModelFile) -> Result<Session, ModelError> {
    let (gpu, plan) = (&GpuOptions::default(), &EnginePlan::default());
    Site { runtime, device: Device::Cpu, gpu, plan, precision: Precision::Fp32 }.open(model)
}

impl Site<'_> {
    /// Builds a session of `model`.
    ///
    /// # Errors
    /// When the model cannot be loaded there, or the library knows no such device.
    pub(super) fn open(&self, model: &ModelFile) -> Result<Session, ModelError> {
        compiled_in(self.runtime, self.device)
            .map_err(|reason| ModelError::Unsupported { path: model.path().to_path_buf(), reason })?;
        let model = self.readable(model)?;
        complaint();
        self.build(&model).map_err(|error| classify(model.path(), self.device, &error))
    }

    /// OpenVINO reads weights from the graph or from disk, never from memory.
    fn readable<'m>(&self, model: &'m ModelFile) -> Result<Cow<'m, ModelFile>, ModelError> {
        if !matches!(self.device, Device::OpenVino(_)) || model.weights().is_empty() {
            return Ok(Cow::Borrowed(model));
        }
        let unsupported = |reason| ModelError::Unsupported { path: model.path().to_path_buf(), reason };
        model.graph().map_err(unsupported).and_then(|graph| model.with_graph(&graph)).map(Cow::Owned)
    }

    /// A failed `with_*` returns the builder inside its error, which can be neither sent nor shared: `?` drops it here.
    fn build(&self, model: &ModelFile) -> ort::Result<Session> {
        let mut builder = Session::builder(self.runtime.environment())?
            .with_optimization_level(self.optimization())?
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
        if let Some((name, value)) = self.config() {
            builder = builder.with_config_entry(name, value)?;
        }
        let providers = providers(self.device, self.precision, self.gpu, self.plan);
        if !providers.is_empty() {
            builder = builder.with_execution_providers(providers)?;
        }
        builder.commit_from_memory(model.bytes())
    }

    /// OpenVINO wants the graph as it was written.
    const fn optimization(&self) -> GraphOptimizationLevel {
        match self.device {
            Device::OpenVino(_) => GraphOptimizationLevel::Disable,
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => GraphOptimizationLevel::Level3,
        }
    }

    /// Options of ONNX Runtime besides the usual ones.
    fn config(&self) -> Option<(&'static str, &'static str)> {
        match (self.device, self.precision) {
            (Device::OpenVino(_), _) => Some(NO_FALLBACK),
            (Device::Cpu, Precision::Bf16) => Some(FAST_MATH),
            _ => None,
        }
    }
}

fn classify(path: &Path, device: Device, error: &ort::Error) -> ModelError {
    let (path, reason) = (path.to_path_buf(), one_line(error.message()));
    if let Device::OpenVino(on) = device {
        return ModelError::Unsupported { path, reason: openvino::explained(on, reason, complaint()) };
    }
    if reason.to_lowercase().contains("external") {
        return ModelError::ExternalData { path, reason };
    }
    match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => ModelError::NotOnnx { path, reason },
        _ => ModelError::Unsupported { path, reason },
    }
}
