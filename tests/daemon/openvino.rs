//! The CPU through OpenVINO: played on, or refused with a sentence, and never another device instead.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended},
};

const UNUSABLE: i32 = 78;

/// The build of the checkout, where it was fetched.
fn library() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ort/openvino");
    if !folder.is_dir() {
        eprintln!("SKIPPED: no OpenVINO in .ort/openvino; see `cargo xtask fetch-ort --openvino`");
    }
    folder.is_dir().then_some(folder)
}

fn play(dir: &TempDir, library: Option<&Path>, args: &str) -> Ended {
    let daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &dir.path().join("games"))
        .option("--model-path", model("b5w3_resnet_2x32.onnx"))
        .args("--num-games 2 --device openvino")
        .args(args);
    let daemon = library.into_iter().fold(daemon, |daemon, path| daemon.env("ORT_DYLIB_PATH", path.to_str().unwrap()));
    daemon.run()
}

#[test]
fn games_are_played_through_openvino_and_it_is_said() {
    let Some(library) = library() else { return };
    let dir = TempDir::new().unwrap();
    let ended = play(&dir, Some(&library), "").succeeded();
    ended.said(&["actual=openvino:cpu", "fp32 through OpenVINO against fp32 on ", "on openvino:cpu)"]);
    let ended = play(&dir, Some(&library), "--precision fp16").exited_with(UNUSABLE);
    ended.said(&["inference.precision = \"fp16\"", "fp16 is for GPUs"]);
}

/// The tests' own ONNX Runtime is the plain one.
#[test]
fn a_library_without_openvino_is_refused() {
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
