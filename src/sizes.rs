//! What `auto` means: numbers of threads and batch sizes for this machine and device, and whether its memory is enough.

use std::{fs, thread::available_parallelism};

use selfplay_actors::{
    batcher::BatchPolicy,
    bottleneck::{self, Memory},
    onnx::Device,
};

use crate::{agents::keeps_evaluations, settings::Settings};

/// Positions that a CPU evaluates at once: more gain nothing there, and make games wait longer.
const CPU_BATCH: usize = 32;
/// Smallest share of waiting positions that is worth a batch of its own on a CPU.
const CPU_SHARE: usize = 8;
/// Positions that a GPU evaluates at once.
const GPU_BATCH: usize = 1024;
/// Sessions per GPU: one fills its batch while the other runs.
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
    /// The sizes that `settings` ask for, or that fit `device` and the cores this process may use.
    pub(crate) fn new(settings: &Settings, device: Device) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::for_cores(settings, device, cores.div_ceil(settings.play.processes as usize))
    }

    fn for_cores(settings: &Settings, device: Device, cores: usize) -> Self {
        let (inference_threads, game_threads, batch, share) = match device {
            Device::Cuda(_) => (GPU_THREADS, cores.saturating_sub(GPU_THREADS).max(1), GPU_BATCH, GPU_BATCH),
            Device::Cpu | Device::Auto => (cores, cores.div_ceil(CORES_PER_GAME_THREAD), CPU_BATCH, CPU_SHARE),
        };
        let chosen = |setting: Option<u32>, auto| setting.map_or(auto, |chosen| chosen as usize);
        let max_batch = chosen(settings.inference.eval_batch_size, batch);
        let max_wait = max_wait(settings);
        Self {
            inference_threads: chosen(settings.inference.threads, inference_threads),
            game_threads: chosen(settings.play.threads, game_threads),
            batching: BatchPolicy { max_batch, max_wait, min_share: share.min(max_batch) },
            cores,
        }
    }

    /// What advice on bottlenecks is about.
    pub(crate) fn advised(&self, settings: &Settings) -> bottleneck::Sizes {
        bottleneck::Sizes {
            games_at_once: settings.play.games_per_process.into(),
            leaf_parallelism: settings.search.leaf_parallelism,
            inference_threads: self.inference_threads,
            game_threads: self.game_threads,
            cores: self.cores,
            batching: self.batching,
            cache_bytes: if settings.cache.enabled() { settings.cache.max_bytes } else { 0 },
        }
    }
}

/// Bytes of a search tree's node beside its legal actions, and for each of those: a prior, and most of an edge.
const NODE_BYTES: u64 = 200;
const ACTION_BYTES: u64 = 6;
/// The same of an evaluation that is kept for the next search. There are those of two searches.
const KEPT_BYTES: u64 = 2 * 80;
const KEPT_ACTION_BYTES: u64 = 2 * 4;
/// Numbers per cell of the largest input, around the board as well: five planes of single precision.
const PLANES: u64 = 5;

/// Longest wait for a fuller batch.
pub(crate) fn max_wait(settings: &Settings) -> std::time::Duration {
    std::time::Duration::from_secs_f64(settings.inference.eval_max_wait_ms / 1e3)
}

/// What to say where a process by these settings may outgrow the `memory` of the machine, in bytes.
pub(crate) fn memory_warning(settings: &Settings, memory: u64) -> Option<String> {
    let side = u64::from(settings.game.board_size);
    let actions = side.pow(2) + 2 * (side - 1).pow(2);
    let simulations =
        settings.search.mcts_n.map_or(u64::from(settings.search.mcts_k).saturating_mul(actions), u64::from);
    let games = u64::from(settings.play.games_per_process);
    let kept = if keeps_evaluations(settings) { KEPT_BYTES + KEPT_ACTION_BYTES * actions } else { 0 };
    let trees = games.saturating_mul(simulations).saturating_mul(NODE_BYTES + ACTION_BYTES * actions + kept);
    let cache = if settings.cache.enabled() { settings.cache.max_bytes } else { 0 };
    let sizes = Sizes::new(settings, Device::Cpu);
    let positions = (sizes.inference_threads as u64).saturating_mul(sizes.batching.max_batch as u64);
    let batches = positions.saturating_mul(PLANES * (2 * side + 3).pow(2) * size_of::<f32>() as u64);
    let processes = u64::from(settings.play.processes);
    let total = [trees, cache, batches].into_iter().fold(0, u64::saturating_add).saturating_mul(processes);
    let mib = |bytes: u64| bytes >> 20;
    (total > memory).then(|| {
        format!(
            "memory may run out: this machine has {} MiB, and what is asked for may need {} MiB in all: per process, {} MiB \
             for the trees of {games} games with {simulations} simulations, {} MiB for the cache and {} MiB for batches",
            mib(memory),
            mib(total),
            mib(trees),
            mib(cache),
            mib(batches),
        )
    })
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

    fn warning(given: &[(&'static str, &str)], memory: u64) -> Option<String> {
        let board = [("game.board_size", "9"), ("game.max_walls", "10"), ("inference.threads", "2")];
        let flag = |&(key, value): &(&'static str, &str)| FlagValue { flag: "--", key, value: Some(value.to_owned()) };
        let flags: Vec<_> = board.iter().chain(given).map(flag).collect();
        let environment = BTreeMap::new();
        let sources = Sources { preset: None, trainer: None, own: None, environment: &environment, flags: &flags };
        memory_warning(&resolve(&sources, Purpose::Bench).into_settings().unwrap(), memory)
    }

    #[test]
    fn usual_settings_fit_and_their_multiples_do_not() {
        assert_eq!(warning(&[("search.mcts_n", "1000")], GIB), None);
        assert_eq!(warning(&[("search.mcts_n", "1000"), ("play.processes", "2")], GIB), None);
        assert!(warning(&[("search.mcts_n", "1000"), ("play.processes", "16")], GIB).is_some());
        let greedy = warning(&[("search.mcts_n", "1000"), ("play.games_per_process", "65536")], GIB).unwrap();
        assert!(greedy.contains("has 1024 MiB") && greedy.contains("65536 games with 1000 simulations"), "{greedy}");
        assert!(warning(&[("cache.max_bytes", "2GiB")], GIB).is_some());
        assert_eq!(warning(&[("cache.max_bytes", "2GiB"), ("cache.max_entries", "0")], GIB), None);
        assert!(warning(&[("inference.eval_batch_size", "65536")], GIB).is_some());
    }

    #[test]
    fn enormous_settings_overflow_nothing() {
        let most = [
            ("search.mcts_k", "40000"),
            ("play.games_per_process", "65536"),
            ("play.processes", "1024"),
            ("cache.max_bytes", "9223372036854775807"),
            ("inference.eval_batch_size", "65536"),
        ];
        assert!(warning(&most, u64::MAX - 1).is_some());
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
