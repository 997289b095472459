//! What panics is survived and changes no game; what keeps panicking is escalated.

use std::{fs, sync::Arc};

use selfplay_actors::{
    loader::{SyntheticEvaluator, SyntheticSource},
    root::Ending,
};

use crate::{
    following::{Trainer, ply_channel},
    fragile::{Faults, Fragile},
    sources::{Shaky, Versions},
    support::{DEADLINE, ENCODING, Scenario, quoridor},
};

#[test]
fn evaluators_that_panic_and_fail_change_no_game() {
    let healthy = Scenario::games(10).play();
    for threads in [1, 2] {
        let source = Shaky { game: quoridor(), threads, panic_every: 50, fail_every: 70 };
        let scenario = Scenario { source: Box::new(source), inference_threads: threads, ..Scenario::games(10) };
        let played = scenario.play();
        assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
        assert!(played.stats.batch_errors > 0 && played.stats.retries > 0);
        assert!(played.arrays == healthy.arrays);
    }
}

#[test]
fn rules_that_panic_in_a_game_actor_change_no_game() {
    for game_threads in [1, 2] {
        let play = |faults| {
            let mut scenario = Scenario { game_threads, ..Scenario::with_game(Fragile::new(quoridor(), faults), 8) };
            // A game that is resumed starts a new tree.
            scenario.settings.tree_reuse = false;
            scenario.play()
        };
        let healthy = play(Faults::default());
        let faults =
            Faults { start: vec![3], play: vec![300, 5_000], legal_actions: vec![700, 6_001], ..Faults::default() };
        let played = play(faults);
        assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
        assert!(played.arrays == healthy.arrays);
        assert!(played.stats.simulations > healthy.stats.simulations, "something was played again");
    }
}

#[test]
fn a_cache_that_panics_changes_no_game() {
    let play = |faults| Scenario::with_game(Fragile::new(quoridor(), faults), 8).play();
    let healthy = play(Faults::default());
    let played = play(Faults { hashed_position: vec![200, 2_000, 2_001], ..Faults::default() });
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
    assert!(played.stats.retries > 0, "its open requests were lost and asked again");
    assert!(played.arrays == healthy.arrays);
}

#[test]
fn a_writer_that_panics_sets_one_game_aside_and_writes_the_others() {
    let game = Fragile::new(quoridor(), Faults { encode: vec![5], ..Faults::default() });
    let kind = SyntheticEvaluator::Uniform;
    let source = SyntheticSource { kind, game: game.clone(), encoding: ENCODING, threads: 1 };
    let played = Scenario { source: Box::new(source), ..Scenario::with_game(game, 6) }.play();
    assert_eq!((played.ending, played.stats.games_unfit, played.stats.games_written), (Ending::Clean, 1, 5));
}

#[test]
fn a_game_that_cannot_be_resumed_is_given_up_and_the_others_go_on() {
    let mut scenario = Scenario::games(6);
    scenario.games_at_once = 2;
    scenario.on_ply = Some(Arc::new(|game, _| assert!(game != 2, "as planned: game {game}")));
    let played = scenario.play();
    // The first panic is over ply 1; the three resumptions trace plies 2 to 4.
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 1));
    assert_eq!(played.games.keys().copied().collect::<Vec<_>>(), [0, 1, 3, 4, 5]);
}

#[test]
fn rules_that_always_panic_are_escalated() {
    let faults = Faults { play_from: Some(2_000), ..Faults::default() };
    let scenario = Scenario { games_at_once: 30, ..Scenario::with_game(Fragile::new(quoridor(), faults), 100) };
    let played = scenario.play();
    assert!(matches!(&played.ending, Ending::Escalated(reason) if reason.contains("game: panicked: as planned")));
}

#[test]
fn a_loader_that_panicked_still_brings_the_next_model() {
    let trainer = Trainer::new();
    let (hook, plies) = ply_channel();
    let source = Versions { game: quoridor(), threads: 1, panics_once_over: vec![1, 3] };
    let scenario = Scenario {
        source: Box::new(source),
        origin: trainer.origin(),
        num_games: None,
        on_ply: Some(hook),
        ..Scenario::games(0)
    };
    let running = scenario.start();
    for version in 1..=4 {
        trainer.publish(version);
        loop {
            let (_, ply) = plies.recv_timeout(DEADLINE).expect("games go on");
            if ply.model_version == version {
                break;
            }
        }
    }
    running.controller.drain("seen enough", DEADLINE);
    let played = running.finish();
    assert_eq!((played.ending, played.stats.models_loaded), (Ending::Clean, 4));
}

#[test]
fn games_that_cannot_be_written_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let mut scenario = Scenario::games(3);
    scenario.on_ply = Some(Arc::new(move |_, _| {
        // From the first ply on a file stands in the directory's place.
        if ready.is_dir() && fs::remove_dir_all(&ready).is_ok() {
            fs::write(&ready, b"").unwrap();
        }
    }));
    let (ending, stats, _dir) = scenario.start_in(dir).end();
    assert!(
        matches!(&ending, Ending::Unwritten { lost: 3, reason, .. } if reason.contains("create file")),
        "{ending:?}"
    );
    assert_eq!((stats.games_finished, stats.games_written), (3, 0));
}
