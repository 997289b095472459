//! Games other than Quoridor: played, shown, gone on with, and refused.

use std::{fs, path::Path};

use selfplay_engine::replay::{GameMetadata, ReadGame};
use tempfile::TempDir;

use crate::{
    browser::Browser,
    config::model,
    daemon::{Daemon, Ended, Signal},
    games, wait,
};

const UNUSABLE: i32 = 78;

fn playing(game: &str, dir: &Path) -> Daemon {
    Daemon::new()
        .option("--game", game)
        .option("--output-dir", dir)
        .env("SELFPLAYD__SEARCH__MCTS_N", "16")
        .args("--seed 3 --evaluator hash --num-games 3 --http-listen none")
}

fn show(path: &Path, args: &str) -> Ended {
    Daemon::new().flag("show").args(args).flag(path.to_str().unwrap()).run()
}

/// Plays three games, and reads and shows each.
fn plays(game: &str, environment: &[(&str, &str)], title: &str, actions: usize, board: &str) {
    let dir = TempDir::new().unwrap();
    let daemon = environment.iter().fold(playing(game, dir.path()), |daemon, (name, value)| daemon.env(name, value));
    daemon.run().succeeded().said(&[&format!("rules=\"{title}\"")]);
    let archives = games::archives(dir.path());
    assert_eq!(archives.len(), 3);
    for npz in &archives {
        let read = ReadGame::open(npz).unwrap();
        assert_eq!(read.policy_size(), actions);
        let GameMetadata { rules, end_reason, .. } = &read.metadata;
        assert_eq!(rules.as_deref(), Some(title));
        assert!(["win", "draw_by_rule"].contains(&end_reason.as_deref().unwrap()), "{end_reason:?}");
        let shown = show(npz, "").succeeded().out;
        let start = show(npz, "--ply 0").succeeded().out;
        assert!(shown.contains(" player won\n") || shown.contains("\ndraw\n"), "{shown}");
        assert!(start.contains(board) && start.contains("first player to move"), "{start}");
    }
    let picture = dir.path().join("game.svg");
    show(&archives[0], &format!("--svg {}", picture.display())).succeeded();
    let svg = fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("class=\"stone"), "{svg}");
    let summary = Daemon::new().flag("show").option("--summary", dir.path()).run().succeeded().out;
    assert!(summary.contains("3 games"), "{summary}");
}

#[test]
fn connect_four_is_played_and_shown() {
    plays("connect_four", &[], "connect_four(rows=6,columns=7,length=4)", 7, "a b c d e f g\n· · · · · · ·\n");
}

#[test]
fn hex_is_played_and_shown() {
    let small = [("SELFPLAYD__HEX__SIZE", "4")];
    plays("hex", &small, "hex(size=4,swap=true)", 16, "  a b c d\n");
}

#[test]
fn othello_and_breakthrough_and_rows_of_marks_are_played_and_shown() {
    plays("othello", &[("SELFPLAYD__OTHELLO__SIZE", "4")], "othello(size=4)", 17, "  a b c d\n");
    let small = [("SELFPLAYD__BREAKTHROUGH__ROWS", "4"), ("SELFPLAYD__BREAKTHROUGH__COLUMNS", "4")];
    plays("breakthrough", &small, "breakthrough(rows=4,columns=4)", 192, "  a b c d\n1 ▼ ▼ ▼ ▼\n");
    plays("tic_tac_toe", &[], "tic_tac_toe", 9, "  a b c\n1 · · ·\n");
    let small = [("SELFPLAYD__MNK__M", "4"), ("SELFPLAYD__MNK__N", "5"), ("SELFPLAYD__MNK__K", "3")];
    plays("mnk", &small, "mnk(m=4,n=5,k=3)", 20, "  a b c d\n1 · · · ·\n");
}

#[test]
fn every_game_is_played_with_its_small_network() {
    for game in ["tic_tac_toe", "mnk", "connect_four", "othello", "hex", "breakthrough"] {
        let dir = TempDir::new().unwrap();
        let preset = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/games/{game}.toml"));
        let daemon = Daemon::new().option("--settings", preset).option("--output-dir", dir.path());
        let daemon =
            daemon.option("--model-path", model(&format!("games/{game}.onnx"))).env("SELFPLAYD__SEARCH__MCTS_N", "4");
        daemon.args("--seed 3 --num-games 1 --device cpu --http-listen none").run().succeeded();
        let played = ReadGame::open(&games::archives(dir.path())[0]).unwrap();
        assert!(played.metadata.rules.unwrap().starts_with(game));
    }
}

#[test]
fn the_page_draws_boards_by_their_shapes() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let dir = TempDir::new().unwrap();
    let daemon = Daemon::new().option("--game", "hex").option("--output-dir", dir.path());
    // Two games that outlast the test.
    let daemon = daemon.env("SELFPLAYD__SEARCH__MCTS_N", "300").env("SELFPLAYD__HEX__SIZE", "5");
    let mut daemon = daemon
        .args("--evaluator hash --num-games 1000000 --games-per-process 2 --http-listen 127.0.0.1:0 --grace-seconds 0")
        .start();
    browser.open(daemon.serves("status and control"));
    browser.reads("#places", |words| words.starts_with("Plays hex(size=5,swap=true). Games go to "));
    let drawn = "document.querySelectorAll('#viewer-board polygon').length == 25 \
                 && document.querySelectorAll('#viewer-board .stone').length > 0 \
                 && document.querySelectorAll('#boards polygon').length == 50";
    wait::until("boards with stones", || (browser.value(drawn) == true).then_some(()));
    browser.reads("#players", |words| words.contains(" stone"));
    browser.reads("#top-moves", |words| words.contains('%'));
    assert_eq!(browser.complaints(), [""; 0]);
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn games_are_traced_move_by_move() {
    let dir = TempDir::new().unwrap();
    let ended = playing("connect_four", dir.path()).args("--trace").run().succeeded();
    assert!(
        ended.out.contains("ply 0: player 1 plays ") && ended.out.contains("second player to move"),
        "{}",
        ended.out
    );
}

#[test]
fn games_and_rules_that_are_none_are_refused() {
    let dir = TempDir::new().unwrap();
    playing("otello", dir.path()).run().exited_with(UNUSABLE).said(&["did you mean \"othello\"?"]);
    let mnk = playing("mnk", dir.path()).env("SELFPLAYD__MNK__K", "10");
    mnk.run().exited_with(UNUSABLE).said(&["mnk.k = 10", "must be 2 to 9, the longer side of the board"]);
}

#[test]
fn a_model_of_another_game_is_refused_with_both_names() {
    let policy = Daemon::new()
        .flag("check-model")
        .option("--game", "mnk")
        .flag(model("games/connect_four.onnx").to_str().unwrap());
    let ended = policy.env("SELFPLAYD__MNK__M", "7").env("SELFPLAYD__MNK__N", "6").run().exited_with(1);
    let both = "gives `policy_logits` [batch, 7], which is one of connect_four 6x7; the settings say mnk(m=7,n=6,k=5)";
    assert!(ended.out.contains(both), "{}", ended.out);
    let check = Daemon::new().flag("check-model").option("--game", "hex").flag(model("tiny.onnx").to_str().unwrap());
    let ended = check.run().exited_with(1);
    let both =
        "which is a 3x3 resnet of quoridor; the settings say hex(size=11,swap=true): expected [batch, 3, 11, 11]";
    assert!(ended.out.contains(both), "{}", ended.out);
}
