//! `match`: which of two players is stronger.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    config::model,
    daemon::{Daemon, Signal},
    wait,
};

fn a_match(a: &str, b: &str) -> Daemon {
    Daemon::new().flag("match").flag(a).flag(b)
}

#[test]
fn a_model_gets_one_point_of_each_pair_against_itself() {
    let network = model("games/connect_four.onnx");
    let player = format!("{}:mcts_n=8", network.display());
    let json = a_match(&player, &player).args("--game connect_four --games 24 --seed 3 --json").run().succeeded().out;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["pairs"], serde_json::json!([0, 0, 12, 0, 0]), "{json}");
    assert_eq!((&report["ending"], &report["strength"]["elo"]), (&"complete".into(), &0.0.into()));
    let raw = format!("raw:{}", network.display());
    let against_raw = a_match(&player, &raw).args("--game connect_four --games 24 --seed 3").run().succeeded().out;
    assert!(against_raw.contains("A − B: "), "{against_raw}");
}

/// Pairs in a record.
fn pairs(record: &Path) -> usize {
    fs::read_to_string(record).map_or(0, |text| text.lines().count().saturating_sub(1))
}

#[test]
fn a_match_that_is_stopped_goes_on_from_its_record() {
    let dir = TempDir::new().unwrap();
    let record = dir.path().join("match.jsonl");
    let of = |games: usize| {
        let players = a_match("uniform:mcts_n=60", "uniform:mcts_n=40").args("--game connect_four --opening-plies 8");
        players.option("--record", &record).option("--games", games.to_string())
    };
    let daemon = of(4000).start();
    wait::until("some pairs", || (pairs(&record) >= 3).then_some(()));
    daemon.signal(Signal::TERM);
    let stopped = daemon.wait().exited_with(75);
    assert!(stopped.out.contains("interrupted: what was played so far"), "{}", stopped.out);
    assert_eq!(stopped.log.matches("SIGTERM").count(), stopped.log.matches("stopping: SIGTERM received\n").count());
    let kept = pairs(&record);
    assert!(kept < 2000, "it was stopped before the end");

    let whole = of(2 * (kept + 5)).args("--json").run().succeeded().out;
    let report: Value = serde_json::from_str(&whole).unwrap();
    let counted: u64 = report["pairs"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!((counted as usize, pairs(&record)), (kept + 5, kept + 5));

    fs::remove_file(&record).unwrap();
    let at_once = of(2 * (kept + 5)).args("--json").run().succeeded().out;
    let at_once: Value = serde_json::from_str(&at_once).unwrap();
    assert_eq!(at_once["pairs"], report["pairs"], "games do not depend on when they are played");

    let other = a_match("uniform:mcts_n=61", "uniform:mcts_n=40").args("--game connect_four --opening-plies 8");
    other.option("--record", &record).run().exited_with(78).said(&["it is of another match"]);
}

/// The archives of a directory, in the order of their names, with what is in them.
fn archives(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let archives = files.filter(|path| path.extension().is_some_and(|ending| ending == "npz"));
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut archives: Vec<_> = archives.map(|path| (name(&path), fs::read(&path).unwrap())).collect();
    archives.sort();
    archives
}

#[test]
fn games_of_a_match_are_files_that_can_be_shown_and_are_written_once() {
    let dir = TempDir::new().unwrap();
    let (games, record) = (dir.path().join("games"), dir.path().join("match.jsonl"));
    // A network may answer otherwise by a hair in other batches.
    let searching = "uniform:mcts_n=12";
    let of = |count: usize| {
        let players = a_match(searching, "uniform:mcts_n=9").args("--game connect_four --seed 3");
        let players = players.option("--record", &record).option("--games-dir", &games);
        players.option("--games", count.to_string()).run().succeeded()
    };
    of(4);
    let first = archives(&games);
    assert_eq!(first.len(), 4);
    // What was recorded is not played again: its files stay, and may be gone.
    fs::remove_file(games.join(&first[0].0)).unwrap();
    of(8);
    let names = |archives: &[(String, Vec<u8>)]| archives.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let more = archives(&games);
    assert_eq!((more.len(), &more[..3]), (7, &first[1..]));
    // Played again from the start, all games are what they were.
    fs::remove_file(&record).unwrap();
    of(8);
    let again = archives(&games);
    assert_eq!((&again[..4], &again[1..]), (&first[..], &more[..]), "{:?}", names(&again));

    let shown = Daemon::new().flag("show").flag(games.join(&again[0].0).to_str().unwrap()).run().succeeded().out;
    let players = format!("first player: {searching}\nsecond player: uniform:mcts_n=9\n");
    assert!(shown.contains(&players), "{shown}");
    let shown = Daemon::new().args("show --all").flag(games.join(&again[1].0).to_str().unwrap()).run().succeeded().out;
    let players = format!("first player: uniform:mcts_n=9\nsecond player: {searching}\n");
    assert!(shown.contains(&players) && shown.contains(" visits "), "{shown}");
    let table = Daemon::new().args("show --summary").flag(games.to_str().unwrap()).run().succeeded().out;
    assert!(table.contains("\n8 games\n"), "{table}");
}

#[test]
fn games_of_players_without_a_search_are_files_too() {
    let dir = TempDir::new().unwrap();
    for (a, b) in [("random", "random"), ("solver", "random"), ("raw:NETWORK", "solver")] {
        let games = dir.path().join(format!("{}_{b}", &a[..3]));
        let a = a.replace("NETWORK", model("games/connect_four.onnx").to_str().unwrap());
        let players = a_match(&a, b).args("--game connect_four --games 4 --opening-plies 22");
        players.option("--games-dir", &games).run().succeeded();
        let table = Daemon::new().args("show --summary").flag(games.to_str().unwrap()).run().succeeded().out;
        assert!(table.contains("\n4 games\n"), "{table}");
    }
}

#[test]
fn games_that_cannot_be_written_end_a_match() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let players = a_match("random", "random").args("--game connect_four --games 4");
    let ended = players.option("--games-dir", file.join("games")).run().exited_with(78);
    ended.said(&["the games of a match cannot be kept in "]);
}

#[test]
fn a_match_by_time_says_how_far_searches_came() {
    let players = a_match("uniform:move_ms=4,solver=false", "uniform:mcts_n=2")
        .args("--game connect_four --games 2 --opening-plies 20");
    let timed = players.args("--json").run().succeeded();
    let report: Value = serde_json::from_str(&timed.out).unwrap();
    assert_eq!(report["move_ms"], serde_json::json!([4, null]), "{}", timed.out);
    let reached = |player: usize| report["simulations_per_move"][player].as_f64().unwrap();
    assert!(reached(0) >= 1.0 && reached(1) <= 2.0, "{}", timed.out);
    assert!(!timed.log.contains("nothing says how many simulations"), "{}", timed.log);
    let unlike = a_match("uniform:move_ms=4,root=gumbel", "random").args("--game connect_four").run().exited_with(78);
    unlike.said(&["move_ms cannot be had with search.root = \"gumbel\""]);
}

#[test]
fn a_test_ends_a_match_as_soon_as_it_is_clear() {
    let args = "--game connect_four --games 2000 --opening-plies 6 --sprt 0,50";
    let rejected = a_match("random", "uniform:mcts_n=50").args(args).run().exited_with(1);
    assert!(rejected.out.contains("rejected: A is not stronger by as much"), "{}", rejected.out);
    let accepted = a_match("uniform:mcts_n=50", "random").args(args).run().succeeded();
    assert!(accepted.out.contains("accepted: A is stronger"), "{}", accepted.out);
    a_match("random", "random").args("--game connect_four --sprt 50,0").run().exited_with(78);
    a_match("random", "random").args("--game connect_four --games 0").run().exited_with(2);
}

/// It says nothing for long then, and is not waited for here.
#[test]
fn a_solver_that_begins_where_it_is_slow_is_warned_of() {
    let of = |plies: &str| {
        a_match("solver", "random").args("--game connect_four --games 2").option("--opening-plies", plies)
    };
    of("4").start().says("the solver may take many minutes for a move before ply 12; --opening-plies 12");
    assert!(!of("16").run().succeeded().log.contains("may take many minutes"));
}

#[test]
fn nothing_beats_the_solver() {
    let args = "--game connect_four --games 6 --opening-plies 22 --json";
    let json = a_match("solver", "solver").args(args).run().succeeded().out;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["pairs"], serde_json::json!([0, 0, 3, 0, 0]), "{json}");
    let json = a_match("solver", "random").args(args).run().succeeded().out;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&report["pairs"][0], &report["pairs"][1]), (&0.into(), &0.into()), "{json}");
}

#[test]
fn players_that_cannot_play_are_refused() {
    let hex = model("games/hex.onnx");
    let ended = a_match(hex.to_str().unwrap(), "random").args("--game connect_four").run().exited_with(78);
    ended.said(&["hex.onnx", "one of hex", "connect_four(rows=6"]);
    let ended = a_match("nobody.onnx", "random").args("--game connect_four").run().exited_with(78);
    ended.said(&["there is no file nobody.onnx; a player is MODEL.onnx, raw:MODEL.onnx, uniform, random or solver"]);
}

#[test]
fn models_of_a_directory_are_rated() {
    let dir = TempDir::new().unwrap();
    for version in [1, 2] {
        fs::copy(model("games/connect_four.onnx"), dir.path().join(format!("model_{version}.onnx"))).unwrap();
    }
    let (picture, record) = (dir.path().join("ratings.svg"), dir.path().join("games"));
    let files = dir.path().join("files");
    let ladder = || {
        let ladder = Daemon::new().flag("ladder").flag(dir.path().to_str().unwrap());
        let ladder =
            ladder.args("--game connect_four --games 8 --json").option("--svg", &picture).option("--record", &record);
        let ladder = ladder.option("--games-dir", &files);
        ladder.env("SELFPLAYD__SEARCH__MCTS_N", "16").run().succeeded()
    };
    let json = ladder().out;
    let standings: Vec<Value> = serde_json::from_str(&json).unwrap();
    let names: Vec<_> = standings.iter().map(|standing| standing["player"].as_str().unwrap()).collect();
    assert_eq!(names, ["uniform", "random", "model_1", "model_2"]);
    let elo = |place: usize| standings[place]["elo"].as_f64().unwrap();
    assert!(elo(0) == 0.0 && elo(1) < 0.0, "random moves are weaker: {json}");
    assert_eq!(standings[3]["games"], 16, "its neighbour and an anchor: {json}");
    assert!(fs::read_to_string(&picture).unwrap().contains(">model_2</text>"));
    assert_eq!(pairs(&record.join("model_2_model_1.jsonl")), 4);
    let written = archives(&files.join("model_2_model_1"));
    assert_eq!((written.len(), archives(&files.join("model_1_uniform")).len()), (8, 8));
    assert_eq!(ladder().out, json, "nothing is left to play");
    assert_eq!(archives(&files.join("model_2_model_1")), written);
}

#[test]
fn what_a_match_has_no_use_for_and_what_it_cannot_do_is_said() {
    let idle = a_match("random", "random").args("--game hex --games-per-process 3").run().exited_with(2);
    idle.said(&["--games-per-process has no meaning for `selfplayd match`"]);
    let nowhere = Daemon::new().args("ladder /nowhere/at/all --game hex").run().exited_with(78);
    nowhere.said(&["selfplayd: failed to look for models in /nowhere/at/all: No such file"]);
}

#[test]
fn a_match_ends_where_there_are_no_more_openings() {
    let args = "--game tic_tac_toe --games 100 --json --opening-plies";
    let json = a_match("uniform:mcts_n=50", "random").args(args).args("1").run().succeeded().out;
    let report: Value = serde_json::from_str(&json).unwrap();
    let pairs: u64 = report["pairs"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!((&report["ending"], pairs), (&"out_of_openings".into(), 9), "{json}");
    let none = a_match("random", "random").args(args).args("9").run().exited_with(78);
    none.said(&["there are no openings of 9 random plies that leave a game which both players see as open: change --opening-plies"]);
}
