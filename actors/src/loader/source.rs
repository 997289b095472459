//! What turns a model file into evaluators, one per inference thread.

use std::path::Path;

use selfplay_engine::{
    Evaluator, Game,
    evaluation::{HashEvaluator, HashPriors, UniformEvaluator},
};

use crate::{
    onnx::{LoadError, LoadOptions, ModelFile, Runtime, load_evaluators},
    writer::with_sources,
};

/// A model that is checked and warm.
pub struct LoadedModel<G: Game> {
    /// One per inference thread.
    pub evaluators: Vec<Box<dyn Evaluator<G>>>,
    /// How it wants positions laid out.
    pub encoding: G::Encoding,
    /// Where it came from and what it runs on, for people.
    pub description: String,
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadFailure {
    /// This model cannot be used; another may.
    Refused(String),
    /// No model can be used: the device demanded is not there.
    Impossible(String),
}

/// Loads models. Called on the loader's thread; may block.
pub trait ModelSource<G: Game>: Send {
    /// Loads and checks the model in the file `path`.
    ///
    /// # Errors
    /// When it cannot be used, with a sentence that says why.
    fn load(&mut self, path: &Path) -> Result<LoadedModel<G>, LoadFailure>;
}

/// ONNX models, run by ONNX Runtime.
pub struct OnnxSource<G: Game> {
    runtime: Runtime,
    game: G,
    options: LoadOptions,
}

impl<G: Game> OnnxSource<G> {
    /// Models for `game`, loaded as `options` say.
    pub fn new(runtime: Runtime, game: G, options: LoadOptions) -> Self {
        Self { runtime, game, options }
    }
}

impl<G: Game> ModelSource<G> for OnnxSource<G> {
    fn load(&mut self, path: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        let refused = |error: &dyn std::error::Error| LoadFailure::Refused(with_sources(error));
        let file = ModelFile::read(path).map_err(|error| refused(&error))?;
        let loaded = load_evaluators(&self.runtime, &self.game, &file, &self.options).map_err(|error| match error {
            LoadError::Device(error) => LoadFailure::Impossible(with_sources(&error)),
            error @ LoadError::Model(_) => refused(&error),
        })?;
        let description = format!(
            "{} ({} input, on {})",
            path.display(),
            self.game.encoding_name(loaded.encoding),
            loaded.provider.actual
        );
        let boxed = |evaluator| Box::new(evaluator) as Box<dyn Evaluator<G>>;
        Ok(LoadedModel {
            evaluators: loaded.evaluators.into_iter().map(boxed).collect(),
            encoding: loaded.encoding,
            description,
        })
    }
}

/// Which deterministic evaluator takes the network's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntheticEvaluator {
    /// [`UniformEvaluator`].
    Uniform,
    /// [`HashEvaluator`].
    Hash,
}

/// Deterministic evaluators for tests and benchmarks: whatever the file, the evaluations are the same.
pub struct SyntheticSource<G: Game> {
    /// Which one.
    pub kind: SyntheticEvaluator,
    /// The rules.
    pub game: G,
    /// How positions are laid out in the games' files, and for the hash.
    pub encoding: G::Encoding,
    /// Inference threads.
    pub threads: usize,
}

impl<G: Game> ModelSource<G> for SyntheticSource<G> {
    fn load(&mut self, _: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        let evaluator = || -> Box<dyn Evaluator<G>> {
            match self.kind {
                SyntheticEvaluator::Uniform => Box::new(UniformEvaluator),
                SyntheticEvaluator::Hash => {
                    Box::new(HashEvaluator::new(self.game.clone(), self.encoding, HashPriors::Ratio, 0))
                }
            }
        };
        Ok(LoadedModel {
            evaluators: (0..self.threads).map(|_| evaluator()).collect(),
            encoding: self.encoding,
            description: format!("the {:?} evaluator, no network", self.kind).to_lowercase(),
        })
    }
}
