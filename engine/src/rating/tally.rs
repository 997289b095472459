//! Results counted, and the strength that they show.

use super::{Z, elo_of};
use crate::solve::Class;

/// How often each score was reached, the lowest first, with equal steps from nothing to all points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally<const K: usize>(pub [u64; K]);

/// Single games: losses, draws, wins.
pub type Games = Tally<3>;

/// Pairs of games: 0, ½, 1, 1½ and 2 points.
pub type Pairs = Tally<5>;

/// A difference in Elo with its 95% interval. Always finite: see [`Tally::elo`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elo {
    /// The most likely difference.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Elo {
    /// Half of the interval's width: the number after ±.
    #[must_use]
    pub fn margin(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

impl<const K: usize> Default for Tally<K> {
    fn default() -> Self {
        Self([0; K])
    }
}

impl Games {
    /// Counts one game.
    pub fn count(&mut self, result: Class) {
        self.0[(result.value() + 1) as usize] += 1;
    }
}

impl Pairs {
    /// Counts both games of a pair.
    pub fn count(&mut self, results: [Class; 2]) {
        let points: i8 = results.iter().map(|result| result.value() + 1).sum();
        self.0[points as usize] += 1;
    }
}

impl<const K: usize> Tally<K> {
    /// Number of observations: games, or pairs of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The scores that can be reached, from 0 to 1.
    pub(super) fn scores() -> [f64; K] {
        std::array::from_fn(|step| step as f64 / (K - 1) as f64)
    }

    /// Mean score, between 0 and 1; `None` before the first result.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        let points: f64 = self.0.iter().zip(Self::scores()).map(|(&count, score)| count as f64 * score).sum();
        (self.total() > 0).then(|| points / self.total() as f64)
    }

    /// Standard error of the mean score, as the spread of the results shows it.
    pub(super) fn standard_error(&self, mean: f64) -> f64 {
        let squares = |(&count, score): (&u64, f64)| count as f64 * (score - mean).powi(2);
        let variance = self.0.iter().zip(Self::scores()).map(squares).sum::<f64>() / self.total() as f64;
        (variance / self.total() as f64).sqrt()
    }

    /// What share of results may be of a kind that was not seen at all: with 95% confidence not more than this. About 3/n, the
    /// rule of three; for small n exactly.
    pub(super) fn unseen_share(&self) -> f64 {
        1.0 - 0.05_f64.powf(1.0 / self.total() as f64)
    }

    /// The difference in Elo that the results show; `None` before the first.
    ///
    /// The interval is that of the mean score, μ ± 1.96 σ/√n, taken over to Elo. It is wide enough, too, for a share of results of
    /// which none was seen (1 − 0.05^(1/n), about 3/n) to be losses, or wins: results that are all alike have no spread, and yet
    /// do not prove that nothing else can happen. No end is infinite: scores count as at least half of the smallest step that
    /// the mean can make away from 0 and 1. So 100 pairs won and none lost read 1161 [607, 1161].
    #[must_use]
    pub fn elo(&self) -> Option<Elo> {
        let mean = self.score()?;
        let spread = Z * self.standard_error(mean);
        let unseen = self.unseen_share();
        let least = 0.5 / ((K - 1) as f64 * self.total() as f64);
        let elo = |score: f64| elo_of(score.clamp(least, 1.0 - least));
        Some(Elo {
            value: elo(mean),
            low: elo(mean - spread.max(unseen * mean)),
            high: elo(mean + spread.max(unseen * (1.0 - mean))),
        })
    }

    /// Likelihood of superiority: how sure the results make it, from 0 to 1, that the first player is the stronger. Never surer
    /// than as many results of one kind can be, 1 − ½^(n + 1). `None` before the first result.
    #[must_use]
    pub fn superiority(&self) -> Option<f64> {
        let mean = self.score()?;
        let deviations = (mean - 0.5) / self.standard_error(mean);
        let least = 0.5_f64.powf(self.total() as f64 + 1.0);
        Some(if mean == 0.5 { 0.5 } else { normal_below(deviations).clamp(least, 1.0 - least) })
    }
}

/// The share of a normal distribution below `x` standard deviations (Marsaglia 2004, "Evaluating the normal distribution").
fn normal_below(x: f64) -> f64 {
    if x.abs() > 8.0 {
        return if x > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut sum, mut term, mut odd) = (x, x, 1.0);
    loop {
        odd += 2.0;
        term *= x * x / odd;
        let next = sum + term;
        if next == sum {
            return 0.5 + sum * (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        }
        sum = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    fn check<const K: usize>(counts: [u64; K], value: f64, margin: f64, superiority: f64) {
        let tally = Tally(counts);
        let elo = tally.elo().unwrap();
        near(elo.value, value, 0.005);
        near(elo.margin(), margin, 0.005);
        near(100.0 * tally.superiority().unwrap(), superiority, 0.005);
    }

    /// The values are those that fastchess shows.
    #[test]
    fn elo_its_margin_and_superiority_are_the_known_ones() {
        check([96, 111, 136], 40.70, 30.43, 99.60);
        check([300, 400, 350], 16.56, 16.55, 97.53);
        check([75, 64, 63, 54, 34], -55.58, 27.65, 0.00);
        check([10, 40, 100, 55, 15], 19.76, 21.55, 96.43);
    }

    #[test]
    fn results_count_where_their_points_are() {
        let (mut games, mut pairs) = (Games::default(), Pairs::default());
        let all = [Class::Loss, Class::Draw, Class::Win];
        for first in all {
            games.count(first);
            all.into_iter().for_each(|second| pairs.count([first, second]));
        }
        assert_eq!((games, pairs), (Tally([1, 1, 1]), Tally([1, 2, 3, 2, 1])));
        assert_eq!((games.score(), pairs.score()), (Some(0.5), Some(0.5)));
        assert_eq!(
            (pairs.superiority(), Pairs::default().elo(), Pairs::default().superiority()),
            (Some(0.5), None, None)
        );
    }

    #[test]
    fn results_that_are_all_alike_leave_room_for_others() {
        let Elo { value, low, high } = Tally([0, 0, 0, 0, 100]).elo().unwrap();
        assert_eq!((value.round(), low.round(), high.round()), (1161.0, 607.0, 1161.0));
        let lost = Tally([100, 0, 0, 0, 0]).elo().unwrap();
        near(lost.value, -value, 1e-6);
        near(lost.high, -low, 1e-6);
        near(lost.low, -high, 1e-6);
        let Elo { value, low, high } = Tally([0, 0, 100, 0, 0]).elo().unwrap();
        assert_eq!((value, low.round(), high.round()), (0.0, -10.0, 10.0));
        let one = Tally([0, 0, 0, 0, 1]).elo().unwrap();
        assert!(one.low < -300.0 && one.value > 300.0, "a single pair says little: {one:?}");
        near(Tally([0, 0, 0, 0, 3]).superiority().unwrap(), 1.0 - 1.0 / 16.0, 1e-12);
        near(Tally([3, 0, 0, 0, 0]).superiority().unwrap(), 1.0 / 16.0, 1e-12);
    }

    #[test]
    fn a_better_result_never_lowers_anything() {
        for wins in 1..60 {
            for draws in 0..4 {
                let [worse, better] =
                    [[0, 0, draws + 1, 0, wins], [0, 0, draws, 0, wins + 1]].map(|counts| Tally(counts).elo().unwrap());
                assert!(worse.value < better.value, "{wins} wins, {draws} draws: {worse:?} {better:?}");
                assert!(worse.low <= worse.value && worse.value <= worse.high);
            }
        }
    }

    #[test]
    fn the_normal_distribution_is_exact() {
        for (x, share) in [(0.0, 0.5), (Z, 0.975), (-1.0, 0.158_655_253_931_457_05), (3.0, 0.998_650_101_968_369_9)] {
            near(normal_below(x), share, 1e-14);
        }
        assert_eq!((normal_below(f64::INFINITY), normal_below(-9.0)), (1.0, 0.0));
    }
}
