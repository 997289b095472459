//! What a network gives with nothing around it: the yardstick of `selfplayd bench`.

use std::{
    fs,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use selfplay_engine::{evaluation::EvaluateError, game::Game};

use super::{evaluator::OnnxEvaluator, probe_positions::probe_positions};

/// Result of [`raw_throughput`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawThroughput {
    /// Positions evaluated, all threads together.
    pub evaluations: u64,
    /// Per second of wall time, all threads together.
    pub evaluations_per_second: f64,
    /// CPU time the threads spent, in seconds; `None` where the system does not tell.
    pub cpu_seconds: Option<f64>,
}

/// Runs each evaluator's network on a thread of its own for `duration`, batch after batch of the same positions of games, which
/// are in memory, encoded: no encoding, no decoding. `batch` is cut to what the network takes.
///
/// # Errors
/// When a network fails.
pub fn raw_throughput<G: Game>(
    evaluators: &mut [OnnxEvaluator<G>],
    batch: usize,
    duration: Duration,
) -> Result<RawThroughput, EvaluateError> {
    let barrier = Barrier::new(evaluators.len());
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = evaluators
            .iter_mut()
            .map(|evaluator| {
                let barrier = &barrier;
                scope.spawn(move || run_for(evaluator, batch, duration, barrier))
            })
            .collect();
        let panicked = || EvaluateError::Backend("a benchmark thread panicked".to_owned());
        threads.into_iter().map(|thread| thread.join().map_err(|_| panicked())?).collect::<Result<_, _>>()
    })?;
    let sum = RawThroughput { evaluations: 0, evaluations_per_second: 0.0, cpu_seconds: Some(0.0) };
    Ok(results.into_iter().fold(sum, |sum, one: RawThroughput| RawThroughput {
        evaluations: sum.evaluations + one.evaluations,
        evaluations_per_second: sum.evaluations_per_second + one.evaluations_per_second,
        cpu_seconds: sum.cpu_seconds.zip(one.cpu_seconds).map(|(sum, one)| sum + one),
    }))
}

fn run_for<G: Game>(
    evaluator: &mut OnnxEvaluator<G>,
    batch: usize,
    duration: Duration,
    barrier: &Barrier,
) -> Result<RawThroughput, EvaluateError> {
    let batch = batch.clamp(1, evaluator.network_mut().max_batch());
    let positions = probe_positions(evaluator.game());
    let positions: Vec<_> = positions.iter().copied().cycle().take(batch).collect();
    let warm = evaluator.encode(&positions).and_then(|()| evaluator.network_mut().run(batch, |_, _| ()));
    // Every thread must come here, or the others wait for ever.
    barrier.wait();
    warm?;
    let network = evaluator.network_mut();
    let (start, cpu_start) = (Instant::now(), thread_cpu_seconds());
    let mut evaluations = 0;
    while start.elapsed() < duration {
        network.run(batch, |_, _| ())?;
        evaluations += batch as u64;
    }
    let evaluations_per_second = evaluations as f64 / start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_start.zip(thread_cpu_seconds()).map(|(start, end)| end - start);
    Ok(RawThroughput { evaluations, evaluations_per_second, cpu_seconds })
}

/// Evaluations per second of this thread's CPU time, or of wall time where the system does not tell.
///
/// # Errors
/// When the network fails.
pub(super) fn per_cpu_second<G: Game>(
    evaluator: &mut OnnxEvaluator<G>,
    batch: usize,
    duration: Duration,
) -> Result<f64, EvaluateError> {
    let run = run_for(evaluator, batch, duration, &Barrier::new(1))?;
    let by_cpu = run.cpu_seconds.filter(|&seconds| seconds > 0.0).map(|seconds| run.evaluations as f64 / seconds);
    Ok(by_cpu.unwrap_or(run.evaluations_per_second))
}

/// CPU time of the current thread. Linux: the first number of `schedstat`, in nanoseconds.
pub(crate) fn thread_cpu_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}
