//! What is asked of the network where a position and its images are asked as one.

use std::collections::HashSet;

use super::*;
use crate::Leaf;

/// A game and every request it made.
struct Asked<G: Game> {
    record: GameRecord<G>,
    requests: Vec<Vec<Leaf<G>>>,
    mirrored: u64,
}

impl<G: Game> Asked<G> {
    fn leaves(&self) -> impl Iterator<Item = &Leaf<G>> {
        self.requests.iter().flatten()
    }
}

/// Plays a game whose requests are answered by `answer`.
fn ask<G: Game>(rules: &G, settings: &PlaySettings, seed: u64, answer: impl Fn(&[Leaf<G>]) -> Evaluations) -> Asked<G> {
    let mut game = SelfPlayGame::new(rules.clone(), Arc::new(settings.clone()), seed, 3);
    let (mut spare, mut requests) = (SpareTree::default(), Vec::new());
    loop {
        let mut leaves = Vec::new();
        match game.advance(&mut leaves, &mut spare) {
            Progress::Leaves => {
                assert!(!leaves.is_empty());
                game.apply(&answer(&leaves), 1, version(1));
                requests.push(leaves);
            }
            Progress::Finished(record) => return Asked { record, requests, mirrored: game.mirrored() },
        }
    }
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
            ask(rules, &settings, seed, |leaves| evaluate_evenly(rules, leaves))
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
fn leaves_asked_as_an_image_are_counted() {
    let rules = quoridor();
    for symmetry in [true, false] {
        let settings = PlaySettings { symmetry, ..settings() };
        let asked = ask(&rules, &settings, 1, |leaves| evaluate(&rules, 1, leaves));
        let all = asked.leaves().count() as u64;
        assert_eq!(all, asked.record.effort.leaves.evaluated);
        assert!(asked.mirrored < all && (asked.mirrored > 0) == symmetry, "{} of {all}", asked.mirrored);
    }
}
