//! `selfplayd bench metrics`: what all counting costs, as a share of the CPU time of play.
//!
//! Two runs, one with and one without, would differ by more than that for other reasons. So the daemon plays for a while, which
//! shows how often each thing is counted per second of CPU time; and the functions that count are called again and again on
//! all threads at once, in the worst case for caches, which shows what each time costs.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use selfplay_actors::{
    health::Health,
    overhead::{Event, Rehearsal},
    stats::Stats,
};
use serde::Serialize;

use super::{
    measure::{Until, measure},
    progress::say,
};
use crate::{
    cli::MetricsArgs,
    exit::Exit,
    metrics::{About, Exporter},
    settings::Settings,
    status::RunStatus,
    streams,
};

/// The largest share of CPU time that counting may cost.
const ALLOWED: f64 = 0.01;
const REHEARSAL: Duration = Duration::from_millis(300);
/// Of several rehearsals the cheapest counts: the others were disturbed.
const REHEARSALS: usize = 5;
/// Seconds between two scrapes.
const SCRAPE_EVERY: f64 = 5.0;

/// What is counted at one kind of event.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cost {
    event: Event,
    /// Per second of CPU time.
    events_per_cpu_s: f64,
    /// Of CPU time per event, with all threads counting at once.
    nanoseconds: f64,
    /// Share of CPU time.
    share: f64,
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Report {
    counting: Vec<Cost>,
    /// Time of one scrape.
    scrape_ms: f64,
    /// Share of one core with a scrape every 5 s.
    scrape_share: f64,
    /// All of it.
    share: f64,
}

/// Measures and prints; an error when it is too much.
pub(crate) fn metrics(args: &MetricsArgs, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!(args.seconds > 0.0 && args.seconds <= 3600.0, "--seconds {}: more than 0, at most 3600", args.seconds);
    say(&format!("the whole daemon, {} s", args.seconds));
    let window = measure(settings, Until::Seconds(args.seconds))?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    say(&format!("counting alone, on {threads} threads"));
    let stats = Arc::new(Stats::default());
    let mut counting = Vec::new();
    for event in Event::ALL {
        let events_per_cpu_s = event.count(&window.rates.counts) as f64 / window.cpu_seconds();
        let mut nanoseconds = f64::INFINITY;
        for _ in 0..REHEARSALS {
            nanoseconds = nanoseconds.min(rehearse(event, &stats, threads)?);
        }
        counting.push(Cost { event, events_per_cpu_s, nanoseconds, share: events_per_cpu_s * nanoseconds / 1e9 });
    }
    let scrape_ms = scrape(stats);
    let scrape_share = scrape_ms / 1e3 / SCRAPE_EVERY;
    let share = counting.iter().map(|cost| cost.share).sum::<f64>() + scrape_share;
    let report = Report { counting, scrape_ms, scrape_share, share };
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    streams::print(&text)?;
    ensure!(
        share < ALLOWED,
        "counting costs {:.2}% of the CPU time of play, more than {}%",
        100.0 * share,
        100.0 * ALLOWED
    );
    Ok(Exit::Clean)
}

/// Nanoseconds of CPU time per event on `threads` threads that do nothing else.
fn rehearse(event: Event, stats: &Arc<Stats>, threads: usize) -> anyhow::Result<f64> {
    let barrier = Barrier::new(threads);
    let run = || -> anyhow::Result<f64> {
        let rehearsal = Rehearsal::new(stats);
        barrier.wait(); // Every thread must come here, or the others wait for ever.
        let mut rehearsal = rehearsal.map_err(|error| anyhow::anyhow!("failed to set up a game: {error}"))?;
        Ok(rehearsal.cost(event, REHEARSAL))
    };
    let all: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut sum = 0.0;
    for one in all {
        sum += one.ok().context("a benchmark thread panicked")??;
    }
    Ok(sum / threads as f64)
}

/// Milliseconds of one scrape.
fn scrape(stats: Arc<Stats>) -> f64 {
    let settings_hash = Box::new(String::new);
    let run = RunStatus { name: "bench".to_owned(), output_dir: String::new(), model_source: None };
    let about = About {
        started: Instant::now(),
        batch: None,
        run,
        requested: "auto".to_owned(),
        actual: "cpu".to_owned(),
        threads: Vec::new(),
        settings_hash,
    };
    let exporter = Exporter::new(stats, Health::new(Arc::default()), about);
    let once = |_| {
        let begun = Instant::now();
        std::hint::black_box(exporter.render());
        begun.elapsed().as_secs_f64() * 1e3
    };
    (0..100).map(once).fold(f64::INFINITY, f64::min)
}

fn table(report: &Report) -> String {
    let mut rows = Vec::new();
    for Cost { event, events_per_cpu_s, nanoseconds, share } in &report.counting {
        let name = format!("{event:?}: per CPU-s, ns each, share");
        rows.push((name, format!("{events_per_cpu_s:.0}, {nanoseconds:.0}, {:.4}%", 100.0 * share)));
    }
    rows.push(("Scrape: ms, share with one every 5 s".to_owned(), {
        format!("{:.2}, {:.4}%", report.scrape_ms, 100.0 * report.scrape_share)
    }));
    rows.push(("all counting, share of CPU time".to_owned(), format!("{:.4}%", 100.0 * report.share)));
    rows.into_iter().map(|(name, value)| format!("{name:<50} {value}")).collect::<Vec<_>>().join("\n")
}
