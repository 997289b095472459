//! `selfplayd bench swap`: what play loses while models are loaded, checked and swapped in.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use selfplay_actors::{
    loader::{Followed, ModelOrigin},
    root::{Controller, run},
    stats::Stats,
};
use serde::Serialize;

use super::{
    daemon::{BenchDaemon, check_ending, in_temporary_dir},
    progress::say,
};
use crate::{
    cli::SwapArgs,
    exit::Exit,
    played::PlayedGame,
    settings::{EvaluatorKind, Settings},
    streams,
};

/// Length of one look at the counters.
const BUCKET: Duration = Duration::from_millis(50);
/// Share of the rate outside of swaps that play must keep.
const KEPT: f64 = 0.8;

/// What happened within one bucket.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    seconds: f64,
    evaluations: u64,
    /// A model was loaded, or taken into service, within it.
    swapping: bool,
}

impl Bucket {
    fn rate(&self) -> f64 {
        self.evaluations as f64 / self.seconds
    }
}

/// The result.
#[derive(Clone, Debug, Serialize)]
struct Report {
    model: PathBuf,
    swaps: u64,
    every_s: f64,
    /// From the start of loading to the order to swap, mean.
    loading_ms: f64,
    /// Evaluations per second while no model was loaded.
    outside_per_s: f64,
    /// Evaluations per second in all buckets with a swap.
    during_per_s: f64,
    /// The second by the first.
    ratio: f64,
    /// Time per swap in buckets with less than 80% of the rate outside.
    below_80_ms_per_swap: f64,
    /// Share of the other buckets with as little: what is noise.
    below_80_outside: f64,
}

/// Swaps models under load, measures and prints.
pub(crate) fn swap(game: &impl PlayedGame, args: &SwapArgs, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!((0.1..=3600.0).contains(&args.every), "--every {}: 0.1 to 3600 seconds", args.every);
    ensure!((1..=10_000).contains(&args.swaps), "--swaps {}: 1 to 10000", args.swaps);
    let network = settings.inference.evaluator == EvaluatorKind::Onnx;
    let Some(model) = settings.model.path.as_deref().filter(|_| network) else {
        bail!("bench swap needs a network: --model-path FILE");
    };
    say(&format!("{} swaps, one every {} s", args.swaps, args.every));
    let report = in_temporary_dir(|dir| measure(dir, model, args, settings, game.clone()))?;
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    streams::print(&text)?;
    Ok(Exit::Clean)
}

/// Publishes one model again and again under new versions.
struct Publisher {
    model: PathBuf,
    latest_yaml: PathBuf,
}

impl Publisher {
    fn publish(&self, version: u64) -> std::io::Result<()> {
        let new = self.latest_yaml.with_extension("new");
        let name = serde_json::to_string(&self.model)?; // A JSON string is a YAML string.
        fs::write(&new, format!("filename: {name}\nversion: {version}\n"))?;
        fs::rename(new, &self.latest_yaml)
    }
}

fn measure(
    dir: &Path,
    model: &Path,
    args: &SwapArgs,
    settings: &Settings,
    game: impl PlayedGame,
) -> anyhow::Result<Report> {
    let daemon = BenchDaemon::new(&dir.join("games"), settings, game, None)?;
    let model = model.canonicalize().with_context(|| format!("failed to find {}", model.display()))?;
    let publisher = Publisher { model: model.clone(), latest_yaml: dir.join("latest.yaml") };
    publisher.publish(0)?;
    let stats = daemon.stats.clone();
    let followed = Followed::LatestYaml(publisher.latest_yaml.clone());
    let poll = Duration::from_millis(settings.model.poll_ms);
    let options = daemon.options(settings, ModelOrigin::Follow { followed, poll });
    let (sender, buckets) = mpsc::channel();
    let (every, swaps, watched) = (Duration::from_secs_f64(args.every), args.swaps, stats.clone());
    let started = move |controller: Controller| {
        actix::spawn(async move {
            let played = watch(&watched, &publisher, every, swaps, &sender).await;
            let reason = played.err().map_or_else(|| "the measurement is over".to_owned(), |error| error.to_string());
            controller.drain(reason, Duration::ZERO);
        });
    };
    check_ending(run(options, started).context("failed to run the actor system")?)?;
    let buckets: Vec<Bucket> = buckets.try_iter().collect();
    let counts = stats.snapshot();
    ensure!(counts.models_loaded == args.swaps + 1, "only {} models came into service", counts.models_loaded);
    let loading_ms = counts.loading_ns as f64 / 1e6 / counts.models_loaded as f64;
    Ok(summary(model, args, loading_ms, &buckets))
}

/// Plays, swaps and looks at the counters until the last model has served for a while.
async fn watch(
    stats: &Arc<Stats>,
    publisher: &Publisher,
    every: Duration,
    swaps: u64,
    buckets: &mpsc::Sender<Bucket>,
) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(BUCKET);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stats.simulations_total() == 0 {
        ticks.tick().await;
    }
    // Games must be spread over all their plies, and the cache filled, before it counts.
    tokio::time::sleep(every).await;
    let mut published = 0;
    let mut next = Instant::now() + every;
    ticks.reset();
    let (mut at, mut before) = (Instant::now(), stats.snapshot());
    loop {
        ticks.tick().await;
        let (now, counts) = (Instant::now(), stats.snapshot());
        let changed = counts.loading_ns != before.loading_ns || counts.models_loaded != before.models_loaded;
        let bucket = Bucket {
            seconds: (now - at).as_secs_f64(),
            evaluations: counts.evaluations - before.evaluations,
            swapping: counts.loading == 1 || before.loading == 1 || changed,
        };
        buckets.send(bucket).ok();
        (at, before) = (now, counts);
        if now >= next {
            // A model that takes longer than the time between two is waited for.
            if counts.models_loaded > published {
                if published == swaps {
                    return Ok(());
                }
                published += 1;
                publisher.publish(published)?;
            }
            next = now + every;
        }
    }
}

fn summary(model: PathBuf, args: &SwapArgs, loading_ms: f64, buckets: &[Bucket]) -> Report {
    let rate = |swapping: bool| {
        let chosen = buckets.iter().filter(|bucket| bucket.swapping == swapping);
        let sum = chosen.fold((0, 0.0), |sum, bucket| (sum.0 + bucket.evaluations, sum.1 + bucket.seconds));
        sum.0 as f64 / sum.1
    };
    let (outside, during) = (rate(false), rate(true));
    let slow = |swapping: bool| {
        let chosen = buckets.iter().filter(move |bucket| bucket.swapping == swapping);
        chosen.filter(|bucket| bucket.rate() < KEPT * outside).collect::<Vec<_>>()
    };
    let others = buckets.iter().filter(|bucket| !bucket.swapping).count();
    Report {
        model,
        swaps: args.swaps,
        every_s: args.every,
        loading_ms,
        outside_per_s: outside,
        during_per_s: during,
        ratio: during / outside,
        below_80_ms_per_swap: slow(true).iter().map(|bucket| bucket.seconds * 1e3).sum::<f64>() / args.swaps as f64,
        below_80_outside: slow(false).len() as f64 / others as f64,
    }
}

fn table(report: &Report) -> String {
    [
        ("swaps, seconds between two", format!("{}, {}", report.swaps, report.every_s)),
        ("loading and checking a model, ms", format!("{:.0}", report.loading_ms)),
        ("evaluations per s outside of swaps, during", {
            format!("{:.0}, {:.0}", report.outside_per_s, report.during_per_s)
        }),
        ("ratio", format!("{:.3}", report.ratio)),
        ("below 80% in 50 ms: ms per swap", format!("{:.0}", report.below_80_ms_per_swap)),
        ("below 80% in 50 ms: share outside of swaps (noise)", format!("{:.3}", report.below_80_outside)),
    ]
    .map(|(name, value)| format!("{name:<50} {value}"))
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_summed_by_whether_a_model_was_swapped_in() {
        let bucket = |evaluations, swapping| Bucket { seconds: 0.05, evaluations, swapping };
        let buckets = [
            bucket(100, false),
            bucket(120, false),
            bucket(60, true),
            bucket(100, true),
            bucket(110, false),
            bucket(20, false),
        ];
        let command =
            crate::cli::command().try_get_matches_from(["selfplayd", "bench", "swap", "--swaps", "2"]).unwrap();
        let cli = <crate::cli::Cli as clap::FromArgMatches>::from_arg_matches(&command).unwrap();
        let Some(crate::cli::Command::Bench(bench)) = cli.command else { panic!("not bench") };
        let Some(crate::cli::BenchWhat::Swap(args)) = bench.what else { panic!("not swap") };
        let report = summary("m.onnx".into(), &args, 7.0, &buckets);
        assert!((report.outside_per_s - 1750.0).abs() < 1e-6 && (report.during_per_s - 1600.0).abs() < 1e-6);
        assert!((report.ratio - 1600.0 / 1750.0).abs() < 1e-9);
        assert!((report.below_80_ms_per_swap - 25.0).abs() < 1e-9, "one bucket of two swaps");
        assert_eq!(report.below_80_outside, 0.25);
    }
}
