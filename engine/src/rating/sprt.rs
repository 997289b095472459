//! The sequential probability ratio test: two strengths are compared after every pair, until the results speak for one of them.
//!
//! The generalised form (GSPRT), in which the distribution of results is not assumed but estimated, once under each hypothesis
//! (Van den Bergh, "A practical introduction to the GSPRT"); as in fastchess and fishtest.

use thiserror::Error;

use super::{score_of, tally::Tally};

/// In which measure of strength the two hypotheses are stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EloScale {
    /// The usual one: what counts is the expected score.
    #[default]
    Logistic,
    /// Normalised: what counts is how far the expected score lies from one half, in standard deviations of a game. It says how
    /// many games are needed, whatever the share of draws.
    Normalised,
}

/// A test between two differences in strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sprt {
    elo0: f64,
    elo1: f64,
    alpha: f64,
    beta: f64,
    scale: EloScale,
}

/// A test that makes no sense.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub enum SprtError {
    /// Nothing lies between the hypotheses.
    #[error("set up a test between {elo0} and {elo1} Elo: the first must be below the second")]
    Order {
        /// The lower hypothesis, as given.
        elo0: f64,
        /// The upper one.
        elo1: f64,
    },
    /// Of errors that are no probabilities, or too large for both bounds to have their sign.
    #[error("set up a test with errors of {alpha} and {beta}: both must be above 0 and below 0.5")]
    Errors {
        /// Probability to find the upper hypothesis where the lower is true.
        alpha: f64,
        /// The other way round.
        beta: f64,
    },
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More games are needed.
    Open,
    /// The difference is `elo1` rather than `elo0`.
    Accepted,
    /// The difference is `elo0` rather than `elo1`.
    Rejected,
}

impl Sprt {
    /// A test of `elo1` against `elo0`, with errors of 5% both ways.
    ///
    /// # Errors
    /// When `elo0` is not below `elo1`.
    pub fn new(elo0: f64, elo1: f64, scale: EloScale) -> Result<Self, SprtError> {
        if elo0 < elo1 && (elo1 - elo0).is_finite() {
            Ok(Self { elo0, elo1, alpha: 0.05, beta: 0.05, scale })
        } else {
            Err(SprtError::Order { elo0, elo1 })
        }
    }

    /// The same with other errors: `alpha` to accept `elo1` where `elo0` is true, `beta` to reject it where it is true.
    ///
    /// # Errors
    /// When one is not above 0 and below ½.
    pub fn with_errors(self, alpha: f64, beta: f64) -> Result<Self, SprtError> {
        let sound = |error: f64| error > 0.0 && error < 0.5;
        if sound(alpha) && sound(beta) {
            Ok(Self { alpha, beta, ..self })
        } else {
            Err(SprtError::Errors { alpha, beta })
        }
    }

    /// The log-likelihood ratios at which the test ends: rejected at the first, accepted at the second.
    #[must_use]
    pub fn bounds(&self) -> [f64; 2] {
        [(self.beta / (1.0 - self.alpha)).ln(), ((1.0 - self.beta) / self.alpha).ln()]
    }

    /// The log-likelihood ratio of `elo1` to `elo0`; 0 before the first result. `tally`: pairs, or games that were not paired.
    #[must_use]
    pub fn llr<const K: usize>(&self, tally: &Tally<K>) -> f64 {
        // What was never seen counts a little, or it would be impossible for ever.
        const UNSEEN: f64 = 1e-3;
        if tally.total() == 0 {
            return 0.0;
        }
        let counts = tally.0.map(|count| if count == 0 { UNSEEN } else { count as f64 });
        let total: f64 = counts.iter().sum();
        let seen = counts.map(|count| count / total);
        let [zero, one] = [self.elo0, self.elo1].map(|elo| match self.scale {
            EloScale::Logistic => with_mean(&seen, score_of(elo)),
            EloScale::Normalised => with_normalised(&seen, elo),
        });
        let ratios = seen.iter().zip(zero.iter().zip(one)).map(|(seen, (zero, one))| seen * (one / zero).ln());
        total * ratios.sum::<f64>()
    }

    /// What the results so far allow to say.
    #[must_use]
    pub fn verdict<const K: usize>(&self, tally: &Tally<K>) -> Verdict {
        let [lower, upper] = self.bounds();
        match self.llr(tally) {
            llr if llr >= upper => Verdict::Accepted,
            llr if llr <= lower => Verdict::Rejected,
            _ => Verdict::Open,
        }
    }
}

/// The distribution that makes the observed one likeliest among those under which `offsets` have the mean 0. Of these some are
/// above 0 and some below.
///
/// It is p / (1 + θ offset) for the θ that gives this mean, which is the root of a function that falls all the way.
fn likeliest<const K: usize>(seen: &[f64; K], offsets: &[f64; K]) -> [f64; K] {
    let (least, most) =
        offsets.iter().fold((0.0_f64, 0.0_f64), |(least, most), &offset| (least.min(offset), most.max(offset)));
    let (mut low, mut high) = (-1.0 / most, -1.0 / least);
    let mean =
        |theta: f64| seen.iter().zip(offsets).map(|(p, offset)| p * offset / (1.0 + theta * offset)).sum::<f64>();
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if mean(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let theta = f64::midpoint(low, high);
    std::array::from_fn(|score| seen[score] / (1.0 + theta * offsets[score]))
}

/// The likeliest distribution with this mean score.
fn with_mean<const K: usize>(seen: &[f64; K], mean: f64) -> [f64; K] {
    likeliest(seen, &Tally::<K>::scores().map(|score| score - mean))
}

/// The likeliest distribution whose mean lies this many normalised Elo from one half, found by repeated linearisation.
fn with_normalised<const K: usize>(seen: &[f64; K], elo: f64) -> [f64; K] {
    // Normalised Elo are stated for games; the mean of a pair varies less than that of a game.
    let games: f64 = if K == 5 { 2.0 } else { 1.0 };
    let deviations = elo / (800.0 / std::f64::consts::LN_10) * games.sqrt();
    let scores = Tally::<K>::scores();
    let mut found = [1.0 / K as f64; K];
    for _ in 0..50 {
        let expect = |of: &dyn Fn(f64) -> f64| found.iter().zip(scores).map(|(p, score)| p * of(score)).sum::<f64>();
        let mean = expect(&|score| score);
        let sigma = expect(&|score| (score - mean).powi(2)).sqrt();
        let offset = |score: f64| score - 0.5 - 0.5 * deviations * sigma * (1.0 + ((mean - score) / sigma).powi(2));
        let next = likeliest(seen, &scores.map(offset));
        let moved = found.iter().zip(next).map(|(before, after)| (before - after).abs()).fold(0.0, f64::max);
        found = next;
        if moved < 1e-12 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Recorded {
        counts_low_to_high: Vec<u64>,
        elo0: f64,
        elo1: f64,
        llr_logistic: f64,
        llr_normalized: f64,
    }

    #[derive(Deserialize)]
    struct File {
        #[serde(rename = "bounds_alpha_beta_0.05")]
        bounds: [f64; 2],
        llr: Vec<Recorded>,
    }

    fn llr(counts: &[u64], elo0: f64, elo1: f64, scale: EloScale) -> f64 {
        let sprt = Sprt::new(elo0, elo1, scale).unwrap();
        match *counts {
            [l, d, w] => sprt.llr(&Tally([l, d, w])),
            [a, b, c, d, e] => sprt.llr(&Tally([a, b, c, d, e])),
            _ => panic!("neither games nor pairs"),
        }
    }

    #[test]
    fn recorded_ratios_and_bounds_are_reached() {
        let file: File = serde_json::from_str(include_str!("../../../tests/data/match_vectors.json")).unwrap();
        let bounds = Sprt::new(0.0, 10.0, EloScale::Logistic).unwrap().bounds();
        assert!(bounds.iter().zip(file.bounds).all(|(found, recorded)| (found - recorded).abs() < 1e-12));
        assert_eq!(file.llr.len(), 7);
        for Recorded { counts_low_to_high: counts, elo0, elo1, llr_logistic, llr_normalized } in file.llr {
            for (scale, recorded) in [(EloScale::Logistic, llr_logistic), (EloScale::Normalised, llr_normalized)] {
                let found = llr(&counts, elo0, elo1, scale);
                assert!((found - recorded).abs() < 6e-5, "{counts:?} {scale:?}: {found}, recorded {recorded}");
            }
        }
        // Two of fastchess's own.
        let found = llr(&[365, 16_618, 36_229, 16_974, 390], 0.0, 2.0, EloScale::Normalised);
        assert!((found - 2.2504).abs() < 6e-5, "{found}");
        let found = llr(&[36_027, 68_692, 36_433], 0.0, 2.0, EloScale::Normalised);
        assert!((found - 0.9233).abs() < 6e-5, "{found}");
    }

    #[test]
    fn a_test_ends_when_results_speak_clearly_and_not_before() {
        for scale in [EloScale::Logistic, EloScale::Normalised] {
            let sprt = Sprt::new(0.0, 50.0, scale).unwrap();
            assert_eq!(sprt.verdict(&Tally([0; 5])), Verdict::Open);
            assert_eq!(sprt.verdict(&Tally([0, 0, 0, 0, 4])), Verdict::Open);
            assert_eq!(sprt.verdict(&Tally([5, 20, 50, 40, 25])), Verdict::Accepted);
            assert_eq!(sprt.verdict(&Tally([25, 40, 50, 20, 5])), Verdict::Rejected);
        }
        // A player against itself: every pair is even.
        let sprt = Sprt::new(0.0, 20.0, EloScale::Logistic).unwrap();
        assert_eq!(sprt.verdict(&Tally([0, 0, 500, 0, 0])), Verdict::Rejected);
    }

    #[test]
    fn results_seen_from_the_other_side_have_the_opposite_ratio() {
        let counts = [3, 9, 20, 14, 6];
        let reversed = [6, 14, 20, 9, 3];
        for scale in [EloScale::Logistic, EloScale::Normalised] {
            let (one, other) = (llr(&counts, -5.0, 15.0, scale), llr(&reversed, -15.0, 5.0, scale));
            assert!((one + other).abs() < 1e-9, "{scale:?}: {one} {other}");
        }
    }

    #[test]
    fn senseless_tests_are_refused() {
        let error = |elo0, elo1| Sprt::new(elo0, elo1, EloScale::Logistic).unwrap_err().to_string();
        assert_eq!(error(10.0, 10.0), "set up a test between 10 and 10 Elo: the first must be below the second");
        assert!(
            Sprt::new(f64::NAN, 1.0, EloScale::Logistic).is_err()
                && Sprt::new(0.0, f64::INFINITY, EloScale::Logistic).is_err()
        );
        let sprt = Sprt::new(0.0, 10.0, EloScale::Logistic).unwrap();
        assert!(sprt.with_errors(0.01, 0.1).is_ok());
        assert_eq!(
            sprt.with_errors(0.05, 0.5).unwrap_err().to_string(),
            "set up a test with errors of 0.05 and 0.5: both must be above 0 and below 0.5"
        );
    }
}
