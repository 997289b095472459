//! Gumbel's rule against the reference, and what must hold whatever the settings.

use proptest::prelude::*;

use super::*;
use crate::{
    evaluation::{DrawChance, EvaluateError, Evaluation, Evaluations, Evaluator, HashEvaluator, HashPriors, Leaf},
    game::{Action, ActionBits, Outcome},
    games::{connect_four::ConnectFour, quoridor::Quoridor, tictactoe::TicTacToe},
    search::{
        InFlight, Root, Search, SearchParams,
        tree::Step,
        vectors::{Searched, Vectors},
    },
    selfplay::{Purpose, ply_rng},
};

/// A game with this many actions, all of them legal at any time, that never ends.
#[derive(Clone, Copy, Debug)]
struct Arms(usize);

impl Game for Arms {
    type State = u32;
    type Position = u32;
    type Actions = ActionBits<1>;
    type Encoding = ();

    fn policy_size(&self) -> usize {
        self.0
    }
    fn start(&self) -> u32 {
        0
    }
    fn ply(&self, state: &u32) -> u32 {
        *state
    }
    fn outcome(&self, _: &u32) -> Option<Outcome> {
        None
    }
    fn legal_actions(&self, _: &u32) -> ActionBits<1> {
        ActionBits([(1 << self.0) - 1])
    }
    fn play(&self, state: &mut u32, _: Action) {
        *state += 1;
    }
    fn position(&self, state: &u32) -> u32 {
        *state
    }
    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![1]
    }
    fn encode(&self, (): (), _: &u32, out: &mut [f32]) {
        out.fill(0.0);
    }
}

/// A tree of nothing but an expanded root.
fn rooted(priors: &[f32], value: f32) -> Tree<Arms> {
    let game = Arms(priors.len());
    let mut tree = Tree::new(false, priors.len(), false);
    tree.add_node(&game, game.start());
    tree.back_up(&[], f64::from(value), 0);
    tree.expand(&game, ROOT, Evaluation { value, draw: DrawChance::default(), priors });
    tree
}

fn action_in(tree: &Tree<Arms>, slot: u16) -> u16 {
    tree.root_edge(slot).action
}

fn visits_of(tree: &Tree<Arms>) -> Vec<u32> {
    let mut visits = vec![0; tree.node(ROOT).legal.len()];
    tree.root_children().into_iter().for_each(|child| visits[usize::from(child.action)] = child.visits);
    visits
}

fn close(found: impl IntoIterator<Item = f64>, expected: &[f64], what: &str) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found - expected).abs() < 2e-6, "{what}: {found}, not {expected}");
    }
}

#[test]
fn nodes_below_the_root_select_as_recorded() {
    for case in Vectors::read().interior_sequences {
        let mut tree = rooted(&case.priors, case.raw_value);
        let params = case.scale.params(16);
        let mut choices = Vec::new();
        for _ in &case.choices {
            let slot = tree.select_improved(ROOT, &params, &mut Vec::new()).unwrap();
            let action = action_in(&tree, slot);
            tree.back_up(&[Step { node: ROOT, slot }], case.fixed_q[usize::from(action)], 0);
            choices.push(action);
        }
        assert_eq!((choices, visits_of(&tree)), (case.choices, case.visits));
    }
}

#[test]
fn simulations_are_halved_as_recorded() {
    for case in Vectors::read().root_bandits {
        let mut tree = rooted(&case.priors, case.raw_value);
        let params = case.scale.params(case.m);
        // Theirs come after the root's own.
        let mut rule = Halving::new(params, Simulations::PerMove(case.n + 1));
        let mut draws = case.gumbel.iter().copied();
        rule.begin(&mut tree, || draws.next().unwrap());
        let mut choices = Vec::new();
        while let Some(slot) = rule.select(&mut tree) {
            let action = action_in(&tree, slot);
            tree.back_up(&[Step { node: ROOT, slot }], case.fixed_q[usize::from(action)], 0);
            choices.push(action);
        }
        assert_eq!((choices, visits_of(&tree)), (case.choices, case.visits));
        let decision = rule.decide(&tree, 0.0, &mut draws_of(0));
        assert_eq!(decision.action, case.played);
        close(decision.policy.iter().map(|share| f64::from(share.probability)), &case.improved_policy, "policy");
    }
}

/// The evaluator of the recorded searches.
struct Formula;

impl Evaluator<TicTacToe> for Formula {
    fn evaluate(&mut self, leaves: &[Leaf<TicTacToe>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        out.clear();
        for leaf in leaves {
            let mut planes = [0.0; 18];
            TicTacToe.encode(TicTacToe.encodings()[0], &leaf.position, &mut planes);
            let cell = |cell: usize| if planes[cell] > 0.0 { 1 } else { 2 * u32::from(planes[9 + cell] > 0.0) };
            let code: u32 = (0..9).map(|place| cell(place) * 3u32.pow(place as u32)).sum();
            let value = f64::from((code * 7919 + 104_729) % 20_011) / 20_011.0 - 0.5;
            let logit = |action| 2.0 * f64::from((code * 31 + u32::from(action) * 7907 + 13) % 1009) / 1009.0 - 1.0;
            let weights: Vec<f64> = leaf.legal.iter().map(|action: Action| f64::exp(logit(action))).collect();
            let sum: f64 = weights.iter().sum();
            out.push(value as f32, weights.iter().map(|weight| (weight / sum) as f32));
        }
        Ok(())
    }
}

fn draws_of(ply: u32) -> impl Rng {
    ply_rng(11, 0, ply, Purpose::Gumbel)
}

fn params(gumbel: Gumbel, n: u32, leaf_parallelism: u32) -> SearchParams {
    SearchParams {
        simulations: Simulations::PerMove(n),
        c_puct: 1.4,
        leaf_parallelism,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::Gumbel(gumbel),
        solver: false,
    }
}

/// One gather after the other; `see` is shown the visits before and after each.
fn searched<G: Game>(
    game: &G,
    state: &G::State,
    params: SearchParams,
    evaluator: &mut impl Evaluator<G>,
    mut see: impl FnMut(Vec<(Action, u32)>, Vec<(Action, u32)>),
) -> Search<G> {
    let mut search = Search::new(game.clone(), params, false);
    let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
    search.begin(state, &mut draws_of(0));
    loop {
        let before = search.visits();
        let Some(gathered) = search.gather(&mut leaves) else { return search };
        assert!(leaves.len() <= params.leaf_parallelism as usize);
        evaluator.evaluate(&leaves, &mut evaluations).unwrap();
        search.apply(gathered, &evaluations, &mut draws_of(0));
        leaves.clear();
        see(before, search.visits());
    }
}

fn hash<G: Game>(game: &G) -> HashEvaluator<G> {
    HashEvaluator::new(game.clone(), game.encodings()[0], HashPriors::Ratio, 0)
}

/// The state of a recorded board, by any order of its marks.
fn tictactoe_of(board: &[u8; 9]) -> <TicTacToe as Game>::State {
    let marks = |of: u8| (0..9u16).filter(move |&cell| board[usize::from(cell)] == of);
    let (mut mine, mut others) = (marks(1), marks(2));
    let mut mine_next = marks(1).count() == marks(2).count();
    let mut state = TicTacToe.start();
    while let Some(cell) = if mine_next { mine.next() } else { others.next() } {
        TicTacToe.play(&mut state, cell);
        mine_next = !mine_next;
    }
    state
}

#[test]
fn whole_searches_of_tic_tac_toe_come_out_as_recorded() {
    for (number, case) in Vectors::read().tictactoe_searches.cases.into_iter().enumerate() {
        let Searched { scale, board, n, m, visits, q, root_value, improved_policy, played } = case;
        let state = tictactoe_of(&board);
        let params = params(scale.params(m), n + 1, 1);
        let mut search = searched(&TicTacToe, &state, params, &mut Formula, |_, _| ());
        let mut found = [0; 9];
        search.visits().into_iter().for_each(|(action, visits)| found[usize::from(action)] = visits);
        let what = format!("search {number}");
        assert_eq!(found, visits, "{what}");
        let decision = search.decide(0.0, &mut draws_of(0));
        assert_eq!(decision.action, played, "{what}");
        let mut policy = [0.0; 9];
        for share in &decision.policy {
            policy[usize::from(share.action)] = f64::from(share.probability);
        }
        close(policy, &improved_policy, &what);
        close([f64::from(decision.value)], &[root_value], &what);
        let values = search.tree().root_tried();
        close(
            (0..9).map(|action| values.iter().find(|tried| tried.action == action).map_or(0.0, |tried| tried.mean)),
            &q,
            &what,
        );
    }
}

#[test]
fn a_gather_stays_within_a_round() {
    let game = Quoridor::new(5, 3, None).unwrap();
    for k in [2, 5, 8, 40] {
        let mut gathers = 0;
        searched(&game, &game.start(), params(Gumbel::default(), 201, k), &mut hash(&game), |before, after| {
            let had = |action| before.iter().find(|&&(other, _)| other == action).map_or(0, |&(_, visits)| visits);
            let gained: Vec<_> = after.iter().filter(|&&(action, visits)| visits > had(action)).collect();
            assert!(gained.iter().all(|&&(action, visits)| visits == had(action) + 1), "{before:?} {after:?}");
            assert!(gained.windows(2).all(|pair| pair[0].1 == pair[1].1), "{before:?} {after:?}");
            gathers += 1;
        });
        assert!(gathers < 201, "{gathers} gathers of up to {k} leaves");
    }
}

#[test]
fn leaves_at_a_time_change_nothing_about_how_visits_are_divided() {
    let game = Quoridor::new(5, 3, None).unwrap();
    let sorted = |k| {
        let search = searched(&game, &game.start(), params(Gumbel::default(), 101, k), &mut hash(&game), |_, _| ());
        assert_eq!(search.counts().duplicate, 0, "actions of a round are different");
        let mut visits: Vec<u32> = search.visits().into_iter().map(|(_, visits)| visits).collect();
        visits.sort_unstable();
        visits
    };
    let alone = sorted(1);
    assert_eq!(alone.iter().sum::<u32>(), 100);
    for k in [2, 3, 8, 64] {
        assert_eq!(sorted(k), alone, "{k} leaves at a time");
    }
}

#[test]
fn draws_choose_the_actions_and_are_the_same_for_the_same_stream() {
    let game = Quoridor::new(5, 3, None).unwrap();
    let tried = |scale: f32, ply: u32| {
        let gumbel = Gumbel { actions: 4, scale, ..Gumbel::default() };
        let mut search = Search::new(game, params(gumbel, 5, 1), false);
        let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
        search.begin(&game.start(), &mut draws_of(ply));
        while let Some(gathered) = search.gather(&mut leaves) {
            hash(&game).evaluate(&leaves, &mut evaluations).unwrap();
            search.apply(gathered, &evaluations, &mut draws_of(ply));
            leaves.clear();
        }
        search.visits().into_iter().map(|(action, _)| action).collect::<Vec<_>>()
    };
    assert_eq!(tried(1.0, 0), tried(1.0, 0));
    assert!((1..9).any(|ply| tried(1.0, ply) != tried(1.0, 0)));
    // Without draws: the largest priors.
    let mut evaluations = Evaluations::default();
    let legal = game.legal_actions(&game.start());
    hash(&game).evaluate(&[Leaf::new(&game, &game.start(), &legal)], &mut evaluations).unwrap();
    let mut by_prior: Vec<(f32, Action)> = evaluations.get(0).priors.iter().copied().zip(legal.iter()).collect();
    by_prior.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut largest: Vec<Action> = by_prior[..4].iter().map(|&(_, action)| action).collect();
    largest.sort_unstable();
    assert_eq!((tried(0.0, 0), tried(0.0, 1)), (largest.clone(), largest));
}

#[test]
fn with_a_temperature_visits_choose_among_the_actions() {
    let game = ConnectFour::default();
    let search = searched(&game, &game.start(), params(Gumbel::default(), 33, 1), &mut hash(&game), |_, _| ());
    let played = |temperature, ply| search.decide(temperature, &mut draws_of(ply)).action;
    assert!((0..20).all(|ply| played(0.0, ply) == played(0.0, 0)));
    assert!((0..20).any(|ply| played(1.0, ply) != played(0.0, 0)));
}

#[test]
fn a_root_without_visits_plays_the_best_action_drawn() {
    let game = ConnectFour::default();
    let gumbel = Gumbel { scale: 0.0, ..Gumbel::default() };
    let search = searched(&game, &game.start(), params(gumbel, 1, 1), &mut hash(&game), |_, _| ());
    let decision = search.decide(1.0, &mut draws_of(0));
    let best = decision
        .policy
        .iter()
        .copied()
        .reduce(|best, next| if next.probability > best.probability { next } else { best });
    assert_eq!((search.visits(), Some(decision.action)), (Vec::new(), best.map(|best| best.action)));
}

#[test]
fn nothing_is_kept_from_move_to_move() {
    let game = ConnectFour::default();
    let mut search = searched(&game, &game.start(), params(Gumbel::default(), 33, 1), &mut hash(&game), |_, _| ());
    assert!(!search.keeps_tree());
    search.advance(3, &mut crate::search::SpareTree::default());
    assert_eq!(search.size().nodes, 0);
}

/// What [`Tree::select_improved`] must find, from the whole policy of a node.
fn check_selections<G: Game>(search: &mut Search<G>, gumbel: &Gumbel) {
    let tree = search.tree();
    for index in 0..tree.nodes.len() as u32 {
        let Some(policy) = tree.improved_policy(index, gumbel) else { continue };
        let total: f64 = 1.0 + policy.iter().map(|&(_, visits, _)| f64::from(visits)).sum::<f64>();
        let behind = |&(action, visits, share): &(Action, u32, f64)| (share - f64::from(visits) / total, action);
        let best =
            policy.iter().map(behind).reduce(|best, next| if next.0 > best.0 + 1e-12 { next } else { best }).unwrap();
        let slot = tree.select_improved(index, gumbel, &mut Vec::new()).unwrap();
        let found = tree.edge_in(index, slot).action;
        let of_found = policy.iter().map(behind).find(|&(_, action)| action == found).unwrap();
        assert!(of_found.0 >= best.0 - 1e-9, "node {index}: {of_found:?} instead of {best:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn searches_keep_to_the_rule(
        n in 2u32..120, k in 1u32..12, actions in 1u32..20, stretch: bool, c_scale in 0.1f32..2.0, ply in 0u32..100,
    ) {
        let game = Quoridor::new(3, 1, Some(12)).unwrap();
        let gumbel = Gumbel { actions, c_scale, stretch, ..Gumbel::default() };
        let mut search = Search::new(game, params(gumbel, n, k), false);
        let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
        search.begin(&game.start(), &mut draws_of(ply));
        while let Some(gathered) = search.gather(&mut leaves) {
            hash(&game).evaluate(&leaves, &mut evaluations).unwrap();
            search.apply(gathered, &evaluations, &mut draws_of(ply));
            leaves.clear();
        }
        let visits = search.visits();
        let legal = game.legal_actions(&game.start()).len();
        let drawn = (actions as usize).min(legal);
        prop_assert_eq!(visits.iter().map(|&(_, visits)| visits).sum::<u32>(), n - 1);
        prop_assert_eq!(visits.len(), drawn.min(n as usize - 1));
        let decision = search.decide(0.0, &mut draws_of(ply));
        let most = visits.iter().map(|&(_, visits)| visits).max().unwrap();
        prop_assert!(visits.contains(&(decision.action, most)));
        prop_assert_eq!(decision.policy.len(), legal);
        prop_assert!((decision.policy.iter().map(|share| share.probability).sum::<f32>() - 1.0).abs() < 1e-5);
        check_selections(&mut search, &gumbel);
    }
}
