//! From a model that runs as it came to the one that serves: converted, or computed by OpenVINO, and compared with what it was.
//! Where several ways come into question, the fastest whose answers agree serves.

use std::time::Duration;

use selfplay_engine::{evaluation::EvaluateError, game::Game};

use super::{
    super::{
        choice::{Placement, Question},
        device::{Device, device_of_thread},
        engines::structure,
        evaluator::OnnxEvaluator,
        precision::{Agreement, Precision, Samples, convert, judge},
        refusal::ModelError,
        report::{StepOutcome, passed},
        throughput::per_cpu_second,
        trial::{Trial, answers},
    },
    Checked, Loader, Prepared,
};

/// How often ways are measured, in turn, and for how long each time. The best counts, as the others were disturbed.
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_millis(30);

/// A model that was tried where it may serve.
pub(super) struct Tried<'a, G: Game> {
    pub(super) loader: Loader<'a, G>,
    pub(super) prepared: Prepared<G::Encoding>,
    pub(super) evaluator: OnnxEvaluator<G>,
    pub(super) trial: Trial<G>,
    /// With the model as it came; nothing for that model itself.
    pub(super) agreement: Option<Agreement>,
}

/// A way to serve the model, and the model that way; nothing where it is that which came.
type Contender<'a, G> = (Placement, Option<Tried<'a, G>>);

/// Finds what serves: `came` itself, which runs as the file says, or another in its place.
pub(super) fn choose<'a, G: Game>(mut came: Tried<'a, G>) -> Checked<Tried<'a, G>> {
    let ways = came.loader.ways()?;
    if ways == [came.loader.placement.clone()] {
        return Ok((came, StepOutcome::Skipped("it serves as it is".to_owned())));
    }
    let samples = Samples::draw(came.loader.game, &mut came.evaluator).map_err(|error| came.loader.failed(&error))?;
    let ((placement, tried), remark) = match &ways[..] {
        [only] => ((only.clone(), came.attempt(only, &samples)?), None),
        _ => came.fastest(ways, &samples).map(|(fastest, remark)| (fastest, Some(remark)))?,
    };
    let mut serving = tried.unwrap_or(came);
    serving.loader.placement = placement;
    let said = serving.agreement.map(|agreement| agreement.to_string()).into_iter().chain(remark);
    let detail = passed(said.collect::<Vec<_>>().join("; "));
    Ok((serving, detail))
}

impl<G: Game> Loader<'_, G> {
    /// Every way that comes into question, the preferred one first; at least one.
    fn ways(&self) -> Result<Vec<Placement>, ModelError> {
        let request = self.options.precision.precision;
        let (mut ways, mut refused) = (Vec::new(), None);
        for devices in std::iter::once(self.options.devices.clone()).chain(self.options.rival.map(|rival| vec![rival]))
        {
            match request.on(device_of_thread(&devices, 0)) {
                Ok(precisions) => {
                    ways.extend(
                        precisions.into_iter().map(|precision| Placement { devices: devices.clone(), precision }),
                    );
                }
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        match refused {
            Some(reason) if ways.is_empty() => {
                Err(ModelError::Unconvertible { path: self.path(), precision: request, reason })
            }
            _ => Ok(ways),
        }
    }
}

/// What [`Tried::measure`] found.
struct Rates {
    best: usize,
    text: String,
}

impl<'a, G: Game> Tried<'a, G> {
    /// The fastest of several `ways` with which the model can be had and answers nearly as it came, and why it was taken: it was the
    /// fastest with an earlier model of the same structure, or is now.
    ///
    /// # Errors
    /// What is wrong with the first way, where none will do.
    fn fastest(
        &mut self,
        ways: Vec<Placement>,
        samples: &Samples<G>,
    ) -> Result<(Contender<'a, G>, String), ModelError> {
        let choices = self.loader.runtime.choices();
        // A model whose structure cannot be told is always measured.
        let structure = structure(&self.loader.model).ok();
        let question = structure.map(|structure| Question { structure, ways: ways.clone() });
        if let Some(known) = question.as_ref().and_then(|question| choices.of(question)) {
            match self.attempt(&known, samples) {
                Ok(tried) => return Ok(((known, tried), "the fastest with an earlier model".to_owned())),
                Err(error) => tracing::warn!(%error, "{known}, until now the fastest, cannot serve this model"),
            }
        }
        let (mut contenders, mut failures) = (Vec::new(), Vec::new());
        for way in ways {
            match self.attempt(&way, samples) {
                Ok(tried) => contenders.push((way, tried)),
                Err(error) => {
                    tracing::warn!(%error, "{way} cannot serve this model");
                    failures.push(error);
                }
            }
        }
        if contenders.is_empty() {
            let none = || self.loader.failed(&EvaluateError::Backend("nothing can run it".to_owned()));
            return Err(failures.into_iter().next().unwrap_or_else(none));
        }
        let Rates { best, text } = self.measure(&mut contenders)?;
        let fastest = contenders.swap_remove(best);
        tracing::info!("{} serves: {text}", fastest.0);
        if let Some(question) = question {
            choices.remember(question, fastest.0.clone());
        }
        Ok((fastest, text))
    }

    /// The model with `placement`; nothing where it is that which came.
    fn attempt(&mut self, placement: &Placement, samples: &Samples<G>) -> Result<Option<Self>, ModelError> {
        if self.loader.placement == *placement {
            return Ok(None);
        }
        let (device, precision) = (device_of_thread(&placement.devices, 0), placement.precision);
        let came = &self.loader;
        let path = || came.path();
        let refused = |reason| match device {
            Device::OpenVino(_) => ModelError::OnDevice { path: path(), device, reason },
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => {
                ModelError::Unconvertible { path: path(), precision: precision.into(), reason }
            }
        };
        let layout = &self.prepared.layout;
        let model = convert(came.runtime, came.game, &came.model, layout, samples, (precision, device))?;
        let loader = Loader { model, placement: placement.clone(), ..came.clone() };
        let prepared = loader.prepare(layout.clone(), device)?;
        let session = loader.open(&prepared.model, device, &prepared.engine);
        let session = session.map_err(|error| refused(error.into_reason()))?;
        let failed = |error: &_| match device {
            Device::OpenVino(_) => refused(ModelError::into_reason(came.failed(error))),
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => came.failed(error),
        };
        let mut evaluator = loader.evaluator(session, &prepared, device).map_err(|error| failed(&error))?;
        let trial = Trial::new(came.game, &mut evaluator).map_err(|error| failed(&error))?;
        let count = trial.non_finite();
        if count > 0 {
            return Err(refused(format!(
                "{count} of {} positions are then answered with non-finite numbers",
                trial.len()
            )));
        }
        let before = answers(&mut self.evaluator, &samples.probe, trial.batch).map_err(|error| came.failed(&error))?;
        let after = answers(&mut evaluator, &samples.probe, trial.batch).map_err(|error| failed(&error))?;
        let agreement = judge((precision, device), &samples.probe, layout.policy, [&before, &after]);
        let options = &came.options.precision;
        if !agreement.suffices(options) {
            let (max_kl, max_value_error) = (options.max_kl, options.max_value_error);
            let agreement = Box::new(agreement);
            return Err(ModelError::Imprecise { path: path(), agreement, max_kl, max_value_error });
        }
        Ok(Some(Self { loader, prepared, evaluator, trial, agreement: Some(agreement) }))
    }

    /// Finds the fastest of `contenders`, by the largest batch on one thread.
    fn measure(&mut self, contenders: &mut [Contender<'a, G>]) -> Result<Rates, ModelError> {
        let mut rates = vec![0.0_f64; contenders.len()];
        let rounds = if contenders.len() > 1 { ROUNDS } else { 0 };
        for _ in 0..rounds {
            for ((_, tried), best) in contenders.iter_mut().zip(&mut rates) {
                let measured = match tried {
                    Some(tried) => per_cpu_second(&mut tried.evaluator, tried.trial.batch, SPAN),
                    None => per_cpu_second(&mut self.evaluator, self.trial.batch, SPAN),
                };
                *best = best.max(measured.map_err(|error| self.loader.failed(&error))?);
            }
        }
        let best = (0..rates.len()).max_by(|&one, &other| rates[one].total_cmp(&rates[other])).unwrap_or(0);
        let said = contenders.iter().zip(&rates).map(|((placement, _), rate)| format!("{placement} {rate:.0}"));
        let text = match contenders.len() {
            1 => "nothing else can".to_owned(),
            _ => format!("evaluations per CPU-second: {}", said.collect::<Vec<_>>().join(", ")),
        };
        Ok(Rates { best, text })
    }
}

impl<'a, G: Game> Loader<'a, G> {
    /// How the model runs as it came: fp32, and with ONNX Runtime's own kernels where OpenVINO is to run it, whose answers are
    /// compared with theirs.
    pub(super) fn as_it_came(devices: &[Device]) -> Placement {
        let devices = match devices.first() {
            Some(Device::OpenVino(_)) => vec![Device::Cpu],
            _ => devices.to_vec(),
        };
        Placement { devices, precision: Precision::Fp32 }
    }
}
