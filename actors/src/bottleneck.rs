//! What holds play back, and what to do about it: a judgement in words, from what was counted over the last seconds.
//!
//! The device that runs the network should be what everything else waits for. [`judge`] asks in this order, and the first yes
//! decides:
//!
//! 1. Is play paused? Then nothing is held back.
//! 2. Is the machine, or the control group, about to run out of memory?
//! 3. Is no model in service?
//! 4. Are half of the games in play, or more, longer than any sensible game? Then speed is not what is missing.
//! 5. Do the inference threads work nearly all the time? Then the device is the limit, as it should be, unless its batches are
//!    nearly empty: then there are too few games.
//! 6. They idle. Because a model is missing? Because the writer lets no games start? Because play is coming to its end? Because
//!    the threads that search are busy all the time themselves? If none of these, both sides wait for each other: too few games.
//!
//! Memory is judged by what is left of it, not by the cache: whether an evaluation that was evicted would have been asked for
//! again, is not counted. A full cache that evicts is mentioned in the advice of a busy device.

mod estimate;
mod monitor;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::monitor::{MemoryReader, Monitor};
use crate::{
    account::{Activity, Role, Starts, Times},
    batcher::BatchPolicy,
    game::ENDLESS_PLIES,
};

/// Share of their time that inference threads work when the device is the limit.
const DEVICE_BUSY: f64 = 0.85;
/// Share of their time that threads work which others wait for. They also wait for each other's mail now and then.
const SEARCH_BUSY: f64 = 0.75;
/// Share of the time of play that counts as nearly all of it.
const MOSTLY: f64 = 0.5;
/// Share of the time of play that is too much to be without new games, if the device idles meanwhile.
const WRITER_BLOCKS: f64 = 0.2;
/// A batch that is emptier than this, of what is efficient on the device, wastes it.
const NEARLY_EMPTY: f64 = 0.25;
/// A batch that is emptier than this may be worth more games.
const HARDLY_FULL: f64 = 0.75;
/// Games in play, as a share of those asked for, below which play is coming to its end.
const ENDING: f64 = 0.75;
/// Memory that must be left, as a share of all there is.
const MEMORY_LEFT: f64 = 0.05;
/// A process that has more of its memory than this gives up cache and games before long.
const MEMORY_USED_UP: f64 = 0.9;
/// A cache this full is full: entries differ in size.
const CACHE_FULL: f64 = 0.95;
/// Evictions per evaluation that are worth a word.
const EVICTIONS: f64 = 0.5;

/// What holds play back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The network on its device: the good state.
    Device,
    /// Too few games: the device waits for positions, and the games for the device.
    Games,
    /// The threads that advance games, or the one that holds cache and batcher.
    Search,
    /// The writer, which lets no new games start.
    Writer,
    /// Memory is about to run out.
    Memory,
    /// There is no model.
    Model,
    /// Games go on without an end.
    Endless,
    /// Nothing: play is paused, ends, or has only begun.
    None,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Device, Self::Games, Self::Search, Self::Writer, Self::Memory, Self::Model, Self::Endless, Self::None];

    /// As in metrics, log and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Games => "games",
            Self::Search => "search",
            Self::Writer => "writer",
            Self::Memory => "memory",
            Self::Model => "model",
            Self::Endless => "endless",
            Self::None => "none",
        }
    }
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bottleneck {
    /// What holds play back.
    pub kind: Kind,
    /// What was seen, in words and figures.
    pub statement: String,
    /// What to do about it.
    pub advice: String,
}

/// Sizes that advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Games to be in play at once.
    pub games_at_once: u64,
    /// Leaves gathered from a tree at once, at least 1.
    pub leaf_parallelism: u32,
    /// Threads that run the network.
    pub inference_threads: usize,
    /// Threads that advance games.
    pub game_threads: usize,
    /// Cores that this process may use, at least 1.
    pub cores: usize,
    /// When batches leave; `min_share` is what is efficient on the device.
    pub batching: BatchPolicy,
    /// Bytes that the cache may have.
    pub cache_bytes: u64,
    /// Entries that it may have; `None`: as many as fit into its bytes.
    pub cache_entries: Option<u64>,
    /// Games that there is memory for.
    pub most_games: u64,
    /// Bytes that the process keeps within.
    pub most_memory: u64,
}

/// Memory of the machine, or of the control group if that has less, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All there is.
    pub limit: u64,
    /// What is left, counting what the system can free.
    pub available: u64,
    /// What this process holds.
    pub resident: u64,
}

/// What was counted over a span of time, and how things are at its end.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Length of the span.
    pub seconds: f64,
    /// Where the time went.
    pub times: Times,
    /// Positions that the network evaluated.
    pub evaluations: u64,
    /// Batches that it ran.
    pub batches: u64,
    /// Leaves asked of the cache.
    pub lookups: u64,
    /// Leaves that needed no evaluation of their own: known, or in flight for another.
    pub hits: u64,
    /// Entries evicted from the cache.
    pub evictions: u64,
    /// Failed attempts to write a game.
    pub write_errors: u64,
    /// Models refused.
    pub models_refused: u64,
    /// Bytes in the cache.
    pub cache_bytes: u64,
    /// Entries in the cache.
    pub cache_entries: u64,
    /// Whether play is about to end.
    pub draining: bool,
    /// Free bytes where games go, and those below which none starts; 0 where they are not known.
    pub disk: (u64, u64),
    /// Whether no new games should start as there is no room where games go on to.
    pub no_room_onward: bool,
    /// Games in play.
    pub in_play: u64,
    /// Those of them that may never end.
    pub endless: u64,
    /// Finished games that wait for the disk.
    pub unwritten: u64,
    /// Whether a model is in service.
    pub serving: bool,
    /// Whether one is being loaded.
    pub loading: bool,
    /// Whether the writer lets games start.
    pub starts: Starts,
    /// Memory, where the system tells.
    pub memory: Option<Memory>,
    /// The sizes in force.
    pub sizes: Sizes,
}

/// Says what holds play back.
#[must_use]
pub fn judge(window: &Window) -> Bottleneck {
    let play = |activity| window.times.play_share(activity);
    if play(Activity::Paused) >= MOSTLY {
        return none("play is paused", "resume it");
    }
    if window.draining {
        let games = count(window.in_play, "game");
        return none(&format!("play is ending: {games} left in play"), "wait for the end");
    }
    if let Some(memory) = window.memory.filter(Memory::is_short) {
        return window.memory_bound(&memory);
    }
    if play(Activity::Swap) >= MOSTLY {
        return window.without_model(play(Activity::Swap));
    }
    let blocked = play(Activity::WriterBlocked);
    if blocked < WRITER_BLOCKS && window.in_play + window.evaluations == 0 {
        return none("nothing is played yet", "wait for the first games");
    }
    if window.endless > 0 && 2 * window.endless >= window.in_play {
        return window.without_end();
    }
    let device = |activity| window.times.share(Role::Inference, activity);
    if device(Activity::Working) >= DEVICE_BUSY {
        return if window.fill() < NEARLY_EMPTY { window.empty_batches() } else { window.device_bound() };
    }
    let idle = device(Activity::WaitingWork);
    if device(Activity::Paused) > idle.max(device(Activity::Swap)) {
        return none("play was paused until a moment ago", "wait for the next figures");
    }
    if device(Activity::Swap) > idle {
        return window.without_model(device(Activity::Swap));
    }
    if blocked >= WRITER_BLOCKS {
        return window.writer_blocked(blocked);
    }
    if (window.in_play as f64) < ENDING * window.sizes.games_at_once as f64 {
        let games = count(window.in_play, "game");
        let statement = format!("{games} of {} left in play, and none starts", window.sizes.games_at_once);
        return none(&statement, "wait for their end");
    }
    let busy = |role| window.times.share(role, Activity::Working);
    match (busy(Role::Games), busy(Role::Evaluation)) {
        (games, evaluation) if games >= SEARCH_BUSY && games >= evaluation => window.search_bound(games),
        (_, evaluation) if evaluation >= SEARCH_BUSY => window.mail_bound(evaluation),
        _ => window.starved(),
    }
}

impl Memory {
    fn is_short(&self) -> bool {
        (self.available as f64) < MEMORY_LEFT * self.limit as f64
    }
}

impl Window {
    fn share(&self, role: Role, activity: Activity) -> String {
        percent(self.times.share(role, activity))
    }

    /// Positions per batch; 0 without batches.
    fn mean_batch(&self) -> f64 {
        self.evaluations as f64 / self.batches.max(1) as f64
    }

    /// How full batches are, of what is efficient on the device.
    fn fill(&self) -> f64 {
        self.mean_batch() / self.sizes.batching.min_share.max(1) as f64
    }

    /// Cores that the threads with accounts use at most: a GPU's inference threads mostly wait for it while they work.
    fn cores_used(&self) -> f64 {
        let of = |role| f64::from(self.times.threads(role)) * self.times.share(role, Activity::Working);
        Role::ALL.into_iter().map(of).sum()
    }

    fn device_bound(&self) -> Bottleneck {
        let statement = format!(
            "the network is the limit, as it should be: inference threads work {} of the time, on batches of {:.1}",
            self.share(Role::Inference, Activity::Working),
            self.mean_batch(),
        );
        let evicts = self.evictions as f64 >= EVICTIONS * self.evaluations.max(1) as f64;
        let games = self.games_wanted().min(self.most_games());
        let advice = match self.full_limit().filter(|_| evicts && self.has_memory()) {
            _ if self.fill() < HARDLY_FULL && games > self.sizes.games_at_once => format!(
                "more games at once may make it faster, as batches are {} full: games_per_process of about {games} (now {})",
                percent(self.fill()),
                self.sizes.games_at_once,
            ),
            Some(limit) => {
                let evicted = self.evictions as f64 / self.seconds.max(1e-9);
                format!("a larger cache may save evaluations: it is full and evicts {evicted:.0} entries/s; raise {limit}")
            }
            None => "no change is needed; a faster device, a smaller network or fewer simulations per move would give more games"
                .to_owned(),
        };
        Bottleneck { kind: Kind::Device, statement, advice }
    }

    /// The setting that keeps the cache from growing, with its value; `None` while it has room.
    fn full_limit(&self) -> Option<String> {
        let Sizes { cache_bytes, cache_entries, .. } = self.sizes;
        let full = |part: u64, whole: u64| part as f64 >= CACHE_FULL * whole as f64;
        if cache_bytes == 0 || cache_entries == Some(0) {
            return None;
        }
        match cache_entries.filter(|&most| full(self.cache_entries, most)) {
            Some(most) => Some(format!("cache.max_entries (now {most})")),
            None => {
                full(self.cache_bytes, cache_bytes).then(|| format!("cache.max_bytes (now {} MiB)", cache_bytes >> 20))
            }
        }
    }

    /// The device works, but on hardly anything at a time.
    fn empty_batches(&self) -> Bottleneck {
        let statement = format!(
            "starved by too few games: the device works on batches of {:.1}, where {} would take little longer; {} in play",
            self.mean_batch(),
            self.sizes.batching.min_share,
            count(self.in_play, "game"),
        );
        Bottleneck { kind: Kind::Games, statement, advice: self.more_games() }
    }

    fn starved(&self) -> Bottleneck {
        let statement = format!(
            "starved by too few games: inference threads wait for positions {} of the time, games' threads for evaluations {}; \
             {} in play, batches of {:.1}",
            self.share(Role::Inference, Activity::WaitingWork),
            self.share(Role::Games, Activity::WaitingEvaluations),
            count(self.in_play, "game"),
            self.mean_batch(),
        );
        Bottleneck { kind: Kind::Games, statement, advice: self.more_games() }
    }

    /// Whether the process may have more memory than it has.
    fn has_memory(&self) -> bool {
        let most = MEMORY_USED_UP * self.sizes.most_memory as f64;
        self.memory.is_none_or(|memory| (memory.resident as f64) < most)
    }

    /// Games that there is memory for, as things stand.
    fn most_games(&self) -> u64 {
        if self.has_memory() { self.sizes.most_games } else { self.sizes.games_at_once }
    }

    fn more_games(&self) -> String {
        let Sizes { games_at_once, batching, .. } = self.sizes;
        let most_games = self.most_games();
        let wanted = self.games_wanted().min(most_games);
        let or_wait = match batching.max_wait.as_secs_f64() * 1e3 {
            0.0 => String::new(),
            millis => format!(", or lower inference.eval_max_wait_ms (now {millis})"),
        };
        if wanted <= games_at_once {
            return format!(
                "more games would help, but memory.max_bytes allows no more than {most_games} (now {games_at_once}): raise it, or \
                 lower cache.max_bytes{or_wait}"
            );
        }
        format!("raise games_per_process to about {wanted} (now {games_at_once}){or_wait}")
    }

    fn search_bound(&self, busy: f64) -> Bottleneck {
        let Sizes { game_threads, cores, .. } = self.sizes;
        let statement = format!(
            "search is the limit: threads of games ({game_threads}) work {} of the time, inference threads {}",
            percent(busy),
            self.share(Role::Inference, Activity::Working),
        );
        let free = (cores as f64 - self.cores_used()).round();
        let advice = if free >= 1.0 {
            let threads = game_threads + free as usize;
            format!(
                "raise play.threads to {threads} (now {game_threads}): {free} of {} are free",
                count(cores as u64, "core")
            )
        } else {
            format!(
                "run fewer processes on these {}, or the build of `cargo xtask fastest`, which searches faster",
                count(cores as u64, "core"),
            )
        };
        Bottleneck { kind: Kind::Search, statement, advice }
    }

    /// The one thread that all requests pass is busy.
    fn mail_bound(&self, busy: f64) -> Bottleneck {
        let statement = format!(
            "the thread of cache and batcher is the limit: it works {} of the time, inference threads {}",
            percent(busy),
            self.share(Role::Inference, Activity::Working),
        );
        let free = (self.sizes.cores as f64 - self.cores_used()).round();
        let advice = if free >= 1.0 {
            "run another process with half the games".to_owned()
        } else {
            format!(
                "raise search.leaf_parallelism (now {}), so that fewer messages carry more positions; more than one leaf at a time \
                 costs some strength",
                self.sizes.leaf_parallelism,
            )
        };
        Bottleneck { kind: Kind::Search, statement, advice }
    }

    fn writer_blocked(&self, blocked: f64) -> Bottleneck {
        let (free, floor) = self.disk;
        if self.starts == Starts::Held && free < floor {
            let mib = |bytes: u64| bytes >> 20;
            let statement = format!(
                "no new games start, for {} of the time: {} MiB are free where output.dir is, and {} MiB are needed",
                percent(blocked),
                mib(free),
                mib(floor),
            );
            let advice = "make room on the disk of output.dir, or lower output.min_free".to_owned();
            return Bottleneck { kind: Kind::Writer, statement, advice };
        }
        if self.starts == Starts::Held && self.no_room_onward {
            let share = percent(blocked);
            let statement = format!("no new games start, for {share} of the time: games do not go on to the trainer");
            let advice = "see log and status for what keeps them".to_owned();
            return Bottleneck { kind: Kind::Writer, statement, advice };
        }
        let statement = format!(
            "the writer lets no new games start {} of the time: {} for the disk, its thread works {} of the time, {} failed",
            percent(blocked),
            count(self.unwritten, "finished game") + if self.unwritten == 1 { " waits" } else { " wait" },
            self.share(Role::Writer, Activity::Working),
            count(self.write_errors, "write"),
        );
        let advice = match self.starts {
            Starts::Held => "see the log for why output.dir takes no games",
            _ if self.write_errors > 0 => "see the log for why games cannot be written to output.dir",
            _ => "put output.dir on a faster disk",
        };
        Bottleneck { kind: Kind::Writer, statement, advice: advice.to_owned() }
    }

    fn memory_bound(&self, memory: &Memory) -> Bottleneck {
        let mib = |bytes: u64| bytes >> 20;
        let statement = format!(
            "memory is about to run out: {} of {} MiB are left; this process holds {} MiB, {} of them in the cache",
            mib(memory.available),
            mib(memory.limit),
            mib(memory.resident),
            mib(self.cache_bytes),
        );
        let advice = format!(
            "lower cache.max_bytes (now {} MiB) or games_per_process (now {}), or run fewer processes",
            mib(self.sizes.cache_bytes),
            self.sizes.games_at_once,
        );
        Bottleneck { kind: Kind::Memory, statement, advice }
    }

    fn without_end(&self) -> Bottleneck {
        let statement = format!(
            "{} of {} in play are longer than {ENDLESS_PLIES} plies and may never end",
            self.endless,
            count(self.in_play, "game"),
        );
        let advice = "set quoridor.max_steps in the trainer's file (game.max_steps), so that such games end as draws; games of \
                      players without randomness (temperature 0, --use-raw-onnx-agent) may repeat themselves for ever";
        Bottleneck { kind: Kind::Endless, statement, advice: advice.to_owned() }
    }

    fn without_model(&self, share: f64) -> Bottleneck {
        let statement = format!("no model was in service {} of the time", percent(share));
        let advice = match (self.serving, self.loading, self.models_refused) {
            (true, ..) => "no change is needed: one is in service now",
            (false, true, _) => "wait: a model is being loaded",
            (false, false, 1..) => "see the log for why models are refused",
            (false, false, 0) => {
                "hand over a model; the log says where it is looked for, and whether one was withdrawn"
            }
        };
        Bottleneck { kind: Kind::Model, statement, advice: advice.to_owned() }
    }
}

fn none(statement: &str, advice: &str) -> Bottleneck {
    Bottleneck { kind: Kind::None, statement: statement.to_owned(), advice: advice.to_owned() }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// A number of things.
fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
