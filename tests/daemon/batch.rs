//! A number of games with one model, and what they depend on.

use std::{collections::BTreeMap, fs};

use tempfile::TempDir;

use crate::{
    ask::{get, status},
    config::{Config, model},
    daemon::{Daemon, Signal},
    games,
    numpy::Numpy,
};

#[test]
fn games_with_a_network() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let ended = Daemon::playing(&Config::QUICK.write(dir.path()), &out)
        .option("--model-path", model("b5w3_resnet_2x32.onnx"))
        .args("--num-games 6 --model-version 12")
        .run()
        .succeeded();

    assert!(ended.out.starts_with(&format!("6 games written to {} in ", out.display())), "{}", ended.out);
    for figure in ["games/s", "simulations/s", "evaluations/s", "mean batch", "cache hit rate"] {
        assert!(ended.out.contains(figure), "{figure} is missing in {}", ended.out);
    }
    let written = games::left_in(&out, Config::QUICK);
    let mut indices: Vec<_> = written.iter().map(games::Written::index).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5]);
    for (written, loaded) in written.iter().zip(Numpy::start().load_all(&written, Config::QUICK)) {
        assert_eq!(written.game.metadata.model_version, 12);
        assert!(loaded.model_versions.iter().all(|version| *version == 12));
        assert_eq!(loaded.searched, written.game.metadata.game_length);
    }
}

/// The archives of six games by the hash evaluator, by their index.
fn archives(args: &str) -> BTreeMap<u64, Vec<u8>> {
    archives_with(&[], args)
}

/// The same with these settings of `[cache]`.
fn archives_with(cache: &[(&str, &str)], args: &str) -> BTreeMap<u64, Vec<u8>> {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let daemon =
        Daemon::playing(&Config::QUICK.write(dir.path()), &out).args("--evaluator hash --num-games 6").args(args);
    let set = |daemon: Daemon, (name, value): &(&str, &str)| daemon.env(&format!("SELFPLAYD__CACHE__{name}"), value);
    cache.iter().fold(daemon, set).run().succeeded();
    let written = games::left_in(&out, Config::QUICK);
    written.iter().map(|written| (written.index(), fs::read(&written.npz).unwrap())).collect()
}

#[test]
fn a_seed_fixes_the_games_whatever_the_machine_does() {
    let games = archives("--seed 7 --mcts-worker-threads 1 --inference-threads 1");
    assert_eq!(games.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    for same in [
        "--mcts-worker-threads 1 --inference-threads 1",
        "--mcts-worker-threads 4 --inference-threads 3",
        "--eval-batch-size 1",
        "--eval-batch-size 7 --eval-max-wait-ms 0.5",
        "--eval-cache-max-size 0",
        "--eval-cache-max-size 50 --mcts-worker-threads 4",
        "--games-per-process 1",
        "--games-per-process 6 --mcts-worker-threads 2",
    ] {
        assert!(archives(&format!("--seed 7 {same}")) == games, "{same} changes games");
    }
}

#[test]
fn how_positions_travel_to_the_network_changes_no_game() {
    let archives = |input: &str, buckets: &str| -> BTreeMap<u64, Vec<u8>> {
        let dir = TempDir::new().unwrap();
        let out = dir.path().join("games");
        Daemon::playing(&Config::QUICK.write(dir.path()), &out)
            .option("--model-path", model("b5w3_resnet_2x32.onnx"))
            .env("SELFPLAYD__INFERENCE__INPUT", input)
            .env("SELFPLAYD__INFERENCE__BATCH_BUCKETS", buckets)
            .args("--device cpu --seed 7 --num-games 4")
            .run()
            .succeeded();
        let written = games::left_in(&out, Config::QUICK);
        written.iter().map(|written| (written.index(), fs::read(&written.npz).unwrap())).collect()
    };
    let games = archives("planes", "auto");
    assert_eq!(games.len(), 4);
    assert!(archives("packed", "auto") == games);
    assert!(archives("packed", "3,64") == games);
    assert!(archives("auto", "1,8") == games);
}

#[test]
fn symmetry_is_one_game_and_no_symmetry_another() {
    let symmetry = ("SYMMETRY", "true");
    let args = "--seed 7 --no-tree-reuse";
    let games = archives_with(&[symmetry], &format!("{args} --mcts-worker-threads 1 --inference-threads 1"));
    for more in [
        "--mcts-worker-threads 4 --inference-threads 3",
        "--eval-cache-max-size 0",
        "--eval-cache-max-size 50 --mcts-worker-threads 4",
    ] {
        assert!(archives_with(&[symmetry], &format!("{args} {more}")) == games, "{more} changes games");
    }
    let without = archives(args);
    assert!(games.iter().all(|(index, game)| without[index] != *game), "symmetry leaves a game as it is");
}

#[test]
fn what_shapes_games_changes_them() {
    let games = archives("--seed 7");
    for other in ["--seed 8", "", "--seed 7 --leaf-parallelism 4", "--seed 7 --no-tree-reuse", "--seed 7 --p2 random"] {
        let others = archives(other);
        assert!(games.iter().all(|(index, game)| others[index] != *game), "{other:?} leaves a game as it is");
    }
}

#[test]
fn a_batch_says_how_far_it_is_and_how_long_the_rest_will_take() {
    let dir = TempDir::new().unwrap();
    let mut daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &dir.path().join("games"))
        .args("--evaluator hash --num-games 5000000 --http-listen 127.0.0.1:0 --eval-cache-max-size 50")
        .start();
    let address = daemon.serves("status and control");
    let far = status(address, "a guess", |status| status["batch"]["seconds_left"].as_f64() > Some(0.0));
    assert_eq!(far["batch"]["games"], 5_000_000);
    assert!(far["batch"]["written"].as_u64() <= far["games"]["finished"].as_u64(), "{far}");
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("selfplayd_batch_games 5000000\n"), "{metrics}");
    let left = metrics.lines().find_map(|line| line.strip_prefix("selfplayd_batch_left_seconds ")).unwrap();
    assert!(left.parse::<f64>().unwrap() > 0.0, "{left}");
    let line = daemon.says_for_the(1, "summary");
    assert!(line.contains("progress=\"") && line.contains(" of 5000000 games, about "), "{line}");
    // Of two limits of the cache the one that binds is told.
    let full = status(address, "a full cache", |status| status["rates"]["evictions_per_s"].as_f64() > Some(0.0));
    assert_eq!((&full["cache"]["limit"], &full["cache"]["capacity_entries"]), (&"entries".into(), &50.into()));
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}
