//! Positions in which it is plain what a search must do.

use super::*;
use crate::evaluation::EvaluateError;

fn searched<G: Game>(
    game: &G,
    actions: &[Action],
    params: SearchParams,
    evaluator: &mut impl Evaluator<G>,
) -> Search<G> {
    let mut search = Search::new(game.clone(), params, false);
    search.begin(&state_after(game, actions), &mut noise_rng(0));
    finish(&mut search, evaluator, &mut noise_rng(0));
    search
}

#[test]
fn without_anything_in_flight_a_gather_asks_the_same_leaf_once() {
    let params = SearchParams { leaf_parallelism: 8, in_flight: InFlight::Losses(0), ..params(17) };
    let search = searched(&quoridor(5, 3, None), &[], params, &mut UniformEvaluator);
    // The root alone, then two gathers of eight that see the same tree eight times each.
    assert_eq!(search.counts(), LeafCounts { evaluated: 3, duplicate: 14, ..LeafCounts::default() });
}

#[test]
fn lost_games_in_flight_keep_leaves_apart() {
    let params = SearchParams { leaf_parallelism: 8, in_flight: InFlight::Losses(3), ..params(17) };
    let search = searched(&quoridor(5, 3, None), &[], params, &mut UniformEvaluator);
    assert_eq!(search.counts(), LeafCounts { evaluated: 17, ..LeafCounts::default() });
    assert!(search.visits().iter().all(|&(_, visits)| visits == 1));
}

#[test]
fn where_visits_are_in_flight_a_gather_ends_before_it_asks_a_leaf_twice() {
    let visits = SearchParams { leaf_parallelism: 8, in_flight: InFlight::Visits, ..params(60) };
    let losses = SearchParams { in_flight: InFlight::Losses(1), ..visits };
    let counts = |params| searched(&TicTacToe, &[0, 3, 1], params, &mut hash(&TicTacToe)).counts();
    assert_eq!((counts(visits).duplicate, counts(visits).total()), (0, 60));
    assert!(counts(losses).duplicate > 0);
}

#[test]
fn visits_in_flight_leave_the_better_move_better() {
    // o must take 2; losses in flight drive every second leaf away from it, visits do not.
    let visits_of_it = |in_flight| {
        let params = SearchParams { leaf_parallelism: 4, in_flight, ..params(100) };
        let search = searched(&TicTacToe, &[0, 3, 1], params, &mut hash(&TicTacToe));
        search.visits().into_iter().find(|&(action, _)| action == 2).map(|(_, visits)| visits)
    };
    assert!(visits_of_it(InFlight::Visits) > visits_of_it(InFlight::Losses(3)));
}

#[test]
fn a_won_game_ends_the_search_below_it_and_draws_the_visits() {
    // x on 0 and 1: the mover wins on 2.
    let search = searched(&TicTacToe, &[0, 3, 1, 4], params(200), &mut hash(&TicTacToe));
    let counts = search.counts();
    assert!(counts.won > 100, "{counts:?}");
    assert_eq!(counts.total(), 200);
    let best = search.visits().into_iter().max_by_key(|&(_, visits)| visits).unwrap();
    assert_eq!(best.0, 2);
    assert!(search.root_value() > 0.5);
}

#[test]
fn the_loser_sees_a_won_game_as_lost() {
    // o must take 2, and any other reply loses at once.
    let search = searched(&TicTacToe, &[0, 3, 1], params(400), &mut UniformEvaluator);
    let best = search.visits().into_iter().max_by_key(|&(_, visits)| visits).unwrap();
    assert_eq!(best.0, 2);
}

#[test]
fn a_single_legal_action_gets_all_visits() {
    let last_cell = [0, 1, 2, 4, 3, 5, 7, 6];
    let search = searched(&TicTacToe, &last_cell, params(10), &mut UniformEvaluator);
    assert_eq!(search.visits(), [(8, 9)]);
    assert_eq!(search.counts(), LeafCounts { evaluated: 1, drawn: 9, ..LeafCounts::default() });

    let per_action = SearchParams { simulations: Simulations::PerLegalAction(1), ..params(0) };
    let search = searched(&TicTacToe, &last_cell, per_action, &mut UniformEvaluator);
    assert_eq!(search.visits(), [(8, 1)]);
}

#[test]
fn simulations_can_follow_the_number_of_legal_actions() {
    let per_action = SearchParams { simulations: Simulations::PerLegalAction(3), ..params(0) };
    let search = searched(&TicTacToe, &[4], per_action, &mut UniformEvaluator);
    assert_eq!(search.counts().total(), 24);
}

/// All priors on the first action.
struct First;

impl Evaluator<TicTacToe> for First {
    fn evaluate(&mut self, leaves: &[Leaf<TicTacToe>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        out.clear();
        for leaf in leaves {
            out.push(0.0, (0..leaf.legal.len()).map(|rank| if rank == 0 { 1.0 } else { 0.0 }));
        }
        Ok(())
    }
}

#[test]
fn where_kept_visits_count_a_move_tops_them_up_with_one_simulation_at_least() {
    let puct = Puct { counted: Counted::Visits, ..Puct::PLAIN };
    // All visits of the root but its own are its first action's; the next root has fewer actions.
    for (simulations, new) in
        [(Simulations::PerLegalAction(3), 1), (Simulations::PerMove(27), 1), (Simulations::PerMove(40), 1)]
    {
        let params = SearchParams { simulations, root: Root::Puct(puct), ..params(0) };
        let mut search = searched(&TicTacToe, &[], params, &mut First);
        let before = search.counts().total();
        search.advance(0, &mut SpareTree::default());
        search.begin(&state_after(&TicTacToe, &[0]), &mut noise_rng(1));
        finish(&mut search, &mut First, &mut noise_rng(1));
        assert_eq!(search.counts().total() - before, new);
        assert!(search.tree.root_visits >= simulations.at_root(8));
    }
}

#[test]
fn what_untried_moves_count_for_says_how_many_are_tried() {
    let tried = |first_play, first_play_at_root| {
        let root = Root::Puct(Puct { first_play, first_play_at_root, ..Puct::PLAIN });
        let game = quoridor(5, 3, None);
        let search = searched(&game, &[], SearchParams { root, c_puct: 0.5, ..params(40) }, &mut hash(&game));
        search.visits().len()
    };
    let (lost, drawn, won) = (FirstPlay::Absolute(-1.0), FirstPlay::DRAW, FirstPlay::Absolute(1.0));
    let [fewest, some, most] = [lost, drawn, won].map(|first_play| tried(first_play, first_play));
    assert!(fewest < some && some < most && most == 35, "{fewest}, {some}, {most}");
    // Each of the two counts in its own place.
    assert_eq!(tried(lost, won), most);
    assert!(tried(won, lost) < some);
}

#[test]
fn one_simulation_evaluates_the_root_and_nothing_else() {
    let game = quoridor(5, 3, None);
    let search = searched(&game, &[], params(1), &mut hash(&game));
    assert_eq!(search.visits(), []);
    // Recorded with the conformance vectors.
    assert_eq!(search.root_value(), -0.258_186_22);
}

#[test]
fn the_step_limit_is_seen_inside_the_search() {
    let game = quoridor(5, 1, Some(2));
    let search = searched(&game, &[], params(300), &mut UniformEvaluator);
    // The root, its 35 children, and then nothing but draws.
    assert_eq!(search.counts(), LeafCounts { evaluated: 36, limited: 264, ..LeafCounts::default() });
    assert!(search.tree.nodes.iter().all(|node| game.ply(&node.state) <= 2));
}

#[test]
fn noise_is_drawn_anew_from_clean_priors() {
    let game = quoridor(5, 2, None);
    let noise = RootNoise { epsilon: 0.9, alpha: 0.3, shape: NoiseShape::Even };
    let mut evaluator = hash(&game);
    let mut search = Search::new(game, SearchParams { noise: Some(noise), ..params(60) }, false);
    let state = game.start();
    let clean = clean_root_priors(&game, &state, &mut evaluator);
    let mut draws = Vec::new();
    for ply in 0..4 {
        let mut rng = noise_rng(ply);
        search.begin(&state, &mut rng);
        finish(&mut search, &mut evaluator, &mut rng);
        let priors = search.tree.root_priors();
        check_noise(&priors, &clean, Some(noise));
        draws.push(priors);
    }
    assert!((1..4).all(|ply| draws[ply] != draws[ply - 1]));
    // Four searches on one tree.
    assert_eq!(search.tree.root_visits, 240);
}

#[test]
fn another_position_than_the_one_kept_starts_afresh() {
    let game = quoridor(5, 2, None);
    let mut search = Search::new(game, params(50), false);
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut hash(&game), &mut noise_rng(0));
    let (action, _) = search.visits()[0];
    search.advance(action, &mut SpareTree::default());
    let other = game.legal_actions(&game.start()).iter().find(|&other| other != action).unwrap();
    search.begin(&state_after(&game, &[other]), &mut noise_rng(1));
    assert_eq!((search.tree.root_visits, search.size().nodes), (0, 1));
}

#[test]
fn nothing_is_kept_of_an_action_without_visits_or_of_no_tree() {
    let game = quoridor(5, 2, None);
    let mut spare = SpareTree::default();
    let mut search = Search::new(game, params(2), false);
    search.advance(0, &mut spare);
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut hash(&game), &mut noise_rng(0));
    let visits = search.visits();
    let untried =
        game.legal_actions(&game.start()).iter().find(|action| visits.iter().all(|(tried, _)| tried != action));
    search.advance(untried.unwrap(), &mut spare);
    assert_eq!(search.size().nodes, 0);
}

#[test]
fn forgetting_takes_back_what_was_asked() {
    let game = quoridor(5, 2, None);
    let mut search = Search::new(game, params(50), false);
    let mut leaves = Vec::new();
    search.begin(&game.start(), &mut noise_rng(0));
    assert!(search.gather(&mut leaves).is_some());
    search.forget();
    assert!(search.pending.is_empty());
    search.begin(&game.start(), &mut noise_rng(0));
    finish(&mut search, &mut hash(&game), &mut noise_rng(0));
    let fresh = searched(&game, &[], params(50), &mut hash(&game));
    assert_eq!(search.visits(), fresh.visits());
}

#[test]
fn positions_of_the_game_are_penalised() {
    // Both pawns aside, the first one back: action 7 of the second would be the start again.
    let game = quoridor(3, 0, None);
    let actions = [0, 6, 1];
    let state = state_after(&game, &actions);
    let visits_of_the_way_back = |penalize, noted: bool| {
        let mut search = Search::new(game, params(12), penalize);
        for ply in 0..actions.len() * usize::from(noted) {
            search.note_visited(&state_after(&game, &actions[..ply]));
        }
        search.begin(&state, &mut noise_rng(0));
        finish(&mut search, &mut UniformEvaluator, &mut noise_rng(0));
        search.visits().into_iter().find(|&(action, _)| action == 7).map_or(0, |(_, visits)| visits)
    };
    let free = visits_of_the_way_back(false, true);
    assert_eq!(visits_of_the_way_back(true, false), free);
    assert!(visits_of_the_way_back(true, true) < free, "{free}");
}

#[test]
#[should_panic(expected = "one evaluation per leaf")]
fn missing_evaluations_are_a_bug_of_the_caller() {
    let mut search = Search::new(TicTacToe, params(5), false);
    search.begin(&TicTacToe.start(), &mut noise_rng(0));
    let gathered = search.gather(&mut Vec::new()).unwrap();
    search.apply(gathered, &Evaluations::default(), &mut noise_rng(0));
}

#[test]
fn a_decision_is_the_visits_and_what_is_made_of_them() {
    let search = searched(&TicTacToe, &[0, 3, 1, 4], params(200), &mut hash(&TicTacToe));
    let (visits, greedy) = (search.visits(), search.decide(0.0, &mut noise_rng(0)));
    assert_eq!((greedy.action, greedy.value), (2, search.root_value()));
    assert_eq!(greedy.policy.iter().map(|share| (share.action, share.visits)).collect::<Vec<_>>(), visits);
    assert!(greedy.policy.iter().all(|share| share.probability == share.visits as f32 / 199.0));
    let others = (0..40).filter(|&ply| search.decide(2.0, &mut noise_rng(ply)).action != 2).count();
    assert!(0 < others && others < 40, "{others} of 40");
}

#[test]
fn a_root_without_visits_plays_its_first_action() {
    let search = searched(&TicTacToe, &[0], params(1), &mut UniformEvaluator);
    let decision = search.decide(1.0, &mut noise_rng(0));
    assert_eq!((decision.action, decision.policy), (1, Vec::new()));
}

#[test]
fn the_root_is_asked_alone() {
    let params = SearchParams { leaf_parallelism: 16, ..params(50) };
    let mut search = Search::new(TicTacToe, params, false);
    let mut leaves = Vec::new();
    search.begin(&TicTacToe.start(), &mut noise_rng(0));
    assert!(search.gather(&mut leaves).is_some());
    assert_eq!(leaves.len(), 1);
    assert_eq!(search.pending[0].node, ROOT);
}
