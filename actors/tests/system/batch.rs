//! So many games are played and written, and each follows from the seed alone.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use selfplay_actors::{
    batcher::BatchPolicy,
    cache::CacheLimits,
    game::each_ply,
    loader::{LoadFailure, ModelOrigin},
    root::Ending,
};
use selfplay_engine::selfplay::Agent;

use crate::{
    sources::Nothing,
    support::{Played, Scenario},
};

#[test]
fn all_games_asked_for_are_played_and_written() {
    let played = Scenario::games(11).play();
    assert_eq!(played.ending, Ending::Clean);
    assert_eq!(played.games.keys().copied().collect::<Vec<_>>(), Vec::from_iter(0..11));
    let stats = played.stats;
    assert_eq!((stats.games_started, stats.games_finished, stats.games_written), (11, 11, 11));
    assert_eq!((stats.games_abandoned, stats.retries, stats.models_loaded, stats.model_version), (0, 0, 1, 7));
    assert_eq!(stats.plies(), played.games.values().map(|game| game.plies() as u64).sum::<u64>());
    assert!(0 < stats.evaluations && stats.evaluations < stats.cache_lookups_total());
    for game in played.games.values() {
        assert_eq!(game.metadata.model_version, 7);
        assert!(game.model_versions.as_ref().unwrap().iter().all(|&version| version == 7));
    }
    let first = &played.arrays[&0];
    assert!(played.arrays.values().skip(1).all(|arrays| arrays != first), "every game is another one");
}

#[test]
fn fewer_games_than_slots_and_none_at_all_end_too() {
    for num_games in [0, 1] {
        let played = Scenario { games_at_once: 8, game_threads: 3, ..Scenario::games(num_games) }.play();
        assert_eq!((played.ending, played.games.len() as u64), (Ending::Clean, num_games));
    }
}

#[test]
fn a_game_is_a_function_of_its_seed_whatever_threads_batches_and_caches_do() {
    let base = || Scenario::games(8);
    let batching = |max_batch, millis, min_share| BatchPolicy {
        max_batch,
        max_wait: Duration::from_millis(millis),
        min_share,
        cores: 1,
    };
    let cache = |max_bytes, max_entries| CacheLimits { max_bytes, max_entries };
    let expected = base().play().arrays;
    let variants: Vec<(&str, Scenario<_>)> = vec![
        ("4 game threads", Scenario { game_threads: 4, ..base() }),
        ("3 inference threads", base().inference_threads(3)),
        ("all threads", Scenario { game_threads: 4, games_at_once: 8, ..base().inference_threads(3) }),
        ("batches of 1", Scenario { batching: batching(1, 0, 1), ..base() }),
        ("batches of 3, wait", Scenario { batching: batching(3, 2, 1), ..base().inference_threads(3) }),
        ("large batches, wait", Scenario { batching: batching(256, 2, 256), games_at_once: 8, ..base() }),
        ("cache off", Scenario { cache: cache(1 << 20, Some(0)), ..base() }),
        ("cache of 20 entries", Scenario { cache: cache(1 << 20, Some(20)), game_threads: 4, ..base() }),
        ("cache of 10 kB", Scenario { cache: cache(10_000, None), ..base() }),
        ("one game at once", Scenario { games_at_once: 1, ..base() }),
        ("all games at once", Scenario { games_at_once: 8, game_threads: 2, ..base() }),
    ];
    for (name, scenario) in variants {
        let Played { ending, arrays, .. } = scenario.play();
        assert_eq!(ending, Ending::Clean, "{name}");
        // Not assert_eq: it would print all bytes.
        assert!(arrays == expected, "{name}");
    }
    let other = {
        let mut other = base();
        other.settings.search.c_puct = 2.0;
        other
    };
    assert!(other.play().arrays != expected, "the comparison can fail");
}

#[test]
fn mirror_images_leave_a_game_a_function_of_its_seed() {
    let base = |symmetry| {
        let mut scenario = Scenario::games(6);
        scenario.settings.tree_reuse = false;
        scenario.settings.symmetry = symmetry;
        scenario
    };
    let cache = |max_entries| CacheLimits { max_bytes: 1 << 20, max_entries };
    let arrays = [false, true].map(|symmetry| {
        let expected = base(symmetry).play();
        let variants = [
            ("4 game threads", Scenario { game_threads: 4, ..base(symmetry).inference_threads(3) }),
            ("cache off", Scenario { cache: cache(Some(0)), ..base(symmetry) }),
            ("cache of 20 entries", Scenario { cache: cache(Some(20)), game_threads: 4, ..base(symmetry) }),
            ("one game at once", Scenario { games_at_once: 1, ..base(symmetry) }),
        ];
        for (name, scenario) in variants {
            let played = scenario.play();
            assert_eq!(played.ending, Ending::Clean, "{name}");
            assert!(played.arrays == expected.arrays, "{name}, symmetry {symmetry}");
            let (counts, other) = (played.stats, expected.stats);
            assert_eq!(counts.simulations_total(), other.simulations_total(), "{name}");
            assert_eq!(counts.mirrored_leaves > 0, symmetry);
        }
        expected.arrays
    });
    // The evaluator is not symmetric.
    assert!(arrays[0] != arrays[1], "the comparison can fail");
}

#[test]
fn without_a_cache_every_leaf_is_evaluated_or_waited_for() {
    let cache = CacheLimits { max_bytes: 1 << 20, max_entries: Some(0) };
    let counts = Scenario { cache, ..Scenario::games(4) }.play().stats;
    assert_eq!(counts.evaluations + counts.cache_in_flight_hits, counts.cache_lookups_total());
    assert_eq!((counts.requests_in_flight, counts.tree_bytes), (0, 0));
}

#[test]
fn every_ply_is_traced_once_and_in_order() {
    for agents in [[Agent::Search, Agent::Search], [Agent::Random, Agent::Raw], [Agent::Random, Agent::Random]] {
        let traced = Arc::new(Mutex::new(Vec::new()));
        let mut scenario = Scenario::games(3);
        scenario.settings.agents = agents;
        let log = traced.clone();
        scenario.on_ply = Some(each_ply(move |game, plies| {
            log.lock().unwrap().push((game, plies.len(), plies.last().unwrap().action));
        }));
        let played = scenario.play();
        assert_eq!((played.ending, played.games.len()), (Ending::Clean, 3), "{agents:?}");
        let mut traced = std::mem::take(&mut *traced.lock().unwrap());
        traced.sort_by_key(|&(game, ..)| game);
        let recorded = |(&index, game): (&u64, &selfplay_engine::replay::ReadGame)| {
            let actions = game.actions.clone().unwrap();
            (0..game.plies()).map(move |ply| (index, ply + 1, actions[ply] as u16)).collect::<Vec<_>>()
        };
        assert_eq!(traced, played.games.iter().flat_map(recorded).collect::<Vec<_>>(), "{agents:?}");
    }
}

#[test]
fn without_a_usable_model_it_says_why_and_ends() {
    let reasons = [LoadFailure::Refused("use it: no".to_owned()), LoadFailure::Impossible("find a GPU: no".to_owned())];
    for failure in reasons {
        let reason = failure.reason().to_owned();
        let origin = ModelOrigin::Fixed { path: Some("model.onnx".into()), version: 1 };
        let played = Scenario { source: Box::new(Nothing(failure)), origin, ..Scenario::games(3) }.play();
        assert_eq!((played.ending, played.games.len()), (Ending::Unusable(reason), 0));
    }
}

#[test]
fn a_model_with_too_few_evaluators_is_not_taken() {
    let played = Scenario { inference_threads: 2, ..Scenario::games(3) }.play();
    assert!(matches!(played.ending, Ending::Unusable(reason) if reason.contains("1 evaluators among 2")));
}

#[test]
fn no_batch_waits_for_leaves_that_cannot_come() {
    for game_threads in [1, 2] {
        let mut scenario = Scenario::games(9).inference_threads(2);
        scenario.game_threads = game_threads;
        scenario.batching =
            BatchPolicy { max_batch: 1000, max_wait: Duration::from_secs(3600), min_share: 1, cores: 1 };
        let played = scenario.play();
        assert_eq!((&played.ending, played.games.len()), (&Ending::Clean, 9));
        assert_eq!(played.stats.batches_timer, 0);
    }
}
