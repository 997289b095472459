//! The status: one document that says how a daemon is doing, for the page, the client, event streams and scripts.
//!
//! `docs/status.md` is its reference; a test sees to it that no field is missing there. Fields may be added within
//! [`SCHEMA`]; their meaning never changes. `null` stands for what is not known or not there yet.
//!
//! - [`figures`]: what is read from the daemon
//! - [`judge`]: its state, health and readiness
//! - [`history`]: rates of the last seconds and minutes
//! - [`swaps`]: the last models
//! - [`sampler`]: makes the document once a second

mod figures;
mod history;
mod judge;
mod sampler;
mod swaps;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use selfplay_actors::{changes::ModelChange, control::ControlState, findings::Found, standings::Standings};
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    figures::{Facts, Sources},
    sampler::Sampler,
};
use crate::{
    daemon::{device::DeviceStatus, progress::BatchStatus, run::RunStatus, siblings::Sibling},
    learning::{TrainerStatus, Verdict as DataVerdict, VersionFigures},
    streams::LostLines,
    words::as_text,
};

/// Version of the document's meaning.
pub(crate) const SCHEMA: u32 = 2;

/// How a daemon is doing at one moment. Counts are since its start, rates of the last 10 s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Of the daemon.
    pub version: String,
    /// When this was made, in seconds since 1970.
    pub unix: f64,
    /// Of the process.
    pub pid: u32,
    /// When it started, in seconds since 1970.
    pub started_unix: f64,
    /// How long it has run, whatever the clock was set to meanwhile.
    pub uptime_seconds: f64,
    /// What it plays for.
    pub run: RunStatus,
    /// Other daemons that play into the same output directory.
    pub siblings: Vec<Sibling>,
    /// Of all random choices; text, as not every reader of JSON keeps numbers of 63 bits.
    #[serde(with = "as_text")]
    pub seed: u64,
    /// Of the settings that determine games, 16 hexadecimal digits.
    pub settings_hash: String,
    /// What ends it.
    pub mode: Mode,
    /// How far it is, where the last of its games ends it.
    pub batch: Option<BatchStatus>,
    /// What it is doing.
    pub state: State,
    /// Whether it is alive and gets on, as `/healthz` says.
    pub health: Verdict,
    /// Whether it plays and may go on, as `/readyz` says.
    pub ready: Verdict,
    /// What spoils the games although they are played; mostly empty.
    pub warnings: Vec<String>,
    /// Whether the caller that asked for this document may control the daemon.
    pub control: bool,
    /// What it was told by those who may.
    pub control_state: ControlState,
    /// What holds it back.
    pub bottleneck: Option<Bottleneck>,
    /// What the network runs on.
    pub device: DeviceStatus,
    /// The model in service and those before it.
    pub model: ModelStatus,
    /// What matches beside play have shown; `null` where none are played.
    #[serde(default)]
    pub matches: Option<Standings>,
    /// What the last games teach.
    #[serde(default)]
    pub learning: LearningStatus,
    /// The trainer, as far as it tells; `null` where it says nothing.
    #[serde(default)]
    pub trainer: Option<TrainerStatus>,
    /// The way to and from a trainer elsewhere, as its side of the fleet tells; `null` where the trainer is on this machine.
    #[serde(default)]
    pub fleet: Option<serde_json::Value>,
    /// Speeds of the last 10 s.
    pub rates: RateStatus,
    /// Speeds of the last five minutes.
    pub history: History,
    /// Batches by size, since the start; each is counted in the first bin that it fits.
    pub batch_sizes: Vec<Bin>,
    /// The evaluation cache.
    pub cache: CacheStatus,
    /// Games.
    pub games: GamesStatus,
    /// The way to the disk.
    pub writer: WriterStatus,
    /// Lines of the log and the like that could not be written.
    #[serde(default)]
    pub lost_lines: LostLines,
    /// Where the threads' time went in the last 10 s, by role.
    pub threads: Vec<ThreadStatus>,
    /// The supervision tree.
    pub children: Vec<ChildStatus>,
    /// Every counter by its name.
    pub totals: BTreeMap<String, u64>,
}

/// What the last games teach; `GET /v1/learning` has it for each model version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LearningStatus {
    /// Model versions of which figures are kept.
    pub versions: u64,
    /// Of the newest versions up to the one in service that have two hundred finished games together, or of all; `null` before the first
    /// game.
    pub recent: Option<VersionFigures>,
    /// What there is to say of these games, the most important first.
    pub verdicts: Vec<DataVerdict>,
    /// Why figures are not kept.
    pub trouble: Option<String>,
}

/// What ends a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// A signal, a request or the shutdown file.
    Continuous,
    /// The last of its games.
    Batch,
}

/// What a daemon is doing; of several, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It ends: no new games.
    Draining,
    /// It comes up.
    Starting,
    /// It was told to rest.
    Paused,
    /// It has no model to play with.
    WaitingForModel,
    /// Finished games do not get to the disk, and so no new ones start.
    WriterBlocked,
    /// It plays.
    Playing,
}

/// A yes, or a no with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Yes.
    pub ok: bool,
    /// Why not; empty where it is a yes.
    pub reasons: Vec<String>,
}

/// What holds a daemon back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bottleneck {
    /// `device`, `games`, `search`, `writer`, `memory`, `model`, `endless` or `none`.
    pub kind: String,
    /// In words, with figures.
    pub statement: String,
    /// What to do about it; `null` where nothing is to be done.
    pub advice: Option<String>,
}

/// The model in service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ModelStatus {
    /// The trainer's number; `null` before the first model.
    pub version: Option<i64>,
    /// How many models have served, this one included; a model that comes back counts again.
    pub generation: Option<u64>,
    /// How long it has served.
    pub age_seconds: Option<f64>,
    /// Since when, in seconds since 1970.
    pub served_unix: Option<f64>,
    /// What was found when a newer one was looked for last; `null` where none is looked for.
    pub found: Option<Found>,
    /// What became of the last models, the newest first, at most 20.
    pub swaps: Vec<Swap>,
    /// What the newest model changed, by its answers to the probe positions; `null` before the first and without a network.
    #[serde(default)]
    pub change: Option<ModelChange>,
}

/// What became of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Swap {
    /// The trainer's number; `null` where it is not known.
    pub version: Option<i64>,
    /// When, in seconds since 1970.
    pub unix: f64,
    /// What.
    pub outcome: Outcome,
    /// Why it was not taken or not kept.
    pub reason: Option<String>,
    /// How long it was read, checked and made ready.
    pub seconds: Option<f64>,
}

/// What can become of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It came into service.
    Served,
    /// It never did.
    Refused,
    /// It did, and was taken out of it.
    Withdrawn,
}

/// Speeds of the last 10 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RateStatus {
    /// Positions that the network evaluated.
    pub evaluations_per_s: f64,
    /// Simulations of the search.
    pub simulations_per_s: f64,
    /// Games finished.
    pub games_per_s: f64,
    /// Positions of finished games.
    pub positions_per_s: f64,
    /// Positions per batch.
    pub mean_batch: f64,
    /// Share of leaves that needed no evaluation of their own.
    pub cache_hit_rate: f64,
    /// Positions that the network evaluated, per simulation; 0 without simulations.
    pub evaluations_per_simulation: f64,
    /// Evaluations that left the cache for others.
    pub evictions_per_s: f64,
}

/// Speeds of the last minutes, the oldest first, at most 150.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    /// Time between two of them.
    pub step_seconds: u64,
    /// Positions that the network evaluated.
    pub evaluations_per_s: Vec<f64>,
    /// Games finished.
    pub games_per_s: Vec<f64>,
    /// Positions of finished games.
    pub positions_per_s: Vec<f64>,
}

/// Batches of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bin {
    /// Up to this many positions; `null`: any.
    pub le: Option<u64>,
    /// How many batches that were larger than the bin before allows.
    pub count: u64,
}

/// The evaluation cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheStatus {
    /// Evaluations in it.
    pub entries: u64,
    /// Memory it takes.
    pub bytes: u64,
    /// Memory it may take; 0: there is no cache.
    pub capacity_bytes: u64,
    /// Evaluations that may be in it; `null`: as many as fit into its memory.
    pub capacity_entries: Option<u64>,
    /// The limit that it is nearer to; `null` without a cache.
    pub limit: Option<Limit>,
}

/// What bounds a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Its memory.
    Bytes,
    /// The number of its entries.
    Entries,
}

/// Games.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GamesStatus {
    /// Begun or gone on with.
    pub started: u64,
    /// Played to their end.
    pub finished: u64,
    /// In play.
    pub active: u64,
    /// To be in play at once.
    pub target: u64,
    /// Begun, and waiting until more may be in play at once.
    #[serde(default)]
    pub parked: u64,
    /// Set aside because of what the network answered.
    pub rejected: u64,
    /// Given up after repeated failures.
    pub given_up: u64,
    /// Gone on with after an earlier process.
    pub resumed: u64,
    /// Plies of finished games; `null` before the first.
    pub mean_plies: Option<f64>,
    /// Share of finished games without a winner.
    pub draw_share: Option<f64>,
    /// Ended with the result of perfect play.
    #[serde(default)]
    pub adjudicated: u64,
    /// Ended by a player who resigned.
    #[serde(default)]
    pub resigned: u64,
    /// How often resigning would have been wrong; `null` before there is a threshold.
    #[serde(default)]
    pub resign_check: Option<ResignCheck>,
}

/// What the games tell of resigning that were played on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResignCheck {
    /// Games that were played on since there is a threshold.
    pub games: u64,
    /// Share of them in which a player who did not lose would have resigned.
    pub wrong_share: f64,
    /// The 95% interval of that share begins here.
    pub low: f64,
    /// And ends here.
    pub high: f64,
}

/// The way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WriterStatus {
    /// Games on the disk.
    pub written: u64,
    /// Games that wait to get there.
    pub queued: u64,
    /// Games that may start before one of those in play is written.
    pub credits: Option<u64>,
    /// Bytes of replay files.
    pub bytes_written: u64,
    /// Attempts that failed.
    pub errors: u64,
    /// Free space where games go.
    pub disk_free_bytes: Option<u64>,
    /// Free space below which no game starts.
    pub disk_floor_bytes: Option<u64>,
    /// Size of the journal.
    pub journal_bytes: Option<u64>,
}

/// Where the time of the threads of one role went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThreadStatus {
    /// `games`, `evaluation`, `inference`, `writer` or `loader`.
    pub role: String,
    /// How many threads.
    pub count: u64,
    /// Shares of their time by activity; they add up to 1.
    pub shares: BTreeMap<String, f64>,
}

/// How a child of the supervision tree, or a group of children with one budget, is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ChildStatus {
    /// Its name.
    pub name: String,
    /// `starting`, `running`, `restarting`, `hung` or `stopped`; of a group, whatever is worst.
    pub state: String,
    /// Children in the group that run; 0 or 1 otherwise.
    pub running: u32,
    /// When it is restarted: `permanent` (always) or `transient` (after a panic or an error).
    pub restart: String,
    /// Restarts so far, by reason.
    pub restarts: Restarts,
    /// Restarts allowed within `window_seconds`.
    pub restarts_allowed: u32,
    /// Length of the sliding window.
    pub window_seconds: f64,
    /// Why it ended last.
    pub last_exit: Option<String>,
    /// How long ago that was.
    pub last_exit_seconds_ago: Option<f64>,
    /// How long it has been busy with one thing, or has not run its timer.
    pub busy_seconds: Option<f64>,
    /// How long it may be; `null`: for ever.
    pub hang_seconds: Option<f64>,
    /// What one failure costs.
    pub cost: String,
    /// What happens when the restarts are used up.
    pub escalation: String,
}

/// Restarts by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restarts {
    /// After panics.
    pub panic: u64,
    /// After errors.
    pub error: u64,
    /// After ends without a reason.
    pub stopped: u64,
    /// Hangs, which end the process.
    pub hang: u64,
}
