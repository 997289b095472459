//! Plays games: from settings to the actor system and back to an exit code.

use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use rand::RngExt as _;
use selfplay_actors::{
    batcher::ProbationLimits,
    bottleneck::Monitor,
    cache::CacheLimits,
    game::{GamePlan, both},
    health::{HangLimits, Health},
    loader::{Followed, ModelOrigin, ModelSource, NewestBy, OnnxSource, SyntheticEvaluator, SyntheticSource},
    onnx::{
        Device, FileLimits, GameDescription, LibrarySearch, LoadOptions, Provider, Runtime, device_of_thread,
        probe_devices,
    },
    root::{Controller, Ending, Options, run},
    stats::{Snapshot, Stats},
    writer::Provenance,
};
use selfplay_engine::{
    Game as _,
    games::quoridor::{Quoridor, QuoridorEncoding},
    journal::Journal,
};

use crate::{
    agents::terms,
    auto_games,
    control::Steering,
    exit::{Exit, failed},
    http,
    live::LiveGames,
    live_settings::{LiveSettings, Origin},
    memory::Guard,
    metrics::{self, About, Exporter},
    operator::Operator,
    output::{self, Opened},
    report::{Rates, Reporter, progress_bar},
    service::{Service, Watched},
    settings::{EvaluatorKind, LogFormat, NetworkKind, Settings},
    signals::Signals,
    sizes::{Sizes, buckets, games_that_fit, gpu_options, memory, memory_limit},
    status::{self, DeviceStatus, Facts, Mode, ThreadDevice},
    stop::Stopper,
    trace::print_ply,
};

/// Plays as `settings` say until there is nothing left to play or something, such as one of `signals`, stops it.
/// `origin`: where they came from, to read them again.
pub(crate) fn play(settings: &Settings, origin: Origin, signals: Signals) -> anyhow::Result<Exit> {
    selfplay_actors::faults::prepare().map_err(failed)?;
    let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let listening = http::Listening::bind(&settings.http)?;
    let evaluation = Evaluation::prepare(settings)?;
    let game = rules(settings)?;
    let seed = settings.play.seed.unwrap_or_else(|| rand::rng().random::<u64>() >> 1);
    let batch_games = (!settings.daemon.continuous).then_some(settings.play.num_games);
    let dir = settings.output.dir.as_deref().context("output.dir is not set")?;
    let opened = output::open(settings, dir, game, seed, batch_games)?;
    let left_behind = opened.resumable.len() as u64;
    let stats = Arc::new(Stats::default());
    let live = LiveGames::new(game);
    let plan = GamePlan {
        game,
        terms: terms(settings),
        seed,
        journal: opened.output.journal.clone(),
        stats: stats.clone(),
        hook: Some(if settings.play.trace { both(live.hook(), print_ply(game)) } else { live.hook() }),
        thrifty: Arc::default(),
    };
    let sizes = evaluation.sizes;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        seed,
        settings = settings.games_hash(),
        device = evaluation.device,
        games_at_once = settings.play.games(),
        game_threads = sizes.game_threads,
        inference_threads = sizes.inference_threads,
        max_batch = sizes.batching.max_batch,
        output = %dir.display(),
        "selfplayd starts"
    );
    let facts = Facts {
        started_unix,
        seed,
        mode: if settings.daemon.continuous { Mode::Continuous } else { Mode::Batch },
        device: evaluation.device_status.clone(),
    };
    let options = evaluation.options(settings, plan, opened, model_origin(settings));
    let journal = options.plan.journal.clone();

    if signals.any() {
        tracing::info!("stopping: told so before the first game");
        let counts = stats.snapshot();
        let kept = close_journal(&journal, &counts, left_behind);
        log_books(&counts, left_behind);
        return Ok(kept.map_or_else(|exit| exit, |()| Exit::Clean));
    }
    // Logs and a bar on the same terminal would overwrite each other: the bar is for quiet runs.
    let quiet = settings.log.format == LogFormat::Human && std::io::stderr().is_terminal() && !settings.play.trace;
    let bar = batch_games.filter(|_| quiet).map(progress_bar);
    if let Some(bar) = &bar {
        crate::telemetry::share_terminal_with(bar.clone());
    }
    // Reports are no reason not to play.
    let (profile, health) = (settings.metrics.profile_counters, options.health.clone());
    let monitor = Monitor::new(stats.clone(), sizes.advised(settings), Box::new(memory));
    let reporter =
        Reporter::start(stats.clone(), health.clone(), monitor.clone(), bar, profile, sizes.inference_threads)
            .inspect_err(|error| tracing::warn!("no reports: {error}"));
    let grace = Duration::from_secs_f64(settings.daemon.grace_seconds);
    let steering = Arc::new(Steering::new(grace, settings.games_hash()));
    let sources = status::Sources {
        facts,
        stats: stats.clone(),
        monitor: monitor.clone(),
        health: health.clone(),
        control: steering.clone(),
    };
    let served = http::Served { metrics: exported(&sources), sources, live };
    // Stopped last, so that the end can be watched.
    let server = listening.map(|listening| http::Server::start(listening, served, &settings.http)).transpose()?;
    let begun = Instant::now();
    let service = Arc::new(Service::start(Watched {
        control: options.control.clone(),
        stats: stats.clone(),
        health: health.clone(),
        grace,
    }));
    let ending = run_until_stopped(options, settings, origin, signals, service.clone(), steering, monitor);
    service.end();
    drop(reporter);
    health.status().log();
    let rates = Rates { counts: stats.snapshot(), seconds: begun.elapsed().as_secs_f64() };
    if batch_games.is_some() && !matches!(ending, Ending::Unusable(_)) {
        // The games are safe: whether anybody reads the summary changes nothing.
        print_summary(&rates, dir).unwrap_or_else(|error| tracing::warn!("failed to print the summary: {error}"));
    }
    let kept = close_journal(&journal, &rates.counts, left_behind);
    log_books(&rates.counts, left_behind);
    drop(server);
    let exit = exit(ending, &rates.counts);
    Ok(if exit == Exit::Clean { kept.map_or_else(|exit| exit, |()| exit) } else { exit })
}

/// What `GET /metrics` answers.
fn exported(sources: &status::Sources) -> Arc<dyn Fn() -> String + Send + Sync> {
    let status::Sources { facts, stats, monitor, health, control } = sources.clone();
    let about = About {
        requested: facts.device.requested,
        actual: facts.device.actual,
        threads: facts.device.threads.into_iter().map(|thread| thread.actual).collect(),
        settings_hash: Box::new(move || control.settings_hash()),
    };
    let exporter = Exporter::new(stats.clone(), health, about).with(metrics::time(&stats, monitor));
    Arc::new(move || exporter.render())
}

fn run_until_stopped(
    options: Options<Quoridor>,
    settings: &Settings,
    origin: Origin,
    signals: Signals,
    service: Arc<Service>,
    steering: Arc<Steering>,
    monitor: Arc<Monitor>,
) -> Ending {
    let Signals { stop, requests, ask, stopping } = signals;
    let stopper = Stopper {
        signal: stop,
        stopping,
        shutdown_file: settings.daemon.shutdown_file.clone(),
        poll: Duration::from_millis(settings.model.poll_ms),
        grace: Duration::from_secs_f64(settings.daemon.grace_seconds),
    };
    let (health, stats, settings) = (options.health.clone(), options.plan.stats.clone(), settings.clone());
    let guard = memory_limit(&settings).map(|max_bytes| Guard {
        thrifty: options.plan.thrifty.clone(),
        stats: stats.clone(),
        max_bytes,
        cache_bytes: if settings.cache.enabled() { settings.cache.max_bytes } else { 0 },
        games_at_once: settings.play.games().into(),
    });
    let started = move |controller: Controller| {
        let setter = controller.clone();
        let (games, most, automatic) =
            (settings.play.games().into(), games_that_fit(&settings), settings.play.games_per_process.is_none());
        let watched = monitor.clone();
        let settings = Arc::new(LiveSettings::new(origin, settings, move |changed| {
            changed.games_at_once.iter().for_each(|&games| monitor.set_games_at_once(games as u64));
            setter.set(changed);
        }));
        let operator = Operator {
            controller: controller.clone(),
            settings: settings.clone(),
            health,
            stats,
            service,
            requests: ask,
        };
        let operator = Arc::new(operator);
        operator.clone().start(requests);
        steering.attach(operator);
        if automatic {
            actix::spawn(auto_games::watch(controller.clone(), watched, settings.clone(), games, most));
        }
        guard.into_iter().for_each(|guard| drop(actix::spawn(guard.watch(controller.clone()))));
        actix::spawn(stopper.watch(controller));
    };
    run(options, started)
        .unwrap_or_else(|error| Ending::Escalated(format!("the actor system: no thread to run on: {error}")))
}

/// How positions will be evaluated, settled before anything starts.
pub(crate) struct Evaluation {
    /// Threads and batches.
    pub sizes: Sizes,
    /// What inference runs on, for people.
    pub device: String,
    /// The same for the status.
    pub device_status: DeviceStatus,
    source: Box<dyn ModelSource<Quoridor>>,
}

impl Evaluation {
    /// Finds ONNX Runtime and the device if a network is wanted.
    ///
    /// # Errors
    /// When they are not there, with what to do about it.
    pub(crate) fn prepare(settings: &Settings) -> anyhow::Result<Self> {
        let synthetic = |kind| Self::synthetic(settings, kind);
        match settings.inference.evaluator {
            EvaluatorKind::Onnx => {
                let Prepared { runtime, load, provider } = prepare_onnx(settings)?;
                let sizes = Sizes::new(settings, &provider.actual);
                let device_status = DeviceStatus {
                    requested: provider.requested.to_string(),
                    actual: provider.actual_name(),
                    threads: ThreadDevice::of_threads(&provider, sizes.inference_threads),
                    note: provider.note,
                    onnxruntime: Some(runtime.version().to_owned()),
                };
                let source = Box::new(OnnxSource::new(runtime, rules(settings)?, load));
                Ok(Self { sizes, device: device_status.actual.clone(), device_status, source })
            }
            EvaluatorKind::Uniform => synthetic(SyntheticEvaluator::Uniform),
            EvaluatorKind::Hash => synthetic(SyntheticEvaluator::Hash),
        }
    }

    fn synthetic(settings: &Settings, kind: SyntheticEvaluator) -> anyhow::Result<Self> {
        let sizes = Sizes::new(settings, &[Device::Cpu]);
        let encoding = match settings.network.kind {
            NetworkKind::Resnet => QuoridorEncoding::Resnet,
            NetworkKind::Mlp => QuoridorEncoding::Mlp,
        };
        let source = SyntheticSource { kind, game: rules(settings)?, encoding, threads: sizes.inference_threads };
        let device_status = DeviceStatus {
            requested: settings.inference.device.to_string(),
            actual: "none".to_owned(),
            threads: Vec::new(),
            note: Some("the evaluator needs no network".to_owned()),
            onnxruntime: None,
        };
        Ok(Self { sizes, device: "none, no network".to_owned(), device_status, source: Box::new(source) })
    }

    /// Everything the actor system needs.
    pub(crate) fn options(
        self,
        settings: &Settings,
        plan: GamePlan<Quoridor>,
        opened: Opened,
        origin: ModelOrigin,
    ) -> Options<Quoridor> {
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
            // Without a cache there is nothing to warm.
            warm_after_swap: if settings.cache.enabled() { settings.cache.warm_after_swap as usize } else { 0 },
            source: self.source,
            origin,
            output: opened.output,
            provenance: Provenance {
                pid: std::process::id(),
                daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
                metrics_dir: settings.metrics.dir.clone(),
            },
            journal_keeps_games: settings.journal.enabled,
            hang_limits: hang_limits(settings),
            health,
            last_resort: Arc::new(|| std::process::exit(Exit::Escalation.code().into())),
        }
    }
}

/// How long calls that may block may take.
fn hang_limits(settings: &Settings) -> HangLimits {
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

/// Starts ONNX Runtime, settles the device and says how models are to be loaded on it.
pub(crate) fn prepare_onnx(settings: &Settings) -> anyhow::Result<Prepared> {
    let requested = &settings.inference.device.0;
    let runtime =
        Runtime::start(&LibrarySearch::new(settings.inference.ort_library.clone(), requested)).map_err(failed)?;
    let provider = probe_devices(&runtime, requested).map_err(failed)?;
    let sizes = Sizes::new(settings, &provider.actual);
    let on = |thread| device_of_thread(&provider.actual, thread);
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
    // What a device named in the settings cannot do was refused with them; "auto" is known only now.
    let (precision, device) = (settings.inference.precision, device_of_thread(&provider.actual, 0));
    precision.possible_on(device).map_err(|reason| failed(anyhow!("compute in {precision}: {reason}")))?;
    let load = LoadOptions {
        devices: provider.actual.clone(),
        threads: sizes.inference_threads,
        max_batch: sizes.batching.max_batch,
        buckets: buckets(settings),
        input: settings.inference.input.into(),
        binding: None,
        gpu: gpu_options(settings, sizes.inference_threads / provider.actual.len().max(1)),
        limits: file_limits(settings),
        agreement_tolerance: settings.model.agreement_tolerance as f32,
        precision: settings.inference.conversion(),
        description: GameDescription { settings: format!("board_size {}", settings.game.board_size), recognise },
    };
    Ok(Prepared { runtime, load, provider })
}

/// What a model takes whose input has this shape, if it is a board of another size.
fn recognise(shape: &[usize]) -> Option<String> {
    (3..=9).find_map(|size| {
        let game = Quoridor::new(size, 0, None).ok()?;
        let encoding = game.encodings().into_iter().find(|&encoding| game.input_shape(encoding) == shape)?;
        Some(format!("a {size}x{size} {}", game.encoding_name(encoding)))
    })
}

/// The rules of the settings.
pub(crate) fn rules(settings: &Settings) -> anyhow::Result<Quoridor> {
    let game = &settings.game;
    Quoridor::new(game.board_size.into(), game.max_walls.into(), game.max_steps).map_err(failed)
}

fn model_origin(settings: &Settings) -> ModelOrigin {
    let model = &settings.model;
    let newest_by = match model.newest_by {
        crate::settings::NewestBy::Name => NewestBy::Name,
        crate::settings::NewestBy::Time => NewestBy::Time,
    };
    let source = model.source.as_ref().map(|source| Followed::of(source, newest_by));
    // The settings see to it that there is only one of them.
    let followed = source.or_else(|| model.latest_yaml.clone().map(Followed::LatestYaml));
    match followed.filter(|_| settings.daemon.continuous) {
        Some(followed) => ModelOrigin::Follow { followed, poll: Duration::from_millis(model.poll_ms) },
        None => ModelOrigin::Fixed { path: model.path.clone(), version: model.version.into() },
    }
}

/// Which files may be models.
fn file_limits(settings: &Settings) -> FileLimits {
    let roots = settings.model.allowed_roots.iter().flat_map(std::env::split_paths);
    FileLimits {
        allowed_roots: roots.filter(|root| !root.as_os_str().is_empty()).collect(),
        max_bytes: settings.model.max_bytes,
    }
}

/// What a batch run did.
fn print_summary(rates: &Rates, dir: &Path) -> std::io::Result<()> {
    let counts = &rates.counts;
    writeln!(
        std::io::stdout().lock(),
        "{} games written to {} in {:.1} s\n\
         {:.2} games/s, {:.1} positions/s, {:.0} simulations/s, {:.0} evaluations/s, mean batch {:.1}, cache hit rate {:.1}%",
        counts.games_written,
        dir.display(),
        rates.seconds,
        rates.per_second(counts.games_finished),
        rates.per_second(counts.plies()),
        rates.per_second(counts.simulations_total()),
        rates.per_second(counts.evaluations),
        rates.mean_batch(),
        100.0 * rates.hit_rate(),
    )
}

/// Closes the journal, which keeps the unfinished games and those of the `left_behind` that were not resumed.
///
/// # Errors
/// With how the process is to end, when it cannot be brought to the disk and so keeps nothing.
fn close_journal(journal: &Journal, counts: &Snapshot, left_behind: u64) -> Result<(), Exit> {
    let Err(error) = journal.close() else { return Ok(()) };
    let unfinished = counts.games_started.saturating_sub(counts.games_ended_total());
    let lost = unfinished + left_behind.saturating_sub(counts.games_resumed);
    tracing::error!(games = lost, "unfinished games are lost with the journal: {}", failed(error));
    if lost > 0 { Err(Exit::WriterIo) } else { Ok(()) }
}

/// What became of every game: started is finished, rejected, abandoned and unfinished together; finished is written, unfit and
/// spooled together with those that the next line reports as kept or lost. Of the `left_behind` games of earlier processes, those that were not
/// resumed wait on in the journal.
fn log_books(counts: &Snapshot, left_behind: u64) {
    let waiting = left_behind.saturating_sub(counts.games_resumed);
    if waiting > 0 {
        tracing::info!(games = waiting, "games of earlier processes were not resumed: they go on at the next start");
    }
    tracing::info!(
        games_started = counts.games_started,
        games_resumed = counts.games_resumed,
        games_waiting = waiting,
        games_finished = counts.games_finished,
        games_rejected = counts.games_rejected,
        games_abandoned = counts.games_abandoned,
        games_unfinished = counts.games_started.saturating_sub(counts.games_ended_total()),
        games_written = counts.games_written,
        games_unfit = counts.games_unfit,
        games_spooled = counts.games_spooled,
        "books"
    );
}

fn exit(ending: Ending, counts: &Snapshot) -> Exit {
    match ending {
        Ending::Clean if counts.games_abandoned + counts.games_unfit > 0 => {
            tracing::error!(
                given_up = counts.games_abandoned,
                unfit = counts.games_unfit,
                "games were given up or set aside"
            );
            Exit::Escalation
        }
        Ending::Clean => Exit::Clean,
        Ending::Unusable(reason) => {
            tracing::error!("cannot play: {reason}");
            Exit::Settings
        }
        Ending::Escalated(reason) => {
            tracing::error!(reason, "gave up");
            Exit::Escalation
        }
        Ending::DrainDeadline { given_up } => {
            tracing::error!(games = given_up, "the grace period was over before the games: they are lost");
            Exit::CutShort
        }
        Ending::WriterGaveUp(reason) => {
            tracing::error!(reason, "gave up writing games");
            Exit::WriterIo
        }
        Ending::Unwritten { lost, kept, spooled, reason } => {
            tracing::error!(
                lost,
                kept_for_the_next_start = kept,
                spooled,
                reason,
                "finished games could not be written"
            );
            Exit::WriterIo
        }
    }
}
