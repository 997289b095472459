//! From a model file to evaluators that are checked, tried and warm.

use std::path::PathBuf;

use ort::session::Session;
use selfplay_engine::{evaluation::EvaluateError, game::Game};
use thiserror::Error;

use super::{
    buckets::BatchBuckets,
    device::{Device, DeviceError, Provider},
    evaluator::OnnxEvaluator,
    model::ModelFile,
    network::Network,
    precision::{Agreement, Precision, PrecisionOptions, Samples, convert, judge},
    read::FileLimits,
    refusal::ModelError,
    report::{ModelReport, Step, StepOutcome, passed},
    runtime::Runtime,
    session::{Config, open_with, settle_device},
    signature::{GameDescription, Layout, Signature},
    trial::{Differences, Trial, answers},
};

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
    /// Which files may be models.
    pub limits: FileLimits,
    /// Most that a value or a prior may differ between a position alone and in the largest batch.
    pub agreement_tolerance: f32,
    /// What models are converted to.
    pub precision: PrecisionOptions,
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
    /// The model that they run: converted, if it had to be.
    pub model: ModelFile,
}

/// Checks `model` against `game`, tries it on positions of all stages of a game and makes one evaluator per inference thread.
/// Blocks for as long as that takes: a fraction of a second on a CPU, seconds for the first model on a GPU.
///
/// # Errors
/// When the model does not fit the game, answers non-finite numbers or differently in large batches, or cannot run where it
/// shall.
pub fn load_evaluators<G: Game>(
    runtime: &Runtime,
    game: &G,
    model: &ModelFile,
    options: &LoadOptions,
) -> Result<Loaded<G>, LoadError> {
    check_model(runtime, game, model, options, &mut ModelReport::new(model.path()))
}

/// [`load_evaluators`], with the steps from [`Step::Structure`] to [`Step::Warm`] noted in `report`.
///
/// # Errors
/// At the first step that refuses the model.
pub fn check_model<G: Game>(
    runtime: &Runtime,
    game: &G,
    model: &ModelFile,
    options: &LoadOptions,
    report: &mut ModelReport,
) -> Result<Loaded<G>, LoadError> {
    let mut loader = Loader { runtime, game, model: model.clone(), config: &[], options };
    // Only what shows whether the device works decides the device: what a model answers there is the model's fault.
    let attempt = |device| report.step(Step::Structure, || loader.first(device));
    let ((mut first, layout), provider) = settle_device(runtime, options.device, attempt)?;
    report.encoding = Some(game.encoding_name(layout.encoding).to_owned());
    report.provider = Some(provider.actual.to_string());
    let mut trial = report.step(Step::Finite, || loader.finite(&mut first))?;
    let converted = report.step(Step::Precision, || loader.convert(&mut first, &layout, provider.actual))?;
    if let Some(converted) = converted {
        report.precision = Some(converted.agreement);
        (loader.model, loader.config) = (converted.model, converted.config);
        (first, trial) = (converted.evaluator, converted.trial);
    }
    report.step(Step::Agreement, || loader.agreement(&trial, &mut first))?;
    let evaluators = report.step(Step::Warm, || loader.warm(first, &layout, provider.actual))?;
    let (encoding, fixed_batch, max_batch) = (layout.encoding, layout.fixed_batch, trial.batch);
    Ok(Loaded { evaluators, provider, encoding, fixed_batch, max_batch, model: loader.model })
}

/// What a step gives and how it ended.
type Checked<T> = Result<(T, StepOutcome), ModelError>;

struct Loader<'a, G: Game> {
    runtime: &'a Runtime,
    game: &'a G,
    /// What is to serve.
    model: ModelFile,
    /// What it is opened with.
    config: Config,
    options: &'a LoadOptions,
}

/// What a model was converted to, tried.
struct Converted<G: Game> {
    model: ModelFile,
    config: Config,
    evaluator: OnnxEvaluator<G>,
    trial: Trial<G>,
    agreement: Agreement,
}

impl<G: Game> Loader<'_, G> {
    /// An evaluator that fits the game and has run once.
    fn first(&self, device: Device) -> Checked<(OnnxEvaluator<G>, Layout<G::Encoding>)> {
        let session = open_with(self.runtime, &self.model, device, self.config)?;
        let signature = Signature::of(&session);
        let layout = signature.layout(self.model.path(), self.game, &self.options.description)?;
        let mut evaluator = self.evaluator(session, &layout, device);
        evaluator.network_mut().run(1, |_, _| ()).map_err(|error| self.failed(&error))?;
        let batch = layout.fixed_batch.map_or_else(|| "any".to_owned(), |batch| batch.to_string());
        let detail = format!("{} input, batch size {batch}", self.game.encoding_name(layout.encoding));
        Ok(((evaluator, layout), passed(detail)))
    }

    /// Every number must be finite, those of illegal actions too.
    fn finite(&self, evaluator: &mut OnnxEvaluator<G>) -> Checked<Trial<G>> {
        let trial = Trial::new(self.game, evaluator).map_err(|error| self.failed(&error))?;
        let (count, tried) = (trial.non_finite(), trial.len());
        if count > 0 {
            return Err(ModelError::NonFinite { path: self.path(), count, tried });
        }
        Ok((trial, passed(format!("on {tried} positions"))))
    }

    /// Converts the model, `before` being its evaluator, and compares answers. Nothing where it serves as it is.
    fn convert(
        &self,
        before: &mut OnnxEvaluator<G>,
        layout: &Layout<G::Encoding>,
        device: Device,
    ) -> Checked<Option<Converted<G>>> {
        let options = &self.options.precision;
        if options.precision == Precision::Fp32 {
            return Ok((None, StepOutcome::Skipped("it serves as it is".to_owned())));
        }
        let refused = |reason| ModelError::Unconvertible { path: self.path(), precision: options.precision, reason };
        options.precision.possible_on(device).map_err(refused)?;
        let samples = Samples::draw(self.game, before).map_err(|error| self.failed(&error))?;
        let (model, config) = convert(self.runtime, self.game, &self.model, layout, &samples, options.precision)?;
        let loader = Self { model, config, ..*self };
        let session =
            open_with(self.runtime, &loader.model, device, config).map_err(|error| refused(error.into_reason()))?;
        let mut evaluator = loader.evaluator(session, layout, device);
        let trial = Trial::new(self.game, &mut evaluator).map_err(|error| self.failed(&error))?;
        let count = trial.non_finite();
        if count > 0 {
            return Err(refused(format!(
                "{count} of {} positions are then answered with non-finite numbers",
                trial.len()
            )));
        }
        let probe =
            |evaluator: &mut _| answers(evaluator, &samples.probe, trial.batch).map_err(|error| self.failed(&error));
        let (before, after) = (probe(before)?, probe(&mut evaluator)?);
        let agreement = judge(options.precision, &samples.probe, layout.policy, [&before, &after]);
        if !agreement.suffices(options) {
            let PrecisionOptions { max_kl, max_value_error, .. } = *options;
            return Err(ModelError::Imprecise { path: self.path(), agreement, max_kl, max_value_error });
        }
        let detail = passed(agreement.to_string());
        Ok((Some(Converted { model: loader.model, config, evaluator, trial, agreement }), detail))
    }

    fn agreement(&self, trial: &Trial<G>, evaluator: &mut OnnxEvaluator<G>) -> Checked<()> {
        let (batch, tolerance) = (trial.batch, self.options.agreement_tolerance);
        if batch == 1 {
            return Ok(((), StepOutcome::Skipped("every batch is of one position".to_owned())));
        }
        let differences = trial.differences(evaluator).map_err(|error| self.failed(&error))?;
        let Differences { value, prior } = differences;
        // NaN is no agreement.
        if !(value <= tolerance && prior <= tolerance) {
            return Err(ModelError::Disagrees { path: self.path(), batch, value, prior, tolerance });
        }
        let detail = format!("alone and in a batch of {batch}: values within {value:.1e}, priors within {prior:.1e}");
        Ok(((), passed(detail)))
    }

    /// An evaluator for every thread, all warm.
    fn warm(
        &self,
        first: OnnxEvaluator<G>,
        layout: &Layout<G::Encoding>,
        device: Device,
    ) -> Checked<Vec<OnnxEvaluator<G>>> {
        let mut evaluators = vec![first];
        while evaluators.len() < self.options.threads {
            let session = open_with(self.runtime, &self.model, device, self.config)?;
            evaluators.push(self.evaluator(session, layout, device));
        }
        for evaluator in &mut evaluators {
            evaluator.warm().map_err(|error| self.failed(&error))?;
        }
        let detail = format!("{} sessions", evaluators.len());
        Ok((evaluators, passed(detail)))
    }

    fn evaluator(&self, session: Session, layout: &Layout<G::Encoding>, device: Device) -> OnnxEvaluator<G> {
        let max_batch = self.options.max_batch.max(1);
        let (max_batch, buckets) = match (layout.fixed_batch, &self.options.buckets, device) {
            (Some(batch), _, _) => (batch, BatchBuckets::new([batch])),
            (None, Some(buckets), _) => (max_batch, buckets.clone()),
            (None, None, Device::Cuda(_)) => (max_batch, BatchBuckets::geometric(max_batch)),
            (None, None, Device::Cpu | Device::Auto) => (max_batch, BatchBuckets::none()),
        };
        let network = Network::new(session, &self.model, &layout.input, layout.policy, max_batch, buckets);
        OnnxEvaluator::new(self.game.clone(), layout.encoding, network)
    }

    fn path(&self) -> PathBuf {
        self.model.path().to_owned()
    }

    fn failed(&self, error: &EvaluateError) -> ModelError {
        ModelError::Run { path: self.path(), reason: error.to_string() }
    }
}
