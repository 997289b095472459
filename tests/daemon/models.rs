//! Where models may come from, and what is checked before they serve.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended, Running, Signal},
};

/// What `check-model` exits with for a model that must not serve.
const REFUSED: i32 = 1;
const UNUSABLE: i32 = 78;

/// A directory with the trainer's settings, for models and games.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Config::QUICK.write(dir.path());
        fs::create_dir(dir.path().join("models")).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn check(&self, model: &Path, args: &str) -> Ended {
        let daemon = Daemon::new().flag("check-model").flag(model.to_str().unwrap());
        daemon.option("--config", self.path("config.yaml")).args("--device cpu").args(args).run()
    }

    /// A daemon that follows `source`.
    fn follow(&self, source: &str) -> Running {
        Daemon::playing(&self.path("config.yaml"), &self.path("games"))
            .flag("--continuous")
            .option("--model-source", self.path(source))
            .args("--device cpu --grace-seconds 0")
            .start()
    }

    /// The network of these tests appears at once under a name.
    fn publish(&self, name: &str) {
        self.publish_as(&model("b5w3_resnet_2x32.onnx"), name);
    }

    fn publish_as(&self, onnx: &Path, name: &str) {
        fs::copy(onnx, self.path("new")).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

#[test]
fn a_good_model_passes_every_check() {
    let place = Place::new();
    let network = model("b5w3_resnet_2x32.onnx");
    let ended = place.check(&network, "").exited_with(0);
    let steps = [
        "origin",
        "size",
        "sha256",
        "format",
        "external data",
        "structure",
        "finite",
        "steady",
        "meaning",
        "precision",
        "agreement",
        "warm",
    ];
    let table: Vec<_> = ended.out.lines().skip_while(|line| !line.starts_with("step")).skip(1).take(12).collect();
    for (line, step) in table.iter().zip(steps) {
        assert!(line.starts_with(step) && !line.contains("REFUSED"), "{}", ended.out);
    }
    assert!(ended.out.ends_with("accepted: it may serve\n"), "{}", ended.out);

    let report: Value = serde_json::from_str(&place.check(&network, "--json").exited_with(0).out).unwrap();
    let found: Vec<_> = report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(found, steps);
    assert_eq!((&report["encoding"], &report["provider"]), (&"resnet".into(), &"cpu".into()));
    let sum = report["sha256"].as_str().unwrap();
    place.check(&network, &format!("--sha256 {sum}")).exited_with(0);
    let ended = place.check(&network, &format!("--sha256 {}", "0".repeat(64))).exited_with(REFUSED);
    assert!(ended.out.contains(&format!("its SHA-256 is {sum}")), "{}", ended.out);
}

#[test]
fn a_bad_model_is_refused_with_the_step_and_the_reason() {
    let place = Place::new();
    let cut = place.path("cut.onnx");
    let whole = fs::read(model("b5w3_resnet_2x32.onnx")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 3]).unwrap();
    let huge = place.path("huge.onnx");
    fs::File::create(&huge).unwrap().set_len(3 << 30).unwrap();
    for (path, step, reason) in [
        (place.path("missing.onnx"), "origin", "No such file"),
        (huge, "size", "more than model.max_bytes"),
        (cut, "format", "not a complete ONNX model"),
        (model("bad_external_data.onnx"), "external data", "No such file"),
        (model("b9w10_resnet_2x32.onnx"), "structure", "which is a 9x9 resnet"),
    ] {
        let ended = place.check(&path, "").exited_with(REFUSED);
        let line = ended.out.lines().find(|line| line.contains("REFUSED")).unwrap_or_default().to_owned();
        assert!(line.starts_with(step) && line.contains(reason), "{}", ended.out);
        assert!(ended.out.ends_with("refused: it must not serve\n"), "{}", ended.out);
    }
}

#[test]
fn a_model_cannot_be_checked_without_a_board_or_a_device() {
    let place = Place::new();
    let network = model("b5w3_resnet_2x32.onnx");
    let without = Daemon::new().flag("check-model").flag(network.to_str().unwrap()).run();
    without.exited_with(UNUSABLE).said(&["game.board_size is missing"]);
    let daemon = Daemon::new().flag("check-model").flag(network.to_str().unwrap()).env("CUDA_VISIBLE_DEVICES", "");
    let daemon = daemon.option("--config", place.path("config.yaml")).args("--device cuda");
    daemon.run().exited_with(UNUSABLE).said(&["failed to use device cuda:0"]);
}

#[test]
fn the_newest_model_of_a_directory_is_played() {
    let place = Place::new();
    place.publish("models/model_9.onnx");
    let mut daemon = place.follow("models");
    daemon.says("version=9 generation=1");
    // Refused for good, but not what comes after it.
    place.publish_as(&model("b9_const.onnx"), "models/model_10.onnx");
    daemon.says("which is a 9x9 resnet");
    place.publish("models/model_11.onnx");
    daemon.says("version=11 generation=2");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}

#[test]
fn one_file_is_played_whenever_it_changes() {
    let place = Place::new();
    let mut daemon = place.follow("models/best_1.onnx");
    daemon.says("waiting for a model at");
    place.publish("models/best_1.onnx");
    daemon.says("version=1 generation=1");
    place.publish_as(&model("b5_const.onnx"), "models/best_1.onnx");
    daemon.says("version=1 generation=2");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}

#[test]
fn models_from_elsewhere_are_not_played() {
    let place = Place::new();
    let daemon = Daemon::playing(&place.path("config.yaml"), &place.path("games"))
        .env("SELFPLAYD__MODEL__ALLOWED_ROOTS", &format!("/nowhere:{}", place.path("models").display()))
        .args("--device cpu --num-games 1");
    let network = model("b5w3_resnet_2x32.onnx");
    daemon.option("--model-path", &network).run().exited_with(UNUSABLE).said(&["outside model.allowed_roots"]);
    place.publish("models/model_1.onnx");
    let daemon = Daemon::playing(&place.path("config.yaml"), &place.path("games"))
        .env("SELFPLAYD__MODEL__ALLOWED_ROOTS", &format!("/nowhere:{}", place.path("models").display()))
        .args("--device cpu --num-games 1");
    daemon.option("--model-path", place.path("models/model_1.onnx")).run().succeeded();
}

#[test]
fn what_play_loses_to_swaps_is_measured() {
    let place = Place::new();
    let daemon = Daemon::new().args("bench swap --json --every 0.3 --swaps 3 --device cpu");
    let daemon = daemon.option("--config", place.path("config.yaml"));
    let ended = daemon.option("--model-path", model("b5w3_resnet_2x32.onnx")).run().exited_with(0);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["swaps"], 3);
    for key in ["loading_ms", "outside_per_s", "during_per_s", "ratio"] {
        assert!(report[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {report}");
    }
}
