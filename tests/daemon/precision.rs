//! Models that are converted when they are loaded.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended, Signal},
    games,
};

/// A directory with the trainer's settings, for models and games.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        Config::QUICK.write(dir.path());
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, command: &str, files: &[PathBuf], args: &str) -> Ended {
        let daemon = files.iter().fold(Daemon::new().flag(command), |daemon, file| daemon.flag(file.to_str().unwrap()));
        daemon.option("--config", self.path("config.yaml")).args("--device cpu").args(args).run()
    }

    fn check(&self, file: PathBuf, args: &str) -> Ended {
        self.run("check-model", &[file], args)
    }
}

fn network() -> PathBuf {
    model("b5w3_resnet_2x32.onnx")
}

#[test]
fn games_are_played_in_int8() {
    let place = Place::new();
    let ready = place.path("games");
    let mut daemon = Daemon::playing(&place.path("config.yaml"), &ready)
        .option("--model-path", network())
        .args("--device cpu --num-games 3 --seed 1 --precision int8")
        .start();
    daemon.says("model converted");
    daemon.says("int8 against fp32 on ");
    daemon.wait().succeeded();
    let archives = games::archives(&ready);
    assert_eq!(archives.len(), 3);
    archives.iter().for_each(|npz| assert!(games::Written::read(npz, Config::QUICK).game.plies() > 4));
}

#[test]
fn a_model_that_strays_is_passed_over_while_the_old_one_plays_on() {
    let place = Place::new();
    fs::create_dir(place.path("models")).unwrap();
    let publish = |from: PathBuf, name: &str| {
        fs::copy(from, place.path("new")).unwrap();
        fs::rename(place.path("new"), place.path("models").join(name)).unwrap();
    };
    publish(network(), "model_1.onnx");
    let mut daemon = Daemon::playing(&place.path("config.yaml"), &place.path("games"))
        .option("--model-source", place.path("models"))
        .args("--continuous --device cpu --grace-seconds 0 --precision int8")
        .start();
    daemon.says("version=1 generation=1");
    publish(model("b5_const.onnx"), "model_2.onnx");
    daemon.says("to int8: it holds no Conv, Gemm or MatMul");
    publish(network(), "model_3.onnx");
    daemon.says("version=3 generation=2");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}

#[test]
fn how_near_a_conversion_stays_is_shown() {
    let place = Place::new();
    let ended = place.check(network(), "--precision int8").exited_with(0);
    for row in ["int8 against fp32", "policy KL, nats", "value error", "positions", "precision      passed"] {
        assert!(ended.out.lines().any(|line| line.starts_with(row)), "{row}: {}", ended.out);
    }
    let ended = place.check(network(), "--precision fp16 --json").exited_with(0);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let precision = &report["precision"];
    assert_eq!(precision["precision"], "fp16");
    for key in ["positions", "policy_kl_mean", "policy_kl_max", "value_error_mean", "value_error_max"] {
        assert!(precision[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {report}");
    }
    let strict = place.path("strict.toml");
    fs::write(&strict, "[inference]\nprecision_max_kl = 0\n").unwrap();
    let args = format!("--precision int8 --settings {}", strict.display());
    let ended = place.check(network(), &args).exited_with(1);
    assert!(ended.out.contains("inference.precision_max_kl is 0,"), "{}", ended.out);
    assert!(ended.out.lines().any(|line| line.starts_with("precision      REFUSED")), "{}", ended.out);
}

#[test]
fn a_converted_model_is_written_and_serves() {
    let place = Place::new();
    let out = place.path("int8.onnx");
    let ended = place.run("convert-model", &[network(), out.clone()], "--precision int8").exited_with(0);
    assert!(ended.out.contains("int8 against fp32"), "{}", ended.out);
    let (before, after) = (fs::metadata(network()).unwrap().len(), fs::metadata(&out).unwrap().len());
    assert!(after < before / 2, "{after} of {before} bytes");
    let left: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing but the settings and the model: {left:?}");
    place.check(out.clone(), "").exited_with(0);
    let twice = place.run("convert-model", &[out, place.path("twice.onnx")], "--precision fp16").exited_with(1);
    assert!(twice.out.contains("it is quantised already"), "{}", twice.out);
    assert!(!place.path("twice.onnx").exists());
    let nowhere = place.path("nowhere/model.onnx");
    let ended = place.run("convert-model", &[network(), nowhere.clone()], "--precision int8").exited_with(78);
    ended.said(&["failed to write", nowhere.to_str().unwrap()]);
    let nothing = place.run("convert-model", &[network(), nowhere], "").exited_with(78);
    nothing.said(&["choose --precision int8 or fp16"]);
}

#[test]
fn a_precision_that_cannot_be_had_is_refused_at_once() {
    let place = Place::new();
    if cfg!(target_arch = "x86_64") {
        let ended = place.check(network(), "--precision bf16").exited_with(78);
        ended.said(&["inference.precision = \"bf16\"", "it can do fp32, int8 and fp16"]);
    }
}
