//! Sources whose models depend on the version that the file's name ends in.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
};

use selfplay_actors::loader::{LoadFailure, LoadedModel, ModelSource};
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
    fn load(&mut self, path: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let version = stem.strip_prefix("model_").unwrap().parse().unwrap();
        if let Some(place) = self.panics_once_over.iter().position(|&other| other == version) {
            self.panics_once_over.remove(place);
            panic!("as planned: version {version}");
        }
        let evaluator = || Box::new(model(&self.game, version)) as Box<dyn Evaluator<G>>;
        Ok(LoadedModel {
            evaluators: (0..self.threads).map(|_| evaluator()).collect(),
            encoding: ENCODING,
            description: format!("version {version}"),
        })
    }
}

/// The hash evaluator, but some batches of all its threads, counted from 1, panic or fail.
pub(crate) struct Shaky<G> {
    pub(crate) game: G,
    pub(crate) threads: usize,
    pub(crate) panics: &'static [u64],
    pub(crate) fails: &'static [u64],
    /// From this one on every batch fails.
    pub(crate) fails_from: u64,
}

struct ShakyEvaluator<G: Game> {
    inner: HashEvaluator<G>,
    batches: Arc<AtomicU64>,
    panics: &'static [u64],
    fails: &'static [u64],
    fails_from: u64,
}

impl<G: Game<Encoding = QuoridorEncoding>> ModelSource<G> for Shaky<G> {
    fn load(&mut self, _: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        let batches = Arc::new(AtomicU64::new(0));
        let evaluator = || -> Box<dyn Evaluator<G>> {
            Box::new(ShakyEvaluator {
                inner: HashEvaluator::new(self.game.clone(), ENCODING, HashPriors::Ratio, 0),
                batches: batches.clone(),
                panics: self.panics,
                fails: self.fails,
                fails_from: self.fails_from,
            })
        };
        let evaluators = (0..self.threads).map(|_| evaluator()).collect();
        Ok(LoadedModel { evaluators, encoding: ENCODING, description: "shaky".to_owned() })
    }
}

impl<G: Game> Evaluator<G> for ShakyEvaluator<G> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let batch = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(!self.panics.contains(&batch), "as planned: batch {batch}");
        if self.fails.contains(&batch) || batch >= self.fails_from {
            return Err(EvaluateError::Backend(format!("batch {batch}")));
        }
        self.inner.evaluate(leaves, out)
    }
}

/// The hash evaluator, or a source of it, that does not return once it is told to hang: until the sender is dropped.
pub(crate) struct Stuck<G: Game> {
    pub(crate) inner: HashEvaluator<G>,
    pub(crate) hangs: Arc<AtomicBool>,
    pub(crate) until: Arc<Mutex<mpsc::Receiver<()>>>,
    pub(crate) in_load: bool,
}

impl<G: Game> Stuck<G> {
    fn hang(&self) {
        if self.hangs.load(Ordering::Relaxed) {
            self.until.lock().unwrap().recv().ok();
        }
    }
}

impl<G: Game<Encoding = QuoridorEncoding>> ModelSource<G> for Stuck<G> {
    fn load(&mut self, _: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        if self.in_load {
            self.hang();
        }
        let (inner, hangs, until) = (self.inner.clone(), self.hangs.clone(), self.until.clone());
        let evaluator = Box::new(Self { inner, hangs, until, in_load: false });
        Ok(LoadedModel { evaluators: vec![evaluator], encoding: ENCODING, description: "stuck".to_owned() })
    }
}

impl<G: Game> Evaluator<G> for Stuck<G> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        self.hang();
        self.inner.evaluate(leaves, out)
    }
}

/// No model can be loaded.
pub(crate) struct Nothing(pub(crate) LoadFailure);

impl<G: Game> ModelSource<G> for Nothing {
    fn load(&mut self, _: &Path) -> Result<LoadedModel<G>, LoadFailure> {
        Err(self.0.clone())
    }
}
