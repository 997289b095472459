//! What a trainer may want to know of a search beside what it decided.

use super::Search;
use crate::{
    game::{Action, Game},
    search::{
        root::{Decision, Share},
        tree::Tried,
    },
};

/// What is told of the root once its search is over. Values are from the view of its mover, and NaN where they are not known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootNotes {
    /// What the network says of the position by itself.
    pub raw_value: f32,
    /// Mean value of the best action: the one with the most visits, the largest value, the lowest number.
    pub best_value: f32,
    /// Mean value of the action to play.
    pub played_value: f32,
    /// Kullback-Leibler divergence of the policy from the network's, which has no noise, in nats.
    pub divergence: f32,
}

impl<G: Game> Search<G> {
    /// What is to be told of the root, given what was decided there.
    pub fn notes(&self, decision: &Decision) -> RootNotes {
        let children = self.tree.root_tried();
        let better = |best: Tried, next: Tried| {
            if (next.visits, next.mean) > (best.visits, best.mean) { next } else { best }
        };
        let best = children.iter().copied().reduce(better);
        let played = children.iter().copied().find(|child| child.action == decision.action);
        let value = |child: Option<Tried>| child.map_or(f32::NAN, |child| child.mean as f32);
        RootNotes {
            raw_value: self.tree.root_raw_value(),
            best_value: value(best),
            played_value: value(played),
            divergence: divergence(&decision.policy, &self.tree.root_clean_priors()),
        }
    }
}

/// Σ π ln(π / P) in nats, with the priors P of all legal actions in ascending order; NaN where either says nothing.
fn divergence(policy: &[Share], priors: &[(Action, f32)]) -> f32 {
    let term = |share: &Share| {
        let place = priors.binary_search_by_key(&share.action, |prior| prior.0).ok()?;
        let (share, prior) = (f64::from(share.probability), f64::from(priors[place].1));
        Some(if share > 0.0 { share * (share / prior.max(f32::MIN_POSITIVE.into())).ln() } else { 0.0 })
    };
    match policy.iter().map(term).sum::<Option<f64>>() {
        // Rounding must not make it less than nothing.
        Some(sum) if !policy.is_empty() => sum.max(0.0) as f32,
        _ => f32::NAN,
    }
}
