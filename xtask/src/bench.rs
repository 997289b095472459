//! `cargo xtask bench`: the benchmarks of the engine (criterion), then those of the whole daemon (`selfplayd bench`).

use crate::{command, demo, ort};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the benchmarks of the engine
    #[arg(long, conflicts_with = "daemon")]
    engine: bool,
    /// Run only the benchmarks of the daemon
    #[arg(long)]
    daemon: bool,
    /// Passed on to `selfplayd bench`
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

/// Runs what `args` ask for.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.daemon {
        command::run(command::cargo().args(["bench", "--locked", "--package", "selfplay-engine"]))?;
    }
    if !args.engine {
        let library = ort::library()?;
        let daemon = demo::build_daemon()?;
        command::run(command::command(daemon).arg("bench").args(&args.rest).env("ORT_DYLIB_PATH", library))?;
    }
    Ok(())
}
