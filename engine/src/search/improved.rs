//! Policies improved by values: completed Q-values, and the policy that follows from them and the priors.
//!
//! Danihelka et al. 2022, "Policy improvement by planning with Gumbel" (ICLR): eq. 8, 10 and 11, appendix D for the value of
//! actions without visits. All values are from the view of the node's mover, in [−1, 1].

use super::params::Gumbel;

/// Priors are at least this, so that each has a logarithm.
pub(super) const LEAST_PRIOR: f64 = f32::MIN_POSITIVE as f64;

/// Values that differ by less are one when they are stretched.
const LEAST_SPAN: f64 = 1e-8;

/// What is known of an action that was visited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visited {
    pub(super) prior: f64,
    /// Mean value.
    pub(super) q: f64,
    pub(super) visits: u32,
}

/// What follows for a node from its visited actions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Completed {
    /// The value of actions without visits: the network's value of the node and the values of visited actions, mixed.
    pub(super) unvisited: f64,
    /// σ(q) = `slope` · (q − `origin`).
    slope: f64,
    origin: f64,
}

impl Completed {
    /// `value`: what the network said of the node. `others`: there are actions besides, without visits or illegal.
    pub(super) fn new(params: &Gumbel, value: f64, visited: impl Iterator<Item = Visited>, others: bool) -> Self {
        let (mut visits, mut most, mut priors, mut weighted) = (0.0, 0, 0.0, 0.0);
        let (mut least, mut largest) = (f64::INFINITY, f64::NEG_INFINITY);
        for action in visited {
            let prior = action.prior.max(LEAST_PRIOR);
            visits += f64::from(action.visits);
            most = most.max(action.visits);
            priors += prior;
            weighted += prior * action.q;
            least = least.min(action.q);
            largest = largest.max(action.q);
        }
        let mean = if priors > 0.0 { weighted / priors } else { 0.0 };
        let unvisited = (value + visits * mean) / (1.0 + visits);
        let scale = (f64::from(params.c_visit) + f64::from(most)) * f64::from(params.c_scale);
        if !params.stretch {
            // Of [−1, 1] to [0, 1].
            return Self { unvisited, slope: scale / 2.0, origin: -1.0 };
        }
        // As in mctx, which knows of no illegal actions here and gives them this value too.
        if others {
            (least, largest) = (least.min(unvisited), largest.max(unvisited));
        }
        Self { unvisited, slope: scale / (largest - least).max(LEAST_SPAN), origin: least }
    }

    /// What a value adds to a logit.
    pub(super) fn sigma(&self, q: f64) -> f64 {
        self.slope * (q - self.origin)
    }
}

/// e^(logit + σ) of an action but for a factor that all actions of a node share; `largest`: the largest σ of them.
pub(super) fn weight(prior: f64, sigma: f64, largest: f64) -> f64 {
    prior.max(LEAST_PRIOR) * (sigma - largest).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::vectors::Vectors;

    /// σ and the improved policy of actions given as (prior, q, visits), all of them legal.
    fn improve(params: &Gumbel, value: f64, actions: &[(f64, f64, u32)]) -> (Completed, Vec<f64>, Vec<f64>) {
        let visited = actions.iter().filter(|action| action.2 > 0);
        let visited = visited.map(|&(prior, q, visits)| Visited { prior, q, visits });
        let completed = Completed::new(params, value, visited, actions.iter().any(|action| action.2 == 0));
        let q = |&(_, q, visits): &(f64, f64, u32)| if visits > 0 { q } else { completed.unvisited };
        let sigmas: Vec<f64> = actions.iter().map(|action| completed.sigma(q(action))).collect();
        let largest = sigmas.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> =
            actions.iter().zip(&sigmas).map(|(action, &sigma)| weight(action.0, sigma, largest)).collect();
        let sum: f64 = weights.iter().sum();
        (completed, sigmas, weights.into_iter().map(|weight| weight / sum).collect())
    }

    #[test]
    fn values_are_completed_and_policies_improved_as_recorded() {
        for case in Vectors::read().q_completion {
            let actions: Vec<_> =
                (0..case.q.len()).map(|action| (case.priors[action], case.q[action], case.visits[action])).collect();
            let most = case.visits.iter().copied().max().unwrap();
            for variant in case.variants {
                let (completed, sigmas, policy) = improve(&variant.scale.params(16), case.raw_value, &actions);
                let shift = variant.scale.shift(most);
                let shifted: Vec<_> = sigmas.iter().map(|sigma| sigma - shift).collect();
                // c_scale is held in single precision.
                close(&shifted, &variant.sigma, 1e-5, &case.name);
                close(&[completed.unvisited], &[case.v_mix], 1e-9, &case.name);
                close(&policy, &variant.improved_policy, 1e-6, &case.name);
                let total = 1.0 + f64::from(case.visits.iter().sum::<u32>());
                let behind = |action: usize| policy[action] - f64::from(case.visits[action]) / total;
                let first = (0..policy.len()).rev().max_by(|&one, &other| behind(one).total_cmp(&behind(other)));
                assert_eq!(first, Some(usize::from(variant.interior_choice)), "{}", case.name);
            }
        }
    }

    fn close(found: &[f64], expected: &[f64], within: f64, what: &str) {
        let near = |(found, expected): (&f64, &f64)| (found - expected).abs() <= within;
        assert!(found.iter().zip(expected).all(near), "{what}: {found:?}, not {expected:?}");
    }

    fn any_params() -> impl Strategy<Value = Gumbel> {
        (0.1f32..2.0, any::<bool>()).prop_map(|(c_scale, stretch)| Gumbel { c_scale, stretch, ..Gumbel::default() })
    }

    fn any_actions() -> impl Strategy<Value = Vec<(f64, f64, u32)>> {
        proptest::collection::vec((0.001f64..1.0, -1.0f64..1.0, 0u32..20), 1..12).prop_map(|mut actions| {
            let sum: f64 = actions.iter().map(|action| action.0).sum();
            actions.iter_mut().for_each(|action| action.0 /= sum);
            actions
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn an_improved_policy_is_a_policy_and_no_worse(params in any_params(), value in -1.0f64..1.0, actions in any_actions()) {
            let (completed, _, policy) = improve(&params, value, &actions);
            prop_assert!((policy.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let q = |&(_, q, visits): &(f64, f64, u32)| if visits > 0 { q } else { completed.unvisited };
            let before: f64 = actions.iter().map(|action| action.0 * q(action)).sum();
            let after: f64 = actions.iter().zip(&policy).map(|(action, share)| share * q(action)).sum();
            prop_assert!(after >= before - 1e-9, "{after} after {before}");
        }

        #[test]
        fn equal_values_leave_the_priors(params in any_params(), q in -1.0f64..1.0, actions in any_actions()) {
            let equal: Vec<_> = actions.iter().map(|&(prior, _, visits)| (prior, q, visits)).collect();
            let (_, _, policy) = improve(&params, q, &equal);
            prop_assert!(policy.iter().zip(&equal).all(|(share, action)| (share - action.0).abs() < 1e-6));
        }

        #[test]
        fn a_larger_value_never_lowers_the_share(
            value in -1.0f64..1.0, actions in any_actions(), place in 0usize..12, more in 0.0f64..1.0,
        ) {
            let place = place % actions.len();
            let mut better = actions.clone();
            // Of a visited action: that of others is not its own.
            better[place].2 = better[place].2.max(1);
            let (_, _, before) = improve(&Gumbel::default(), value, &better);
            better[place].1 = (better[place].1 + more).min(1.0);
            let (_, _, after) = improve(&Gumbel::default(), value, &better);
            prop_assert!(after[place] >= before[place] - 1e-9);
        }

        #[test]
        fn priors_that_are_not_normalised_give_the_same_policy(value in -1.0f64..1.0, actions in any_actions(), by in 0.1f64..10.0) {
            let scaled: Vec<_> = actions.iter().map(|&(prior, q, visits)| (prior * by, q, visits)).collect();
            let (_, _, one) = improve(&Gumbel::default(), value, &actions);
            let (_, _, other) = improve(&Gumbel::default(), value, &scaled);
            prop_assert!(one.iter().zip(other).all(|(one, other)| (one - other).abs() < 1e-9));
        }
    }
}
