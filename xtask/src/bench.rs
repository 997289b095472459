//! `cargo xtask bench`: the benchmarks of the engine (criterion), then those of the whole daemon (`selfplayd bench`). With `--fleet`: see
//! [`fleet`].

mod fleet;

use crate::{command, demo, ort};

/// What `selfplayd bench` measures unless told otherwise.
const DEFAULT_ARGS: [&str; 4] =
    ["--config", "configs/bench/5x5.yaml", "--model-path", "configs/demo/b5w3_resnet_2x32.onnx"];

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only the benchmarks of the engine
    #[arg(long, conflicts_with = "daemon")]
    engine: bool,
    /// Run only the benchmarks of the daemon
    #[arg(long)]
    daemon: bool,
    /// Measure a fleet instead
    #[command(flatten)]
    fleet: fleet::Args,
    /// Passed on to `selfplayd bench` [default: the small network of the demo]
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

/// Runs what `args` ask for.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.fleet.is_wanted() {
        return fleet::run(&args.fleet);
    }
    if !args.daemon {
        command::run(command::cargo().args(["bench", "--locked", "--package", "selfplay-engine"]))?;
    }
    if !args.engine {
        let library = ort::library()?;
        let daemon = demo::build_daemon()?;
        let mut bench = command::command(daemon);
        bench.arg("bench").env("ORT_DYLIB_PATH", library);
        if args.rest.is_empty() {
            bench.args(DEFAULT_ARGS);
        }
        command::run(bench.args(&args.rest))?;
    }
    Ok(())
}
