//! Which plies teach a policy, and what is told of plies.

use super::*;
use crate::{
    evaluation::Leaf,
    replay::PlyKind,
    search::{FirstPlay, Growth, Gumbel, Puct},
    selfplay::RowSettings,
};

/// Simulations of a cheap search.
const CHEAP: u32 = 5;

fn some_full(full_share: f32) -> PlaySettings {
    let rows = RowSettings { full_share, cheap: Simulations::PerMove(CHEAP), surprise: 0.0 };
    PlaySettings { rows, search: sequential(), ..settings() }
}

fn games(settings: &PlaySettings, count: u64) -> Vec<PlyRecord<Quoridor>> {
    (0..count).flat_map(|seed| play(&quoridor(), settings, seed).plies).collect()
}

#[test]
fn plies_tell_how_they_were_found() {
    let rules = quoridor();
    for ply in games(&settings(), 2) {
        let notes = ply.notes;
        assert_eq!((notes.kind, notes.weight, notes.simulations), (PlyKind::Full, 1.0, N));
        assert!(notes.noise && !notes.mixed && !notes.proven);
        // The model is asked about the position by itself.
        let evaluations = evaluate(&rules, 1, &[Leaf { position: ply.leaf.position, legal: ply.leaf.legal }]);
        let network = evaluations.get(0);
        assert_eq!(notes.raw_value, network.value);
        let expected: f64 = ply
            .targets
            .iter()
            .map(|target| {
                let prior = network.priors[ply.leaf.legal.rank(target.action)];
                f64::from(target.probability) * (f64::from(target.probability) / f64::from(prior)).ln()
            })
            .sum();
        assert!((f64::from(notes.divergence) - expected).abs() < 1e-5, "{} is not {expected}", notes.divergence);
        assert!((-1.0..=1.0).contains(&notes.best_value) && (-1.0..=1.0).contains(&notes.played_value));
        if is_greedy(&rules, &ply) && ply.targets.iter().filter(|target| target.visits == most(&ply)).count() == 1 {
            assert_eq!(notes.best_value, notes.played_value);
        }
    }
}

fn most(ply: &PlyRecord<Quoridor>) -> u32 {
    ply.targets.iter().map(|target| target.visits).max().unwrap()
}

#[test]
fn values_of_children_make_up_that_of_the_root() {
    // With two simulations the only child is the best one, and the one that is played.
    let search = SearchParams { simulations: Simulations::PerMove(2), ..sequential() };
    for ply in games(&PlaySettings { search, tree_reuse: false, ..settings() }, 2) {
        let notes = ply.notes;
        assert_eq!(notes.best_value, notes.played_value);
        assert!((ply.root_value - (notes.raw_value + notes.best_value) / 2.0).abs() < 1e-6);
    }
}

#[test]
fn a_part_of_the_searches_is_of_full_size() {
    let plies = games(&some_full(0.25), 40);
    let (mut full, mut simulations) = (0, 0);
    for ply in &plies {
        let notes = ply.notes;
        let (weight, count) = if notes.kind == PlyKind::Full { (1.0, N) } else { (0.0, CHEAP) };
        assert_eq!((notes.weight, notes.simulations, notes.noise), (weight, count, notes.kind == PlyKind::Full));
        assert_eq!(ply.is_row(), notes.kind == PlyKind::Full);
        full += u32::from(ply.is_row());
        simulations += count;
        let visits: u32 = ply.targets.iter().map(|target| target.visits).sum();
        // What is kept before a cheap search comes on top; a full one begins afresh.
        assert!(if ply.is_row() { visits == N - 1 } else { visits >= CHEAP - 1 }, "{visits}");
    }
    // Four standard deviations of a binomial distribution.
    let count = plies.len() as f32;
    assert!((full as f32 - 0.25 * count).abs() < 4.0 * (0.25 * 0.75 * count).sqrt(), "{full} of {count}");
    let mean = 0.25 * N as f32 + 0.75 * CHEAP as f32;
    assert!((simulations as f32 / count - mean).abs() < 0.2 * mean);
}

#[test]
fn cheap_searches_treat_their_root_like_any_other_position() {
    let first_play = FirstPlay::Reduction(0.2);
    let growth = Some(Growth { by: 0.3, base: 500.0 });
    let plain = Puct { first_play, first_play_at_root: first_play, growth, ..Puct::PLAIN };
    let exploring = Puct { first_play_at_root: FirstPlay::Absolute(0.5), policy_temperature: 1.25, ..plain };
    let full = SearchParams { root: Root::Puct(exploring), ..settings().search };
    let rows = RowSettings { cheap: Simulations::PerMove(CHEAP), ..RowSettings::default() };
    assert_eq!(rows.params(PlyKind::Full, full), full);
    let simulations = Simulations::PerMove(CHEAP);
    let cheap = SearchParams { simulations, noise: None, root: Root::Puct(plain), ..full };
    assert_eq!(rows.params(PlyKind::Cheap, full), cheap);
}

#[test]
fn cheap_searches_have_no_noise() {
    // Without noise, and with the same fresh trees, cheap searches are those of a game that has no noise at all.
    let quiet = SearchParams { simulations: Simulations::PerMove(CHEAP), noise: None, ..sequential() };
    let all_cheap = PlaySettings { tree_reuse: false, ..some_full(f32::MIN_POSITIVE) };
    let without = PlaySettings { search: quiet, tree_reuse: false, ..settings() };
    for (cheap, quiet) in games(&all_cheap, 2).iter().zip(games(&without, 2)) {
        assert_eq!((cheap.action, &cheap.targets), (quiet.action, &quiet.targets));
        assert_eq!((cheap.notes.kind, cheap.notes.noise), (PlyKind::Cheap, false));
    }
}

#[test]
fn a_game_with_cheap_plies_goes_on_from_any_ply_as_if_it_had_never_stopped() {
    let root = Root::Gumbel(Gumbel { actions: 4, ..Gumbel::default() });
    let gumbel = SearchParams { root, ..sequential() };
    for settings in
        [PlaySettings { tree_reuse: false, ..some_full(0.5) }, PlaySettings { search: gumbel, ..some_full(0.5) }]
    {
        let settings = PlaySettings { rows: RowSettings { surprise: 0.5, ..settings.rows }, ..settings };
        let (rules, settings) = (quoridor(), Arc::new(settings));
        let whole = play(&rules, &settings, 1);
        let kinds: std::collections::HashSet<_> = whole.plies.iter().map(|ply| ply.notes.kind as u8).collect();
        assert_eq!(kinds.len(), 2);
        // What a journal keeps has the weights of before the game's end.
        let early = play(
            &rules,
            &PlaySettings { rows: RowSettings { surprise: 0.0, ..settings.rows }, ..(*settings).clone() },
            1,
        );
        for played in 0..=whole.plies.len() {
            let plies = early.plies[..played].to_vec();
            let game = SelfPlayGame::resume(rules, settings.clone(), 1, 3, plies, Some(10));
            assert_eq!(text(&finish(&rules, game, 1).plies), text(&whole.plies), "resumed after {played} plies");
        }
    }
}

#[test]
fn weights_by_surprise_are_dealt_out_at_the_end() {
    let settings = some_full(0.5);
    let rows = RowSettings { surprise: 0.5, ..settings.rows };
    let (even, uneven) = (play(&quoridor(), &settings, 2), play(&quoridor(), &PlaySettings { rows, ..settings }, 2));
    assert_eq!(actions(&even), actions(&uneven));
    let sum = |record: &GameRecord<Quoridor>| record.plies.iter().map(|ply| ply.notes.weight).sum::<f32>();
    assert!((sum(&even) - sum(&uneven)).abs() < 1e-3);
    assert!(uneven.rows().any(|ply| ply.notes.weight > 1.1));
    assert!(uneven.plies.iter().zip(&even.plies).all(|(uneven, even)| uneven.is_row() == even.is_row()));
}
