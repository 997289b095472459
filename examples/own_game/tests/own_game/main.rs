//! The game keeps its laws, and the program plays it, shows it and checks models for it as it does with the games that are shipped.
//!
//! - [`rules`]: by themselves
//! - [`program`]: what the program says, and what it says as it plays
//! - [`network`]: the network that it plays with

#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod network;
mod program;
mod rules;

use std::{fs, path::PathBuf};

use own_game::Domineering;
use selfplayd::engine::{Game as _, replay::ReadGame};
use serde_json::Value;
use tempfile::TempDir;

use self::program::{Playing, refused, said};

const TITLE: &str = "domineering(size=8)";

/// A network for planes of this shape and so many actions, in a file.
fn model(dir: &TempDir, planes: [usize; 3], actions: usize) -> String {
    let file = dir.path().join("model.onnx");
    fs::write(&file, network::onnx(planes, actions)).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn games_are_played_with_a_network_watched_written_and_shown() {
    let dir = TempDir::new().unwrap();
    let (model, games) = (model(&dir, [1, 8, 8], 128), dir.path().join("games"));
    let path = games.to_str().unwrap();
    let many = "--num-games 1000000 --games-per-process 4 --device cpu --seed 3";
    let daemon = Playing::start(&format!("{many} --model-path {model} --output-dir {path}"));
    let status = daemon.says("status", |status| status["writer"]["written"].as_u64().unwrap() >= 3);
    assert_eq!(status["run"]["rules"], TITLE, "{status:#}");
    // Between two games a slot is empty.
    let in_play = daemon.says("games", |games| games["games"][0].is_object());
    assert_eq!(in_play["rules"], TITLE);
    let count = |shapes: &Value| shapes.as_array().unwrap().len() as u64;
    assert_eq!(count(&in_play["board"]["cells"]), 64);
    for game in in_play["games"].as_array().unwrap() {
        assert_eq!(count(&game["stones"]), 2 * game["ply"].as_u64().unwrap(), "{game}");
    }
    daemon.drain();

    let files = fs::read_dir(&games).unwrap().map(|entry| entry.unwrap().path());
    let archives: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|name| name == "npz")).collect();
    assert!(archives.len() >= 3);
    let game = Domineering::new(8);
    for archive in &archives {
        let read = ReadGame::open(archive).unwrap();
        assert_eq!(read.metadata.rules.as_deref(), Some(TITLE));
        let mut state = game.start();
        for &action in read.actions.as_ref().unwrap() {
            game.play(&mut state, action.try_into().unwrap());
        }
        assert!(game.outcome(&state).is_some(), "{}", archive.display());
    }
    let shown = said(&format!("show --ply 1 {path}"));
    assert!(shown.contains("  a b c d e f g h\n") && shown.matches('●').count() == 2, "{shown}");
    assert!(said(&format!("show --summary {path}")).contains("draw 0 (0%)"));
    let (one, picture) = (archives[0].display(), dir.path().join("game.svg"));
    said(&format!("show --ply 3 --svg {} {one}", picture.display()));
    let drawn = fs::read_to_string(picture).unwrap();
    assert_eq!(drawn.matches("class=\"stone").count(), 6, "{drawn}");
    assert_eq!(drawn.matches("class=\"wall").count(), 3, "{drawn}");

    let metadata = archives[0].with_extension("yaml");
    let other = fs::read_to_string(&metadata).unwrap().replace(TITLE, "domineering(size=7)");
    fs::write(&metadata, other).unwrap();
    let refusal = refused(&format!("show {one}"));
    let both = "it was played by the rules domineering(size=7), and this program plays domineering(size=8)";
    assert!(refusal.contains(both), "{refusal}");
}

#[test]
fn models_are_checked_for_it() {
    let dir = TempDir::new().unwrap();
    let checked = said(&format!("check-model --device cpu {}", model(&dir, [1, 8, 8], 128)));
    assert!(checked.contains("accepted: it may serve"), "{checked}");
    let checked = refused(&format!("check-model --device cpu {}", model(&dir, [2, 6, 7], 7)));
    let both = "which is one of connect_four 6x7; the settings say domineering(size=8)";
    assert!(checked.contains(both), "{checked}");
}

#[test]
fn it_is_the_game_unless_settings_name_another() {
    assert!(said("config").contains("name = \"domineering\""));
    assert!(said("config --game hex").contains("name = \"hex\""));
    let help = said("--help");
    assert!(help.contains("breakthrough, domineering]") && help.contains("[default: domineering]"), "{help}");
    let misspelt = refused("config --game domineerin");
    assert!(misspelt.contains("did you mean \"domineering\"?"), "{misspelt}");
    let measured = said("bench --evaluator hash --games 2 --rounds 1");
    assert!(measured.starts_with(TITLE), "{measured}");
}
