//! `cargo xtask chaos`: the storms of `tests/chaos` for as long as one likes.

use crate::{command, ort, python};

/// Arguments of `cargo xtask chaos`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long
    #[arg(long, value_name = "M", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: u32,
    /// Repeat the schedule of an earlier run, which names its seed [default: a fresh one]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Break a whole fleet: workers, a NATS server (see `cargo xtask fetch-nats`), hubs, and the links between
    #[arg(long)]
    fleet: bool,
    /// Build with optimisations: more games, and other timing
    #[arg(long)]
    release: bool,
}

/// Builds the daemon with faults to inject, and breaks it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let library = ort::cpu_library(false)?;
    let python = python::with_numpy()?;
    let mut test = command::cargo();
    test.args(["test", "--locked", "--package", "selfplayd", "--features", "fault-injection", "--test", "chaos"]);
    if args.release {
        test.arg("--release");
    }
    let storm = if args.fleet { "fleet::a_long_storm" } else { "storms::a_long_storm" };
    test.args(["--", "--ignored", "--exact", "--nocapture", storm]);
    test.env("ORT_DYLIB_PATH", library).env(python::VARIABLE, python);
    test.env("CHAOS_MINUTES", args.minutes.to_string());
    if let Some(seed) = args.seed {
        test.env("CHAOS_SEED", seed.to_string());
    }
    command::run(&mut test)
}
