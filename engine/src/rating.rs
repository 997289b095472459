//! What results of matches say of strength: Elo with its interval, when a match may stop, ratings of many players.
//!
//! Games are played in pairs of one opening with colours exchanged, and a pair is one observation: what the opening gave to one
//! side it gives back in the second game. All numbers are from the view of the first of two players.
//!
//! - [`tally`]: results counted, the score, Elo and its 95% interval, the likelihood of superiority
//! - [`sprt`]: a sequential test, which stops as soon as one of two strengths is unlikely
//! - [`ladder`]: ratings of players of whom not each has met each

pub mod ladder;
pub mod sprt;
pub mod tally;

pub use self::{
    ladder::{Encounter, LadderError, Rating, ratings},
    sprt::{EloScale, Sprt, SprtError, Verdict},
    tally::{Elo, Games, Pairs, Tally},
};

/// Standard deviations within which 95% of a normal distribution lie.
const Z: f64 = 1.959_963_984_540_054;

/// Elo of an expected score between 0 and 1: 400 more Elo are ten times the odds.
fn elo_of(score: f64) -> f64 {
    -400.0 * (1.0 / score - 1.0).log10()
}

/// The expected score of this much more Elo.
fn score_of(elo: f64) -> f64 {
    1.0 / (1.0 + 10_f64.powf(-elo / 400.0))
}

/// The 95% interval of a probability, of which `count` in `of` trials were seen: Wilson's, which stays between 0 and 1. Without a
/// trial it is all of that.
#[must_use]
pub fn share_interval(count: u64, of: u64) -> [f64; 2] {
    if of == 0 {
        return [0.0, 1.0];
    }
    let (share, trials) = (count as f64 / of as f64, of as f64);
    let weight = Z * Z / trials;
    let middle = share + weight / 2.0;
    let spread = Z * (share * (1.0 - share) / trials + weight / (4.0 * trials)).sqrt();
    [-spread, spread].map(|spread| ((middle + spread) / (1.0 + weight)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_wilsons_interval() {
        for (count, of, interval) in
            [(15, 50, [0.191, 0.438]), (0, 20, [0.0, 0.161]), (20, 20, [0.839, 1.0]), (0, 0, [0.0, 1.0])]
        {
            let found = share_interval(count, of);
            assert!(found.iter().zip(interval).all(|(a, b)| (a - b).abs() < 5e-4), "{count} of {of}: {found:?}");
        }
    }
}
