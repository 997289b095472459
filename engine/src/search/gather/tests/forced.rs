//! Playouts that are forced on the root, and taken out again.

use super::*;
use crate::search::pruning::wanted;

/// A search of 200 simulations with noise.
fn noisy(forced_playouts: f32, leaf_parallelism: u32) -> Search<Quoridor> {
    let game = quoridor(5, 3, None);
    let noise = Some(RootNoise { epsilon: 0.5, alpha: 0.2, shape: NoiseShape::Even });
    let root = Root::Puct(Puct { forced_playouts, ..Puct::PLAIN });
    let params = SearchParams { noise, root, leaf_parallelism, in_flight: InFlight::Visits, ..params(200) };
    let mut search = Search::new(game, params, false);
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut hash(&game), &mut noise_rng(0));
    search
}

#[test]
fn what_was_visited_gets_its_visits_and_what_was_not_is_left_alone() {
    for leaves in [1, 4] {
        let search = noisy(2.0, leaves);
        let total = f64::from(search.tree.root_visits);
        let tried = search.tree.root_tried();
        for tried in &tried {
            // The last simulations raise what is due.
            let due = (2.0 * tried.prior * total).sqrt();
            assert!(f64::from(tried.visits) + 1.0 > due, "{tried:?}, {due} are due");
        }
        assert!(tried.len() < search.tree.node(ROOT).legal.len());
        let freely = noisy(0.0, leaves).tree.root_tried();
        let short = freely.iter().filter(|tried| f64::from(tried.visits) + 1.0 < (2.0 * tried.prior * total).sqrt());
        assert!(short.count() > 0, "selection by itself gives some of them less");
    }
}

#[test]
fn the_policy_is_without_what_was_forced_beside_the_raw_visits() {
    let search = noisy(2.0, 1);
    let decision = search.decide(0.0, &mut noise_rng(1));
    let raw: Vec<_> = decision.policy.iter().map(|share| (share.action, share.visits)).collect();
    assert_eq!(raw, search.visits());
    let total: f32 = decision.policy.iter().map(|share| share.probability).sum();
    assert!((total - 1.0).abs() < 1e-6);
    let best = decision.policy.iter().max_by_key(|share| share.visits).unwrap();
    assert_eq!(decision.action, best.action);
    // Its visits are all there, so that it has the largest part in what is left of them.
    let left = best.visits as f32 / best.probability;
    assert!(left < 199.0 - 10.0, "of 199 visits {left} are left");
    for share in &decision.policy {
        assert!(share.probability * left <= share.visits as f32 + 1e-3);
    }
    assert!(decision.policy.iter().any(|share| share.visits > 0 && share.probability == 0.0));
    // Moves are drawn from what is left as well.
    for ply in 0..200 {
        let drawn = search.decide(1.0, &mut noise_rng(ply)).action;
        assert!(decision.policy.iter().any(|share| share.action == drawn && share.probability > 0.0));
    }
}

#[test]
fn selection_by_itself_spends_next_to_nothing_that_it_would_not_have_spent() {
    // All values are those of a draw, so that no visit turns out to have been worth less.
    let game = quoridor(5, 3, None);
    let mut search = Search::new(game, params(200), false);
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut UniformEvaluator, &mut noise_rng(0));
    let tried = search.tree.root_tried();
    let total = f64::from(search.tree.root_visits);
    for (tried, wanted) in tried.iter().zip(wanted(&tried, 1.4 * total.sqrt())) {
        assert!(tried.mean.abs() > 0.0 || wanted + 1 >= tried.visits, "{tried:?}, {wanted} are left");
    }
}
