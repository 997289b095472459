//! Games whose searches prove what positions are worth.

use super::*;
use crate::{
    games::connect_four::ConnectFour,
    search::{Gumbel, MoveEffort},
};

fn solving(root: Root, simulations: u32) -> PlaySettings {
    let search = SearchParams {
        solver: true,
        root,
        simulations: Simulations::PerMove(simulations),
        in_flight: InFlight::Visits,
        ..settings().search
    };
    PlaySettings { search, ..settings() }
}

/// Plays a game, whose model changes after every `swap` answers, and tells what its searches amounted to.
fn played<G: Game>(rules: &G, settings: PlaySettings, seed: u64, swap: u64) -> (GameRecord<G>, Vec<MoveEffort>) {
    let mut game = SelfPlayGame::new(rules.clone(), Arc::new(settings), seed, 3);
    let (mut leaves, mut spare, mut moves, mut answers) = (Vec::new(), SpareTree::default(), Vec::new(), 0);
    loop {
        leaves.clear();
        let progress = game.advance(&mut leaves, &mut spare);
        moves.extend(game.take_searched());
        if let Progress::Finished(record) = progress {
            return (record, moves);
        }
        answers += 1;
        let generation = answers / swap;
        game.apply(&evaluate(rules, generation, &leaves), generation, version(generation));
    }
}

#[test]
fn from_a_proof_on_a_game_takes_its_course_without_a_network() {
    let rules = ConnectFour::default();
    let mut proven = 0;
    for seed in 0..12 {
        let (record, moves) = played(&rules, solving(Root::PUCT, 150), seed, u64::MAX);
        GameArrays::new(&record, &rules, ()).unwrap();
        assert_eq!(moves.len(), record.plies.len());
        assert_eq!(record.effort.proven_moves, moves.iter().filter(|effort| effort.proven).count() as u64);
        assert!(moves.iter().zip(&record.plies).all(|(effort, ply)| effort.proven == ply.notes.proven));
        let Some(first) = moves.iter().position(|effort| effort.proven) else { continue };
        proven += usize::from(first + 1 < moves.len());
        for (effort, ply) in moves.iter().zip(&record.plies).skip(first) {
            assert!(effort.proven, "what is proven stays proven");
            assert_eq!(ply.root_value, record.outcome.value_for(ply.player));
        }
        assert!(moves[first + 1..].iter().all(|effort| effort.simulations == 0));
        assert!(moves[..first].iter().all(|effort| effort.simulations == 150));
    }
    assert!(proven >= 6, "{proven}");
}

#[test]
fn targets_are_distributions_over_what_may_be_played_with_visits_as_they_were() {
    let gumbel = Root::Gumbel(Gumbel { actions: 4, ..Gumbel::default() });
    for (root, simulations) in [(Root::PUCT, 4), (Root::PUCT, 24), (gumbel, 8), (gumbel, 40)] {
        let mut left_out = 0;
        for seed in 0..12 {
            // With Gumbel's rule a new model begins the move anew.
            for swap in [if root == Root::PUCT { 3 } else { 1000 }, u64::MAX] {
                let (record, _) = played(&TicTacToe, solving(root, simulations), seed, swap);
                GameArrays::new(&record, &TicTacToe, TicTacToe.encodings()[0]).unwrap();
                for ply in &record.plies {
                    let played = TicTacToe.turn_action(ply.player, ply.action);
                    let target = ply.targets.iter().find(|target| target.action == played).unwrap();
                    assert!(target.probability > 0.0, "{ply:?}");
                    left_out += ply.targets.iter().filter(|target| target.probability == 0.0).count();
                }
            }
        }
        assert!(left_out > 0, "{root:?} {simulations}");
    }
}

#[test]
fn a_game_with_proofs_goes_on_from_any_ply_as_if_it_had_never_stopped() {
    let settings = PlaySettings { tree_reuse: false, ..solving(Root::PUCT, 60) };
    let whole = play(&TicTacToe, &settings, 5);
    for cut in 0..whole.plies.len() {
        let game =
            SelfPlayGame::resume(TicTacToe, Arc::new(settings.clone()), 5, 3, whole.plies[..cut].to_vec(), Some(10));
        assert_eq!(text(&finish(&TicTacToe, game, 1).plies), text(&whole.plies), "cut at ply {cut}");
    }
}
