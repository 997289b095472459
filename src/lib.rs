//! `selfplayd`: plays AlphaZero self-play games beside a trainer.
//!
//! The program is [`main`]. A library, so that others run it with a game of their own: see [`main_with`].
//!
//! - `streams`: standard error and standard output, which may go away
//! - `exit`: exit codes
//! - `words`: spans of time and sizes as people read them
//! - `token`: the secret of those who may control the daemon from afar
//! - `played`: what a game says beside its rules
//! - `shipped`: the games that come with the program
//! - `settings`: what can be set, and the game that is chosen by it
//! - `cli`: the command line
//! - `boards`: games for people
//! - `matches`: games between two players
//! - `telemetry`: the log
//! - `daemon`: what a process that plays is made of
//! - `referee`: matches beside play
//! - `learning`: what a run learns, by model version, and what the trainer says
//! - `steering`: what changes while games are played
//! - `status`: how it is doing
//! - `worker`: the fleet's side of a daemon that plays for a trainer elsewhere
//! - `metrics`: what is counted, for Prometheus
//! - `http`: who may ask and steer
//! - `hub`: the side of a fleet beside the trainer
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
mod hub;
mod learning;
mod matches;
mod metrics;
mod played;
mod referee;
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
mod worker;

use std::{os::unix::process::parent_id, process::ExitCode, sync::Arc};

/// The allocator that the daemon is measured with: requests, their answers and the cache's entries are made and dropped a hundred
/// thousand times a second.
pub use mimalloc::MiMalloc as Allocator;
pub use played::PlayedGame;
/// Rules, search and files: what a game is made of.
pub use selfplay_engine as engine;

use cli::{BenchWhat, Command, Flags};
use commands::{
    client::{self, Ask},
    games::{Commands, Games},
};
use daemon::{
    signals::{self, Signals},
    sizes,
};
use exit::Exit;
use settings::{Preset, Purpose, Resolved, Settings};
use steering::live_settings::Origin;

/// What measurements are made with under the user's settings.
const BENCH: Preset = Preset { name: "preset bench", toml: include_str!("../configs/bench.toml") };
/// For commands that say themselves how many simulations there are, or search nothing: without a number the settings would miss it.
const UNCOUNTED: Preset = Preset { name: "preset of this command", toml: "search.mcts_n = 100" };
const TUNE: Preset = Preset { name: "preset tune", toml: include_str!("../configs/tune.toml") };

/// Runs the command that this process was started with.
pub fn main() -> ExitCode {
    run(&Games::with(None))
}

/// The same with a game of the caller's beside those that are shipped. Unless settings say otherwise, it is the one that is played.
///
/// The whole program is made for the game's own type, so that it is played as fast as the games that are shipped. The caller's
/// `main.rs`, with rules in its `lib.rs`:
///
/// ```ignore
/// #[global_allocator]
/// static ALLOCATOR: selfplayd::Allocator = selfplayd::Allocator;
///
/// fn main() -> std::process::ExitCode {
///     selfplayd::main_with(MyGame::new())
/// }
/// ```
///
/// `examples/own_game` is a whole one, with a page on how it is made.
pub fn main_with<G: PlayedGame>(game: G) -> ExitCode {
    match played::register(&game, &shipped::NAMES) {
        Ok(()) => run(&Games::with(Some(Arc::new(game)))),
        Err(error) => report(error),
    }
}

fn run(games: &Games) -> ExitCode {
    // Before anything else: until a daemon listens, a signal that means something to it kills the process.
    let is_daemon = !std::env::args_os().nth(1).is_some_and(|first| cli::is_command(&first));
    let signals =
        if is_daemon { Signals::catch().map(Some) } else { signals::outlive_file_size_limit().map(|()| None) };
    let cli = cli::parse();
    let outcome = signals.and_then(|signals| command(&cli, games, signals));
    outcome.map_or_else(report, ExitCode::from)
}

/// Does what the command line says. `signals`: those that a daemon is sent, caught since its first moment.
fn command(cli: &cli::Cli, games: &Games, signals: Option<Signals>) -> anyhow::Result<Exit> {
    let with_game = |flags, preset, work: &dyn Fn(&dyn Commands, &Settings) -> anyhow::Result<Exit>| {
        let (settings, _) = load(flags, Purpose::Bench, preset)?;
        work(&*games.of(&settings)?, &settings)
    };
    match &cli.command {
        None => play(&cli.flags, games, signals.map_or_else(Signals::catch, Ok)?),
        Some(Command::Config(flags)) => print_config(flags),
        Some(Command::Show(args)) => games.show(args),
        Some(Command::Describe(args)) => with_game(&args.flags, Some(UNCOUNTED), &|game, _| game.describe(args)),
        Some(Command::CheckModel(args)) => {
            with_game(&args.flags, Some(UNCOUNTED), &|game, settings| game.check_model(args, settings))
        }
        Some(Command::ConvertModel(args)) => {
            with_game(&args.flags, Some(UNCOUNTED), &|game, settings| game.convert_model(args, settings))
        }
        Some(Command::Match(args)) => {
            let (settings, resolved) = load_for_players(&args.flags)?;
            games.of(&settings)?.play_match(args, &settings, &resolved)
        }
        Some(Command::Ladder(args)) => {
            let (settings, resolved) = load_for_players(&args.flags)?;
            games.of(&settings)?.play_ladder(args, &settings, &resolved)
        }
        Some(Command::Judge(args)) => {
            with_game(&args.flags, Some(UNCOUNTED), &|game, settings| game.judge(args, settings))
        }
        Some(Command::Bench(args)) => match &args.what {
            None => with_game(&args.flags, Some(BENCH), &|game, settings| game.speed(args, settings)),
            Some(BenchWhat::Outside(args)) => {
                with_game(&args.flags, Some(BENCH), &|game, settings| game.outside(args, settings))
            }
            Some(BenchWhat::Swap(args)) => {
                with_game(&args.flags, Some(BENCH), &|game, settings| game.swap(args, settings))
            }
        },
        Some(Command::Tune(args)) => with_game(&args.flags, Some(TUNE), &|game, settings| game.tune(args, settings)),
        Some(Command::Fleet(args)) => commands::fleet::fleet(args),
        Some(Command::Status(args)) => client::ask(args, Ask::Status),
        Some(Command::Games(args)) => client::ask(args, Ask::Games),
        Some(Command::Reload(args)) => client::ask(args, Ask::Reload),
        Some(Command::Pause(args)) => client::ask(args, Ask::Pause),
        Some(Command::Resume(args)) => client::ask(args, Ask::Resume),
        Some(Command::Drain(args)) => client::ask(args, Ask::Drain),
    }
}

/// Plays.
fn play(flags: &Flags, games: &Games, signals: Signals) -> anyhow::Result<Exit> {
    let parent = parent_id();
    let (settings, resolved) = load(flags, Purpose::Play, None)?;
    games.of(&settings)?.play(&settings, Origin { flags: flags.clone(), resolved, parent }, signals)
}

/// Says why the process ends, and with which code.
fn report(error: anyhow::Error) -> ExitCode {
    let exit = Exit::of(&error);
    if exit != Exit::Clean {
        streams::complain(format_args!("selfplayd: {error:#}"));
    }
    exit.into()
}

/// The settings of this process, with where each came from; starts the log and says what was probably not meant.
fn load(flags: &Flags, purpose: Purpose, preset: Option<Preset>) -> anyhow::Result<(Settings, Resolved)> {
    let resolved = flags.resolve(purpose, preset);
    let warnings = resolved.warnings().to_vec();
    load_resolved(resolved, warnings, purpose)
}

/// The same for players that may have settings of their own, who say themselves what was probably not meant in theirs.
fn load_for_players(flags: &Flags) -> anyhow::Result<(Settings, Resolved)> {
    let resolved = flags.resolve(Purpose::Bench, None);
    let warnings = resolved.warnings_of_sources().to_vec();
    load_resolved(resolved, warnings, Purpose::Bench)
}

fn load_resolved(resolved: Resolved, warnings: Vec<String>, purpose: Purpose) -> anyhow::Result<(Settings, Resolved)> {
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
