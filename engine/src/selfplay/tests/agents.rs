//! How actions are chosen.

use super::*;
use crate::{evaluation::Leaf, selfplay::Decay};

#[test]
fn from_the_step_on_the_most_visited_action_is_played() {
    let rules = quoridor();
    let drop_at = 6;
    let mut surprises = 0;
    for seed in 0..6 {
        let record = play(&rules, &PlaySettings { drop_t_on_step: Some(drop_at), ..settings() }, seed);
        let (before, after) = record.plies.split_at(drop_at as usize);
        surprises += before.iter().filter(|ply| !is_greedy(&rules, ply)).count();
        assert!(after.iter().all(|ply| is_greedy(&rules, ply)));
        // The policy stays the visits' shares.
        assert!(after.iter().any(|ply| ply.targets.len() > 1));
    }
    assert!(surprises > 0);
}

#[test]
fn a_temperature_decays_by_its_half_life_until_it_is_dropped() {
    let decay = Some(Decay { end: 0.25, halflife: 4.0 });
    let settings = PlaySettings { temperature: 1.25, temperature_decay: decay, drop_t_on_step: Some(13), ..settings() };
    let temperatures = [0, 4, 8, 12, 13].map(|ply| settings.temperature_at(ply));
    assert_eq!(temperatures, [1.25, 0.75, 0.5, 0.375, 0.0]);
    let still = PlaySettings { temperature_decay: None, ..settings };
    assert_eq!([0, 12, 13].map(|ply| still.temperature_at(ply)), [1.25, 1.25, 0.0]);
}

#[test]
fn a_game_whose_temperature_decays_soon_plays_the_most_visited_actions() {
    let rules = quoridor();
    // From the second ply on visits count to the power of 16, and of far more.
    let decay = Some(Decay { end: 0.0, halflife: 0.25 });
    let mut surprises = [0; 2];
    for seed in 0..6 {
        let record = play(&rules, &PlaySettings { temperature_decay: decay, ..settings() }, seed);
        let (before, after) = record.plies.split_at(1);
        surprises[0] += before.iter().filter(|ply| !is_greedy(&rules, ply)).count();
        surprises[1] += after[1..].iter().filter(|ply| !is_greedy(&rules, ply)).count();
    }
    assert!(surprises[0] > 0 && surprises[1] == 0, "{surprises:?}");
}

#[test]
fn at_temperature_zero_every_action_is_a_most_visited_one() {
    let rules = quoridor();
    let record = play(&rules, &PlaySettings { temperature: 0.0, ..settings() }, 1);
    assert!(record.plies.iter().all(|ply| is_greedy(&rules, ply)));
}

#[test]
fn the_raw_agent_plays_the_network_s_favourite() {
    let rules = quoridor();
    let settings = PlaySettings { agents: [Agent::Raw; 2], ..settings() };
    let record = play(&rules, &settings, 1);
    assert_eq!(actions(&record), actions(&play(&rules, &settings, 2)));
    for ply in &record.plies {
        let leaf: Leaf<Quoridor> = ply.leaf;
        let evaluations = evaluate(&rules, 1, &[leaf]);
        let evaluation = evaluations.get(0);
        assert_eq!(ply.root_value, evaluation.value);
        let mut targets = ply.targets.clone();
        targets.sort_by_key(|target| target.action);
        assert!(targets.iter().map(|target| target.action).eq(leaf.legal.iter()));
        assert!(targets.iter().map(|target| target.probability).eq(evaluation.priors.iter().copied()));
        let best = evaluation.priors.iter().copied().fold(0.0, f32::max);
        let played = rules.turn_action(ply.player, ply.action);
        assert_eq!(targets.iter().find(|target| target.action == played).map(|target| target.probability), Some(best));
    }
}

#[test]
fn the_random_agent_asks_nothing() {
    let rules = quoridor();
    let settings = Arc::new(PlaySettings { agents: [Agent::Random; 2], ..settings() });
    let mut leaves = Vec::new();
    let mut first_actions = std::collections::HashSet::new();
    for index in 0..20 {
        let mut game = SelfPlayGame::new(rules, settings.clone(), 1, index);
        let Progress::Finished(record) = game.advance(&mut leaves, &mut SpareTree::default()) else {
            panic!("it asked for evaluations");
        };
        assert!(leaves.is_empty());
        first_actions.insert(record.plies[0].action);
        GameArrays::new(&record, &rules, QuoridorEncoding::Resnet).unwrap();
    }
    assert!(first_actions.len() > 5);
}

#[test]
fn agents_can_differ() {
    let rules = quoridor();
    for agents in [[Agent::Search, Agent::Random], [Agent::Raw, Agent::Search], [Agent::Random, Agent::Raw]] {
        for tree_reuse in [false, true] {
            let record = play(&rules, &PlaySettings { agents, tree_reuse, ..settings() }, 1);
            for ply in &record.plies {
                let searched = ply.targets.iter().any(|target| target.visits > 0);
                assert_eq!(searched, agents[ply.player.index()] == Agent::Search, "{agents:?}");
            }
            GameArrays::new(&record, &rules, QuoridorEncoding::Resnet).unwrap();
        }
    }
}
