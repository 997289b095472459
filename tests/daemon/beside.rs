//! Matches beside play: ratings of the models of a training, and a gate before play.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    ask::{get, status},
    browser::Browser,
    config::{Config, model},
    daemon::{Daemon, Running, Signal},
    games::{Written, archives},
    wait,
};

const UNTRAINED: &str = "b5w3_resnet_2x32.onnx";
const TRAINED: &str = "b5w3_resnet_2x32_trained.onnx";
const CONSTANT: &str = "b5_const.onnx";

/// A training run whose models appear in a directory.
struct Run(TempDir);

impl Run {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Config { simulations: 10, games: 2, ..Config::QUICK }.write(dir.path());
        fs::create_dir(dir.path().join("models")).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A model appears at once, as the newest.
    fn publish(&self, version: u32, name: &str) {
        let new = self.path("new");
        fs::copy(model(name), &new).unwrap();
        fs::rename(new, self.path(&format!("models/model_{version}.onnx"))).unwrap();
    }

    /// Play beside matches that take half of the machine.
    fn daemon(&self) -> Daemon {
        let daemon = Daemon::playing(&self.path("config.yaml"), &self.path("games")).flag("--continuous");
        let daemon = daemon.option("--model-source", self.path("models"));
        let settings = [
            ("SIMULATIONS", "12"),
            ("GAMES", "8"),
            ("GATE_GAMES", "24"),
            ("SHARE", "0.5"),
            ("GATE_SHARE", "0.5"),
            ("OPENING_PLIES", "3"),
        ];
        settings
            .into_iter()
            .fold(daemon, |daemon, (name, value)| daemon.env(&format!("SELFPLAYD__EVALUATION__{name}"), value))
            .args("--device cpu --grace-seconds 0 --http-listen 127.0.0.1:0 --seed 1")
    }

    fn results(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("games/evaluation/results.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn stop(daemon: Running) {
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

/// Versions that are rated.
fn rated(status: &Value) -> Vec<i64> {
    let rated = status["matches"]["rated"].as_array();
    rated.into_iter().flatten().filter_map(|rated| rated["version"].as_i64()).collect()
}

#[test]
fn models_are_rated_beside_play_and_ratings_outlive_the_daemon() {
    let run = Run::new();
    run.publish(1, UNTRAINED);
    let mut daemon = run.daemon().args("--evaluate-every 1").start();
    let address = daemon.serves("status and control");
    let is_rated = |version: i64, games: u64| {
        move |status: &Value| {
            let newest = &status["matches"]["newest"];
            newest["version"] == version && newest["games"] == games
        }
    };
    status(address, "the first rating", is_rated(1, 16));
    run.publish(2, CONSTANT);
    let rated_two = status(address, "the second rating", is_rated(2, 24));
    assert_eq!(rated_two["matches"]["newest"]["against"], 1);
    assert_eq!((rated(&rated_two), &rated_two["matches"]["trouble"]), (vec![1, 2], &Value::Null));
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("selfplayd_match_version 2\n"), "{metrics}");
    assert!(metrics.contains("selfplayd_match_games_total{purpose=\"rating\"} 40\n"), "{metrics}");
    let client = Daemon::new().flag("status").option("--address", address.to_string()).run().succeeded();
    assert!(client.out.contains("matches      version 2 is "), "{}", client.out);
    daemon.says("a model is rated: ");
    // Play goes on meanwhile.
    assert!(rated_two["games"]["finished"].as_u64() > Some(0));
    let before = run.results();
    assert_eq!(before.len(), 2 + 2 + 3);
    stop(daemon);

    // A line that was cut off, and models that the trainer has taken away.
    let results = run.path("games/evaluation/results.jsonl");
    let torn = fs::read_to_string(&results).unwrap() + "{\"line\":\"pla";
    fs::write(&results, torn).unwrap();
    fs::remove_file(run.path("models/model_1.onnx")).unwrap();
    fs::remove_file(run.path("models/model_2.onnx")).unwrap();
    run.publish(3, TRAINED);
    let mut daemon = run.daemon().args("--evaluate-every 1").start();
    let address = daemon.serves("status and control");
    let third = status(address, "the third rating", is_rated(3, 24));
    assert_eq!((rated(&third), &third["matches"]["newest"]["against"]), (vec![1, 2, 3], &Value::from(2)));
    assert_eq!(run.results()[..7], before[..]);
    stop(daemon);
}

#[test]
fn a_gate_keeps_a_worse_model_from_play_and_lets_a_better_one_through() {
    let run = Run::new();
    run.publish(1, TRAINED);
    let mut daemon = run.daemon().args("--promote gate").start();
    let address = daemon.serves("status and control");
    daemon.says("version=1 generation=1");
    run.publish(2, UNTRAINED);
    daemon.says("held back until it has played the model that serves");
    daemon.says("not promoted: it scored ");
    let refused = status(address, "the refused model", |status| status["matches"]["gate"]["promoted"] == false);
    assert_eq!((&refused["model"]["version"], &refused["matches"]["gate"]["version"]), (&1.into(), &2.into()));
    let swap = &refused["model"]["swaps"][0];
    assert_eq!((&swap["version"], &swap["outcome"]), (&2.into(), &"refused".into()), "{swap}");
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("selfplayd_promotions_total{outcome=\"refused\"} 1\n"), "{metrics}");
    stop(daemon);

    // The newest model is one that was refused.
    let mut daemon = run.daemon().args("--promote gate").start();
    let address = daemon.serves("status and control");
    daemon.says("version=1 generation=1");
    daemon.says("not promoted: it scored ");
    let known = status(address, "play", |status| status["model"]["version"] == 1);
    assert_eq!(known["totals"]["match_games_gate"], 0, "the match was played before");
    stop(daemon);

    let other = Run::new();
    other.publish(1, UNTRAINED);
    let mut daemon = other.daemon().args("--promote gate").start();
    let address = daemon.serves("status and control");
    daemon.says("version=1 generation=1");
    other.publish(2, TRAINED);
    daemon.says("version=2 generation=2");
    let promoted = status(address, "the promoted model", |status| status["model"]["version"] == 2);
    assert_eq!(promoted["matches"]["gate"]["promoted"], true);
    // What cannot be loaded cannot play, and is refused as ever.
    other.publish(3, "b9_const.onnx");
    daemon.says("which is a 9x9 resnet");
    let after = status(address, "the refusal", |status| status["totals"]["models_refused"] == 1);
    assert_eq!(after["model"]["version"], 2);
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}

#[test]
fn games_are_the_same_with_matches_beside_them() {
    let play = |args: &str| -> BTreeMap<u64, Vec<u8>> {
        let run = Run::new();
        run.publish(1, UNTRAINED);
        // The same numbers whatever is in a batch.
        let mut daemon = run.daemon().args("--evaluator hash").args(args).start();
        let address = daemon.serves("status and control");
        status(address, "some games and matches", |status| {
            let matches = args.is_empty() || status["totals"]["match_games_rating"].as_u64() > Some(4);
            matches && status["writer"]["written"].as_u64() > Some(6)
        });
        stop(daemon);
        let config = Config { simulations: 10, games: 2, ..Config::QUICK };
        let archives = archives(&run.path("games"));
        let written = archives.iter().map(|npz| Written::read(npz, config));
        written.map(|game| (game.index(), fs::read(&game.npz).unwrap())).collect()
    };
    let (without, with) = (play(""), play("--evaluate-every 1"));
    let both: Vec<_> = without.keys().filter(|index| with.contains_key(index)).collect();
    assert!(both.len() > 4, "{:?} and {:?}", without.keys(), with.keys());
    for index in both {
        assert!(without[index] == with[index], "game {index} is another");
    }
}

#[test]
fn matches_keep_no_daemon_from_its_end() {
    let run = Run::new();
    run.publish(1, UNTRAINED);
    let mut daemon = run.daemon().args("--evaluate-every 1").env("SELFPLAYD__EVALUATION__GAMES", "100000").start();
    let address = daemon.serves("status and control");
    status(address, "a match", |status| status["matches"]["playing"]["pairs"].as_u64() > Some(0));
    stop(daemon);
    assert!(run.path("games/evaluation/rating.jsonl").exists(), "it goes on at the next start");
    let kept = fs::read_to_string(run.path("games/evaluation/rating.jsonl")).unwrap().lines().count() - 1;
    let mut daemon = run.daemon().args("--evaluate-every 1").env("SELFPLAYD__EVALUATION__GAMES", "100000").start();
    let address = daemon.serves("status and control");
    let playing = status(address, "the match", |status| status["matches"]["playing"]["pairs"].as_u64() > Some(0));
    assert!(playing["matches"]["playing"]["pairs"].as_u64() >= Some(kept as u64), "{playing}");
    stop(daemon);
}

#[test]
fn the_page_draws_ratings() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let run = Run::new();
    run.publish(1, UNTRAINED);
    let mut daemon = run.daemon().args("--evaluate-every 1").start();
    let address = daemon.serves("status and control");
    browser.open(address);
    browser.reads("#matches-pairs", |words| words.contains("above search without a network"));
    wait::until("three ratings", || {
        (browser.value("document.querySelectorAll('#ratings circle').length") == 3).then_some(())
    });
    assert_eq!(browser.complaints(), [""; 0]);
    stop(daemon);
}

#[test]
fn bad_files_in_the_folder_cost_nothing_but_themselves() {
    let run = Run::new();
    run.publish(1, UNTRAINED);
    let folder = run.path("games/evaluation");
    fs::create_dir_all(folder.join("models/nonsense")).unwrap();
    fs::write(folder.join("results.jsonl"), b"\0\xff\n{}\n[1, 2]\n").unwrap();
    fs::write(folder.join("rating.jsonl"), "{\"of\": \"another match\"}\n").unwrap();
    let mut daemon = run.daemon().args("--evaluate-every 1").start();
    let address = daemon.serves("status and control");
    daemon.says("lines of results.jsonl cannot be read");
    status(address, "a rating", |status| status["matches"]["newest"]["games"] == 16);
    assert!(!folder.join("models/nonsense").exists());
    stop(daemon);
}

#[cfg(feature = "fault-injection")]
#[test]
fn a_referee_that_panics_again_and_again_is_done_without() {
    let run = Run::new();
    run.publish(1, UNTRAINED);
    let mut daemon =
        run.daemon().args("--promote gate --evaluate-every 1").env("SELFPLAYD_FAULTS", "referee=panic/1").start();
    let address = daemon.serves("status and control");
    daemon.says("no more matches are played beside play: every new model serves");
    run.publish(2, TRAINED);
    daemon.says("version=2 generation=2");
    let after = status(address, "play without it", |status| {
        let children = status["children"].as_array().unwrap();
        let stopped = children.iter().any(|child| child["name"] == "referee" && child["state"] == "stopped");
        stopped && status["games"]["finished"].as_u64() > Some(2)
    });
    assert_eq!((&after["health"]["ok"], &after["ready"]["ok"]), (&true.into(), &true.into()));
    assert!(after["matches"]["trouble"].as_str().unwrap().starts_with("matches can no longer be played"), "{after}");
    daemon.signal(Signal::TERM);
    daemon.wait();
}
