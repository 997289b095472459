//! Scenarios: what is played, until when, and what is left in the directory.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use selfplay_actors::{
    batcher::{BatchPolicy, ProbationLimits},
    cache::CacheLimits,
    game::{GameHook, GamePlan, Terms},
    games::Quota,
    health::{HangLimits, Health, TreeStatus},
    loader::{ModelOrigin, ModelSource, SyntheticEvaluator, SyntheticSource},
    referee::RefereeOptions,
    root::{Controller, Ending, Options, run},
    stats::{Snapshot, Stats},
    writer::{Output, Provenance},
};
use selfplay_engine::{
    Game,
    games::quoridor::{Quoridor, QuoridorEncoding},
    journal::{SessionOptions, open_session},
    replay::{GameResult, ReadGame, ReplayStore, SessionId, StemClock},
    search::{InFlight, NoiseShape, Root, RootNoise, SearchParams, Simulations},
    selfplay::{Agent, OpeningSettings, PlaySettings, RowSettings},
};
use tempfile::TempDir;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// All games' randomness.
pub(crate) const SEED: u64 = 42;

pub(crate) const ENCODING: QuoridorEncoding = QuoridorEncoding::Resnet;

/// Quoridor 5×5, three walls, at most 60 plies.
pub(crate) fn quoridor() -> Quoridor {
    Quoridor::new(5, 3, Some(60)).unwrap()
}

/// What is played, and how. Tests change what they are about.
pub(crate) struct Scenario<G: Game> {
    pub(crate) game: G,
    pub(crate) source: Box<dyn ModelSource<G>>,
    pub(crate) origin: ModelOrigin,
    pub(crate) settings: PlaySettings,
    pub(crate) num_games: Option<u64>,
    pub(crate) games_at_once: usize,
    pub(crate) game_threads: usize,
    pub(crate) inference_threads: usize,
    pub(crate) batching: BatchPolicy,
    pub(crate) unload_after: Option<Duration>,
    pub(crate) cache: CacheLimits,
    pub(crate) on_ply: Option<GameHook<G>>,
    pub(crate) journal_keeps_games: bool,
    pub(crate) hang_limits: HangLimits,
    pub(crate) referee: Option<RefereeOptions>,
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) ending: Ending,
    pub(crate) stats: Snapshot,
    pub(crate) tree: TreeStatus,
    /// The bytes of each game's arrays, by the game's number.
    pub(crate) arrays: BTreeMap<u64, Vec<u8>>,
    pub(crate) games: BTreeMap<u64, ReadGame>,
}

/// A scenario in play.
pub(crate) struct Running {
    pub(crate) controller: Controller,
    pub(crate) stats: Arc<Stats>,
    pub(crate) health: Arc<Health>,
    ending: mpsc::Receiver<Ending>,
    dir: TempDir,
}

impl Scenario<Quoridor> {
    /// `num_games` games by the hash evaluator.
    pub(crate) fn games(num_games: u64) -> Self {
        Self::with_game(quoridor(), num_games)
    }
}

impl<G: Game<Encoding = QuoridorEncoding>> Scenario<G> {
    pub(crate) fn with_game(game: G, num_games: u64) -> Self {
        let source =
            SyntheticSource { kind: SyntheticEvaluator::Hash, game: game.clone(), encoding: ENCODING, threads: 1 };
        Self {
            game,
            source: Box::new(source),
            origin: ModelOrigin::Fixed { path: None, version: 7 },
            settings: PlaySettings {
                search: SearchParams {
                    simulations: Simulations::PerMove(24),
                    c_puct: 1.5,
                    leaf_parallelism: 4,
                    in_flight: InFlight::Losses(1),
                    noise: Some(RootNoise { epsilon: 0.25, alpha: 0.5, shape: NoiseShape::Even }),
                    root: Root::PUCT,
                    solver: false,
                },
                temperature: 1.0,
                temperature_decay: None,
                drop_t_on_step: Some(20),
                tree_reuse: true,
                penalize_visited_states: false,
                opening: OpeningSettings::default(),
                soft_resign: None,
                resign: None,
                rows: RowSettings::default(),
                symmetry: false,
                agents: [Agent::Search; 2],
            },
            num_games: Some(num_games),
            games_at_once: 4,
            game_threads: 1,
            inference_threads: 1,
            batching: BatchPolicy { max_batch: 16, max_wait: Duration::ZERO, min_share: 4, cores: 1 },
            unload_after: None,
            cache: CacheLimits { max_bytes: 16 << 20, max_entries: None },
            on_ply: None,
            journal_keeps_games: false,
            hang_limits: HangLimits::default(),
            referee: None,
        }
    }

    /// As many inference threads, and evaluators per model of the default source.
    pub(crate) fn inference_threads(mut self, threads: usize) -> Self {
        let (game, kind) = (self.game.clone(), SyntheticEvaluator::Hash);
        self.source = Box::new(SyntheticSource { kind, game, encoding: ENCODING, threads });
        self.inference_threads = threads;
        self
    }

    /// Starts it on a thread of its own.
    pub(crate) fn start(self) -> Running {
        self.start_in(tempfile::tempdir().unwrap())
    }

    pub(crate) fn start_in(self, dir: TempDir) -> Running {
        let stats = Arc::new(Stats::default());
        let health = Health::new(stats.clone());
        let pid = std::process::id();
        let session = SessionId::of_this_process();
        let store = ReplayStore::open(ready(dir.path()), session).unwrap();
        let options = SessionOptions {
            session,
            seed: 42,
            settings_hash: "5e77".to_owned(),
            daemon_version: "test".to_owned(),
            journal: true,
            resume: true,
            spool: None,
            lock_wait: DEADLINE,
        };
        let journal = open_session(&ready(dir.path()), &options).unwrap().journal;
        let provenance = Provenance { pid, daemon_version: "test".to_owned(), rules: None, metrics_dir: None };
        let options = Options {
            referee: self.referee,
            plan: GamePlan {
                thrifty: Arc::default(),
                game: self.game,
                adjudicator: None,
                terms: Terms {
                    settings: Arc::new(self.settings),
                    hash: "5e77".into(),
                    resign_below: selfplay_engine::selfplay::NEVER_RESIGNS,
                },
                seed: SEED,
                journal: journal.clone(),
                stats: stats.clone(),
                hook: self.on_ply,
            },
            games_at_once: self.games_at_once,
            quota: Quota { first_index: 0, limit: self.num_games },
            resumable: Vec::new(),
            game_threads: self.game_threads,
            inference_threads: self.inference_threads,
            batching: self.batching,
            control: Arc::default(),
            unload_after: self.unload_after,
            probation: ProbationLimits { evaluations: 1_000, max_flawed_rate: 0.01 },
            cache: self.cache,
            source: self.source,
            origin: self.origin,
            output: Output {
                store,
                stems: StemClock::new(session, 0),
                journal,
                sync: Duration::from_secs(1),
                spool: None,
                deadline: DEADLINE,
                min_free: Some(0),
                max_rejected: 10,
            },
            provenance,
            journal_keeps_games: self.journal_keeps_games,
            hang_limits: self.hang_limits,
            health: health.clone(),
            last_resort: Arc::new(|| eprintln!("the system did not end in time after a hang")),
        };
        let (ended, ending) = mpsc::channel();
        let (started, controller) = mpsc::channel();
        std::thread::spawn(move || {
            let journal = options.plan.journal.clone();
            let outcome = run(options, move |controller| started.send(controller).unwrap());
            journal.close().ok(); // The directory may be gone.
            ended.send(outcome.unwrap()).ok();
        });
        let controller = controller.recv_timeout(DEADLINE).expect("the system starts");
        Running { controller, stats, health, ending, dir }
    }

    /// Plays to the end.
    pub(crate) fn play(self) -> Played {
        self.start().finish()
    }
}

impl Running {
    /// Waits for the end only.
    pub(crate) fn end(self) -> (Ending, Snapshot, TempDir) {
        let ending = self.ending.recv_timeout(DEADLINE).expect("it ends in time");
        (ending, self.stats.snapshot(), self.dir)
    }

    /// Waits for the end and reads what was written: every file must be complete, and nothing else may lie about.
    pub(crate) fn finish(self) -> Played {
        let health = self.health.clone();
        let (ending, stats, dir) = self.end();
        let (mut arrays, mut games) = (BTreeMap::new(), BTreeMap::new());
        let ready = ready(dir.path());
        let mut files = names(&ready);
        files.retain(|name| name != "rejected");
        for npz in files.iter().filter(|name| name.ends_with(".npz")) {
            let path = ready.join(npz);
            let game = ReadGame::open(&path).unwrap();
            check_game(&game);
            let index = game.metadata.game_index.unwrap();
            assert!(arrays.insert(index, fs::read(&path).unwrap()).is_none(), "game {index} was written twice");
            games.insert(index, game);
        }
        assert_eq!(files.len(), 2 * games.len() + 1, "two files for each game and tmp, no more: {files:?}");
        assert!(names(&ready.join("tmp")).iter().all(|name| is_kept(name)));
        assert_eq!(stats.games_written, games.len() as u64);
        Played { ending, stats, tree: health.status(), arrays, games }
    }
}

/// Checks what must be true of every game.
fn check_game(game: &ReadGame) {
    let last = game.plies() - 1;
    match game.metadata.result.unwrap() {
        GameResult::Draw => {
            assert!(game.plies() == 60 || game.metadata.end_reason.as_deref() == Some("no_legal_action"))
        }
        GameResult::First => assert_eq!(game.players[last], 0),
        GameResult::Second => assert_eq!(game.players[last], 1),
    }
    for row in game.policies.rows() {
        assert!((row.sum() - 1.0).abs() < 1e-4);
    }
}

fn ready(dir: &Path) -> PathBuf {
    dir.join("ready")
}

/// What may stay in `tmp/`: the lock of those who start, and the journal of games given up by a stop.
fn is_kept(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".journal")
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
