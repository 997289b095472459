//! What a user sees while games are played: a progress bar on a terminal, a summary line in the log every ten seconds.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use selfplay_actors::{
    bottleneck::{Bottleneck, Kind, Monitor},
    health::Health,
    stats::{Snapshot, Stats},
};

use crate::{
    daemon::progress::{BatchStatus, Progress},
    streams::LostLines,
    words::about,
};

const SUMMARY_EVERY: Duration = Duration::from_secs(10);
/// How often what holds play back is said again.
const BOTTLENECK_EVERY: Duration = Duration::from_secs(60);
const PROFILE_EVERY: Duration = Duration::from_secs(5);
const TICK: Duration = Duration::from_millis(200);
/// How long the end of play waits for the reporter: a terminal that is held with Ctrl-S takes no bar.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Rates and shares over a span of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// What was counted.
    pub counts: Snapshot,
    /// In how many seconds.
    pub seconds: f64,
}

impl Rates {
    /// A count per second.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(1e-9)
    }

    /// Positions per batch.
    pub(crate) fn mean_batch(&self) -> f64 {
        self.counts.mean_batch()
    }

    /// Share of leaves that needed no evaluation of their own: known, or in flight for another.
    pub(crate) fn hit_rate(&self) -> f64 {
        share(self.counts.cache_hits + self.counts.cache_in_flight_hits, self.counts.cache_lookups_total())
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How the progress of a batch is shown.
pub(crate) struct Shown {
    /// On a terminal.
    pub bar: Option<ProgressBar>,
    /// In the log; `None` in continuous mode.
    pub batch: Option<Arc<Progress>>,
}

/// Reports until it is dropped.
pub(crate) struct Reporter {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread when it ends.
    ended: mpsc::Receiver<()>,
}

impl Reporter {
    /// Starts to report on `stats` and on what `monitor`, which it keeps up to date, says of them, and on `health` when something
    /// happened to a child, and on the progress of a batch as `shown`. `profile`: log where `inference_threads` threads spend their time as
    /// well.
    pub(crate) fn start(
        stats: Arc<Stats>,
        health: Arc<Health>,
        monitor: Arc<Monitor>,
        Shown { bar, batch }: Shown,
        profile: bool,
        inference_threads: usize,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (running, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(move || {
            let _running: mpsc::Sender<()> = running;
            let mut last = (Instant::now(), stats.snapshot());
            let mut profiled = last;
            let (mut events, mut lost) = (0, 0);
            let mut advice = News::default();
            while stopped.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                monitor.tick();
                let progress = batch.as_ref().map(|batch| batch.look(&stats.snapshot()));
                if let Some(bar) = &bar {
                    show(bar, &stats.snapshot(), progress.as_ref());
                }
                if profile && profiled.0.elapsed() >= PROFILE_EVERY {
                    let now = stats.snapshot();
                    let seconds = profiled.0.elapsed().as_secs_f64();
                    log_profile(&Rates { counts: now.since(&profiled.1), seconds }, inference_threads);
                    profiled = (Instant::now(), now);
                }
                if last.0.elapsed() >= SUMMARY_EVERY {
                    let now = stats.snapshot();
                    if bar.is_none() {
                        let rates = Rates { counts: now.since(&last.1), seconds: last.0.elapsed().as_secs_f64() };
                        let bottleneck = monitor.bottleneck();
                        log(
                            &rates,
                            &now,
                            progress.as_ref(),
                            &bottleneck,
                            advice.is_due(bottleneck.kind, Instant::now()),
                        );
                    }
                    let lines = LostLines::so_far().stderr;
                    if std::mem::replace(&mut lost, lines) != lines {
                        tracing::warn!(lines, "lines of the log were lost: standard error did not take them");
                    }
                    if std::mem::replace(&mut events, health.events()) != health.events() {
                        health.status().log();
                    }
                    last = (Instant::now(), now);
                }
            }
            if let Some(bar) = &bar {
                show(bar, &stats.snapshot(), None);
                bar.abandon();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), ended })
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stop.take();
        if self.ended.recv_timeout(END_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            return; // It ends with the process.
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the reporter ended in a panic");
        }
    }
}

/// What was last said to hold play back, and when.
#[derive(Debug, Default)]
struct News(Option<(Kind, Instant)>);

impl News {
    /// Whether to say (again) why play is held back by this, and what to do about it.
    fn is_due(&mut self, kind: Kind, now: Instant) -> bool {
        let due = self.0.is_none_or(|(last, at)| last != kind || now.duration_since(at) >= BOTTLENECK_EVERY);
        if due {
            self.0 = Some((kind, now));
        }
        due
    }
}

/// A bar for `games` games.
pub(crate) fn progress_bar(games: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} games, {elapsed} gone; {msg}");
    ProgressBar::new(games).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, now: &Snapshot, progress: Option<&BatchStatus>) {
    bar.set_position(now.games_written);
    let left = progress.and_then(|progress| progress.seconds_left);
    let left = left.map(|seconds| format!("{} left; ", about(seconds))).unwrap_or_default();
    bar.set_message(format!("{left}{} simulations, {} evaluations", now.simulations_total(), now.evaluations));
}

/// The line of `--profile-counters`. Times are shares of the span that passed, or per batch.
fn log_profile(rates: &Rates, inference_threads: usize) {
    let counts = &rates.counts;
    let share = |nanoseconds: u64| nanoseconds as f64 / 1e9 / rates.seconds.max(1e-9);
    tracing::info!(
        batches = counts.batch_size.count(),
        items = counts.evaluations,
        mean_batch = rounded(rates.mean_batch(), 1),
        inference_share = rounded(share(counts.inference_seconds_total()) / inference_threads.max(1) as f64, 3),
        batch_wait_ms = rounded(counts.batch_wait.mean() * 1e3, 3),
        post_processing_share = rounded(share(counts.post_processing_ns), 3),
        "profile"
    );
}

fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10f64.powi(digits)).round() / 10f64.powi(digits)
}

fn log(rates: &Rates, now: &Snapshot, progress: Option<&BatchStatus>, bottleneck: &Bottleneck, explain: bool) {
    let counts = &rates.counts;
    let Bottleneck { kind, statement, advice } = bottleneck;
    tracing::info!(
        games_per_s = rounded(rates.per_second(counts.games_finished), 2),
        evals_per_s = rates.per_second(counts.evaluations).round(),
        sims_per_s = rates.per_second(counts.simulations_total()).round(),
        mean_batch = rounded(rates.mean_batch(), 1),
        cache_hit_rate = rounded(rates.hit_rate(), 3),
        games_written = now.games_written,
        progress = progress.map(BatchStatus::words),
        in_play = now.games_in_play(),
        model = now.model_version,
        bottleneck = kind.name(),
        because = explain.then_some(statement.as_str()),
        advice = explain.then_some(advice.as_str()),
        "summary"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_when_it_changes_and_once_a_minute() {
        let (mut advice, begun) = (News::default(), Instant::now());
        let mut is_due = |kind, seconds| advice.is_due(kind, begun + Duration::from_secs(seconds));
        assert!(is_due(Kind::Games, 10));
        assert!(!is_due(Kind::Games, 20) && !is_due(Kind::Games, 69));
        assert!(is_due(Kind::Games, 70));
        assert!(is_due(Kind::Device, 80) && !is_due(Kind::Device, 90));
        assert!(is_due(Kind::Games, 100) && !is_due(Kind::Games, 159) && is_due(Kind::Games, 160));
    }
}
