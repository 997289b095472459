//! `selfplayd`: plays AlphaZero self-play games beside a trainer.
//!
//! A library only so that fuzz targets reach what reads bytes of others ([`fuzzing`]); the program is [`main`].
//!
//! - [`exit`]: exit codes
//! - [`token`]: the secret of those who may control the daemon from afar
//! - [`settings`]: what can be set, and from where
//! - [`telemetry`]: the log
//! - [`cli`]: the command line
//! - [`sizes`], [`agents`]: from settings to threads, batches and players
//! - [`mod@report`], [`trace`]: what a user sees of games in play and of finished ones
//! - [`stop`]: shutdown file and signals
//! - [`control`]: what may be told to a running daemon
//! - [`status`], [`http`]: how it is doing, and who may ask and steer
//! - [`client`]: the commands that speak to a running daemon
//! - [`output`]: where games go, and which ones go on
//! - [`play`], [`mod@check_model`], [`mod@bench`]: the daemon, its guard against bad models, and its yardstick

mod agents;
mod bench;
mod check_model;
mod cli;
mod client;
mod control;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod output;
mod play;
mod report;
mod settings;
mod sizes;
mod status;
mod stop;
mod telemetry;
mod token;
mod trace;

use std::io::Write as _;
use std::process::ExitCode;

use cli::{BenchWhat, Command, Flags};
use client::Ask;
use exit::Exit;
use settings::{Preset, Purpose, Settings};

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    let cli = cli::parse();
    let outcome = match &cli.command {
        None => daemon(&cli.flags),
        Some(Command::Config(flags)) => print_config(flags),
        Some(Command::Show(args)) => trace::show(args),
        Some(Command::CheckModel(args)) => {
            load(&args.flags, Purpose::Bench, None).and_then(|settings| check_model::check_model(args, &settings))
        }
        Some(Command::Bench(args)) => measure(args),
        Some(Command::Status(args)) => client::ask(args, Ask::Status),
        Some(Command::Games(args)) => client::ask(args, Ask::Games),
        Some(Command::Reload(args)) => client::ask(args, Ask::Reload),
        Some(Command::Pause(args)) => client::ask(args, Ask::Pause),
        Some(Command::Resume(args)) => client::ask(args, Ask::Resume),
        Some(Command::Drain(args)) => client::ask(args, Ask::Drain),
    };
    outcome.map_or_else(report, ExitCode::from)
}

/// Plays; signals are heard from the first moment on.
fn daemon(flags: &Flags) -> anyhow::Result<Exit> {
    let signals = stop::Signals::catch()?;
    play::play(&load(flags, Purpose::Play, None)?, signals)
}

/// Says why the process ends, and with which code.
#[expect(clippy::print_stderr, reason = "the log may not have started")]
fn report(error: anyhow::Error) -> ExitCode {
    let exit = Exit::of(&error);
    if exit != Exit::Clean {
        eprintln!("selfplayd: {error:#}");
    }
    exit.into()
}

/// The settings of this process; starts the log and says what was probably not meant.
fn load(flags: &Flags, purpose: Purpose, preset: Option<Preset>) -> anyhow::Result<Settings> {
    let resolved = flags.resolve(purpose, preset);
    let warnings = resolved.warnings().to_vec();
    let settings = resolved.into_settings()?;
    telemetry::init(&settings.log)?;
    let memory = sizes::machine_memory().and_then(|memory| sizes::memory_warning(&settings, memory));
    warnings.iter().chain(&memory).for_each(|warning| tracing::warn!("{warning}"));
    if purpose == Purpose::Play {
        settings::try_out(&settings)?;
    }
    Ok(settings)
}

/// `selfplayd config`: the settings on standard output, what is missing or odd about them on standard error.
#[expect(clippy::print_stderr, reason = "output of the command line")]
fn print_config(flags: &Flags) -> anyhow::Result<Exit> {
    let resolved = flags.resolve(Purpose::Play, None);
    resolved.refuse_mistakes()?;
    resolved.missing().for_each(|missing| eprintln!("to play games: {missing}"));
    resolved.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
    std::io::stdout().write_all(resolved.to_toml().as_bytes())?;
    Ok(Exit::Clean)
}

/// `selfplayd bench`: measures with a preset under the user's settings.
fn measure(args: &cli::BenchArgs) -> anyhow::Result<Exit> {
    let preset = Preset { name: "preset bench", toml: include_str!("../configs/bench.toml") };
    match &args.what {
        None => bench::bench(args, &load(&args.flags, Purpose::Bench, Some(preset))?),
        Some(BenchWhat::Swap(args)) => bench::swap(args, &load(&args.flags, Purpose::Bench, Some(preset))?),
    }
}
