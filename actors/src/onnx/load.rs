//! From a model file to evaluators that are checked, tried and warm.

use std::path::Path;

use ort::session::Session;
use selfplay_engine::{
    evaluation::{EvaluateError, Leaf},
    game::{ActionSet, Game},
};
use thiserror::Error;

use super::{
    buckets::BatchBuckets,
    device::{Device, DeviceError, Provider},
    evaluator::OnnxEvaluator,
    model::{ModelError, ModelFile},
    network::Network,
    runtime::Runtime,
    session::{open, settle_device},
    signature::{GameDescription, Layout, Signature},
};

/// Positions a model is tried with before it is used. More than one, so that outputs that forget the batch are noticed.
const PROBE_POSITIONS: usize = 4;

/// Why a model is not used.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The device demanded is not to be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Something is wrong with the model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// How a model is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where it shall run.
    pub device: Device,
    /// Inference threads: this many evaluators are made, at least one.
    pub threads: usize,
    /// Largest batch of one run; more leaves are evaluated in parts.
    pub max_batch: usize,
    /// Batch sizes to pad to. `None`: [`BatchBuckets::geometric`] on CUDA, [`BatchBuckets::none`] on a CPU. A model of fixed
    /// batch size has this size as its only bucket.
    pub buckets: Option<BatchBuckets>,
    /// Names the game in errors.
    pub description: GameDescription,
}

/// A model ready for use.
#[derive(Debug)]
pub struct Loaded<G: Game> {
    /// One per inference thread, each with its own session, all warm.
    pub evaluators: Vec<OnnxEvaluator<G>>,
    /// What was asked for and what they run on.
    pub provider: Provider,
    /// The layout of the input, chosen by the model's own input shape.
    pub encoding: G::Encoding,
    /// The only batch size the model takes; `None` when it takes any.
    pub fixed_batch: Option<usize>,
    /// Largest batch of one run.
    pub max_batch: usize,
}

/// Checks `model` against `game`, tries it on a few positions and makes one evaluator per inference thread. Blocks for as long
/// as that takes: milliseconds on a CPU, seconds for the first model on a GPU.
///
/// # Errors
/// When the model does not fit the game, answers non-finite numbers, or cannot run where it shall.
pub fn load_evaluators<G: Game>(
    runtime: &Runtime,
    game: &G,
    model: &ModelFile,
    options: &LoadOptions,
) -> Result<Loaded<G>, LoadError> {
    let loader = Loader { runtime, game, model, options };
    let ((first, layout), provider) = settle_device(runtime, options.device, |device| loader.first(device))?;
    let mut evaluators = vec![first];
    while evaluators.len() < options.threads {
        let session = open(runtime, model, provider.actual)?;
        evaluators.push(loader.evaluator(session, &layout, provider.actual)?);
    }
    let max_batch = evaluators[0].network_mut().max_batch();
    Ok(Loaded { evaluators, provider, encoding: layout.encoding, fixed_batch: layout.fixed_batch, max_batch })
}

struct Loader<'a, G: Game> {
    runtime: &'a Runtime,
    game: &'a G,
    model: &'a ModelFile,
    options: &'a LoadOptions,
}

impl<G: Game> Loader<'_, G> {
    fn first(&self, device: Device) -> Result<(OnnxEvaluator<G>, Layout<G::Encoding>), ModelError> {
        let session = open(self.runtime, self.model, device)?;
        let signature = Signature::of(&session);
        let layout = signature.layout(self.model.path(), self.game, &self.options.description)?;
        let mut evaluator = self.evaluator(session, &layout, device)?;
        probe(self.model.path(), self.game, &mut evaluator)?;
        Ok((evaluator, layout))
    }

    /// A warm evaluator.
    fn evaluator(
        &self,
        session: Session,
        layout: &Layout<G::Encoding>,
        device: Device,
    ) -> Result<OnnxEvaluator<G>, ModelError> {
        let max_batch = self.options.max_batch.max(1);
        let (max_batch, buckets) = match (layout.fixed_batch, &self.options.buckets, device) {
            (Some(batch), _, _) => (batch, BatchBuckets::new([batch])),
            (None, Some(buckets), _) => (max_batch, buckets.clone()),
            (None, None, Device::Cuda(_)) => (max_batch, BatchBuckets::geometric(max_batch)),
            (None, None, Device::Cpu | Device::Auto) => (max_batch, BatchBuckets::none()),
        };
        let network = Network::new(session, &layout.input, layout.policy, max_batch, buckets);
        let mut evaluator = OnnxEvaluator::new(self.game.clone(), layout.encoding, network);
        evaluator.warm().map_err(|error| failed(self.model.path(), &error))?;
        Ok(evaluator)
    }
}

/// Tries the network on the game's first positions: every number must be finite, those of illegal actions too.
fn probe<G: Game>(path: &Path, game: &G, evaluator: &mut OnnxEvaluator<G>) -> Result<(), ModelError> {
    let leaves = probe_leaves(game);
    let policy_len = game.policy_size();
    let mut count = 0;
    for part in leaves.chunks(evaluator.network_mut().max_batch()) {
        evaluator.encode(part);
        let run = evaluator.network_mut().run(part.len(), |logits, values| {
            let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
            let rows = logits.chunks_exact(policy_len).zip(values);
            rows.filter(|(logits, value)| !finite(logits) || !value.is_finite()).count()
        });
        count += run.map_err(|error| failed(path, &error))?;
    }
    match count {
        0 => Ok(()),
        _ => Err(ModelError::NonFinite { path: path.into(), count, tried: leaves.len() }),
    }
}

/// The start position and those after it when the first legal action is played, then the last, and so on in turn.
fn probe_leaves<G: Game>(game: &G) -> Vec<Leaf<G>> {
    let mut state = game.start();
    let mut leaves = Vec::with_capacity(PROBE_POSITIONS);
    while leaves.len() < PROBE_POSITIONS && game.outcome(&state).is_none() {
        let legal = game.legal_actions(&state);
        leaves.push(Leaf::new(game, &state, &legal));
        let rank = if leaves.len() % 2 == 1 { 0 } else { legal.len() - 1 };
        game.play(&mut state, legal.nth(rank));
    }
    leaves
}

fn failed(path: &Path, error: &EvaluateError) -> ModelError {
    ModelError::Run { path: path.into(), reason: error.to_string() }
}
