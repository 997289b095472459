//! Leaves in, evaluations out.

use std::time::Instant;

use selfplay_engine::{
    evaluation::{EvaluateError, Evaluations, Evaluator, EvaluatorEffort, Leaf},
    game::Game,
};

use super::{binding::Rows, network::Network};

/// Evaluates positions with an ONNX model. Belongs to one thread; several threads have one each.
///
/// Batches of any size are taken; those above [`Network::max_batch`] are run in parts. Values outside [−1, 1] are clamped.
#[derive(Debug)]
pub struct OnnxEvaluator<G: Game> {
    game: G,
    encoding: G::Encoding,
    network: Network,
    /// What the rows of the input hold, where they keep it.
    encoded: Vec<G::Position>,
    effort: EvaluatorEffort,
}

impl<G: Game> OnnxEvaluator<G> {
    /// `network` takes `encoding` of `game`.
    pub(super) fn new(game: G, encoding: G::Encoding, network: Network) -> Self {
        Self { game, encoding, network, encoded: Vec::new(), effort: EvaluatorEffort::default() }
    }

    /// The layout of its input, chosen by the model.
    pub const fn encoding(&self) -> G::Encoding {
        self.encoding
    }

    /// The rules it evaluates positions of.
    pub(super) const fn game(&self) -> &G {
        &self.game
    }

    /// The network below: positions in, logits out.
    pub fn network_mut(&mut self) -> &mut Network {
        self.encoded.clear(); // Its input may be written by others from now on.
        &mut self.network
    }

    /// See [`Network::warm`].
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn warm(&mut self) -> Result<(), EvaluateError> {
        self.network.warm()
    }

    /// Writes the positions of at most `max_batch` leaves into the network's input.
    ///
    /// # Errors
    /// As [`Network::rows_mut`].
    pub(super) fn encode(&mut self, leaves: &[Leaf<G>]) -> Result<(), EvaluateError> {
        let (row_len, keeps) = (self.network.row_len(), self.network.keeps_rows());
        match self.network.rows_mut(leaves.len())? {
            Rows::Planes(rows) => {
                for (place, (leaf, row)) in leaves.iter().zip(rows.chunks_exact_mut(row_len)).enumerate() {
                    match self.encoded.get_mut(place) {
                        Some(before) => {
                            self.game.encode_over(self.encoding, before, &leaf.position, row);
                            *before = leaf.position;
                        }
                        None => {
                            self.game.encode(self.encoding, &leaf.position, row);
                            self.encoded.extend(keeps.then_some(leaf.position));
                        }
                    }
                }
            }
            Rows::Packed(rows) => {
                for (leaf, row) in leaves.iter().zip(rows.chunks_exact_mut(row_len)) {
                    self.game.pack(self.encoding, &leaf.position, row);
                }
            }
        }
        Ok(())
    }
}

impl<G: Game> Evaluator<G> for OnnxEvaluator<G> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        crate::faults::batch()?;
        out.clear();
        let (policy_len, head) = (self.network.policy_len(), self.network.head());
        let mut effort = EvaluatorEffort::default();
        for part in leaves.chunks(self.network.max_batch()) {
            let begun = Instant::now();
            self.encode(part)?;
            effort.encode += begun.elapsed();
            effort.padding += self.network.padding(part.len());
            self.network.run(part.len(), |logits, values| {
                let begun = Instant::now();
                let rows = logits.chunks_exact(policy_len).zip(values.chunks_exact(head.len()));
                for (leaf, (logits, numbers)) in part.iter().zip(rows) {
                    let mut worth = head.worth(numbers);
                    worth.value = crate::faults::value(worth.value);
                    out.push_logits(worth, logits, &leaf.legal);
                }
                effort.decode += begun.elapsed();
            })?;
        }
        self.effort = effort;
        Ok(())
    }

    fn effort(&self) -> EvaluatorEffort {
        self.effort
    }
}
