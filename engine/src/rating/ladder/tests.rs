use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{
    rating::{score_of, tally::Tally},
    solve::Class,
};

fn encounter(players: [usize; 2], pairs: [u64; 5]) -> Encounter {
    Encounter { players, pairs: Tally(pairs) }
}

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[test]
fn two_players_are_rated_as_by_their_match() {
    let pairs = [100, 400, 1000, 550, 150];
    let elo = Tally(pairs).elo().unwrap();
    let [first, second] = ratings(2, &[encounter([0, 1], pairs)], 0).unwrap().try_into().unwrap();
    assert_eq!(first, Rating { elo: 0.0, margin: 0.0 });
    near(second.elo, -elo.value, 0.05);
    near(second.margin, elo.margin(), 0.05);
    let [first, second] = ratings(2, &[encounter([0, 1], pairs)], 1).unwrap().try_into().unwrap();
    near(first.elo, elo.value, 0.05);
    assert_eq!(second, Rating { elo: 0.0, margin: 0.0 });
}

#[test]
fn strengths_add_up_along_a_chain_and_intervals_grow() {
    let even = [10, 40, 100, 40, 10];
    let better = [10, 40, 100, 55, 15];
    let chain = [encounter([1, 0], better), encounter([2, 1], better), encounter([3, 2], even)];
    let found = ratings(4, &chain, 0).unwrap();
    near(found[2].elo, 2.0 * found[1].elo, 1e-6);
    near(found[3].elo, found[2].elo, 1e-6);
    near(found[2].margin, found[1].margin * 2_f64.sqrt(), 1e-6);
    assert!(found[3].margin > found[2].margin);
    // One match in two parts, one of them seen from the other side.
    let parts = [encounter([1, 0], [4, 16, 40, 22, 6]), encounter([0, 1], [9, 33, 60, 24, 6])];
    near(ratings(2, &parts, 0).unwrap()[1].elo, found[1].elo, 0.2);
}

#[test]
fn who_always_wins_has_a_finite_rating_and_a_wide_interval() {
    let found = ratings(3, &[encounter([1, 0], [0, 0, 0, 0, 50]), encounter([2, 1], [0, 0, 0, 0, 50])], 0).unwrap();
    assert!(found[1].elo > 600.0 && found[2].elo > 1200.0 && found[2].elo < 3000.0, "{found:?}");
    assert!(found[1].margin > 200.0, "{found:?}");
    let none = ratings(2, &[encounter([1, 0], [0, 0, 20, 0, 0])], 0).unwrap();
    assert!(none[1].elo.abs() < 1e-9 && none[1].margin > 10.0, "{none:?}");
}

#[test]
fn players_that_never_met_are_named() {
    let error = |count, encounters: &[Encounter], anchor| ratings(count, encounters, anchor).unwrap_err();
    let apart = [encounter([0, 1], [1, 0, 0, 0, 1]), encounter([2, 3], [1, 0, 0, 0, 1]), encounter([1, 2], [0; 5])];
    assert_eq!(error(4, &apart, 0), LadderError::Apart { players: vec![2, 3], anchor: 0 });
    assert_eq!(
        error(4, &apart, 0).to_string(),
        "rate players [2, 3]: neither they nor whom they met have met player 0, by whom all are rated"
    );
    assert_eq!(error(2, &apart, 0), LadderError::Players { count: 2, players: [2, 3] });
    assert_eq!(error(2, &[], 2), LadderError::Players { count: 2, players: [2, 2] });
    assert_eq!(ratings(1, &[], 0).unwrap(), [Rating { elo: 0.0, margin: 0.0 }]);
}

/// Players of known strength play at random; the true difference must lie in 95% of the intervals, and pairs whose games depend on
/// each other (one opening) must count as what they are.
#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    const ROUNDS: usize = 400;
    const STRENGTHS: [f64; 4] = [0.0, 40.0, 100.0, 150.0];
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut inside = [0; 4];
    let mut error = [0.0; 4];
    for _ in 0..ROUNDS {
        let mut encounters = Vec::new();
        for (one, other) in [(0, 1), (1, 2), (2, 3), (0, 3)] {
            let mut pairs = Pairs::default();
            for _ in 0..60 {
                // Some openings decide both games for the side that moves first.
                let expected = score_of(STRENGTHS[one] - STRENGTHS[other]);
                let results = if rng.random_bool(0.3) {
                    [Class::Win, Class::Loss]
                } else {
                    [(); 2].map(|()| if rng.random_bool((expected - 0.15) / 0.7) { Class::Win } else { Class::Loss })
                };
                pairs.count(results);
            }
            encounters.push(Encounter { players: [one, other], pairs });
        }
        for (player, rating) in ratings(4, &encounters, 0).unwrap().into_iter().enumerate() {
            inside[player] += usize::from((rating.elo - STRENGTHS[player]).abs() <= rating.margin);
            error[player] += (rating.elo - STRENGTHS[player]) / ROUNDS as f64;
        }
    }
    let share = inside.map(|inside| inside as f64 / ROUNDS as f64);
    assert!(share[1..].iter().all(|share| (0.92..=0.98).contains(share)), "{share:?}");
    assert!(error.iter().all(|error| error.abs() < 8.0), "{error:?}");
}
