//! Pauses, and settings that change while games are played.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use selfplay_actors::{
    game::{GameHook, Terms, each_ply},
    loader::{LoadFailure, LoadedModel, ModelSource},
    onnx::ModelFile,
    root::{Ending, SettingsChange},
};
use selfplay_engine::{
    Evaluations, Evaluator, Leaf, evaluation::EvaluateError, games::quoridor::Quoridor, search::Simulations,
};

use crate::{
    sources::model,
    support::{DEADLINE, ENCODING, Played, Running, Scenario, quoridor},
};

/// Waits for a condition, never for a time.
fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    // Nothing is ever sent: a receiver is a timer.
    let (_sender, ticks) = mpsc::channel::<()>();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited for {what}");
        ticks.recv_timeout(Duration::from_millis(1)).unwrap_or_default();
    }
}

/// The hash evaluator; counts the evaluators that are there and the batches they ran.
struct Counted {
    there: Arc<()>,
    batches: Arc<AtomicU64>,
    threads: usize,
}

struct CountedEvaluator {
    inner: Box<dyn Evaluator<Quoridor>>,
    batches: Arc<AtomicU64>,
    _there: Arc<()>,
}

impl ModelSource<Quoridor> for Counted {
    fn load(&mut self, _: &ModelFile) -> Result<LoadedModel<Quoridor>, LoadFailure> {
        let evaluator = |_| -> Box<dyn Evaluator<Quoridor>> {
            let inner = Box::new(model(&quoridor(), 1));
            Box::new(CountedEvaluator { inner, batches: self.batches.clone(), _there: self.there.clone() })
        };
        let evaluators = (0..self.threads).map(evaluator).collect();
        Ok(LoadedModel { evaluators, encoding: ENCODING, description: "counted".to_owned() })
    }
}

impl Evaluator<Quoridor> for CountedEvaluator {
    fn evaluate(&mut self, leaves: &[Leaf<Quoridor>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.inner.evaluate(leaves, out)
    }
}

/// A daemon whose model is watched.
struct Watched {
    running: Running,
    there: Arc<()>,
    batches: Arc<AtomicU64>,
}

impl Watched {
    const THREADS: usize = 2;

    fn start(scenario: Scenario<Quoridor>) -> Self {
        let (there, batches) = (Arc::new(()), Arc::new(AtomicU64::new(0)));
        let source = Counted { there: there.clone(), batches: batches.clone(), threads: Self::THREADS };
        let scenario = Scenario { source: Box::new(source), inference_threads: Self::THREADS, ..scenario };
        Self { running: scenario.start(), there, batches }
    }

    fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// Evaluators that exist.
    fn evaluators(&self) -> usize {
        // One is ours, one the source's.
        Arc::strong_count(&self.there) - 2
    }

    fn plays_on(&self, what: &str) {
        let before = self.batches();
        until(what, || self.batches() > before);
    }
}

fn endless() -> Scenario<Quoridor> {
    Scenario { num_games: None, ..Scenario::games(0) }
}

fn finish(Watched { running, there, batches, .. }: Watched) -> Played {
    drop((there, batches));
    running.finish()
}

#[test]
fn games_are_the_same_to_the_byte_however_often_play_is_paused() {
    let expected = Scenario::games(6).play();
    let (hook, plies) = mpsc::channel();
    let hook: GameHook<Quoridor> = each_ply(move |_, _| hook.send(()).unwrap_or_default());
    let running = Scenario { game_threads: 2, on_ply: Some(hook), ..Scenario::games(6) }.start();
    let mut pauses = 0;
    // Amid a ply of some game or other.
    while plies.recv_timeout(DEADLINE).is_ok() {
        running.controller.pause();
        pauses += u32::from(running.controller.state().paused);
        running.controller.resume();
    }
    let played = running.finish();
    assert_eq!((played.ending, played.stats.games_written), (Ending::Clean, 6));
    assert!(pauses > 40, "{pauses}");
    assert_eq!(played.arrays, expected.arrays);
    assert_eq!((played.stats.retries, played.stats.models_loaded), (0, 1), "and nothing was lost");
}

#[test]
fn a_long_pause_frees_the_device_and_play_goes_on_with_the_same_model() {
    let daemon = Watched::start(Scenario { unload_after: Some(Duration::ZERO), ..endless() });
    let controller = daemon.running.controller.clone();
    for round in 1..=3 {
        daemon.plays_on("the model to be used");
        assert_eq!(daemon.evaluators(), Watched::THREADS);
        controller.pause();
        until("the model to be dropped", || controller.state().unloaded);
        let state = controller.state();
        assert!(state.paused && state.paused_seconds > 0.0 && !state.serving);
        assert_eq!(daemon.evaluators(), 0, "no thread holds a session");
        let before = daemon.batches();
        controller.pause();
        controller.reload(None);
        assert_eq!((daemon.batches(), daemon.evaluators()), (before, 0));
        controller.resume();
        controller.resume();
        until("the model to be back", || daemon.running.stats.models_loaded.get() == round + 1);
    }
    daemon.plays_on("games to go on");
    controller.drain("enough", DEADLINE);
    let played = finish(daemon);
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
    assert_eq!(played.stats.games_started, played.stats.games_written, "no game was lost");
    let versions = played.games.values().flat_map(|game| game.model_versions.as_ref().unwrap().to_vec());
    assert!(versions.into_iter().all(|version| version == 7));
}

#[test]
fn a_drain_in_a_pause_keeps_games_at_once_where_there_is_a_journal() {
    let mut scenario = Scenario { journal_keeps_games: true, ..endless() };
    scenario.settings.search.simulations = Simulations::PerMove(100_000);
    let daemon = Watched::start(scenario);
    daemon.plays_on("games to begin");
    let controller = daemon.running.controller.clone();
    controller.pause();
    let begun = Instant::now();
    controller.drain("enough", Duration::from_secs(3600));
    controller.pause();
    assert!(controller.state().draining);
    let (ending, stats, _dir) = daemon.running.end();
    assert!(begun.elapsed() < DEADLINE);
    assert_eq!((ending, stats.games_finished), (Ending::Clean, 0));
}

#[test]
fn a_drain_in_a_pause_without_a_journal_plays_the_games_to_their_end() {
    for unload_after in [None, Some(Duration::ZERO)] {
        let daemon = Watched::start(Scenario { unload_after, ..endless() });
        daemon.plays_on("games to begin");
        let controller = daemon.running.controller.clone();
        controller.pause();
        if unload_after.is_some() {
            until("the model to be dropped", || controller.state().unloaded);
        }
        controller.drain("enough", DEADLINE);
        let played = finish(daemon);
        assert_eq!(played.ending, Ending::Clean);
        assert_eq!((played.stats.games_started, played.stats.games_abandoned), (played.stats.games_written, 0));
    }
}

#[test]
fn more_and_fewer_games_are_played_at_once_when_that_is_asked_for() {
    for game_threads in [1, 3] {
        let mut scenario = Scenario { game_threads, games_at_once: 2, ..endless() };
        scenario.settings.search.simulations = Simulations::PerMove(16);
        let running = scenario.start();
        let in_play = || running.stats.snapshot().games_in_play();
        let at_once = |games| SettingsChange { games_at_once: Some(games), ..SettingsChange::default() };
        until("two games", || in_play() == 2);
        running.controller.set(at_once(7));
        until("seven games", || in_play() == 7);
        running.controller.set(at_once(1));
        // The others are parked, not played out.
        // One that ends meanwhile is not parked.
        until("one game", || in_play() == 1 && running.stats.games_parked.get() > 0);
        let (started, finished) = (running.stats.games_started.get(), running.stats.games_finished.get());
        until("more games, one after the other", || {
            // One ends before the next one goes on.
            assert!(in_play() <= 1);
            let is_new = running.stats.games_started.get() > started;
            assert!(!is_new || running.stats.games_parked.get() == 0, "parked games come first");
            running.stats.games_finished.get() > finished + 3
        });
        running.controller.set(at_once(3));
        until("three games", || in_play() == 3);
        until("new games", || running.stats.games_started.get() > started);
        assert_eq!(running.stats.games_parked.get(), 0);
        // A parked game that a busy thread has not taken up yet would be given up by a drain without a journal.
        let finished = running.stats.games_finished.get();
        until("games of all three", || running.stats.games_finished.get() > finished + 9);
        running.controller.drain("enough", DEADLINE);
        let played = running.finish();
        assert_eq!(played.ending, Ending::Clean);
        assert_eq!((played.stats.games_started, played.stats.games_abandoned), (played.stats.games_written, 0));
    }
}

#[test]
fn a_cache_that_may_hold_less_lets_entries_go_at_once() {
    const FEW: i64 = 20_000;
    let running = endless().start();
    until("a cache that holds more", || running.stats.cache_bytes.get() > FEW);
    running.controller.set(SettingsChange { cache_bytes: Some(FEW as usize), ..SettingsChange::default() });
    until("less room", || running.stats.cache_capacity.get() == FEW);
    let evicted = running.stats.cache_evicted_full.get();
    until("more to come and go", || running.stats.cache_evicted_full.get() > evicted + 100);
    assert!((1..=FEW).contains(&running.stats.cache_bytes.get()));
    running.controller.drain("enough", DEADLINE);
    assert_eq!(running.finish().ending, Ending::Clean);
}

#[test]
fn a_game_is_played_with_and_marked_by_the_settings_of_its_start() {
    let expected = |temperature: f32| {
        let mut scenario = Scenario::games(14);
        scenario.settings.temperature = temperature;
        scenario.play().arrays
    };
    let (before, after) = (expected(1.0), expected(0.25));

    let scenario = Scenario::games(14);
    let changed = Terms {
        settings: Arc::new(selfplay_engine::selfplay::PlaySettings { temperature: 0.25, ..scenario.settings.clone() }),
        hash: "c01d".into(),
        resign_below: selfplay_engine::selfplay::NEVER_RESIGNS,
    };
    // Games are held up while the settings change, so that most of them are still to come.
    let (begun, fifth) = mpsc::channel();
    let (go_on, told) = mpsc::channel();
    let told = Mutex::new(told);
    let hook: GameHook<Quoridor> = each_ply(move |game, plies| {
        if game == 4 && plies.len() == 1 {
            begun.send(()).unwrap_or_default();
            told.lock().unwrap().recv().unwrap_or_default();
        }
    });
    let running = Scenario { on_ply: Some(hook), ..scenario }.start();
    fifth.recv_timeout(DEADLINE).unwrap();
    running.controller.set(SettingsChange { terms: Some(changed), ..SettingsChange::default() });
    go_on.send(()).unwrap();
    let played = running.finish();
    let mut by_hash: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (&index, game) in &played.games {
        let hash = game.metadata.settings_hash.clone().unwrap();
        let expected = if hash == "c01d" { &after } else { &before };
        assert!(played.arrays[&index] == expected[&index], "game {index} is not one of {hash}");
        by_hash.entry(hash).or_default().push(index);
    }
    let (old, new) = (&by_hash["5e77"], &by_hash["c01d"]);
    assert!(old.last() < new.first(), "games start in order: {by_hash:?}");
    assert!(before != after && old.len() >= 5);
}
