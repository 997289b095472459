//! The settings of the daemon: one typed, validated struct, and where each value came from.
//!
//! Layers, each replacing the one before it key by key: the defaults compiled in from `configs/default.toml` → a preset of
//! a subcommand → the trainer's YAML → the user's own file → the environment → flags. Modules in dependency order:
//!
//! - [`games`]: the rules of each game, and the hash of what shapes games
//! - [`addresses`]: where to listen, and names of hosts
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
mod games;
mod key;
mod keys;
mod kind;
mod layer;
mod mistake;
mod places;
mod resolve;
mod show;
#[cfg(test)]
mod tests;
mod trainer;

use std::path::PathBuf;

use selfplay_actors::onnx::{PrecisionOptions, PrecisionRequest};
use serde::{Deserialize, Serialize};

pub(crate) use addresses::{Addresses, HostNames};
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
pub(crate) use resolve::{Preset, Purpose, Resolved, Sources, resolve};

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

/// `[search]`: how moves are searched and chosen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSettings {
    /// Simulations per move, ≥ 2 for the search agent; `None`: `mcts_k` says.
    pub mcts_n: Option<u32>,
    /// Simulations per move for each legal action at the root, ≥ 1; used while `mcts_n` is `None`.
    pub mcts_k: u32,
    /// How a search selects, and what becomes its policy.
    pub root: Root,
    /// Weight of priors against values in PUCT, > 0.
    pub c_puct: f32,
    /// Most actions that Gumbel's rule draws, 1..=1024.
    pub gumbel_m: u32,
    /// Visits that values weigh as if the most visited action had them besides, ≥ 0.
    pub gumbel_c_visit: f32,
    /// Weight of values against logits, > 0.
    pub gumbel_c_scale: f32,
    /// Stretch the values of a node's actions over their whole range.
    pub gumbel_rescale: bool,
    /// Scale of the Gumbel draws, 0..=10.
    pub gumbel_scale: f32,
    /// How that weight grows with visits, 0..=1000; 0: not at all.
    pub c_puct_growth: f32,
    /// Visits until such growth shows, > 0.
    pub c_puct_base: f32,
    /// What moves without visits count for.
    pub fpu: FirstPlay,
    /// The value, or the factor of the reduction, -1..=1.
    pub fpu_value: f32,
    /// The same at the root; `None`: as below it.
    pub fpu_root: Option<FirstPlay>,
    /// Its value, -1..=1; only where `fpu_root` is given.
    pub fpu_root_value: f32,
    /// The root's priors become P^(1/T) before noise, 0.1..=10.
    pub root_policy_temperature: f32,
    /// k of forced playouts, 0..=100; 0: none.
    pub forced_playouts: f32,
    /// Share of noise in the root's priors, 0..=1.
    pub noise_epsilon: f32,
    /// Concentration of that noise, > 0; `None`: from the board (contract §4).
    pub noise_alpha: Option<f32>,
    /// How that is shared out.
    pub noise_shape: NoiseShape,
    /// Moves are drawn with probability visits^(1/T), ≥ 0; 0 is greedy.
    pub temperature: f32,
    /// First ply (from 0) with temperature 0; `None`: never.
    pub drop_t_on_step: Option<u32>,
    /// Plies in which the temperature goes half of the way to `temperature_end`, > 0; `None`: it stays.
    pub temperature_halflife: Option<f32>,
    /// What it comes to, 0..=100.
    pub temperature_end: f32,
    /// Subtract 1 from the score of moves to positions already seen in this game.
    pub penalize_visited_states: bool,
    /// K: leaves gathered from one tree before waiting, 1..=1024 and ≤ `mcts_n`; `None`: [`Settings::leaf_parallelism`] says.
    pub leaf_parallelism: Option<u32>,
    /// What gathered paths count for until their evaluations arrive.
    pub in_flight: InFlight,
    /// Losses counted along a gathered path, 0..=1000; only where paths in flight count for losses.
    pub virtual_loss: u32,
    /// What simulations count where a subtree is kept.
    pub n_counts: Counted,
    /// Keep the chosen move's subtree.
    pub tree_reuse: bool,
    /// Prove what positions are worth by finished games.
    pub solver: bool,
}

/// How a search selects, and what becomes its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Root {
    /// PUCT throughout; visits.
    Puct,
    /// Sequential halving, and improved policies below it; the improved policy.
    Gumbel,
}

/// What moves without visits count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FirstPlay {
    /// For a fixed value.
    Absolute,
    /// For less than their position, the more of it was visited.
    Reduction,
}

/// How noise is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoiseShape {
    /// Evenly.
    Even,
    /// Half of it to moves whose priors stand out.
    Shaped,
}

/// What the simulations of a move count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// Those done for it.
    Playouts,
    /// The visits of its root.
    Visits,
}

/// What a gathered path counts for until its evaluation arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InFlight {
    /// For a visit.
    Visits,
    /// For `virtual_loss` lost games.
    Loss,
}

/// `[play]`: how many games are played, and by whom.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaySettings {
    /// Games in play at once in this process, ≥ 1; `None`: as many as keep the device busy.
    pub games_per_process: Option<u32>,
    /// Games of batch mode, ≥ 1.
    pub num_games: u64,
    /// Identical processes that share the machine, ≥ 1.
    pub processes: u32,
    /// Threads that advance games, ≥ 1; `None`: from the cores.
    pub threads: Option<u32>,
    /// Seed of all random choices, below 2^63 so that every file format can hold it; `None`: draw one below 2^63 and log it.
    pub seed: Option<u64>,
    /// Who plays the second player.
    pub p2: Opponent,
    /// How our moves are chosen.
    pub agent: Agent,
    /// Share of moves with a search of full size, above 0 to 1.
    pub full_search_share: f32,
    /// Simulations of the others, ≥ 2; `None`: a sixth of a full search.
    pub cheap_simulations: Option<u32>,
    /// Share of a game's weights that goes by surprise, 0..=1.
    pub policy_surprise: f32,
    /// Most random plies at the begin of a game, 0..=1000.
    pub opening_random_plies: u32,
    /// Mean number of plies after those that the network's policy alone draws, 0..=1000.
    pub opening_policy_plies: f32,
    /// End games where their result under perfect play is known.
    pub adjudicate: bool,
    /// Less effort in decided games.
    pub soft_resign: bool,
    /// The value from which on, 0..=0.99.
    pub soft_resign_value: f32,
    /// Simulations of a move in a game that is as good as over, ≥ 2.
    pub soft_resign_simulations: u32,
    /// Weight of such a move, 0..=1.
    pub soft_resign_weight: f32,
    /// Players resign.
    pub resign: bool,
    /// Share of games in which no one does, 0.01..=1.
    pub resign_played_on: f32,
    /// Largest share of those in which resigning would have been wrong, 0..=1.
    pub resign_most_wrong: f32,
    /// Log every move.
    pub trace: bool,
}

impl PlaySettings {
    /// Games that are in play at once when play begins.
    pub(crate) fn games(&self) -> u32 {
        /// Enough for batches of eight on four threads.
        const FIRST: u32 = 32;
        self.games_per_process.unwrap_or(FIRST)
    }
}

/// Who plays the second player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Opponent {
    /// The same agent as the first player.
    Same,
    /// A uniformly random legal move.
    Random,
}

/// How moves are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Agent {
    /// By search.
    Search,
    /// From the network's policy alone.
    Raw,
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
