//! The random choice of the action to play.

use rand::{Rng, RngExt};

use crate::game::Action;

/// Chooses an action from visit counts: with probability proportional to visits^(1/temperature), or for temperature 0 evenly
/// among the most visited (Silver et al. 2017, Methods, "Play").
///
/// `None` when nothing was visited.
pub(crate) fn choose_action(visits: &[(Action, u32)], temperature: f32, rng: &mut impl Rng) -> Option<Action> {
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
    use crate::selfplay::{Purpose, ply_rng};

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
}
