//! What the tree tells of its root besides values and visits.

use super::{Edge, ROOT, Tree};
use crate::game::{Action, ActionSet, Game};

/// An action of the root that was visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::search) struct Tried {
    pub(in crate::search) action: Action,
    pub(in crate::search) visits: u32,
    /// As selection saw it, with noise.
    pub(in crate::search) prior: f64,
    /// Mean value, from the view of the root's mover.
    pub(in crate::search) mean: f64,
}

impl<G: Game> Tree<G> {
    /// Actions of the root that were visited, in ascending order.
    pub(in crate::search) fn root_tried(&self) -> Vec<Tried> {
        let edges = self.edges.iter(self.node(ROOT).edges).filter(|edge| edge.visits > 0);
        let tried = |edge: &Edge| Tried {
            action: edge.action,
            visits: edge.visits,
            prior: edge.prior.into(),
            mean: edge.value_sum / f64::from(edge.visits),
        };
        let mut tried: Vec<_> = edges.map(tried).collect();
        tried.sort_unstable_by_key(|tried| tried.action);
        tried
    }

    /// The slot of the lowest of the root's actions with visits that has fewer than √(k P N) of them, N being those of the root with what
    /// is in flight.
    pub(in crate::search) fn neglected(&self, k: f64) -> Option<u16> {
        let visits = f64::from(self.root_effective_visits());
        let block = self.node(ROOT).edges;
        let (q, _) = self.edges.scores(block);
        let neglected = |&(_, (edge, &q)): &(u16, (&Edge, &f64))| {
            let own = f64::from(edge.effective_visits());
            edge.visits > 0 && own * own < k * f64::from(edge.prior) * visits && q > f64::NEG_INFINITY
        };
        let edges = (0..).zip(self.edges.iter(block).zip(q)).filter(neglected);
        edges.min_by_key(|(_, (edge, _))| edge.action).map(|(slot, _)| slot)
    }

    /// What the network says the root is worth, from its mover's view; NaN before it has answered.
    pub(in crate::search) fn root_raw_value(&self) -> f32 {
        let root = self.node(ROOT);
        if root.status.has_priors() { self.priors[root.priors as usize - 1] } else { f32::NAN }
    }

    /// The root's legal actions in ascending order with their priors without noise; none before the network has answered.
    pub(in crate::search) fn root_clean_priors(&self) -> Vec<(Action, f32)> {
        let root = self.node(ROOT);
        let priors = match (root.status.has_priors(), self.root_clean_priors.is_empty()) {
            (true, true) => self.priors_of(ROOT),
            (true, false) => self.root_clean_priors.clone(),
            _ => Vec::new(),
        };
        root.legal.iter().zip(priors).collect()
    }
}
