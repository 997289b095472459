//! Baselines, traces and other inputs.

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended},
    games::{self, Written},
    numpy::{Loaded, Numpy},
};

/// Four games by a model, checked, with how the daemon ended.
fn played(config: Config, name: &str, args: &str) -> (Vec<(Written, Loaded)>, Ended) {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let ended = Daemon::playing(&config.write(dir.path()), &out)
        .option("--model-path", model(name))
        .args("--num-games 4")
        .args(args)
        .run()
        .succeeded();
    let written = games::left_in(&out, config);
    assert_eq!(written.len(), 4);
    let loaded = Numpy::start().load_all(&written, config);
    (written.into_iter().zip(loaded).collect(), ended)
}

#[test]
fn the_second_player_may_move_at_random() {
    let (games, _) = played(Config::QUICK, "b5w3_resnet_2x32.onnx", "--p2 random");
    for (written, loaded) in &games {
        assert!(written.is_one_hot(1) && !written.is_one_hot(0));
        assert_eq!(loaded.searched, written.game.metadata.game_length.div_ceil(2), "only the first player searches");
    }
}

#[test]
fn the_network_may_play_without_search() {
    let (games, _) = played(Config::QUICK, "b5w3_resnet_2x32.onnx", "--use-raw-onnx-agent");
    assert!(games.iter().all(|(_, loaded)| loaded.searched == 0));
}

#[test]
fn a_trace_shows_every_move_and_board() {
    let (games, ended) = played(Config::QUICK, "b5w3_resnet_2x32.onnx", "--trace");
    let plies: u64 = games.iter().map(|(written, _)| written.game.metadata.game_length).sum();
    let moves: Vec<_> = ended.out.lines().filter(|line| line.starts_with("game ")).collect();
    assert_eq!(moves.len() as u64, plies, "{}", ended.out);
    assert!(moves.iter().all(|line| line.contains(" plays ") && line.contains(" visits")), "{moves:?}");
    assert_eq!(ended.out.matches("first player to row 5").count() as u64, plies, "{}", ended.out);
}

#[test]
fn games_are_stored_as_an_mlp_takes_them() {
    let config = Config { walls: 1, network: "mlp", ..Config::QUICK };
    let (games, _) = played(config, "b5w1_mlp.onnx", "");
    for (written, _) in &games {
        assert_eq!(written.game.input_arrays.shape(), [written.game.plies(), 2 * 25 + 2 * 16 + 2]);
    }
}
