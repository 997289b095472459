//! Plays games: from settings to the actor system and back to an exit code.

use std::{
    io::IsTerminal as _,
    path::Path,
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
    stats::{Snapshot, Stats},
};
use selfplay_engine::{Game, journal::Journal};

use crate::{
    boards::{live::LiveGames, trace::print_ply},
    daemon::{
        agents::terms,
        evaluation::Evaluation,
        output,
        progress::Progress,
        report::{Rates, Reporter, Shown, progress_bar},
        run::RunStatus,
        service::{Service, Watched},
        siblings::{Card, Presence},
        signals::Signals,
        sizes::{games_that_fit, memory, memory_limit},
        stop::Stopper,
    },
    exit::{Exit, failed},
    http::{self, host_name},
    metrics::{self, About, Exporter},
    settings::{LogFormat, Settings},
    shipped::{AnyGame, Shipped, with_game},
    status::{self, Facts, Mode},
    steering::{
        auto_games,
        control::Steering,
        live_settings::{LiveSettings, Origin},
        memory::Guard,
        operator::Operator,
    },
    streams,
};

/// Plays as `settings` say until there is nothing left to play or something, such as one of `signals`, stops it.
/// `origin`: where they came from, to read them again.
pub(crate) fn play(settings: &Settings, origin: Origin, signals: Signals) -> anyhow::Result<Exit> {
    with_game!(AnyGame::of(settings)?, game => play_game(settings, game, origin, signals))
}

fn play_game<G: Shipped>(settings: &Settings, game: G, origin: Origin, signals: Signals) -> anyhow::Result<Exit> {
    selfplay_actors::faults::prepare().map_err(failed)?;
    let started = Instant::now();
    let started_unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let may_move = !origin.resolved.is_chosen("http.listen");
    let listening = http::Listening::bind(&settings.http, may_move)?;
    let evaluation = Evaluation::prepare(settings, &game)?;
    let seed = settings.play.seed.unwrap_or_else(|| rand::rng().random::<u64>() >> 1);
    let batch_games = (!settings.daemon.continuous).then_some(settings.play.num_games);
    let dir = settings.output.dir.as_deref().context("output.dir is not set")?;
    let opened = output::open(settings, dir, &game, seed, batch_games)?;
    let left_behind = opened.resumable.len() as u64;
    let stats = Arc::new(Stats::default());
    let live = LiveGames::new(game.clone());
    let hook = if settings.play.trace { both(live.hook(), print_ply(game.clone())) } else { live.hook() };
    let plan = GamePlan {
        game: game.clone(),
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
    let presence = Presence::begin(dir, card);
    presence.log();
    let facts = Facts {
        started_unix,
        started,
        seed,
        run,
        mode: if settings.daemon.continuous { Mode::Continuous } else { Mode::Batch },
        device: evaluation.device_facts.clone(),
    };
    let options = evaluation.options(settings, plan, opened, model_origin(settings));
    let journal = options.plan.journal.clone();

    if signals.any() {
        tracing::info!("stopping: told so before the first game");
        let counts = stats.snapshot();
        let kept = close_journal(&journal, &counts, left_behind);
        log_account(&counts, left_behind);
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
    let batch = batch_games.map(|games| Arc::new(Progress::new(games)));
    let monitor = Monitor::new(stats.clone(), sizes.advised(settings), Box::new(memory));
    let reporter = Reporter::start(
        stats.clone(),
        health.clone(),
        monitor.clone(),
        Shown { bar, batch: batch.clone() },
        profile,
        sizes.inference_threads,
    )
    .inspect_err(|error| tracing::warn!("no reports: {error}"));
    let grace = Duration::from_secs_f64(settings.daemon.grace_seconds);
    let steering = Arc::new(Steering::new(grace, settings.games_hash()));
    let sources = status::Sources {
        facts,
        stats: stats.clone(),
        monitor: monitor.clone(),
        health: health.clone(),
        control: steering.clone(),
        siblings: presence.siblings(),
        batch: batch.clone(),
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
    let any = rates.counts.games_started > 0;
    if batch_games.is_some() && any {
        streams::out().put(summary(&rates, dir));
    }
    let kept = close_journal(&journal, &rates.counts, left_behind);
    if any || left_behind > 0 || matches!(ending, Ending::Clean) {
        log_account(&rates.counts, left_behind);
    }
    drop(server);
    streams::finish();
    let exit = exit(ending, &rates.counts);
    Ok(if exit == Exit::Clean { kept.map_or_else(|exit| exit, |()| exit) } else { exit })
}

/// What `GET /metrics` answers.
fn exported(sources: &status::Sources) -> Arc<dyn Fn() -> String + Send + Sync> {
    let status::Sources { facts, stats, monitor, health, control, siblings: _, batch } = sources.clone();
    let about = About {
        started: facts.started,
        batch,
        run: facts.run,
        device: facts.device,
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

/// What a batch run did.
fn summary(rates: &Rates, dir: &Path) -> String {
    let counts = &rates.counts;
    format!(
        "{} games written to {} in {:.1} s\n\
         {:.2} games/s, {:.1} positions/s, {:.0} simulations/s, {:.0} evaluations/s, mean batch {:.1}, cache hit rate {:.1}%\n",
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
    let unfinished = counts.games_unfinished();
    let lost = unfinished + left_behind.saturating_sub(counts.games_resumed);
    tracing::error!(games = lost, "unfinished games are lost with the journal: {}", failed(error));
    if lost > 0 { Err(Exit::WriterIo) } else { Ok(()) }
}

/// What became of every game: started is finished, rejected, abandoned and unfinished together; finished is written, unfit and
/// spooled together with those that the next line reports as kept or lost. Of the `left_behind` games of earlier processes, those that were not
/// resumed wait on in the journal.
fn log_account(counts: &Snapshot, left_behind: u64) {
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
        games_unfinished = counts.games_unfinished(),
        games_written = counts.games_written,
        games_unfit = counts.games_unfit,
        games_spooled = counts.games_spooled,
        "account of all games"
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
