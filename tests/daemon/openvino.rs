//! The CPU through OpenVINO: played on, or refused with a sentence, and never another device instead.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use selfplay_actors::onnx::{Device, OpenVinoDevice, Precision};
use tempfile::TempDir;

use crate::{
    ask::{get, status},
    config::{Config, model},
    daemon::{Daemon, Ended},
    http::trainer,
};

const UNUSABLE: i32 = 78;

/// Whether this processor has what "auto" takes OpenVINO for.
fn has_bf16() -> bool {
    Precision::Bf16.possible_on(Device::OpenVino(OpenVinoDevice::Cpu)).is_ok()
}

/// The build of the checkout, where it was fetched.
fn library() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ort/openvino");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no OpenVINO in .ort/openvino; see `cargo xtask fetch-ort --openvino`");
    }
    folder.is_dir().then_some(folder)
}

fn play(dir: &TempDir, library: Option<&Path>, args: &str) -> Ended {
    play_on(dir, library, "--device openvino", args)
}

fn play_on(dir: &TempDir, library: Option<&Path>, device: &str, args: &str) -> Ended {
    let daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &dir.path().join("games"))
        .option("--model-path", model("b5w3_resnet_2x32.onnx"))
        .args("--num-games 2")
        .args(device)
        .args(args);
    let daemon = library.into_iter().fold(daemon, |daemon, path| daemon.env("ORT_DYLIB_PATH", path.to_str().unwrap()));
    daemon.run()
}

#[test]
fn games_are_played_through_openvino_and_it_is_said() {
    let Some(library) = library() else { return };
    let dir = TempDir::new().unwrap();
    let ended = play(&dir, Some(&library), "--precision fp32").succeeded();
    ended.said(&["actual=openvino:cpu", "fp32 through OpenVINO against fp32 on ", "on openvino:cpu in fp32)"]);
    let ended = play(&dir, Some(&library), "--precision fp16").exited_with(UNUSABLE);
    ended.said(&["inference.precision = \"fp16\"", "fp16 is for GPUs"]);
}

#[test]
fn auto_measures_where_the_cpu_has_bf16_and_says_what_serves() {
    let Some(library) = library() else { return };
    let dir = TempDir::new().unwrap();
    let ended = play_on(&dir, Some(&library), "", "").succeeded();
    if !has_bf16() {
        ended.said(&["actual=cpu", "on cpu in fp32)"]);
        return;
    }
    let log = &ended.log;
    if log.contains("actual=cuda") {
        return;
    }
    let serves = log.lines().find(|line| line.contains(" serves: evaluations per CPU-second: ")).unwrap_or_else(|| {
        panic!("it is not said what serves:\n{log}");
    });
    for way in ["openvino:cpu in bf16 ", "openvino:cpu in fp32 ", "cpu in fp32 "] {
        assert!(serves.contains(way), "{serves}");
    }
    // A device or a precision that is named is not measured.
    let ended = play_on(&dir, Some(&library), "--device cpu", "").succeeded();
    assert!(ended.said(&["actual=cpu", "on cpu in fp32)"]).log.lines().all(|line| !line.contains(" serves: ")));
}

#[test]
fn status_and_metrics_tell_what_the_model_runs_on() {
    let Some(library) = library() else { return };
    let trainer = trainer();
    let daemon = trainer.daemon().args("--http-listen 127.0.0.1:0").env("ORT_DYLIB_PATH", library.to_str().unwrap());
    let mut daemon = daemon.args("--device openvino --precision fp32").start();
    let address = daemon.serves("status and control");
    let document = status(address, "a model", |status| status["model"]["version"].is_i64());
    let device = &document["device"];
    assert_eq!((&device["actual"], &device["precision"]), (&"openvino:cpu".into(), &"fp32".into()), "{device}");
    assert_eq!(device["threads"][0]["actual"], "openvino:cpu");
    let metrics = get(address, "/metrics").body;
    let info =
        r#"selfplayd_execution_provider_info{requested="openvino:cpu",actual="openvino:cpu",precision="fp32"} 1"#;
    assert!(metrics.contains(info), "{metrics}");
    let table = Daemon::new().args("status").option("--address", format!("http://{address}")).run().succeeded().out;
    assert!(table.contains("device       openvino:cpu in fp32 (asked for openvino:cpu)"), "{table}");
}

#[test]
fn a_gpu_of_intels_that_is_not_there_is_refused() {
    let Some(library) = library() else { return };
    if Path::new("/dev/dri").exists() {
        eprintln!("SKIPPED: there may be a GPU");
        return;
    }
    let ended = play_on(&TempDir::new().unwrap(), Some(&library), "--device openvino:gpu", "").exited_with(UNUSABLE);
    ended.said(&["failed to use device openvino:gpu: OpenVINO finds no GPU of Intel's on this machine"]);
}

/// The tests' own ONNX Runtime is the plain one, unless somebody runs them with another.
#[test]
fn a_library_without_openvino_is_refused() {
    let own = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from).unwrap_or_default();
    let folder = if own.is_dir() { Some(&*own) } else { own.parent() };
    if folder.is_some_and(|folder| folder.join("libonnxruntime_providers_openvino.so").exists()) {
        eprintln!("SKIPPED: {} has OpenVINO", own.display());
        return;
    }
    let ended = play(&TempDir::new().unwrap(), None, "").exited_with(UNUSABLE);
    ended.said(&[
        "failed to use device openvino:cpu: the ONNX Runtime in ",
        " is built without OpenVINO; `cargo xtask fetch-ort --openvino` fetches one that has it",
    ]);
}

#[test]
fn a_library_whose_openvino_is_missing_is_refused() {
    let Some(library) = library() else { return };
    let dir = TempDir::new().unwrap();
    let bare = dir.path().join("bare");
    fs::create_dir(&bare).unwrap();
    for entry in fs::read_dir(&library).unwrap().map(Result::unwrap) {
        if entry.file_name().to_str().unwrap().starts_with("libonnxruntime") {
            symlink(entry.path(), bare.join(entry.file_name())).unwrap();
        }
    }
    let ended = play(&dir, Some(&bare), "").exited_with(UNUSABLE);
    ended.said(&[
        "failed to use device openvino:cpu: OpenVINO does not start",
        "`cargo xtask fetch-ort --openvino --force`",
    ]);
}
