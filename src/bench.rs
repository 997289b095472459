//! `selfplayd bench`: the whole daemon against what the network alone can do, in one process, in turn and repeated.

mod metrics;
mod swap;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use selfplay_actors::{
    game::GamePlan,
    loader::ModelOrigin,
    onnx::{ModelFile, load_evaluators, raw_throughput},
    root::{Ending, Options, run},
    stats::{Snapshot, Stats},
};
use selfplay_engine::games::quoridor::Quoridor;
use serde::Serialize;

pub(crate) use self::{metrics::metrics, swap::swap};

use crate::{
    agents::terms,
    cli::BenchArgs,
    exit::{Exit, failed},
    output::{self, Opened},
    play::{Evaluation, Prepared, prepare_onnx, rules},
    report::Rates,
    settings::{EvaluatorKind, Settings},
};

/// Share of a measurement that is played before it counts: games must be spread over all their plies.
const WARM_UP: f64 = 0.25;
/// Looks at the counters this often while it waits for them.
const TICK: Duration = Duration::from_millis(20);

/// One measurement of the whole daemon.
#[derive(Clone, Copy, Debug, Serialize)]
struct Pipeline {
    games_per_s: f64,
    positions_per_s: f64,
    simulations_per_s: f64,
    evaluations_per_s: f64,
    simulations_per_cpu_s: f64,
    evaluations_per_cpu_s: f64,
    cores_used: f64,
    mean_batch: f64,
    hit_rate: f64,
    inference_share: f64,
}

/// Medians over all rounds.
#[derive(Clone, Debug, Serialize)]
struct Report {
    model: Option<PathBuf>,
    games_at_once: u32,
    inference_threads: usize,
    game_threads: usize,
    max_batch: usize,
    rounds: usize,
    /// The network alone, on the same threads and batch size; absent without a network.
    raw_evaluations_per_s: Option<f64>,
    raw_evaluations_per_cpu_s: Option<f64>,
    /// Evaluations of the daemon by those of the network alone, per second and per CPU-second: medians of the rounds' ratios.
    efficiency: Option<f64>,
    efficiency_cpu: Option<f64>,
    pipeline: Pipeline,
    peak_memory_mib: Option<f64>,
}

/// Measures and prints.
pub(crate) fn bench(args: &BenchArgs, settings: &Settings) -> anyhow::Result<Exit> {
    ensure!(args.seconds > 0.0 && args.seconds <= 3600.0, "--seconds {}: more than 0, at most 3600", args.seconds);
    ensure!((1..=100).contains(&args.rounds), "--rounds {}: 1 to 100", args.rounds);
    let onnx = settings.inference.evaluator == EvaluatorKind::Onnx;
    if onnx && settings.model.path.is_none() {
        bail!("bench needs a network: --model-path FILE, or --evaluator uniform to measure all but the network");
    }
    let mut raws = Vec::new();
    let mut pipelines = Vec::new();
    for round in 1..=args.rounds {
        if onnx {
            progress(&format!("round {round} of {}: the network alone, {} s", args.rounds, args.seconds));
            raws.push(raw(settings, args.seconds)?);
        }
        let span = args.games.map_or_else(|| format!("{} s", args.seconds), |games| format!("{games} games"));
        progress(&format!("round {round} of {}: the whole daemon, {span}", args.rounds));
        pipelines.push(in_temporary_dir(|dir| pipeline(dir, settings, args))?);
    }
    let sizes = Evaluation::prepare(settings)?.sizes;
    let ratio = |by: fn(&Pipeline) -> f64, of: fn(&(f64, f64)) -> f64| {
        onnx.then(|| median(pipelines.iter().zip(&raws).map(|(pipeline, raw)| by(pipeline) / of(raw))))
    };
    let report = Report {
        model: settings.model.path.clone(),
        games_at_once: settings.play.games_per_process,
        inference_threads: sizes.inference_threads,
        game_threads: sizes.game_threads,
        max_batch: sizes.batching.max_batch,
        rounds: args.rounds,
        raw_evaluations_per_s: onnx.then(|| median(raws.iter().map(|raw| raw.0))),
        raw_evaluations_per_cpu_s: onnx.then(|| median(raws.iter().map(|raw| raw.1))),
        efficiency: ratio(|pipeline| pipeline.evaluations_per_s, |raw| raw.0),
        efficiency_cpu: ratio(|pipeline| pipeline.evaluations_per_cpu_s, |raw| raw.1),
        pipeline: medians(&pipelines),
        peak_memory_mib: peak_memory_mib(),
    };
    let text = if args.json { serde_json::to_string(&report)? } else { table(&report) };
    writeln!(std::io::stdout().lock(), "{text}")?;
    Ok(Exit::Clean)
}

#[expect(clippy::print_stderr, reason = "progress of the command line; standard output is for the result")]
fn progress(text: &str) {
    eprintln!("{text}");
}

/// Evaluations per second and per CPU-second of the network alone, on all inference threads.
fn raw(settings: &Settings, seconds: f64) -> anyhow::Result<(f64, f64)> {
    let Prepared { runtime, load, provider: _ } = prepare_onnx(settings)?;
    let model = ModelFile::read(settings.model.path.clone().context("no model")?).map_err(failed)?;
    let mut loaded = load_evaluators(&runtime, &rules(settings)?, &model, &load).map_err(failed)?;
    let raw = raw_throughput(&mut loaded.evaluators, load.max_batch, Duration::from_secs_f64(seconds))?;
    let cpu_seconds = raw.cpu_seconds.unwrap_or(f64::NAN);
    Ok((raw.evaluations_per_second, raw.evaluations as f64 / cpu_seconds))
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    counts: Snapshot,
    cpu_seconds: Option<f64>,
}

impl Sample {
    fn now(stats: &Stats) -> Self {
        Self { at: Instant::now(), counts: stats.snapshot(), cpu_seconds: process_cpu_seconds() }
    }
}

/// What is played on: a directory, counters, and everything settled that does not depend on where models come from.
pub(crate) struct Ground {
    opened: Opened,
    pub stats: Arc<Stats>,
    plan: GamePlan<Quoridor>,
    pub evaluation: Evaluation,
}

impl Ground {
    pub(crate) fn new(dir: &Path, settings: &Settings, games: Option<u64>) -> anyhow::Result<Self> {
        let stats = Arc::new(Stats::default());
        let (game, seed) = (rules(settings)?, settings.play.seed.unwrap_or(0));
        let opened = output::open(settings, dir, game, seed, games)?;
        let plan = GamePlan {
            game,
            terms: terms(settings),
            seed,
            journal: opened.output.journal.clone(),
            stats: stats.clone(),
            hook: None,
            thrifty: Arc::default(),
        };
        Ok(Self { opened, stats, plan, evaluation: Evaluation::prepare(settings)? })
    }

    pub(crate) fn options(self, settings: &Settings, origin: ModelOrigin) -> Options<Quoridor> {
        self.evaluation.options(settings, self.plan, self.opened, origin)
    }
}

/// Does something in a directory that is removed afterwards.
fn in_temporary_dir<T>(work: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let dir = std::env::temp_dir().join(format!("selfplayd-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    let done = work(&dir);
    let removed = fs::remove_dir_all(&dir).with_context(|| format!("failed to remove {}", dir.display()));
    done.and_then(|done| removed.map(|()| done))
}

fn check_ending(ending: Ending) -> anyhow::Result<()> {
    match ending {
        Ending::Clean => Ok(()),
        other => bail!("the daemon ended early: {other:?}"),
    }
}

/// What was counted while it was measured.
struct Window {
    rates: Rates,
    cpu_seconds: f64,
    inference_threads: usize,
}

/// Plays for a while, or a number of whole `games`.
fn play(dir: &Path, settings: &Settings, seconds: f64, games: Option<u64>) -> anyhow::Result<Window> {
    let ground = Ground::new(dir, settings, games)?;
    let (stats, inference_threads) = (ground.stats.clone(), ground.evaluation.sizes.inference_threads);
    let origin = ModelOrigin::Fixed { path: settings.model.path.clone(), version: 0 };
    let options = ground.options(settings, origin);
    let window = stats.clone();
    let before = Sample::now(&stats);
    let (samples, taken) = mpsc::channel();
    let started = move |controller: selfplay_actors::root::Controller| {
        actix::spawn(async move {
            // Loading the model does not count.
            while window.simulations_total() == 0 {
                tokio::time::sleep(TICK).await;
            }
            if games.is_none() {
                tokio::time::sleep(Duration::from_secs_f64(seconds * WARM_UP)).await;
            }
            samples.send(Sample::now(&window)).ok();
            match games {
                None => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
                Some(games) => {
                    while window.games_finished.get() + window.games_abandoned.get() < games {
                        tokio::time::sleep(TICK).await;
                    }
                }
            }
            samples.send(Sample::now(&window)).ok();
            controller.drain("the measurement is over", Duration::ZERO);
        });
    };
    check_ending(run(options, started).context("failed to run the actor system")?)?;
    // A number of games may be over between two looks at the counters.
    let begin = taken.try_recv().unwrap_or(before);
    let end = taken.try_recv().unwrap_or_else(|_| Sample::now(&stats));
    let rates = Rates { counts: end.counts.since(&begin.counts), seconds: (end.at - begin.at).as_secs_f64() };
    let cpu_seconds = end.cpu_seconds.zip(begin.cpu_seconds).map_or(f64::NAN, |(end, begin)| end - begin);
    Ok(Window { rates, cpu_seconds, inference_threads })
}

fn pipeline(dir: &Path, settings: &Settings, args: &BenchArgs) -> anyhow::Result<Pipeline> {
    let Window { rates, cpu_seconds: cpu, inference_threads: threads } = play(dir, settings, args.seconds, args.games)?;
    let counts = &rates.counts;
    Ok(Pipeline {
        games_per_s: rates.per_second(counts.games_finished),
        positions_per_s: rates.per_second(counts.plies()),
        simulations_per_s: rates.per_second(counts.simulations_total()),
        evaluations_per_s: rates.per_second(counts.evaluations),
        simulations_per_cpu_s: counts.simulations_total() as f64 / cpu,
        evaluations_per_cpu_s: counts.evaluations as f64 / cpu,
        cores_used: cpu / rates.seconds,
        mean_batch: rates.mean_batch(),
        hit_rate: rates.hit_rate(),
        inference_share: counts.inference_seconds_total() as f64 / 1e9 / rates.seconds / threads as f64,
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => (values[len / 2 - 1] + values[len / 2]) / 2.0,
    }
}

fn medians(rounds: &[Pipeline]) -> Pipeline {
    let of = |field: fn(&Pipeline) -> f64| median(rounds.iter().map(field));
    Pipeline {
        games_per_s: of(|round| round.games_per_s),
        positions_per_s: of(|round| round.positions_per_s),
        simulations_per_s: of(|round| round.simulations_per_s),
        evaluations_per_s: of(|round| round.evaluations_per_s),
        simulations_per_cpu_s: of(|round| round.simulations_per_cpu_s),
        evaluations_per_cpu_s: of(|round| round.evaluations_per_cpu_s),
        cores_used: of(|round| round.cores_used),
        mean_batch: of(|round| round.mean_batch),
        hit_rate: of(|round| round.hit_rate),
        inference_share: of(|round| round.inference_share),
    }
}

fn table(report: &Report) -> String {
    let p = &report.pipeline;
    let mut rows = vec![
        ("inference threads, game threads, largest batch", {
            format!("{}, {}, {}", report.inference_threads, report.game_threads, report.max_batch)
        }),
        ("games at once", report.games_at_once.to_string()),
    ];
    if let (Some(raw), Some(raw_cpu)) = (report.raw_evaluations_per_s, report.raw_evaluations_per_cpu_s) {
        rows.push(("network alone: evaluations per s, per CPU-s", format!("{raw:.0}, {raw_cpu:.0}")));
    }
    rows.push((
        "daemon: evaluations per s, per CPU-s",
        format!("{:.0}, {:.0}", p.evaluations_per_s, p.evaluations_per_cpu_s),
    ));
    if let (Some(wall), Some(cpu)) = (report.efficiency, report.efficiency_cpu) {
        rows.push(("daemon ÷ network alone: wall, CPU", format!("{wall:.3}, {cpu:.3}")));
    }
    rows.extend([
        ("simulations per s, per CPU-s", format!("{:.0}, {:.0}", p.simulations_per_s, p.simulations_per_cpu_s)),
        ("games per s, positions per s", format!("{:.2}, {:.1}", p.games_per_s, p.positions_per_s)),
        ("mean batch, hit rate", format!("{:.1}, {:.3}", p.mean_batch, p.hit_rate)),
        ("cores used, share of time in the network", format!("{:.2}, {:.3}", p.cores_used, p.inference_share)),
    ]);
    if let Some(peak) = report.peak_memory_mib {
        rows.push(("peak memory, MiB", format!("{peak:.0}")));
    }
    rows.push(("rounds (medians shown)", report.rounds.to_string()));
    rows.into_iter().map(|(name, value)| format!("{name:<50} {value}")).collect::<Vec<_>>().join("\n")
}

/// CPU time of all threads of this process, those that ended included.
fn process_cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field may hold anything in parentheses; user and system time are the 12th and 13th after it, in 1/100 s.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
}
