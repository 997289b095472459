//! Games searched by Gumbel's rule.

use super::*;
use crate::search::Gumbel;

fn gumbel() -> PlaySettings {
    let root = Root::Gumbel(Gumbel { actions: 8, ..Gumbel::default() });
    PlaySettings { search: SearchParams { root, ..settings().search }, drop_t_on_step: Some(0), ..settings() }
}

fn new_game() -> SelfPlayGame<Quoridor> {
    SelfPlayGame::new(quoridor(), Arc::new(gumbel()), 5, 3)
}

#[test]
fn policy_targets_are_improved_policies_beside_raw_visits() {
    let rules = quoridor();
    let record = play(&rules, &gumbel(), 5);
    let mut unvisited = 0;
    for (ply, recorded) in record.plies.iter().enumerate() {
        assert!(is_greedy(&rules, recorded), "ply {ply}: the action played is one of the most visited");
        let visits: u32 = recorded.targets.iter().map(|target| target.visits).sum();
        assert_eq!(visits, N - 1, "ply {ply}: nothing is kept from move to move");
        let sum: f32 = recorded.targets.iter().map(|target| target.probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "ply {ply}: {sum}");
        assert!(recorded.policy_entropy().is_finite());
        unvisited += recorded.targets.iter().filter(|target| target.visits == 0 && target.probability > 0.0).count();
    }
    assert!(unvisited > record.plies.len(), "policies reach beyond what was visited");
}

#[test]
fn a_game_goes_on_from_any_ply_with_the_same_draws() {
    let rules = quoridor();
    let whole = play(&rules, &gumbel(), 5);
    for plies in [0, 1, 5, whole.plies.len() - 1] {
        let played = whole.plies[..plies].to_vec();
        let game = SelfPlayGame::resume(rules, Arc::new(gumbel()), 5, 3, played, Some(10));
        assert_eq!(text(&finish(&rules, game, 1).plies), text(&whole.plies), "from ply {plies}");
    }
    assert_ne!(actions(&play(&rules, &gumbel(), 6)), actions(&whole), "another seed draws others");
}

#[test]
fn a_new_model_begins_the_move_anew() {
    let (rules, mut game) = (quoridor(), new_game());
    let (mut leaves, mut spare) = (Vec::new(), SpareTree::default());
    for generation in [1, 1, 1, 2] {
        leaves.clear();
        assert!(matches!(game.advance(&mut leaves, &mut spare), Progress::Leaves));
        game.apply(&evaluate(&rules, generation, &leaves), generation, version(generation));
    }
    let switched = finish(&rules, game, 2);
    // All of its first move is the new model's, as if the old one had never been asked.
    let fresh = finish(&rules, new_game(), 2);
    assert_eq!(text(&switched.plies), text(&fresh.plies));
}
