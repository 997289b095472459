//! The settings of the daemon: one typed, validated struct, and where each value came from.
//!
//! Layers, each replacing the one before it key by key: the defaults compiled in from `configs/default.toml` →
//! `configs/search/best.toml`, unless there is a trainer's YAML → a preset of a subcommand → the trainer's YAML → the user's own file →
//! the environment → flags. Modules in dependency order:
//!
//! - [`games`]: the rules of each game, and the hash of what shapes games
//! - [`search`]: how moves are searched and chosen
//! - [`play`]: how many games are played, by whom and how
//! - [`addresses`]: where to listen and to connect to, and names of hosts
//! - [`devices`]: devices and batch sizes
//! - [`kind`]: what values a key may have
//! - [`key`]: how a key is declared, and what it may be
//! - [`keys`]: the table of keys: what each may be, its flag, the trainer's names for it
//! - [`mistake`]: what can be wrong, and how it is said
//! - [`mod@file`]: files, read within bounds and parsed
//! - [`layer`]: one layer as a flat map of keys to values, read from a file, the environment or flags
//! - [`extend`]: the trainer's file with those that it extends
//! - [`trainer`]: the trainer's names for our keys
//! - [`check`]: what must hold between values
//! - [`fleet`]: what follows from being a worker of a fleet
//! - [`places`]: whether directories and files that are named can be what they are meant to be
//! - [`resolve`](mod@resolve): all layers put together
//! - [`change`]: settings that change while the daemon plays
//! - [`show`]: the resolved settings as a commented file

mod addresses;
mod change;
mod check;
mod devices;
mod extend;
mod file;
mod fleet;
mod games;
mod key;
mod keys;
mod kind;
mod layer;
mod mistake;
mod places;
mod play;
mod resolve;
mod search;
mod show;
#[cfg(test)]
mod tests;
mod trainer;

use std::path::PathBuf;

use selfplay_actors::onnx::{PrecisionOptions, PrecisionRequest};
use serde::{Deserialize, Serialize};

pub(crate) use addresses::{Addresses, HostNames, Servers};
pub(crate) use change::{Change, Refused, differences, is_live, needs_a_restart};
pub(crate) use devices::{Buckets, Device, InputFormat};
pub(crate) use games::{
    BreakthroughSettings, ConnectFourSettings, GameSettings, HexSettings, MnkSettings, OthelloSettings,
};
pub(crate) use key::{Argument, Key, Scope};
pub(crate) use keys::KEYS;
pub(crate) use kind::parse_bytes;
pub(crate) use layer::{FlagValue, default_of};
pub(crate) use places::try_out;
pub(crate) use play::{Agent, Opponent, PlaySettings};
pub(crate) use resolve::{Preset, Purpose, Resolved, Sources, resolve};
pub(crate) use search::{Counted, FirstPlay, InFlight, NoiseShape, Root, SearchSettings};

/// Everything that can be set. Meaning, range and default of each key are told in `configs/default.toml`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// What the run is called.
    pub run: RunSettings,
    /// Which game is played, and the rules of Quoridor.
    pub game: GameSettings,
    /// The rules of m,n,k.
    pub mnk: MnkSettings,
    /// The rules of Connect Four.
    pub connect_four: ConnectFourSettings,
    /// The rules of Othello.
    pub othello: OthelloSettings,
    /// The rules of Hex.
    pub hex: HexSettings,
    /// The rules of Breakthrough.
    pub breakthrough: BreakthroughSettings,
    /// The network where there is no model to look at.
    pub network: NetworkSettings,
    /// How moves are searched and chosen.
    pub search: SearchSettings,
    /// How many games are played, and by whom.
    pub play: PlaySettings,
    /// How positions are evaluated.
    pub inference: InferenceSettings,
    /// The cache of evaluations.
    pub cache: CacheSettings,
    /// All that the process has in memory.
    pub memory: MemorySettings,
    /// Where models come from.
    pub model: ModelSettings,
    /// Matches beside play.
    pub evaluation: EvaluationSettings,
    /// Where games go.
    pub output: OutputSettings,
    /// A trainer elsewhere.
    pub fleet: FleetSettings,
    /// Games in play, kept across restarts.
    pub journal: JournalSettings,
    /// When the daemon ends.
    pub daemon: DaemonSettings,
    /// Records beside the games.
    pub metrics: MetricsSettings,
    /// Status, control, metrics and the page.
    pub http: HttpSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// `[run]`: what people call what the daemon plays for.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSettings {
    /// Its name; `None`: that of its directory.
    pub name: Option<String>,
}

/// `[network]`: used with evaluators that have no model.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkSettings {
    /// The observation that is stored and evaluated.
    #[serde(rename = "type")]
    pub kind: NetworkKind,
}

/// The observation a network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetworkKind {
    /// Planes.
    Resnet,
    /// The trainer's flat vector.
    Mlp,
}

impl NetworkKind {
    /// Its name, which is that of the encoding as well.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Resnet => "resnet",
            Self::Mlp => "mlp",
        }
    }
}

/// `[inference]`: how positions are evaluated.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InferenceSettings {
    /// What evaluates.
    pub evaluator: EvaluatorKind,
    /// Where it runs.
    pub device: Device,
    /// Inference threads, on several GPUs of each, 1..=256; `None`: from device and cores.
    pub threads: Option<u32>,
    /// Most positions in one call, ≥ 1; `None`: from the device.
    pub eval_batch_size: Option<u32>,
    /// Longest wait for a fuller batch in milliseconds, ≥ 0, fractions allowed.
    pub eval_max_wait_ms: f64,
    /// The ONNX Runtime library; `None`: `ORT_DYLIB_PATH`, then the usual places.
    pub ort_library: Option<PathBuf>,
    /// What the network computes with.
    pub precision: PrecisionRequest,
    /// Most that the policy of a converted model may differ on any position tried, ≥ 0, in nats.
    pub precision_max_kl: f64,
    /// Most that its value may differ, ≥ 0.
    pub precision_max_value_error: f64,
    /// Longest time one call of the network may take, > 0; `None`: any.
    pub hang_seconds: Option<f64>,
    /// Batch sizes that others are padded to; `None`: from the device.
    pub batch_buckets: Option<Buckets>,
    /// How positions travel to the network.
    pub input: InputFormat,
    /// Most memory of this process on each GPU, in bytes; `None`: as much as it takes.
    pub gpu_memory: Option<u64>,
    /// Compute matrix products of single precision on ten bits of mantissa where the GPU can.
    pub tf32: bool,
    /// Run convolutions with channels last on a GPU.
    pub channels_last: bool,
    /// Capture and replay launches; `None`: where it helps.
    pub cuda_graphs: Option<bool>,
    /// Where TensorRT keeps its engines; `None`: nowhere.
    pub tensorrt_cache_dir: Option<PathBuf>,
}

impl InferenceSettings {
    /// What models are converted to, and how far they may then be from what they were.
    pub(crate) const fn conversion(&self) -> PrecisionOptions {
        let (max_kl, max_value_error) = (self.precision_max_kl, self.precision_max_value_error);
        PrecisionOptions { precision: self.precision, max_kl, max_value_error }
    }
}

/// What evaluates positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EvaluatorKind {
    /// A model, by ONNX Runtime.
    Onnx,
    /// Value 0 and equal priors.
    Uniform,
    /// Values and priors from a hash of the observation.
    Hash,
}

/// `[cache]`: the cache of evaluations.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CacheSettings {
    /// Most memory in bytes; 0: no cache.
    pub max_bytes: u64,
    /// Most entries as well; 0: no cache; `None`: bounded by bytes only.
    pub max_entries: Option<u64>,
    /// Ask a position and its mirror image as one.
    pub symmetry: bool,
}

impl CacheSettings {
    /// Whether anything is cached.
    pub(crate) fn enabled(&self) -> bool {
        self.max_bytes > 0 && self.max_entries != Some(0)
    }
}

/// `[memory]`: all that the process has in memory.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct MemorySettings {
    /// Most bytes; `None`: a share of the machine's.
    pub max_bytes: Option<u64>,
}

/// `[model]`: where models come from.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelSettings {
    /// The model of batch mode.
    pub path: Option<PathBuf>,
    /// The version recorded with games of batch mode.
    pub version: u32,
    /// The trainer's `latest.yaml`; in continuous mode either this or `source` is there.
    pub latest_yaml: Option<PathBuf>,
    /// What continuous mode follows instead of `latest_yaml`: such a file, a directory of models, or one model.
    pub source: Option<PathBuf>,
    /// Which model of a directory is the newest.
    pub newest_by: NewestBy,
    /// How often the source of models and the shutdown file are looked at, in milliseconds, 10..=500.
    pub poll_ms: u64,
    /// Directories, separated by colons, that models must come from; `None`: any.
    pub allowed_roots: Option<PathBuf>,
    /// Largest model, its external data included.
    pub max_bytes: u64,
    /// Most that a value or a prior may differ between batch 1 and the largest batch, > 0.
    pub agreement_tolerance: f64,
    /// Whether a model whose answers look wrong is refused rather than warned of.
    pub strict: bool,
    /// Evaluations of a new model that must all be finite, ≥ 0.
    pub probation_evaluations: u64,
    /// Share of non-finite evaluations above which a model is withdrawn later, 0..=1.
    pub max_nonfinite_rate: f64,
    /// Longest time that loading a model may take, > 0; `None`: any.
    pub load_seconds: Option<f64>,
}

/// What makes a model of a directory the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NewestBy {
    /// The last number in its name.
    Name,
    /// The time it was last changed.
    Time,
}

/// `[evaluation]`: matches beside play, in continuous mode.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvaluationSettings {
    /// Every so many versions a model is rated, ≥ 1; `None`: none is.
    pub every_versions: Option<u32>,
    /// Share of the machine that matches may take, 0..=1 without 0.
    pub share: f64,
    /// Games of each match, ≥ 2.
    pub games: u32,
    /// Simulations of each move, ≥ 2.
    pub simulations: u32,
    /// Plies at the start that are drawn at random.
    pub opening_plies: u32,
    /// When a new model serves.
    pub promote: Promote,
    /// Games of a match that decides that, ≥ 2.
    pub gate_games: u32,
    /// Share of the machine that matches may take while a model waits for one.
    pub gate_share: f64,
}

impl EvaluationSettings {
    /// Whether any matches are played.
    pub(crate) fn plays(&self) -> bool {
        self.every_versions.is_some() || self.promote == Promote::Gate
    }
}

/// When a new model serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Promote {
    /// At once.
    Always,
    /// Once it has not lost a match against the one that serves.
    Gate,
}

/// `[output]`: where games go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputSettings {
    /// The directory that the trainer reads; always there for [`Purpose::Play`].
    pub dir: Option<PathBuf>,
    /// Where finished games go at the end if `dir` does not take them.
    pub spool_dir: Option<PathBuf>,
    /// Free space below which no game starts, in bytes; `None`: 1 GiB or 2% of the file system, whichever is less.
    pub min_free: Option<u64>,
    /// How long writing may fail before the process ends, ≥ 0.
    pub writer_deadline_seconds: f64,
    /// Most games set aside in `rejected/` by this process.
    pub max_rejected: u64,
}

/// `[fleet]`: a trainer elsewhere, for which this daemon is one of many workers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FleetSettings {
    /// The servers between; `None`: the trainer is on this machine.
    pub servers: Option<Servers>,
    /// The worker's file; always there with `servers`.
    pub credentials: Option<PathBuf>,
    /// Where games wait and models are kept; `None`: `selfplayd-NAME`.
    pub dir: Option<PathBuf>,
    /// Most bytes of games that wait.
    pub max_outbox_bytes: u64,
}

/// `[journal]`: games in play, kept across restarts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JournalSettings {
    /// Keep one.
    pub enabled: bool,
    /// Go on with the games that an earlier process left unfinished.
    pub resume: bool,
    /// How often it is brought to the disk, in milliseconds, 1..=60000.
    pub sync_ms: u64,
}

/// `[daemon]`: when the daemon ends.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DaemonSettings {
    /// Play until told to stop, following `latest.yaml`.
    pub continuous: bool,
    /// Stop once this file exists.
    pub shutdown_file: Option<PathBuf>,
    /// Seconds for running games to end after a stop, 0..=86400, fractions allowed.
    pub grace_seconds: f64,
    /// Seconds of a pause after which the model is dropped, ≥ 0; `None`: never.
    pub pause_unload_after_seconds: Option<f64>,
    /// Stop once the process that started this one is gone.
    pub exit_with_parent: bool,
}

/// `[metrics]`: records beside the games.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsSettings {
    /// Log counters every 5 s.
    pub profile_counters: bool,
    /// Directory for one record per model version; `None`: not written.
    pub dir: Option<PathBuf>,
}

/// `[http]`: where status, control, metrics and the page are served.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpSettings {
    /// Where everything is served; `None`: nowhere.
    pub listen: Option<Addresses>,
    /// Where only metrics and health are served; `None`: nowhere else.
    pub metrics_listen: Option<Addresses>,
    /// A Unix socket where everything is served to this user; `None`: none.
    pub socket: Option<PathBuf>,
    /// Holds the token of those who may control; `None`: those on this machine may.
    pub token_file: Option<PathBuf>,
    /// Only holders of the token may read as well.
    pub token_for_reads: bool,
    /// Names that this daemon may be called by, besides `localhost` and the machine's own; `None`: no others.
    pub allowed_hosts: Option<HostNames>,
}

/// `[log]`: what is logged.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// How a log line looks.
    pub format: LogFormat,
    /// A level, or a list of `target=level`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}
