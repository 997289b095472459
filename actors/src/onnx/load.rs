//! From a model file to evaluators that are checked, tried and warm.

mod built_in;
mod choose;

use std::path::PathBuf;

use ort::session::Session;
use selfplay_engine::{evaluation::EvaluateError, game::Game};
use thiserror::Error;

use self::choose::{Tried, choose};
use super::{
    binding::{Memory, Row},
    buckets::BatchBuckets,
    choice::Placement,
    device::{Device, DeviceError, device_of_thread, devices_name},
    engines::places,
    evaluator::OnnxEvaluator,
    gpu::{EnginePlan, GpuOptions},
    graph::without_types,
    model::ModelFile,
    network::Network,
    packed::{InputFormat, with_packed_input},
    ports::Head,
    precision::{Precision, PrecisionOptions, with_single_ports},
    read::FileLimits,
    refusal::ModelError,
    report::{ModelReport, PortReport, Step, StepOutcome, passed},
    runtime::Runtime,
    session::Site,
    signature::{GameDescription, Layout, Signature},
    trial::{Differences, Trial},
};
use crate::changes::ProbeAnswers;

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
    /// Where it shall run: inference threads go round these, at least one.
    pub devices: Vec<Device>,
    /// What runs the model instead if it is faster with it, or the only one that can. What was measured with one model of a process
    /// holds for all that have its structure.
    pub rival: Option<Device>,
    /// Inference threads: this many evaluators are made, at least one.
    pub threads: usize,
    /// Largest batch of one run; more leaves are evaluated in parts.
    pub max_batch: usize,
    /// Batch sizes to pad to. `None`: [`BatchBuckets::geometric`] on GPUs and through OpenVINO, [`BatchBuckets::none`] on a CPU
    /// otherwise. A model of fixed
    /// batch size has this size as its only bucket.
    pub buckets: Option<BatchBuckets>,
    /// How positions travel to the network.
    pub input: InputFormat,
    /// Whether inputs and outputs are bound to memory of our own rather than handed over at each run. `None`: on GPUs.
    pub binding: Option<bool>,
    /// How GPUs are used.
    pub gpu: GpuOptions,
    /// Which files may be models.
    pub limits: FileLimits,
    /// Most that a value or a prior may differ between a position alone and in the largest batch.
    pub agreement_tolerance: f32,
    /// Whether answers that look wrong refuse a model, rather than being warned of.
    pub strict: bool,
    /// What models are converted to.
    pub precision: PrecisionOptions,
    /// Names the game in errors.
    pub description: GameDescription,
}

impl LoadOptions {
    /// One thread on the CPU, batches up to `max_batch`, everything else as it is by itself.
    #[must_use]
    pub fn on_cpu(max_batch: usize, description: GameDescription) -> Self {
        Self {
            devices: vec![Device::Cpu],
            rival: None,
            threads: 1,
            max_batch,
            buckets: None,
            input: InputFormat::Auto,
            binding: None,
            gpu: GpuOptions::default(),
            limits: FileLimits::default(),
            agreement_tolerance: 0.02,
            strict: false,
            precision: PrecisionOptions::FP32,
            description,
        }
    }
}

/// A model ready for use.
#[derive(Debug)]
pub struct Loaded<G: Game> {
    /// One per inference thread, each with its own session, all warm.
    pub evaluators: Vec<OnnxEvaluator<G>>,
    /// What each of them runs on.
    pub devices: Vec<Device>,
    /// What they compute with.
    pub precision: Precision,
    /// The layout of the input, chosen by the model's own input shape.
    pub encoding: G::Encoding,
    /// What its numbers for the outcome mean.
    pub head: Head,
    /// Outputs that are not used.
    pub unused: Vec<String>,
    /// Bytes of one position on its way to the network.
    pub position_bytes: usize,
    /// The only batch size the model takes; `None` when it takes any.
    pub fixed_batch: Option<usize>,
    /// Largest batch of one run.
    pub max_batch: usize,
    /// The model that they run: converted, if it had to be.
    pub model: ModelFile,
    /// What it answers to the probe positions.
    pub answers: ProbeAnswers,
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
    let placement = Loader::<G>::as_it_came(&options.devices);
    let loader = Loader { runtime, game, model: model.clone(), placement, options };
    let First { loader, mut evaluator, prepared } = loader.first_anywhere(report)?;
    report.encoding = Some(prepared.layout.input_name(game));
    report.provider = Some(devices_name(&options.devices));
    let trial = report.step(Step::Finite, || loader.finite(&mut evaluator))?;
    report.step(Step::Steady, || loader.steady(&trial, &mut evaluator))?;
    report.step(Step::Meaning, || loader.meaning(&trial))?;
    let came = Tried { loader, prepared, evaluator, trial, agreement: None };
    let serving = report.step(Step::Precision, || choose(came))?;
    let Tried { loader, prepared, mut evaluator, trial, agreement } = serving;
    let Placement { devices, precision } = &loader.placement;
    (report.provider, report.computes, report.precision) = (Some(devices_name(devices)), Some(*precision), agreement);
    report.step(Step::Agreement, || loader.agreement(&trial, &mut evaluator))?;
    let evaluators = report.step(Step::Warm, || loader.warm(evaluator, &prepared))?;
    Ok(Loaded {
        devices: (0..evaluators.len()).map(|thread| device_of_thread(devices, thread)).collect(),
        precision: *precision,
        evaluators,
        encoding: prepared.layout.encoding,
        head: prepared.layout.ports.head,
        unused: prepared.layout.unused.clone(),
        position_bytes: prepared.row.bytes(),
        fixed_batch: prepared.layout.fixed_batch,
        max_batch: trial.batch,
        answers: trial.kept(),
        model: loader.model,
    })
}

/// What a step gives and how it ended.
type Checked<T, E = ModelError> = Result<(T, StepOutcome), E>;

/// What sessions are made of.
struct Prepared<E> {
    layout: Layout<E>,
    /// The model as sessions get it.
    model: ModelFile,
    /// What is in its input.
    row: Row,
    engine: EnginePlan,
}

#[derive(Clone)]
struct Loader<'a, G: Game> {
    runtime: &'a Runtime,
    game: &'a G,
    /// What is to serve.
    model: ModelFile,
    /// How it serves.
    placement: Placement,
    options: &'a LoadOptions,
}

/// A model that fits the game and runs.
struct First<'a, G: Game> {
    /// Of the model as it runs: the file's, or with its batch opened.
    loader: Loader<'a, G>,
    prepared: Prepared<G::Encoding>,
    evaluator: OnnxEvaluator<G>,
}

impl<G: Game> First<'_, G> {
    /// For people: what comes in, and in batches of which size.
    fn describe(&self) -> String {
        let layout = &self.prepared.layout;
        let batch = layout.fixed_batch.map_or_else(|| "any".to_owned(), |batch| batch.to_string());
        let name = layout.input_name(self.loader.game);
        let packed = match self.prepared.row {
            Row::Planes(_) => String::new(),
            Row::Packed(bytes) => format!(", packed in {bytes} bytes"),
        };
        let unused = match &layout.unused[..] {
            [] => String::new(),
            unused => format!(", outputs not used: `{}`", unused.join("`, `")),
        };
        let outcome = match layout.ports.head {
            Head::Scalar => String::new(),
            head => format!(", outcome as {head}"),
        };
        format!("{name} input{packed}, batch size {batch}{outcome}{unused}")
    }
}

impl<'a, G: Game> Loader<'a, G> {
    /// [`Loader::first`] on the first device. When that fails on a GPU, the CPU is tried as well: if that fails too, the
    /// fault is the model's, else the device's.
    fn first_anywhere(&self, report: &mut ModelReport) -> Result<First<'a, G>, LoadError> {
        let device = device_of_thread(&self.placement.devices, 0);
        let mut ports = Vec::new();
        let first = report.step(Step::Structure, || self.first(device, &mut ports));
        report.ports = ports;
        match first {
            Ok(first) => Ok(first),
            Err(error) if device == Device::Cpu => Err(error.into()),
            Err(error) => {
                report.step(Step::Structure, || self.first(Device::Cpu, &mut Vec::new()))?;
                Err(DeviceError { device: device.to_string(), reason: error.into_reason() }.into())
            }
        }
    }

    /// An evaluator that fits the game and has run a position alone and its largest batch. Puts into `found` what inputs and outputs
    /// there are.
    fn first(&self, device: Device, found: &mut Vec<PortReport>) -> Checked<First<'a, G>> {
        // A model says everywhere what it takes. Where it is to be changed, or TensorRT would build an engine only to hear
        // that, it is asked on the CPU.
        let as_it_is = !self.options.input.is_packed_on(device) && !matches!(device, Device::TensorRt(_));
        let asked = if as_it_is { device } else { Device::Cpu };
        let mut loader = self.clone();
        let mut session = loader.open_as_typed(asked)?;
        let mut signature = Signature::of(&session);
        let ports = signature.ports(self.model.path());
        *found = signature.report(ports.as_ref().ok());
        let ports = ports?;
        if signature.is_half(&ports) {
            let unsupported = |reason| ModelError::Unsupported { path: self.path(), reason };
            loader.model = with_single_ports(&loader.model).map_err(unsupported)?;
            session = loader.open(&loader.model, asked, &EnginePlan::default())?;
            signature = Signature::of(&session);
        }
        let layout = signature.layout(self.model.path(), self.game, &self.options.description)?;
        let as_written = loader.running(as_it_is.then_some(session), layout.clone(), device);
        match as_written {
            Ok(first) if !signature.declares_batch(&ports) => {
                let outcome = passed(first.describe());
                Ok((first, outcome))
            }
            as_written => loader.with_built_in_batch(as_written, &layout, device),
        }
    }

    /// An evaluator on `device`, of `session` or a new one, that has run a batch of each kind.
    fn running(
        &self,
        session: Option<Session>,
        layout: Layout<G::Encoding>,
        device: Device,
    ) -> Result<First<'a, G>, ModelError> {
        let prepared = self.prepare(layout, device)?;
        let session = match session {
            Some(session) => session,
            None => self.open(&prepared.model, device, &prepared.engine)?,
        };
        let mut evaluator = self.evaluator(session, &prepared, device).map_err(|error| self.failed(&error))?;
        for batch in [1, evaluator.network_mut().max_batch()] {
            evaluator.network_mut().run(batch, |_, _| ()).map_err(|error| self.failed(&error))?;
        }
        Ok(First { loader: self.clone(), prepared, evaluator })
    }

    /// What sessions on `device` are to be made of.
    fn prepare(&self, layout: Layout<G::Encoding>, device: Device) -> Result<Prepared<G::Encoding>, ModelError> {
        let input = self.options.input;
        let packing = if input.is_packed_on(device) { self.game.packing(layout.encoding) } else { None };
        let packed = packing.map(|packing| {
            let changed = with_packed_input(&self.model, &layout.ports.input, &packing, &layout.input);
            changed.map(|model| (model, Row::Packed(packing.bytes)))
        });
        let (model, row) = match packed {
            Some(Ok(packed)) => packed,
            Some(Err(error)) if input == InputFormat::Packed => return Err(error),
            Some(Err(error)) => {
                tracing::warn!(%error, "positions travel as planes");
                (self.model.clone(), Row::Planes(layout.input.clone()))
            }
            None => (self.model.clone(), Row::Planes(layout.input.clone())),
        };
        let engine = match device {
            Device::TensorRt(_) => self.engine_plan(&layout, &model, &row, device),
            Device::Cpu | Device::OpenVino(_) | Device::Cuda(_) => EnginePlan::default(),
        };
        Ok(Prepared { layout, model, row, engine })
    }

    fn engine_plan(&self, layout: &Layout<G::Encoding>, model: &ModelFile, row: &Row, device: Device) -> EnginePlan {
        let (max_batch, buckets) = self.buckets(layout, device);
        let least = buckets.sizes().first().copied().unwrap_or(1);
        let batches = layout.fixed_batch.is_none().then_some((least, max_batch.max(buckets.max().unwrap_or(1))));
        let cache = self.options.gpu.engine_cache.as_deref();
        let places = cache.and_then(|cache| {
            let found = places(
                cache,
                model,
                self.runtime.version(),
                (self.placement.precision == Precision::Fp16, self.options.gpu.tf32),
                batches,
            );
            found.inspect_err(|reason| tracing::warn!(reason, "TensorRT's engines are not kept")).ok()
        });
        EnginePlan {
            places,
            fp16: self.placement.precision == Precision::Fp16,
            input: layout.ports.input.clone(),
            row: row.shape().to_vec(),
            batches,
        }
    }

    /// The largest batch, and the sizes that batches are padded to.
    fn buckets(&self, layout: &Layout<G::Encoding>, device: Device) -> (usize, BatchBuckets) {
        let max_batch = self.options.max_batch.max(1);
        let padded = device != Device::Cpu || self.is_bound(device);
        match (layout.fixed_batch, &self.options.buckets) {
            (Some(batch), _) => (batch, BatchBuckets::new([batch])),
            (None, Some(buckets)) => (max_batch, buckets.clone()),
            (None, None) if padded => (max_batch, BatchBuckets::geometric(max_batch)),
            (None, None) => (max_batch, BatchBuckets::none()),
        }
    }

    fn is_bound(&self, device: Device) -> bool {
        self.options.binding.unwrap_or(device.gpu().is_some())
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

    /// The same batches must get the same answers when they are run again.
    fn steady(&self, trial: &Trial<G>, evaluator: &mut OnnxEvaluator<G>) -> Checked<()> {
        let again = Trial::new(self.game, evaluator).map_err(|error| self.failed(&error))?;
        match trial.changed_from(&again) {
            0 => Ok(((), passed(format!("run twice, {} positions are answered alike", trial.len())))),
            count => Err(ModelError::Unsteady { path: self.path(), count, tried: trial.len() }),
        }
    }

    /// Answers must look like what they are taken for.
    fn meaning(&self, trial: &Trial<G>) -> Checked<()> {
        let doubts = trial.doubts();
        if doubts.is_empty() {
            let (least, most) = trial.values();
            return Ok(((), passed(format!("values from {least:.2} to {most:.2}, answers differ by position"))));
        }
        let reason = doubts.join("; ");
        if self.options.strict {
            return Err(ModelError::Doubtful { path: self.path(), reason });
        }
        Ok(((), StepOutcome::Warned(reason)))
    }

    fn agreement(&self, trial: &Trial<G>, evaluator: &mut OnnxEvaluator<G>) -> Checked<()> {
        let (batch, tolerance) = (trial.batch, self.options.agreement_tolerance);
        if batch == 1 {
            return Ok(((), StepOutcome::Skipped("every batch is of one position".to_owned())));
        }
        let alone = trial.alone(evaluator).map_err(|error| self.failed(&error))?;
        let Differences { value, prior } = trial.differences(&alone);
        // NaN is no agreement.
        if !(value <= tolerance && prior <= tolerance) {
            return Err(ModelError::Disagrees { path: self.path(), batch, value, prior, tolerance });
        }
        let detail = format!("alone and in a batch of {batch}: values within {value:.1e}, priors within {prior:.1e}");
        Ok(((), passed(detail)))
    }

    /// An evaluator for every thread, all warm. What goes wrong on another device than the first is that device's fault.
    fn warm(
        &self,
        first: OnnxEvaluator<G>,
        prepared: &Prepared<G::Encoding>,
    ) -> Checked<Vec<OnnxEvaluator<G>>, LoadError> {
        let mut evaluators = vec![first];
        let device_of = |thread| device_of_thread(&self.placement.devices, thread);
        let blame = |device: Device, error: ModelError| -> LoadError {
            if device == device_of(0) {
                return error.into();
            }
            DeviceError { device: device.to_string(), reason: error.into_reason() }.into()
        };
        for thread in 1..self.options.threads {
            let device = device_of(thread);
            let made = self
                .open(&prepared.model, device, &prepared.engine)
                .and_then(|session| self.evaluator(session, prepared, device).map_err(|error| self.failed(&error)));
            evaluators.push(made.map_err(|error| blame(device, error))?);
        }
        for (thread, evaluator) in evaluators.iter_mut().enumerate() {
            evaluator.warm().map_err(|error| blame(device_of(thread), self.failed(&error)))?;
        }
        let detail = format!("{} sessions", evaluators.len());
        Ok((evaluators, passed(detail)))
    }

    /// A session of the model or, where ONNX Runtime finds other types within than its file notes, of the model without those
    /// notes, which is then the model: torch 2.6's dynamo exporter notes wrong ones in half precision.
    fn open_as_typed(&mut self, device: Device) -> Result<Session, ModelError> {
        let plan = EnginePlan::default();
        self.open(&self.model, device, &plan).or_else(|error| {
            // What is no complete model gives another error: only what ONNX Runtime has read whole is read whole here.
            let about_types =
                matches!(&error, ModelError::Unsupported { reason, .. } if reason.contains("Type Error: "));
            let model = about_types.then(|| without_types(&self.model).ok()).flatten();
            let opened = model.and_then(|model| Some((self.open(&model, device, &plan).ok()?, model)));
            let (session, model) = opened.ok_or(error)?;
            self.model = model;
            Ok(session)
        })
    }

    fn open(&self, model: &ModelFile, device: Device, plan: &EnginePlan) -> Result<Session, ModelError> {
        let precision = self.placement.precision;
        Site { runtime: self.runtime, device, gpu: &self.options.gpu, plan, precision }.open(model)
    }

    fn evaluator(
        &self,
        session: Session,
        prepared: &Prepared<G::Encoding>,
        device: Device,
    ) -> Result<OnnxEvaluator<G>, EvaluateError> {
        let Prepared { layout, model, row, .. } = prepared;
        let (max_batch, buckets) = self.buckets(layout, device);
        let mut network =
            Network::new(session, model, row.clone(), (layout.ports.clone(), layout.policy), max_batch, buckets);
        if self.is_bound(device) {
            network.bind(&Memory { device, graphs: self.options.gpu.graphs })?;
        }
        Ok(OnnxEvaluator::new(self.game.clone(), layout.encoding, network))
    }

    fn path(&self) -> PathBuf {
        self.model.path().to_owned()
    }

    fn failed(&self, error: &EvaluateError) -> ModelError {
        ModelError::Run { path: self.path(), reason: error.to_string() }
    }
}
