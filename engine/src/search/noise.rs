//! Dirichlet noise.

use rand::Rng;
use rand_distr::{Distribution, Gamma};

use super::params::RootNoise;

/// (1 − ε) P + ε Dir(α) over the actions with a prior above 0; the others stay at 0.
///
/// A Dirichlet sample is a vector of Gamma(α, 1) samples divided by their sum.
pub(super) fn with_noise(priors: &[f32], noise: RootNoise, rng: &mut impl Rng) -> Vec<f32> {
    let Ok(gamma) = Gamma::new(f64::from(noise.alpha), 1.0) else { return priors.to_vec() };
    let samples: Vec<f64> = priors.iter().map(|&prior| if prior > 0.0 { gamma.sample(rng) } else { 0.0 }).collect();
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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn noisy_priors_sum_to_one_and_leave_impossible_actions_alone() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let priors = [0.5, 0.0, 0.25, 0.25];
        for alpha in [0.03, 0.3, 6.7] {
            let noisy = with_noise(&priors, RootNoise { epsilon: 0.25, alpha }, &mut rng);
            assert_eq!(noisy[1], 0.0);
            assert!((noisy.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(noisy.iter().zip(priors).all(|(&noisy, prior)| noisy >= 0.75 * prior - 1e-6));
            assert_ne!(noisy, priors);
        }
    }

    #[test]
    fn the_mean_of_dirichlet_noise_is_uniform() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let noise = RootNoise { epsilon: 1.0, alpha: 0.3 };
        let mut mean = [0.0f64; 4];
        for _ in 0..20_000 {
            for (mean, prior) in mean.iter_mut().zip(with_noise(&[0.97, 0.01, 0.01, 0.01], noise, &mut rng)) {
                *mean += f64::from(prior) / 20_000.0;
            }
        }
        assert!(mean.iter().all(|mean| (mean - 0.25).abs() < 0.02), "{mean:?}");
    }
}
