//! Visits of a root that were forced on it, taken out again.
//!
//! Wu 2019, "Accelerating self-play learning in Go" (arXiv:1902.10565), section 3.2: every action that was visited at all gets √(k P N)
//! visits, so that a search finds out about moves that noise made likely; what of them it would not have spent in retrospect is taken out of
//! the policy target.

use super::tree::Tried;

/// How many visits of each action selection would have spent in retrospect: at most those it has, and so many that its score, with its
/// value as it is, does not fall below that of the most visited action, whose visits stay (`getReducedPlaySelectionWeight` of
/// KataGo). An action that loses visits and keeps one at most loses that as well.
///
/// `exploration`: c √N of the root.
pub(super) fn wanted(children: &[Tried], exploration: f64) -> Vec<u32> {
    let Some(&best) = children.iter().reduce(|best, next| {
        let larger = (next.visits, next.prior) > (best.visits, best.prior);
        if larger { next } else { best }
    }) else {
        return Vec::new();
    };
    let bar = best.mean + exploration * best.prior / (1.0 + f64::from(best.visits));
    let wanted = |child: &Tried| {
        if child.action == best.action || child.mean >= bar {
            return child.visits;
        }
        let wanted = (exploration * child.prior / (bar - child.mean) - 1.0).ceil().max(0.0);
        if wanted >= f64::from(child.visits) {
            child.visits
        } else if wanted <= 1.0 {
            0
        } else {
            wanted as u32
        }
    };
    children.iter().map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn child(action: u16, visits: u32, prior: f64, mean: f64) -> Tried {
        Tried { action, visits, prior, mean }
    }

    #[test]
    fn visits_beyond_what_the_score_asks_for_go() {
        // The bar is 0.5 + 10 · 0.6 / 60 = 0.6; the others would have got 10 · 0.23 / 0.4 − 1 = 4.75, 10 · 0.1 / 0.8 − 1 ≤ 1, and more.
        let children =
            [child(1, 10, 0.23, 0.2), child(3, 59, 0.6, 0.5), child(4, 5, 0.1, -0.2), child(6, 7, 0.1, 0.59)];
        assert_eq!(wanted(&children, 10.0), [5, 59, 0, 7]);
    }

    #[test]
    fn of_actions_visited_equally_the_likelier_one_stays() {
        let children = [child(0, 4, 0.1, 0.0), child(1, 4, 0.3, 0.0), child(2, 4, 0.3, -1.0)];
        assert_eq!(wanted(&children, 2.0), [0, 4, 0]);
        assert_eq!(wanted(&[], 1.0), [0; 0]);
    }

    proptest! {
        #[test]
        fn nothing_is_added_and_the_best_stays(
            rows in proptest::collection::vec((1u32..50, 0.0f64..1.0, -1.0f64..1.0), 1..12), exploration in 0.1f64..30.0,
        ) {
            let children: Vec<_> = rows.iter().zip(0..).map(|(&(visits, prior, mean), action)| child(action, visits, prior, mean)).collect();
            let pruned = wanted(&children, exploration);
            let most = children.iter().map(|child| child.visits).max().unwrap();
            prop_assert!(pruned.iter().zip(&children).all(|(&pruned, child)| pruned <= child.visits));
            prop_assert_eq!(pruned.iter().copied().max(), Some(most));
            // A second time takes nothing.
            let left: Vec<_> = children
                .iter()
                .zip(&pruned)
                .filter(|&(_, &visits)| visits > 0)
                .map(|(child, &visits)| Tried { visits, ..*child })
                .collect();
            prop_assert_eq!(wanted(&left, exploration), left.iter().map(|child| child.visits).collect::<Vec<_>>());
        }
    }
}
