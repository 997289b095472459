//! Models and news of them that come late, in part, or wrong: what is said, and what is played.

use std::{fs, net::SocketAddr, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    ask::{get, post, status},
    config::{Config, model},
    daemon::{Daemon, Running, Signal},
    trainer::{Scalar, Trainer},
};

/// For a model whose weights are in a file beside it.
const SMALL: Config = Config { board: 3, walls: 1, simulations: 10, games: 2, network: "resnet" };

/// A daemon that follows a directory of models.
struct Stage {
    dir: TempDir,
    daemon: Running,
    address: SocketAddr,
}

impl Stage {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("models")).unwrap();
        let mut daemon = Daemon::playing(&SMALL.write(dir.path()), &dir.path().join("games"))
            .option("--model-source", dir.path().join("models"))
            .args("--continuous --device cpu --grace-seconds 0 --http-listen 127.0.0.1:0")
            .start();
        let address = daemon.serves("status and control");
        Self { dir, daemon, address }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("models").join(name)
    }

    fn copy(&self, name: &str) {
        fs::copy(model("external").join(name), self.path(name)).unwrap();
    }

    /// Waits until a look for a model ends so; what is found then.
    fn finds(&self, outcome: &str) -> Value {
        status(self.address, outcome, |status| status["model"]["found"]["outcome"] == outcome)
    }

    fn end(self) {
        self.daemon.signal(Signal::TERM);
        self.daemon.wait().exited_with(0);
    }
}

#[test]
fn weights_that_come_after_their_graph_are_waited_for() {
    let mut stage = Stage::new();
    stage.copy("model_1.onnx");
    let waits = stage.finds("incomplete");
    let reason = waits["model"]["found"]["reason"].as_str().unwrap();
    assert!(reason.contains("`model_1.onnx.data`: No such file"), "{reason}");
    let unready = waits["ready"]["reasons"][0].as_str().unwrap();
    assert!(unready.starts_with("no model serves: model 1 is not complete yet: "), "{unready}");
    stage.daemon.says("the model is not complete yet: play waits, and it is taken once it is");
    stage.copy("model_1.onnx.data");
    stage.daemon.says("version=1 generation=1");
    assert_eq!(stage.finds("unchanged")["totals"]["models_refused"], 0);
    assert_eq!(stage.daemon.said("ERROR"), 0);
    stage.end();
}

#[test]
fn weights_that_are_allocated_first_and_filled_later_are_those_that_serve() {
    let mut stage = Stage::new();
    let (data, whole) = ("model_1.onnx.data", fs::read(model("external/model_1.onnx.data")).unwrap());
    fs::File::create(stage.path(data)).unwrap().set_len(whole.len() as u64).unwrap();
    stage.copy("model_1.onnx");
    let reason = stage.finds("incomplete")["model"]["found"]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("nothing but zeros"), "{reason}");
    // A part of it is enough to serve: whether the rest will come cannot be told.
    fs::write(stage.path(data), [&whole[..whole.len() / 2], &vec![0; whole.len() - whole.len() / 2]].concat()).unwrap();
    stage.daemon.says("version=1 generation=1");
    stage.copy(data);
    stage.daemon.says("version=1 generation=2");
    assert_eq!(stage.daemon.said("ERROR"), 0);
    stage.end();
}

#[test]
fn a_latest_yaml_that_cannot_be_read_is_said_everywhere() {
    let trainer = Trainer::new(Config::QUICK);
    let latest = trainer.ready().join("../../models/latest.yaml").canonicalize();
    assert!(latest.is_err(), "there is none yet");
    let latest = trainer.ready().join("../../models").canonicalize().unwrap().join("latest.yaml");
    fs::write(&latest, "filename: model_0.pt\nversoin: 0\n").unwrap();
    let mut daemon = trainer.daemon().args("--device cpu --grace-seconds 0 --http-listen 127.0.0.1:0").start();
    let address = daemon.serves("status and control");
    let unreadable =
        |what: &str| status(address, what, |status| status["model"]["found"]["outcome"] == "unreadable").clone();
    let reason = unreadable("a typing error")["ready"]["reasons"][0].clone();
    assert!(
        reason.as_str().unwrap().contains("latest.yaml cannot be read: line 2 column 1: missing field `version`"),
        "{reason}"
    );
    daemon.says("no newer model can be found: play waits");

    let reload = || Daemon::new().args("reload").option("--address", format!("http://{address}")).run().succeeded().out;
    trainer.publish_network(0, Scalar::Plain);
    daemon.says("version=0 generation=1");
    assert_eq!(reload(), "no setting changed\nnothing changed: model 0 serves\n");
    fs::write(&latest, "filename: model_0.pt\nversoin: 0\n").unwrap();
    let serves = unreadable("the same again");
    assert_eq!((&serves["ready"]["ok"], &serves["model"]["version"]), (&true.into(), &0.into()));
    daemon.says("no newer model can be found: play goes on with model 0");
    assert!(reload().contains("latest.yaml cannot be read: line 2 column 1: missing field `version`"));
    assert_eq!(daemon.said("no newer model can be found"), 2, "once each");
    let counted =
        |line: &str| line.starts_with("selfplayd_model_looks_total{outcome=\"unreadable\"}") && !line.ends_with(" 0");
    assert!(get(address, "/metrics").body.lines().any(counted));
    let table = Daemon::new().args("status").option("--address", format!("http://{address}")).run().succeeded().out;
    assert!(table.lines().any(|line| line.starts_with("model ") && line.contains("cannot be read")), "{table}");

    trainer.publish(1, &model("b9_const.onnx"), Scalar::Plain);
    daemon.says("model refused");
    let answer = post(address, "/v1/reload", "").json();
    assert_eq!((&answer["model"]["outcome"], &answer["model"]["version"]), (&"refused".into(), &1.into()));
    assert!(answer["words"].as_str().unwrap().contains("model 1 is refused: "), "{answer}");
    daemon.says_for_the(2, "model refused");
    trainer.publish_network(2, Scalar::Plain);
    daemon.says("version=2 generation=2");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}
