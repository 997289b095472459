//! How likely a draw is, by the search.

use super::*;
use crate::evaluation::{EvaluateError, Worth};

/// Says of every position how likely a draw is, by its hash; as long as it is not told to be silent.
struct WithDraws {
    hash: HashEvaluator<TicTacToe>,
    silent: bool,
}

impl WithDraws {
    fn new() -> Self {
        Self { hash: hash(&TicTacToe), silent: false }
    }

    /// From 0.25 to 0.75.
    fn chance(value: f32) -> f32 {
        0.5 + value / 2.0
    }
}

impl Evaluator<TicTacToe> for WithDraws {
    fn evaluate(&mut self, leaves: &[Leaf<TicTacToe>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let mut plain = Evaluations::default();
        self.hash.evaluate(leaves, &mut plain)?;
        out.clear();
        for evaluation in plain.iter() {
            let draw = if self.silent { DrawChance::UNKNOWN } else { DrawChance::new(Self::chance(evaluation.value)) };
            out.push(Worth { value: evaluation.value, draw }, evaluation.priors.iter().copied());
        }
        Ok(())
    }
}

/// The mean over all that ended in the tree, counted one by one.
fn counted(search: &Search<TicTacToe>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for sums in search.tree.sums() {
        let own = sums.visits - sums.children_visits;
        count += own;
        sum += f64::from(own)
            * match sums.node.status {
                Status::Ended(Outcome::Draw(_)) => 1.0,
                Status::Ended(Outcome::Win(_)) => 0.0,
                Status::Pending => panic!("a node was made and never evaluated"),
                Status::Proven => panic!("nothing is proven"),
                Status::Expanded => {
                    let leaf = Leaf::new(&search.game, &sums.node.state, &sums.node.legal);
                    let mut evaluations = Evaluations::default();
                    hash(&TicTacToe).evaluate(&[leaf], &mut evaluations).unwrap();
                    WithDraws::chance(evaluations.get(0).value).into()
                }
            };
    }
    assert_eq!(count, search.tree.root_visits);
    sum / f64::from(count)
}

#[test]
fn the_draw_of_a_root_is_the_mean_of_its_simulations_also_on_a_kept_tree() {
    for leaf_parallelism in [1, 5] {
        let mut search = Search::new(TicTacToe, SearchParams { leaf_parallelism, ..params(90) }, false);
        let (mut state, mut spare) = (state_after(&TicTacToe, &[4]), SpareTree::default());
        let (mut moves, mut kept) = (0, 0);
        while TicTacToe.outcome(&state).is_none() {
            let before = search.tree.root_visits;
            search.begin(&state, &mut noise_rng(0));
            finish(&mut search, &mut WithDraws::new(), &mut noise_rng(0));
            let found = search.root_draw().known().unwrap();
            assert!((f64::from(found) - counted(&search)).abs() < 1e-6, "move {moves}: {found}");
            let decision = search.decide(0.0, &mut noise_rng(0));
            assert_eq!(decision.draw, search.root_draw());
            TicTacToe.play(&mut state, decision.action);
            search.advance(decision.action, &mut spare);
            (moves, kept) = (moves + 1, kept + u32::from(before > 0));
        }
        assert!(moves > 3 && kept > 0, "{moves} moves, {kept} of them on a kept tree");
    }
}

#[test]
fn what_one_of_two_networks_does_not_say_is_unknown_until_the_tree_is_dropped() {
    for silent_first in [true, false] {
        let mut evaluator = WithDraws::new();
        let mut search = Search::new(TicTacToe, params(60), false);
        let (state, mut leaves, mut evaluations) = (TicTacToe.start(), Vec::new(), Evaluations::default());
        search.begin(&state, &mut noise_rng(0));
        let mut asked = 0;
        while let Some(gathered) = search.gather(&mut leaves) {
            evaluator.silent = (asked < 20) == silent_first;
            evaluator.evaluate(&leaves, &mut evaluations).unwrap();
            search.apply(gathered, &evaluations, &mut noise_rng(0));
            leaves.clear();
            asked += 1;
        }
        assert_eq!(search.root_draw(), DrawChance::UNKNOWN);
        search.forget();
        evaluator.silent = false;
        search.begin(&state, &mut noise_rng(0));
        finish(&mut search, &mut evaluator, &mut noise_rng(0));
        assert!(search.root_draw().known().is_some());
    }
}

#[test]
fn a_network_that_says_nothing_of_draws_takes_no_memory_for_them() {
    let search_with = |silent| {
        let mut search = Search::new(TicTacToe, params(200), false);
        search.begin(&TicTacToe.start(), &mut noise_rng(0));
        finish(&mut search, &mut WithDraws { silent, ..WithDraws::new() }, &mut noise_rng(0));
        search
    };
    let (silent, telling) = (search_with(true), search_with(false));
    assert_eq!(silent.root_draw(), DrawChance::UNKNOWN);
    assert_eq!((silent.visits(), silent.root_value()), (telling.visits(), telling.root_value()));
    let nodes = silent.size().nodes;
    assert_eq!(telling.size().bytes - silent.size().bytes, nodes * size_of::<f64>());
}
