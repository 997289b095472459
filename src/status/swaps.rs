//! What became of the last models: how many came and went by the counters, and why by what the loader noted.

use std::{collections::VecDeque, time::Instant};

use selfplay_actors::rejections::Rejections;

use super::{Outcome, Swap, figures::ModelFigures};

/// Most that are told.
const MOST: usize = 20;

/// The last models, and since when the serving one has served.
#[derive(Debug, Default)]
pub(super) struct Swaps {
    last: Option<ModelFigures>,
    /// Number of the last rejection that was taken in.
    seen: u64,
    /// The newest first.
    swaps: VecDeque<Swap>,
    /// Of the serving model, by a clock that only goes forward and in seconds since 1970; `None` when none serves.
    served: Option<(Instant, f64)>,
}

impl Swaps {
    /// Takes in the figures of a moment, `now` and `unix` seconds after 1970, and the reasons there are; what became of models since the
    /// one before.
    pub(super) fn record(
        &mut self,
        now: Instant,
        unix: f64,
        figures: ModelFigures,
        rejections: &Rejections,
    ) -> Vec<Swap> {
        let last = self.last.replace(figures).unwrap_or_default();
        let loaded = figures.served.saturating_sub(last.served);
        let seconds = figures.loading_seconds - last.loading_seconds;
        let times = |outcome, count: u64, version, seconds| {
            (0..count.min(MOST as u64)).map(move |_| Swap { version, unix, outcome, reason: None, seconds })
        };
        let rejected = rejections.after(self.seen);
        self.seen = rejected.last().map_or(self.seen, |last| last.number);
        let rejected = rejected.into_iter().map(|rejection| Swap {
            version: Some(rejection.version),
            unix,
            outcome: if rejection.withdrawn { Outcome::Withdrawn } else { Outcome::Refused },
            reason: Some(rejection.reason),
            seconds: None,
        });
        // Of several within one moment only the last one's version is known, and the time only of all.
        let (earlier, newest) = (loaded.saturating_sub(1), loaded.min(1));
        let served = times(Outcome::Served, earlier, None, None);
        let newest = times(Outcome::Served, newest, figures.version, (loaded == 1 && seconds > 0.0).then_some(seconds));
        let news: Vec<_> = rejected.chain(served).chain(newest).collect();
        if loaded > 0 {
            self.served = Some((now, unix));
        } else if figures.withdrawn > last.withdrawn {
            self.served = None;
        }
        for swap in &news {
            self.swaps.push_front(swap.clone());
        }
        self.swaps.truncate(MOST);
        news
    }

    /// The newest first.
    pub(super) fn all(&self) -> Vec<Swap> {
        self.swaps.iter().cloned().collect()
    }

    /// Since when the serving model has served; `None` when none serves.
    pub(super) fn served_unix(&self) -> Option<f64> {
        self.served.map(|(_, unix)| unix)
    }

    /// The same by a clock that only goes forward.
    pub(super) fn served(&self) -> Option<Instant> {
        self.served.map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_newest_first_with_what_is_known() {
        let mut swaps = Swaps::default();
        let mut figures = ModelFigures::default();
        let rejections = Rejections::default();
        assert_eq!(swaps.record(Instant::now(), 1.0, figures, &rejections), []);
        figures = ModelFigures { served: 1, version: Some(3), loading_seconds: 0.5, ..figures };
        let served = Swap { version: Some(3), unix: 2.0, outcome: Outcome::Served, reason: None, seconds: Some(0.5) };
        assert_eq!(swaps.record(Instant::now(), 2.0, figures, &rejections), vec![served.clone()]);
        assert_eq!(swaps.record(Instant::now(), 3.0, figures, &rejections), []);
        figures = ModelFigures { served: 2, version: Some(2), withdrawn: 1, ..figures };
        let news = swaps.record(Instant::now(), 5.0, figures, &rejections);
        assert_eq!(
            news.iter().map(|swap| (swap.outcome, swap.version)).collect::<Vec<_>>(),
            [(Outcome::Served, Some(2))]
        );
        figures.served = 100;
        swaps.record(Instant::now(), 6.0, figures, &rejections);
        assert_eq!((swaps.all().len(), swaps.all()[0].version, swaps.served_unix()), (20, Some(2), Some(6.0)));
    }
}
