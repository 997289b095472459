//! What cannot work is said at once, with the reason and the exit code.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt as _, path::Path};

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended},
    games,
};

/// What the daemon and its helpers exit with when what they were given cannot be used.
const UNUSABLE: i32 = 78;
const USAGE: i32 = 2;

/// Runs the daemon with a model that cannot be played with.
fn refusal_of(model: &Path) -> Ended {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("games");
    let daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &out).option("--model-path", model);
    let ended = daemon.run().exited_with(UNUSABLE);
    assert_eq!(games::names(&out), ["tmp"]);
    assert_eq!(ended.out, "", "there is nothing to sum up");
    assert!(!ended.log.contains("games_started"), "nor to add up:\n{}", ended.log);
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
    daemon.run().exited_with(UNUSABLE).said(&["failed to use device cuda:0: "]);
    let ended = able(dir.path()).env("CUDA_VISIBLE_DEVICES", "").args("--device auto").run().succeeded();
    assert!(["actual=cpu", "actual=openvino:cpu or cpu"].iter().any(|said| ended.log.contains(said)), "{}", ended.log);
}

#[test]
fn an_onnx_runtime_that_is_not_there() {
    let dir = TempDir::new().unwrap();
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    daemon.run().exited_with(UNUSABLE).said(&[
        "failed to find ONNX Runtime: ORT_DYLIB_PATH names /nowhere/libonnxruntime.so, which does not exist",
        "cargo xtask setup",
    ]);

    let file = dir.path().join("libonnxruntime.so");
    fs::write(&file, "no library").unwrap();
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", file.to_str().unwrap());
    daemon.run().exited_with(UNUSABLE).said(&["failed to load ONNX Runtime from", "cargo xtask setup"]);

    // Without a network no runtime is needed either.
    let daemon = able(dir.path()).env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
    daemon.args("--evaluator uniform").run().succeeded();
}

#[test]
fn directories_and_files_that_cannot_be_used() {
    let dir = TempDir::new().unwrap();
    let (file, held, elsewhere) = (dir.path().join("file"), dir.path().join("held"), dir.path().join("elsewhere"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&held).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink("/proc", elsewhere.join("tmp")).unwrap();
    let below = file.join("below");
    let null = Path::new("/dev/null/games");
    for (flag, path, said) in [
        ("--output-dir", file.as_path(), "file is no directory"),
        ("--output-dir", &below, "file is no directory"),
        ("--output-dir", null, "/dev/null is no directory"),
        ("--output-dir", &elsewhere, "elsewhere/tmp is on another: remove that link or mount"),
        ("--output-dir", Path::new("/proc/games"), "failed to create directory /proc/games/tmp"),
        ("--spool-dir", &below, "file is no directory"),
        ("--spool-dir", Path::new("/proc/spool"), "output.spool_dir /proc/spool: takes no files"),
        ("--metrics-dir", &file, "file is no directory"),
        ("--metrics-dir", Path::new("/proc/metrics"), "metrics.dir /proc/metrics: takes no files"),
        ("--shutdown-file", &held, "a directory is there already"),
    ] {
        let config = Config::QUICK.write(dir.path());
        let daemon = Daemon::new().option("--config", config).args("--evaluator uniform --num-games 1");
        let daemon =
            if flag == "--output-dir" { daemon } else { daemon.option("--output-dir", dir.path().join("games")) };
        let ended = daemon.option(flag, path).run().exited_with(UNUSABLE).said(&[said]);
        assert_eq!(ended.out, "", "{flag} {}", path.display());
    }
    let same = able(dir.path()).option("--spool-dir", dir.path().join("games")).run();
    same.exited_with(UNUSABLE).said(&["output.spool_dir", "must be another directory than output.dir and its tmp"]);
}

#[test]
fn a_shutdown_file_that_is_there_already_is_obeyed_and_said() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(".shutdown");
    fs::write(&file, "").unwrap();
    let daemon =
        Daemon::playing(&Config::SLOW.write(dir.path()), &dir.path().join("games")).args("--evaluator uniform");
    let daemon = daemon.args("--num-games 1 --grace-seconds 0").option("--shutdown-file", file);
    daemon.run().said(&[".shutdown exists: play ends before it begins"]);
}

#[test]
fn files_of_settings_that_are_none() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let large = dir.path().join("large.yaml");
    fs::File::create(&large).unwrap().set_len(100_000_000).unwrap();
    let laughter = dir.path().join("laughter.yaml");
    let laughs = (1..10).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")));
    fs::write(&laughter, format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{}", laughs.collect::<String>())).unwrap();
    let deep = dir.path().join("deep.yaml");
    fs::write(&deep, "- ".repeat(100_000)).unwrap();
    for (path, said) in [
        (pipe.as_path(), "pipe.yaml: is not a regular file"),
        (dir.path(), "cannot be read: Is a directory"),
        (&large, "large.yaml: is larger than the 1024 KiB that settings may have"),
        (&laughter, "laughter.yaml: is not valid YAML"),
        (&deep, "deep.yaml: is not valid YAML"),
    ] {
        let daemon = Daemon::playing(path, &dir.path().join("games"));
        daemon.run().exited_with(UNUSABLE).said(&["1 mistake in the settings", said]);
    }
    assert!(!dir.path().join("games").exists(), "nothing is touched");
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
    daemon.run().exited_with(UNUSABLE).said(&[
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
    Daemon::new().args("--num-games").run().exited_with(USAGE).said(&["--num-games <N>"]);
    Daemon::new().args("--evaluator tarot --num-games -5 --seed many").run().exited_with(UNUSABLE).said(&[
        "inference.evaluator = \"tarot\" (flag --evaluator): must be \"onnx\" or \"uniform\" or \"hash\"",
        "play.num_games = -5 (flag --num-games): must be a whole number",
        "play.seed = \"many\" (flag --seed): must be a whole number",
    ]);
    let path = OsString::from_vec(b"games\xff".to_vec());
    Daemon::new().option("--output-dir", path).run().exited_with(USAGE).said(&["invalid UTF-8"]);
}
