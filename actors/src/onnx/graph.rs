//! ONNX models as graphs: read whole, changed, written again.
//!
//! Low to high: `messages` (the format), `tensor` (numbers in and out of tensors), `edit` (nodes, names, renaming). What is
//! not changed is written as it was read. Weights are not copied when a model is read: they stay slices of the file's bytes.
//!
//! Every model that comes is first looked at by `proto`, which knows so little of the format that a hostile file cannot make it
//! take much memory. Only a model that is to be changed is read whole, best after ONNX Runtime, which reads it whole as well,
//! has taken it.

mod edit;
mod messages;
mod tensor;

use prost::{Message as _, bytes::Bytes};

#[cfg(test)]
pub(super) use self::messages::OperatorSet;
pub(super) use self::{
    edit::Names,
    messages::{Attribute, AttributeKind, Dimension, Entry, Graph, Model, Node, Size, Tensor, ValueInfo},
    tensor::Element,
};
use super::{model::ModelFile, refusal::ModelError};

/// `model` without what its file notes about types and shapes of values within.
///
/// # Errors
/// With a sentence, when it cannot be changed.
pub(super) fn without_types(model: &ModelFile) -> Result<ModelFile, String> {
    let mut changed = model.graph()?;
    changed.graph.as_mut().ok_or("it holds no graph")?.forget_types();
    model.with_graph(&changed).map_err(ModelError::into_reason)
}

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;
/// Most bytes of a model that ONNX Runtime reads: the limit of the format.
const MOST_BYTES: usize = i32::MAX as usize;

impl ModelFile {
    /// The model as a graph. Weights that it keeps in other files are brought in, so that the graph is complete by itself.
    ///
    /// # Errors
    /// When it is no complete ONNX model, or a weight is not where it should be.
    pub(super) fn graph(&self) -> Result<Model, String> {
        let bytes = Bytes::from_owner(self.shared_bytes());
        let mut model = Model::decode(bytes).map_err(|error| error.to_string())?;
        let graph = model.graph.as_mut().ok_or("it holds no graph")?;
        for tensor in &mut graph.initializers {
            self.bring_in(tensor)?;
        }
        Ok(model)
    }

    /// The same model, by the name of this one, with another graph.
    ///
    /// # Errors
    /// When it has become larger than the format allows.
    pub(super) fn with_graph(&self, model: &Model) -> Result<Self, ModelError> {
        let length = model.encoded_len();
        if length > MOST_BYTES {
            return Err(ModelError::TooLarge {
                path: self.path().to_owned(),
                bytes: length as u64,
                limit: MOST_BYTES as u64,
            });
        }
        Self::from_bytes(self.path(), model.encode_to_vec())
    }

    /// Replaces what says where a weight is by the weight.
    fn bring_in(&self, tensor: &mut Tensor) -> Result<(), String> {
        if tensor.data_location != Some(EXTERNAL) && tensor.external_data.is_empty() {
            return Ok(());
        }
        let external = super::proto::external(tensor.name(), |key| tensor.entry(key))?;
        let name = &external.tensor;
        let file = self.weights().iter().find(|file| file.location == external.location);
        let file = file.ok_or_else(|| format!("tensor `{name}` is in `{}`, which was not read", external.location))?;
        let needed = tensor.byte_len()?;
        let begin = usize::try_from(external.offset).ok();
        let end = begin.and_then(|begin| begin.checked_add(needed)).filter(|&end| end <= file.bytes.len());
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(format!("tensor `{name}` needs {needed} bytes of `{}`, which is too short", file.location));
        };
        tensor.raw_data = Some(Bytes::from_owner(file.bytes.clone()).slice(begin..end));
        tensor.external_data.clear();
        tensor.data_location = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
