//! Plays games: a daemon is put together from settings, run, and closed with an exit code.

mod account;

use std::{
    io::IsTerminal as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use rand::RngExt as _;
use selfplay_actors::{
    bottleneck::Monitor,
    game::{GamePlan, both},
    loader::{Followed, ModelOrigin, NewestBy},
    root::{Controller, Ending, Options, run},
    stats::Stats,
};
use selfplay_engine::Game;

use crate::{
    boards::{live::LiveGames, trace::print_ply},
    daemon::{
        agents::terms,
        evaluation::Evaluation,
        fleet::Fleet,
        output,
        progress::Progress,
        report::{Rates, Reporter, Shown, progress_bar},
        run::RunStatus,
        service::{Service, Watched},
        siblings::{Card, DaemonFile, host_name},
        signals::Signals,
        sizes::{Sizes, games_that_fit, memory, memory_limit},
        stop::Stopper,
    },
    exit::{Exit, failed},
    http,
    learning::{Keeper, Learning, Places},
    metrics::{self, About, Exporter},
    played::PlayedGame,
    referee,
    settings::{LogFormat, Settings},
    status::{self, Facts, Mode},
    steering::{
        api::Steering,
        auto_games,
        live_settings::{LiveSettings, Origin},
        memory::Guard,
        operator::Operator,
    },
    worker,
};

use self::account::Played;

/// Plays `game` as `settings` say until there is nothing left to play or something, such as one of `signals`, stops it.
/// `origin`: where they came from, to read them again.
pub(crate) fn play(
    game: impl PlayedGame,
    settings: &Settings,
    origin: Origin,
    signals: Signals,
) -> anyhow::Result<Exit> {
    let may_move = !origin.resolved.is_chosen("http.listen");
    Ok(Daemon::assemble(settings, game, may_move)?.run(origin, signals)?.close())
}

/// All parts of a daemon, of which none plays yet.
struct Daemon<'a, G: PlayedGame> {
    settings: &'a Settings,
    options: Options<G>,
    sizes: Sizes,
    sources: status::Sources,
    steering: Arc<Steering>,
    live: Arc<LiveGames<G>>,
    listening: Option<http::Listening>,
    daemon_file: DaemonFile,
    /// Games that earlier processes left unfinished.
    left_behind: u64,
    /// The fleet's side, where the trainer is elsewhere.
    worker: Option<worker::Opened>,
}

impl<'a, G: PlayedGame> Daemon<'a, G> {
    /// Takes what must be had before anything starts: addresses, the device, the output directory. `may_move`: another address will do.
    fn assemble(settings: &'a Settings, game: G, may_move: bool) -> anyhow::Result<Self> {
        selfplay_actors::faults::prepare().map_err(failed)?;
        let started = Instant::now();
        let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let listening = http::Listening::bind(&settings.http, may_move)?;
        let mut evaluation = Evaluation::prepare(settings, &game)?;
        let seed = settings.play.seed.unwrap_or_else(|| rand::rng().random::<u64>() >> 1);
        let batch_games = (!settings.daemon.continuous).then_some(settings.play.num_games);
        let dir = settings.output.dir.as_deref().context("output.dir is not set")?;
        let worker = worker::open(settings)?;
        let opened = output::open(settings, dir, &game, seed, batch_games)?;
        let left_behind = opened.resumable.len() as u64;
        let stats = Arc::new(Stats::default());
        let live = LiveGames::new(game.clone());
        let hook = if settings.play.trace { both(live.hook(), print_ply(game.clone())) } else { live.hook() };
        let adjudicator = settings.play.adjudicate.then(|| game.adjudicator()).flatten();
        let plan = GamePlan {
            game: game.clone(),
            adjudicator,
            terms: terms(settings),
            seed,
            journal: opened.output.journal.clone(),
            stats: stats.clone(),
            hook: Some(hook),
            thrifty: Arc::default(),
        };
        let run = RunStatus::of(settings, dir, game.title());
        let sizes = evaluation.sizes;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            run = run.name,
            rules = run.rules,
            seed,
            settings = settings.games_hash(),
            device = evaluation.device,
            games_at_once = settings.play.games(),
            game_threads = sizes.game_threads,
            inference_threads = sizes.inference_threads,
            max_batch = sizes.batching.max_batch,
            output = run.output_dir,
            models = run.model_source,
            "selfplayd starts"
        );
        let card = Card {
            pid: std::process::id(),
            host: host_name().unwrap_or_default(),
            run: run.name.clone(),
            started_unix,
            address: listening.as_ref().and_then(http::Listening::page),
        };
        let daemon_file = DaemonFile::begin(dir, card);
        daemon_file.log();
        let mode = if settings.daemon.continuous { Mode::Continuous } else { Mode::Batch };
        let device = evaluation.device_facts.clone();
        let (source, machine) = (evaluation.matches.take(), (sizes.cores, evaluation.on_gpu));
        let referee = referee::options(settings, &game, dir, source, machine, stats.clone());
        let options = Options { referee, ..evaluation.options(settings, plan, opened, model_origin(settings)) };
        let grace = Duration::from_secs_f64(settings.daemon.grace_seconds);
        let steering = Arc::new(Steering::new(grace, settings.games_hash()));
        let sources = status::Sources {
            facts: Facts { started_unix, started, seed, run, mode, device },
            monitor: Monitor::new(stats.clone(), sizes.advised(settings), Box::new(memory)),
            stats,
            health: options.health.clone(),
            control: steering.clone(),
            siblings: daemon_file.siblings(),
            batch: batch_games.map(|games| Arc::new(Progress::new(games))),
            learning: Learning::default(),
            fleet: Fleet::default(),
        };
        Ok(Self { settings, options, sizes, sources, steering, live, listening, daemon_file, left_behind, worker })
    }

    /// Plays until there is nothing left to play or something stops it.
    fn run(self, origin: Origin, signals: Signals) -> anyhow::Result<Played> {
        let Self { settings, options, sizes, sources, steering, live, listening, daemon_file, left_behind, worker } =
            self;
        let status::Sources { stats, monitor, health, batch, .. } = sources.clone();
        let journal = options.plan.journal.clone();
        let summary = batch.is_some().then(|| settings.output.dir.clone()).flatten();
        let played = |ending, seconds, server| {
            let rates = Rates { counts: stats.snapshot(), seconds };
            Played { ending, rates, journal, left_behind, summary, server, _daemon_file: daemon_file }
        };
        if signals.any() {
            tracing::info!("stopping: told so before the first game");
            return Ok(played(Ending::Clean, 0.0, None));
        }
        // Logs and a bar on the same terminal would overwrite each other: the bar is for quiet runs.
        let quiet = settings.log.format == LogFormat::Human && std::io::stderr().is_terminal() && !settings.play.trace;
        let bar = batch.as_ref().filter(|_| quiet).map(|_| progress_bar(settings.play.num_games));
        if let Some(bar) = &bar {
            crate::telemetry::share_terminal_with(bar.clone());
        }
        let reporter = Reporter::start(
            stats.clone(),
            health.clone(),
            monitor.clone(),
            Shown { bar, batch },
            settings.metrics.profile_counters,
            sizes.inference_threads,
        )
        .inspect_err(|error| tracing::warn!("play goes on without reports: {error}"));
        let keeper = settings.output.dir.as_deref().map(|dir| {
            Keeper::start(Places::of(settings, dir), stats.clone(), sources.learning.clone())
                .inspect_err(|error| tracing::warn!("figures of learning are not kept: {error}"))
        });
        let worker = worker.map(|worker| worker.start(sources.clone())).transpose()?;
        let served = http::Served { metrics: exported(&sources), sources, live };
        let server = listening.map(|listening| http::Server::start(listening, served, &settings.http)).transpose()?;
        let begun = Instant::now();
        let service = Arc::new(Service::start(Watched {
            control: options.control.clone(),
            stats: stats.clone(),
            health: health.clone(),
            grace: Duration::from_secs_f64(settings.daemon.grace_seconds),
        }));
        let ending = run_until_stopped(options, settings, origin, signals, service.clone(), steering, monitor);
        service.end();
        drop(reporter);
        drop(keeper);
        // What was finished goes on its way.
        drop(worker);
        health.status().log();
        Ok(played(ending, begun.elapsed().as_secs_f64(), server))
    }
}

/// What `GET /metrics` answers.
fn exported(sources: &status::Sources) -> Arc<dyn Fn() -> String + Send + Sync> {
    let status::Sources { facts, stats, monitor, health, control, siblings: _, batch, learning, fleet } =
        sources.clone();
    let about = About {
        started: facts.started,
        batch,
        run: facts.run,
        device: facts.device,
        learning,
        fleet,
        settings_hash: Box::new(move || control.settings_hash()),
    };
    let exporter = Exporter::new(stats.clone(), health, about).with(metrics::time(&stats, monitor));
    Arc::new(move || exporter.render())
}

fn run_until_stopped<G: Game>(
    options: Options<G>,
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
        parent: settings.daemon.exit_with_parent.then_some(origin.parent),
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
            listeners: Default::default(),
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
