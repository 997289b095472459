//! How positions are evaluated: from settings to ONNX Runtime, a device, and what the actor system is told of them.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    daemon::{
        device::{DeviceFacts, DeviceStatus},
        output::Opened,
        sizes::{Sizes, buckets, gpu_options},
    },
    exit::{Exit, failed},
    played::PlayedGame,
    settings::{EvaluatorKind, Settings},
    shipped::{description, stored_title},
};
use anyhow::anyhow;
use selfplay_actors::{
    batcher::ProbationLimits,
    cache::CacheLimits,
    game::GamePlan,
    health::{HangLimits, Health},
    loader::{ModelOrigin, ModelSource, OnnxSource, SyntheticEvaluator, SyntheticSource},
    onnx::{
        Device, FileLimits, LibrarySearch, LoadOptions, Loaded, ModelFile, Provider, Runtime, device_of_thread,
        load_evaluators, probe_devices,
    },
    root::Options,
    writer::Provenance,
};

/// How positions will be evaluated, settled before anything starts.
pub(crate) struct Evaluation<G: PlayedGame> {
    /// Threads and batches.
    pub sizes: Sizes,
    /// What inference runs on, for people.
    pub device: String,
    /// The same for status and metrics, as models are loaded.
    pub device_facts: DeviceFacts,
    /// What files of games say which game it is.
    rules: Option<String>,
    source: Box<dyn ModelSource<G>>,
    /// The same with one evaluator a model, for matches beside play, if any are asked for.
    pub matches: Option<Box<dyn ModelSource<G>>>,
    /// Networks run on a GPU.
    pub on_gpu: bool,
}

impl<G: PlayedGame> Evaluation<G> {
    /// Finds ONNX Runtime and the device if a network is wanted.
    ///
    /// # Errors
    /// When they are not there, with what to do about it.
    pub(crate) fn prepare(settings: &Settings, game: &G) -> anyhow::Result<Self> {
        let synthetic = |kind| Ok(Self::synthetic(settings, game, kind));
        match settings.inference.evaluator {
            EvaluatorKind::Onnx => {
                let Prepared { runtime, load, provider } = prepare_onnx(settings, game)?;
                let sizes = Sizes::new(settings, &provider.actual);
                let onnxruntime = runtime.version().to_owned();
                let on_gpu = provider.actual.iter().any(|device| device.is_gpu());
                let matches = plays_matches(settings).then(|| {
                    let own = of_matches(load.clone());
                    Box::new(OnnxSource::new(runtime.clone(), game.clone(), own)) as Box<dyn ModelSource<G>>
                });
                let source = Box::new(OnnxSource::new(runtime, game.clone(), load));
                let device_facts = DeviceFacts::new(&provider, sizes.inference_threads, &onnxruntime, source.placed());
                let (device, rules) = (provider.actual_name(), stored_title(game));
                Ok(Self { sizes, device, device_facts, rules, source, matches, on_gpu })
            }
            EvaluatorKind::Uniform => synthetic(SyntheticEvaluator::Uniform),
            EvaluatorKind::Hash => synthetic(SyntheticEvaluator::Hash),
        }
    }

    fn synthetic(settings: &Settings, game: &G, kind: SyntheticEvaluator) -> Self {
        let sizes = Sizes::new(settings, &[Device::Cpu]);
        let encoding = encoding_of(settings, game);
        let of_threads = |threads| SyntheticSource { kind, game: game.clone(), encoding, threads };
        let source = of_threads(sizes.inference_threads);
        let matches = plays_matches(settings).then(|| Box::new(of_threads(1)) as Box<dyn ModelSource<G>>);
        let device_facts = DeviceFacts::fixed(DeviceStatus {
            requested: settings.inference.device.to_string(),
            actual: "none".to_owned(),
            precision: None,
            threads: Vec::new(),
            note: Some("the evaluator needs no network".to_owned()),
            onnxruntime: None,
        });
        let (device, rules) = ("none, no network".to_owned(), stored_title(game));
        Self { sizes, device, device_facts, rules, source: Box::new(source), matches, on_gpu: false }
    }

    /// Everything the actor system needs.
    pub(crate) fn options(
        self,
        settings: &Settings,
        plan: GamePlan<G>,
        opened: Opened<G>,
        origin: ModelOrigin,
    ) -> Options<G> {
        let health = Health::new(plan.stats.clone());
        Options {
            plan,
            games_at_once: settings.play.games() as usize,
            quota: opened.quota,
            resumable: opened.resumable,
            game_threads: self.sizes.game_threads,
            inference_threads: self.sizes.inference_threads,
            batching: self.sizes.batching,
            control: Arc::default(),
            unload_after: settings.daemon.pause_unload_after_seconds.map(Duration::from_secs_f64),
            probation: ProbationLimits {
                evaluations: settings.model.probation_evaluations,
                max_flawed_rate: settings.model.max_nonfinite_rate,
            },
            cache: CacheLimits {
                max_bytes: usize::try_from(settings.cache.max_bytes).unwrap_or(usize::MAX),
                max_entries: if settings.cache.enabled() {
                    settings.cache.max_entries.map(|entries| entries as usize)
                } else {
                    Some(0)
                },
            },
            source: self.source,
            origin,
            referee: None,
            output: opened.output,
            provenance: Provenance {
                pid: std::process::id(),
                daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
                rules: self.rules,
                metrics_dir: settings.metrics.dir.clone(),
            },
            journal_keeps_games: settings.journal.enabled,
            hang_limits: hang_limits(settings),
            health,
            last_resort: Arc::new(|| std::process::exit(Exit::Escalation.code().into())),
        }
    }
}

/// How positions are laid out where no model says it.
pub(crate) fn encoding_of<G: PlayedGame>(settings: &Settings, game: &G) -> G::Encoding {
    let wanted = settings.network.kind.name();
    game.encodings().into_iter().find(|&encoding| game.encoding_name(encoding) == wanted).unwrap_or_default()
}

fn plays_matches(settings: &Settings) -> bool {
    settings.daemon.continuous && settings.evaluation.plays()
}

/// How models are loaded for matches beside play: for one thread, on the first device. Few games give small batches.
fn of_matches(load: LoadOptions) -> LoadOptions {
    const MOST: usize = 32;
    let devices = load.devices.iter().copied().take(1).collect();
    LoadOptions { devices, threads: 1, max_batch: load.max_batch.min(MOST), ..load }
}

/// How long calls that may block may take.
pub(crate) fn hang_limits(settings: &Settings) -> HangLimits {
    /// A write that takes longer than its deadline may still get on; only one that takes this long too hangs.
    const LEAST_FOR_A_WRITE: Duration = Duration::from_secs(60);
    let deadline = Duration::from_secs_f64(settings.output.writer_deadline_seconds);
    HangLimits {
        inference: settings.inference.hang_seconds.map(Duration::from_secs_f64),
        load: settings.model.load_seconds.map(Duration::from_secs_f64),
        write: Some(deadline.max(LEAST_FOR_A_WRITE)),
    }
}

/// ONNX Runtime, ready for models.
pub(crate) struct Prepared {
    /// It.
    pub runtime: Runtime,
    /// How models are loaded.
    pub load: LoadOptions,
    /// What they run on, and why.
    pub provider: Provider,
}

impl Prepared {
    /// Reads a model and makes its evaluators, for commands that evaluate without the actor system.
    ///
    /// # Errors
    /// When it cannot be read, or must not serve.
    pub(crate) fn load_model<G: PlayedGame>(&self, game: &G, path: &Path) -> anyhow::Result<(ModelFile, Loaded<G>)> {
        let model = ModelFile::read(path).map_err(failed)?;
        let loaded = load_evaluators(&self.runtime, game, &model, &self.load).map_err(failed)?;
        Ok((model, loaded))
    }
}

/// Starts ONNX Runtime, settles the device and says how models are to be loaded on it.
pub(crate) fn prepare_onnx(settings: &Settings, game: &impl PlayedGame) -> anyhow::Result<Prepared> {
    let requested = &settings.inference.device.0;
    let runtime =
        Runtime::start(&LibrarySearch::new(settings.inference.ort_library.clone(), requested)).map_err(failed)?;
    let provider = probe_devices(&runtime, requested)
        .map_err(failed)?
        .able(settings.inference.precision)
        .map_err(|reason| failed(anyhow!("compute in {}: {reason}", settings.inference.precision)))?;
    let sizes = Sizes::new(settings, &provider.actual);
    let on = |thread| match provider.rival {
        Some(_) => provider.actual_name(),
        None => device_of_thread(&provider.actual, thread).to_string(),
    };
    let threads: Vec<_> =
        (0..sizes.inference_threads).map(|thread| format!("inference-{thread}: {}", on(thread))).collect();
    tracing::info!(
        requested = %provider.requested,
        actual = %provider.actual_name(),
        note = provider.note,
        threads = threads.join(", "),
        onnxruntime = runtime.version(),
        "device chosen"
    );
    let load = LoadOptions {
        devices: provider.actual.clone(),
        rival: provider.rival,
        threads: sizes.inference_threads,
        max_batch: sizes.batching.max_batch,
        buckets: buckets(settings),
        input: settings.inference.input.into(),
        binding: None,
        gpu: gpu_options(settings, sizes.inference_threads / provider.actual.len().max(1)),
        limits: file_limits(settings),
        agreement_tolerance: settings.model.agreement_tolerance as f32,
        strict: settings.model.strict,
        precision: settings.inference.conversion(),
        description: description(game),
    };
    Ok(Prepared { runtime, load, provider })
}

/// Which files may be models.
fn file_limits(settings: &Settings) -> FileLimits {
    let roots = settings.model.allowed_roots.iter().flat_map(std::env::split_paths);
    FileLimits {
        allowed_roots: roots.filter(|root| !root.as_os_str().is_empty()).collect(),
        max_bytes: settings.model.max_bytes,
    }
}
