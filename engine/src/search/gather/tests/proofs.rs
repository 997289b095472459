//! What finished games prove of the tree above them.

use super::*;
use crate::{
    evaluation::EvaluateError,
    games::{breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello},
    search::edges::NO_NODE,
    solve::{Class, ConnectFourSolver, Exhaustive, Solver},
};

fn solving(params: SearchParams) -> SearchParams {
    SearchParams { solver: true, ..params }
}

/// As `finish`, and sees that one leaf at a time is never looked for behind what is proven.
fn finish_proving<G: Game>(search: &mut Search<G>, evaluator: &mut impl Evaluator<G>, rng: &mut impl Rng) {
    let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
    while let Some(gathered) = search.gather(&mut leaves) {
        check_gathered(search, &leaves);
        if search.params.leaf_parallelism == 1 {
            for step in &search.steps {
                let edge = search.tree.edge_in(step.node, step.slot);
                assert!(!edge.is_lost() && search.tree.bounds(edge.child).proven().is_none());
            }
        }
        evaluator.evaluate(&leaves, &mut evaluations).unwrap();
        search.apply(gathered, &evaluations, rng);
        assert_eq!(search.tree.in_flight(), (0, 0));
        leaves.clear();
    }
    assert_eq!(search.left, 0);
}

fn proved<G: Game>(game: &G, state: &G::State, params: SearchParams, evaluator: &mut impl Evaluator<G>) -> Search<G> {
    let mut search = Search::new(game.clone(), solving(params), false);
    search.begin(state, &mut noise_rng(0));
    finish_proving(&mut search, evaluator, &mut noise_rng(0));
    check_values(&search, evaluator);
    check_decisions(&search);
    search
}

/// Asks a solver about every node of which something is proven, and counts those that are proven.
fn check_proofs<G: Game>(search: &Search<G>, solver: &mut impl Solver<G>) -> usize {
    let mut count = 0;
    for index in 0..search.tree.nodes.len() as u32 {
        let (node, bounds) = (search.tree.node(index), search.tree.bounds(index));
        assert_eq!(node.status == Status::Proven, bounds.proven().is_some() && node.status.has_priors());
        if node.status.has_priors() && (bounds.low, bounds.high) != (Class::Loss, Class::Win) {
            let class = solver.class(&node.state).unwrap();
            assert!((bounds.low..=bounds.high).contains(&class), "{class:?} is not in {bounds:?}");
            count += usize::from(bounds.proven().is_some());
        }
    }
    count
}

/// What is proven has its exact value, and all above are means of what is below them.
fn check_values<G: Game>(search: &Search<G>, evaluator: &mut impl Evaluator<G>) {
    for (index, sums) in search.tree.sums().into_iter().enumerate() {
        let node = sums.node;
        let first = Outcome::Win(node.mover).value_for(Player::First);
        let expected = match search.tree.bounds(index as u32).proven() {
            Some(class) => f64::from(sums.visits) * f64::from(first) * f64::from(class.value()),
            None => {
                let mut evaluations = Evaluations::default();
                evaluator.evaluate(&[Leaf::new(&search.game, &node.state, &node.legal)], &mut evaluations).unwrap();
                let own = f64::from(sums.visits - sums.children_visits);
                own * f64::from(evaluations.get(0).value * first) + sums.children_value
            }
        };
        assert!((sums.value - expected).abs() < 1e-9, "{} is not {expected}", sums.value);
    }
}

/// Policies are distributions with nothing on what is proven worse, and moves are as good as is proven.
fn check_decisions<G: Game>(search: &Search<G>) {
    let (tree, bounds) = (&search.tree, search.tree.bounds(ROOT));
    let of = |action| {
        let edge = tree.edges_of(ROOT).iter().find(|edge| edge.action == action && edge.child != NO_NODE)?;
        Some(tree.bounds(edge.child))
    };
    for temperature in [0.0, 1.0] {
        let decision = search.decide(temperature, &mut noise_rng(1));
        let raw: Vec<_> = decision.policy.iter().filter(|share| share.visits > 0).collect();
        assert_eq!(raw.iter().map(|share| (share.action, share.visits)).collect::<Vec<_>>(), search.visits());
        assert!(decision.policy.is_sorted_by_key(|share| share.action));
        let sum: f32 = decision.policy.iter().map(|share| share.probability).sum();
        assert!(decision.policy.is_empty() && tree.root_visits == 1 || (sum - 1.0).abs() < 1e-5, "{sum}");
        let lost = |action| of(action).is_some_and(|child| child.low == Class::Win);
        let all_lost = bounds.high == Class::Loss;
        for share in &decision.policy {
            assert!(share.probability >= 0.0);
            assert!(all_lost || share.probability == 0.0 || !lost(share.action), "{decision:?}");
            if let Some(worth) = bounds.proven() {
                assert!(share.probability == 0.0 || of(share.action).is_some_and(|child| -child.high == worth));
            }
        }
        assert!(all_lost || !lost(decision.action), "{decision:?}");
        if let Some(worth) = bounds.proven() {
            assert_eq!(decision.value, f32::from(worth.value()));
            let child = of(decision.action).unwrap();
            assert_eq!(-child.high, worth);
            let plies = |edge: &&crate::search::edges::Edge| {
                let child = tree.bounds(edge.child);
                (-child.high == worth).then_some(child.plies)
            };
            let known = tree.edges_of(ROOT).iter().filter(|edge| edge.child != NO_NODE);
            let plies: Vec<u16> = known.filter_map(|edge| plies(&edge)).collect();
            match worth {
                Class::Win => assert_eq!(Some(&child.plies), plies.iter().min()),
                Class::Loss => assert_eq!(Some(&child.plies), plies.iter().max()),
                Class::Draw => {}
            }
        }
    }
}

fn gumbel(actions: u32) -> Root {
    Root::Gumbel(Gumbel { actions, ..Gumbel::default() })
}

#[test]
fn tic_tac_toe_is_proven_a_draw_and_the_search_ends_there() {
    for leaf_parallelism in [1, 8] {
        // Without a network it is best to look everywhere.
        let params = SearchParams { leaf_parallelism, c_puct: 50.0, in_flight: InFlight::Visits, ..params(1_000_000) };
        let mut search = Search::new(TicTacToe, solving(params), false);
        search.begin(&TicTacToe.start(), &mut noise_rng(0));
        let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
        while let Some(gathered) = search.gather(&mut leaves) {
            UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
            search.apply(gathered, &evaluations, &mut noise_rng(0));
            leaves.clear();
        }
        let counts = search.counts();
        assert!(search.tree.is_proven() && counts.total() < 500_000 && counts.proven > 0, "{counts:?}");
        assert_eq!((search.root_value(), search.tree.bounds(ROOT).proven()), (0.0, Some(Class::Draw)));
        assert!(search.end().proven);
        check_decisions(&search);
    }
}

#[test]
fn what_is_proven_of_connect_four_is_what_its_solver_says() {
    let game = ConnectFour::default();
    let (mut solver, mut proven) = (ConnectFourSolver::new(game, 1 << 26), 0);
    for pair in 0..12 {
        let opening = (0..).find_map(|attempt| crate::matches::opening(&game, 1, pair, attempt, 22)).unwrap();
        let state = state_after(&game, &opening);
        for (leaf_parallelism, root) in [(1, Root::PUCT), (8, Root::PUCT), (4, gumbel(4))] {
            let params = SearchParams { leaf_parallelism, root, in_flight: InFlight::Visits, ..params(300) };
            let search = proved(&game, &state, params, &mut hash(&game));
            proven += check_proofs(&search, &mut solver);
        }
    }
    assert!(proven > 200, "{proven}");
}

/// Plays on by search with tree reuse, most visited action first, and checks all that is proven, also of trees that were kept.
fn check_game_proofs<G: Game>(game: &G, params: SearchParams, penalize: bool) {
    let mut solver = Exhaustive::new(game.clone(), 1 << 20);
    let (mut evaluator, mut spare) = (hash(game), SpareTree::default());
    let mut search = Search::new(game.clone(), solving(params), penalize);
    let (mut state, mut worth) = (game.start(), None);
    while game.outcome(&state).is_none() {
        let mut rng = noise_rng(game.ply(&state));
        search.begin(&state, &mut rng);
        finish_proving(&mut search, &mut evaluator, &mut rng);
        check_values(&search, &mut evaluator);
        check_decisions(&search);
        check_proofs(&search, &mut solver);
        let first = Outcome::Win(game.side_to_move(&state)).value_for(Player::First) as i8;
        let proven = search.tree.bounds(ROOT).proven().map(|class| first * class.value());
        if search.keeps_tree() && !penalize {
            // Both sides follow, and forget nothing.
            assert!(worth.is_none() || worth == proven, "{worth:?} became {proven:?}");
            worth = proven;
        }
        let action = search.decide(1.0, &mut noise_rng(99)).action;
        game.play(&mut state, action);
        search.advance(action, &mut spare);
        check_proofs(&search, &mut solver);
    }
    if let Some(worth) = worth {
        assert_eq!(game.outcome(&state).unwrap().value_for(Player::First), f32::from(worth));
    }
}

/// Gives no prior to one action of the second player, in Tic-tac-toe.
struct Blind<E> {
    evaluator: E,
    to: Action,
}

impl<E: Evaluator<TicTacToe>> Evaluator<TicTacToe> for Blind<E> {
    fn evaluate(&mut self, leaves: &[Leaf<TicTacToe>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let mut plain = Evaluations::default();
        self.evaluator.evaluate(leaves, &mut plain)?;
        out.clear();
        for (leaf, evaluation) in leaves.iter().zip(plain.iter()) {
            let seen = leaf.legal.iter().zip(evaluation.priors);
            let blind = |action| action == self.to && leaf.legal.len().is_multiple_of(2);
            out.push(evaluation.value, seen.map(|(action, &prior)| if blind(action) { 0.0 } else { prior }));
        }
        Ok(())
    }
}

#[test]
fn an_action_without_prior_is_found_once_all_others_are_proven_lost() {
    // o must take 2, or x does.
    let state = state_after(&TicTacToe, &[0, 4, 1]);
    for root in [Root::PUCT, gumbel(2), gumbel(9)] {
        let mut evaluator = Blind { evaluator: UniformEvaluator, to: 2 };
        let plain = |n| SearchParams { root, ..params(n) };
        let search = proved(&TicTacToe, &state, plain(400), &mut evaluator);
        let decision = search.decide(0.0, &mut noise_rng(0));
        let shares: Vec<_> = decision.policy.iter().filter(|share| share.probability > 0.0).collect();
        assert_eq!((decision.action, shares.len(), shares[0].action), (2, 1, 2), "{root:?}: {decision:?}");
        // Whatever the number of simulations: also where they end just as all others are lost.
        for n in 2..80 {
            proved(&TicTacToe, &state, plain(n), &mut evaluator);
        }
    }
}

#[test]
fn a_win_at_hand_is_taken_at_once_and_is_all_that_is_learned() {
    // x wins on 2.
    let state = state_after(&TicTacToe, &[0, 3, 1, 4]);
    for root in [Root::PUCT, gumbel(9)] {
        let search = proved(&TicTacToe, &state, SearchParams { root, ..params(200) }, &mut UniformEvaluator);
        assert!(search.counts().total() <= 10, "{:?}", search.counts());
        let decision = search.decide(1.0, &mut noise_rng(0));
        let shares: Vec<_> = decision.policy.iter().filter(|share| share.probability > 0.0).collect();
        assert_eq!((decision.action, decision.value, shares.len(), shares[0].action), (2, 1.0, 1, 2));
    }
}

#[test]
fn a_search_that_does_not_prove_keeps_no_proofs() {
    let (mut plain, mut proves) = (0, 0);
    for solver in [false, true] {
        let mut search = Search::new(TicTacToe, SearchParams { solver, ..params(500) }, false);
        search.begin(&state_after(&TicTacToe, &[0, 3, 1]), &mut noise_rng(0));
        finish(&mut search, &mut UniformEvaluator, &mut noise_rng(0));
        let proven = search.tree.nodes.iter().filter(|node| node.status == Status::Proven).count();
        if solver { proves = proven } else { plain = proven }
    }
    assert!(plain == 0 && proves > 0, "{plain}, {proves}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn proofs_are_those_of_perfect_play_whatever_the_search(params in any_search(), penalize: bool) {
        check_game_proofs(&TicTacToe, params, penalize);
        check_game_proofs(&quoridor(3, 1, Some(9)), params, penalize);
        check_game_proofs(&Mnk::new(4, 3, 3).unwrap(), params, penalize);
        check_game_proofs(&Hex::new(3, true).unwrap(), params, penalize);
        check_game_proofs(&Othello::new(4).unwrap(), params, penalize);
        check_game_proofs(&Breakthrough::new(4, 4).unwrap(), params, penalize);
    }
}
