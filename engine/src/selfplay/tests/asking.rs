//! What is asked of the network: symmetric positions as one, and nothing twice.

use std::collections::HashSet;

use super::*;
use crate::Leaf;

/// A game, every request it made, and the simulations that it had begun by then.
struct Asked<G: Game> {
    record: GameRecord<G>,
    requests: Vec<Vec<Leaf<G>>>,
    simulations: Vec<u64>,
}

impl<G: Game> Asked<G> {
    fn leaves(&self) -> impl Iterator<Item = &Leaf<G>> {
        self.requests.iter().flatten()
    }
}

/// Plays a game whose requests are answered by `answer`, which is given their number, the simulations begun and the leaves, and
/// says by which model.
fn ask<G: Game>(
    rules: &G,
    settings: &PlaySettings,
    seed: u64,
    answer: impl Fn(usize, u64, &[Leaf<G>]) -> (Evaluations, u64),
) -> Asked<G> {
    let mut game = SelfPlayGame::new(rules.clone(), Arc::new(settings.clone()), seed, 3);
    let (mut spare, mut requests, mut simulations) = (SpareTree::default(), Vec::new(), Vec::new());
    loop {
        let mut leaves = Vec::new();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Leaves => {
                assert!(!leaves.is_empty());
                simulations.push(game.counts().total());
                let (evaluations, generation) = answer(requests.len(), game.counts().total(), &leaves);
                game.apply(&evaluations, generation, version(generation));
                requests.push(leaves);
            }
            Progress::Finished(record) => return Asked { record, requests, simulations },
        }
    }
}

fn fresh() -> PlaySettings {
    PlaySettings { tree_reuse: false, ..settings() }
}

/// The same game with and without keeping evaluations: who was asked, with before without.
fn with_and_without<G: Game>(rules: &G, settings: &PlaySettings, seed: u64) -> [Asked<G>; 2] {
    let both = [true, false].map(|keep_evaluations| {
        let settings = PlaySettings { keep_evaluations, ..settings.clone() };
        ask(rules, &settings, seed, |_, _, leaves| (evaluate(rules, 1, leaves), 1))
    });
    let [with, without] = &both;
    assert_eq!(text(&with.record.plies), text(&without.record.plies));
    assert_eq!((with.record.outcome, with.record.effort), (without.record.outcome, without.record.effort));
    both
}

#[test]
fn what_is_kept_changes_no_game_and_is_not_asked_again() {
    let (mut asked, mut all) = (0, 0);
    for k in [1, 4, 24] {
        for (penalize_visited_states, symmetry) in [(false, false), (true, false), (false, true)] {
            let search = SearchParams { leaf_parallelism: k, ..settings().search };
            let settings = PlaySettings { search, penalize_visited_states, symmetry, ..fresh() };
            for seed in 0..3 {
                let [with, without] = with_and_without(&quoridor(), &settings, seed);
                asked += with.leaves().count();
                all += without.leaves().count();
                assert!(with.requests.len() < without.requests.len());
                with_and_without(&TicTacToe, &settings, seed);
            }
        }
    }
    assert!(asked * 10 < all * 9, "{asked} of {all} leaves were asked");
}

#[test]
fn a_sequential_search_asks_no_position_twice_within_two_moves() {
    let settings = PlaySettings { search: sequential(), keep_evaluations: true, ..fresh() };
    let rules = quoridor();
    let mut game = SelfPlayGame::new(rules, Arc::new(settings), 1, 3);
    let mut spare = SpareTree::default();
    let [mut before, mut now] = [HashSet::new(), HashSet::new()];
    let mut plies = 0;
    loop {
        let mut leaves = Vec::new();
        if !matches!(game.advance(&mut leaves, &mut spare), Progress::Leaves) {
            return;
        }
        if game.plies().len() > plies {
            // A move in which nothing was asked is no reason to forget.
            before = if game.plies().len() == plies + 1 { std::mem::take(&mut now) } else { HashSet::new() };
            plies = game.plies().len();
        }
        for leaf in &leaves {
            assert!(!before.contains(&leaf.position), "asked in the move before");
            assert!(now.insert(leaf.position), "asked in this move");
        }
        game.apply(&evaluate(&rules, 1, &leaves), 1, 10);
    }
}

#[test]
fn another_model_is_asked_for_all_of_a_gather_and_nothing_else() {
    let rules = quoridor();
    let keeping = PlaySettings { keep_evaluations: true, ..fresh() };
    let by = |generation, leaves: &[Leaf<Quoridor>]| (evaluate(&rules, generation, leaves), generation);
    let undisturbed = ask(&rules, &keeping, 1, |_, _, leaves| by(1, leaves));
    let mut again = 0;
    for change in 1..undisturbed.requests.len() {
        let asked = ask(&rules, &keeping, 1, |n, _, leaves| by(if n < change { 1 } else { 2 }, leaves));
        // A game that asks for everything, and hears of the new model with the same gather.
        let begun = asked.simulations[change];
        let plain =
            ask(&rules, &fresh(), 1, |_, simulations, leaves| by(if simulations < begun { 1 } else { 2 }, leaves));
        assert!(text(&asked.record.plies) == text(&plain.record.plies), "model 2 from request {change} on");

        let Some(next) = asked.requests.get(change + 1) else { continue };
        if asked.simulations[change + 1] == begun {
            // The rest of the gather, and not what the new model has answered.
            let answered: HashSet<_> = asked.requests[change].iter().map(|leaf| leaf.position).collect();
            assert!(next.iter().all(|leaf| !answered.contains(&leaf.position)));
            assert!(asked.requests[change].len() + next.len() <= 4);
            again += 1;
        }
    }
    assert!(again > 5, "only {again} gathers were known in part when the model changed");
}

#[test]
fn a_model_in_service_ends_what_was_kept_of_another() {
    let rules = quoridor();
    let play = |in_service: u64| {
        let mut game = SelfPlayGame::new(rules, Arc::new(PlaySettings { keep_evaluations: true, ..fresh() }), 1, 3);
        let (mut leaves, mut spare) = (Vec::new(), SpareTree::default());
        while game.plies().len() < 2 {
            leaves.clear();
            game.advance(&mut leaves, &mut spare);
            if game.plies().len() < 2 {
                game.apply(&evaluate(&rules, 1, &leaves), 1, 10);
            }
        }
        // The first gathers of this move were answered by what was kept.
        assert!(game.asked_counts().kept > 0 && game.kept_bytes() > 0);
        game.apply(&evaluate(&rules, 1, &leaves), 1, 10);
        let before = game.asked_counts().kept;
        game.model_in_service(in_service);
        leaves.clear();
        game.advance(&mut leaves, &mut spare);
        (leaves.len(), game.asked_counts().kept - before)
    };
    assert_eq!(play(2), (4, 0));
    assert_ne!(play(1), (4, 0));
}

/// An evaluator whose answers for images are images.
fn evaluate_evenly<G: Game>(game: &G, leaves: &[Leaf<G>]) -> Evaluations {
    let canonical: Vec<_> = leaves.iter().map(|leaf| leaf.canonical(game)).collect();
    let asked: Vec<_> = canonical.iter().map(|&(leaf, _)| leaf).collect();
    let mut even = Evaluations::default();
    for (evaluation, (leaf, (_, symmetry))) in evaluate(game, 1, &asked).iter().zip(leaves.iter().zip(canonical)) {
        let priors = even.push(evaluation.value, evaluation.priors.iter().copied());
        game.transform_priors(symmetry, &leaf.legal, priors);
    }
    even
}

#[test]
fn mirror_images_are_asked_as_one_and_answered_as_two() {
    fn check<G: Game>(rules: &G, settings: &PlaySettings, seed: u64) -> (usize, usize) {
        let [on, off] = [true, false].map(|symmetry| {
            let settings = PlaySettings { symmetry, ..settings.clone() };
            ask(rules, &settings, seed, |_, _, leaves| (evaluate_evenly(rules, leaves), 1))
        });
        // A network that is symmetric itself plays the same games: whatever was turned was turned back.
        assert_eq!(text(&on.record.plies), text(&off.record.plies));
        assert_eq!(on.requests.len(), off.requests.len());
        assert!(on.leaves().all(|leaf| leaf.canonical(rules).1 == 0), "only the least image is asked");
        let distinct = |asked: &Asked<G>| asked.leaves().map(|leaf| leaf.position).collect::<HashSet<_>>().len();
        (distinct(&on), distinct(&off))
    }
    let mut distinct = (0, 0);
    for seed in 0..4 {
        for agents in [[Agent::Search; 2], [Agent::Raw, Agent::Search]] {
            let settings = PlaySettings { agents, ..settings() };
            for (on, off) in [check(&quoridor(), &settings, seed), check(&TicTacToe, &settings, seed)] {
                distinct = (distinct.0 + on, distinct.1 + off);
            }
        }
    }
    assert!(distinct.0 < distinct.1, "{distinct:?}");
}

#[test]
fn leaves_not_asked_as_they_were_gathered_are_counted() {
    let rules = quoridor();
    let settings = PlaySettings { symmetry: true, keep_evaluations: true, ..fresh() };
    let mut game = SelfPlayGame::new(rules, Arc::new(settings), 1, 3);
    let (mut leaves, mut spare, mut asked) = (Vec::new(), SpareTree::default(), 0);
    loop {
        leaves.clear();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Leaves => game.apply(&evaluate(&rules, 1, &leaves), 1, 10),
            Progress::Finished(record) => {
                let AskedCounts { kept, mirrored } = game.asked_counts();
                assert_eq!(kept + asked, record.effort.leaves.evaluated);
                assert!(mirrored > 0 && mirrored < asked, "{mirrored} of {asked}");
                return;
            }
        }
        asked += leaves.len() as u64;
    }
}
