//! `show`, `config` and `bench`.

use std::{fs, path::PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Ended},
    games,
};

/// Three games.
struct Games {
    dir: TempDir,
    archives: Vec<PathBuf>,
}

fn three_games() -> Games {
    let dir = TempDir::new().unwrap();
    let config = Config::QUICK.write(dir.path());
    Daemon::playing(&config, dir.path()).args("--evaluator hash --seed 3 --num-games 3").run().succeeded();
    let archives = games::archives(dir.path());
    assert_eq!(archives.len(), 3);
    Games { dir, archives }
}

fn show(path: &std::path::Path, args: &str) -> Ended {
    Daemon::new().flag("show").args(args).flag(path.to_str().unwrap()).run()
}

#[test]
fn a_game_is_shown() {
    let Games { dir, archives } = three_games();
    let npz = &archives[0];
    let plies = games::Written::read(npz, Config::QUICK).game.plies();
    let shown = show(npz, "").succeeded().out;
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], npz.display().to_string());
    assert!(
        lines[1].starts_with(&format!("{plies} plies, result ")) && lines[1].ends_with(", model version 0"),
        "{shown}"
    );
    assert!(lines[2].starts_with("1. ") && lines[2].contains(" 2. "), "{shown}");
    assert!(shown.contains(&format!("before ply {plies}\n")), "{shown}");
    assert_eq!(shown.matches("first player to row 5").count(), 1, "{shown}");

    assert_eq!(show(&npz.with_extension("yaml"), "").succeeded().out, shown, "either file names the game");
    let newest = show(dir.path(), "").succeeded().out;
    assert!(newest.starts_with(archives[2].to_str().unwrap()), "{newest}");

    let all = show(npz, "--all").succeeded().out;
    assert_eq!(all.matches("first player to row 5").count(), plies + 1, "{all}");
    let start = show(npz, "--ply 0").succeeded().out;
    assert!(start.contains("before ply 0, the mover's value "), "{start}");
    assert!(start.contains("walls left: 3, to move"), "{start}");
    show(npz, "--ply 1000").exited_with(78).said(&[&format!("--ply 1000: the game has {plies} plies")]);
}

#[test]
fn a_game_is_drawn_as_a_picture() {
    let Games { dir, archives } = three_games();
    let file = dir.path().join("game.svg");
    let drawn = |args: &str| {
        let ended = show(&archives[0], &format!("{args} --svg {}", file.display())).succeeded();
        assert!(ended.out.is_empty(), "{}", ended.out);
        fs::read_to_string(&file).unwrap()
    };
    let (last, start, all) = (drawn(""), drawn("--ply 0"), drawn("--all"));
    for picture in [&last, &start, &all] {
        assert!(
            picture.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && picture.ends_with("</svg>\n"),
            "{picture}"
        );
    }
    assert!(last != start && start.contains("before ply 0") && all.contains(">start</text>"), "{start}");
    let nowhere = dir.path().join("none/game.svg");
    let ended = show(&archives[0], &format!("--svg {}", nowhere.display())).exited_with(78);
    ended.said(&["failed to write", nowhere.to_str().unwrap()]);
}

#[test]
fn many_games_are_listed_and_what_cannot_be_read_is_skipped() {
    let Games { dir, archives } = three_games();
    fs::write(&archives[1], "no archive").unwrap();
    let summary = |args: &str| Daemon::new().args("show --summary").flag(dir.path().to_str().unwrap()).args(args).run();
    let ended = summary("").exited_with(0);
    assert!(ended.out.contains("\n2 games, 1 skipped\n") && ended.out.contains("\nlength    "), "{}", ended.out);
    let name = |npz: &PathBuf| npz.file_stem().unwrap().to_str().unwrap().to_owned();
    assert!(ended.out.contains(&name(&archives[0])) && ended.out.contains(&name(&archives[2])), "{}", ended.out);
    let ended = ended.said(&[&format!("skipped {}: failed to read the archive", name(&archives[1]))]);
    assert!(!ended.out.contains(&name(&archives[1])), "{}", ended.out);
    let newest = summary("--games 1").succeeded().out;
    assert!(newest.contains("\n1 game of 3, the newest\n"), "{newest}");
    show(dir.path(), "--games 1").exited_with(2).said(&["--games <N>"]);
}

#[test]
fn what_cannot_be_shown_is_named() {
    let Games { dir, archives } = three_games();
    let npz = &archives[0];
    let whole = fs::read(npz).unwrap();
    fs::write(npz, &whole[..whole.len() / 2]).unwrap();
    show(npz, "").exited_with(78).said(&["failed to show", npz.to_str().unwrap(), "archive"]);
    fs::write(npz, "").unwrap();
    show(npz, "").exited_with(78).said(&["failed to show", npz.to_str().unwrap()]);
    fs::write(npz, whole).unwrap();
    fs::write(npz.with_extension("yaml"), "model_version: 1\n").unwrap();
    show(npz, "").exited_with(78).said(&["failed to show", npz.to_str().unwrap(), "game_length"]);
    fs::remove_file(npz.with_extension("yaml")).unwrap();
    show(npz, "").exited_with(78).said(&["failed to show", "yaml: No such file"]);
    show(&dir.path().join("tmp"), "").exited_with(78).said(&["tmp", "holds no .npz file"]);
    show(&dir.path().join("none"), "").exited_with(78).said(&["none", "No such file"]);
}

#[test]
fn the_settings_are_printed_with_their_sources() {
    let dir = TempDir::new().unwrap();
    let path = Config::QUICK.write(dir.path());
    let config = |daemon: Daemon| daemon.flag("config").option("--config", &path);
    let ended = config(Daemon::new().env("SELFPLAYD__CACHE__MAX_BYTES", "1MiB")).args("--seed 5").run().exited_with(0);
    for line in ["board_size = 5", "mcts_n = 20", "seed = 5", "games_per_process = 4"] {
        assert!(ended.out.contains(line), "{line} is missing in\n{}", ended.out);
    }
    for source in ["quoridor.board_size", "self_play.parallel_games", "SELFPLAYD__CACHE__MAX_BYTES", "--seed"] {
        assert!(ended.out.contains(source), "{source} is missing in\n{}", ended.out);
    }
    ended.said(&["to play games: output.dir is missing"]);
}

#[test]
fn a_benchmark_reports_itself_as_json() {
    let dir = TempDir::new().unwrap();
    let path = Config::QUICK.write(dir.path());
    let bench = |args: &str| {
        let ended = Daemon::new().args("bench --json --rounds 1").option("--config", &path).args(args).run();
        serde_json::from_str::<Value>(&ended.exited_with(0).out).unwrap()
    };
    let report = bench("--seconds 1 --evaluator hash");
    assert_eq!((&report["games_at_once"], &report["rounds"]), (&4.into(), &1.into()));
    for key in ["games_per_s", "simulations_per_s", "evaluations_per_s", "mean_batch", "hit_rate"] {
        assert!(report["pipeline"][key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {report}");
    }
    assert_eq!(report["raw_evaluations_per_s"], Value::Null, "{report}");

    let network = model("b5w3_resnet_2x32.onnx");
    let report = bench(&format!("--seconds 0.5 --games 8 --model-path {}", network.display()));
    for key in ["raw_evaluations_per_s", "efficiency"] {
        assert!(report[key].as_f64().is_some_and(|figure| figure > 0.0), "{key}: {report}");
    }
}
