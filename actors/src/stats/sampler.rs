//! Times some of what happens often.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use super::Elapsed;

/// Of so many passes one is timed, and counts for all of them: reading the clock at every message would cost as much as all other
/// counting together.
const EVERY: u32 = 8;

/// Chooses at random, so that no rhythm of what is timed is met again and again at the same beat. Each sampler begins elsewhere:
/// games that begin together take like steps together.
#[derive(Debug)]
pub(crate) struct Sampler(u32);

impl Default for Sampler {
    fn default() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The golden ratio's share of all numbers: neighbours are far from each other.
        Self(NEXT.fetch_add(0x9E37_79B9, Relaxed))
    }
}

impl Sampler {
    /// The time, if the pass that begins now is to be timed.
    pub(crate) fn begin(&mut self) -> Option<Instant> {
        // The numbers are those of Numerical Recipes.
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16).is_multiple_of(EVERY).then(Instant::now)
    }
}

impl Elapsed {
    /// Adds the time since `begun`, if that pass is timed, for all that are not; returns the time, from which the next step of the
    /// same pass counts.
    pub(crate) fn add_sampled(&self, begun: Option<Instant>) -> Option<Instant> {
        let (begun, now) = (begun?, Instant::now());
        self.add((now - begun) * EVERY);
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_of_eight_is_timed_whatever_their_rhythm() {
        for rhythm in [1, 7, 8, 25] {
            let mut sampler = Sampler::default();
            let timed = (0..80_000 * rhythm).filter(|pass| sampler.begin().is_some() && pass % rhythm == 0).count();
            assert!((9_000..11_000).contains(&timed), "{timed} of 80,000 beats of {rhythm}");
        }
    }

    #[test]
    fn one_of_eight_samplers_times_its_first_passes() {
        let mut samplers: Vec<_> = std::iter::repeat_with(Sampler::default).take(8_000).collect();
        for pass in 0..20 {
            let timed = samplers.iter_mut().filter_map(Sampler::begin).count();
            assert!((800..1_200).contains(&timed), "{timed} of 8,000 at pass {pass}");
        }
    }

    #[test]
    fn a_timed_pass_counts_for_those_that_are_not() {
        let counter = Elapsed::new();
        assert_eq!((counter.add_sampled(None), counter.get()), (None, 0));
        let begun = Instant::now();
        let end = counter.add_sampled(Some(begun)).unwrap();
        assert_eq!(u128::from(counter.get()), (end - begun).as_nanos() * 8);
    }
}
