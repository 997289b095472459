//! What `auto` means: numbers of threads and batch sizes for this machine and device.

use std::thread::available_parallelism;

use selfplay_actors::{batcher::BatchPolicy, onnx::Device};

use crate::settings::Settings;

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
        let max_wait = std::time::Duration::from_secs_f64(settings.inference.eval_max_wait_ms / 1e3);
        Self {
            inference_threads: chosen(settings.inference.threads, inference_threads),
            game_threads: chosen(settings.play.threads, game_threads),
            batching: BatchPolicy { max_batch, max_wait, min_share: share.min(max_batch) },
        }
    }
}
