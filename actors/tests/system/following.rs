//! Beside a trainer: models change while games are in play, and games stop when told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::mpsc,
    time::{Duration, Instant},
};

use selfplay_actors::{
    game::{GameHook, each_ply},
    loader::{Followed, ModelOrigin},
    root::Ending,
};
use selfplay_engine::{
    ActionSet, Evaluations, Evaluator, Game,
    games::quoridor::{Quoridor, QuoridorEncoding},
    replay::PlyRecord,
    search::Simulations,
    selfplay::Agent,
};
use tempfile::TempDir;

use crate::{
    sources::{Versions, model},
    support::{DEADLINE, Played, Scenario, quoridor},
};

/// Stands in for the trainer's end of `latest.yaml`.
pub(crate) struct Trainer(TempDir);

impl Trainer {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn origin(&self) -> ModelOrigin {
        let followed = Followed::LatestYaml(self.0.path().join("latest.yaml"));
        ModelOrigin::Follow { followed, poll: Duration::from_millis(1) }
    }

    pub(crate) fn publish(&self, version: i64) {
        let (new, latest) = (self.0.path().join("new.yaml"), self.0.path().join("latest.yaml"));
        fs::write(&new, format!("filename: /runs/model_{version}.pt\nversion: {version}\n")).unwrap();
        fs::rename(new, latest).unwrap();
    }
}

/// A hook that sends on every ply with the number of its game.
pub(crate) fn ply_channel<G: Game>() -> (GameHook<G>, mpsc::Receiver<(u64, PlyRecord<G>)>) {
    let (sender, plies) = mpsc::channel();
    let hook = move |game, plies: &[PlyRecord<G>]| {
        sender.send((game, plies.last().unwrap().clone())).ok();
    };
    (each_ply(hook), plies)
}

/// Endless games by the versions of `trainer`.
fn following(trainer: &Trainer, threads: usize) -> Scenario<Quoridor> {
    let source = Versions { game: quoridor(), threads, panics_once_over: Vec::new() };
    Scenario {
        source: Box::new(source),
        inference_threads: threads,
        origin: trainer.origin(),
        num_games: None,
        ..Scenario::games(0)
    }
}

/// Publishes versions 1 to `last`, each as soon as a ply of the one before was played; drains; returns all plies too.
fn swap_under_load(
    mut scenario: Scenario<Quoridor>,
    trainer: &Trainer,
    last: i64,
) -> (Played, Vec<(u64, PlyRecord<Quoridor>)>) {
    let (hook, plies) = ply_channel();
    scenario.on_ply = Some(hook);
    let running = scenario.start();
    let mut seen = Vec::new();
    for version in 1..=last {
        trainer.publish(version);
        loop {
            seen.push(plies.recv_timeout(DEADLINE).expect("games go on"));
            if seen.last().is_some_and(|(_, ply)| ply.model_version == version) {
                break;
            }
        }
    }
    running.controller.drain("seen enough", DEADLINE);
    running.controller.drain("a second call changes nothing", Duration::ZERO);
    let played = running.finish();
    seen.extend(plies.try_iter());
    (played, seen)
}

/// Checks that nothing was lost, and that each game only ever moved on to newer models.
fn check(played: &Played, last: i64) {
    assert_eq!(played.ending, Ending::Clean);
    let stats = played.stats;
    assert_eq!((stats.games_started, stats.games_abandoned), (stats.games_written, 0));
    assert_eq!((stats.models_loaded, stats.models_refused, stats.model_version), (last as u64, 0, last));
    assert_eq!(played.games.keys().copied().collect::<Vec<_>>(), Vec::from_iter(0..stats.games_started));
    let mut served = BTreeSet::new();
    for game in played.games.values() {
        let versions = game.model_versions.as_ref().unwrap().to_vec();
        assert!(versions.is_sorted(), "{versions:?}");
        // The root of a kept tree may have been evaluated by an older model than the first ply's.
        assert!(game.metadata.model_version <= versions[0]);
        served.extend(versions);
    }
    assert_eq!(served, BTreeSet::from_iter(1..=last), "all versions were used, and no others");
}

#[test]
fn every_model_is_used_from_the_next_gather_on() {
    let trainer = Trainer::new();
    let scenario = Scenario { game_threads: 2, ..following(&trainer, 2) };
    let (played, _) = swap_under_load(scenario, &trainer, 8);
    check(&played, 8);
}

#[test]
fn hundreds_of_swaps_never_mix_two_models() {
    for (threads, cache_entries) in [(1, None), (2, Some(50))] {
        let trainer = Trainer::new();
        let mut scenario = following(&trainer, threads);
        scenario.game_threads = threads;
        scenario.cache.max_entries = cache_entries;
        scenario.games_at_once = 6;
        // The raw player's plies record one evaluation each, as it came from the network; the searcher keeps the cache busy.
        scenario.settings.agents = [Agent::Raw, Agent::Search];
        let (played, plies) = swap_under_load(scenario, &trainer, 150);
        check(&played, 150);

        let mut models = BTreeMap::new();
        let mut checked = 0;
        for (game, ply) in plies.iter().filter(|(_, ply)| ply.player.index() == 0) {
            let version = ply.model_version;
            let mut expected = Evaluations::default();
            let model = models.entry(version).or_insert_with(|| model(&quoridor(), version));
            model.evaluate(&[ply.leaf], &mut expected).unwrap();
            let expected = expected.get(0);
            assert_eq!(ply.root_value, expected.value, "game {game} used another model than {version}");
            let mut targets: Vec<_> = ply.targets.iter().map(|target| (target.action, target.probability)).collect();
            targets.sort_by_key(|&(action, _)| action);
            assert_eq!(targets, ply.leaf.legal.iter().zip(expected.priors.iter().copied()).collect::<Vec<_>>());
            checked += 1;
        }
        assert!(checked > 150, "{checked}");
    }
}

#[test]
fn a_drain_lets_the_games_in_play_finish() {
    let (hook, plies) = ply_channel();
    let running = Scenario { num_games: None, on_ply: Some(hook), games_at_once: 7, ..Scenario::games(0) }.start();
    plies.recv_timeout(DEADLINE).expect("games begin");
    running.controller.drain("enough", DEADLINE);
    let played = running.finish();
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
    assert_eq!(played.stats.games_started, played.stats.games_written);
    assert!(played.stats.games_written >= 7);
}

#[test]
fn a_drain_without_grace_ends_at_once_and_leaves_nothing_half_written() {
    let (hook, plies) = ply_channel();
    let mut scenario = Scenario { num_games: None, on_ply: Some(hook), ..Scenario::games(0) };
    scenario.settings.search.simulations = Simulations::PerMove(20_000);
    let running = scenario.start();
    plies.recv_timeout(DEADLINE).expect("games begin");
    let begun = Instant::now();
    running.controller.drain("at once", Duration::ZERO);
    let played = running.finish();
    assert_eq!(played.ending, Ending::Clean);
    assert!(played.games.is_empty(), "no game can have finished");
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn a_drain_ends_the_wait_for_a_first_model() {
    let running = following(&Trainer::new(), 1).start();
    running.controller.drain("no trainer", DEADLINE);
    let played = running.finish();
    assert_eq!((played.ending, played.games.len()), (Ending::Clean, 0));
}

#[test]
fn the_mlp_layout_is_written_when_the_model_takes_it() {
    let game = quoridor();
    let source = selfplay_actors::loader::SyntheticSource {
        kind: selfplay_actors::loader::SyntheticEvaluator::Uniform,
        game,
        encoding: QuoridorEncoding::Mlp,
        threads: 1,
    };
    let played = Scenario { source: Box::new(source), ..Scenario::games(2) }.play();
    assert_eq!(played.ending, Ending::Clean);
    for read in played.games.values() {
        assert_eq!(read.input_arrays.shape()[1..], game.input_shape(QuoridorEncoding::Mlp));
    }
}
