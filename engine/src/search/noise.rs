//! What becomes of the root's priors before a search: temperature, then Dirichlet noise.

use std::borrow::Cow;

use rand::Rng;
use rand_distr::{Distribution, Gamma};

use super::params::{NoiseShape, RootNoise};

/// P^(1/T), with the sum that the priors had; T = 1 leaves them as they are. An action without prior gets none.
pub(super) fn tempered(priors: &[f32], temperature: f32) -> Cow<'_, [f32]> {
    let largest = priors.iter().copied().fold(0.0, f32::max);
    if temperature == 1.0 || largest <= 0.0 {
        return Cow::Borrowed(priors);
    }
    // Relative to the largest, so that not all powers become 0.
    let power = 1.0 / f64::from(temperature);
    let powers: Vec<f64> = priors.iter().map(|&prior| f64::from(prior / largest).powf(power)).collect();
    let scale = priors.iter().copied().map(f64::from).sum::<f64>() / powers.iter().sum::<f64>();
    powers.into_iter().map(|power| (scale * power) as f32).collect()
}

/// (1 − ε) P + ε Dir(α) over the actions with a prior above 0; the others stay at 0.
///
/// A Dirichlet sample is a vector of Gamma(α, 1) samples divided by their sum.
pub(super) fn with_noise(priors: &[f32], noise: RootNoise, rng: &mut impl Rng) -> Vec<f32> {
    let alpha = f64::from(noise.alpha);
    let alphas = match noise.shape {
        NoiseShape::Even => vec![alpha; priors.len()],
        NoiseShape::Shaped => {
            let total = alpha * priors.iter().filter(|&&prior| prior > 0.0).count() as f64;
            shares(priors).map(|share| total * share).collect()
        }
    };
    let mut sample = |alpha| Gamma::new(alpha, 1.0).map_or(0.0, |gamma| gamma.sample(rng));
    let samples = priors.iter().zip(alphas).map(|(&prior, alpha)| if prior > 0.0 { sample(alpha) } else { 0.0 });
    let samples: Vec<f64> = samples.collect();
    let sum: f64 = samples.iter().sum();
    // For tiny alpha every sample may underflow to 0.
    if sum <= 0.0 {
        return priors.to_vec();
    }
    let epsilon = f64::from(noise.epsilon);
    priors
        .iter()
        .zip(samples)
        .map(|(&prior, sample)| ((1.0 - epsilon) * f64::from(prior) + epsilon * sample / sum) as f32)
        .collect()
}

/// How [`NoiseShape::Shaped`] shares out α; the shares of actions with a prior above 0 sum to 1, those of others mean nothing.
///
/// KataGo's `computeDirichletAlphaDistribution`.
fn shares(priors: &[f32]) -> impl Iterator<Item = f64> {
    const MOST: f64 = 0.01;
    let logarithm = |prior: f32| (f64::from(prior).min(MOST) + 1e-20).ln();
    let possible = || priors.iter().copied().filter(|&prior| prior > 0.0);
    let even = 1.0 / possible().count() as f64;
    let mean = possible().map(logarithm).sum::<f64>() * even;
    let above = move |prior| (logarithm(prior) - mean).max(0.0);
    let sum: f64 = possible().map(above).sum();
    priors.iter().map(move |&prior| if sum > 0.0 { (above(prior) / sum + even) / 2.0 } else { even })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const SHAPES: [NoiseShape; 2] = [NoiseShape::Even, NoiseShape::Shaped];

    #[test]
    fn noisy_priors_sum_to_one_and_leave_impossible_actions_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let priors = [0.5, 0.0, 0.25, 0.25];
        for (alpha, shape) in [0.03, 0.3, 6.7].into_iter().flat_map(|alpha| SHAPES.map(|shape| (alpha, shape))) {
            let noisy = with_noise(&priors, RootNoise { epsilon: 0.25, alpha, shape }, &mut rng);
            assert_eq!(noisy[1], 0.0);
            assert!((noisy.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(noisy.iter().zip(priors).all(|(&noisy, prior)| noisy >= 0.75 * prior - 1e-6));
            assert_ne!(noisy, priors);
        }
    }

    /// Means of many samples of noise alone.
    fn means<const N: usize>(priors: [f32; N], alpha: f32, shape: NoiseShape) -> [f64; N] {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut means = [0.0; N];
        for _ in 0..20_000 {
            let noisy = with_noise(&priors, RootNoise { epsilon: 1.0, alpha, shape }, &mut rng);
            means.iter_mut().zip(noisy).for_each(|(mean, noisy)| *mean += f64::from(noisy) / 20_000.0);
        }
        means
    }

    #[test]
    fn the_mean_of_dirichlet_noise_is_uniform() {
        let means = means([0.97, 0.01, 0.01, 0.01], 0.3, NoiseShape::Even);
        assert!(means.iter().all(|mean| (mean - 0.25).abs() < 0.02), "{means:?}");
    }

    /// Half of the noise is even; the other half goes to the three that are likelier than the mean of the logarithms.
    #[test]
    fn shaped_noise_goes_where_priors_stand_out() {
        let priors = [0.9, 0.05, 0.0495, 2e-4, 1e-4, 1e-4, 1e-4, 0.0];
        let shares: Vec<f64> = shares(&priors).take(7).collect();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{shares:?}");
        let (favourites, rest) = shares.split_at(3);
        let even = 0.5 / 7.0;
        assert!(favourites.iter().all(|share| (share - (even + 0.5 / 3.0)).abs() < 1e-12), "{shares:?}");
        assert!(rest.iter().all(|share| (share - even).abs() < 1e-12), "{shares:?}");
        let means = means(priors, 0.3, NoiseShape::Shaped);
        assert!(means.iter().zip(shares).all(|(mean, share)| (mean - share).abs() < 0.02), "{means:?}");
        assert_eq!(means[7], 0.0);
    }

    #[test]
    fn shaped_noise_is_even_where_no_prior_stands_out() {
        assert!(shares(&[0.3, 0.3, 0.0, 0.4]).all(|share| share == 1.0 / 3.0));
        assert!(shares(&[1.0]).all(|share| share == 1.0));
    }

    #[test]
    fn a_temperature_of_one_leaves_priors_alone_and_others_flatten_or_sharpen_them() {
        let priors = [0.64, 0.0, 0.32, 0.04, 1e-30];
        assert!(matches!(tempered(&priors, 1.0), Cow::Borrowed(same) if same == priors));
        for (temperature, flatter) in [(0.5, false), (1.25, true), (2.0, true), (10.0, true)] {
            let other = tempered(&priors, temperature);
            assert!((other.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{other:?}");
            assert_eq!(other[1], 0.0);
            assert_eq!(other[0] < priors[0], flatter, "{other:?}");
            assert!(other[0] > other[2] && other[2] > other[3] && other[3] > other[4], "{other:?}");
            let ratio = f64::from(other[0] / other[2]);
            assert!((ratio - 2f64.powf(1.0 / f64::from(temperature))).abs() < 1e-5, "{other:?}");
        }
        // Of powers that are all too small for numbers, and of nothing.
        assert_eq!(*tempered(&[1e-30, 1e-30], 0.1), [1e-30, 1e-30]);
        assert_eq!(*tempered(&[0.0, 0.0], 2.0), [0.0, 0.0]);
    }
}
