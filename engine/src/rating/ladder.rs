//! Ratings of many players, of whom each has met some of the others.
//!
//! The model is Bradley and Terry's with draws as half a win each: the expected score is a function of the difference of two
//! ratings. The ratings are those that make all results together likeliest.

use thiserror::Error;

use super::{Z, tally::Pairs};

/// Elo of one unit of the natural logarithm of odds.
const ELO: f64 = 400.0 / std::f64::consts::LN_10;

/// Drawn games that every two players who met are given beside their own, so that who only won is not infinitely strong.
const VIRTUAL_DRAWS: f64 = 1.0;

/// The pairs that two players have played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encounter {
    /// Their numbers, which must differ.
    pub players: [usize; 2],
    /// The results, from the view of the first.
    pub pairs: Pairs,
}

/// A player's strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rating {
    /// Elo above the anchor.
    pub elo: f64,
    /// Half of the 95% interval of that difference; 0 for the anchor.
    pub margin: f64,
}

/// Players cannot be rated together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LadderError {
    /// No chain of encounters leads from the anchor to a player.
    #[error("rate players {players:?}: neither they nor whom they met have met player {anchor}, by whom all are rated")]
    Apart {
        /// Whom no chain of encounters joins to the anchor.
        players: Vec<usize>,
        /// The anchor.
        anchor: usize,
    },
    /// An encounter or the anchor names a player that is not there, or a player has met itself.
    #[error("rate {count} players: there is no encounter of {players:?} among them")]
    Players {
        /// Number of players.
        count: usize,
        /// Who was named.
        players: [usize; 2],
    },
}

/// The ratings of `count` players, of whom `anchor` has 0.
///
/// Intervals come from the spread of results among pairs, not from a model of draws. As for [`Pairs`] alone they leave room for
/// results of which none was seen.
///
/// # Errors
/// When the encounters do not join all players, or name others.
pub fn ratings(count: usize, encounters: &[Encounter], anchor: usize) -> Result<Vec<Rating>, LadderError> {
    let unfit = |&&Encounter { players: [one, other], .. }: &&Encounter| one == other || one.max(other) >= count;
    if let Some(encounter) = encounters.iter().find(unfit) {
        return Err(LadderError::Players { count, players: encounter.players });
    }
    if anchor >= count {
        return Err(LadderError::Players { count, players: [anchor; 2] });
    }
    let met: Vec<Met> = encounters.iter().filter_map(Met::of).collect();
    let apart = apart(count, &met, anchor);
    if !apart.is_empty() {
        return Err(LadderError::Apart { players: apart, anchor });
    }
    let strengths = likeliest(count, &met, anchor);
    let curvature = Matrix::sum(count, anchor, met.iter().map(|met| (met.players, met.curvature(&strengths))));
    let spread = Matrix::sum(count, anchor, met.iter().map(|met| (met.players, met.variance)));
    // The variance of an estimate whose equations have this spread and this slope ("sandwich").
    let inverse = curvature.inverse();
    let rating = |player: usize| {
        let weights = &inverse.rows[player];
        let variance: f64 = spread.times(weights).iter().zip(weights).map(|(one, other)| one * other).sum();
        let margin = if player == anchor { 0.0 } else { Z * ELO * variance.max(0.0).sqrt() };
        Rating { elo: ELO * strengths[player], margin }
    };
    Ok((0..count).map(rating).collect())
}

/// An encounter with at least one pair, as the likelihood needs it.
struct Met {
    players: [usize; 2],
    /// Games and points of the first player, virtual draws included.
    games: f64,
    points: f64,
    /// Variance of the points.
    variance: f64,
}

impl Met {
    fn of(encounter: &Encounter) -> Option<Self> {
        let Encounter { players, pairs } = encounter;
        let mean = pairs.score()?;
        let total = pairs.total() as f64;
        let error = pairs.standard_error(mean).max(0.5 * pairs.unseen_share() / Z);
        Some(Self {
            players: *players,
            games: 2.0 * total + VIRTUAL_DRAWS,
            points: 2.0 * total * mean + VIRTUAL_DRAWS / 2.0,
            variance: (2.0 * total * error).powi(2),
        })
    }

    /// The score that the first player can expect.
    fn expected(&self, strengths: &[f64]) -> f64 {
        let [one, other] = self.players.map(|player| strengths[player]);
        1.0 / (1.0 + (other - one).exp())
    }

    /// How fast the expected points change with the first player's strength.
    fn curvature(&self, strengths: &[f64]) -> f64 {
        let expected = self.expected(strengths);
        self.games * expected * (1.0 - expected)
    }

    fn log_likelihood(&self, strengths: &[f64]) -> f64 {
        let [one, other] = self.players.map(|player| strengths[player]);
        let ln_score = |difference: f64| -(-difference).exp().ln_1p();
        self.points * ln_score(one - other) + (self.games - self.points) * ln_score(other - one)
    }
}

/// Players that no chain of encounters joins to the anchor.
fn apart(count: usize, met: &[Met], anchor: usize) -> Vec<usize> {
    let mut joined = vec![false; count];
    joined[anchor] = true;
    loop {
        let new = met.iter().map(|met| met.players).find(|&[one, other]| joined[one] != joined[other]);
        let Some(players) = new else { break };
        players.into_iter().for_each(|player| joined[player] = true);
    }
    (0..count).filter(|&player| !joined[player]).collect()
}

/// The likeliest strengths, in units of the logarithm of odds, by Newton's method. The likelihood has one maximum.
fn likeliest(count: usize, met: &[Met], anchor: usize) -> Vec<f64> {
    let log_likelihood = |strengths: &[f64]| met.iter().map(|met| met.log_likelihood(strengths)).sum::<f64>();
    let mut strengths = vec![0.0; count];
    let mut reached = log_likelihood(&strengths);
    for _ in 0..200 {
        let mut slope = vec![0.0; count];
        for met in met {
            let missing = met.points - met.games * met.expected(&strengths);
            slope[met.players[0]] += missing;
            slope[met.players[1]] -= missing;
        }
        slope[anchor] = 0.0;
        let curvature = Matrix::sum(count, anchor, met.iter().map(|met| (met.players, met.curvature(&strengths))));
        let step = curvature.inverse().times(&slope);
        // Far from the maximum a whole step can lead beyond it.
        let mut part = 1.0;
        let (next, likelihood) = loop {
            let next: Vec<f64> = strengths.iter().zip(&step).map(|(strength, step)| strength + part * step).collect();
            let likelihood = log_likelihood(&next);
            if likelihood >= reached || part < 1e-6 {
                break (next, likelihood);
            }
            part /= 2.0;
        };
        let moved = step.iter().fold(0.0_f64, |most, step| most.max(step.abs()));
        (strengths, reached) = (next, likelihood);
        if moved < 1e-9 {
            break;
        }
    }
    strengths
}

/// A symmetric matrix over players, which leaves the anchor where it is.
struct Matrix {
    rows: Vec<Vec<f64>>,
}

impl Matrix {
    /// The sum of `weight` × d dᵀ over encounters, where d is 1 for the first player and −1 for the second.
    fn sum(count: usize, anchor: usize, terms: impl Iterator<Item = ([usize; 2], f64)>) -> Self {
        let mut rows = vec![vec![0.0; count]; count];
        for ([one, other], weight) in terms {
            rows[one][one] += weight;
            rows[other][other] += weight;
            rows[one][other] -= weight;
            rows[other][one] -= weight;
        }
        rows.iter_mut().for_each(|row| row[anchor] = 0.0);
        rows[anchor].fill(0.0);
        rows[anchor][anchor] = 1.0;
        Self { rows }
    }

    fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.rows.iter().map(|row| row.iter().zip(vector).map(|(entry, factor)| entry * factor).sum()).collect()
    }

    /// By Gauss's elimination with Jordan's.
    fn inverse(mut self) -> Self {
        let count = self.rows.len();
        for (row, entries) in self.rows.iter_mut().enumerate() {
            entries.extend((0..count).map(|column| if row == column { 1.0 } else { 0.0 }));
        }
        // Positive definite where all players are joined: every pivot stands on the diagonal.
        for pivot in 0..count {
            let value = self.rows[pivot][pivot];
            self.rows[pivot].iter_mut().for_each(|entry| *entry /= value);
            let its = self.rows[pivot].clone();
            for (_, row) in self.rows.iter_mut().enumerate().filter(|&(row, _)| row != pivot) {
                let factor = row[pivot];
                row.iter_mut().zip(&its).for_each(|(entry, its)| *entry -= factor * its);
            }
        }
        Self { rows: self.rows.into_iter().map(|mut row| row.split_off(count)).collect() }
    }
}

#[cfg(test)]
mod tests;
