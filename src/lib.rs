//! `selfplayd`: plays AlphaZero self-play games beside a trainer.
//!
//! A library only so that fuzz targets reach what reads bytes of others ([`fuzzing`]); the program is [`main`].
//!
//! - `streams`: standard error and standard output, which may go away
//! - `exit`: exit codes
//! - `words`: spans of time and sizes as people read them
//! - `token`: the secret of those who may control the daemon from afar
//! - `settings`, `cli`, `shipped`, `boards`: what can be set, by files and flags; the games, of which the settings choose one; games for
//!   people. A game says what of it can be set and how it is shown
//! - `telemetry`: the log
//! - `daemon`: what a process that plays is made of
//! - `steering`: what changes while games are played
//! - `status`: how it is doing
//! - `metrics`: what is counted, for Prometheus
//! - `http`: who may ask and steer
//! - `commands`: what the program does, playing first

// `streams` writes to standard error: it may be gone, and `eprintln!` would panic.
#![warn(clippy::print_stderr)]

mod boards;
mod cli;
mod commands;
mod daemon;
mod exit;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod metrics;
mod settings;
mod shipped;
mod status;
mod steering;
mod streams;
mod telemetry;
#[cfg(test)]
mod testing;
mod token;
mod words;

use std::os::unix::process::parent_id;
use std::process::ExitCode;

use cli::{BenchWhat, Command, Flags};
use commands::{
    bench, check_model,
    client::{self, Ask},
    convert_model, matches, show, tune,
};
use daemon::{
    signals::{self, Signals},
    sizes,
};
use exit::Exit;
use settings::{Preset, Purpose, Resolved, Settings};
use steering::live_settings::Origin;

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    // Before anything else: until a daemon listens, a signal that means something to it kills the process.
    let is_daemon = !std::env::args_os().nth(1).is_some_and(|first| cli::is_command(&first));
    let signals =
        if is_daemon { Signals::catch().map(Some) } else { signals::outlive_file_size_limit().map(|()| None) };
    let cli = cli::parse();
    let outcome = signals.and_then(|signals| run(&cli, signals));
    outcome.map_or_else(report, ExitCode::from)
}

/// Does what the command line says. `signals`: those that a daemon is sent, caught since its first moment.
fn run(cli: &cli::Cli, signals: Option<Signals>) -> anyhow::Result<Exit> {
    match &cli.command {
        None => play(&cli.flags, signals.map_or_else(Signals::catch, Ok)?),
        Some(Command::Config(flags)) => print_config(flags),
        Some(Command::Show(args)) => show::show(args),
        Some(Command::CheckModel(args)) => {
            load(&args.flags, Purpose::Bench, None).and_then(|settings| check_model::check_model(args, &settings))
        }
        Some(Command::ConvertModel(args)) => {
            load(&args.flags, Purpose::Bench, None).and_then(|settings| convert_model::convert_model(args, &settings))
        }
        Some(Command::Bench(args)) => measure(args),
        Some(Command::Tune(args)) => {
            let preset = Preset { name: "preset tune", toml: include_str!("../configs/tune.toml") };
            load(&args.flags, Purpose::Bench, Some(preset)).and_then(|settings| tune::tune(args, &settings))
        }
        Some(Command::Match(args)) => {
            let (settings, resolved) = load_resolved(&args.flags, Purpose::Bench, None)?;
            matches::play_match(args, &settings, &resolved)
        }
        Some(Command::Ladder(args)) => {
            let (settings, resolved) = load_resolved(&args.flags, Purpose::Bench, None)?;
            matches::play_ladder(args, &settings, &resolved)
        }
        Some(Command::Status(args)) => client::ask(args, Ask::Status),
        Some(Command::Games(args)) => client::ask(args, Ask::Games),
        Some(Command::Reload(args)) => client::ask(args, Ask::Reload),
        Some(Command::Pause(args)) => client::ask(args, Ask::Pause),
        Some(Command::Resume(args)) => client::ask(args, Ask::Resume),
        Some(Command::Drain(args)) => client::ask(args, Ask::Drain),
    }
}

/// Plays.
fn play(flags: &Flags, signals: Signals) -> anyhow::Result<Exit> {
    let parent = parent_id();
    let (settings, resolved) = load_resolved(flags, Purpose::Play, None)?;
    commands::play::play(&settings, Origin { flags: flags.clone(), resolved, parent }, signals)
}

/// Says why the process ends, and with which code.
fn report(error: anyhow::Error) -> ExitCode {
    let exit = Exit::of(&error);
    if exit != Exit::Clean {
        streams::complain(format_args!("selfplayd: {error:#}"));
    }
    exit.into()
}

/// The settings of this process; starts the log and says what was probably not meant.
fn load(flags: &Flags, purpose: Purpose, preset: Option<Preset>) -> anyhow::Result<Settings> {
    load_resolved(flags, purpose, preset).map(|(settings, _)| settings)
}

/// The same, with where each came from.
fn load_resolved(flags: &Flags, purpose: Purpose, preset: Option<Preset>) -> anyhow::Result<(Settings, Resolved)> {
    let resolved = flags.resolve(purpose, preset);
    let warnings = resolved.warnings().to_vec();
    let mut settings = resolved.clone().into_settings()?;
    telemetry::init(&settings.log)?;
    let memory = sizes::memory_limit(&settings).and_then(|limit| sizes::fit(&mut settings, limit));
    warnings.iter().chain(&memory).for_each(|warning| tracing::warn!("{warning}"));
    if purpose == Purpose::Play {
        settings::try_out(&settings)?;
    }
    Ok((settings, resolved))
}

/// `selfplayd config`: the settings on standard output, what is missing or odd about them on standard error.
fn print_config(flags: &Flags) -> anyhow::Result<Exit> {
    let resolved = flags.resolve(Purpose::Play, None);
    resolved.refuse_mistakes()?;
    resolved.missing().for_each(|missing| streams::complain(format_args!("to play games: {missing}")));
    resolved.warnings().iter().for_each(|warning| streams::complain(format_args!("warning: {warning}")));
    streams::print(resolved.to_toml().trim_end())?;
    Ok(Exit::Clean)
}

/// `selfplayd bench`: measures with a preset under the user's settings.
fn measure(args: &cli::BenchArgs) -> anyhow::Result<Exit> {
    let preset = Preset { name: "preset bench", toml: include_str!("../configs/bench.toml") };
    match &args.what {
        None => bench::speed(args, &load(&args.flags, Purpose::Bench, Some(preset))?),
        Some(BenchWhat::Outside(args)) => bench::outside(args, &load(&args.flags, Purpose::Bench, Some(preset))?),
        Some(BenchWhat::Swap(args)) => bench::swap(args, &load(&args.flags, Purpose::Bench, Some(preset))?),
    }
}
