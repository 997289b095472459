//! What the tree tells of improved policies: see [`crate::search::improved`].

use super::{Edge, NOT_SOUGHT, Node, Standing, Status, Tree};
use crate::{
    game::{Action, ActionSet, Game},
    search::{
        improved::{Completed, Visited, weight},
        params::Gumbel,
    },
};

impl<G: Game> Tree<G> {
    /// What follows for an expanded node from the actions visited there.
    pub(in crate::search) fn completed(&self, index: u32, params: &Gumbel) -> Completed {
        if self.proofs.are_kept() {
            // Actions that are proven lost are as good as illegal.
            return self.completed_from(index, params, |edge| edge.visits > 0 && !edge.is_lost());
        }
        self.completed_from(index, params, |edge| edge.visits > 0)
    }

    fn completed_from(&self, index: u32, params: &Gumbel, counts: impl Fn(&Edge) -> bool) -> Completed {
        let node = self.node(index);
        let (q, _) = self.edges.scores(node.edges);
        let visited = || self.edges.iter(node.edges).zip(q).filter(|&(edge, _)| counts(edge));
        let others = usize::from(node.legal_len) < self.policy_size || visited().count() < self.policy_size;
        let known = visited().map(|(edge, &q)| Visited { prior: f64::from(edge.prior), q, visits: edge.visits });
        let value = self.priors[node.priors as usize - 1];
        Completed::new(params, f64::from(value), known, others)
    }

    /// The value of an open action, its own where it has visits.
    pub(in crate::search) fn completed_value(&self, index: u32, slot: u16, completed: &Completed) -> f64 {
        let place = self.node(index).edges.at(slot);
        value_of(self.edges.get(place), self.edges.q(place), completed)
    }

    /// The slot of the action whose share of visits is furthest behind its share of the improved policy, lowest action first
    /// among equals (eq. 14 of the paper); opens it if it is untried. `None` when no action has a prior above 0.
    pub(in crate::search) fn select_improved(
        &mut self,
        index: u32,
        params: &Gumbel,
        weights: &mut Vec<f64>,
    ) -> Option<u16> {
        if self.node(index).best_untried_rank == NOT_SOUGHT {
            self.find_best_untried(index);
        }
        let completed = self.completed(index, params);
        let node = self.node(index);
        let untried = completed.sigma(completed.unvisited);
        weights.clear();
        weights.extend(self.sigmas(node, &completed));
        let largest = weights.iter().copied().fold(untried, f64::max);
        // Among untried actions only the one with the largest prior can be it.
        let mut total = self.untried_priors(index) * (untried - largest).exp();
        let mut begun = 1.0;
        for (weight_of, edge) in weights.iter_mut().zip(self.edges.iter(node.edges)) {
            *weight_of = weight(f64::from(edge.prior), *weight_of, largest);
            total += *weight_of;
            begun += f64::from(edge.effective_visits());
        }
        let mut best = None;
        for (slot, (weight, edge)) in weights.iter().zip(self.edges.iter(node.edges)).enumerate() {
            let behind = weight / total - f64::from(edge.effective_visits()) / begun;
            let better = best.is_none_or(|(most, rank, _)| behind > most || behind == most && edge.rank < rank);
            if better {
                best = Some((behind, edge.rank, slot as u16));
            }
        }
        let (rank, prior) = (node.best_untried_rank, node.best_untried);
        if prior <= 0.0 {
            let (_, _, slot) = best?;
            return Some(if self.proofs.are_kept() { self.spare_the_lost(index, slot) } else { slot });
        }
        let behind = weight(f64::from(prior), untried, largest) / total;
        match best {
            Some((most, lower, slot)) if most > behind || most == behind && lower < rank => Some(slot),
            _ => Some(self.open(index, rank, 0.0)),
        }
    }

    /// The improved policy of a node, actions ascending, each with its visits; `None` before the node has priors. Actions that are
    /// proven worse than others have no share.
    pub(in crate::search) fn improved_policy(&self, index: u32, params: &Gumbel) -> Option<Vec<(Action, u32, f64)>> {
        let node = self.node(index);
        if !node.status.has_priors() {
            return None;
        }
        let completed = self.completed(index, params);
        // Below all others, with a weight of 0.
        let worse = f64::NEG_INFINITY;
        let judge = self.judge(index);
        let unvisited = if node.status == Status::Proven { worse } else { completed.sigma(completed.unvisited) };
        let sigma = |(edge, sigma): (&Edge, f64)| if judge(edge) == Standing::Worse { worse } else { sigma };
        let sigmas = || self.edges.iter(node.edges).zip(self.sigmas(node, &completed)).map(sigma);
        let largest = sigmas().fold(unvisited, f64::max);
        let of_untried = |(action, &prior): (Action, &f32)| (action, 0, weight(f64::from(prior), unvisited, largest));
        let priors = &self.priors[self.prior_range(index)];
        let mut policy: Vec<_> = node.legal.iter().zip(priors).map(of_untried).collect();
        for (edge, sigma) in self.edges.iter(node.edges).zip(sigmas()) {
            policy[usize::from(edge.rank)] = (edge.action, edge.visits, weight(f64::from(edge.prior), sigma, largest));
        }
        let total: f64 = policy.iter().map(|&(_, _, weight)| weight).sum();
        policy.iter_mut().for_each(|(_, _, share)| *share /= total);
        Some(policy)
    }

    /// σ of every open action's value, slot by slot.
    fn sigmas(&self, node: &Node<G>, completed: &Completed) -> impl Iterator<Item = f64> {
        let (q, _) = self.edges.scores(node.edges);
        let edges = self.edges.iter(node.edges).zip(q);
        edges.map(|(edge, &q)| completed.sigma(value_of(edge, q, completed)))
    }

    /// Sum of the priors of actions that are not open.
    fn untried_priors(&self, index: u32) -> f64 {
        // Those of open ones stand below 0. One after the other they would wait for each other.
        let (mut lanes, priors) = ([0.0; 8], &self.priors[self.prior_range(index)]);
        let (chunks, rest) = priors.as_chunks::<8>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, prior)| *lane += f64::from(prior.max(0.0)));
        }
        lanes.iter().sum::<f64>() + rest.iter().map(|prior| f64::from(prior.max(0.0))).sum::<f64>()
    }
}

/// The value of an open action whose mean is `q`.
fn value_of(edge: &Edge, q: f64, completed: &Completed) -> f64 {
    if edge.visits > 0 { q } else { completed.unvisited - f64::from(edge.penalty) }
}
