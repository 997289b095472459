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
    show(npz, "").exited_with(78).said(&["failed to show", "a game is two files, and ", ".yaml is missing"]);
    show(&dir.path().join("tmp"), "").exited_with(78).said(&["tmp", "holds no .npz file"]);
    show(&dir.path().join("none"), "").exited_with(78).said(&["/none: no such file or directory"]);
    let other = dir.path().join("other.txt");
    fs::write(&other, "no game").unwrap();
    show(&other, "").exited_with(78).said(&["other.txt: it is not a game; name its .npz or .yaml"]);
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

/// Runs `selfplayd bench` on quick games in `dir`.
fn bench(dir: &TempDir, args: &str) -> Ended {
    let path = Config::QUICK.write(dir.path());
    Daemon::new().flag("bench").args(args).option("--config", &path).run()
}

/// The medians of a report.
fn medians(report: &Value, names: &[&str]) -> Vec<f64> {
    let median =
        |name: &&str| report["figures"][*name]["median"].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
    names.iter().map(median).collect()
}

#[test]
fn a_benchmark_reports_itself_and_is_compared_with_an_earlier_one() {
    let dir = TempDir::new().unwrap();
    let network = format!("--rounds 2 --seconds 0.3 --model-path {}", model("b5w3_resnet_2x32.onnx").display());
    let ended = bench(&dir, &format!("--json {network}")).succeeded();
    let ended = ended.said(&["round 2 of 2: the whole daemon, 0.3 s (about "]);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (&report["bench"], &report["rounds"], &report["setup"]["games_at_once"]),
        (&"speed".into(), &2.into(), &4.into())
    );
    let positive = [
        "ceiling.evaluations_per_s",
        "ceiling.evaluations_per_cpu_s",
        "efficiency",
        "efficiency_cpu",
        "pipeline.evaluations_per_s",
        "pipeline.simulations_per_s",
        "pipeline.positions_per_s",
        "pipeline.cores_used",
        "pipeline.mean_batch",
        "pipeline.misses",
        "pipeline.evaluations_per_simulation",
        "pipeline.ticket_ms_mean",
        "pipeline.ticket_ms_p95",
        "pipeline.cpu_us_gather",
        "pipeline.cpu_us_lookup",
        "pipeline.cpu_us_answer",
        "pipeline.cpu_us_apply",
        "pipeline.cpu_us_encode",
        "pipeline.cpu_us_infer",
        "pipeline.cpu_us_softmax",
        "pipeline.switches_voluntary_per_s",
        "pipeline.peak_memory_mib",
        // Nothing of trees: at a moment in which all games wait for a slow disk there are none.
        "pipeline.cache_bytes_per_entry",
    ];
    assert!(medians(&report, &positive).into_iter().all(|median| median > 0.0), "{report}");
    let shares = medians(&report, &["pipeline.misses", "pipeline.hits_cached", "pipeline.hits_in_flight"]);
    assert!((0.9..1.1).contains(&shares.iter().sum::<f64>()), "medians of shares of one whole: {shares:?}");
    let spread = &report["figures"]["pipeline.evaluations_per_s"];
    let [min, median, max] = ["min", "median", "max"].map(|key| spread[key].as_f64().unwrap());
    assert!(min <= median && median <= max && spread["rounds"] == 2, "{spread}");
    assert!(report["batch_sizes"].as_array().is_some_and(|sizes| !sizes.is_empty()), "{report}");

    let earlier = dir.path().join("earlier.json");
    fs::write(&earlier, &ended.out).unwrap();
    let compare = format!("--compare {}", earlier.display());
    let table = bench(&dir, &format!("{network} --leaf-parallelism 4 {compare}")).succeeded().out;
    for part in ["efficiency: the daemon ÷ the network alone", "not the same: leaf_parallelism: 1 then, 4 now", "ratio"]
    {
        assert!(table.contains(part), "{part} is missing in\n{table}");
    }
    bench(&dir, &format!("outside --evaluator uniform {compare}")).exited_with(78).said(&["another measurement"]);
    fs::write(&earlier, "{}").unwrap();
    bench(&dir, &compare).exited_with(78).said(&["not what `selfplayd bench --json` prints"]);
}

#[test]
fn everything_but_the_network_is_measured() {
    let dir = TempDir::new().unwrap();
    let report = bench(&dir, "--json --rounds 1 --games 4 --evaluator hash").succeeded().out;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(medians(&report, &["pipeline.evaluations_per_s"])[0] > 0.0);
    assert_eq!(report["figures"]["efficiency"], Value::Null, "{report}");

    let report = bench(&dir, "outside --json --rounds 1 --games 6 --plies 3 --evaluator uniform").succeeded().out;
    let report: Value = serde_json::from_str(&report).unwrap();
    let names = ["whole.simulations_per_cpu_s", "whole.games_per_s", "openings.simulations_per_cpu_s"];
    assert!(medians(&report, &names).into_iter().all(|median| median > 0.0), "{report}");
    bench(&dir, "outside").exited_with(78).said(&["--model-path FILE, or --evaluator uniform"]);
}

#[test]
fn settings_are_tuned_and_written_only_where_they_are_better() {
    let dir = TempDir::new().unwrap();
    let config = Config { board: 3, walls: 1, ..Config::QUICK }.write(dir.path());
    let tuned = dir.path().join("tuned.toml");
    let tune = |args: &str| {
        let daemon = Daemon::new().flag("tune").args(args).option("--config", &config).option("--output", &tuned);
        daemon.option("--model-path", model("b3w1_resnet_1x16.onnx")).run()
    };
    let ended = tune("--minutes 0.1 --memory 1GiB --device cpu");
    for part in ["network alone, ", "evaluations by batch size"] {
        assert!(ended.out.contains(part), "{part} is missing in\n{}", ended.out);
    }
    let of_the_start = ended.out.matches("\nstart ").count();
    assert!(of_the_start >= 8, "the start is measured beside itself:\n{}", ended.out);
    // What comes of it depends on the machine; what is said, written and returned fits together in any case.
    let unsure = ended.out.contains("this machine is too restless to tell");
    if tuned.exists() {
        assert!(ended.out.contains("evaluations instead of") && ended.out.contains("for --settings"), "{}", ended.out);
        ended.exited_with(0);
        let text = fs::read_to_string(&tuned).unwrap();
        assert!(text.starts_with("# Written by `selfplayd tune`") && text.contains("\n# start "), "{text}");
        let config = Daemon::new().flag("config").option("--config", &config).option("--settings", &tuned).run();
        let resolved = config.exited_with(0).out;
        for key in ["games_per_process", "leaf_parallelism", "threads", "eval_batch_size", "eval_max_wait_ms"] {
            let from_file = |line: &&str| line.starts_with(&format!("{key} = ")) && line.ends_with("tuned.toml");
            assert_eq!(resolved.lines().filter(from_file).count(), 1, "{key}:\n{resolved}");
        }
        assert!(resolved.contains("leaf_parallelism = 1 "), "20 simulations allow no more:\n{resolved}");
    } else {
        assert!(ended.out.contains("the settings stay as they are; "), "{}", ended.out);
        ended.exited_with(i32::from(unsure));
    }

    fs::write(&tuned, "[play]\nseed = 1\n").unwrap();
    tune("").exited_with(78).said(&["a file that `selfplayd tune` has not written"]);
    tune("--memory lots").exited_with(2).said(&["--memory", "8GiB"]);
}
