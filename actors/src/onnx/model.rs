//! A model file in memory, and everything that can be wrong with one.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

/// A model file, read once: every session is built from the same bytes, whatever happens to the file meanwhile.
#[derive(Clone, Debug)]
pub struct ModelFile {
    path: PathBuf,
    bytes: Arc<[u8]>,
}

impl ModelFile {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it cannot be read or is empty.
    pub fn read(path: impl Into<PathBuf>) -> Result<Self, ModelError> {
        let path = path.into();
        match fs::read(&path) {
            Ok(bytes) => Self::from_bytes(path, bytes),
            Err(source) => Err(ModelError::Unreadable { path, source }),
        }
    }

    /// A model whose bytes are here already. `path` names it in errors; its folder is where external data is looked for.
    ///
    /// # Errors
    /// When there are no bytes.
    pub fn from_bytes(path: impl Into<PathBuf>, bytes: impl Into<Arc<[u8]>>) -> Result<Self, ModelError> {
        let (path, bytes) = (path.into(), bytes.into());
        if bytes.is_empty() {
            return Err(ModelError::NotOnnx { path, reason: "the file is empty".to_owned() });
        }
        Ok(Self { path, bytes })
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's contents.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

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
    /// The bytes are no ONNX model: empty, cut off, or something else altogether.
    #[error("load model {}: not a complete ONNX model: {reason}", .path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// The model keeps weights in another file, which is not there or cannot be read.
    #[error("load model {}: its external data cannot be read, a single file is expected: {reason}", .path.display())]
    ExternalData {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
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
    #[error(
        "model {} has {found}; expected the input `input` and the outputs `policy_logits` and `value`", .path.display()
    )]
    Names {
        /// The file.
        path: PathBuf,
        /// The model's inputs and outputs.
        found: String,
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
        port: &'static str,
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
        /// Positions tried: the start position and some of the first plies.
        tried: usize,
    },
}

impl ModelError {
    /// ONNX Runtime's words where there are some, without the model's name.
    pub(super) fn into_reason(self) -> String {
        match self {
            Self::NotOnnx { reason, .. }
            | Self::ExternalData { reason, .. }
            | Self::Unsupported { reason, .. }
            | Self::Run { reason, .. } => reason,
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_an_empty_file_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let missing = crate::writer::with_sources(&ModelFile::read(&path).unwrap_err());
        assert!(missing.starts_with(&format!("read model {}: No such file", path.display())), "{missing}");
        fs::write(&path, "").unwrap();
        let empty = ModelFile::read(&path).unwrap_err().to_string();
        let expected = format!("load model {}: not a complete ONNX model: the file is empty", path.display());
        assert_eq!(empty, expected);
    }
}
