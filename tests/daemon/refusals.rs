//! What cannot work is said at once, with the reason and the exit code.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended},
    games,
};

/// What the daemon and its helpers exit with when what they were given cannot be used.
const UNUSABLE: i32 = 78;
const USAGE: i32 = 2;

/// Longest time for a refusal, in seconds.
const AT_ONCE: u64 = 20;

/// Runs the daemon with a model that cannot be played with.
fn refusal_of(model: &Path) -> Ended {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &out).option("--model-path", model);
    let ended = daemon.run().exited_with(UNUSABLE).within(AT_ONCE);
    assert_eq!(games::names(&out), ["tmp"]);
    assert_eq!(ended.out, "", "there is nothing to sum up");
    ended
}

#[test]
fn models_that_cannot_be_used() {
    refusal_of(Path::new("/nowhere/model.onnx")).said(&["cannot play: read model /nowhere/model.onnx: No such file"]);
    refusal_of(&model("b9w10_resnet_2x32.onnx")).said(&[
        "b9w10_resnet_2x32.onnx takes input [batch, 5, 21, 21], which is a 9x9 resnet",
        "the settings say board_size 5: expected [batch, 5, 13, 13]",
    ]);
    let dir = TempDir::new().unwrap();
    let cut = dir.path().join("cut.onnx");
    let whole = fs::read(model("b5w3_resnet_2x32.onnx")).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refusal_of(&cut).said(&["cut.onnx: not a complete ONNX model"]);
    refusal_of(dir.path()).said(&["cannot play: read model", "directory"]);
}

/// A daemon that could play, to be given something that it cannot do.
fn able(dir: &Path) -> Daemon {
    Daemon::playing(&Config::QUICK.write(dir), &dir.join("games"))
        .option("--model-path", model("b5w3_resnet_2x32.onnx"))
        .args("--num-games 1")
}

#[test]
fn a_gpu_that_is_not_there() {
    let dir = TempDir::new().unwrap();
    // Hides the GPUs of a machine that has some.
    let daemon = able(dir.path()).env("CUDA_VISIBLE_DEVICES", "").args("--device cuda");
    daemon.run().exited_with(UNUSABLE).within(AT_ONCE).said(&["failed to use device cuda:0: "]);
    able(dir.path()).env("CUDA_VISIBLE_DEVICES", "").args("--device auto").run().succeeded().said(&["actual=cpu"]);
}

#[test]
fn an_onnx_runtime_that_is_not_there() {
    let dir = TempDir::new().unwrap();
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    daemon.run().exited_with(UNUSABLE).within(AT_ONCE).said(&[
        "failed to find ONNX Runtime: ORT_DYLIB_PATH names /nowhere/libonnxruntime.so, which does not exist",
        "cargo xtask setup",
    ]);

    let file = dir.path().join("libonnxruntime.so");
    fs::write(&file, "no library").unwrap();
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", file.to_str().unwrap());
    daemon.run().exited_with(UNUSABLE).within(AT_ONCE).said(&["failed to load ONNX Runtime from", "cargo xtask setup"]);

    // Whoever needs no network needs no runtime either.
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    daemon.args("--evaluator uniform").run().succeeded();
}

#[test]
fn an_output_directory_that_is_none() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("games");
    fs::write(&file, "").unwrap();
    able(dir.path()).run().exited_with(UNUSABLE).within(AT_ONCE).said(&["failed to create directory", "games/tmp"]);
}

#[test]
fn settings_with_mistakes_are_refused_with_all_of_them() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("config.yaml");
    let yaml = Config { board: 12, ..Config::QUICK }.yaml().replace("mcts_c_puct: 1.2", "mcts_c_puct: -1");
    fs::write(&config, yaml).unwrap();
    let daemon = Daemon::playing(&config, &dir.path().join("games"))
        .env("SELFPLAYD__SEARCH__VIRTUAL_LOS", "2")
        .args("--continuous --device tpu");
    daemon.run().exited_with(UNUSABLE).within(AT_ONCE).said(&[
        "5 mistakes in the settings",
        "quoridor.board_size",
        "mcts_c_puct",
        "search.virtual_loss",
        "inference.device",
        "model.latest_yaml is missing",
    ]);
    assert!(!dir.path().join("games").exists(), "nothing is touched");

    let missing = Daemon::playing(&dir.path().join("none.yaml"), &dir.path().join("games"));
    missing.run().exited_with(UNUSABLE).said(&["none.yaml"]);
}

#[test]
fn a_command_line_that_is_wrong() {
    Daemon::new().args("--num-gmaes 3").run().exited_with(USAGE).said(&["--num-gmaes", "--num-games"]);
    Daemon::new().args("--evaluator tarot").run().exited_with(USAGE).said(&["tarot", "onnx", "uniform", "hash"]);
    Daemon::new().args("--num-games many").run().exited_with(USAGE).said(&["many"]);
}
