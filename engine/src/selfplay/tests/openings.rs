//! Games that begin with plies which teach nothing.

use std::collections::HashSet;

use super::*;
use crate::{Outcome, replay::PlyKind, selfplay::opening::OpeningPlies};

fn with(random_plies: u32, policy_plies: f32) -> PlaySettings {
    PlaySettings { opening: OpeningSettings { random_plies, policy_plies }, ..settings() }
}

fn opening_of<G: Game>(record: &GameRecord<G>) -> usize {
    let opening = record.plies.iter().filter(|ply| ply.notes.kind == PlyKind::Opening).count();
    assert_eq!(opening, record.opening_plies(), "it comes first");
    opening
}

#[test]
fn lengths_are_drawn_evenly_and_exponentially() {
    const GAMES: u64 = 20_000;
    let settings = OpeningSettings { random_plies: 4, policy_plies: 3.0 };
    let (mut random, mut policy) = ([0_u64; 5], 0_u64);
    for index in 0..GAMES {
        let opening = OpeningPlies::draw(&settings, 7, index);
        let kinds: Vec<_> = (0..200).map_while(|ply| opening.ply(ply)).collect();
        let first = kinds.iter().filter(|&&kind| kind == super::super::opening::OpeningPly::Random).count();
        random[first] += 1;
        policy += (kinds.len() - first) as u64;
    }
    assert!(random.iter().all(|&games| games.abs_diff(GAMES / 5) < 250), "{random:?}");
    // The mean of ⌊3 x⌋ for x of mean 1.
    let (found, expected) = (policy as f64 / GAMES as f64, 1.0 / ((1.0_f64 / 3.0).exp() - 1.0));
    assert!((found - expected).abs() < 0.1, "{found} instead of {expected}");
    assert_eq!(OpeningPlies::draw(&OpeningSettings::default(), 7, 0).ply(0), None);
}

#[test]
fn plies_of_an_opening_are_recorded_and_are_no_rows() {
    let rules = quoridor();
    let mut longest = 0;
    for (random, policy) in [(6, 0.0), (0, 3.0), (3, 2.0)] {
        for seed in 0..8 {
            let record = play(&rules, &with(random, policy), seed);
            let opening = opening_of(&record);
            let (plies, rest) = record.plies.split_at(opening);
            assert!(plies.iter().all(|ply| ply.notes.weight == 0.0 && !ply.is_searched()));
            assert!(rest.iter().all(|ply| ply.notes.kind == PlyKind::Full && ply.notes.weight == 1.0));
            let arrays = GameArrays::new(&record, &rules, QuoridorEncoding::Resnet).unwrap();
            assert_eq!((arrays.values.len(), arrays.all.actions.len()), (rest.len(), record.plies.len()));
            longest = longest.max(opening);
        }
    }
    assert!(longest >= 5, "{longest}");
}

#[test]
fn a_game_goes_on_from_any_ply_of_its_opening_as_if_it_had_never_stopped() {
    let rules = quoridor();
    let settings = Arc::new(PlaySettings { tree_reuse: false, symmetry: true, ..with(4, 6.0) });
    let mut policy = 0;
    for seed in 0..6 {
        let whole = finish(&rules, SelfPlayGame::new(rules, settings.clone(), seed, 3), 1);
        policy += whole.plies.iter().take(opening_of(&whole)).filter(|ply| ply.targets.len() > 1).count();
        for cut in 0..whole.plies.len().min(12) {
            let plies = whole.plies[..cut].to_vec();
            let game = SelfPlayGame::resume(rules, settings.clone(), seed, 3, plies, Some(10));
            assert_eq!(text(&finish(&rules, game, 1).plies), text(&whole.plies), "cut at ply {cut}");
        }
    }
    assert!(policy > 3, "{policy} plies by the policy");
}

#[test]
fn no_opening_is_the_whole_game() {
    for seed in 0..100 {
        let record = play(&TicTacToe, &with(9, 9.0), seed);
        assert!(record.rows().count() > 0, "seed {seed}");
        assert!(opening_of(&record) < record.plies.len());
        if let Outcome::Win(winner) = record.outcome {
            assert_eq!(record.plies.last().map(|ply| ply.player), Some(winner));
        }
    }
}

#[test]
fn games_without_other_chance_differ_by_their_openings() {
    let rules = quoridor();
    let distinct = |opening: OpeningSettings| {
        let search = SearchParams { noise: None, simulations: Simulations::PerMove(4), ..sequential() };
        let settings = Arc::new(PlaySettings { search, temperature: 0.0, opening, ..settings() });
        let game = |index| finish(&rules, SelfPlayGame::new(rules, settings.clone(), 1, index), 1);
        (0..30).map(|index| actions(&game(index))).collect::<HashSet<_>>().len()
    };
    let neither = distinct(OpeningSettings::default()); // The most visited may be two.
    let random = distinct(OpeningSettings { random_plies: 4, policy_plies: 0.0 });
    let policy = distinct(OpeningSettings { random_plies: 0, policy_plies: 4.0 });
    assert!(
        neither < 20 && random > neither + 5 && policy > neither + 5,
        "{random} by random plies, {policy} by the policy's, {neither} by neither"
    );
}
