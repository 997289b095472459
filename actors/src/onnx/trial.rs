//! What a model answers on positions of the game, before it serves.

use selfplay_engine::{
    evaluation::{EvaluateError, Evaluations, Leaf},
    game::Game,
};

use super::{evaluator::OnnxEvaluator, probe_positions::probe_positions};

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

/// Largest differences between the answers to one position alone and in a large batch.
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

    /// Compares with the answers to each position alone. NaN where one answer is.
    ///
    /// # Errors
    /// When the network fails.
    pub(super) fn differences(&self, evaluator: &mut OnnxEvaluator<G>) -> Result<Differences, EvaluateError> {
        let alone = answers(evaluator, &self.leaves, 1)?;
        let alone: Vec<_> =
            alone.rows(self.policy_len).enumerate().map(|(position, row)| self.evaluation(row, position)).collect();
        let mut most = Differences::default();
        for (row, answer) in self.together.rows(self.policy_len).enumerate() {
            let position = row % self.leaves.len();
            let (alone, together) = (&alone[position], self.evaluation(answer, position));
            let (alone, together) = (alone.get(0), together.get(0));
            most.value = larger(most.value, (alone.value - together.value).abs());
            for (alone, together) in alone.priors.iter().zip(together.priors) {
                most.prior = larger(most.prior, (alone - together).abs());
            }
        }
        Ok(most)
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
