//! The command line. Flags only carry text to the settings: what they mean, their defaults and their ranges are those of
//! the keys that they set (`configs/default.toml`).

mod bench;
mod client;
mod read;
mod uses;

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use self::read::{Words, above_zero, whole};
use self::uses::takes;
pub(crate) use self::{
    bench::{BenchArgs, BenchWhat, OutputArgs, OutsideArgs, SwapArgs},
    client::ClientArgs,
};
use crate::exit::Exit;
use crate::settings::{self, FlagValue, Preset, Purpose, Resolved, Sources, choices, default_of};

/// Modes, layers and examples, at the end of `--help`.
const GUIDE: &str = "\
Modes:
  batch       plays --num-games games with the model --model-path, then ends
  continuous  plays until told to stop (shutdown file, SIGTERM, SIGINT), always with the newest
              model that --latest-model-yaml names or --model-source holds

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
    /// Draw a finished game in the terminal or as a picture, or list many
    Show(ShowArgs),
    /// Check a model as it is before it may serve: exit code 0 if it may, 1 if not
    CheckModel(Box<CheckModelArgs>),
    /// Write a model in another precision, as --precision has it made when it is loaded, and say how near it stays
    ConvertModel(Box<ConvertModelArgs>),
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

/// The flags that set settings. Each carries text: what is wrong with it is said with all other mistakes in the settings.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Flags {
    /// Files of settings.
    #[command(flatten)]
    pub files: FileFlags,
    /// Input and output.
    #[command(flatten)]
    run: RunFlags,
    /// Games.
    #[command(flatten)]
    play: PlayFlags,
    /// Search.
    #[command(flatten)]
    search: SearchFlags,
    /// Inference.
    #[command(flatten)]
    inference: InferenceFlags,
    /// Logs and metrics.
    #[command(flatten)]
    log: LogFlags,
    /// Status and control.
    #[command(flatten)]
    http: HttpFlags,
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

/// Input and output.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Models, games and shutdown")]
struct RunFlags {
    /// Where finished games go: the trainer's replay_buffers/ready
    #[arg(long, value_name = "DIR")]
    output_dir: Option<String>,
    /// Play until told to stop, following the trainer's models
    #[arg(long)]
    continuous: bool,
    /// The trainer's latest.yaml (continuous mode)
    #[arg(long, value_name = "FILE")]
    latest_model_yaml: Option<String>,
    /// What to follow instead (continuous mode): a directory's newest .onnx, one .onnx file, or a latest.yaml
    #[arg(long, value_name = "PATH")]
    model_source: Option<String>,
    /// Stop once this file exists
    #[arg(long, value_name = "FILE")]
    shutdown_file: Option<String>,
    /// Seconds for running games to end after a stop; games that take longer go on at the next start
    #[arg(long, value_name = "SECONDS", visible_alias = "drain-deadline")]
    grace_seconds: Option<String>,
    /// Seconds of a pause after which the model is dropped to free the device: a number, or "none" for never
    #[arg(long, value_name = "SECONDS")]
    pause_unload_after: Option<String>,
    /// Discard the games that earlier processes left unfinished, instead of going on with them
    #[arg(long)]
    no_resume: bool,
    /// Where finished games go at the end if the output directory does not take them
    #[arg(long, value_name = "DIR")]
    spool_dir: Option<String>,
    /// Seconds that writing may fail before the process ends
    #[arg(long, value_name = "SECONDS")]
    writer_deadline: Option<String>,
    /// The ONNX model (batch mode)
    #[arg(long, value_name = "FILE")]
    model_path: Option<String>,
    /// Model version recorded with the games (batch mode)
    #[arg(long, value_name = "N")]
    model_version: Option<String>,
    /// Games to play (batch mode)
    #[arg(long, value_name = "N")]
    num_games: Option<String>,
}

/// Games.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Play")]
struct PlayFlags {
    /// Which game is played; its rules are settings
    #[arg(long, value_name = "NAME", value_parser = Words(choices("game.name")))]
    game: Option<String>,
    /// Games in play at once: a number or "auto"
    #[arg(long, value_name = "N")]
    games_per_process: Option<String>,
    /// Threads that advance games: a number or "auto"
    #[arg(long, value_name = "N")]
    mcts_worker_threads: Option<String>,
    /// Seed of all random choices; with a seed, a game is the same from run to run
    #[arg(long, value_name = "N")]
    seed: Option<String>,
    /// Who plays the second player: the same agent, or random moves as a baseline
    #[arg(long, value_name = "PLAYER", value_parser = Words(choices("play.p2")))]
    p2: Option<String>,
    /// Play the most likely move of the network's policy without search, as a baseline
    #[arg(long)]
    use_raw_onnx_agent: bool,
    /// Log every move with its search
    #[arg(long)]
    trace: bool,
}

/// Search.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Search")]
struct SearchFlags {
    /// Leaves gathered from one tree before waiting for their evaluations; more than 1 cost strength
    #[arg(long, value_name = "K")]
    leaf_parallelism: Option<String>,
    /// Losses counted along a gathered path until its evaluation arrives
    #[arg(long, value_name = "N")]
    virtual_loss: Option<String>,
    /// Search each move from an empty tree, instead of keeping the chosen move's subtree
    #[arg(long)]
    no_tree_reuse: bool,
}

/// Inference and memory.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Inference and memory")]
struct InferenceFlags {
    /// What evaluates positions: the model, or a deterministic evaluator for tests
    #[arg(long, value_name = "NAME", value_parser = Words(choices("inference.evaluator")))]
    evaluator: Option<String>,
    /// Where the network runs: auto, cpu, openvino, openvino:gpu, cuda, cuda:N, cuda:0,1, cuda:all, or tensorrt likewise
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Inference threads, each with its own session: a number or "auto"
    #[arg(long, value_name = "N")]
    inference_threads: Option<String>,
    /// Most positions in one network call: a number or "auto"
    #[arg(long, value_name = "N")]
    eval_batch_size: Option<String>,
    /// What the network computes with: models are converted when they are loaded
    #[arg(long, value_name = "NAME", value_parser = Words(choices("inference.precision")))]
    precision: Option<String>,
    /// Longest wait for a fuller batch, in milliseconds, fractions allowed
    #[arg(long, value_name = "MS")]
    eval_max_wait_ms: Option<String>,
    /// Most cached evaluations: a number, 0 for no cache, or "none" for a bound in bytes only
    #[arg(long, value_name = "N")]
    eval_cache_max_size: Option<String>,
    /// Memory for cached evaluations: bytes, or a size such as "256MiB"; 0 for no cache
    #[arg(long, value_name = "SIZE")]
    eval_cache_max_bytes: Option<String>,
    /// Memory that the process keeps within: bytes, or a size such as "8GiB"; "auto": four fifths of what there is
    #[arg(long, value_name = "SIZE")]
    memory_max_bytes: Option<String>,
}

/// Logs and metrics.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Logs and metrics")]
struct LogFlags {
    /// How log lines look, on standard error
    #[arg(long, value_name = "FORMAT", value_parser = Words(choices("log.format")))]
    log_format: Option<String>,
    /// Least severe level shown, also per module: "info,selfplay_actors=debug"
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Log batches, items, mean batch, share of time in inference and waits every 5 s
    #[arg(long)]
    profile_counters: bool,
    /// Write one JSON record per model version here: simulations, terminal share, depth, entropy
    #[arg(long, value_name = "DIR")]
    metrics_dir: Option<String>,
}

/// Status and control.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Status and control")]
struct HttpFlags {
    /// Where status, control, metrics and the page are served: IP:PORT, or "none"
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// Where only metrics and health are served as well: IP:PORT
    #[arg(long, value_name = "ADDRESS")]
    http_metrics_listen: Option<String>,
    /// A Unix socket where everything is served as well, open to this user only
    #[arg(long, value_name = "PATH")]
    http_socket: Option<String>,
    /// A file with the token that callers over TCP must show to control the daemon
    #[arg(long, value_name = "FILE")]
    http_token_file: Option<String>,
}

impl Flags {
    /// The settings that these flags, the files they name and the environment of this process lead to.
    pub(crate) fn resolve(&self, purpose: Purpose, preset: Option<Preset>) -> Resolved {
        let environment = std::env::vars_os().collect();
        let sources = Sources {
            preset,
            trainer: self.files.config.as_deref(),
            own: self.files.settings.as_deref(),
            environment: &environment,
            flags: &self.values(),
        };
        settings::resolve(&sources, purpose)
    }

    /// Each flag with the key it sets and the text it was given: the one table of flags.
    pub(crate) fn values(&self) -> Vec<FlagValue> {
        let Self { files: _, run, play, search, inference, log, http } = self;
        [
            ("--output-dir", "output.dir", text(&run.output_dir)),
            ("--continuous", "daemon.continuous", switch(run.continuous, "true")),
            ("--latest-model-yaml", "model.latest_yaml", text(&run.latest_model_yaml)),
            ("--model-source", "model.source", text(&run.model_source)),
            ("--shutdown-file", "daemon.shutdown_file", text(&run.shutdown_file)),
            ("--grace-seconds", "daemon.grace_seconds", text(&run.grace_seconds)),
            ("--pause-unload-after", "daemon.pause_unload_after_seconds", text(&run.pause_unload_after)),
            ("--no-resume", "journal.resume", switch(run.no_resume, "false")),
            ("--spool-dir", "output.spool_dir", text(&run.spool_dir)),
            ("--writer-deadline", "output.writer_deadline_seconds", text(&run.writer_deadline)),
            ("--model-path", "model.path", text(&run.model_path)),
            ("--model-version", "model.version", text(&run.model_version)),
            ("--num-games", "play.num_games", text(&run.num_games)),
            ("--game", "game.name", text(&play.game)),
            ("--games-per-process", "play.games_per_process", text(&play.games_per_process)),
            ("--mcts-worker-threads", "play.threads", text(&play.mcts_worker_threads)),
            ("--seed", "play.seed", text(&play.seed)),
            ("--p2", "play.p2", text(&play.p2)),
            ("--use-raw-onnx-agent", "play.agent", switch(play.use_raw_onnx_agent, "raw")),
            ("--trace", "play.trace", switch(play.trace, "true")),
            ("--leaf-parallelism", "search.leaf_parallelism", text(&search.leaf_parallelism)),
            ("--virtual-loss", "search.virtual_loss", text(&search.virtual_loss)),
            ("--no-tree-reuse", "search.tree_reuse", switch(search.no_tree_reuse, "false")),
            ("--evaluator", "inference.evaluator", text(&inference.evaluator)),
            ("--device", "inference.device", text(&inference.device)),
            ("--inference-threads", "inference.threads", text(&inference.inference_threads)),
            ("--eval-batch-size", "inference.eval_batch_size", text(&inference.eval_batch_size)),
            ("--precision", "inference.precision", text(&inference.precision)),
            ("--eval-max-wait-ms", "inference.eval_max_wait_ms", text(&inference.eval_max_wait_ms)),
            ("--eval-cache-max-size", "cache.max_entries", text(&inference.eval_cache_max_size)),
            ("--eval-cache-max-bytes", "cache.max_bytes", text(&inference.eval_cache_max_bytes)),
            ("--memory-max-bytes", "memory.max_bytes", text(&inference.memory_max_bytes)),
            ("--log-format", "log.format", text(&log.log_format)),
            ("--log-level", "log.level", text(&log.log_level)),
            ("--profile-counters", "metrics.profile_counters", switch(log.profile_counters, "true")),
            ("--metrics-dir", "metrics.dir", text(&log.metrics_dir)),
            ("--http-listen", "http.listen", text(&http.http_listen)),
            ("--http-metrics-listen", "http.metrics_listen", text(&http.http_metrics_listen)),
            ("--http-socket", "http.socket", text(&http.http_socket)),
            ("--http-token-file", "http.token_file", text(&http.http_token_file)),
        ]
        .into_iter()
        .map(|(flag, key, value)| FlagValue { flag, key, value })
        .collect()
    }
}

fn text(value: &Option<impl ToString>) -> Option<String> {
    value.as_ref().map(ToString::to_string)
}

fn switch(given: bool, value: &str) -> Option<String> {
    given.then(|| value.to_owned())
}

/// The command with the defaults of `configs/default.toml` in its help.
pub(crate) fn command() -> clap::Command {
    let command = with_defaults(Cli::command(), "").after_help(format!("{GUIDE}{}", Exit::table()));
    let command = ["config", "check-model", "convert-model", "tune"]
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |command| with_defaults(command, name)));
    command.mut_subcommand("bench", |bench| {
        let below: Vec<_> = bench.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        let with_defaults = |command| with_defaults(command, "bench");
        below.into_iter().fold(with_defaults(bench), |bench, name| bench.mut_subcommand(name, with_defaults))
    })
}

/// `command`, called `name`, with the defaults of flags in its help, and without those that it has no use for.
fn with_defaults(command: clap::Command, name: &str) -> clap::Command {
    Flags::default().values().into_iter().fold(command, |command, FlagValue { flag, key, .. }| {
        command.mut_arg(flag.trim_start_matches('-').replace('-', "_"), |arg| {
            let takes_values = arg.get_action().takes_values();
            let arg = arg.hide(!takes(name, flag)).allow_negative_numbers(takes_values);
            let default = default_of(key).filter(|_| arg.get_action().takes_values());
            match (default, arg.get_help().map(ToString::to_string)) {
                (Some(default), Some(help)) => arg.help(format!("{help} [default: {default}]")),
                _ => arg,
            }
        })
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
