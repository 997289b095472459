//! The command line. Flags only carry text to the settings: what they mean, their defaults and their ranges are those of
//! the keys that they set (`configs/default.toml`).

mod bench;
mod client;
mod describe;
mod flags;
mod fleet;
mod hub;
mod judge;
mod matches;
mod read;
mod uses;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::read::{above_zero, whole};
use self::uses::scope;
pub(crate) use self::{
    bench::{BenchArgs, BenchWhat, OutputArgs, OutsideArgs, SwapArgs},
    client::ClientArgs,
    describe::DescribeArgs,
    flags::Flags,
    fleet::{FleetArgs, FleetWhat, InitArgs, WorkersArgs},
    hub::{HubArgs, WithdrawArgs},
    judge::JudgeArgs,
    matches::{LadderArgs, MatchArgs},
};
use crate::exit::Exit;
use crate::settings;

/// Modes, layers and examples, at the end of `--help`.
const GUIDE: &str = "\
Modes:
  batch       plays --num-games games with the model --model-path, then ends
  continuous  plays until told to stop (shutdown file, SIGTERM, SIGINT), always with the newest
              model that --latest-model-yaml names or --model-source holds
  worker      continuous, for a trainer on another machine (--fleet, --credentials), which
              models come from and games go to: see `selfplayd fleet --help`

Signals, while it plays:
  SIGTERM, SIGINT  stop, once running games are over; a second one ends it at once
                   (SIGTERM: when it comes a second or more after the first)
  SIGHUP           read the settings again and look for a model
  SIGUSR1          pause, or play on
  SIGUSR2          log how everything is

Settings, each layer replacing the one before it:
  defaults, --config (the trainer's YAML), --settings, environment SELFPLAYD__SECTION__KEY, flags
  `selfplayd config` prints every key with its value and where it came from

Examples:
  selfplayd --config run/config.yaml --model-path model_0.onnx --num-games 20 --output-dir games
  selfplayd --config run/config.yaml --output-dir run/replay_buffers/ready --continuous \\
            --latest-model-yaml run/models/latest.yaml --shutdown-file run/.shutdown
  SELFPLAYD__CACHE__MAX_BYTES=1GiB selfplayd config --config run/config.yaml

Exit codes:
";

/// Plays AlphaZero self-play games beside a trainer, at the speed of the hardware.
#[derive(Clone, Debug, Parser)]
#[command(name = "selfplayd", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// What to do; play games if absent.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings to play with.
    #[command(flatten)]
    pub flags: Flags,
}

/// What to do instead of playing.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the resolved settings, each with its source, as a file that --settings can read
    Config(Box<Flags>),
    /// Tell what a trainer must know of a game: shapes, what planes and policy mean, symmetries as data
    Describe(Box<DescribeArgs>),
    /// Draw a finished game in the terminal or as a picture, or list many
    Show(ShowArgs),
    /// Check a model as it is before it may serve: exit code 0 if it may, 1 if not
    CheckModel(Box<CheckModelArgs>),
    /// Write a model in another precision, as --precision has it made when it is loaded, and say how near it stays
    ConvertModel(Box<ConvertModelArgs>),
    /// Find out by games which of two players is stronger: models, or settings of the search
    Match(Box<MatchArgs>),
    /// Rate the models of a directory by matches among them
    Ladder(Box<LadderArgs>),
    /// Count the mistakes of a model, alone and with search, in positions that are solved
    Judge(Box<JudgeArgs>),
    /// Make and keep a fleet: many machines that play for one trainer
    #[command(after_help = fleet::GUIDE)]
    Fleet(FleetArgs),
    /// Say how a running daemon is doing
    Status(ClientArgs),
    /// List the games that a running daemon plays
    Games(ClientArgs),
    /// Tell a running daemon to read its settings again and to look for a model now
    Reload(ClientArgs),
    /// Tell a running daemon to rest and leave the device to others
    Pause(ClientArgs),
    /// Tell a running daemon to play on
    Resume(ClientArgs),
    /// Tell a running daemon to end when the games in play are over
    Drain(ClientArgs),
    /// Measure evaluations per second, of the network alone and of the whole daemon
    Bench(Box<BenchArgs>),
    /// Find the settings with which this machine plays fastest, and write them as a file for --settings
    Tune(Box<TuneArgs>),
}

/// Arguments of `show`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowArgs {
    /// A game: its .npz or .yaml, or a directory, which shows its newest game
    #[arg(required_unless_present = "summary")]
    pub path: Option<PathBuf>,
    /// Show the position before this ply, counted from 0 [default: the final position]
    #[arg(long, value_name = "N", conflicts_with = "all", value_parser = whole::<u32>(0, 1 << 31), allow_negative_numbers = true)]
    pub ply: Option<u32>,
    /// Show every position of the game
    #[arg(long)]
    pub all: bool,
    /// Draw into this file instead: the board with its moves numbered, or with --all a sheet of all boards
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print a table of the games of a directory instead, with what they have in common
    #[arg(long, value_name = "DIR", conflicts_with_all = ["path", "ply", "all", "svg"])]
    pub summary: Option<PathBuf>,
    /// How many games the table has, the newest
    #[arg(long, value_name = "N", conflicts_with = "path", default_value = "100", value_parser = whole::<u32>(1, 1 << 31), allow_negative_numbers = true)]
    pub games: u32,
}

/// Arguments of `check-model`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CheckModelArgs {
    /// The ONNX model
    pub file: PathBuf,
    /// The checksum that the file must have, 64 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// The settings to check it for: board, device, batch, roots and limits.
    #[command(flatten)]
    pub flags: Flags,
}

/// Arguments of `convert-model`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConvertModelArgs {
    /// The ONNX model, in fp32
    pub file: PathBuf,
    /// Where the converted one goes; a file that is there is replaced
    pub out: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// The settings to convert it by: board, precision and limits.
    #[command(flatten)]
    pub flags: Flags,
}

/// Arguments of `tune`.
#[derive(Clone, Debug, Args)]
pub(crate) struct TuneArgs {
    /// Minutes to spend, fractions allowed
    #[arg(long, value_name = "T", default_value_t = 5.0, value_parser = above_zero(1440.0), allow_negative_numbers = true)]
    pub minutes: f64,
    /// Memory that the daemon may need: bytes, or a size such as "8GiB" [default: memory.max_bytes]
    #[arg(long, value_name = "SIZE", value_parser = settings::parse_bytes)]
    pub memory: Option<u64>,
    /// Most leaves gathered at a time; more may cost strength [default: one for every 100 simulations of a move, at most 16]
    #[arg(long, value_name = "K", value_parser = whole::<u32>(1, 1024), allow_negative_numbers = true)]
    pub max_leaf_parallelism: Option<u32>,
    /// Where to write the settings
    #[arg(long, value_name = "FILE", default_value = "selfplayd-tuned.toml")]
    pub output: PathBuf,
    /// The settings to play with: the model (--model-path), board and search.
    #[command(flatten)]
    pub flags: Flags,
}

/// Files of settings.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct FileFlags {
    /// The trainer's YAML: board, walls, search and self-play
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Our own settings, TOML or YAML, over the trainer's
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
}

/// The command with exit codes in its help, and each subcommand with the flags that it has a use for.
pub(crate) fn command() -> clap::Command {
    let command = Cli::command().after_help(format!("{GUIDE}{}", Exit::table()));
    let with_settings = ["describe", "check-model", "convert-model", "match", "ladder", "judge", "tune"];
    let command = with_settings.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |command| flags::listing_its_own(command, scope(name)))
    });
    command.mut_subcommand("bench", |bench| {
        let below: Vec<_> = bench.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let own = |command| flags::listing_its_own(command, scope("bench"));
        below.into_iter().fold(own(bench), |bench, name| bench.mut_subcommand(name, own))
    })
}

/// Whether the first argument names something to do instead of playing. Cheap: nothing of the command line is built.
pub(crate) fn is_command(first: &std::ffi::OsStr) -> bool {
    first.to_str().is_some_and(Command::has_subcommand)
}

/// Reads the command line of this process; ends it with help or a usage error where that is the answer.
pub(crate) fn parse() -> Cli {
    let cli = Cli::from_arg_matches(&command().get_matches()).and_then(Cli::checked);
    cli.unwrap_or_else(|error| error.exit())
}

#[cfg(test)]
mod tests;
