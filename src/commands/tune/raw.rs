//! What the network alone gives by batch size. It is a sawtooth rather than a curve (a batch of 33 may cost as much as one of 48),
//! so that sizes are measured rather than assumed.

use std::time::Duration;

use anyhow::Context as _;
use selfplay_actors::onnx::{BatchBuckets, Device, LoadOptions, Loaded, raw_throughput};
use selfplay_engine::Game;

use super::per_second;
use crate::{daemon::evaluation::prepare_onnx, played::PlayedGame, settings::Settings};

/// The largest batches that are tried on a CPU and on a GPU.
const LARGEST: (usize, usize) = (128, 2048);
/// A larger batch must give this much more, or it is not worth the wait.
const LEAST_GAIN: f64 = 1.01;
/// Times that every size is measured, all of them in turn; the best counts, as the others were disturbed.
const ROUNDS: usize = 2;

/// Evaluations per second by batch size.
#[derive(Clone, Debug)]
pub(super) struct BatchRates {
    /// Ascending by size.
    rates: Vec<(u32, f64)>,
    threads: usize,
    /// What it runs on.
    pub(super) devices: Vec<Device>,
}

impl BatchRates {
    /// Sizes that give more than all smaller ones.
    pub(super) fn worthwhile(&self) -> Vec<u32> {
        let mut best = 0.0;
        let worthwhile = self.rates.iter().filter(|&&(_, rate)| {
            let better = rate > best * LEAST_GAIN;
            if better {
                best = rate;
            }
            better
        });
        worthwhile.map(|&(size, _)| size).collect()
    }

    /// The size with which the network gives most.
    fn best_size(&self) -> u32 {
        self.rates.iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(1, |&(size, _)| size)
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let worthwhile = self.worthwhile();
        let mark = |size: &u32| if worthwhile.contains(size) { "*" } else { "" };
        let rates: Vec<_> =
            self.rates.iter().map(|(size, rate)| format!("{size}{}: {}", mark(size), per_second(*rate))).collect();
        let threads = self.threads;
        format!("network alone, {threads} threads, evaluations by batch size (*: worth trying): {}", rates.join(", "))
    }
}

/// The network alone, on all inference threads.
struct Alone<G: Game> {
    loaded: Loaded<G>,
    max_batch: usize,
    threads: usize,
    devices: Vec<Device>,
}

fn load<G: PlayedGame>(game: &G, settings: &Settings) -> anyhow::Result<Alone<G>> {
    let mut prepared = prepare_onnx(settings, game)?;
    let on_a_gpu = prepared.provider.actual.iter().any(|device| device.is_gpu());
    prepared.load.max_batch = if on_a_gpu { LARGEST.1 } else { LARGEST.0 };
    let (_, loaded) = prepared.load_model(game, settings.model.path.as_deref().context("no model")?)?;
    let (LoadOptions { max_batch, threads, .. }, devices) = (prepared.load, loaded.devices.clone());
    Ok(Alone { loaded, max_batch, threads, devices })
}

/// Measures the size that gave most once more, for `seconds`. The network is loaded anew: kept in memory, it would count as the
/// daemon's.
pub(super) fn measure_best(
    game: &impl PlayedGame,
    settings: &Settings,
    rates: &BatchRates,
    seconds: f64,
) -> anyhow::Result<f64> {
    let (size, seconds) = (rates.best_size() as usize, Duration::from_secs_f64(seconds));
    let Alone { mut loaded, .. } = load(game, settings)?;
    Ok(raw_throughput(&mut loaded.evaluators, size, seconds)?.evaluations_per_second)
}

/// Measures every size for `seconds` on all inference threads.
pub(super) fn measure(game: &impl PlayedGame, settings: &Settings, seconds: f64) -> anyhow::Result<BatchRates> {
    let Alone { mut loaded, max_batch, threads, devices } = load(game, settings)?;
    let sizes = match loaded.fixed_batch {
        Some(only) => vec![only],
        None => BatchBuckets::geometric(max_batch).sizes().to_vec(),
    };
    let mut rates: Vec<_> = sizes.into_iter().map(|size| (size as u32, 0.0_f64)).collect();
    for _ in 0..ROUNDS {
        for (size, best) in &mut rates {
            let raw = raw_throughput(&mut loaded.evaluators, *size as usize, Duration::from_secs_f64(seconds / 2.0))?;
            *best = best.max(raw.evaluations_per_second);
        }
    }
    Ok(BatchRates { rates, threads, devices })
}

#[cfg(test)]
impl BatchRates {
    /// Made up, on a CPU with two threads.
    pub(super) fn of(rates: &[(u32, f64)]) -> Self {
        Self { rates: rates.to_vec(), threads: 2, devices: vec![Device::Cpu] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_between_two_teeth_are_not_worth_trying() {
        let rates = BatchRates::of(&[
            (1, 900.0),
            (2, 1000.0),
            (4, 1005.0),
            (8, 1300.0),
            (12, 1100.0),
            (16, 1350.0),
            (32, 1351.0),
        ]);
        assert_eq!(rates.worthwhile(), [1, 2, 8, 16]);
        assert_eq!(rates.best_size(), 32);
        let text = rates.text();
        assert!(text.contains("8*: 1,300/s, 12: 1,100/s, 16*: 1,350/s, 32: 1,351/s"), "{text}");
    }
}
