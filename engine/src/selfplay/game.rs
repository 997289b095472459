//! The state machine of one self-play game.

use std::sync::Arc;

use super::{
    choose::{Purpose, choose_action, ply_rng},
    symmetric::Symmetric,
};
use crate::{
    evaluation::{Evaluations, Leaf},
    game::{Action, ActionSet, Draw, Game, Outcome},
    replay::{GameRecord, PlyRecord, Target},
    search::{LeafCounts, MoveEffort, Search, SearchParams, SpareTree, TreeSize},
};

/// Who chooses the actions of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// The tree search.
    Search,
    /// The network without search: its most likely action.
    Raw,
    /// Evenly among the legal actions.
    Random,
}

/// How games are played: the same for all games of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaySettings {
    /// The search of [`Agent::Search`].
    pub search: SearchParams,
    /// Actions are chosen with probability proportional to visits^(1/temperature); 0 takes the most visited.
    pub temperature: f32,
    /// From this ply on the temperature is 0.
    pub drop_t_on_step: Option<u32>,
    /// Keep the chosen action's subtree for the next move.
    pub tree_reuse: bool,
    /// Subtract 1 from the score of actions that lead to a position this game has visited. Turns tree reuse off.
    pub penalize_visited_states: bool,
    /// Ask a position and its symmetric images as one.
    pub symmetry: bool,
    /// Agents of the first and the second player.
    pub agents: [Agent; 2],
}

/// What a game needs next.
#[derive(Debug)]
pub enum Progress<G: Game> {
    /// The evaluations of the leaves it appended.
    Leaves,
    /// Nothing: it is over.
    Finished(GameRecord<G>),
}

/// A game in play.
pub struct SelfPlayGame<G: Game> {
    game: G,
    settings: Arc<PlaySettings>,
    seed: u64,
    index: u64,
    state: G::State,
    search: Search<G>,
    /// Where a position and its images are asked as one.
    symmetric: Option<Symmetric<G>>,
    /// The raw agent's answer, once there.
    raw: Option<Evaluations>,
    /// Whether the ply at hand has begun.
    thinking: bool,
    plies: Vec<PlyRecord<G>>,
    first_version: Option<i64>,
    /// Version of the model that answered last.
    version: i64,
    /// Generation of the model that answered last for the tree at hand; `None` for a tree without evaluations.
    tree_generation: Option<u64>,
    /// The tree holds values of more than one model.
    stale_tree: bool,
    /// No evaluation was applied since the ply began.
    untouched: bool,
    /// Moves searched to their end since they were last taken.
    searched: Vec<MoveEffort>,
}

impl<G: Game> SelfPlayGame<G> {
    /// A game before its first ply. `index` and `seed` fix all its randomness.
    pub fn new(game: G, settings: Arc<PlaySettings>, seed: u64, index: u64) -> Self {
        Self::resume(game, settings, seed, index, Vec::new(), None)
    }

    /// A game that goes on after `plies`, which were played by a game with the same arguments; its tree starts afresh.
    /// `first_version`: the model version that served when that game began.
    pub fn resume(
        game: G,
        settings: Arc<PlaySettings>,
        seed: u64,
        index: u64,
        plies: Vec<PlyRecord<G>>,
        first_version: Option<i64>,
    ) -> Self {
        let mut search = Search::new(game.clone(), settings.search, settings.penalize_visited_states);
        let mut state = game.start();
        for ply in &plies {
            search.note_visited(&state);
            game.play(&mut state, ply.action);
        }
        let symmetric = settings.symmetry.then(Symmetric::new);
        let version = plies.last().map(|ply| ply.model_version).or(first_version).unwrap_or(0);
        Self {
            game,
            settings,
            seed,
            index,
            state,
            search,
            symmetric,
            raw: None,
            thinking: false,
            plies,
            first_version,
            version,
            tree_generation: None,
            stale_tree: false,
            untouched: true,
            searched: Vec::new(),
        }
    }

    /// Goes on until evaluations are needed, whose leaves it appends to `leaves`, or the game is over. After
    /// [`Progress::Leaves`] the next call must be [`SelfPlayGame::apply`].
    pub fn advance(&mut self, leaves: &mut Vec<Leaf<G>>, spare: &mut SpareTree<G>) -> Progress<G> {
        loop {
            if let Some(outcome) = self.ended() {
                return Progress::Finished(self.record(outcome));
            }
            let before = leaves.len();
            let ply = match self.agent() {
                Agent::Search => self.search_ply(leaves),
                Agent::Raw => self.raw_ply(leaves),
                Agent::Random => Some(self.random_ply()),
            };
            match ply {
                Some(ply) => self.play(ply, spare),
                None => {
                    debug_assert!(leaves.len() > before);
                    if let Some(symmetric) = &mut self.symmetric {
                        symmetric.turn(&self.game, &mut leaves[before..]);
                    }
                    return Progress::Leaves;
                }
            }
        }
    }

    /// Takes the evaluations of the leaves that the last [`SelfPlayGame::advance`] appended, and says which model made them: one
    /// model for all of them, another `generation` than before for another model.
    ///
    /// A model change takes effect at once: the search goes on with the new model's evaluations, and its tree, which holds values
    /// of both, is dropped at the next move. A tree kept from an earlier move is not mixed at all: the move starts afresh.
    pub fn apply(&mut self, evaluations: &Evaluations, generation: u64, version: i64) {
        // Taken out for a moment, so that the game can be lent to the search.
        let Some(mut symmetric) = self.symmetric.take() else { return self.take(evaluations, generation, version) };
        self.take(symmetric.turn_back(&self.game, evaluations), generation, version);
        self.symmetric = Some(symmetric);
    }

    fn take(&mut self, evaluations: &Evaluations, generation: u64, version: i64) {
        let kept_tree = self.tree_generation.replace(generation).filter(|&kept| kept != generation);
        if kept_tree.is_some() {
            if self.untouched {
                // The tree was kept before this model was seen: the move starts afresh and asks again.
                self.search.forget();
                self.thinking = false;
                self.tree_generation = None;
                return;
            }
            self.stale_tree = true;
        }
        self.untouched = false;
        self.version = version;
        self.first_version.get_or_insert(version);
        match self.agent() {
            Agent::Search => {
                let mut rng = self.rng(Purpose::Noise);
                self.search.apply(evaluations, &mut rng);
            }
            Agent::Raw | Agent::Random => self.raw = Some(evaluations.clone()),
        }
    }

    /// The plies completed so far.
    #[must_use]
    pub fn plies(&self) -> &[PlyRecord<G>] {
        &self.plies
    }

    /// Version of the model that served when the game began; `None` before its first evaluation.
    #[must_use]
    pub fn first_version(&self) -> Option<i64> {
        self.first_version
    }

    /// Simulations of this game so far, by kind.
    #[must_use]
    pub fn counts(&self) -> LeafCounts {
        self.search.counts()
    }

    /// What the searches of the moves amounted to that were played since the last call; moves without a search are left out.
    pub fn take_searched(&mut self) -> impl Iterator<Item = MoveEffort> {
        self.searched.drain(..)
    }

    /// Whether a search waits for the evaluations that were asked for last.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.search.is_waiting()
    }

    /// Leaves of this game that were asked as an image of theirs.
    #[must_use]
    pub fn mirrored(&self) -> u64 {
        self.symmetric.as_ref().map_or(0, Symmetric::mirrored)
    }

    /// Size of the tree at hand.
    #[must_use]
    pub fn tree_size(&self) -> TreeSize {
        self.search.size()
    }

    fn rng(&self, purpose: Purpose) -> rand_chacha::ChaCha8Rng {
        ply_rng(self.seed, self.index, self.game.ply(&self.state), purpose)
    }

    fn agent(&self) -> Agent {
        self.settings.agents[self.game.side_to_move(&self.state).index()]
    }

    fn ended(&self) -> Option<Outcome> {
        let stuck = || self.game.legal_actions(&self.state).is_empty();
        self.game.outcome(&self.state).or_else(|| stuck().then_some(Outcome::Draw(Draw::NoLegalAction)))
    }

    /// One step of the search; the finished ply once no leaf is needed.
    fn search_ply(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<PlyRecord<G>> {
        if !self.thinking {
            let mut rng = self.rng(Purpose::Noise);
            self.search.begin(&self.state, &mut rng);
            self.thinking = true;
        }
        let before = leaves.len();
        self.search.gather(leaves);
        if leaves.len() > before {
            return None;
        }
        let effort = self.search.end();
        self.searched.push(effort);
        let visits = self.search.visits();
        let total: u32 = visits.iter().map(|&(_, visits)| visits).sum();
        let dropped = self.settings.drop_t_on_step.is_some_and(|step| self.game.ply(&self.state) >= step);
        let temperature = if dropped { 0.0 } else { self.settings.temperature };
        let mut rng = self.rng(Purpose::Choice);
        // At least two simulations: something was visited.
        let action = choose_action(&visits, temperature, &mut rng)
            .unwrap_or_else(|| self.game.legal_actions(&self.state).nth(0));
        let shares = visits.iter().map(|&(action, visits)| (action, visits, visits as f32 / total as f32));
        Some(self.ply(action, shares.collect(), self.search.root_value()))
    }

    fn raw_ply(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<PlyRecord<G>> {
        let legal = self.game.legal_actions(&self.state);
        let Some(evaluations) = self.raw.take() else {
            leaves.push(Leaf::new(&self.game, &self.state, &legal));
            return None;
        };
        let evaluation = evaluations.get(0);
        let mut priors = evaluation.priors.to_vec();
        self.game.turn_priors(self.game.side_to_move(&self.state), &legal, &mut priors);
        let shares: Vec<_> = legal.iter().zip(priors).map(|(action, prior)| (action, 0, prior)).collect();
        let best = shares.iter().copied().reduce(|best, next| if next.2 > best.2 { next } else { best });
        let action = best.map_or_else(|| legal.nth(0), |(action, ..)| action);
        Some(self.ply(action, shares, evaluation.value))
    }

    fn random_ply(&self) -> PlyRecord<G> {
        let legal = self.game.legal_actions(&self.state);
        let evenly: Vec<_> = legal.iter().map(|action| (action, 1)).collect();
        let mut rng = self.rng(Purpose::Choice);
        let action = choose_action(&evenly, 1.0, &mut rng).unwrap_or_else(|| legal.nth(0));
        self.ply(action, vec![(action, 0, 1.0)], 0.0)
    }

    /// `shares`: action (game frame), visits, probability.
    fn ply(&self, action: Action, shares: Vec<(Action, u32, f32)>, root_value: f32) -> PlyRecord<G> {
        let player = self.game.side_to_move(&self.state);
        let targets = shares.into_iter().filter(|&(_, _, probability)| probability > 0.0);
        PlyRecord {
            leaf: Leaf::new(&self.game, &self.state, &self.game.legal_actions(&self.state)),
            player,
            action,
            targets: targets
                .map(|(action, visits, probability)| Target {
                    action: self.game.turn_action(player, action),
                    visits,
                    probability,
                })
                .collect(),
            root_value,
            model_version: self.version,
        }
    }

    /// See [`Search::shrink`].
    pub fn shrink(&mut self) {
        self.search.shrink();
    }

    fn play(&mut self, ply: PlyRecord<G>, spare: &mut SpareTree<G>) {
        if self.settings.tree_reuse && !self.stale_tree {
            self.search.advance(ply.action, spare);
        } else {
            self.search.forget();
        }
        if self.search.size().nodes == 0 {
            self.tree_generation = None;
        }
        self.search.note_visited(&self.state);
        self.stale_tree = false;
        self.thinking = false;
        self.untouched = true;
        self.game.play(&mut self.state, ply.action);
        self.plies.push(ply);
    }

    fn record(&mut self, outcome: Outcome) -> GameRecord<G> {
        GameRecord {
            index: self.index,
            seed: self.seed,
            model_version: self.first_version.unwrap_or(self.version),
            plies: std::mem::take(&mut self.plies),
            outcome,
            effort: self.search.effort(),
        }
    }
}
