//! Models with a batch size built in: opened where that is possible, else run in batches of that size.

use selfplay_engine::game::Game;

use super::{
    super::{
        batch::{candidates, opened},
        device::Device,
        refusal::ModelError,
        report::{StepOutcome, passed},
        signature::Layout,
        trial::{Differences, Trial},
    },
    Checked, First, Loader,
};

impl<'a, G: Game> Loader<'a, G> {
    /// Of a model that declares a batch size or runs with one only: the model with that size opened, if it then answers as
    /// before, else as it is. The error of `as_written` where it runs with no size.
    pub(super) fn with_built_in_batch(
        &self,
        as_written: Result<First<'a, G>, ModelError>,
        layout: &Layout<G::Encoding>,
        device: Device,
    ) -> Checked<First<'a, G>> {
        let of_one_size = |batch| {
            let layout = Layout { fixed_batch: Some(batch), ..layout.clone() };
            self.running(None, layout, device).ok()
        };
        let mut first = match as_written {
            Ok(first) => first,
            Err(error) if layout.fixed_batch.is_some() => return Err(error),
            Err(error) => candidates(&self.model, &layout.ports).into_iter().find_map(of_one_size).ok_or(error)?,
        };
        let built_in = first.prepared.layout.fixed_batch;
        let batch = built_in.or_else(|| candidates(&self.model, &layout.ports).first().copied()).unwrap_or(1);
        match (self.with_opened_batch(&mut first, batch, device), built_in) {
            (Ok((opened, places)), _) => {
                let detail =
                    format!("{}; the exporter had written {batch} for it at {places} places", opened.describe());
                Ok((opened, passed(detail)))
            }
            // Its outputs only are declared otherwise than it runs.
            (Err(_), None) => {
                let outcome = passed(first.describe());
                Ok((first, outcome))
            }
            (Err(reason), Some(_)) => {
                let warning = format!(
                    "{}: that size is built into the model, and batches that are not full cost as much as full ones, batches \
                     of 1 several times as much a position: export the model with an open batch ({reason})",
                    first.describe()
                );
                Ok((first, StepOutcome::Warned(warning)))
            }
        }
    }

    /// `built`, which runs in batches of `batch`, with that size opened; and the number of places where it stood.
    fn with_opened_batch(
        &self,
        built: &mut First<'a, G>,
        batch: usize,
        device: Device,
    ) -> Result<(First<'a, G>, usize), String> {
        let (model, places) = opened(&self.model, &built.prepared.layout.ports, batch)?;
        let loader = Self { model, ..self.clone() };
        let layout = Layout { fixed_batch: None, ..built.prepared.layout.clone() };
        let mut first = loader.running(None, layout, device).map_err(|error| {
            tracing::debug!(%error, "a model whose batch was opened");
            format!("taken out at {places} places, it still does not run with another")
        })?;
        let trial = |evaluator: &mut _| Trial::new(self.game, evaluator).map_err(|error| error.to_string());
        let together = trial(&mut first.evaluator)?;
        let Differences { value, prior } = together.differences(&trial(&mut built.evaluator)?);
        let tolerance = self.options.agreement_tolerance;
        if value <= tolerance && prior <= tolerance {
            return Ok((first, places));
        }
        Err(format!("opened, it answers otherwise: values differ by up to {value:.4} and priors by up to {prior:.4}"))
    }
}
