//! Pauses, and settings read again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use tempfile::TempDir;

use crate::{
    ask::{post, request, send, status},
    config::{Config, model},
    daemon::{Daemon, Running, Signal},
    games,
    trainer::{Scalar, Trainer},
    wait,
};

/// A daemon that plays so many games by the network. Batches of one: how many positions share a batch changes the last bits
/// of what a network says.
pub(crate) fn batch(dir: &Path, games: u32) -> Daemon {
    Daemon::playing(&Config::QUICK.write(dir), &dir.join("games"))
        .option("--model-path", model("b5w3_resnet_2x32.onnx"))
        .args("--device cpu --seed 7 --eval-batch-size 1 --log-format json")
        .args(&format!("--num-games {games}"))
}

/// The archives of the games in a directory, by their index.
pub(crate) fn archives(dir: &Path) -> BTreeMap<u64, Vec<u8>> {
    let written = games::left_in(&dir.join("games"), Config::QUICK);
    written.iter().map(|written| (written.index(), fs::read(&written.npz).unwrap())).collect()
}

/// Evaluations, once batches that were under way are done.
fn evaluations_at_rest(daemon: &mut Running) -> u64 {
    let mut last = None;
    wait::until("evaluations to stop", || {
        let now = daemon.status().counts["evaluations"].as_u64();
        (last.replace(now) == Some(now)).then_some(now)
    })
    .unwrap()
}

#[test]
fn a_pause_stops_evaluations_and_changes_no_game() {
    const GAMES: u32 = 12;
    let (plain, paused) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    batch(plain.path(), GAMES).run().succeeded();

    let mut daemon = batch(paused.path(), GAMES).start();
    daemon.says("device chosen"); // By then it listens to signals.
    let mut pauses = 0;
    // Before the first game, amid the first ones, and later.
    for games in [0, 0, 1, 3] {
        if games > 0 {
            wait::until("games", || (daemon.status().counts["games_finished"].as_u64() >= Some(games)).then_some(()));
        }
        daemon.signal(Signal::USR1);
        pauses += 1;
        daemon.says_for_the(pauses, "play is paused");
        let status = daemon.status();
        assert_eq!((&status.line["paused"], &status.line["unloaded"]), (&true.into(), &false.into()));
        let evaluations = evaluations_at_rest(&mut daemon);
        for _ in 0..5 {
            assert_eq!(daemon.status().counts["evaluations"], evaluations);
        }
        daemon.signal(Signal::USR1);
        daemon.says_for_the(pauses, "play is resumed");
    }
    daemon.wait().succeeded();
    assert_eq!(archives(plain.path()).len(), GAMES as usize);
    assert!(archives(paused.path()) == archives(plain.path()), "to the byte");
}

#[test]
fn a_long_pause_drops_the_model_and_the_next_one_or_the_same_comes_back() {
    let mut trainer = Trainer::new(Config::QUICK);
    trainer.publish_network(0, Scalar::Plain);
    let mut daemon = trainer.daemon().args("--device cpu --pause-unload-after 0 --log-format json").start();
    trainer.ingest_games_of(0, 2);

    daemon.signal(Signal::USR1);
    daemon.says("model unloaded");
    let status = daemon.status();
    let expected = [("paused", true), ("unloaded", true), ("model_serves", false)];
    assert!(expected.iter().all(|&(field, value)| status.line[field] == value), "{}", status.line);
    let at_rest = evaluations_at_rest(&mut daemon);
    assert_eq!(at_rest, status.counts["evaluations"].as_u64().unwrap());
    // What serves does not need its file any more.
    trainer.remove_model(0);
    daemon.signal(Signal::USR1);
    daemon.says(r#""version":0,"generation":2"#);
    let played = trainer.games.len();
    trainer.ingest_games_of(0, played + 8);

    daemon.signal(Signal::USR1);
    daemon.says_for_the(2, "model unloaded");
    trainer.publish_network(1, Scalar::Plain);
    daemon.signal(Signal::USR1);
    // And not first the one before once more.
    daemon.says(r#""version":1,"generation":3"#);
    trainer.ingest_games_of(1, 2);
    trainer.shut_down();
    daemon.wait().succeeded();
    trainer.ingest_the_rest();
    let indices: BTreeSet<_> = trainer.games.iter().map(|game| game.metadata.game_index.unwrap()).collect();
    assert!(indices.into_iter().eq(0..trainer.games.len() as u64), "no game was lost");
}

#[test]
fn a_paused_daemon_stops_at_once_and_keeps_its_games() {
    let trainer = Trainer::new(Config::SLOW);
    trainer.publish_network(0, Scalar::Plain);
    let args = "--evaluator hash --log-level debug --grace-seconds 600";
    let mut daemon = trainer.daemon().args(args).start();
    daemon.says("game begun");
    daemon.signal(Signal::USR1);
    daemon.says("play is paused");
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded().said(&["games in play are not waited for"]);
}

#[test]
fn settings_read_again_hold_from_then_on_and_a_mistake_changes_none() {
    let mut trainer = Trainer::new(Config::QUICK);
    trainer.publish_network(0, Scalar::Plain);
    let own = trainer.ready().with_file_name("own.toml");
    fs::write(&own, "[search]\ntemperature = 1.0\n").unwrap();
    let mut daemon = trainer.daemon().args("--evaluator hash").option("--settings", &own).start();
    trainer.ingest_games_of(0, 2);

    for (mistakes, bad) in
        ["[search]\ntemperature = -1\nc_puct = 2.5\n", "[search", "[log]\nlevel = \"loud\"\n"].into_iter().enumerate()
    {
        fs::write(&own, bad).unwrap();
        daemon.signal(Signal::HUP);
        daemon.says_for_the(mistakes + 1, "the settings stay as they are");
    }
    let played = trainer.games.len();
    trainer.ingest_games_of(0, played + 8);
    let hashes = |trainer: &Trainer| -> Vec<String> {
        trainer.games.iter().map(|game| game.metadata.settings_hash.clone().unwrap()).collect()
    };
    let before = hashes(&trainer);
    assert!(before.iter().all(|hash| *hash == before[0]));

    fs::write(
        &own,
        "[search]\ntemperature = 0.5\nc_puct = 2.5\n[log]\nlevel = \"debug\"\n[play]\ngames_per_process = 6\n",
    )
    .unwrap();
    daemon.signal(Signal::HUP);
    daemon.says("settings read again changed=3 not_changed=1");
    daemon.says("search.c_puct needs a restart");
    daemon.says("DEBUG"); // The level holds at once.
    wait::until("a game with the new settings", || {
        trainer.ingest();
        hashes(&trainer).iter().any(|hash| *hash != before[0]).then_some(())
    });
    trainer.shut_down();
    let ended = daemon.wait().exited_with(0);
    assert!(!ended.log.contains("panicked"));
    trainer.ingest_the_rest();
    let all: BTreeSet<_> = hashes(&trainer).into_iter().collect();
    assert_eq!(all.len(), 2, "what cannot be changed is not part of the new settings: {all:?}");
}

#[test]
fn a_client_that_asks_is_told_how_everything_is() {
    let trainer = Trainer::new(Config::QUICK);
    let mut daemon = trainer.daemon().args("--evaluator hash --log-format json").start();
    daemon.says("waiting for a model");
    let status = daemon.status();
    assert_eq!((&status.line["model_serves"], &status.counts["games_started"]), (&false.into(), &0.into()));
    trainer.publish_network(3, Scalar::Plain);
    wait::until("a game", || (!games::archives(&trainer.ready()).is_empty()).then_some(()));
    let status = daemon.status();
    assert_eq!((&status.line["model_serves"], &status.counts["model_version"]), (&true.into(), &3.into()));
    for child in ["root", "model loader", "writer", "batcher", "cache", "games supervisor", "game", "inference-0"] {
        assert!(daemon.said(&format!(r#""message":"status of child","name":"{child}""#)) > 0, "{child} is missing");
    }
    trainer.shut_down();
    daemon.wait().succeeded();
}

#[test]
fn signals_at_odd_times_do_no_harm() {
    let trainer = Trainer::new(Config::SLOW);
    let mut daemon = trainer.daemon().args("--evaluator hash --grace-seconds 600 --log-level debug").start();
    daemon.says("selfplayd starts");
    // Signals of one kind that come close together may be taken for one.
    for signal in [Signal::HUP, Signal::USR2, Signal::USR1] {
        daemon.signal(signal);
    }
    daemon.says("play is paused");
    daemon.signal(Signal::USR1);
    daemon.says("play is resumed");
    trainer.publish_network(0, Scalar::Plain);
    daemon.says("game starts next="); // None does in a pause, and the log says so.
    daemon.signal(Signal::TERM);
    daemon.says("stopping");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        daemon.signal(signal);
    }
    daemon.says_for_the(2, "of no effect: play is ending");
    daemon.says_for_the(2, "model_serves=");
    // A second SIGTERM within a second would count as the first.
    daemon.signal(Signal::INT);
    daemon.wait().exited_with(75).said(&["while stopping: ending at once"]);
}

#[test]
fn a_number_of_games_can_be_taken_back_and_the_games_beyond_it_wait() {
    const MANY: u64 = 3000;
    let trainer = Trainer::new(Config { simulations: 50, games: 4, ..Config::SLOW });
    trainer.publish_network(0, Scalar::Plain);
    let daemon = || trainer.daemon().args("--evaluator hash --http-listen 127.0.0.1:0 --grace-seconds 0");
    let mut running = daemon().start();
    let address = running.serves("status and control");
    let at_once = |games: u64| {
        let body = format!(r#"{{"play.games_per_process": {games}}}"#);
        let reply =
            send(address, request("POST", "/v1/settings", "Content-Type: application/json\r\n", &body)).unwrap();
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let count = |status: &serde_json::Value, name: &str| status["games"][name].as_u64().unwrap();
    status(address, "a game", |status| count(status, "active") > 0);
    at_once(MANY);
    status(address, "many games", |status| count(status, "active") > 100);
    // In a pause no game ends, and none is played on.
    assert!(post(address, "/v1/pause", "").status < 300);
    at_once(4);
    let parked = status(address, "few games", |status| count(status, "active") <= 4 && count(status, "parked") > 96);
    assert_eq!(count(&parked, "target"), 4);
    assert!(post(address, "/v1/resume", "").status < 300);
    at_once(40);
    status(address, "more games", |status| count(status, "active") == 40);
    at_once(2);
    status(address, "two games", |status| count(status, "active") == 2);

    running.signal(Signal::TERM);
    let ended = running.wait().succeeded();
    let number = |log: &str, words: &str| -> u64 {
        let line = log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {log}"));
        line.rsplit_once("games=").unwrap().1.trim().parse().unwrap()
    };
    let kept = number(&ended.log, "games in play go on at the next start");
    assert!(kept > 90, "{kept}");
    let mut next = daemon().start();
    next.says("going on with the games of earlier processes");
    assert_eq!(number(next.log(), "going on with the games"), kept);
}
