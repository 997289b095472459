//! What a model answers on positions of the game, before it serves.

use selfplay_engine::{
    evaluation::{EvaluateError, Evaluations, Leaf},
    game::Game,
};

use super::{
    evaluator::OnnxEvaluator,
    probe_positions::probe_positions,
    signature::{POLICY, VALUE},
};

/// Most that rounding may change an answer by when the same batch is run again, as a share of it.
const STEADY: f32 = 1e-3;
/// How far a value, or the sum of probabilities, may be from where it belongs and still be there.
const OFF_SCALE: f32 = 0.01;
/// Answers nearer than this, as a share of them, are the same.
const SAME: f32 = 1e-6;

/// Answers to the probe positions.
pub(super) struct Trial<G: Game> {
    leaves: Vec<Leaf<G>>,
    policy_len: usize,
    /// Size of the largest batch.
    pub(super) batch: usize,
    /// In the largest batches that the network takes, filled up by repetition: of position `i % leaves` in row `i`.
    together: Answers,
}

/// What a network said, row by row.
#[derive(Default)]
pub(super) struct Answers {
    logits: Vec<f32>,
    values: Vec<f32>,
}

impl Answers {
    /// Logits, of `policy_len` each, and value of every row.
    pub(super) fn rows(&self, policy_len: usize) -> impl Iterator<Item = (&[f32], f32)> {
        self.logits.chunks_exact(policy_len).zip(self.values.iter().copied())
    }

    /// One more row, or several.
    pub(super) fn push(&mut self, logits: &[f32], values: &[f32]) {
        self.logits.extend_from_slice(logits);
        self.values.extend_from_slice(values);
    }
}

/// Largest differences between two answers to one position, such as alone and in a large batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Differences {
    /// Of values.
    pub(super) value: f32,
    /// Of priors of legal actions.
    pub(super) prior: f32,
}

impl<G: Game> Trial<G> {
    /// Runs the network on all positions in the largest batches.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn new(game: &G, evaluator: &mut OnnxEvaluator<G>) -> Result<Self, EvaluateError> {
        let leaves = probe_positions(game);
        let batch = evaluator.network_mut().max_batch();
        let rows = leaves.len().next_multiple_of(batch);
        let filled: Vec<_> = leaves.iter().cycle().take(rows).copied().collect();
        let together = answers(evaluator, &filled, batch)?;
        Ok(Self { leaves, policy_len: game.policy_size(), batch, together })
    }

    /// Positions tried.
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Positions with a number that is not finite in any answer, logits of illegal actions included.
    pub(super) fn non_finite(&self) -> usize {
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        let mut bad = vec![false; self.leaves.len()];
        for (row, (logits, value)) in self.together.rows(self.policy_len).enumerate() {
            bad[row % self.leaves.len()] |= !finite(logits) || !value.is_finite();
        }
        bad.into_iter().filter(|&bad| bad).count()
    }

    /// Positions that `again`, the same run once more, answers otherwise by more than rounding.
    pub(super) fn changed_from(&self, again: &Self) -> usize {
        let near = |a: &f32, b: &f32| (a - b).abs() <= STEADY * a.abs().max(1.0);
        let mut changed = vec![false; self.leaves.len()];
        let (first, second) = (self.together.rows(self.policy_len), again.together.rows(self.policy_len));
        for (row, ((logits, value), (logits_again, value_again))) in first.zip(second).enumerate() {
            let same = logits.iter().zip(logits_again).all(|(a, b)| near(a, b)) && near(&value, &value_again);
            changed[row % self.leaves.len()] |= !same;
        }
        changed.into_iter().filter(|&changed| changed).count()
    }

    /// The least and the largest value.
    pub(super) fn values(&self) -> (f32, f32) {
        let values = self.together.values.iter().copied();
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
    }

    /// What makes the answers look like something other than logits and values, each with its remedy.
    pub(super) fn doubts(&self) -> Vec<String> {
        let tried = self.leaves.len();
        let rows = || self.together.rows(self.policy_len).take(tried);
        let mut doubts = Vec::new();
        let outside = rows().filter(|(_, value)| value.abs() > 1.0 + OFF_SCALE).count();
        if outside > 0 {
            let (least, most) = self.values();
            doubts.push(format!(
                "`{VALUE}` of {outside} of {tried} positions is outside [-1, 1] (from {least:.1} to {most:.1}) and is cut off \
                 there: export the expected result for the side to move, from -1 to 1, such as the output of a tanh"
            ));
        }
        let distribution =
            |logits: &[f32]| logits.iter().all(|&p| p >= 0.0) && (logits.iter().sum::<f32>() - 1.0).abs() <= OFF_SCALE;
        if rows().all(|(logits, _)| distribution(logits)) {
            doubts.push(format!(
                "`{POLICY}` is at least 0 and adds up to 1 in all {tried} positions, as probabilities do, and softmax is taken \
                 of it once more: export the logits, before softmax"
            ));
        }
        let (first, value) = (&self.together.logits[..self.policy_len], self.together.values[0]);
        let near = |a: f32, b: f32| (a - b).abs() <= SAME * a.abs().max(1.0);
        if rows().all(|(logits, v)| near(value, v) && first.iter().zip(logits).all(|(&a, &b)| near(a, b))) {
            doubts.push(format!(
                "all {tried} positions get the same answer, as from a network whose weights are 0: check how the weights were \
                 saved and exported"
            ));
        }
        doubts
    }

    /// The answers to each position alone.
    ///
    /// # Errors
    /// When the network fails.
    pub(super) fn alone(&self, evaluator: &mut OnnxEvaluator<G>) -> Result<Self, EvaluateError> {
        let together = answers(evaluator, &self.leaves, 1)?;
        Ok(Self { leaves: self.leaves.clone(), policy_len: self.policy_len, batch: 1, together })
    }

    /// The largest differences from the first answer that `others` has for each position. NaN where one answer is.
    pub(super) fn differences(&self, others: &Self) -> Differences {
        let others: Vec<_> = others.rows().take(self.leaves.len()).map(|(_, evaluation)| evaluation).collect();
        let mut most = Differences::default();
        for (position, here) in self.rows() {
            let (other, here) = (others[position].get(0), here.get(0));
            most.value = larger(most.value, (other.value - here.value).abs());
            for (other, here) in other.priors.iter().zip(here.priors) {
                most.prior = larger(most.prior, (other - here).abs());
            }
        }
        most
    }

    /// Position and evaluation of every row.
    fn rows(&self) -> impl Iterator<Item = (usize, Evaluations)> {
        self.together.rows(self.policy_len).enumerate().map(|(row, answer)| {
            let position = row % self.leaves.len();
            (position, self.evaluation(answer, position))
        })
    }

    /// As games would use it.
    fn evaluation(&self, (logits, value): (&[f32], f32), position: usize) -> Evaluations {
        let mut evaluation = Evaluations::default();
        evaluation.push_logits(value.clamp(-1.0, 1.0), logits, &self.leaves[position].legal);
        evaluation
    }
}

/// The larger one; NaN if there is one.
fn larger(a: f32, b: f32) -> f32 {
    if b.is_nan() || b > a { b } else { a }
}

/// Runs the network on `leaves` in batches of at most `batch`.
///
/// # Errors
/// When it fails.
pub(super) fn answers<G: Game>(
    evaluator: &mut OnnxEvaluator<G>,
    leaves: &[Leaf<G>],
    batch: usize,
) -> Result<Answers, EvaluateError> {
    let mut answers = Answers::default();
    for part in leaves.chunks(batch) {
        evaluator.encode(part)?;
        evaluator.network_mut().run(part.len(), |logits, values| answers.push(logits, values))?;
    }
    Ok(answers)
}
