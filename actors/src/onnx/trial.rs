//! What a model answers on positions of the game, before it serves.

use selfplay_engine::{
    evaluation::{EvaluateError, Evaluations, Leaf, Worth},
    game::{ActionSet as _, Game},
};

use super::{
    evaluator::OnnxEvaluator,
    ports::{Head, Ports},
    probe_positions::probe_positions,
};
use crate::changes::ProbeAnswers;

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
    ports: Ports,
    /// Size of the largest batch.
    pub(super) batch: usize,
    /// In the largest batches that the network takes, filled up by repetition: of position `i % leaves` in row `i`.
    together: Answers,
}

/// What a network said, row by row.
#[derive(Default)]
pub(super) struct Answers {
    logits: Vec<f32>,
    /// As they came: one or three of a row.
    values: Vec<f32>,
    head: Head,
}

impl Answers {
    /// Nothing yet of a network with this head.
    pub(super) fn of(head: Head) -> Self {
        Self { head, ..Self::default() }
    }

    /// Logits, of `policy_len` each, and worth of every row.
    pub(super) fn rows(&self, policy_len: usize) -> impl Iterator<Item = (&[f32], Worth)> {
        self.logits.chunks_exact(policy_len).zip(self.worths())
    }

    fn worths(&self) -> impl Iterator<Item = Worth> {
        self.values.chunks_exact(self.head.len()).map(|numbers| self.head.worth(numbers))
    }

    /// One more row, or several, `values` as the network gave them.
    pub(super) fn push(&mut self, logits: &[f32], values: &[f32]) {
        self.logits.extend_from_slice(logits);
        self.values.extend_from_slice(values);
    }
}

/// Largest differences between two answers to one position, such as alone and in a large batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Differences {
    /// Of values, and of how likely draws are.
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
        let ports = evaluator.network_mut().ports().clone();
        Ok(Self { leaves, policy_len: game.policy_size(), ports, batch, together })
    }

    /// Positions tried.
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Positions with a number that is not finite in any answer, logits of illegal actions included.
    pub(super) fn non_finite(&self) -> usize {
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        let mut bad = vec![false; self.leaves.len()];
        for (row, (logits, worth)) in self.together.rows(self.policy_len).enumerate() {
            bad[row % self.leaves.len()] |= !finite(logits) || !worth.value.is_finite();
        }
        bad.into_iter().filter(|&bad| bad).count()
    }

    /// Positions that `again`, the same run once more, answers otherwise by more than rounding.
    pub(super) fn changed_from(&self, again: &Self) -> usize {
        let near = |a: &f32, b: &f32| (a - b).abs() <= STEADY * a.abs().max(1.0);
        let mut changed = vec![false; self.leaves.len()];
        let (first, second) = (self.together.rows(self.policy_len), again.together.rows(self.policy_len));
        for (row, ((logits, worth), (logits_again, worth_again))) in first.zip(second).enumerate() {
            let same = logits.iter().zip(logits_again).all(|(a, b)| near(a, b));
            let draws = [worth, worth_again].map(|worth| worth.draw.known().unwrap_or(0.0));
            let same_worth = near(&worth.value, &worth_again.value) && near(&draws[0], &draws[1]);
            changed[row % self.leaves.len()] |= !(same && same_worth);
        }
        changed.into_iter().filter(|&changed| changed).count()
    }

    /// The least and the largest value.
    pub(super) fn values(&self) -> (f32, f32) {
        let values = self.together.worths().map(|worth| worth.value);
        values.fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
    }

    /// What makes the answers look like something other than logits and values, each with its remedy.
    pub(super) fn doubts(&self) -> Vec<String> {
        let tried = self.leaves.len();
        let rows = || self.together.rows(self.policy_len).take(tried);
        let mut doubts = Vec::new();
        let Ports { policy, value, head, .. } = &self.ports;
        let outside = rows().filter(|(_, worth)| worth.value.abs() > 1.0 + OFF_SCALE).count();
        if outside > 0 {
            let (least, most) = self.values();
            doubts.push(format!(
                "`{value}` of {outside} of {tried} positions is outside [-1, 1] (from {least:.1} to {most:.1}) and is cut off \
                 there: export the expected result for the side to move, from -1 to 1, such as the output of a tanh"
            ));
        }
        let distribution =
            |logits: &[f32]| logits.iter().all(|&p| p >= 0.0) && (logits.iter().sum::<f32>() - 1.0).abs() <= OFF_SCALE;
        if rows().all(|(logits, _)| distribution(logits)) {
            doubts.push(format!(
                "`{policy}` is at least 0 and adds up to 1 in all {tried} positions, as probabilities do, and softmax is taken \
                 of it once more: export the logits, before softmax"
            ));
        }
        let outcomes = || self.together.values.chunks_exact(head.len()).take(tried);
        if *head != Head::Scalar && outcomes().all(distribution) {
            doubts.push(format!(
                "`{value}` is at least 0 and adds up to 1 in all {tried} positions, as probabilities do, and softmax is taken of it \
                 once more: export the logits of {head}, before softmax"
            ));
        }
        let (first, outcome) = (&self.together.logits[..self.policy_len], &self.together.values[..head.len()]);
        let near = |a: f32, b: f32| (a - b).abs() <= SAME * a.abs().max(1.0);
        let alike = |one: &[f32], other: &[f32]| one.iter().zip(other).all(|(&a, &b)| near(a, b));
        if rows().zip(outcomes()).all(|((logits, _), numbers)| alike(first, logits) && alike(outcome, numbers)) {
            doubts.push(format!(
                "all {tried} positions get the same answer, as from a network whose weights are 0: check how the weights were \
                 saved and exported"
            ));
        }
        doubts
    }

    /// What is kept of them, to compare the next model with.
    pub(super) fn kept(&self) -> ProbeAnswers {
        let mut kept = ProbeAnswers::default();
        for (leaf, (logits, worth)) in self.leaves.iter().zip(self.together.rows(self.policy_len)) {
            kept.push(leaf.legal.iter().map(|action| logits[usize::from(action)]), worth.value);
        }
        kept
    }

    /// The answers to each position alone.
    ///
    /// # Errors
    /// When the network fails.
    pub(super) fn alone(&self, evaluator: &mut OnnxEvaluator<G>) -> Result<Self, EvaluateError> {
        let together = answers(evaluator, &self.leaves, 1)?;
        let (leaves, ports) = (self.leaves.clone(), self.ports.clone());
        Ok(Self { leaves, policy_len: self.policy_len, ports, batch: 1, together })
    }

    /// The largest differences from the first answer that `others` has for each position. NaN where one answer is.
    pub(super) fn differences(&self, others: &Self) -> Differences {
        let others: Vec<_> = others.rows().take(self.leaves.len()).map(|(_, evaluation)| evaluation).collect();
        let mut most = Differences::default();
        for (position, here) in self.rows() {
            let (other, here) = (others[position].get(0), here.get(0));
            most.value = larger(most.value, (other.value - here.value).abs());
            if let (Some(other), Some(here)) = (other.draw.known(), here.draw.known()) {
                most.value = larger(most.value, (other - here).abs());
            }
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
    fn evaluation(&self, (logits, worth): (&[f32], Worth), position: usize) -> Evaluations {
        let mut evaluation = Evaluations::default();
        evaluation.push_logits(worth, logits, &self.leaves[position].legal);
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
    let mut answers = Answers::of(evaluator.network_mut().head());
    for part in leaves.chunks(batch) {
        evaluator.encode(part)?;
        evaluator.network_mut().run(part.len(), |logits, values| answers.push(logits, values))?;
    }
    Ok(answers)
}
