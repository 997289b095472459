//! Everything that can be wrong with a model.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::{
    device::Device,
    precision::{Agreement, PrecisionRequest},
};

/// What is wrong with a model, both sides of a mismatch named.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("read model {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file lies where models must not come from.
    #[error("read model {}: it lies at {}, outside model.allowed_roots", .path.display(), .real.display())]
    Origin {
        /// The file, as it was named.
        path: PathBuf,
        /// Where it really is, links followed.
        real: PathBuf,
    },
    /// It and its external data are larger than allowed.
    #[error("read model {}: {bytes} bytes are more than model.max_bytes, {limit}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length, and that of its external data as far as it is known.
        bytes: u64,
        /// The most allowed.
        limit: u64,
    },
    /// The file is not the one that its checksum is of.
    #[error("read model {}: its SHA-256 is {found}, where {expected} was announced", .path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// As announced.
        expected: String,
        /// As computed.
        found: String,
    },
    /// The bytes are no ONNX model: empty, cut off, or something else altogether.
    #[error("load model {}: not a complete ONNX model: {reason}", .path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The model keeps weights in another file, where none may be.
    #[error("load model {}: its external data cannot be used: {reason}", .path.display())]
    ExternalData {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that the model keeps weights in is not there, cannot be read, or is shorter than the graph says.
    #[error("load model {}: its external data is not complete: {reason}", .path.display())]
    WeightsIncomplete {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// There is nothing but zeros in the files that the model keeps weights in.
    #[error("load model {}: its external data is nothing but zeros: space for it is allocated, and not filled", .path.display())]
    WeightsUnfilled {
        /// The file.
        path: PathBuf,
    },
    /// An ONNX model that this ONNX Runtime cannot run: an unknown operator, a newer opset, a graph that contradicts itself.
    #[error("load model {}: {reason}", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// Inputs or outputs are not the ones expected.
    #[error("model {} has {found}; expected {expected}", .path.display())]
    Names {
        /// The file.
        path: PathBuf,
        /// The model's inputs and outputs.
        found: String,
        /// Names that are known.
        expected: String,
    },
    /// An input or output holds something other than 32-bit floats.
    #[error("model {} has `{port}` of type {found}; expected f32", .path.display())]
    ElementType {
        /// The file.
        path: PathBuf,
        /// Name of the input or output.
        port: String,
        /// Its type.
        found: String,
    },
    /// No encoding of the game fits the input.
    #[error("model {} takes input {found}; the settings say {settings}: expected {expected}", .path.display())]
    InputShape {
        /// The file.
        path: PathBuf,
        /// The model's input shape, with what it looks like if that is known.
        found: String,
        /// The caller's description of the game.
        settings: String,
        /// Every input shape that would fit, with the encoding's name.
        expected: String,
    },
    /// An output does not fit the game.
    #[error("model {} gives `{port}` {found}; the settings say {settings}: expected {expected}", .path.display())]
    OutputShape {
        /// The file.
        path: PathBuf,
        /// Name of the output.
        port: String,
        /// Its shape.
        found: String,
        /// The caller's description of the game.
        settings: String,
        /// The shape that would fit.
        expected: String,
    },
    /// The model failed on the positions it was tried with.
    #[error("try model {}: {reason}", .path.display())]
    Run {
        /// The file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The model answered NaN or infinity for positions of this game.
    #[error("try model {}: {count} of {tried} positions are answered with non-finite numbers", .path.display())]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// Positions with such an answer.
        count: usize,
        /// Positions tried, from all stages of a game.
        tried: usize,
    },
    /// The model answers the same batch differently when it is run again.
    #[error(
        "try model {}: run twice, it answers {count} of {tried} positions differently, as dropout in training mode does: \
         call model.eval() before the export",
        .path.display()
    )]
    Unsteady {
        /// The file.
        path: PathBuf,
        /// Positions with another answer.
        count: usize,
        /// Positions tried, from all stages of a game.
        tried: usize,
    },
    /// The model's answers are most likely not what is needed, and `model.strict` makes that a refusal.
    #[error("try model {}: {reason} (model.strict refuses such models)", .path.display())]
    Doubtful {
        /// The file.
        path: PathBuf,
        /// What is doubtful about its answers, and the remedy.
        reason: String,
    },
    /// The model answers a position differently in a large batch.
    #[error(
        "try model {}: alone and in a batch of {batch}, values differ by up to {value:.4} and priors by up to {prior:.4}; \
         model.agreement_tolerance is {tolerance}",
        .path.display()
    )]
    Disagrees {
        /// The file.
        path: PathBuf,
        /// The largest batch.
        batch: usize,
        /// Largest difference between two values of the same position.
        value: f32,
        /// Largest difference between two priors of the same action in the same position.
        prior: f32,
        /// The most allowed for either.
        tolerance: f32,
    },
    /// The model cannot be made to compute with what the settings ask for.
    #[error("convert model {} to {precision}: {reason}", .path.display())]
    Unconvertible {
        /// The file.
        path: PathBuf,
        /// What it was to be converted to.
        precision: PrecisionRequest,
        /// Why it cannot be.
        reason: String,
    },
    /// The model runs with ONNX Runtime's own kernels, and not on the device that it is to serve on.
    #[error("run model {} on {device}: {reason}", .path.display())]
    OnDevice {
        /// The file.
        path: PathBuf,
        /// The device.
        device: Device,
        /// Why not.
        reason: String,
    },
    /// The converted model answers too differently.
    #[error(
        "try model {}: {agreement}; inference.precision_max_kl is {max_kl}, inference.precision_max_value_error is \
         {max_value_error}",
        .path.display()
    )]
    Imprecise {
        /// The file.
        path: PathBuf,
        /// How differently.
        agreement: Box<Agreement>,
        /// The most allowed for the policy of a position.
        max_kl: f64,
        /// The most allowed for the value of a position.
        max_value_error: f64,
    },
}

impl ModelError {
    /// ONNX Runtime's words where there are some, without the model's name.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::NotOnnx { reason, .. }
            | Self::ExternalData { reason, .. }
            | Self::Unsupported { reason, .. }
            | Self::OnDevice { reason, .. }
            | Self::Run { reason, .. } => reason,
            other => other.to_string(),
        }
    }
}
