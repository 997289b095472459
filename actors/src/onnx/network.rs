//! Planes in, logits and values out: one session with its input buffer. Belongs to one thread.

use std::sync::Arc;

use ort::{
    session::{Session, SessionOutputs},
    value::TensorRef,
};
use selfplay_engine::evaluation::EvaluateError;

use super::{
    buckets::BatchBuckets,
    device::one_line,
    model::{ModelFile, WeightFile},
    signature::{POLICY, VALUE},
};

/// One loaded network and the memory of its input. Positions are written into [`Network::rows_mut`] and read from there by
/// ONNX Runtime; outputs are read where ONNX Runtime has put them. Nothing is copied on a CPU.
#[derive(Debug)]
pub struct Network {
    session: Session,
    /// ONNX Runtime may use this memory for as long as the session lives.
    _weights: Arc<[WeightFile]>,
    /// `max_batch` rows.
    input: Vec<f32>,
    /// Batch size of the current run, then the shape of one position.
    dims: Vec<i64>,
    row_len: usize,
    policy_len: usize,
    max_batch: usize,
    buckets: BatchBuckets,
}

impl Network {
    /// A network whose session, of `model`, takes rows of shape `row` and gives `policy_len` logits for each. The largest bucket, if there is
    /// one, replaces a smaller `max_batch` (0 counts as 1).
    pub(super) fn new(
        session: Session,
        model: &ModelFile,
        row: &[usize],
        policy_len: usize,
        max_batch: usize,
        buckets: BatchBuckets,
    ) -> Self {
        let max_batch = max_batch.max(1).max(buckets.max().unwrap_or(1));
        let row_len = row.iter().product();
        let dims = std::iter::once(0).chain(row.iter().map(|&size| size as i64)).collect();
        let (input, weights) = (vec![0.0; max_batch * row_len], model.weights().clone());
        Self { session, _weights: weights, input, dims, row_len, policy_len, max_batch, buckets }
    }

    /// The largest batch of one run.
    #[must_use]
    pub const fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// Rows that a run of `batch` positions is padded with.
    #[must_use]
    pub fn padding(&self, batch: usize) -> usize {
        self.buckets.fit(batch) - batch
    }

    /// Numbers in one encoded position.
    #[must_use]
    pub const fn row_len(&self) -> usize {
        self.row_len
    }

    /// Logits of one position.
    #[must_use]
    pub const fn policy_len(&self) -> usize {
        self.policy_len
    }

    /// The input of the next run: position `i` is at `i * row_len()`, C order. Room for [`Network::max_batch`] positions; keeps
    /// what was written before.
    pub fn rows_mut(&mut self) -> &mut [f32] {
        &mut self.input
    }

    /// Runs the network on the first `batch` rows of the input and hands `read` the logits (`batch` × [`Network::policy_len`],
    /// network frame, softmax not taken) and the values (`batch`, view of the side to move) as the network gave them.
    ///
    /// The batch is padded to its bucket with whatever rows follow. Panics when `batch` is above [`Network::max_batch`].
    ///
    /// # Errors
    /// When ONNX Runtime fails or gives outputs of another size.
    pub fn run<R>(&mut self, batch: usize, read: impl FnOnce(&[f32], &[f32]) -> R) -> Result<R, EvaluateError> {
        let run = self.buckets.fit(batch);
        let policy_len = self.policy_len;
        let outputs = self.run_padded(run).map_err(backend)?;
        let logits = output(&outputs, POLICY, run, policy_len)?;
        let values = output(&outputs, VALUE, run, 1)?;
        Ok(read(&logits[..batch * policy_len], &values[..batch]))
    }

    fn run_padded(&mut self, batch: usize) -> ort::Result<SessionOutputs<'_>> {
        self.dims[0] = batch as i64;
        let rows = &self.input[..batch * self.row_len];
        let input = TensorRef::from_array_view((&self.dims[..], rows))?;
        self.session.run(ort::inputs![input])
    }

    /// Runs every bucket once, a single position where there are none, so that the first real batch finds everything prepared.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn warm(&mut self) -> Result<(), EvaluateError> {
        let sizes = if self.buckets.sizes().is_empty() { vec![1] } else { self.buckets.sizes().to_vec() };
        sizes.into_iter().try_for_each(|size| self.run(size, |_, _| ()))
    }
}

fn output<'a>(
    outputs: &'a SessionOutputs<'_>,
    name: &str,
    batch: usize,
    row_len: usize,
) -> Result<&'a [f32], EvaluateError> {
    let missing = || EvaluateError::Backend(format!("there is no output `{name}`"));
    let (shape, data) = outputs.get(name).ok_or_else(missing)?.try_extract_tensor::<f32>().map_err(backend)?;
    if data.len() == batch * row_len {
        return Ok(data);
    }
    let problem = format!("output `{name}` has shape {shape} for a batch of {batch}; expected [{batch}, {row_len}]");
    Err(EvaluateError::Backend(problem))
}

fn backend(error: ort::Error) -> EvaluateError {
    EvaluateError::Backend(one_line(error.message()))
}
