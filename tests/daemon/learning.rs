//! What games and the trainer tell of learning.

use serde_json::Value;

use crate::{
    ask::{get, status},
    config::{Config, model},
    daemon::{Running, Signal},
    http::listening,
    trainer::{Scalar, Trainer},
    wait,
};

fn trainer() -> Trainer {
    let trainer = Trainer::new(Config { simulations: 10, games: 2, ..Config::QUICK });
    trainer.publish_network(3, Scalar::Plain);
    trainer
}

fn end(daemon: Running) -> String {
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded().log
}

/// Games of version 3 that are told of.
fn games(learned: &Value) -> u64 {
    let versions = learned["versions"].as_array().unwrap();
    versions.iter().find(|row| row["version"] == 3).and_then(|row| row["games"].as_u64()).unwrap_or(0)
}

#[test]
fn what_games_teach_outlives_the_daemon_and_is_seen_by_those_beside_it() {
    let trainer = trainer();
    let mut first = listening(&trainer).start();
    let mut second = listening(&trainer).start();
    let addresses = [first.serves("status and control"), second.serves("status and control")];
    let learned = |address| get(address, "/v1/learning").json();
    for address in addresses {
        wait::until("games", || (games(&learned(address)) >= 10).then_some(()));
    }
    let seen = learned(addresses[0]);
    let row = seen["versions"].as_array().unwrap().iter().find(|row| row["version"] == 3).unwrap().clone();
    for figure in
        ["plies", "first_share", "entropy_share", "policy_kl", "value_error", "guess_error", "depth", "full_share"]
    {
        assert!(row[figure].is_number(), "{figure}: {row}");
    }
    end(first);
    end(second);
    let mut third = listening(&trainer).start();
    let address = third.serves("status and control");
    let before = games(&seen);
    // What it tells first: it has played nothing yet.
    let first = wait::until("what was learned before", || Some(learned(address)).filter(|learned| games(learned) > 0));
    assert!(games(&first) >= before, "{before} games and more were played by those that ended: {first}");
    let told =
        status(address, "what is learned", |status| status["learning"]["recent"]["games"].as_u64() >= Some(before));
    assert_eq!(told["learning"]["trouble"], Value::Null);
    let metrics = get(address, "/metrics").body;
    assert!(metrics.contains("\nselfplayd_learning_version 3\n"), "{metrics}");
    end(third);
}

#[test]
fn the_trainer_is_heard_and_its_silence_and_rubbish_are_told() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    let told = |what: &str, is: fn(&Value) -> bool| status(address, what, move |status| is(&status["trainer"]));
    assert!(status(address, "play", |status| status["state"] == "playing")["trainer"].is_null());
    trainer.tell(r#"{"state": "training", "version": 3, "step": 1200, "loss": 1.25}"#);
    let now = told("figures", |trainer| trainer["figures"]["step"] == 1200);
    assert_eq!((&now["trainer"]["trouble"], &now["warnings"]), (&Value::Null, &serde_json::json!([])));
    wait::until("metrics", || get(address, "/metrics").body.contains("\nselfplayd_trainer_loss 1.25\n").then_some(()));
    trainer.tell("rubbish");
    let now = told("words about rubbish", |trainer| trainer["trouble"].is_string());
    assert_eq!(now["trainer"]["figures"]["loss"], 1.25, "what was said before stays");
    assert!(now["warnings"][0].as_str().unwrap().contains("is no JSON object"), "{}", now["warnings"]);
    trainer.tell(r#"{"state": "training", "updated": 1000, "loss": NaN}"#);
    told("divergence", |trainer| trainer["trouble"].as_str().is_some_and(|trouble| trouble.contains("diverged")));
    trainer.tell(r#"{"state": "training", "updated": 1000}"#);
    told("silence", |trainer| {
        trainer["trouble"].as_str().is_some_and(|trouble| trouble.contains("has said nothing for"))
    });
    trainer.tell(r#"{"state": "stopped", "updated": 1000}"#);
    told("that it stopped", |trainer| trainer["trouble"].is_null());
    let log = end(daemon);
    assert_eq!(log.matches("the trainer's figures: failed to read").count(), 1, "{log}");
}

#[test]
fn what_a_new_model_changes_is_told() {
    let trainer = trainer();
    let mut daemon = trainer.daemon().args("--device cpu --http-listen 127.0.0.1:0").start();
    let address = daemon.serves("status and control");
    let first = status(address, "the first model", |status| status["model"]["change"]["version"] == 3);
    assert!(first["model"]["change"]["against"].is_null(), "none served before it");
    trainer.publish(4, &model("b5w3_resnet_2x32_trained.onnx"), Scalar::Plain);
    let second = status(address, "the second", |status| status["model"]["change"]["version"] == 4);
    let change = &second["model"]["change"];
    assert_eq!(change["against"]["version"], 3);
    assert!(
        change["against"]["policy_kl"].as_f64() > Some(0.01) && change["largest_logit"].as_f64() > Some(0.1),
        "{change}"
    );
    assert!(change["entropy_share"].as_f64() < first["model"]["change"]["entropy_share"].as_f64(), "{change}");
    trainer.publish(5, &model("b5w3_resnet_2x32_trained.onnx"), Scalar::Plain);
    let third = status(address, "the same again", |status| status["model"]["change"]["version"] == 5);
    assert_eq!(third["model"]["change"]["against"]["policy_kl"], 0.0);
    let log = end(daemon);
    assert!(log.contains("model 4: policy KL ") && log.contains(" against model 3"), "{log}");
}
