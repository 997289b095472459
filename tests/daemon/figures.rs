//! What is reported beside the games when it is asked for.

use std::fs;

use crate::{
    config::Config,
    games,
    trainer::{Scalar, Trainer},
    wait,
};

#[test]
fn inference_is_profiled_and_searches_are_summed_up_per_model_version() {
    let trainer = Trainer::new(Config::QUICK);
    trainer.publish_network(0, Scalar::Plain);
    let records = tempfile::TempDir::new().unwrap();
    let mut daemon = trainer
        .daemon()
        .args("--evaluator hash --profile-counters")
        .option("--metrics-dir", records.path().join("metrics"))
        .start();
    daemon.says("profile batches=");
    wait::until("a game", || (!games::archives(&trainer.ready()).is_empty()).then_some(()));
    trainer.shut_down();
    daemon.wait().succeeded();

    let games = games::left_in(&trainer.ready(), Config::QUICK);
    let files: Vec<_> =
        fs::read_dir(records.path().join("metrics")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("v0_pid"), "{}", file.display());
    let record: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let plies: u64 = games.iter().map(|written| written.game.metadata.game_length).sum();
    assert_eq!((&record["games_generated"], &record["moves"]), (&games.len().into(), &plies.into()));
    for sum in ["sims", "sum_depth", "sum_nodes", "sum_internal_nodes", "unique_full", "unique_opening"] {
        assert!(record[sum].as_u64().is_some_and(|sum| sum > 0), "{sum}: {record}");
    }
}
