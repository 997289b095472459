//! The random choices of a game: its generator and the choice of the action to play.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{evaluation::mix, game::Action};

/// What randomness is used for. Each use has a stream of its own, so that one never shifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Dirichlet noise at the root.
    Noise,
    /// The choice of the action to play.
    Choice,
}

/// The generator for one purpose at one ply of one game.
#[must_use]
pub fn ply_rng(seed: u64, game_index: u64, ply: u32, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(mix(mix(seed) ^ game_index));
    rng.set_stream(u64::from(ply) << 1 | purpose as u64);
    rng
}

/// Chooses an action from visit counts: with probability proportional to visits^(1/temperature), or for temperature 0 evenly
/// among the most visited (Silver et al. 2017, Methods, "Play").
///
/// `None` when nothing was visited.
pub fn choose_action(visits: &[(Action, u32)], temperature: f32, rng: &mut impl Rng) -> Option<Action> {
    let most = visits.iter().map(|&(_, visits)| visits).max().filter(|&most| most > 0)?;
    // Relative to the largest, so that no power overflows.
    let weight = |visits: u32| match temperature {
        0.0 => f64::from(u8::from(visits == most)),
        _ => (f64::from(visits) / f64::from(most)).powf(1.0 / f64::from(temperature)),
    };
    let total: f64 = visits.iter().map(|&(_, visits)| weight(visits)).sum();
    let mut left = rng.random::<f64>() * total;
    let mut chosen = None;
    for &(action, visits) in visits {
        let weight = weight(visits);
        if weight > 0.0 {
            chosen = Some(action);
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(visits: &[(Action, u32)], temperature: f32) -> Vec<f64> {
        let mut rng = ply_rng(7, 0, 0, Purpose::Choice);
        let mut counts = vec![0.0; visits.len()];
        for _ in 0..20_000 {
            let action = choose_action(visits, temperature, &mut rng).unwrap();
            counts[visits.iter().position(|&(other, _)| other == action).unwrap()] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn choices_follow_visits_and_temperature() {
        let visits = [(3, 10), (5, 30), (9, 0), (11, 30)];
        let close = |shares: Vec<f64>, expected: [f64; 4]| {
            assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 0.02), "{shares:?} {expected:?}");
        };
        close(shares(&visits, 1.0), [1.0 / 7.0, 3.0 / 7.0, 0.0, 3.0 / 7.0]);
        close(shares(&visits, 0.5), [1.0 / 19.0, 9.0 / 19.0, 0.0, 9.0 / 19.0]);
        close(shares(&visits, 0.0), [0.0, 0.5, 0.0, 0.5]);
        close(shares(&visits, 0.001), [0.0, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn nothing_visited_chooses_nothing() {
        let mut rng = ply_rng(0, 0, 0, Purpose::Choice);
        assert_eq!(choose_action(&[], 1.0, &mut rng), None);
        assert_eq!(choose_action(&[(1, 0)], 0.0, &mut rng), None);
    }

    #[test]
    fn every_seed_game_ply_and_purpose_has_a_stream_of_its_own() {
        let draw = |seed, game, ply, purpose| ply_rng(seed, game, ply, purpose).random::<u64>();
        let base = draw(1, 2, 3, Purpose::Noise);
        assert_eq!(draw(1, 2, 3, Purpose::Noise), base);
        let others = [
            draw(2, 2, 3, Purpose::Noise),
            draw(1, 3, 3, Purpose::Noise),
            draw(1, 2, 4, Purpose::Noise),
            draw(1, 2, 3, Purpose::Choice),
        ];
        assert!(others.iter().all(|&other| other != base));
    }
}
