//! Positions in, logits and values out: one session with the memory of its input. Belongs to one thread.

use std::sync::Arc;

use ort::{
    session::{RunOptions, Session, SessionOutputs},
    value::TensorRef,
};
use selfplay_engine::evaluation::EvaluateError;

use super::{
    binding::{Bound, Memory, OutputShapes, Row, Rows},
    buckets::BatchBuckets,
    device::one_line,
    model::{ModelFile, WeightFile},
    ports::{Head, Ports},
    upon::Upon,
};

/// One loaded network and the memory of its input. Positions are written into [`Network::rows_mut`] and read from there by
/// ONNX Runtime; outputs are read where ONNX Runtime has put them. Nothing is copied on a CPU.
#[derive(Debug)]
pub struct Network {
    /// Memory that the session may have given, the session, and weights that it may use for as long as it lives.
    loaded: Upon<Room, Upon<Session, Arc<[WeightFile]>>>,
    row: Row,
    ports: Ports,
    policy_len: usize,
    max_batch: usize,
    buckets: BatchBuckets,
}

/// The memory of a network's input.
#[derive(Debug)]
enum Room {
    /// Ours, of `max_batch` rows, handed over at each run; outputs are ONNX Runtime's.
    Plain(Numbers),
    /// For every bucket its own, outputs as well; ascending.
    Bound(Vec<Bound>),
}

#[derive(Debug)]
enum Numbers {
    Planes(Vec<f32>),
    Packed(Vec<u8>),
}

impl Network {
    /// A network whose session, of `model`, takes rows as `row` says and gives `policy_len` logits for each, by the names of `ports`. The largest
    /// bucket, if there is one, replaces a smaller `max_batch` (0 counts as 1).
    pub(super) fn new(
        session: Session,
        model: &ModelFile,
        row: Row,
        (ports, policy_len): (Ports, usize),
        max_batch: usize,
        buckets: BatchBuckets,
    ) -> Self {
        let max_batch = max_batch.max(1).max(buckets.max().unwrap_or(1));
        let room = Room::Plain(match row {
            Row::Planes(_) => Numbers::Planes(vec![0.0; max_batch * row.len()]),
            Row::Packed(_) => Numbers::Packed(vec![0; max_batch * row.len()]),
        });
        let loaded = Upon { top: room, base: Upon { top: session, base: model.weights().clone() } };
        Self { loaded, row, ports, policy_len, max_batch, buckets }
    }

    /// Binds memory for every bucket to the session, once and for all; where there is no bucket for the largest batch, it
    /// becomes one.
    ///
    /// # Errors
    /// When the network does not run, or there is not enough memory.
    pub(super) fn bind(&mut self, memory: &Memory) -> Result<(), EvaluateError> {
        self.buckets = BatchBuckets::new(self.buckets.sizes().iter().copied().chain([self.max_batch]));
        let outputs = self.output_shapes(memory)?;
        let numbered = self.buckets.sizes().iter().zip(1..);
        let bound = numbered.map(|(&batch, number)| {
            Bound::new(&self.loaded.base.top, memory, (batch, number), (&self.row, &outputs, &self.ports))
                .map_err(backend)
        });
        self.loaded.top = Room::Bound(bound.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Found by running the smallest bucket: a model may leave open what it gives.
    fn output_shapes(&mut self, memory: &Memory) -> Result<OutputShapes, EvaluateError> {
        let (batch, policy_len, ports) = (self.buckets.fit(1), self.policy_len, &self.ports);
        let mut options = RunOptions::new().map_err(backend)?;
        // Not to be captured where launches are, as its addresses do not stay.
        options.set("gpu_graph_id", "-1").map_err(backend)?;
        let options = memory.graphs.then_some(&options);
        let outputs =
            run_plain((&self.loaded.top, &self.row), &mut self.loaded.base.top, batch, options).map_err(backend)?;
        let row = |name: &str, len| {
            let (shape, _) = output(&outputs, name, batch, len)?;
            Ok(shape.get(1..).unwrap_or_default().to_vec())
        };
        Ok(OutputShapes { logits: row(&ports.policy, policy_len)?, value: row(&ports.value, ports.head.len())? })
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

    /// Numbers or bytes of one position in the input.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.row.len()
    }

    /// Logits of one position.
    #[must_use]
    pub const fn policy_len(&self) -> usize {
        self.policy_len
    }

    /// What its numbers for the outcome mean.
    #[must_use]
    pub const fn head(&self) -> Head {
        self.ports.head
    }

    /// The names of what is used of the model.
    pub(super) const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The input of the next run of `batch` positions: position `i` is at `i * row_len()`, C order. Keeps what was written
    /// before. Panics when `batch` is above [`Network::max_batch`].
    ///
    /// # Errors
    /// When the memory of a device cannot be reached.
    pub fn rows_mut(&mut self, batch: usize) -> Result<Rows<'_>, EvaluateError> {
        assert!(batch <= self.max_batch, "a batch of {batch} positions, at most {} are allowed", self.max_batch);
        match &mut self.loaded.top {
            Room::Plain(Numbers::Planes(rows)) => Ok(Rows::Planes(rows)),
            Room::Plain(Numbers::Packed(rows)) => Ok(Rows::Packed(rows)),
            Room::Bound(bound) => bound_for(bound, batch)?.rows().map_err(backend),
        }
    }

    /// Whether [`Network::rows_mut`] is the same memory for all batches, in which stays what was written.
    pub(super) const fn keeps_rows(&self) -> bool {
        matches!(self.loaded.top, Room::Plain(_))
    }

    /// Runs the network on the first `batch` rows of the input and hands `read` the logits (`batch` × [`Network::policy_len`],
    /// network frame, softmax not taken) and its numbers for the outcome (`batch` × 1 or 3 as [`Network::head`] says, view of the
    /// side to move) as the network gave them.
    ///
    /// The batch is padded to its bucket with whatever rows follow. Panics when `batch` is above [`Network::max_batch`].
    ///
    /// # Errors
    /// When ONNX Runtime fails or gives outputs of another size.
    pub fn run<R>(&mut self, batch: usize, read: impl FnOnce(&[f32], &[f32]) -> R) -> Result<R, EvaluateError> {
        let (policy_len, value_len) = (self.policy_len, self.ports.head.len());
        if let Room::Bound(bound) = &mut self.loaded.top {
            let (logits, values) = bound_for(bound, batch)?.run(&mut self.loaded.base.top).map_err(backend)?;
            return Ok(read(&logits[..batch * policy_len], &values[..batch * value_len]));
        }
        let run = self.buckets.fit(batch);
        let outputs =
            run_plain((&self.loaded.top, &self.row), &mut self.loaded.base.top, run, None).map_err(backend)?;
        let (_, logits) = output(&outputs, &self.ports.policy, run, policy_len)?;
        let (_, values) = output(&outputs, &self.ports.value, run, value_len)?;
        Ok(read(&logits[..batch * policy_len], &values[..batch * value_len]))
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

/// Runs `session` on the first `batch` rows of a room of ours.
fn run_plain<'a>(
    (room, row): (&'a Room, &Row),
    session: &'a mut Session,
    batch: usize,
    options: Option<&'a RunOptions>,
) -> ort::Result<SessionOutputs<'a>> {
    let (dims, len) = (row.dims(batch), batch * row.len());
    let Room::Plain(numbers) = room else {
        return Err(ort::Error::new("the input is bound"));
    };
    let inputs = match numbers {
        Numbers::Planes(rows) => ort::inputs![TensorRef::from_array_view((&dims[..], &rows[..len]))?],
        Numbers::Packed(rows) => ort::inputs![TensorRef::from_array_view((&dims[..], &rows[..len]))?],
    };
    match options {
        None => session.run(inputs),
        Some(options) => session.run_with_options(inputs, options),
    }
}

/// The smallest that holds `batch` positions.
fn bound_for(bound: &mut [Bound], batch: usize) -> Result<&mut Bound, EvaluateError> {
    let next = bound.partition_point(|bound| bound.batch() < batch);
    let missing = || EvaluateError::Backend(format!("there is no memory for a batch of {batch}"));
    bound.get_mut(next).ok_or_else(missing)
}

fn output<'a>(
    outputs: &'a SessionOutputs<'_>,
    name: &str,
    batch: usize,
    row_len: usize,
) -> Result<(&'a [i64], &'a [f32]), EvaluateError> {
    let missing = || EvaluateError::Backend(format!("there is no output `{name}`"));
    let (shape, data) = outputs.get(name).ok_or_else(missing)?.try_extract_tensor::<f32>().map_err(backend)?;
    if data.len() == batch * row_len {
        return Ok((shape, data));
    }
    let problem = format!("output `{name}` has shape {shape} for a batch of {batch}; expected [{batch}, {row_len}]");
    Err(EvaluateError::Backend(problem))
}

fn backend(error: ort::Error) -> EvaluateError {
    EvaluateError::Backend(one_line(error.message()))
}
