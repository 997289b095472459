//! From a model that runs as it came to the one that serves: converted, or computed by OpenVINO, and compared with what it was.

use selfplay_engine::game::Game;

use super::{
    super::{
        device::{Device, device_of_thread},
        evaluator::OnnxEvaluator,
        precision::{Agreement, Precision, PrecisionOptions, Samples, convert, judge},
        refusal::ModelError,
        report::{StepOutcome, passed},
        signature::Layout,
        trial::{Trial, answers},
    },
    Checked, Loader, Prepared,
};

/// What a model was converted to, tried.
pub(super) struct Converted<'a, G: Game> {
    /// Of the model as it serves.
    pub(super) loader: Loader<'a, G>,
    pub(super) prepared: Prepared<G::Encoding>,
    pub(super) evaluator: OnnxEvaluator<G>,
    pub(super) trial: Trial<G>,
    pub(super) agreement: Agreement,
}

impl<'a, G: Game> Loader<'a, G> {
    /// Converts the model, `before` being its evaluator, and compares answers. Nothing where it serves as it is: in fp32, by
    /// other means than OpenVINO.
    pub(super) fn convert(
        &self,
        before: &mut OnnxEvaluator<G>,
        layout: &Layout<G::Encoding>,
    ) -> Checked<Option<Converted<'a, G>>> {
        let options = &self.options.precision;
        let PrecisionOptions { precision, max_kl, max_value_error } = *options;
        let device = device_of_thread(&self.options.devices, 0);
        if precision == Precision::Fp32 && device != Device::OpenVino {
            return Ok((None, StepOutcome::Skipped("it serves as it is".to_owned())));
        }
        let unconvertible = |reason| ModelError::Unconvertible { path: self.path(), precision, reason };
        let refused = |reason| match device {
            Device::OpenVino => ModelError::OnDevice { path: self.path(), device, reason },
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => unconvertible(reason),
        };
        precision.possible_on(device).map_err(unconvertible)?;
        let samples = Samples::draw(self.game, before).map_err(|error| self.failed(&error))?;
        let model = convert(self.runtime, self.game, &self.model, layout, &samples, precision)?;
        let loader = Self { model, precision, ..self.clone() };
        let prepared = loader.prepare(layout.clone(), device)?;
        let session = loader.open(&prepared.model, device, &prepared.engine);
        let session = session.map_err(|error| refused(error.into_reason()))?;
        let failed = |error: &_| match device {
            Device::OpenVino => refused(ModelError::into_reason(self.failed(error))),
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => self.failed(error),
        };
        let mut evaluator = loader.evaluator(session, &prepared, device).map_err(|error| failed(&error))?;
        let trial = Trial::new(self.game, &mut evaluator).map_err(|error| failed(&error))?;
        let count = trial.non_finite();
        if count > 0 {
            return Err(refused(format!(
                "{count} of {} positions are then answered with non-finite numbers",
                trial.len()
            )));
        }
        let probe = |evaluator: &mut _| answers(evaluator, &samples.probe, trial.batch);
        let (before, after) = (
            probe(before).map_err(|error| self.failed(&error))?,
            probe(&mut evaluator).map_err(|error| failed(&error))?,
        );
        let agreement = judge((precision, device), &samples.probe, layout.policy, [&before, &after]);
        if !agreement.suffices(options) {
            return Err(ModelError::Imprecise { path: self.path(), agreement, max_kl, max_value_error });
        }
        let detail = passed(agreement.to_string());
        Ok((Some(Converted { loader, prepared, evaluator, trial, agreement }), detail))
    }
}
