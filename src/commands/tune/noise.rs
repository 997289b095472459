//! What measurements tell on a machine that also does other things.
//!
//! Settings are compared by pairs of probes, one straight after the other, so that whatever else the machine does concerns both. A
//! *gain* is the logarithm of a pair's ratio: 0 for no difference, 0.1 for 10% more. How much gains differ where nothing differs is
//! learned from pairs of the same settings, and from how the pairs of one comparison differ among each other.

/// Pairs of a comparison: fewer are not believed, more are not made.
pub(super) const PAIRS: (usize, usize) = (3, 8);
/// A smaller gain is none (1%).
const LEAST_GAIN: f64 = 0.01;
/// A comparison goes on while a gain of this size is still possible (3%).
const INTEREST: f64 = 0.03;
/// Machines are no quieter than this, whatever few pairs happen to say (0.5%).
const LEAST_NOISE: f64 = 0.005;
/// A gain that is beyond three standard errors is one by chance in one of 700 comparisons.
const BEYOND: f64 = 3.0;
/// Where smaller gains than this (25%) cannot be told from noise, tuning makes no sense.
const RESTLESS: f64 = 0.223;
/// Larger gains than this (a factor of ten), and those of rates of nothing, say no more than this.
const MOST_GAIN: f64 = 2.3;

/// How much more `new` is than `old`.
pub(super) fn gain(new: f64, old: f64) -> f64 {
    let gain = (new / old).ln();
    if gain.is_nan() { 0.0 } else { gain.clamp(-MOST_GAIN, MOST_GAIN) }
}

/// By how much gains differ where nothing differs, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Noise {
    /// Sum of squares of what was noise.
    squares: f64,
    /// How many of them say something of their own (degrees of freedom).
    freedom: f64,
}

impl Noise {
    /// Learns from a pair of the same settings.
    pub(super) fn learn_same(&mut self, gain: f64) {
        self.squares += gain * gain;
        self.freedom += 1.0;
    }

    /// With what the pairs of one comparison differ by among each other.
    pub(super) fn with(mut self, gains: &[f64]) -> Self {
        let mean = mean(gains);
        self.squares += gains.iter().map(|gain| (gain - mean).powi(2)).sum::<f64>();
        self.freedom += gains.len().saturating_sub(1) as f64;
        self
    }

    /// Standard deviation of a pair's gain.
    pub(super) fn of_a_pair(self) -> f64 {
        if self.freedom == 0.0 { f64::INFINITY } else { (self.squares / self.freedom).sqrt().max(LEAST_NOISE) }
    }

    /// By how much the mean of `pairs` gains may be off by chance.
    pub(super) fn margin(self, pairs: usize) -> f64 {
        // Student's distribution by Cornish and Fisher's expansion of the normal one: few pairs know their noise badly.
        let widened = BEYOND + 7.5 / self.freedom + 17.25 / (self.freedom * self.freedom);
        widened * self.of_a_pair() / (pairs as f64).sqrt()
    }

    /// The smallest gain that a comparison can tell from noise.
    pub(super) fn least_visible(self) -> f64 {
        self.margin(PAIRS.1)
    }

    /// Whether only gains can be told that hardly any setting gives.
    pub(super) fn is_too_restless(self) -> bool {
        self.least_visible() > RESTLESS
    }
}

/// What a comparison says so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More, and by more than the noise.
    Better,
    /// Not, or too little to matter.
    NotBetter,
    /// Another pair may tell.
    Open,
}

/// Judges a comparison by its pairs' gains. `noise` is what was known before it.
pub(super) fn judge(gains: &[f64], noise: Noise) -> Verdict {
    let noise = noise.with(gains);
    let (mean, pairs) = (mean(gains), gains.len());
    // A single pair that the machine disturbed must not carry the mean.
    let usual = median(gains);
    if pairs >= PAIRS.0 && mean.min(usual) > LEAST_GAIN && mean > noise.margin(pairs) {
        return Verdict::Better;
    }
    let possible = mean + noise.of_a_pair() / (pairs as f64).sqrt() > INTEREST;
    if possible && pairs < PAIRS.1 { Verdict::Open } else { Verdict::NotBetter }
}

/// The mean; 0 of none.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The middle one, the mean of the two in the middle; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(0.0);
    if values.len() % 2 == 1 {
        upper
    } else {
        values.get((values.len() / 2).wrapping_sub(1)).map_or(0.0, |lower| (lower + upper) / 2.0)
    }
}

/// A gain in per cent.
pub(super) fn percent(gain: f64) -> f64 {
    100.0 * gain.exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known by ten pairs of the same settings that differ by this.
    fn known(deviation: f64) -> Noise {
        let mut noise = Noise::default();
        (0..10).for_each(|pair| noise.learn_same(if pair % 2 == 0 { deviation } else { -deviation }));
        noise
    }

    #[test]
    fn a_gain_must_be_beyond_the_noise_and_seen_often() {
        let quiet = known(0.02);
        assert_eq!(judge(&[0.1], quiet), Verdict::Open, "one pair is not believed");
        assert_eq!(judge(&[0.1, 0.12, 0.09], quiet), Verdict::Better);
        assert_eq!(judge(&[0.1, 0.12, 0.09], known(0.2)), Verdict::Open);
        assert_eq!(judge(&[0.1; 8], known(0.2)), Verdict::NotBetter, "no more pairs are made");
        assert_eq!(judge(&[0.9, 0.0, 0.0], quiet), Verdict::Open, "one pair was disturbed");
        assert_eq!(judge(&[0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], quiet), Verdict::NotBetter);
        assert_eq!(judge(&[0.008; 8], known(0.001)), Verdict::NotBetter, "too little to matter");
        assert_eq!(judge(&[-0.1], quiet), Verdict::NotBetter, "one pair is enough to leave what is worse");
        assert_eq!(judge(&[0.0], quiet), Verdict::NotBetter, "and what makes no difference");
    }

    #[test]
    fn noise_is_learned_and_says_what_can_be_told() {
        assert!(Noise::default().is_too_restless(), "nothing is known yet");
        let (quiet, restless) = (known(0.02), known(0.3));
        assert!((quiet.of_a_pair() - 0.02).abs() < 1e-9);
        assert!(!quiet.is_too_restless() && quiet.least_visible() < 0.04, "{quiet:?}");
        assert!(restless.is_too_restless(), "{restless:?}");
        assert!(known(0.0).of_a_pair() > 0.0, "no machine is as quiet as that");
        let one = quiet.with(&[0.5, 0.1]);
        assert!(one.of_a_pair() > 0.08, "what disturbs a comparison counts: {one:?}");
        assert!(quiet.with(&[0.5]).of_a_pair() == quiet.of_a_pair(), "a difference that one pair saw may be real");
    }

    #[test]
    fn ratios_of_nothing_have_bounds() {
        assert_eq!((gain(0.0, 10.0), gain(10.0, 0.0), gain(0.0, 0.0)), (-MOST_GAIN, MOST_GAIN, 0.0));
        assert!((percent(gain(110.0, 100.0)) - 10.0).abs() < 1e-9);
        assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0]), median(&[])), (2.0, 2.5, 0.0));
    }
}
