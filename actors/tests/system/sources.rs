//! Sources whose models depend on the version that the file's name ends in.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use selfplay_actors::{
    loader::{LoadFailure, LoadedModel, ModelSource},
    onnx::ModelFile,
};
use selfplay_engine::{
    Evaluations, Evaluator, Game, Leaf,
    evaluation::{EvaluateError, HashEvaluator, HashPriors},
    games::quoridor::QuoridorEncoding,
};

use crate::support::ENCODING;

/// The evaluator of a version: any two disagree everywhere.
pub(crate) fn model<G: Game<Encoding = QuoridorEncoding>>(game: &G, version: i64) -> HashEvaluator<G> {
    HashEvaluator::new(game.clone(), ENCODING, HashPriors::Ratio, (version as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// `model_12.onnx` is version 12, evaluated by [`model`]. Panics once over each version that is told to.
pub(crate) struct Versions<G> {
    pub(crate) game: G,
    pub(crate) threads: usize,
    pub(crate) panics_once_over: Vec<i64>,
}

impl<G: Game<Encoding = QuoridorEncoding>> ModelSource<G> for Versions<G> {
    fn load(&mut self, model: &ModelFile) -> Result<LoadedModel<G>, LoadFailure> {
        let stem = model.path().file_stem().unwrap().to_str().unwrap();
        let version = stem.strip_prefix("model_").unwrap().parse().unwrap();
        if let Some(place) = self.panics_once_over.iter().position(|&other| other == version) {
            self.panics_once_over.remove(place);
            panic!("as planned: version {version}");
        }
        let evaluator = || Box::new(self::model(&self.game, version)) as Box<dyn Evaluator<G>>;
        Ok(LoadedModel {
            evaluators: (0..self.threads).map(|_| evaluator()).collect(),
            encoding: ENCODING,
            description: format!("version {version}"),
        })
    }
}

/// The hash evaluator, but every so-many-th batch of all its threads panics or fails.
pub(crate) struct Shaky<G> {
    pub(crate) game: G,
    pub(crate) threads: usize,
    pub(crate) panic_every: u64,
    pub(crate) fail_every: u64,
}

struct ShakyEvaluator<G: Game> {
    inner: HashEvaluator<G>,
    batches: Arc<AtomicU64>,
    panic_every: u64,
    fail_every: u64,
}

impl<G: Game<Encoding = QuoridorEncoding>> ModelSource<G> for Shaky<G> {
    fn load(&mut self, _: &ModelFile) -> Result<LoadedModel<G>, LoadFailure> {
        let batches = Arc::new(AtomicU64::new(0));
        let evaluator = || -> Box<dyn Evaluator<G>> {
            Box::new(ShakyEvaluator {
                inner: HashEvaluator::new(self.game.clone(), ENCODING, HashPriors::Ratio, 0),
                batches: batches.clone(),
                panic_every: self.panic_every,
                fail_every: self.fail_every,
            })
        };
        let evaluators = (0..self.threads).map(|_| evaluator()).collect();
        Ok(LoadedModel { evaluators, encoding: ENCODING, description: "shaky".to_owned() })
    }
}

impl<G: Game> Evaluator<G> for ShakyEvaluator<G> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(!batch.is_multiple_of(self.panic_every), "as planned: batch {batch}");
        if batch.is_multiple_of(self.fail_every) {
            return Err(EvaluateError::Backend(format!("batch {batch}")));
        }
        self.inner.evaluate(leaves, out)
    }
}

/// No model can be loaded.
pub(crate) struct Nothing(pub(crate) LoadFailure);

impl<G: Game> ModelSource<G> for Nothing {
    fn load(&mut self, _: &ModelFile) -> Result<LoadedModel<G>, LoadFailure> {
        Err(self.0.clone())
    }
}
