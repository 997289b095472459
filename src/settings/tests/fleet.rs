//! Workers of a fleet.

use std::path::Path;

use selfplay_fleet::folder;

use super::*;

/// A worker `w1` whose file is there.
fn worker() -> Given {
    let given = given().trainer(TRAINER);
    let dir = given.dir.path().join("fleet");
    let wanted = folder::Wanted { run: Some("r1".parse().unwrap()), ..folder::Wanted::default() };
    folder::init(&dir, &wanted).unwrap();
    let (folder, _) = folder::add(&dir, &["w1".parse().unwrap()]).unwrap();
    let file = folder.worker_file(&"w1".parse().unwrap()).display().to_string();
    given.flag("--fleet", "fleet.servers", "tls://a:4222,tls://b").flag("--credentials", "fleet.credentials", &file)
}

#[test]
fn where_models_come_from_and_games_go_follows_from_being_a_worker() {
    let given = worker();
    let settings = given.settings();
    assert_eq!(settings.output.dir.as_deref(), Some(Path::new("selfplayd-w1/games")));
    assert_eq!(settings.model.latest_yaml.as_deref(), Some(Path::new("selfplayd-w1/models/latest.yaml")));
    assert!(settings.daemon.continuous && settings.fleet.servers.unwrap().len() == 2);
    assert_eq!(settings.fleet.max_outbox_bytes, 10_000_000_000);
    assert_eq!(given.source("output.dir"), "follows from fleet.dir");
    assert_eq!(given.warnings(), [""; 0]);
    // What was printed is read again.
    let printed = given.resolve().to_toml();
    assert!(printed.contains("servers = \"tls://a:4222,tls://b\""), "{printed}");
    let again = super::given().own("printed.toml", printed);
    assert_eq!(again.settings(), given.settings());
    let elsewhere = worker().flag("--fleet-dir", "fleet.dir", "/data/w");
    assert_eq!(elsewhere.settings().output.dir.as_deref(), Some(Path::new("/data/w/games")));
    // Games are what they are on one machine.
    let alone = super::given().playable().trainer(TRAINER);
    assert_eq!(alone.settings().games_hash(), given.settings().games_hash());
}

#[test]
fn a_worker_without_credentials_or_with_what_follows_is_refused() {
    let alone = given().trainer(TRAINER).flag("--fleet", "fleet.servers", "tls://a");
    assert!(only(&alone.message()).starts_with("fleet.credentials is missing: a worker proves who it is"));
    let none = alone.flag("--credentials", "fleet.credentials", "run/none.worker");
    let message = none.message();
    assert!(
        message.contains("the file of a worker, but: read the worker's file run/none.worker: No such file"),
        "{message}"
    );
    for (flag, key, value) in [
        ("--output-dir", "output.dir", "games"),
        ("--latest-model-yaml", "model.latest_yaml", "models/latest.yaml"),
        ("--model-source", "model.source", "models"),
        ("--model-path", "model.path", "m.onnx"),
        ("--num-games", "play.num_games", "3"),
    ] {
        let message = worker().flag(flag, key, value).message();
        let begin = format!("{key} = ");
        assert!(
            only(&message).starts_with(&begin) && message.contains("must be left out beside fleet.servers"),
            "{message}"
        );
    }
    let message = worker().flag("--fleet", "fleet.servers", "nats://a:4222").message();
    assert!(message.contains("nats:// only for servers on this machine"), "{message}");
}

#[test]
fn what_is_for_workers_has_no_effect_without_a_fleet() {
    let given = given().playable().trainer(TRAINER).flag("--fleet-dir", "fleet.dir", "x");
    assert_eq!(given.warnings(), ["fleet.dir (flag --fleet-dir) has no effect without --fleet"]);
}
