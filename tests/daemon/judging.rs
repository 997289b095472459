//! `judge`: how a network does in positions whose worth is known.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{config::model, daemon::Daemon};

/// What a process exits with that was given something it cannot use.
const UNUSABLE: i32 = 78;

fn judging(game: &str) -> Daemon {
    let network = model(&format!("games/{game}.onnx"));
    Daemon::new().flag("judge").option("--game", game).option("--model", network).args("--device cpu")
}

fn solved() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/connect_four_solved.jsonl.gz")
}

#[test]
fn a_network_is_judged_alone_and_with_search() {
    let judge = judging("connect_four").option("--positions", solved()).args("--simulations 1,40 --json");
    let ended = judge.run().succeeded();
    let figures: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&figures["positions"]["count"], &figures["positions"]["with_a_choice"]), (&600.into(), &600.into()));
    let number = |value: &Value| value.as_u64().unwrap();
    let [alone, one, forty] = [&figures["policy"], &figures["search"][0], &figures["search"][1]];
    assert_eq!(alone["mistakes"], one["mistakes"], "one simulation knows what the network knows");
    // It was never trained: search finds more than it.
    assert!(
        number(&alone["mistakes"]) > 150 && 2 * number(&forty["mistakes"]) < number(&alone["mistakes"]),
        "{figures}"
    );
    let bins = figures["value"]["bins"].as_array().unwrap();
    assert_eq!((bins.len(), bins.iter().map(|bin| number(&bin["positions"])).sum::<u64>()), (10, 600));
    assert!(ended.log.contains("n = 40: 600 positions"), "{}", ended.log);
}

/// Networks that learned from games of our own: they must be right far more often than one that did not, and search must still add to them.
#[test]
fn a_trained_network_errs_less_and_its_search_less_again() {
    let judged = |network: &str| {
        let judge = Daemon::new().args("judge --game connect_four --device cpu --simulations 64 --json");
        let ended = judge.option("--model", model(network)).option("--positions", solved()).run().succeeded();
        let figures: Value = serde_json::from_str(&ended.out).unwrap();
        [&figures["policy"], &figures["search"][0]].map(|row| row["mistakes"].as_u64().unwrap())
    };
    let networks = ["games/connect_four.onnx", "connect_four_3x32_trained.onnx", "connect_four_4x64_learned.onnx"];
    let [[untrained, _], [policy, search], [learned, its_search]] = networks.map(judged);
    assert!(2 * policy < untrained && 2 * search < policy, "{untrained}, {policy}, {search}");
    // The network of docs/learning.md.
    assert!(2 * learned < policy && its_search < search, "{learned} of {policy}, {its_search} of {search}");
}

/// One that learned between two copies of one that did not.
#[test]
fn models_of_a_directory_are_judged_one_after_the_other_and_drawn() {
    let dir = TempDir::new().unwrap();
    let begun = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let networks = ["games/connect_four.onnx", "connect_four_3x32_trained.onnx", "games/connect_four.onnx"];
    for (network, (version, minutes)) in networks.into_iter().zip([(2, 0), (9, 3), (10, 30)]) {
        let path = dir.path().join(format!("model_{version}.onnx"));
        fs::copy(model(network), &path).unwrap();
        let written = begun + Duration::from_secs(60 * minutes);
        fs::File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }
    let judge = || {
        let judge = Daemon::new().args("judge --game connect_four --device cpu --count 300 --simulations 1,20");
        judge.option("--model", dir.path())
    };
    let drawn = dir.path().join("curve.svg");
    let ended = judge().option("--svg", &drawn).run().succeeded();
    let rows: Vec<Vec<_>> = ended.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let row =
        |name: &str| rows.iter().find(|row| row.first() == Some(&name)).unwrap_or_else(|| panic!("{}", ended.out));
    let policy = |name| row(name)[2].parse::<f64>().unwrap();
    assert_eq!(["model_2", "model_9", "model_10"].map(|name| row(name)[1]), ["0.0", "3.0", "30.0"]);
    assert!(2.0 * policy("model_9") < policy("model_2") && policy("model_10") == policy("model_2"), "{}", ended.out);
    let drawn = fs::read_to_string(drawn).unwrap();
    assert_eq!((drawn.matches("<polyline").count(), drawn.matches("<circle").count()), (2, 6), "{drawn}");
    assert!(drawn.contains(">n = 20</text>") && drawn.contains(">minutes</text>"), "{drawn}");

    let two = judge().args("--models 2 --json").run().succeeded();
    let two: Value = serde_json::from_str(&two.out).unwrap();
    let told: Vec<_> = two.as_array().unwrap().iter().map(|one| one["minutes"].as_f64().unwrap()).collect();
    assert_eq!(told, [0.0, 30.0], "the first and the last: {two}");
    let one = judging("connect_four").option("--svg", dir.path().join("one.svg")).run().exited_with(UNUSABLE);
    one.said(&["--svg draws what the models of a directory come to"]);
}

#[test]
fn random_positions_are_solved_and_follow_from_the_seed() {
    let judge = |seed: &str| {
        let judge = judging("tic_tac_toe").args("--count 60 --simulations 2,200").option("--seed", seed);
        judge.run().succeeded().out
    };
    let one = judge("1");
    assert_eq!(one, judge("1"));
    assert_ne!(one, judge("2"));
    assert!(one.contains("60 positions of random games, from ply 0 on, seed 1"), "{one}");
    let row = |name: &str| one.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let mistakes = |name: &str| row(name).split_whitespace().nth(3).unwrap_or_default().parse::<u32>().unwrap();
    assert!(mistakes("n = 200") < mistakes("n = 2 "), "{one}");
}

#[test]
fn what_cannot_be_judged_is_said() {
    let dir = TempDir::new().unwrap();
    let without = Daemon::new().flag("judge").option("--game", "connect_four").run();
    without.exited_with(UNUSABLE).said(&["judge needs the network to judge: --model FILE"]);
    let file = dir.path().join("positions.jsonl");
    fs::write(&file, "{\"moves\":[3]}\n{\"moves\":[3,9]}\n").unwrap();
    let said = ["positions.jsonl, line 2: move 1 (counted from 0) is 9, which is not legal"];
    judging("connect_four").option("--positions", &file).run().exited_with(UNUSABLE).said(&said);
    let missing = dir.path().join("missing.jsonl");
    let said = ["failed to read positions from", "missing.jsonl"];
    judging("connect_four").option("--positions", &missing).run().exited_with(UNUSABLE).said(&said);
    let said = ["no random game of tic_tac_toe reaches the plies from 9 to 9"];
    judging("tic_tac_toe").args("--from-ply 9 --to-ply 9").run().exited_with(UNUSABLE).said(&said);
    let other = Daemon::new().flag("judge").option("--game", "hex").option("--model", model("games/connect_four.onnx"));
    other.args("--device cpu").run().exited_with(UNUSABLE).said(&["connect_four"]);
}
