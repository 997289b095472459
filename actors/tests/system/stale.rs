//! No evaluation of an old model is used or recorded under a new one: proven from the written files, by playing every game
//! again without actors.
//!
//! A game is a function of its seed, number, settings and the evaluations of each request. Here any two models disagree
//! everywhere. The files say for every ply which model was the newest that had a say in it; what they leave open is at which
//! request it took over. So each game is searched for a series of models, one per request, that never goes back, and under which
//! the engine alone comes to the very same game: actions, visits, policies and root values, to the bit. A ply of the same model as
//! the one before leaves no choice. One foreign evaluation among those of a request, one request answered by an older model than
//! the request before, or one tree kept from one model to the next, and there is no such series.

use std::{collections::BTreeMap, sync::Arc};

use selfplay_actors::{
    loader::{LoadFailure, LoadedModel, ModelSource},
    onnx::ModelFile,
    root::Ending,
};
use selfplay_engine::{
    Evaluations, Evaluator,
    evaluation::HashEvaluator,
    games::quoridor::Quoridor,
    replay::{PlyRecord, ReadGame},
    search::{Simulations, SpareTree},
    selfplay::{Agent, PlaySettings, Progress, SelfPlayGame},
};

use crate::{
    following::{Trainer, ply_channel},
    sources::model,
    support::{DEADLINE, ENCODING, SEED, Scenario, quoridor},
};

/// Publishes the next version as soon as one is loaded, up to `last`.
struct Restless {
    trainer: Arc<Trainer>,
    threads: usize,
    last: i64,
}

impl ModelSource<Quoridor> for Restless {
    fn load(&mut self, model_file: &ModelFile) -> Result<LoadedModel<Quoridor>, LoadFailure> {
        let stem = model_file.path().file_stem().unwrap().to_str().unwrap();
        let version: i64 = stem.strip_prefix("model_").unwrap().parse().unwrap();
        if version < self.last {
            self.trainer.publish(version + 1);
        }
        let evaluator = || Box::new(model(&quoridor(), version)) as Box<dyn Evaluator<Quoridor>>;
        Ok(LoadedModel {
            evaluators: (0..self.threads).map(|_| evaluator()).collect(),
            encoding: ENCODING,
            description: format!("version {version}"),
        })
    }
}

/// What the engine makes of a game again, up to a request that has no answer yet.
struct Replay {
    game: SelfPlayGame<Quoridor>,
    plies: Vec<PlyRecord<Quoridor>>,
    asked: Vec<selfplay_engine::Leaf<Quoridor>>,
    over: bool,
}

impl Replay {
    /// From ply `plies.len()` on, without a tree.
    fn begin(settings: &Arc<PlaySettings>, index: u64, plies: &[PlyRecord<Quoridor>]) -> Self {
        let game = SelfPlayGame::resume(quoridor(), settings.clone(), SEED, index, plies.to_vec(), Some(0));
        let mut replay = Self { game, plies: plies.to_vec(), asked: Vec::new(), over: false };
        replay.advance();
        replay
    }

    fn advance(&mut self) {
        self.asked.clear();
        match self.game.advance(&mut self.asked, &mut SpareTree::default()) {
            Progress::Leaves => self.plies.extend_from_slice(&self.game.plies()[self.plies.len()..]),
            Progress::Finished(record) => (self.plies, self.over) = (record.plies, true),
        }
    }

    /// Lets `version` answer the request. True when that made the game give its tree up and ask again.
    fn answer(&mut self, version: i64, models: &mut BTreeMap<i64, HashEvaluator<Quoridor>>) -> bool {
        let mut evaluations = Evaluations::default();
        let model = models.entry(version).or_insert_with(|| model(&quoridor(), version));
        model.evaluate(&self.asked, &mut evaluations).unwrap();
        let had_tree = self.game.tree_size().nodes > 0;
        self.game.apply(&evaluations, version as u64, version);
        let forgot = had_tree && self.game.tree_size().nodes == 0;
        self.advance();
        forgot
    }
}

/// Where a game's search for models stands.
struct Proof<'a> {
    settings: &'a Arc<PlaySettings>,
    read: &'a ReadGame,
    models: BTreeMap<i64, HashEvaluator<Quoridor>>,
    replay: Replay,
    /// The last ply known to begin without a tree, and who answered each request since.
    fresh: usize,
    answered: Vec<i64>,
    /// Plies in which one model took over from another.
    mixed: u64,
}

impl<'a> Proof<'a> {
    fn new(settings: &'a Arc<PlaySettings>, read: &'a ReadGame) -> Self {
        let replay = Replay::begin(settings, read.metadata.game_index.unwrap(), &[]);
        Self { settings, read, models: BTreeMap::new(), replay, fresh: 0, answered: Vec::new(), mixed: 0 }
    }

    fn version(&self, ply: usize) -> i64 {
        self.read.model_versions.as_ref().unwrap()[ply]
    }

    /// Plays the game again to its end; returns the plies that were mixed.
    fn run(mut self) -> u64 {
        let mut oldest = self.read.metadata.model_version;
        self.check(0);
        while !self.replay.over {
            let ply = self.replay.plies.len();
            assert!(ply < self.read.plies(), "the game goes on where the file ends");
            let newest = self.version(ply);
            assert!(oldest <= newest, "ply {ply} goes back to model {newest}");
            self.play(ply, oldest, newest);
            oldest = newest;
        }
        assert_eq!(self.replay.plies.len(), self.read.plies());
        self.mixed
    }

    /// Finds who answered the requests of `ply`: models from `oldest` to `newest`, never going back, `newest` last.
    fn play(&mut self, ply: usize, oldest: i64, newest: i64) {
        // Series of answers that may still be right, the likeliest on top.
        let mut tries: Vec<_> = choices(oldest, newest).map(|first| vec![first]).collect();
        let mut at = Vec::new();
        let (begun, fresh) = (self.answered.len(), self.fresh);
        let mut fresh_at = None;
        while let Some(series) = tries.pop() {
            // Go on where the last try stopped if this one only adds to it; else play again from the last fresh tree.
            if at.len() + 1 != series.len() || !series.starts_with(&at) {
                self.rewind(fresh, begun);
                at.clear();
                fresh_at = None;
            }
            for &version in &series[at.len()..] {
                self.answered.push(version);
                if self.replay.answer(version, &mut self.models) {
                    fresh_at = Some(self.answered.len());
                }
            }
            at = series;
            if self.replay.plies.len() == ply && !self.replay.over {
                let more = choices(at[at.len() - 1], newest);
                tries.extend(more.map(|next| at.iter().copied().chain([next]).collect()));
                continue;
            }
            if at.last() == Some(&newest) && self.fits(ply) {
                self.check(ply + 1);
                let own = &at[fresh_at.map_or(0, |fresh_at| fresh_at - begun)..];
                let mixed = own.iter().any(|&version| version != newest);
                self.mixed += u64::from(mixed);
                // A tree of two models is dropped; one that was given up began anew within this ply.
                if mixed || !self.settings.tree_reuse {
                    (self.fresh, self.answered) = (self.replay.plies.len(), Vec::new());
                } else if let Some(fresh_at) = fresh_at {
                    (self.fresh, self.answered) = (ply, self.answered.split_off(fresh_at));
                }
                return;
            }
        }
        panic!(
            "no series of models from {oldest} to {newest} makes ply {ply} of game {:?}",
            self.read.metadata.game_index
        );
    }

    /// Plays from ply `fresh` on with the first `begun` answers since.
    fn rewind(&mut self, fresh: usize, begun: usize) {
        let index = self.read.metadata.game_index.unwrap();
        self.answered.truncate(begun);
        self.replay = Replay::begin(self.settings, index, &self.replay.plies[..fresh]);
        for &version in &self.answered {
            self.replay.answer(version, &mut self.models);
        }
    }

    /// Whether `ply`, played again, is the recorded one.
    fn fits(&self, ply: usize) -> bool {
        let played = &self.replay.plies[ply];
        let mut visits = vec![0; self.read.policy_size()];
        let mut policy = vec![0.0; self.read.policy_size()];
        for target in &played.targets {
            visits[usize::from(target.action)] = target.visits as i32;
            policy[usize::from(target.action)] = target.probability;
        }
        i32::from(played.action) == self.read.actions.as_ref().unwrap()[ply]
            && played.root_value == self.read.root_values.as_ref().unwrap()[ply]
            && self.read.visit_counts.as_ref().unwrap().row(ply).iter().eq(&visits)
            && self.read.policies.row(ply).iter().eq(&policy)
            && played.model_version == self.version(ply)
    }

    /// Plies from `first` on asked nothing of any model and need no search.
    fn check(&self, first: usize) {
        for ply in first..self.replay.plies.len() {
            assert!(self.fits(ply), "ply {ply} asked no model and is another");
        }
    }
}

/// Who may answer a request after `last` did, up to model `newest`; the likeliest come last.
fn choices(last: i64, newest: i64) -> impl Iterator<Item = i64> {
    (last + 1..newest).rev().chain((last < newest).then_some(newest)).chain([last])
}

/// Plays while `last` models follow each other as fast as the system takes them, and proves every game.
fn prove(last: i64, threads: usize, agents: [Agent; 2], tree_reuse: bool, cache_entries: Option<usize>) {
    let trainer = Arc::new(Trainer::new());
    trainer.publish(1);
    let (hook, plies) = ply_channel();
    let mut scenario = Scenario {
        source: Box::new(Restless { trainer: trainer.clone(), threads, last }),
        inference_threads: threads,
        game_threads: threads,
        origin: trainer.origin(),
        num_games: None,
        on_ply: Some(hook),
        ..Scenario::games(0)
    };
    scenario.cache.max_entries = cache_entries;
    scenario.settings.agents = agents;
    scenario.settings.tree_reuse = tree_reuse;
    scenario.settings.search.simulations = Simulations::PerMove(14);
    let settings = Arc::new(scenario.settings.clone());
    let running = scenario.start();
    loop {
        let (_, ply) = plies.recv_timeout(DEADLINE).expect("games go on");
        if ply.model_version == last {
            break;
        }
    }
    running.controller.drain("seen enough", DEADLINE);
    let played = running.finish();
    assert_eq!((played.ending, played.stats.games_abandoned), (Ending::Clean, 0));
    assert_eq!(played.stats.models_loaded, last as u64);
    let mixed: u64 = played.games.values().map(|read| Proof::new(&settings, read).run()).sum();
    let plies = played.stats.plies();
    eprintln!("{} games, {plies} plies, {mixed} of them by two models or more", played.games.len());
    assert!(agents.contains(&Agent::Raw) || mixed > 0, "no model took over amid a search");
}

#[test]
fn every_game_is_explained_by_models_that_never_go_back() {
    prove(500, 1, [Agent::Raw, Agent::Search], false, None);
    prove(500, 2, [Agent::Search, Agent::Raw], false, Some(50));
}

#[test]
fn every_game_is_explained_when_trees_are_kept_from_move_to_move() {
    prove(500, 1, [Agent::Search; 2], true, None);
    prove(500, 2, [Agent::Search; 2], true, Some(0));
}
