//! Rates of the last seconds and minutes, from figures taken once a second.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{History, RateStatus, figures::Counts};

/// The span that rates are of.
const RATES_OVER: Duration = Duration::from_secs(10);
/// The span of a point of the history.
const STEP: Duration = Duration::from_secs(2);
/// Points of the history.
const POINTS: usize = 150;

/// What was counted in a span of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    counts: Counts,
    seconds: f64,
}

impl Span {
    fn between((then, earlier): &(Instant, Counts), (now, later): &(Instant, Counts)) -> Self {
        Self { counts: later.since(earlier), seconds: now.saturating_duration_since(*then).as_secs_f64() }
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    /// What was counted.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Share of the values that were outside [-1, 1].
    pub(super) fn clamped(&self) -> f64 {
        share(self.counts.values_clamped, self.counts.evaluations)
    }

    pub(super) fn rates(&self) -> RateStatus {
        let counts = &self.counts;
        RateStatus {
            evaluations_per_s: self.per_second(counts.evaluations),
            simulations_per_s: self.per_second(counts.simulations),
            games_per_s: self.per_second(counts.games_finished),
            positions_per_s: self.per_second(counts.positions),
            mean_batch: share(counts.evaluations, counts.batches),
            cache_hit_rate: share(counts.cache_hits, counts.lookups),
            evaluations_per_simulation: share(counts.evaluations, counts.simulations),
            evictions_per_s: self.per_second(counts.evictions),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The last seconds, and the rates of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// The oldest first.
    seconds: VecDeque<(Instant, Counts)>,
    step_begun: Option<(Instant, Counts)>,
    points: VecDeque<RateStatus>,
}

impl Recorder {
    /// Takes in what is counted `now`; the last 10 s up to then.
    pub(super) fn record(&mut self, now: Instant, counts: Counts) -> Span {
        let sample = (now, counts);
        self.seconds.push_back(sample);
        // The first of two that are old enough is not needed any more.
        while self.seconds.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= RATES_OVER) {
            self.seconds.pop_front();
        }
        let begun = self.step_begun.get_or_insert(sample);
        // Half a tick early is due: ticks come a little sooner or later.
        if now.saturating_duration_since(begun.0) + Duration::from_millis(500) > STEP {
            self.points.push_back(Span::between(begun, &sample).rates());
            *begun = sample;
            self.points.drain(..self.points.len().saturating_sub(POINTS));
        }
        self.seconds.front().map_or_else(Span::default, |oldest| Span::between(oldest, &sample))
    }

    pub(super) fn history(&self) -> History {
        let all = |of: fn(&RateStatus) -> f64| self.points.iter().map(of).collect();
        History {
            step_seconds: STEP.as_secs(),
            evaluations_per_s: all(|rates| rates.evaluations_per_s),
            games_per_s: all(|rates| rates.games_per_s),
            positions_per_s: all(|rates| rates.positions_per_s),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After each second, `evaluations` more, in half as many batches.
    fn record(recorder: &mut Recorder, seconds: u32, evaluations: u64) -> (Instant, Span) {
        let (mut now, mut counts) = recorder.seconds.back().copied().unwrap_or((Instant::now(), Counts::default()));
        let mut span = recorder.record(now, counts);
        for _ in 0..seconds {
            now += SECOND;
            counts.evaluations += evaluations;
            counts.batches += evaluations / 2;
            span = recorder.record(now, counts);
        }
        (now, span)
    }

    #[test]
    fn values_that_were_clamped_are_a_share_of_those_that_came() {
        let counts = Counts { evaluations: 40, values_clamped: 10, ..Counts::default() };
        assert_eq!(Span { counts, seconds: 2.0 }.clamped(), 0.25);
        assert_eq!(Span { counts: Counts::default(), seconds: 0.0 }.clamped(), 0.0);
    }

    #[test]
    fn rates_are_those_of_the_last_ten_seconds() {
        let mut recorder = Recorder::default();
        assert_eq!(record(&mut recorder, 0, 0).1.rates(), RateStatus::default());
        assert_eq!(record(&mut recorder, 1, 100).1.rates().evaluations_per_s, 100.0);
        let rates = record(&mut recorder, 99, 100).1.rates();
        assert_eq!((rates.evaluations_per_s, rates.mean_batch, rates.games_per_s), (100.0, 2.0, 0.0));
        assert_eq!(record(&mut recorder, 5, 200).1.rates().evaluations_per_s, 150.0);
        assert_eq!(record(&mut recorder, 10, 0).1.rates(), RateStatus::default());
    }

    #[test]
    fn the_history_has_a_point_every_two_seconds_and_an_end() {
        let mut recorder = Recorder::default();
        record(&mut recorder, 5, 10);
        assert_eq!(recorder.history().evaluations_per_s, [10.0, 10.0]);
        record(&mut recorder, 1000, 20);
        let history = recorder.history();
        assert_eq!((history.step_seconds, history.evaluations_per_s.len(), history.games_per_s.len()), (2, 150, 150));
        assert_eq!(history.evaluations_per_s[0], 20.0);
    }
}
