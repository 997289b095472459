//! What judging came to, in numbers.

use selfplay_engine::{rating::share_interval, search::SearchParams, solve::Class};
use serde::Serialize;

use super::{positions::Solved, search::Found};

/// Bins of the table of calibration.
const BINS: usize = 10;

/// Everything, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub game: String,
    pub model: String,
    pub device: String,
    pub positions: Positions,
    pub settings: SearchSettings,
    pub policy: Mistakes,
    pub search: Vec<Judgement>,
    pub value: Value,
}

/// What was judged by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Positions {
    pub source: String,
    pub count: usize,
    /// For the mover.
    pub won: usize,
    pub drawn: usize,
    pub lost: usize,
    /// Those in which some moves are worse than others.
    pub with_a_choice: usize,
}

/// What a search depends on beside its simulations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct SearchSettings {
    pub root: String,
    pub c_puct: f32,
    pub leaf_parallelism: u32,
    pub in_flight: String,
    pub solver: bool,
    pub symmetry: bool,
}

/// Mistakes of searches of one length.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Judgement {
    pub simulations: u32,
    #[serde(flatten)]
    pub mistakes: Mistakes,
}

/// Moves after which the position is worth less than before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Mistakes {
    pub mistakes: u64,
    /// Positions in which a mistake was possible.
    pub of: u64,
    pub rate: f64,
    /// 95% interval of the rate.
    pub interval: [f64; 2],
    pub win_to_draw: u64,
    pub win_to_loss: u64,
    pub draw_to_loss: u64,
    pub value_signs: Signs,
}

/// How often a value has the wrong sign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Signs {
    pub wrong: u64,
    /// Positions that are won or lost.
    pub of: u64,
    pub rate: f64,
}

/// How near the network's value is to the truth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Value {
    pub mean_squared_error: f64,
    /// Mean distance between what is said and what is true on average where that is said, weighted by positions.
    pub calibration_error: f64,
    pub bins: Vec<Bin>,
}

/// Positions whose values lie in one tenth of the range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Bin {
    pub from: f64,
    pub to: f64,
    pub positions: u64,
    /// Means of the network's values and of the true ones; 0 where there is no position.
    pub said: f64,
    pub is: f64,
}

impl Positions {
    pub(super) fn of(positions: &[Solved], source: String) -> Self {
        let worth = |class| positions.iter().filter(|position| position.class() == class).count();
        Self {
            source,
            count: positions.len(),
            won: worth(Class::Win),
            drawn: worth(Class::Draw),
            lost: worth(Class::Loss),
            with_a_choice: positions.iter().filter(|position| position.has_a_choice()).count(),
        }
    }
}

impl SearchSettings {
    pub(super) fn of(params: &SearchParams, symmetry: bool) -> Self {
        Self {
            root: params.root.to_string(),
            c_puct: params.c_puct,
            leaf_parallelism: params.leaf_parallelism,
            in_flight: params.in_flight.to_string(),
            solver: params.solver,
            symmetry,
        }
    }
}

fn share(count: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

impl Mistakes {
    pub(super) fn of(positions: &[Solved], found: &[Found]) -> Self {
        let both = || positions.iter().zip(found);
        let fell = |from, to| {
            let fallen = both()
                .filter(|(position, found)| position.class() == from && position.class_of(found.action) == Some(to));
            fallen.count() as u64
        };
        let win_to_draw = fell(Class::Win, Class::Draw);
        let win_to_loss = fell(Class::Win, Class::Loss);
        let draw_to_loss = fell(Class::Draw, Class::Loss);
        let mistakes = win_to_draw + win_to_loss + draw_to_loss;
        let possible = positions.iter().filter(|position| position.has_a_choice()).count() as u64;
        Self {
            mistakes,
            of: possible,
            rate: share(mistakes, possible),
            interval: share_interval(mistakes, possible),
            win_to_draw,
            win_to_loss,
            draw_to_loss,
            value_signs: Signs::of(positions, found),
        }
    }
}

impl Signs {
    /// A value of 0 has the wrong sign wherever there is one.
    fn of(positions: &[Solved], found: &[Found]) -> Self {
        let decided = positions.iter().zip(found).filter(|(position, _)| position.class() != Class::Draw);
        let right = decided.clone().filter(|(position, found)| found.value * f32::from(position.class().value()) > 0.0);
        let of = decided.count() as u64;
        let wrong = of - right.count() as u64;
        Self { wrong, of, rate: share(wrong, of) }
    }
}

impl Value {
    pub(super) fn of(positions: &[Solved], found: &[Found]) -> Self {
        let pairs: Vec<(f64, f64)> = positions
            .iter()
            .zip(found)
            .map(|(position, found)| (f64::from(found.value), f64::from(position.class().value())))
            .collect();
        let mean = |sum: f64, count: usize| if count == 0 { 0.0 } else { sum / count as f64 };
        let bin = |number: usize| {
            let inside: Vec<_> = pairs.iter().filter(|(said, _)| bin_of(*said) == number).collect();
            let edge = |number: usize| -1.0 + 2.0 * number as f64 / BINS as f64;
            Bin {
                from: edge(number),
                to: edge(number + 1),
                positions: inside.len() as u64,
                said: mean(inside.iter().map(|(said, _)| said).sum(), inside.len()),
                is: mean(inside.iter().map(|(_, is)| is).sum(), inside.len()),
            }
        };
        let bins: Vec<_> = (0..BINS).map(bin).collect();
        let gaps = bins.iter().map(|bin| bin.positions as f64 * (bin.said - bin.is).abs()).sum();
        Self {
            mean_squared_error: mean(pairs.iter().map(|(said, is)| (said - is).powi(2)).sum(), pairs.len()),
            calibration_error: mean(gaps, pairs.len()),
            bins,
        }
    }
}

/// The bin of a value; the last one has both its ends.
fn bin_of(value: f64) -> usize {
    (((value + 1.0) / 2.0 * BINS as f64) as usize).min(BINS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solved(classes: [i32; 3]) -> Solved {
        Solved { moves: Vec::new(), classes: (0..).zip(classes.map(Class::of_sign)).collect() }
    }

    fn found(action: u16, value: f32) -> Found {
        Found { action, value }
    }

    #[test]
    fn only_moves_that_lose_worth_are_mistakes() {
        let positions =
            [solved([1, 0, -1]), solved([1, 0, -1]), solved([0, -1, -1]), solved([-1, -1, -1]), solved([1, 1, 0])];
        let play = |actions: [u16; 5]| {
            let found: Vec<_> = actions.into_iter().map(|action| found(action, 0.0)).collect();
            let Mistakes { mistakes, of, win_to_draw, win_to_loss, draw_to_loss, .. } =
                Mistakes::of(&positions, &found);
            (mistakes, of, [win_to_draw, win_to_loss, draw_to_loss])
        };
        assert_eq!(play([0, 0, 0, 0, 0]), (0, 4, [0, 0, 0]));
        assert_eq!(play([1, 2, 1, 2, 1]), (3, 4, [1, 1, 1]));
        assert_eq!(play([2, 2, 2, 1, 2]), (4, 4, [1, 2, 1]));
        let counted = Positions::of(&positions, "here".to_owned());
        assert_eq!((counted.won, counted.drawn, counted.lost, counted.with_a_choice), (3, 1, 1, 4));
    }

    #[test]
    fn values_are_compared_with_the_truth() {
        let positions = [solved([1, 0, -1]), solved([-1, -1, -1]), solved([0, 0, -1]), solved([1, 1, 1])];
        let found = [found(0, 0.9), found(0, 0.3), found(0, 0.3), found(0, 1.0)];
        let signs = Mistakes::of(&positions, &found).value_signs;
        assert_eq!((signs.wrong, signs.of), (1, 3), "a draw has no sign");
        let Value { mean_squared_error, calibration_error, bins } = Value::of(&positions, &found);
        assert!((mean_squared_error - (0.01 + 1.69 + 0.09) / 4.0).abs() < 1e-6);
        let filled: Vec<_> =
            bins.iter().enumerate().filter(|(_, bin)| bin.positions > 0).map(|(place, _)| place).collect();
        assert_eq!((bins.len(), filled), (10, vec![6, 9]));
        assert!((bins[6].said - 0.3).abs() < 1e-6 && bins[6].is == -0.5 && bins[9].is == 1.0, "{bins:?}");
        assert!((calibration_error - (2.0 * 0.8 + 2.0 * 0.05) / 4.0).abs() < 1e-6, "{calibration_error}");
        let of_zero = Mistakes::of(&positions, &[super::Found { action: 0, value: 0.0 }; 4]).value_signs;
        assert_eq!((of_zero.wrong, of_zero.of), (3, 3));
    }

    #[test]
    fn every_value_has_a_bin() {
        assert_eq!([-1.0, -0.81, -0.79, -0.01, 0.0, 0.99, 1.0].map(bin_of), [0, 0, 1, 4, 5, 9, 9]);
    }
}
