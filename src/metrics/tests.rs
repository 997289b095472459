//! Real games are played, and all that is said of them is read as Prometheus reads it.

mod document;
mod exposition;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    process::{Command, Stdio},
};

use selfplay_actors::{
    bottleneck::Monitor,
    loader::ModelOrigin,
    root::{CHILDREN, Ending, run},
    stats::{Kind, Row},
};

use self::exposition::Exposition;
use super::*;
use crate::{
    commands::bench::BenchDaemon,
    daemon::{
        device::{DeviceFacts, DeviceStatus, ThreadDevice},
        run::RunStatus,
    },
    learning::Learning,
    settings::{FlagValue, Purpose, Settings, Sources, resolve},
    shipped::AnyGame,
    status::tests::SIZES,
};

const GAMES: u64 = 6;

fn settings() -> Settings {
    let given = [
        ("game.board_size", "5"),
        ("game.max_walls", "2"),
        ("game.max_steps", "40"),
        ("search.mcts_n", "30"),
        ("search.leaf_parallelism", "4"),
        ("search.solver", "false"),
        ("inference.evaluator", "uniform"),
        ("inference.threads", "1"),
        ("play.games_per_process", "3"),
        ("play.seed", "11"),
        ("output.min_free", "0"),
    ];
    let flags: Vec<_> =
        given.iter().map(|&(key, value)| FlagValue { flag: "--", key, value: value.to_owned() }).collect();
    let environment = BTreeMap::new();
    let sources = Sources { preset: None, trainer: None, own: None, environment: &environment, flags: &flags };
    resolve(&sources, Purpose::Bench).into_settings().unwrap()
}

fn about() -> About {
    let settings_hash = Box::new(|| "5e77".to_owned());
    let thread = |actual: &str| ThreadDevice {
        thread: "inference".to_owned(),
        requested: "auto".to_owned(),
        actual: actual.to_owned(),
    };
    let device = DeviceFacts::fixed(DeviceStatus {
        requested: "auto".to_owned(),
        actual: "none, \"no\" network".to_owned(),
        precision: Some("fp32".to_owned()),
        threads: ["cuda:1", "cuda:0", "cuda:1"].map(thread).to_vec(),
        note: None,
        onnxruntime: None,
    });
    let run = RunStatus {
        name: "first".to_owned(),
        rules: "quoridor(board_size=5,max_walls=3)".to_owned(),
        output_dir: "/out".to_owned(),
        model_source: None,
    };
    let fleet = crate::daemon::fleet::Fleet::default();
    fleet.put(crate::status::tests::of_fleet());
    About {
        started: std::time::Instant::now(),
        batch: None,
        run,
        device,
        learning: Learning::default(),
        fleet,
        settings_hash,
    }
}

/// Plays some games; an exporter of what was counted, and the counters.
fn played() -> (Exporter, Arc<Stats>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings();
    let AnyGame::Quoridor(game) = settings.chosen_game().unwrap() else { panic!("it is Quoridor") };
    let daemon = BenchDaemon::new(dir.path(), &settings, game, Some(GAMES)).unwrap();
    let stats = daemon.stats.clone();
    let options = daemon.options(&settings, ModelOrigin::Fixed { path: None, version: 7 });
    let monitor = Monitor::new(stats.clone(), SIZES, Box::new(|| None));
    let exporter = Exporter::new(stats.clone(), options.health.clone(), about()).with(time(&stats, monitor));
    assert_eq!(run(options, |_| ()).unwrap(), Ending::Clean);
    (exporter, stats)
}

#[test]
fn everything_in_the_catalogue_is_said_of_real_games() {
    let (exporter, stats) = played();
    let said = Exposition::parse(&exporter.render());
    let names: Vec<_> = said.names().collect();
    assert_eq!(names, CATALOGUE.iter().map(|metric| metric.name).collect::<Vec<_>>(), "each once, in order");
    for metric in CATALOGUE {
        let family = said.family(metric.name);
        assert_eq!((&*family.help, &*family.kind), (metric.help, metric.kind.name()), "{}", metric.name);
        assert!(!family.samples.is_empty(), "{}", metric.name);
        for row in metric.rows {
            let expected = metric.number((row.read)(&stats));
            let name = if metric.kind == Kind::Histogram { "_count" } else { "" };
            assert_eq!(family.value(&format!("{}{name}", metric.name), row.labels), Some(expected), "{metric:?}");
        }
    }
}

#[test]
fn what_is_said_of_real_games_adds_up() {
    let (exporter, stats) = played();
    let counts = stats.snapshot();
    assert_eq!((counts.games_started, counts.games_finished, counts.games_written), (GAMES, GAMES, GAMES));
    assert_eq!(counts.games_finished_total(), GAMES);
    assert_eq!((counts.game_plies.count(), counts.game_duration.count()), (GAMES, GAMES));
    let moves = counts.plies();
    assert_eq!((counts.moves, counts.positions_written), (moves, moves));
    for per_move in [
        counts.search_duration,
        counts.tree_nodes,
        counts.root_entropy,
        counts.root_top_move_share,
        counts.search_depth,
    ] {
        assert_eq!(per_move.count(), moves);
    }
    assert_eq!((counts.model_lag.count(), counts.model_lag.sum()), (moves, 0.0));
    assert_eq!(counts.simulations_total(), 30 * moves, "30 simulations a move, each counted once");
    assert!(counts.simulations_network > 0 && counts.simulations_cache > 0 && counts.simulations_terminal > 0);
    assert!(counts.reused_visits > 0);
    assert!((1.0..30.0).contains(&counts.search_depth.mean()) && counts.root_entropy.mean() > 0.1);
    assert!((0.0..=1.0).contains(&counts.root_top_move_share.mean()));

    assert_eq!(counts.cache_misses, counts.evaluations, "everything that was missed was evaluated: {counts:?}");
    let asked = counts.simulations_network + counts.simulations_cache + counts.simulations_in_flight;
    assert_eq!(counts.cache_lookups_total(), asked, "{counts:?}");
    assert_eq!(
        (counts.batch_size.count(), counts.batch_size.sum()),
        (counts.batches_total(), counts.evaluations as f64)
    );
    assert_eq!(counts.batch_wait.count(), counts.batches_total());
    assert!(counts.inference_seconds_total() > 0 && counts.evaluation_requests >= counts.batches_total());
    assert_eq!((counts.version_games, counts.distinct_games), (GAMES as i64, GAMES as i64));
    assert!((1..=GAMES as i64).contains(&counts.distinct_openings));
    for at_rest in
        [counts.games_active, counts.requests_in_flight, counts.tree_bytes, counts.queue_leaves, counts.writer_queue]
    {
        assert_eq!(at_rest, 0, "nothing is left over: {counts:?}");
    }
    assert_eq!((counts.games_target, counts.games_waiting, counts.writer_credits), (3, 3, 6));
    assert_eq!((counts.model_version, counts.model_generation, counts.models_loaded), (7, 1, 1));
    assert!(counts.write_duration.count() > 0 && counts.bytes_written > 0 && counts.disk_free > 0);
    assert!(counts.model_served > 0 && counts.last_progress >= counts.model_served);

    let said = Exposition::parse(&exporter.render());
    let age = said.value("selfplayd_model_age_seconds", &[]).unwrap();
    assert!(age > 0.0 && age <= said.value("selfplayd_up_seconds", &[]).unwrap() + 0.1, "{age}");
    let provider = [("requested", "auto"), ("actual", "none, \"no\" network"), ("precision", "fp32")];
    assert_eq!(said.value("selfplayd_execution_provider_info", &provider), Some(1.0));
    for (actual, threads) in [("cuda:0", 1.0), ("cuda:1", 2.0)] {
        let labels = [("requested", "auto"), ("actual", actual)];
        assert_eq!(said.value("selfplayd_device_threads", &labels), Some(threads));
    }
    assert_eq!(said.value("selfplayd_settings_info", &[("hash", "5e77")]), Some(1.0));
    assert!(said.value("process_cpu_seconds_total", &[]).unwrap() > 0.0);
    let restarts = said.family("selfplayd_restarts_total");
    assert_eq!(restarts.samples.len(), 4 * CHILDREN.len());
    assert!(restarts.samples.iter().all(|sample| sample.value == 0.0));
}

#[test]
fn histograms_are_cumulative_and_end_with_their_count() {
    let exporter = Exporter::new(Arc::default(), Health::new(Arc::default()), about());
    exporter.stats.batch_size.record_many(8.0, 3);
    exporter.stats.batch_size.record(9_000.0);
    let said = Exposition::parse(&exporter.render());
    let family = said.family("selfplayd_batch_size");
    let bucket = |le: &str| family.value("selfplayd_batch_size_bucket", &[("le", le)]);
    assert_eq!((bucket("4"), bucket("8"), bucket("12"), bucket("4096"), bucket("+Inf")), {
        (Some(0.0), Some(3.0), Some(3.0), Some(3.0), Some(4.0))
    });
    assert_eq!(family.value("selfplayd_batch_size_sum", &[]), Some(9_024.0));
    assert_eq!(family.value("selfplayd_batch_size_count", &[]), Some(4.0));
}

#[test]
fn what_others_count_is_shown_too() {
    let feed: Feed = Box::new(|samples| {
        let labels = [("role", "writer"), ("activity", "working")];
        samples.push("selfplayd_thread_seconds_total", &labels, 1.5);
    });
    let exporter = Exporter::new(Arc::default(), Health::new(Arc::default()), about()).with(feed);
    let said = Exposition::parse(&exporter.render());
    let labels = [("role", "writer"), ("activity", "working")];
    assert_eq!(said.value("selfplayd_thread_seconds_total", &labels), Some(1.5));
}

/// Prometheus' own linter. Without it the test says so and passes, except where continuous integration could install it.
#[test]
fn promtool_has_nothing_against_it() {
    let (exporter, _) = played();
    let mut lint = Command::new("promtool");
    lint.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match lint.spawn() {
        Ok(child) => child,
        Err(error) => {
            let root = rustix::process::geteuid().is_root();
            let in_ci = std::env::var_os("CI").is_some();
            assert!(!(in_ci && root), "promtool cannot be run: {error}; Debian's package prometheus has it");
            eprintln!("NOT CHECKED: promtool cannot be run ({error}); Debian's package prometheus has it");
            return;
        }
    };
    child.stdin.take().unwrap().write_all(exporter.render().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
}

#[test]
fn labels_have_few_values_and_none_names_a_game_or_a_thread() {
    let labels: BTreeSet<_> = CATALOGUE.iter().flat_map(|metric| metric.labels()).map(|(name, _)| name).collect();
    for name in ["game", "thread", "slot", "model", "model_version", "version_id"] {
        assert!(!labels.contains(name), "{name}");
    }
    let rows: Vec<&Row> = CATALOGUE.iter().flat_map(|metric| metric.rows).collect();
    assert!(rows.len() < 200, "{}", rows.len());
}
