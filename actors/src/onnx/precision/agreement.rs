//! How far the answers of a converted network are from those of the network it was made from.

use std::fmt;

use selfplay_engine::{
    evaluation::Leaf,
    game::{ActionSet as _, Game},
};
use serde::Serialize;

use super::{
    super::{device::Device, trial::Answers},
    Precision, PrecisionOptions,
};
use crate::changes::{divergence, log_softmax};

/// Differences between a converted model and the model as it came, over positions tried.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// What it was converted to.
    pub precision: Precision,
    /// What computed its answers; those of the model as it came are ONNX Runtime's own where that is OpenVINO.
    pub device: Device,
    /// How many positions were tried.
    pub positions: usize,
    /// Kullback–Leibler divergence of the converted model's policy from that of the model as it came, over legal actions, in
    /// nats: mean of all positions.
    pub policy_kl_mean: f64,
    /// The largest.
    pub policy_kl_max: f64,
    /// Distance between the two values: mean of all positions.
    pub value_error_mean: f64,
    /// The largest.
    pub value_error_max: f64,
    /// Distance between the two probabilities of a draw, of networks that have one: mean of all positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw_error_mean: Option<f64>,
    /// The largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draw_error_max: Option<f64>,
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { positions, policy_kl_mean, policy_kl_max, value_error_mean, value_error_max, .. } = self;
        write!(
            f,
            "{} against fp32 on {positions} positions: policy KL mean {policy_kl_mean:.1e}, max {policy_kl_max:.1e} \
             nats; value error mean {value_error_mean:.1e}, max {value_error_max:.1e}",
            self.name()
        )?;
        if let (Some(mean), Some(max)) = (self.draw_error_mean, self.draw_error_max) {
            write!(f, "; draw error mean {mean:.1e}, max {max:.1e}")?;
        }
        Ok(())
    }
}

/// Compares answers to the same `leaves`. NaN where an answer is no number.
pub(in crate::onnx) fn judge<G: Game>(
    (precision, device): (Precision, Device),
    leaves: &[Leaf<G>],
    policy_len: usize,
    [before, after]: [&Answers; 2],
) -> Agreement {
    let (mut kl, mut error, mut draws) = (Spread::default(), Spread::default(), Spread::default());
    for ((leaf, before), after) in leaves.iter().zip(before.rows(policy_len)).zip(after.rows(policy_len)) {
        kl.add(divergence(&log_policy(leaf, before.0), &log_policy(leaf, after.0)));
        let values = [before.1, after.1].map(|worth| worth.value.clamp(-1.0, 1.0));
        error.add(f64::from((values[0] - values[1]).abs()));
        if let Some(draw) = before.1.draw.known() {
            draws.add(f64::from((draw - after.1.draw.or_nan()).abs()));
        }
    }
    Agreement {
        precision,
        device,
        positions: leaves.len(),
        policy_kl_mean: kl.mean(),
        policy_kl_max: kl.max,
        value_error_mean: error.mean(),
        value_error_max: error.max,
        draw_error_mean: (draws.count > 0).then(|| draws.mean()),
        draw_error_max: (draws.count > 0).then_some(draws.max),
    }
}

impl Agreement {
    /// What is compared with the model as it came, for people.
    #[must_use]
    pub fn name(&self) -> String {
        match self.device {
            Device::OpenVino(_) => format!("{} through OpenVINO", self.precision),
            Device::Cpu | Device::Cuda(_) | Device::TensorRt(_) => self.precision.to_string(),
        }
    }

    /// Whether it is as good as `options` ask for. NaN is no agreement.
    pub(in crate::onnx) fn suffices(&self, options: &PrecisionOptions) -> bool {
        let near = |error: f64| error <= options.max_value_error;
        self.policy_kl_max <= options.max_kl && near(self.value_error_max) && self.draw_error_max.is_none_or(near)
    }
}

/// Logarithms of the priors of the legal actions.
fn log_policy<G: Game>(leaf: &Leaf<G>, logits: &[f32]) -> Vec<f64> {
    let mut logs: Vec<_> = leaf.legal.iter().map(|action| f64::from(logits[usize::from(action)])).collect();
    log_softmax(&mut logs);
    logs
}

#[derive(Default)]
struct Spread {
    count: usize,
    sum: f64,
    max: f64,
}

impl Spread {
    fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum += number;
        // NaN stays.
        if number.is_nan() || number > self.max {
            self.max = number;
        }
    }

    fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum / self.count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::tictactoe::TicTacToe;

    use super::*;

    fn of(answers: &[(&[f32], f32)]) -> Answers {
        let mut all = Answers::default();
        answers.iter().for_each(|(logits, value)| all.push(logits, &[*value]));
        all
    }

    #[test]
    fn divergence_and_error_are_those_of_the_books() {
        let game = TicTacToe;
        let state = game.start();
        let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
        let equal = [0.0; 9];
        let mut other = [0.0; 9];
        other[4] = 2.0_f32.ln();
        let before = of(&[(&equal, 0.5), (&other, 2.0)]);
        let after = of(&[(&other, 0.25), (&other, 1.0)]);
        let found = judge((Precision::Int8, Device::Cpu), &[leaf; 2], 9, [&before, &after]);
        // Nine equal chances against one of 2/10 and eight of 1/10.
        let expected = 8.0 / 9.0 * (10.0_f64 / 9.0).ln() + 1.0 / 9.0 * (5.0_f64 / 9.0).ln();
        assert!((found.policy_kl_max - expected).abs() < 1e-7, "{found:?}");
        assert!((found.policy_kl_mean - expected / 2.0).abs() < 1e-7, "{found:?}");
        assert_eq!((found.value_error_max, found.value_error_mean), (0.25, 0.125), "values are clamped");
        let options =
            |max_kl, max_value_error| PrecisionOptions { precision: Precision::Int8.into(), max_kl, max_value_error };
        assert!(found.suffices(&options(0.1, 0.25)));
        assert!(!found.suffices(&options(0.01, 0.25)) && !found.suffices(&options(0.1, 0.24)));
        assert!(
            found.to_string().starts_with("int8 against fp32 on 2 positions: policy KL mean 1.4e-2, max 2.8e-2 nats; "),
            "{found}"
        );
    }

    #[test]
    fn what_computed_the_answers_is_named() {
        let game = TicTacToe;
        let state = game.start();
        let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
        let same = of(&[(&[0.0; 9], 0.5)]);
        let found = judge((Precision::Fp32, Device::OPENVINO), &[leaf], 9, [&same, &same]);
        assert!(found.to_string().starts_with("fp32 through OpenVINO against fp32 on 1 positions: "), "{found}");
        assert_eq!(serde_json::to_value(found).unwrap()["device"], "openvino:cpu");
    }

    #[test]
    fn nan_is_no_agreement() {
        let game = TicTacToe;
        let state = game.start();
        let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
        let fine = [0.0; 9];
        let flawed = [f32::NAN; 9];
        let most = PrecisionOptions { precision: Precision::Fp16.into(), max_kl: f64::MAX, max_value_error: f64::MAX };
        for (logits, value) in [(&flawed, 0.0), (&fine, f32::NAN)] {
            let (before, after) = (of(&[(&fine, 0.0), (&fine, 0.0)]), of(&[(logits, value), (&fine, 0.0)]));
            let found = judge((Precision::Fp16, Device::Cpu), &[leaf; 2], 9, [&before, &after]);
            assert!(!found.suffices(&most), "{found:?}");
        }
    }
}
