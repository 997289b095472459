//! Whole games, played without a runtime.

use std::sync::Arc;

use super::*;
use crate::{
    evaluation::{DrawChance, Evaluations, Evaluator, HashEvaluator, HashPriors, Worth},
    game::{ActionSet, Game},
    games::{
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    },
    replay::{GameArrays, GameRecord, PlyRecord},
    search::{InFlight, NoiseShape, Root, RootNoise, SearchParams, Simulations, SpareTree},
};

mod agents;
mod early;
mod gumbel;
mod models;
mod openings;
mod proofs;
mod rows;
mod symmetric;

const N: u32 = 24;

fn quoridor() -> Quoridor {
    Quoridor::new(5, 2, Some(30)).unwrap()
}

fn settings() -> PlaySettings {
    PlaySettings {
        search: SearchParams {
            simulations: Simulations::PerMove(N),
            c_puct: 1.4,
            leaf_parallelism: 4,
            in_flight: InFlight::Losses(3),
            noise: Some(RootNoise { epsilon: 0.25, alpha: 0.5, shape: NoiseShape::Even }),
            root: Root::PUCT,
            solver: false,
        },
        temperature: 1.0,
        temperature_decay: None,
        drop_t_on_step: None,
        tree_reuse: true,
        penalize_visited_states: false,
        opening: OpeningSettings::default(),
        soft_resign: None,
        resign: None,
        rows: RowSettings::default(),
        symmetry: false,
        agents: [Agent::Search; 2],
    }
}

fn sequential() -> SearchParams {
    SearchParams { leaf_parallelism: 1, ..settings().search }
}

/// Every model is another evaluator; its generation is its salt, its version ten times that.
fn evaluate<G: Game>(game: &G, generation: u64, leaves: &[crate::Leaf<G>]) -> Evaluations {
    let mut evaluations = Evaluations::default();
    let encoding = game.encodings()[0];
    let mut evaluator = HashEvaluator::new(game.clone(), encoding, HashPriors::Ratio, generation);
    evaluator.evaluate(leaves, &mut evaluations).unwrap();
    evaluations
}

const fn version(generation: u64) -> i64 {
    generation as i64 * 10
}

/// Asks `game` and answers with one model until it is over.
fn finish<G: Game>(rules: &G, mut game: SelfPlayGame<G>, generation: u64) -> GameRecord<G> {
    let mut spare = SpareTree::default();
    let mut leaves = Vec::new();
    loop {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Leaves => game.apply(&evaluate(rules, generation, &leaves), generation, version(generation)),
            Progress::Finished(record) => return record,
        }
    }
}

fn play<G: Game>(rules: &G, settings: &PlaySettings, seed: u64) -> GameRecord<G> {
    finish(rules, SelfPlayGame::new(rules.clone(), Arc::new(settings.clone()), seed, 3), 1)
}

/// Plies as text: every field counts.
fn text<G: Game>(plies: &[PlyRecord<G>]) -> Vec<String> {
    plies.iter().map(|ply| format!("{ply:?}")).collect()
}

fn actions<G: Game>(record: &GameRecord<G>) -> Vec<crate::Action> {
    record.plies.iter().map(|ply| ply.action).collect()
}

/// Whether the action played is one of the most visited.
fn is_greedy<G: Game>(rules: &G, ply: &PlyRecord<G>) -> bool {
    let most = ply.targets.iter().map(|target| target.visits).max();
    let played = rules.turn_action(ply.player, ply.action);
    ply.targets.iter().find(|target| target.action == played).map(|target| target.visits) == most
}

#[test]
fn a_record_tells_the_whole_game() {
    let rules = quoridor();
    for seed in 0..4 {
        let record = play(&rules, &settings(), seed);
        assert_eq!((record.index, record.seed, record.model_version), (3, seed, 10));
        let mut state = rules.start();
        for (ply, recorded) in record.plies.iter().enumerate() {
            assert_eq!(rules.outcome(&state), None, "ply {ply}");
            assert_eq!(recorded.player, rules.side_to_move(&state));
            assert_eq!(recorded.leaf.position, rules.position(&state));
            assert!(rules.legal_actions(&state).contains(recorded.action));
            let sum: f32 = recorded.targets.iter().map(|target| target.probability).sum();
            assert!((sum - 1.0).abs() < 1e-5, "ply {ply}: {sum}");
            let visits: u32 = recorded.targets.iter().map(|target| target.visits).sum();
            assert!(if ply == 0 { visits == N - 1 } else { visits >= N }, "ply {ply}: {visits}");
            rules.play(&mut state, recorded.action);
        }
        assert_eq!(rules.outcome(&state), Some(record.outcome));
        // Its own checks: legal targets in the network frame, sums, turns.
        GameArrays::new(&record, &rules, QuoridorEncoding::Resnet).unwrap();
    }
}

#[test]
fn other_games_are_played_by_the_same_code() {
    let record = play(&TicTacToe, &settings(), 1);
    assert!((5..=9).contains(&record.plies.len()));
    GameArrays::new(&record, &TicTacToe, TicTacToe.encodings()[0]).unwrap();
}

#[test]
fn without_tree_reuse_every_move_gets_the_same_visits() {
    let record = play(&quoridor(), &PlaySettings { tree_reuse: false, ..settings() }, 1);
    for ply in &record.plies {
        assert_eq!(ply.targets.iter().map(|target| target.visits).sum::<u32>(), N - 1);
    }
}

#[test]
fn every_search_tells_what_it_amounted_to() {
    let rules = quoridor();
    for tree_reuse in [false, true] {
        let settings = Arc::new(PlaySettings { tree_reuse, ..settings() });
        let mut game = SelfPlayGame::new(rules, settings, 1, 3);
        let mut evaluator = HashEvaluator::new(rules, rules.encodings()[0], HashPriors::Ratio, 0);
        let (mut leaves, mut spare, mut evaluations) = (Vec::new(), SpareTree::default(), Evaluations::default());
        let mut moves = Vec::new();
        let record = loop {
            leaves.clear();
            let progress = game.advance(&mut leaves, &mut spare);
            moves.extend(game.take_searched());
            if let Progress::Finished(record) = progress {
                break record;
            }
            evaluator.evaluate(&leaves, &mut evaluations).unwrap();
            game.apply(&evaluations, 1, 1);
        };
        assert_eq!(moves.len(), record.plies.len());
        for (effort, ply) in moves.iter().zip(&record.plies) {
            let visits: u32 = ply.targets.iter().map(|target| target.visits).sum();
            // Visits of a root that visit no child: its own evaluation, and duplicates of that while it waited.
            match effort.reused_visits {
                0 => assert_eq!(visits, N - 1),
                reused => assert!((N..N + reused).contains(&visits), "{visits} after {reused}"),
            }
            assert_eq!(effort.simulations, u64::from(N));
            assert!(effort.depth_sum >= effort.simulations - 1 && effort.nodes > 1);
        }
        assert_eq!(moves.iter().any(|effort| effort.reused_visits > 0), tree_reuse);
        assert_eq!(moves.iter().map(|effort| effort.depth_sum).sum::<u64>(), record.effort.depth_sum);
        assert_eq!(moves.iter().map(|effort| effort.nodes as u64).sum::<u64>(), record.effort.nodes);
    }
}

#[test]
fn a_game_is_a_function_of_its_seed_and_number() {
    let rules = quoridor();
    let first = play(&rules, &settings(), 1);
    assert_eq!(text(&first.plies), text(&play(&rules, &settings(), 1).plies));
    assert_ne!(text(&first.plies), text(&play(&rules, &settings(), 2).plies));
    let other = finish(&rules, SelfPlayGame::new(rules, Arc::new(settings()), 1, 4), 1);
    assert_ne!(text(&first.plies), text(&other.plies));
}

#[test]
fn a_game_goes_on_from_any_ply_as_if_it_had_never_stopped() {
    let rules = quoridor();
    for penalize_visited_states in [false, true] {
        for agents in [[Agent::Search; 2], [Agent::Search, Agent::Random]] {
            let settings = PlaySettings { tree_reuse: false, penalize_visited_states, agents, ..settings() };
            let whole = play(&rules, &settings, 5);
            for cut in [0, 1, whole.plies.len() / 2, whole.plies.len() - 1] {
                let plies = whole.plies[..cut].to_vec();
                let game = SelfPlayGame::resume(rules, Arc::new(settings.clone()), 5, 3, plies, Some(10));
                let resumed = finish(&rules, game, 1);
                assert_eq!(text(&resumed.plies), text(&whole.plies), "cut at ply {cut}, {agents:?}");
                assert_eq!(resumed.model_version, whole.model_version);
            }
        }
    }
}

#[test]
fn penalties_keep_a_game_from_going_round_in_circles() {
    let rules = Quoridor::new(5, 0, Some(60)).unwrap();
    let repeats = |penalize_visited_states| {
        let search = SearchParams { noise: None, ..sequential() };
        let settings = PlaySettings { search, temperature: 0.0, penalize_visited_states, ..settings() };
        let record = play(&rules, &settings, 1);
        let mut seen = std::collections::HashSet::new();
        record.plies.iter().filter(|ply| !seen.insert((ply.leaf.position, ply.player))).count()
    };
    let (free, penalised) = (repeats(false), repeats(true));
    assert!(penalised < free, "{penalised} repetitions, {free} without penalty");
}

#[test]
fn penalties_turn_tree_reuse_off() {
    let rules = quoridor();
    let plies = |tree_reuse| {
        let settings = PlaySettings { tree_reuse, penalize_visited_states: true, ..settings() };
        text(&play(&rules, &settings, 1).plies)
    };
    assert_eq!(plies(true), plies(false));
}
