//! How much of the machine matches beside play may take. Plain state: no clock.

use std::time::Duration;

/// An account of time that was used and is to be rested for. What was not used is not saved up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Seconds of computing that are not paid for yet.
    owed: f64,
}

impl Pace {
    /// Work used this much.
    pub(super) fn spend(&mut self, used: Duration) {
        self.owed += used.as_secs_f64();
    }

    /// Time passed, in which `rate` seconds of computing a second were paid for.
    pub(super) fn pass(&mut self, time: Duration, rate: f64) {
        self.owed = (self.owed - rate * time.as_secs_f64()).max(0.0);
    }

    /// How long to rest until all is paid for.
    pub(super) fn rest(&self, rate: f64) -> Duration {
        Duration::try_from_secs_f64(self.owed / rate).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLICE: Duration = Duration::from_millis(50);

    /// The share of time that work takes which goes on whenever it may, each time for a slice that takes `stretch` as long as it
    /// computes.
    fn share(rate: f64, stretch: f64) -> f64 {
        let (mut pace, mut at, mut used) = (Pace::default(), 0.0, 0.0);
        for _ in 0..1000 {
            let took = SLICE.mul_f64(stretch);
            pace.spend(SLICE);
            pace.pass(took, rate);
            let rest = pace.rest(rate);
            pace.pass(rest, rate);
            at += (took + rest).as_secs_f64();
            used += SLICE.as_secs_f64();
        }
        used / at
    }

    #[test]
    fn work_takes_its_share_however_busy_the_machine() {
        for rate in [0.05, 0.1, 0.8] {
            assert!((share(rate, 1.0) - rate).abs() < 1e-6, "{rate}: {}", share(rate, 1.0));
            // Other threads took the core meanwhile: there is less rest, not less work.
            assert!((share(rate, 1.2) - rate).abs() < 1e-6, "{rate}: {}", share(rate, 1.2));
        }
        assert_eq!(share(4.0, 1.0), 1.0, "one thread has one core at most");
        assert!(
            (share(0.5, 10.0) - 0.1).abs() < 1e-6,
            "where the machine gives less than the share, it works all the time"
        );
    }

    #[test]
    fn rest_follows_the_rate_of_the_moment_and_nothing_is_saved_up() {
        let mut pace = Pace::default();
        pace.pass(Duration::from_secs(3600), 0.5);
        assert_eq!(pace.rest(0.05), Duration::ZERO);
        pace.spend(Duration::from_secs(1));
        assert_eq!((pace.rest(0.05), pace.rest(0.5)), (Duration::from_secs(20), Duration::from_secs(2)));
        pace.pass(Duration::from_secs(10), 0.05);
        assert_eq!(pace.rest(0.5), Duration::from_secs(1));
    }
}
