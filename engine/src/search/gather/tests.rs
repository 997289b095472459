//! What must hold of every search, whatever its settings.

use std::collections::HashSet;

use proptest::prelude::*;

use super::{super::tree::ROOT, *};
use crate::{
    evaluation::{Evaluator, HashEvaluator, HashPriors, UniformEvaluator},
    games::{quoridor::Quoridor, tictactoe::TicTacToe},
    search::{
        Counted, FirstPlay, Growth, Gumbel, InFlight, NoiseShape, Puct, Root, RootNoise, Simulations, noise::tempered,
    },
    selfplay::{Purpose, ply_rng},
};

mod draws;
mod examples;
mod forced;
mod plain;
mod proofs;

fn hash<G: Game>(game: &G) -> HashEvaluator<G> {
    HashEvaluator::new(game.clone(), game.encodings()[0], HashPriors::Ratio, 0)
}

fn quoridor(board_size: u32, max_walls: u32, max_steps: Option<u32>) -> Quoridor {
    Quoridor::new(board_size, max_walls, max_steps).unwrap()
}

fn params(n: u32) -> SearchParams {
    let simulations = Simulations::PerMove(n);
    SearchParams {
        simulations,
        c_puct: 1.4,
        leaf_parallelism: 1,
        in_flight: InFlight::Losses(3),
        noise: None,
        root: Root::PUCT,
        solver: false,
    }
}

/// The generator of noise. The search must not depend on what else was drawn from it.
fn noise_rng(ply: u32) -> impl Rng {
    ply_rng(5, 0, ply, Purpose::Noise)
}

fn state_after<G: Game>(game: &G, actions: &[Action]) -> G::State {
    let mut state = game.start();
    for &action in actions {
        assert!(game.legal_actions(&state).contains(action));
        game.play(&mut state, action);
    }
    state
}

/// Gathers until nothing is left to ask, and checks what must hold after every step.
fn finish<G: Game>(search: &mut Search<G>, evaluator: &mut impl Evaluator<G>, rng: &mut impl Rng) {
    let k = search.params.leaf_parallelism as usize;
    let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
    while let Some(gathered) = search.gather(&mut leaves) {
        assert!(!leaves.is_empty());
        check_gathered(search, &leaves);
        assert!(search.pending.len() <= k);
        evaluator.evaluate(&leaves, &mut evaluations).unwrap();
        search.apply(gathered, &evaluations, rng);
        assert_eq!(search.tree.in_flight(), (0, 0));
        leaves.clear();
    }
    assert!(leaves.is_empty());
    assert_eq!(search.left, 0);
}

/// Every node that waits has one leaf, its own, and only those have.
fn check_gathered<G: Game>(search: &Search<G>, leaves: &[Leaf<G>]) {
    let asked: HashSet<(u32, usize)> = search.pending.iter().map(|pending| (pending.node, pending.leaf)).collect();
    let nodes: HashSet<u32> = asked.iter().map(|&(node, _)| node).collect();
    let places: HashSet<usize> = asked.iter().map(|&(_, place)| place).collect();
    assert_eq!((asked.len(), nodes.len(), places.len()), (leaves.len(), leaves.len(), leaves.len()));
    for (node, place) in asked {
        let node = search.tree.node(node);
        let expected = Leaf::new(&search.game, &node.state, &search.game.legal_actions(&node.state));
        assert_eq!((leaves[place].position, leaves[place].legal), (expected.position, expected.legal));
    }
    let (mut paths, mut steps, mut start) = (0, 0, 0);
    for pending in &search.pending {
        paths += pending.in_flight;
        steps += pending.in_flight * (pending.end - start) as u32;
        start = pending.end;
    }
    assert_eq!(search.tree.in_flight(), (paths, steps));
    let (_, before_the_last) = search.pending.split_last().unwrap();
    assert!(before_the_last.iter().all(|pending| pending.in_flight == search.params.in_flight.visits()));
}

/// Checks the sums of visits and values of every node, given the sum of duplicates since the tree was fresh.
fn check_sums<G: Game>(search: &Search<G>, evaluator: &mut impl Evaluator<G>, duplicates: u64) {
    let mut own_visits = 0;
    for sums in search.tree.sums() {
        let node = sums.node;
        // Visits that ended here.
        let own = sums.visits - sums.children_visits;
        let value = match node.status {
            Status::Proven => panic!("nothing is proven"),
            Status::Ended(outcome) => f64::from(outcome.value_for(Player::First)),
            Status::Pending => panic!("a node was made and never evaluated"),
            Status::Expanded => {
                assert!(own >= 1);
                own_visits += u64::from(own - 1);
                let mut evaluations = Evaluations::default();
                evaluator.evaluate(&[Leaf::new(&search.game, &node.state, &node.legal)], &mut evaluations).unwrap();
                f64::from(evaluations.get(0).value) * f64::from(Outcome::Win(node.mover).value_for(Player::First))
            }
        };
        let expected = f64::from(own) * value + sums.children_value;
        assert!((sums.value - expected).abs() < 1e-9, "{} is not {expected}", sums.value);
    }
    // One visit evaluates a node; any more of its own shared that evaluation.
    assert_eq!(own_visits, duplicates);
}

fn clean_root_priors<G: Game>(game: &G, state: &G::State, evaluator: &mut impl Evaluator<G>) -> Vec<f32> {
    let legal = game.legal_actions(state);
    let mut evaluations = Evaluations::default();
    evaluator.evaluate(&[Leaf::new(game, state, &legal)], &mut evaluations).unwrap();
    let mut priors = evaluations.get(0).priors.to_vec();
    game.turn_priors(game.side_to_move(state), &legal, &mut priors);
    priors
}

/// Whether `priors` are (1 − ε) P + ε D for some distribution D.
fn check_noise(priors: &[f32], clean: &[f32], noise: Option<RootNoise>) {
    let Some(noise) = noise else {
        assert_eq!(priors, clean);
        return;
    };
    assert!((priors.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    assert!(priors.iter().zip(clean).all(|(&noisy, &clean)| noisy >= (1.0 - noise.epsilon) * clean - 1e-6));
    assert!(clean.len() == 1 || priors != clean);
}

/// Plays a game by search with tree reuse, most visited action first, and checks every move. It ends early where nothing can be
/// searched below a root.
fn check_game<G: Game>(game: &G, params: SearchParams) {
    let Simulations::PerMove(n) = params.simulations else { panic!("n is fixed here") };
    let mut evaluator = hash(game);
    let mut spare = SpareTree::default();
    let mut search = Search::new(game.clone(), params, false);
    let mut state = game.start();
    let mut kept = 0;
    for ply in 0.. {
        if game.outcome(&state).is_some() {
            break;
        }
        let mut rng = noise_rng(ply);
        let clean = clean_root_priors(game, &state, &mut evaluator);
        if kept > 0 {
            assert_eq!(search.tree.root_priors(), clean, "what is kept has no noise");
        }
        let before = search.counts();
        search.begin(&state, &mut rng);
        assert_eq!(search.tree.root_visits, kept);
        let children_before: u32 = search.visits().iter().map(|&(_, visits)| visits).sum();
        finish(&mut search, &mut evaluator, &mut noise_rng(ply));

        let left = if matches!(params.root, Root::Puct(Puct { counted: Counted::Visits, .. })) {
            n.saturating_sub(kept).max(1)
        } else {
            n
        };
        assert_eq!(search.counts().total() - before.total(), u64::from(left));
        assert_eq!(search.tree.root_visits, kept + left);
        let visits = search.visits();
        assert!(visits.is_sorted_by(|left, right| left.0 < right.0));
        assert!(visits.iter().all(|&(action, _)| game.legal_actions(&state).contains(action)));
        let children: u32 = visits.iter().map(|&(_, visits)| visits).sum();
        assert_eq!(children, if kept == 0 { n - 1 } else { children_before + left });
        assert!(search.root_value().abs() <= 1.0);
        match params.root {
            Root::Puct(puct) => {
                let clean = tempered(&clean, puct.policy_temperature);
                check_noise(&search.tree.root_priors(), &clean, params.noise);
            }
            Root::Gumbel(_) => check_noise(&search.tree.root_priors(), &clean, None),
        }

        let (action, most) = visits.iter().copied().max_by_key(|&(_, visits)| visits).unwrap();
        game.play(&mut state, action);
        let below = search.tree.portraits(Some(action));
        search.advance(action, &mut spare);
        let nothing = game.outcome(&state).is_some() || !search.keeps_tree();
        kept = if nothing { 0 } else { most };
        assert_eq!(search.tree.portraits(None), if nothing { Vec::new() } else { below });
    }
}

#[test]
fn a_tree_that_gives_its_memory_back_stays_what_it_is() {
    let game = quoridor(5, 2, None);
    let (mut evaluator, mut spare) = (hash(&game), SpareTree::default());
    let mut search = Search::new(game, params(400), false);
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut evaluator, &mut noise_rng(0));
    let (action, _) = search.visits().into_iter().max_by_key(|&(_, visits)| visits).unwrap();
    search.advance(action, &mut spare);
    let (room, kept) = (search.tree.room(), search.tree.portraits(None));
    search.shrink();
    let less = search.tree.room();
    assert!(kept.len() > 1 && less.iter().zip(&room).all(|(less, room)| less < room), "{room:?}, then {less:?}");
    assert_eq!(search.tree.portraits(None), kept);
    search.begin(&state_after(&game, &[action]), &mut noise_rng(1));
    finish(&mut search, &mut evaluator, &mut noise_rng(1));
}

#[test]
fn a_game_gives_back_what_its_searches_no_longer_need() {
    let game = quoridor(5, 2, None);
    let (mut evaluator, mut spare) = (hash(&game), SpareTree::default());
    let mut search = Search::new(game, params(400), false);
    let mut large_then = |end: &mut dyn FnMut(&mut Search<_>)| {
        for moves in [20, 1] {
            (0..moves).for_each(|_| {
                search.begin(&game.start(), &mut noise_rng(0));
                finish(&mut search, &mut evaluator, &mut noise_rng(0));
            });
            let before = search.tree.room();
            end(&mut search);
            if moves == 1 {
                let after = search.tree.room();
                assert!(
                    after.iter().zip(before).all(|(&after, before)| 2 * after < before),
                    "{before:?}, then {after:?}"
                );
            }
            search.forget();
        }
    };
    large_then(&mut |search| {
        let (action, _) = search.visits().into_iter().max_by_key(|&(_, visits)| visits).unwrap();
        search.advance(action, &mut spare);
    });
    large_then(&mut |search| search.forget());
}

fn any_params() -> impl Strategy<Value = SearchParams> {
    let shape = prop_oneof![Just(NoiseShape::Even), Just(NoiseShape::Shaped)];
    let noise = (0.05f32..1.0, 0.05f32..3.0, shape)
        .prop_map(|(epsilon, alpha, shape)| Some(RootNoise { epsilon, alpha, shape }));
    let noise = prop_oneof![Just(None), noise];
    let in_flight = prop_oneof![Just(InFlight::Visits), (0u32..5).prop_map(InFlight::Losses)];
    (2u32..80, 0.2f32..4.0, 1u32..20, in_flight, noise, any_puct()).prop_map(
        |(n, c_puct, leaf_parallelism, in_flight, noise, puct)| SearchParams {
            simulations: Simulations::PerMove(n),
            c_puct,
            leaf_parallelism,
            in_flight,
            noise,
            root: Root::Puct(puct),
            solver: false,
        },
    )
}

/// The options of PUCT, half of the time none.
fn any_puct() -> impl Strategy<Value = Puct> {
    let first_play = || {
        prop_oneof![
            Just(FirstPlay::DRAW),
            (-1.0f32..1.0).prop_map(FirstPlay::Absolute),
            (0.0f32..0.6).prop_map(FirstPlay::Reduction)
        ]
    };
    let growth = prop_oneof![Just(None), (0.1f32..2.0, 1.0f32..100.0).prop_map(|(by, base)| Some(Growth { by, base }))];
    let temperature = prop_oneof![Just(1.0f32), 0.5f32..2.0];
    let counted = prop_oneof![Just(Counted::Playouts), Just(Counted::Visits)];
    let forced = prop_oneof![Just(0.0f32), 0.5f32..4.0];
    let puct = (first_play(), first_play(), growth, temperature, counted, forced).prop_map(
        |(first_play, first_play_at_root, growth, policy_temperature, counted, forced_playouts)| Puct {
            first_play,
            first_play_at_root,
            growth,
            policy_temperature,
            counted,
            forced_playouts,
        },
    );
    prop_oneof![Just(Puct::PLAIN), puct]
}

/// With either rule.
fn any_search() -> impl Strategy<Value = SearchParams> {
    let gumbel =
        (1u32..20, any::<bool>()).prop_map(|(actions, stretch)| Gumbel { actions, stretch, ..Gumbel::default() });
    (any_params(), prop_oneof![Just(None), gumbel.prop_map(|gumbel| Some(Root::Gumbel(gumbel)))])
        .prop_map(|(params, gumbel)| SearchParams { root: gumbel.unwrap_or(params.root), ..params })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn games_of_tic_tac_toe_keep_every_count(params in any_search()) {
        check_game(&TicTacToe, params);
    }

    #[test]
    fn games_of_quoridor_keep_every_count(params in any_search(), size in prop_oneof![Just(3), Just(5)], walls in 0u32..4) {
        check_game(&quoridor(size, walls, Some(14)), params);
    }

    #[test]
    fn every_visit_and_value_of_a_fresh_tree_is_accounted_for(params in any_search(), walls in 0u32..3) {
        let game = quoridor(3, walls, Some(8));
        let mut evaluator = hash(&game);
        let mut search = Search::new(game, params, false);
        search.begin(&game.start(), &mut noise_rng(0));
        finish(&mut search, &mut evaluator, &mut noise_rng(0));
        let duplicates = search.counts().duplicate;
        check_sums(&search, &mut evaluator, duplicates);
        if params.leaf_parallelism == 1 || search.params.in_flight == InFlight::Visits {
            prop_assert_eq!(duplicates, 0);
        }
    }

    #[test]
    fn what_counts_in_flight_means_nothing_to_a_sequential_search(params in any_search()) {
        let game = quoridor(5, 2, None);
        let portraits = |in_flight| {
            let mut search = Search::new(game, SearchParams { leaf_parallelism: 1, in_flight, ..params }, false);
            search.begin(&game.start(), &mut noise_rng(0));
            finish(&mut search, &mut hash(&game), &mut noise_rng(0));
            (search.root_value(), search.tree.portraits(None))
        };
        prop_assert_eq!(portraits(params.in_flight), portraits(InFlight::Losses(7)));
        prop_assert_eq!(portraits(params.in_flight), portraits(InFlight::Visits));
    }
}
