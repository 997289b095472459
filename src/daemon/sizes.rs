//! What `auto` means: numbers of threads and batch sizes for this machine and device, and whether its memory is enough.

use std::{fs, thread::available_parallelism};

use selfplay_actors::{
    batcher::BatchPolicy,
    bottleneck::{self, Memory},
    onnx::{BatchBuckets, Device, GpuOptions},
};

use crate::{played::Facts, settings::Settings};

/// Positions that a CPU evaluates at once: twice as many gain a hundredth on small boards, and take an eighth more memory on 9x9
/// (docs/measurements/batches.md).
const CPU_BATCH: usize = 32;
/// Smallest share of waiting positions that is worth a batch of its own on a CPU.
const CPU_SHARE: usize = 8;
/// The same through OpenVINO, where a batch of 8 costs 1.5 times as much a position as one of 32.
const OPENVINO_SHARE: usize = 32;
/// Positions that a GPU evaluates at once.
const GPU_BATCH: usize = 1024;
/// Inference threads per GPU, each with its own session and stream: one fills its batch while the other runs.
const GPU_THREADS: usize = 2;
/// Cores per thread that advances games, beside a network on the same CPU: search takes a few percent of the network's time.
const CORES_PER_GAME_THREAD: usize = 8;

/// Threads and batches of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Inference threads.
    pub inference_threads: usize,
    /// Threads that advance games.
    pub game_threads: usize,
    /// When batches leave.
    pub batching: BatchPolicy,
    /// Cores that this process may use.
    pub cores: usize,
}

impl Sizes {
    /// The sizes that `settings` ask for, or that fit `devices` and the cores this process may use.
    pub(crate) fn new(settings: &Settings, devices: &[Device]) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::for_cores(settings, devices, cores.div_ceil(settings.play.processes as usize))
    }

    fn for_cores(settings: &Settings, devices: &[Device], cores: usize) -> Self {
        let gpus = devices.iter().filter(|device| device.is_gpu()).count();
        let chosen = |setting: Option<u32>, auto| setting.map_or(auto, |chosen| chosen as usize);
        // Several GPUs share what waits; one takes all of it, because large batches are what it is fast at.
        let (inference_threads, batch, share) = if gpus > 0 {
            (gpus * chosen(settings.inference.threads, GPU_THREADS), GPU_BATCH, GPU_BATCH.div_ceil(gpus))
        } else {
            let share = if devices.iter().any(|device| matches!(device, Device::OpenVino(_))) {
                OPENVINO_SHARE
            } else {
                CPU_SHARE
            };
            (chosen(settings.inference.threads, cores), CPU_BATCH, share)
        };
        let game_threads = if gpus > 0 {
            cores.saturating_sub(inference_threads).max(1)
        } else {
            cores.div_ceil(CORES_PER_GAME_THREAD)
        };
        let largest = settings.inference.batch_buckets.as_ref().map_or(batch, |buckets| buckets.largest());
        let max_batch = chosen(settings.inference.eval_batch_size, largest);
        let max_wait = max_wait(settings);
        let game_threads = chosen(settings.play.threads, game_threads);
        let beside_games = if gpus > 0 { usize::MAX } else { cores.saturating_sub(game_threads).max(1) };
        Self {
            inference_threads,
            game_threads,
            batching: BatchPolicy { max_batch, max_wait, min_share: share.min(max_batch), cores: beside_games },
            cores,
        }
    }

    /// What advice on bottlenecks is about.
    pub(crate) fn advised(&self, settings: &Settings) -> bottleneck::Sizes {
        bottleneck::Sizes {
            games_at_once: settings.play.games().into(),
            leaf_parallelism: settings.leaf_parallelism(),
            inference_threads: self.inference_threads,
            game_threads: self.game_threads,
            cores: self.cores,
            batching: self.batching,
            cache_bytes: if settings.cache.enabled() { settings.cache.max_bytes } else { 0 },
            cache_entries: settings.cache.max_entries,
            most_games: games_that_fit(settings),
            most_memory: memory_limit(settings).unwrap_or(u64::MAX),
        }
    }
}

/// Most memory of one session, in bytes, where `limit` is that of a GPU on which `threads` threads have one each: a new model
/// is made ready beside the one in service.
fn session_memory(limit: Option<u64>, threads: usize) -> Option<u64> {
    Some(limit? / (2 * threads.max(1) as u64))
}

/// How GPUs are used, on each of which are `threads` inference threads.
pub(crate) fn gpu_options(settings: &Settings, threads: usize) -> GpuOptions {
    let inference = &settings.inference;
    GpuOptions {
        memory_limit: session_memory(inference.gpu_memory, threads),
        tf32: inference.tf32,
        channels_last: inference.channels_last,
        graphs: inference.cuda_graphs.unwrap_or(false),
        engine_cache: inference.tensorrt_cache_dir.clone(),
    }
}

/// The batch sizes that `settings` name.
pub(crate) fn buckets(settings: &Settings) -> Option<BatchBuckets> {
    settings.inference.batch_buckets.as_ref().map(|buckets| BatchBuckets::new(buckets.iter().copied()))
}

/// Bytes of a search tree's node beside its legal actions, and for each of those: a prior, and most of an edge.
const NODE_BYTES: u64 = 200;
const ACTION_BYTES: u64 = 6;

/// Longest wait for a fuller batch.
pub(crate) fn max_wait(settings: &Settings) -> std::time::Duration {
    std::time::Duration::from_secs_f64(settings.inference.eval_max_wait_ms / 1e3)
}

/// Share of the machine's memory that all processes may have where `memory.max_bytes` is "auto": the rest is for others, such
/// as a trainer.
const SHARE_OF_MACHINE: (u64, u64) = (4, 5);
/// The cache is not made smaller than this before there are fewer games.
const LEAST_CACHE: u64 = 16 << 20;

/// What a process may need at most, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Footprint {
    /// Search trees.
    trees: u64,
    /// Cached evaluations.
    cache: u64,
    /// Input of the network.
    batches: u64,
}

impl Footprint {
    /// That of one process by these settings.
    fn of(settings: &Settings) -> Self {
        let Facts { actions, inputs, .. } = settings.facts();
        let games = u64::from(settings.play.games());
        let node = NODE_BYTES + ACTION_BYTES * actions;
        let sizes = Sizes::new(settings, &[Device::Cpu]);
        let positions = (sizes.inference_threads as u64).saturating_mul(sizes.batching.max_batch as u64);
        Self {
            trees: games.saturating_mul(simulations(settings)).saturating_mul(node),
            cache: if settings.cache.enabled() { settings.cache.max_bytes } else { 0 },
            batches: positions.saturating_mul(inputs * size_of::<f32>() as u64),
        }
    }

    /// All of it.
    fn total(&self) -> u64 {
        [self.trees, self.cache, self.batches].into_iter().fold(0, u64::saturating_add)
    }
}

/// What a process by `settings` may need, in bytes.
pub(crate) fn needed(settings: &Settings) -> u64 {
    Footprint::of(settings).total()
}

/// Most simulations per move.
fn simulations(settings: &Settings) -> u64 {
    let per_action = || u64::from(settings.search.mcts_k).saturating_mul(settings.facts().actions);
    settings.search.mcts_n.map_or_else(per_action, u64::from)
}

/// Memory that one process by these settings may have, in bytes; `None` where neither they nor the system say.
pub(crate) fn memory_limit(settings: &Settings) -> Option<u64> {
    let (share, of) = SHARE_OF_MACHINE;
    let machine = || Some(machine_memory()? / of * share / u64::from(settings.play.processes));
    settings.memory.max_bytes.or_else(machine)
}

/// Most games at once that fit into what the process may have, with its cache as it is.
pub(crate) fn games_that_fit(settings: &Settings) -> u64 {
    let needs = Footprint::of(settings);
    let tree = (needs.trees / u64::from(settings.play.games())).max(1);
    memory_limit(settings).map_or(u64::MAX, |limit| limit.saturating_sub(needs.cache + needs.batches) / tree)
}

/// Makes settings fit into `limit` bytes: a smaller cache first, then fewer games. Says what it has changed.
pub(crate) fn fit(settings: &mut Settings, limit: u64) -> Option<String> {
    let (needs, games) = (Footprint::of(settings), u64::from(settings.play.games()));
    if needs.total() <= limit {
        return None;
    }
    let rest = limit.saturating_sub(needs.total() - needs.cache);
    let cache = needs.cache.min(rest.max(LEAST_CACHE));
    let left = limit.saturating_sub(needs.batches.saturating_add(cache));
    let fitting = (left / (needs.trees / games).max(1)).clamp(1, games);
    settings.cache.max_bytes = if settings.cache.enabled() { cache } else { settings.cache.max_bytes };
    if fitting < games {
        settings.play.games_per_process = Some(fitting as u32);
    }
    let mib = |bytes: u64| bytes >> 20;
    let fewer = if fitting < games { format!(", and {fitting} games at once") } else { String::new() };
    Some(format!(
        "memory may run out: this process may have {} MiB (memory.max_bytes), and what is asked for may need {}: {} MiB for the \
         trees of {games} games with {} simulations, {} MiB for the cache and {} MiB for batches. It gets {} MiB of cache{fewer}",
        mib(limit),
        mib(needs.total()),
        mib(needs.trees),
        simulations(settings),
        mib(needs.cache),
        mib(needs.batches),
        mib(cache),
    ))
}

/// Memory that this process can have, in bytes: the machine's, or its control group's where that has less. `None` where the
/// system does not say.
pub(crate) fn machine_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| bytes_of("MemTotal:", &text));
    machine.into_iter().chain(group_memory()).min()
}

/// The limit of the control group, in bytes; `None` where there is none.
fn group_memory() -> Option<u64> {
    fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?.trim().parse().ok()
}

/// How memory is now: of the machine, or of the control group where that has less left for this process. The group's own count
/// is no help: it holds every file that was written as well. `None` where the system does not say.
pub(crate) fn memory() -> Option<Memory> {
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    let process = fs::read_to_string("/proc/self/status").ok()?;
    let resident = bytes_of("VmRSS:", &process)?;
    let (limit, available) = (bytes_of("MemTotal:", &machine)?, bytes_of("MemAvailable:", &machine)?);
    let group = group_memory().map(|limit| Memory { limit, available: limit.saturating_sub(resident), resident });
    [Memory { limit, available, resident }].into_iter().chain(group).min_by_key(|memory| memory.available)
}

/// The figure of a line of `/proc/meminfo` or `/proc/PID/status`.
fn bytes_of(key: &str, text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::settings::{FlagValue, Purpose, Sources, resolve};

    const GIB: u64 = 1 << 30;

    fn plain(given: &[(&'static str, &str)]) -> Settings {
        let board = [("game.board_size", "9"), ("game.max_walls", "10")];
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: value.to_owned() };
        let flags: Vec<_> = board.iter().chain(given).map(flag).collect();
        let environment = BTreeMap::new();
        let sources = Sources { preset: None, trainer: None, own: None, environment: &environment, flags: &flags };
        resolve(&sources, Purpose::Bench).into_settings().unwrap()
    }

    /// With two inference threads, whatever the machine.
    fn settings(given: &[(&'static str, &str)]) -> Settings {
        plain(&[&[("inference.threads", "2")], given].concat())
    }

    /// Inference threads, game threads, largest batch and least share.
    fn sizes(given: &[(&'static str, &str)], devices: &[Device], cores: usize) -> [usize; 4] {
        let Sizes { inference_threads, game_threads, batching, .. } = Sizes::for_cores(&plain(given), devices, cores);
        [inference_threads, game_threads, batching.max_batch, batching.min_share]
    }

    #[test]
    fn threads_are_counted_per_gpu_and_gpus_share_what_waits() {
        use Device::{Cpu, Cuda, TensorRt};
        assert_eq!(sizes(&[], &[Cpu], 16), [16, 2, 32, 8]);
        assert_eq!(sizes(&[], &[Cuda(0)], 16), [2, 14, 1024, 1024]);
        assert_eq!(sizes(&[], &[Cuda(0), Cuda(3)], 16), [4, 12, 1024, 512]);
        assert_eq!(sizes(&[], &[TensorRt(0), TensorRt(1)], 2), [4, 1, 1024, 512]);
        let three = [("inference.threads", "3"), ("play.threads", "5")];
        assert_eq!(sizes(&three, &[Cuda(0), Cuda(1)], 16), [6, 5, 1024, 512]);
        assert_eq!(sizes(&three, &[Cpu], 16), [3, 5, 32, 8]);
    }

    #[test]
    fn the_largest_bucket_is_the_largest_batch() {
        let gpu = [Device::Cuda(0)];
        let few = [("inference.batch_buckets", "1,16,256")];
        assert_eq!(sizes(&few, &gpu, 4), [2, 2, 256, 256]);
        assert_eq!(buckets(&plain(&few)), Some(BatchBuckets::new([1, 16, 256])));
        let smaller = [few[0], ("inference.eval_batch_size", "100")];
        assert_eq!(sizes(&smaller, &gpu, 4), [2, 2, 100, 100]);
        assert_eq!(buckets(&plain(&[])), None);
    }

    #[test]
    fn two_models_fit_into_the_memory_of_a_gpu() {
        assert_eq!(session_memory(Some(8 << 30), 2), Some(2 << 30));
        assert_eq!(session_memory(None, 2), None);
    }

    /// What is said, cache and games once they fit.
    fn fitted(given: &[(&'static str, &str)], limit: u64) -> (Option<String>, u64, u32) {
        let mut settings = settings(given);
        let said = fit(&mut settings, limit);
        (said, settings.cache.max_bytes, settings.play.games())
    }

    #[test]
    fn usual_settings_fit_and_keep_what_they_ask_for() {
        let (said, cache, games) = fitted(&[("search.mcts_n", "1000")], GIB);
        assert_eq!((said, games), (None, 32));
        assert_eq!(cache, settings(&[]).cache.max_bytes);
    }

    #[test]
    fn the_cache_is_cut_before_the_games_are() {
        let (said, cache, games) = fitted(&[("search.mcts_n", "1000"), ("cache.max_bytes", "2GiB")], GIB);
        assert!(cache > GIB / 2 && cache < GIB && games == 32, "{cache} {games}");
        assert!(said.unwrap().contains("1024 MiB (memory.max_bytes)"));
        let (said, cache, games) = fitted(&[("search.mcts_n", "1000"), ("play.games_per_process", "65536")], GIB);
        assert!(cache == LEAST_CACHE && (500..800).contains(&games), "{cache} {games}");
        let said = said.unwrap();
        assert!(said.contains("65536 games with 1000 simulations") && said.contains("games at once"), "{said}");
        let without = [("cache.max_bytes", "0"), ("play.games_per_process", "65536"), ("search.mcts_n", "1000")];
        assert_eq!(fitted(&without, GIB).1, 0, "a cache that is off stays off");
    }

    #[test]
    fn enormous_settings_overflow_nothing_and_leave_a_game() {
        let most = [
            ("search.mcts_k", "40000"),
            ("play.games_per_process", "65536"),
            ("play.processes", "1024"),
            ("cache.max_bytes", "9223372036854775807"),
            ("inference.eval_batch_size", "65536"),
        ];
        assert!(fitted(&most, GIB).0.is_some());
        assert_eq!(fitted(&most, 1).2, 1);
    }

    #[test]
    fn a_process_may_have_its_share_of_the_machine_or_what_the_settings_say() {
        assert_eq!(memory_limit(&settings(&[("memory.max_bytes", "3GiB")])), Some(3 * GIB));
        let (one, two) = (memory_limit(&settings(&[])), memory_limit(&settings(&[("play.processes", "2")])));
        assert!(one < machine_memory() && two.unwrap() <= one.unwrap() / 2);
    }

    #[test]
    fn the_system_says_how_much_memory_it_has() {
        assert_eq!(bytes_of("MemTotal:", "MemTotal:       16309064 kB\nMemFree: 1 kB\n"), Some(16_309_064 << 10));
        assert_eq!(bytes_of("MemTotal:", "nothing of the kind"), None);
        assert!(machine_memory().is_some_and(|bytes| bytes > 1 << 26));
        let Memory { limit, available, resident } = memory().unwrap();
        assert!(available <= limit && resident > 0 && resident < limit, "{:?}", memory());
    }
}
