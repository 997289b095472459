//! How actions are chosen.

use super::*;
use crate::evaluation::Leaf;

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
