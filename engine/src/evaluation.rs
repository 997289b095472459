//! What a network says of a position, who says it, and the deterministic stand-ins of tests and benchmarks.

mod worth;

use std::{fmt, time::Duration};

use thiserror::Error;

pub use self::worth::{DrawChance, Worth};
use crate::{
    game::{Action, ActionSet, Game},
    lanes::softmax,
};

/// A position to evaluate: 64 bytes for Quoridor, cheap to send between threads.
pub struct Leaf<G: Game> {
    /// What the network sees, network frame.
    pub position: G::Position,
    /// Legal actions of the mover, network frame.
    pub legal: G::Actions,
}

impl<G: Game> Leaf<G> {
    /// The leaf of a state whose legal actions (game frame) are known already.
    pub fn new(game: &G, state: &G::State, legal: &G::Actions) -> Self {
        Self { position: game.position(state), legal: game.turn_actions(game.side_to_move(state), legal) }
    }

    /// The least of the leaf's images, which is the same for all of them, and the symmetry that leads from the leaf to it: the
    /// first one that does, so 0 for a leaf that is the least itself.
    #[must_use]
    pub fn canonical(self, game: &G) -> (Self, usize) {
        let (mut least, mut found) = (self.position, 0);
        for symmetry in 1..game.symmetries() {
            let image = game.transform(symmetry, &self.position);
            if image < least {
                (least, found) = (image, symmetry);
            }
        }
        let legal = if found == 0 { self.legal } else { game.transform_actions(found, &self.legal) };
        (Self { position: least, legal }, found)
    }
}

// Derives would ask for `G: Clone` and so on; the fields are what counts.
impl<G: Game> Clone for Leaf<G> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<G: Game> Copy for Leaf<G> {}
impl<G: Game> fmt::Debug for Leaf<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("position", &self.position).field("legal", &self.legal).finish()
    }
}

/// The evaluation of one leaf.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation<'a> {
    /// Expected outcome in [−1, 1] from the view of the side to move.
    pub value: f32,
    /// How likely a draw is.
    pub draw: DrawChance,
    /// Prior probability of each legal action in ascending network-frame order; sums to 1.
    pub priors: &'a [f32],
}

impl Evaluation<'_> {
    /// Value and draw together.
    #[must_use]
    pub const fn worth(&self) -> Worth {
        Worth { value: self.value, draw: self.draw }
    }
}

/// What a network gave for one position, as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct RawOutput {
    /// The value, view of the side to move; of win, draw and loss the expected one.
    pub value: f32,
    /// One logit per policy index, network frame.
    pub logits: Box<[f32]>,
}

/// Evaluations of a run of leaves, in the leaves' order: three flat vectors, whatever the number of leaves.
///
/// They are pushed one after the other, or placed in any order after [`Evaluations::vacant`]. A leaf for which the network gave
/// no usable answer has a place like the others, but what stands there must not be used: see [`Evaluations::flaws`].
#[derive(Clone, Debug, Default)]
pub struct Evaluations {
    worths: Vec<Worth>,
    priors: Vec<f32>,
    /// Where in `priors` each leaf's are.
    spans: Vec<Span>,
    flaws: Vec<(usize, RawOutput)>,
    clamped: u64,
}

/// A run of priors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

/// Where nothing was placed yet.
const VACANT: Span = Span { start: u32::MAX, len: 0 };

impl PartialEq for Evaluations {
    /// The order in which they were placed makes no difference.
    fn eq(&self, other: &Self) -> bool {
        let same = |index| match (self.is_vacant(index), other.is_vacant(index)) {
            (false, false) => self.get(index) == other.get(index),
            (mine, others) => mine == others,
        };
        self.len() == other.len()
            && (0..self.len()).all(same)
            && self.flaws == other.flaws
            && self.clamped == other.clamped
    }
}

impl Evaluations {
    /// None yet, with room for `leaves` leaves with `priors` priors together.
    #[must_use]
    pub fn with_capacity(leaves: usize, priors: usize) -> Self {
        Self {
            worths: Vec::with_capacity(leaves),
            priors: Vec::with_capacity(priors),
            spans: Vec::with_capacity(leaves),
            ..Self::default()
        }
    }

    /// Vacant places for `leaves` leaves, with room for `priors` priors together.
    #[must_use]
    pub fn vacant(leaves: usize, priors: usize) -> Self {
        Self {
            worths: vec![Worth::from(0.0); leaves],
            priors: Vec::with_capacity(priors),
            spans: vec![VACANT; leaves],
            ..Self::default()
        }
    }

    /// Vacates every place and keeps their number and the memory.
    pub fn vacate(&mut self) {
        self.priors.clear();
        self.spans.fill(VACANT);
        self.flaws.clear();
        self.clamped = 0;
    }

    /// Whether nothing was placed for leaf `index` yet.
    #[must_use]
    pub fn is_vacant(&self, index: usize) -> bool {
        self.spans[index] == VACANT
    }

    /// Fills the vacant place of leaf `index`. `priors`: see [`Evaluation::priors`].
    pub fn place(&mut self, index: usize, worth: impl Into<Worth>, priors: &[f32]) {
        debug_assert!(self.is_vacant(index), "leaf {index} is evaluated twice");
        self.worths[index] = worth.into();
        let start = self.priors.len();
        self.priors.extend_from_slice(priors);
        self.spans[index] = self.span_from(start);
    }

    /// The span of all priors from `start` on.
    fn span_from(&self, start: usize) -> Span {
        Span { start: start as u32, len: (self.priors.len() - start) as u32 }
    }

    /// Number of leaves evaluated.
    #[must_use]
    pub fn len(&self) -> usize {
        self.worths.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.worths.is_empty()
    }

    /// Forgets all evaluations and keeps the memory.
    pub fn clear(&mut self) {
        self.worths.clear();
        self.priors.clear();
        self.spans.clear();
        self.flaws.clear();
        self.clamped = 0;
    }

    /// Appends the evaluation of the next leaf, and returns its priors. `priors`: see [`Evaluation::priors`].
    pub fn push(&mut self, worth: impl Into<Worth>, priors: impl IntoIterator<Item = f32>) -> &mut [f32] {
        let start = self.priors.len();
        self.worths.push(worth.into());
        self.priors.extend(priors);
        self.spans.push(self.span_from(start));
        &mut self.priors[start..]
    }

    /// The evaluation of leaf `index`. Panics when there is none.
    #[must_use]
    pub fn get(&self, index: usize) -> Evaluation<'_> {
        let Span { start, len } = self.spans[index];
        let Worth { value, draw } = self.worths[index];
        Evaluation { value, draw, priors: &self.priors[start as usize..][..len as usize] }
    }

    /// All evaluations in order.
    pub fn iter(&self) -> impl Iterator<Item = Evaluation<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Appends an evaluation given as network output: what the position is worth and one logit per policy index.
    ///
    /// The priors are the softmax over legal actions only, in f32 with the maximum subtracted: what a softmax over all actions
    /// with illegal logits at −1e32 gives (contract of the trainer). A value outside [−1, 1] is clamped and counted. When the
    /// value is not finite, or a legal logit makes the softmax so (NaN, +∞, or −∞ for all of them), the leaf is marked as
    /// flawed and false is returned.
    pub fn push_logits<A: ActionSet>(&mut self, worth: impl Into<Worth>, logits: &[f32], legal: &A) -> bool {
        let Worth { value, draw } = worth.into();
        let start = self.priors.len();
        legal.compress(logits, &mut self.priors);
        let sound = softmax(&mut self.priors[start..]) && value.is_finite();
        if sound {
            self.clamped += u64::from(!(-1.0..=1.0).contains(&value));
        } else {
            self.flaws.push((self.worths.len(), RawOutput { value, logits: logits.into() }));
        }
        self.worths.push(Worth { value: value.clamp(-1.0, 1.0), draw });
        self.spans.push(self.span_from(start));
        sound
    }

    /// The leaves without a usable answer: index, ascending, and what the network gave for it.
    #[must_use]
    pub fn flaws(&self) -> &[(usize, RawOutput)] {
        &self.flaws
    }

    /// Number of values that were outside [−1, 1] and have been clamped.
    #[must_use]
    pub fn clamped(&self) -> u64 {
        self.clamped
    }
}

/// Why leaves could not be evaluated.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EvaluateError {
    /// The inference runtime reported a failure.
    #[error("run the network: {0}")]
    Backend(String),
}

/// What an evaluator spent on its last call, as far as it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluatorEffort {
    /// On turning positions into the network's input.
    pub encode: Duration,
    /// On turning the network's output into evaluations.
    pub decode: Duration,
    /// Rows that the network was given beside those of the leaves.
    pub padding: usize,
}

/// Something that evaluates positions. One evaluator belongs to one thread; search cannot tell which one it has.
pub trait Evaluator<G: Game>: Send {
    /// Replaces the contents of `out` by one evaluation per leaf, in order.
    ///
    /// The answer for a leaf must not depend on the other leaves.
    ///
    /// Non-finite numbers are no error: their leaves are marked ([`Evaluations::flaws`]), and the others can be used.
    ///
    /// # Errors
    /// When the backend fails; `out` is then unspecified.
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError>;

    /// What the last call spent beside the network; nothing where there is none.
    fn effort(&self) -> EvaluatorEffort {
        EvaluatorEffort::default()
    }
}

/// Value 0 and equal priors for every position.
#[derive(Clone, Copy, Debug, Default)]
pub struct UniformEvaluator;

impl<G: Game> Evaluator<G> for UniformEvaluator {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        out.clear();
        for leaf in leaves {
            let count = leaf.legal.len();
            out.push(0.0, std::iter::repeat_n(1.0 / count as f32, count));
        }
        Ok(())
    }
}

/// How [`HashEvaluator`] turns weights into priors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashPriors {
    /// Weights divided by their sum.
    Ratio,
    /// Softmax of weights / 64, through the same code as a network's logits.
    Softmax,
}

/// Pseudo-random but reproducible evaluations: everything follows from a hash of the encoded position.
///
/// Matches the `hash` and `hashlogit` evaluators of the conformance vectors (`tests/data/README.md`), for encodings whose
/// entries are integers in 0..=255. `salt` 0 is theirs; other salts give evaluators that disagree with it everywhere.
#[derive(Clone, Debug)]
pub struct HashEvaluator<G: Game> {
    game: G,
    encoding: G::Encoding,
    priors: HashPriors,
    salt: u64,
    planes: Vec<f32>,
    logits: Vec<f32>,
}

impl<G: Game> HashEvaluator<G> {
    /// An evaluator over `encoding` of `game`.
    pub fn new(game: G, encoding: G::Encoding, priors: HashPriors, salt: u64) -> Self {
        let planes = vec![0.0; game.input_shape(encoding).iter().product()];
        let logits = vec![0.0; game.policy_size()];
        Self { game, encoding, priors, salt, planes, logits }
    }

    /// FNV-1a 64 over the encoded position, one byte per entry.
    fn hash(&mut self, position: &G::Position) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        self.game.encode(self.encoding, position, &mut self.planes);
        let hash = self.planes.iter().fold(OFFSET, |hash, &entry| (hash ^ u64::from(entry as u8)).wrapping_mul(PRIME));
        hash ^ self.salt
    }
}

/// The SplitMix64 step and finaliser (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
#[must_use]
pub fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Weight of a network-frame action, 1..=256.
fn weight(hash: u64, action: Action) -> f32 {
    let key = (u64::from(action) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (1 + (mix(hash ^ key) >> 56)) as f32
}

impl<G: Game> Evaluator<G> for HashEvaluator<G> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        out.clear();
        for leaf in leaves {
            let hash = self.hash(&leaf.position);
            let value = (mix(hash) >> 40) as f32 / 16_777_216.0 - 0.5;
            match self.priors {
                HashPriors::Ratio => {
                    // At most 256 weights of at most 256: the sum is exact in f32.
                    let sum: f32 = leaf.legal.iter().map(|action| weight(hash, action)).sum();
                    out.push(value, leaf.legal.iter().map(|action| weight(hash, action) / sum));
                }
                HashPriors::Softmax => {
                    for action in leaf.legal.iter() {
                        self.logits[usize::from(action)] = weight(hash, action) / 64.0;
                    }
                    out.push_logits(value, &self.logits, &leaf.legal);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::ActionBits;

    #[test]
    fn priors_are_the_softmax_over_legal_actions_only() {
        let mut legal = ActionBits::<1>::default();
        legal.insert(1);
        legal.insert(3);
        let mut evaluations = Evaluations::default();
        assert!(evaluations.push_logits(0.5, &[100.0, 0.0, 100.0, 3f32.ln()], &legal));
        let evaluation = evaluations.get(0);
        assert_eq!(evaluation.value, 0.5);
        assert!((evaluation.priors[0] - 0.25).abs() < 1e-6 && (evaluation.priors[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn evaluations_placed_in_any_order_equal_those_pushed_in_order() {
        let mut pushed = Evaluations::default();
        pushed.push(0.5, [1.0]);
        pushed.push(-0.5, [0.25, 0.75]);
        let mut placed = Evaluations::vacant(2, 3);
        placed.place(1, -0.5, &[0.25, 0.75]);
        assert!(placed.is_vacant(0) && !placed.is_vacant(1));
        assert_ne!(placed, pushed);
        placed.place(0, 0.5, &[1.0]);
        assert_eq!(placed, pushed);
        assert_eq!(placed.get(1), Evaluation { value: -0.5, draw: DrawChance::UNKNOWN, priors: &[0.25, 0.75] });
        placed.vacate();
        assert_eq!(placed, Evaluations::vacant(2, 0));
    }

    #[test]
    fn values_are_clamped_and_counted_but_not_the_infinite_ones() {
        let mut legal = ActionBits::<1>::default();
        legal.insert(0);
        let mut evaluations = Evaluations::default();
        for value in [1.5, -1.0, 1.0, -7.0, f32::INFINITY] {
            evaluations.push_logits(value, &[0.0], &legal);
        }
        let values: Vec<_> = evaluations.iter().take(4).map(|evaluation| evaluation.value).collect();
        assert_eq!((values, evaluations.clamped()), (vec![1.0, -1.0, 1.0, -1.0], 2));
        assert_eq!(evaluations.flaws(), [(4, RawOutput { value: f32::INFINITY, logits: [0.0].into() })]);
        evaluations.clear();
        assert_eq!(evaluations, Evaluations::default());
    }

    #[test]
    fn non_finite_network_output_is_marked() {
        let mut legal = ActionBits::<1>::default();
        legal.insert(0);
        legal.insert(1);
        let mut evaluations = Evaluations::default();
        assert!(!evaluations.push_logits(f32::NAN, &[0.0, 0.0], &legal));
        assert!(!evaluations.push_logits(0.0, &[0.0, f32::NAN], &legal));
        assert!(!evaluations.push_logits(0.0, &[0.0, f32::INFINITY], &legal));
        assert!(evaluations.push_logits(0.0, &[0.0, f32::NEG_INFINITY], &legal), "a prior of 0");
        assert!(!evaluations.push_logits(0.0, &[f32::NEG_INFINITY; 2], &legal));
        assert_eq!(evaluations.len(), 5);
        let flaws: Vec<_> = evaluations.flaws().iter().map(|&(leaf, _)| leaf).collect();
        assert_eq!(flaws, [0, 1, 2, 4]);
    }
}
