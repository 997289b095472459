//! `selfplayd bench`: the whole daemon against what the network alone can do.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use selfplay_actors::onnx::{Loaded, Placement, raw_throughput};

use super::{
    figures::{Better, Figures},
    measure::{Until, Window, measure},
    progress::Progress,
    report::{BatchSizes, Report, Setup, earlier},
    text::table,
};
use crate::{
    cli::BenchArgs,
    daemon::evaluation::prepare_onnx,
    exit::Exit,
    played::PlayedGame,
    settings::{EvaluatorKind, Settings},
};

const NAME: &str = "speed";

/// The network alone.
#[derive(Clone, Debug)]
struct Ceiling {
    placement: Placement,
    evaluations_per_s: f64,
    /// Not a number where the system does not say.
    evaluations_per_cpu_s: f64,
}

/// Measures and prints.
pub(crate) fn speed(game: &impl PlayedGame, args: &BenchArgs, settings: &Settings) -> anyhow::Result<Exit> {
    check_span(args.seconds, args.rounds)?;
    let earlier = earlier(&args.output, NAME)?;
    let onnx = has_network(settings)?;
    let mut setup = Setup::new(game, settings)?;
    let (until, span) = match args.games {
        Some(games) => (Until::Games(games), format!("{games} games")),
        None => (Until::Seconds(args.seconds), format!("{} s", args.seconds)),
    };
    let steps = if onnx { 2.0 } else { 1.0 };
    let mut progress = Progress::new(args.seconds * steps * args.rounds as f64);
    let (mut ceilings, mut windows) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        if onnx {
            progress.step(
                &format!("round {round} of {}: the network alone, {} s", args.rounds, args.seconds),
                args.seconds,
            );
            ceilings.push(ceiling(game, settings, args.seconds)?);
        }
        progress.step(&format!("round {round} of {}: the whole daemon, {span}", args.rounds), args.seconds);
        windows.push(measure(game, settings, until)?);
    }
    drop(progress);
    if let Some(ceiling) = ceilings.last() {
        setup.ran_on(&ceiling.placement);
    }
    let mut report = Report::new(NAME, setup, args.rounds, figures(&ceilings, &windows));
    report.batch_sizes = Some(BatchSizes::of(windows.iter().map(|window| window.rates.counts.batch_size)));
    report.print(&args.output, earlier.as_ref(), text)
}

pub(super) fn check_span(seconds: f64, rounds: usize) -> anyhow::Result<()> {
    ensure!(seconds > 0.0 && seconds <= 3600.0, "--seconds {seconds}: more than 0, at most 3600");
    ensure!((1..=100).contains(&rounds), "--rounds {rounds}: 1 to 100");
    Ok(())
}

/// Whether a network is measured.
pub(super) fn has_network(settings: &Settings) -> anyhow::Result<bool> {
    let onnx = settings.inference.evaluator == EvaluatorKind::Onnx;
    if onnx && settings.model.path.is_none() {
        bail!("bench needs a network: --model-path FILE, or --evaluator uniform to measure all but the network");
    }
    Ok(onnx)
}

/// The network alone, on all inference threads, with batches of the largest size.
fn ceiling(game: &impl PlayedGame, settings: &Settings, seconds: f64) -> anyhow::Result<Ceiling> {
    let prepared = prepare_onnx(settings, game)?;
    let (_, mut loaded) = prepared.load_model(game, settings.model.path.as_deref().context("no model")?)?;
    let raw = raw_throughput(&mut loaded.evaluators, prepared.load.max_batch, Duration::from_secs_f64(seconds))?;
    let Loaded { devices, precision, .. } = loaded;
    Ok(Ceiling {
        placement: Placement { devices, precision },
        evaluations_per_s: raw.evaluations_per_second,
        evaluations_per_cpu_s: raw.evaluations as f64 / raw.cpu_seconds.unwrap_or(f64::NAN),
    })
}

/// All that is shown. Efficiency is that of each round, whose two halves were measured one after the other.
fn figures(ceilings: &[Ceiling], windows: &[Window]) -> Figures {
    let mut figures = Figures::default();
    let ceiling = |of: fn(&Ceiling) -> f64| ceilings.iter().map(of);
    let (wall, cpu) = (|of: &Ceiling| of.evaluations_per_s, |of: &Ceiling| of.evaluations_per_cpu_s);
    figures.add("ceiling.evaluations_per_s", "the network alone: evaluations per s", Better::Neither, ceiling(wall));
    figures.add("ceiling.evaluations_per_cpu_s", "  per CPU-s", Better::Neither, ceiling(cpu));
    let rounds = || ceilings.iter().zip(windows);
    let by_wall = rounds()
        .map(|(alone, daemon)| daemon.rates.per_second(daemon.rates.counts.evaluations) / alone.evaluations_per_s);
    let by_cpu = rounds().map(|(alone, daemon)| {
        daemon.rates.counts.evaluations as f64 / daemon.cpu_seconds() / alone.evaluations_per_cpu_s
    });
    figures.add("efficiency", "efficiency: the daemon ÷ the network alone, wall", Better::More, by_wall);
    figures.add("efficiency_cpu", "  by CPU time", Better::More, by_cpu);
    figures.read("pipeline.", windows, |_| true);
    figures
}

fn text(report: &Report) -> String {
    let mut text = format!("{}\nrounds: {}\n\n{}", report.setup.text(), report.rounds, table(&report.rows()));
    if let Some(sizes) = report.batch_sizes.as_ref().map(BatchSizes::text).filter(|sizes| !sizes.is_empty()) {
        text.push_str(&format!("\nbatches by size: {sizes}"));
    }
    text
}
