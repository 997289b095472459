//! `cargo xtask soak`: one daemon beside a trainer that replaces the model every two seconds, for long enough to see whether
//! memory, files or threads pile up. With `--fleet`: see [`fleet`].

mod fleet;
mod samples;
mod trainer;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use self::{
    samples::{Sample, Verdict},
    trainer::Trainer,
};
use crate::{
    command::{self, Running},
    demo, ort, site,
};

/// Time between two models, and between two samples.
const STEP: Duration = Duration::from_secs(2);

/// Arguments of `cargo xtask soak`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long; the first third is warm-up
    #[arg(long, value_name = "M", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Most that resident memory may grow after the warm-up, in MiB per hour
    #[arg(long, value_name = "MIB", default_value_t = 16.0)]
    max_growth: f64,
    /// Measure this daemon instead of a fresh release build
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,
    /// Soak a fleet instead: a server, a hub, and workers that finish games which were played before
    #[arg(long)]
    fleet: bool,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 200, requires = "fleet", value_parser = clap::value_parser!(u32).range(1..=9999))]
    workers: u32,
    /// Games per second of all workers together
    #[arg(long, value_name = "G", default_value_t = 30.0, requires = "fleet")]
    games_per_second: f64,
    /// Folder of games that were played before [default: some of 9x9 are played first]
    #[arg(long, value_name = "DIR", requires = "fleet")]
    games: Option<PathBuf>,
}

/// Runs the daemon and judges it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.fleet {
        return fleet::run(args);
    }
    let library = ort::cpu_library(false)?;
    let daemon = match &args.daemon {
        Some(daemon) => daemon.clone(),
        None => demo::build_daemon()?,
    };
    let mut trainer = Trainer::new()?;
    trainer.publish()?;
    let log = trainer.path("daemon.log");
    let mut command = command::command(daemon);
    // What is cached grows until it is full, which must be within the warm-up.
    command.args(["--config", "configs/bench/5x5.yaml", "--continuous", "--grace-seconds", "20"]);
    command.arg("--output-dir").arg(trainer.ready()).arg("--latest-model-yaml").arg(trainer.latest_yaml());
    command.env("ORT_DYLIB_PATH", library).env("SELFPLAYD__CACHE__MAX_BYTES", "32MiB");
    command.stdout(Stdio::null()).stderr(fs::File::create(&log).context("cannot create the daemon's log")?);
    println!("soaking for {} min in {}", args.minutes, trainer.root().display());
    let mut child = Running::start(&mut command)?;
    let samples = soak(&mut child, &mut trainer, Duration::from_secs(60 * u64::from(args.minutes)));
    let samples = match samples {
        Ok(samples) => samples,
        Err(error) => {
            println!("{}", fs::read_to_string(&log).unwrap_or_default());
            return Err(error);
        }
    };
    child.end()?;
    trainer.take_games()?;
    let restarts = restarts(&log)?;
    let verdict = Verdict::of(&samples).context("too few samples")?;
    println!("\n{}", verdict.table());
    println!("{} models swapped in, {} games taken, {restarts} restarts", trainer.version(), trainer.games());
    let mut faults = verdict.faults(args.max_growth);
    if restarts > 0 {
        faults.push(format!("{restarts} restarts, though no fault was injected"));
    }
    if faults.is_empty() { Ok(()) } else { bail!(faults.join("; ")) }
}

fn soak(child: &mut Running, trainer: &mut Trainer, length: Duration) -> anyhow::Result<Vec<Sample>> {
    let begun = Instant::now();
    let mut samples = Vec::new();
    let mut told = 0;
    while begun.elapsed() < length {
        site::pause(STEP);
        child.check("the daemon")?;
        trainer.take_games()?;
        trainer.publish()?;
        let sample = Sample::take(child.pid(), begun.elapsed())?;
        if begun.elapsed().as_secs() / 60 > told {
            told = begun.elapsed().as_secs() / 60;
            println!("{told:>4} min: {sample}, {} models, {} games", trainer.version(), trainer.games());
        }
        samples.push(sample);
    }
    Ok(samples)
}

/// Restarts of children and threads that the log speaks of.
fn restarts(log: &Path) -> anyhow::Result<usize> {
    let log = fs::read_to_string(log).context("cannot read the daemon's log")?;
    Ok(log.lines().filter(|line| line.contains("restarting")).count())
}
