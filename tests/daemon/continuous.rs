//! Beside a trainer that replaces the model.

use std::collections::BTreeSet;

use crate::{
    config::{Config, model},
    trainer::{Ingested, Scalar, Trainer},
};

const BESIDE_A_TRAINER: Config = Config { games: 8, ..Config::QUICK };

#[test]
fn a_training_run_from_before_the_first_model_to_the_shutdown_file() {
    let mut trainer = Trainer::new(BESIDE_A_TRAINER);
    let mut daemon = trainer.daemon().start();
    daemon.says("waiting for a model");
    trainer.ingest();
    assert_eq!(trainer.games.len(), 0, "nothing is played before there is a model");

    let enough = 5;
    trainer.publish_network(0, Scalar::Plain);
    trainer.ingest_games_of(0, enough);
    trainer.publish_network(1, Scalar::Plain);
    trainer.ingest_games_of(1, enough);
    trainer.publish_network(2, Scalar::Folded);
    trainer.ingest_games_of(2, enough);
    trainer.publish_network(3, Scalar::Plain);
    trainer.ingest_games_of(3, enough);
    // Most models find games in play; how many games one finds far from their ends is chance.
    let mut last = 3;
    while changed(&trainer.games) < 3 {
        last += 1;
        assert!(last < 20, "games in play do not go on with the new model");
        trainer.publish_network(last, Scalar::Plain);
        trainer.ingest_games_of(last, enough);
    }
    trainer.shut_down();
    daemon.wait().succeeded().said(&[".shutdown exists"]);
    trainer.ingest_the_rest();

    let games = &trainer.games;
    let indices: BTreeSet<_> = games.iter().map(|game| game.metadata.game_index.unwrap()).collect();
    assert!(indices.into_iter().eq(0..games.len() as u64), "every game that was started is there, once");
    let every_version: BTreeSet<_> = (0..=last).collect();
    assert_eq!(games.iter().map(|game| game.metadata.model_version).collect::<BTreeSet<_>>(), every_version);
    assert_eq!(
        games.iter().flat_map(|game| game.loaded.model_versions.clone()).collect::<BTreeSet<_>>(),
        every_version
    );
    for game in games {
        let (metadata, versions) = (&game.metadata, &game.loaded.model_versions);
        assert_eq!(
            (metadata.first_model_version, metadata.last_model_version),
            (versions.first().copied(), versions.last().copied())
        );
        assert!(metadata.model_version <= versions[0], "{metadata:?}");
        assert_eq!(game.loaded.searched, metadata.game_length);
    }
}

/// Games that a new model found in play.
fn changed(games: &[Ingested]) -> usize {
    games.iter().filter(|game| game.metadata.first_model_version < game.metadata.last_model_version).count()
}

#[test]
fn a_model_that_cannot_be_used_is_passed_over() {
    let mut trainer = Trainer::new(BESIDE_A_TRAINER);
    let mut daemon = trainer.daemon().start();
    trainer.publish(0, &model("b9_const.onnx"), Scalar::Plain);
    daemon.says("takes input [batch, 5, 21, 21], which is a 9x9 resnet; the settings say board_size 5");
    trainer.publish_network(1, Scalar::Plain);
    trainer.ingest_games_of(1, 1);
    trainer.publish(2, &model("b5w1_mlp.onnx"), Scalar::Plain);
    daemon.says("its input layout differs from the model before it");
    trainer.ingest_games_of(1, trainer.games.len() + 8);
    trainer.publish_network(3, Scalar::Plain);
    trainer.ingest_games_of(3, 1);
    trainer.shut_down();
    daemon.wait().exited_with(0);
    trainer.ingest_the_rest();
}

#[test]
fn several_daemons_share_a_directory() {
    let mut trainer = Trainer::new(Config::QUICK);
    trainer.publish_network(0, Scalar::Plain);
    // The same seed: the same games under different names.
    let daemons: Vec<_> = (0..2).map(|_| trainer.daemon().args("--evaluator hash --seed 1").start()).collect();
    let ids: BTreeSet<_> = daemons.iter().map(|daemon| daemon.id().to_string()).collect();
    let creators = |trainer: &Trainer| -> BTreeSet<String> {
        trainer.games.iter().map(|game| game.metadata.creator.clone()).collect()
    };
    let mut enough = 0;
    while creators(&trainer) != ids {
        enough += 10;
        trainer.ingest_games_of(0, enough);
    }
    trainer.shut_down();
    for daemon in daemons {
        daemon.wait().succeeded();
    }
    trainer.ingest_the_rest();
    for id in &ids {
        let games = trainer.games.iter().filter(|game| game.metadata.creator == *id);
        let indices: BTreeSet<_> = games.map(|game| game.metadata.game_index.unwrap()).collect();
        let count = indices.len() as u64;
        assert!(indices.into_iter().eq(0..count), "every game of {id} is there");
    }
}
