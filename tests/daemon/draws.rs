//! A network that says how likely a draw is: what is written of that, and that it outlives a kill.

use std::{
    fs,
    path::{Path, PathBuf},
};

use selfplay_engine::replay::ReadGame;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    ask::get,
    config::model,
    daemon::{Daemon, Signal},
    games::{self, strict_metadata},
    numpy::Numpy,
    wait,
};

/// Tic-tac-toe with a network whose chances are told by hand: with m stones of the mover and o of the opponent, win : draw : loss
/// are 2^m : 1 : 2^o.
fn playing(dir: &Path, simulations: &str) -> Daemon {
    playing_with("others/counts.onnx", dir, simulations)
}

fn playing_with(network: &str, dir: &Path, simulations: &str) -> Daemon {
    Daemon::new()
        .option("--game", "tic_tac_toe")
        .option("--model-path", model(network))
        .option("--output-dir", dir)
        .env("SELFPLAYD__SEARCH__MCTS_N", simulations)
        // The strict reader wants policies that are the visits' shares.
        .env("SELFPLAYD__SEARCH__SOLVER", "false")
        .args("--seed 3 --device cpu")
}

/// Value and draw of the position before a ply, by the network.
fn by_hand(ply: usize) -> (f32, f32) {
    let [mover, opponent] = [ply / 2, ply.div_ceil(2)].map(|stones| 2f32.powi(stones as i32));
    let sum = mover + 1.0 + opponent;
    ((mover - opponent) / sum, 1.0 / sum)
}

/// All games of a directory: read by numpy as strictly as the trainer's five arrays, and by ourselves.
fn strictly_read(dir: &Path, draws: bool) -> Vec<ReadGame> {
    let mut numpy = Numpy::start();
    let shapes = json!({ "actions": 9, "input_shape": [2, 3, 3], "draws": draws });
    let read = |npz: &PathBuf| {
        numpy.load_as(npz, &strict_metadata(&npz.with_extension("yaml")), &shapes);
        ReadGame::open(npz).unwrap()
    };
    games::archives(dir).iter().map(read).collect()
}

fn near<'a>(found: impl IntoIterator<Item = &'a f32>, expected: impl Fn(usize) -> f32) -> bool {
    found.into_iter().enumerate().all(|(ply, found)| (found - expected(ply)).abs() < 1e-6)
}

#[test]
fn values_and_draws_are_those_of_the_network() {
    let dir = TempDir::new().unwrap();
    let raw = playing(dir.path(), "16").args("--num-games 3 --http-listen none --use-raw-onnx-agent");
    raw.run().succeeded().said(&["outcome as win, draw, loss"]);
    let games = strictly_read(dir.path(), true);
    assert_eq!(games.len(), 3);
    for game in games {
        let (values, draws) = (game.root_values.unwrap(), game.root_draws.unwrap());
        assert!(near(&values, |ply| by_hand(ply).0), "{values}");
        assert!(near(&draws, |ply| by_hand(ply).1), "{draws}");
    }
}

#[test]
fn show_tells_how_likely_a_draw_was() {
    let dir = TempDir::new().unwrap();
    let raw = playing(dir.path(), "16").args("--num-games 1 --http-listen none --use-raw-onnx-agent");
    raw.run().succeeded();
    let shown =
        Daemon::new().flag("show").option("--ply", "3").flag(dir.path().to_str().unwrap()).run().succeeded().out;
    // One stone of the mover's and two of the opponent's: 2 : 1 : 4.
    assert!(shown.contains("before ply 3, the mover's value -0.286, a draw 14%\n"), "{shown}");
}

#[test]
fn a_search_averages_draws_and_other_networks_write_none() {
    let dir = TempDir::new().unwrap();
    playing(dir.path(), "40").args("--num-games 4 --http-listen none").run().succeeded();
    let games = strictly_read(dir.path(), true);
    assert_eq!(games.len(), 4);
    for game in &games {
        let draws = game.root_draws.as_ref().unwrap();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)), "{draws}");
        assert!(!near(draws.iter(), |ply| by_hand(ply).1), "{draws}");
        // Eight stones are on the board: the last cell wins or draws, and nothing else is left to find but the network's word.
        if draws.len() == 9 {
            let drawn = game.values[8] == 0.0;
            assert_eq!(draws[8] > 0.9, drawn, "{draws}");
        }
    }
    let plain = TempDir::new().unwrap();
    let daemon = playing_with("games/tic_tac_toe.onnx", plain.path(), "40");
    daemon.args("--num-games 2 --http-listen none").run().succeeded();
    let games = strictly_read(plain.path(), false);
    assert!(games.len() == 2 && games.iter().all(|game| game.root_draws.is_none()));
}

#[test]
fn draws_outlive_a_kill() {
    let dir = TempDir::new().unwrap();
    // Games that were seen beyond their second ply and did not end before the kill: often all of them.
    let kept = wait::until("a kill that comes in the middle of a game", || {
        let mut daemon = playing(dir.path(), "3000")
            .args("--num-games 100000 --games-per-process 8 --http-listen 127.0.0.1:0")
            .start();
        let address = daemon.serves("status and control");
        let seen = wait::until("games in play", || {
            let games = get(address, "/v1/games").json()["games"].clone();
            let far = |game: &&serde_json::Value| game["ply"].as_u64() > Some(1);
            let far: Vec<_> = games.as_array()?.iter().filter(far).filter_map(|game| game["game"].as_u64()).collect();
            (!far.is_empty()).then_some(far)
        });
        daemon.signal(Signal::KILL);
        drop(daemon);
        let ended: Vec<_> =
            strictly_read(dir.path(), true).iter().filter_map(|game| game.metadata.game_index).collect();
        Some(seen.into_iter().filter(|game| !ended.contains(game)).collect::<Vec<_>>()).filter(|kept| !kept.is_empty())
    });
    let before = games::archives(dir.path());
    let daemon = playing(dir.path(), "3000").args("--num-games 1 --http-listen none");
    daemon.run().succeeded().said(&["going on with the games of earlier processes"]);
    for npz in before {
        fs::remove_file(npz).unwrap();
    }
    let games = strictly_read(dir.path(), true);
    for index in kept {
        let game = games.iter().find(|game| game.metadata.game_index == Some(index));
        let draws = game.unwrap_or_else(|| panic!("game {index} did not go on")).root_draws.as_ref().unwrap();
        assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)), "game {index}: {draws}");
    }
}

#[test]
fn models_with_and_without_draws_take_turns_in_one_game() {
    let dir = TempDir::new().unwrap();
    let (models, games) = (dir.path().join("models"), dir.path().join("games"));
    fs::create_dir(&models).unwrap();
    let publish = |version: i64| {
        let hidden = models.join(".coming");
        let network = if version % 2 == 0 { "others/counts.onnx" } else { "games/tic_tac_toe.onnx" };
        fs::copy(model(network), &hidden).unwrap();
        fs::rename(hidden, models.join(format!("model_{version}.onnx"))).unwrap();
    };
    publish(1);
    let mut daemon = Daemon::new()
        .option("--game", "tic_tac_toe")
        .option("--model-source", &models)
        .option("--output-dir", &games)
        .env("SELFPLAYD__SEARCH__MCTS_N", "2000")
        .env("SELFPLAYD__SEARCH__SOLVER", "false")
        .args("--continuous --seed 3 --device cpu --games-per-process 8 --http-listen none --grace-seconds 600")
        .start();
    daemon.says("in service version=1 ");
    let changed = |game: &ReadGame| game.metadata.first_model_version < game.metadata.last_model_version;
    let mut version = 1;
    wait::until("games that a new model found in play, of either kind", || {
        version += 1;
        publish(version);
        daemon.says(&format!("in service version={version} "));
        let read = games::archives(&games).into_iter().map(|npz| ReadGame::open(&npz).unwrap());
        let changed: Vec<_> = read.filter(changed).collect();
        let from = |kind| {
            changed.iter().any(|game| game.metadata.first_model_version.map(|version| version % 2) == Some(kind))
        };
        (from(0) && from(1)).then_some(())
    });
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();

    let mut numpy = Numpy::start();
    for npz in games::archives(&games) {
        let game = ReadGame::open(&npz).unwrap();
        let versions = game.model_versions.as_ref().unwrap();
        let draws = game.root_draws.as_ref().map_or_else(
            || vec![None; game.plies()],
            |draws| draws.iter().map(|draw| (!draw.is_nan()).then_some(*draw)).collect(),
        );
        let shapes = json!({ "actions": 9, "input_shape": [2, 3, 3], "draws": game.root_draws.is_some() });
        numpy.load_as(&npz, &strict_metadata(&npz.with_extension("yaml")), &shapes);
        assert_eq!(game.root_draws.is_some(), draws.iter().any(Option::is_some), "{}", npz.display());
        for (ply, draw) in draws.iter().enumerate() {
            // In the ply that a new model found half searched the one before had a say as well.
            let new = ply > 0 && versions[ply] != versions[ply - 1];
            match versions[ply] % 2 {
                1 => assert_eq!(*draw, None, "ply {ply} of {}", npz.display()),
                _ => assert!(new || draw.is_some() || ply == 0, "ply {ply} of {}", npz.display()),
            }
        }
    }
}
