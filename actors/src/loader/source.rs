//! What turns a model file into evaluators, one per inference thread.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use selfplay_engine::{
    Evaluator, Game,
    evaluation::{HashEvaluator, HashPriors, UniformEvaluator},
};

use super::feed::Candidate;
use crate::{
    changes::ProbeAnswers,
    error_text::with_sources,
    onnx::{
        Device, Head, LoadError, LoadOptions, ModelError, ModelFile, ModelReport, Placement, Runtime, Step, check_model,
    },
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
    /// A file of this model is not there, too short, or cannot be read, which may pass.
    Unreadable(String),
    /// What was read is no model, which it may be the part of: a copy of it may not be finished.
    Unfinished(String),
    /// No model can be used: the device demanded is not there.
    Impossible(String),
}

impl LoadFailure {
    /// Why, for people.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Refused(reason) | Self::Unreadable(reason) | Self::Unfinished(reason) | Self::Impossible(reason) => {
                reason
            }
        }
    }
}

/// Loads models. Called on the loader's thread; may block.
pub trait ModelSource<G: Game>: Send {
    /// Checks and reads a file. What it gives is kept for as long as the model may be needed. Without an implementation, a
    /// model is its path, which is not looked at.
    ///
    /// # Errors
    /// When it cannot be used, with a sentence that says why.
    fn read(&mut self, candidate: &Candidate) -> Result<ModelFile, LoadFailure> {
        Ok(ModelFile::named(&candidate.path))
    }

    /// Files that the model at `path` keeps weights in, there or not; none where that cannot be told.
    fn weight_files(&mut self, path: &Path) -> Vec<PathBuf> {
        let _ = path;
        Vec::new()
    }

    /// Checks a model that was read, and makes its evaluators.
    ///
    /// # Errors
    /// When it cannot be used, with a sentence that says why.
    fn load(&mut self, model: &ModelFile) -> Result<LoadedModel<G>, LoadFailure>;

    /// How much of the last [`ModelSource::load`] was spent on bringing evaluators up to speed, rather than on checks.
    fn warming(&self) -> Duration {
        Duration::ZERO
    }

    /// What the model of the last [`ModelSource::load`] answers to the probe positions, where that is known. Asked once.
    fn answers(&mut self) -> Option<ProbeAnswers> {
        None
    }
}

/// What the model that was loaded last runs on, for those who show it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Placed(Arc<Mutex<Option<Placement>>>);

impl Placed {
    /// Nothing before the first model.
    #[must_use]
    pub fn get(&self) -> Option<Placement> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what a model runs on.
    pub fn set(&self, placement: Placement) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(placement);
    }
}

/// ONNX models, run by ONNX Runtime.
pub struct OnnxSource<G: Game> {
    runtime: Runtime,
    game: G,
    options: LoadOptions,
    placed: Placed,
    /// Of the file that was read last.
    report: Option<ModelReport>,
    warming: Duration,
    answers: Option<ProbeAnswers>,
}

impl<G: Game> OnnxSource<G> {
    /// Models for `game`, loaded as `options` say.
    pub fn new(runtime: Runtime, game: G, options: LoadOptions) -> Self {
        Self { runtime, game, options, placed: Placed::default(), report: None, warming: Duration::ZERO, answers: None }
    }

    /// Where it tells what models run on.
    #[must_use]
    pub fn placed(&self) -> Placed {
        self.placed.clone()
    }
}

/// How long each step took, for a detailed log, and what each warned of.
fn log(report: &ModelReport) {
    for step in &report.steps {
        tracing::debug!(step = %step.step, outcome = ?step.outcome, seconds = step.seconds, "model checked");
    }
    for (step, warning) in report.warnings() {
        tracing::warn!(path = %report.path.display(), %step, "a model that may be wrong: {warning}");
    }
}

impl<G: Game> ModelSource<G> for OnnxSource<G> {
    fn read(&mut self, candidate: &Candidate) -> Result<ModelFile, LoadFailure> {
        let mut report = ModelReport::new(&candidate.path);
        report.version = Some(candidate.version);
        let read = ModelFile::check(&candidate.path, candidate.sha256.as_deref(), &self.options.limits, &mut report);
        if read.is_err() {
            log(&report);
        }
        self.report = Some(report);
        read.map_err(|error| match error {
            ModelError::Unreadable { .. } | ModelError::WeightsIncomplete { .. } => {
                LoadFailure::Unreadable(with_sources(&error))
            }
            ModelError::NotOnnx { .. } | ModelError::Checksum { .. } | ModelError::WeightsUnfilled { .. } => {
                LoadFailure::Unfinished(with_sources(&error))
            }
            error => LoadFailure::Refused(with_sources(&error)),
        })
    }

    fn weight_files(&mut self, path: &Path) -> Vec<PathBuf> {
        // Whatever is wrong with it shows when it is read.
        ModelFile::weight_files(path, &self.options.limits).unwrap_or_default()
    }

    fn load(&mut self, model: &ModelFile) -> Result<LoadedModel<G>, LoadFailure> {
        let report = self.report.take().filter(|report| report.path == model.path());
        let mut report = report.unwrap_or_else(|| ModelReport::new(model.path()));
        let loaded = check_model(&self.runtime, &self.game, model, &self.options, &mut report);
        log(&report);
        let warm = report.steps.iter().find(|step| step.step == Step::Warm);
        self.warming = warm.map_or(Duration::ZERO, |step| Duration::from_secs_f64(step.seconds));
        let loaded = loaded.map_err(|error| match error {
            LoadError::Device(error) => LoadFailure::Impossible(with_sources(&error)),
            LoadError::Model(error) => LoadFailure::Refused(with_sources(&error)),
        })?;
        if let Some(agreement) = &report.precision {
            let what =
                if matches!(agreement.device, Device::OpenVino(_)) { "model compared" } else { "model converted" };
            tracing::info!(path = %model.path().display(), %agreement, "{what}");
        }
        let placement = Placement { devices: loaded.devices, precision: loaded.precision };
        let outcome = match loaded.head {
            Head::Scalar => String::new(),
            head => format!(", outcome as {head}"),
        };
        let unused = match &loaded.unused[..] {
            [] => String::new(),
            unused => format!(", outputs not used: `{}`", unused.join("`, `")),
        };
        let description = format!(
            "{} ({} input of {} bytes a position{outcome}{unused}, on {placement})",
            model.path().display(),
            self.game.encoding_name(loaded.encoding),
            loaded.position_bytes,
        );
        self.placed.set(placement);
        self.answers = Some(loaded.answers);
        let boxed = |evaluator| Box::new(evaluator) as Box<dyn Evaluator<G>>;
        Ok(LoadedModel {
            evaluators: loaded.evaluators.into_iter().map(boxed).collect(),
            encoding: loaded.encoding,
            description,
        })
    }

    fn warming(&self) -> Duration {
        self.warming
    }

    fn answers(&mut self) -> Option<ProbeAnswers> {
        self.answers.take()
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
    fn load(&mut self, _: &ModelFile) -> Result<LoadedModel<G>, LoadFailure> {
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
