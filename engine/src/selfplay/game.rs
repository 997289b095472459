//! The state machine of one self-play game.

use std::sync::Arc;

use super::{
    early::{Early, EarlyEnds},
    opening::{self, OpeningPlies, OpeningPly},
    random::{Purpose, ply_rng},
    rows::weigh,
    settings::{Agent, PlaySettings},
    symmetric::Symmetric,
};
use crate::{
    evaluation::{DrawChance, Evaluations, Leaf, Worth},
    game::{ActionSet, Draw, Game, Outcome},
    replay::{Ending, GameRecord, PlyKind, PlyNotes, PlyRecord},
    search::{Decision, Gathered, LeafCounts, MoveEffort, Root, Search, Share, SpareTree, TreeSize, choose_action},
};

/// What a game needs next.
#[derive(Debug)]
pub enum Progress<G: Game> {
    /// The evaluations of the leaves it appended.
    Leaves,
    /// Nothing: it is over.
    Finished(GameRecord<G>),
}

/// How far the ply at hand is.
enum Ply {
    /// Nothing has come of it yet; the leaf of the raw agent may be out.
    Fresh,
    /// Its search has begun, and waits for nothing.
    Searching,
    /// Its search waits for evaluations.
    Waiting(Gathered),
    /// The raw agent's leaf was evaluated.
    Evaluated {
        /// Of the position, from the mover's view.
        worth: Worth,
        /// Of its legal actions, network frame.
        priors: Vec<f32>,
    },
}

/// What is known of a ply of the opening.
const OPENING: PlyNotes = PlyNotes { kind: PlyKind::Opening, weight: 0.0, ..PlyNotes::unknown(false) };

/// Whose values the tree holds; models by their generation.
#[derive(Clone, Copy)]
enum Values {
    /// None.
    Nothing,
    /// One model's, all from before the ply at hand.
    Kept(u64),
    /// One model's, some of them from the ply at hand.
    OneModel(u64),
    /// Those of more than one model.
    Mixed,
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
    opening: OpeningPlies,
    early: Early<G>,
    ply: Ply,
    /// Of the search at hand.
    kind: PlyKind,
    values: Values,
    plies: Vec<PlyRecord<G>>,
    first_version: Option<i64>,
    /// Version of the model that answered last.
    version: i64,
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
        let opening = OpeningPlies::draw(&settings.opening, seed, index);
        let early = Early::new(EarlyEnds::default(), settings.resign, seed, index);
        let version = plies.last().map(|ply| ply.model_version).or(first_version).unwrap_or(0);
        Self {
            game,
            settings,
            seed,
            index,
            state,
            search,
            symmetric,
            opening,
            early,
            ply: Ply::Fresh,
            kind: PlyKind::Full,
            values: Values::Nothing,
            plies,
            first_version,
            version,
            searched: Vec::new(),
        }
    }

    /// The game with what ends it early; the same from its first ply to its last.
    #[must_use]
    pub fn ending_by(mut self, ends: EarlyEnds<G>) -> Self {
        self.early = Early::new(ends, self.settings.resign, self.seed, self.index);
        self.look_for_an_end();
        self
    }

    fn look_for_an_end(&mut self) {
        // A game is more than its opening.
        if self.plies.last().is_some_and(|ply| ply.notes.kind != PlyKind::Opening) {
            self.early.look(&self.game, &self.state);
        }
    }

    /// Goes on until evaluations are needed, whose leaves it appends to `leaves`, or the game is over. After
    /// [`Progress::Leaves`] the next call must be [`SelfPlayGame::apply`].
    pub fn advance(&mut self, leaves: &mut Vec<Leaf<G>>, spare: &mut SpareTree<G>) -> Progress<G> {
        loop {
            if let Some((outcome, ending)) = self.ended() {
                return Progress::Finished(self.record(outcome, ending));
            }
            let before = leaves.len();
            let ply = match (self.opening_moves(), self.agent()) {
                (Some((OpeningPly::Random, moves)), _) => Some(self.random_opening_ply(&moves)),
                (Some((OpeningPly::Policy, moves)), _) => self.policy_opening_ply(&moves, leaves),
                (None, Agent::Search) => self.search_ply(leaves),
                (None, Agent::Raw) => self.raw_ply(leaves),
                (None, Agent::Random) => Some(self.random_ply()),
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
    /// of both, is dropped at the next move. A tree kept from an earlier move is not mixed at all, and none is where the search
    /// does not allow it ([`Search::keeps_tree`]): the move starts afresh.
    pub fn apply(&mut self, evaluations: &Evaluations, generation: u64, version: i64) {
        // Taken out for a moment, so that the game can be lent to the search.
        let Some(mut symmetric) = self.symmetric.take() else { return self.take(evaluations, generation, version) };
        self.take(symmetric.turn_back(&self.game, evaluations), generation, version);
        self.symmetric = Some(symmetric);
    }

    fn take(&mut self, evaluations: &Evaluations, generation: u64, version: i64) {
        let outdated = match self.values {
            Values::Kept(model) => model != generation,
            Values::OneModel(model) => model != generation && !self.search.keeps_tree(),
            Values::Nothing | Values::Mixed => false,
        };
        if outdated {
            self.search.forget();
            self.values = Values::Nothing;
        }
        match std::mem::replace(&mut self.ply, Ply::Fresh) {
            // It was gathered from the tree that is gone: the move starts afresh and asks again.
            Ply::Waiting(_) if outdated => return,
            Ply::Waiting(gathered) => {
                let mut rng = self.root_rng();
                self.search.apply(gathered, evaluations, &mut rng);
                self.values = match self.values {
                    Values::Nothing | Values::Kept(_) => Values::OneModel(generation),
                    Values::OneModel(model) if model == generation => self.values,
                    Values::OneModel(_) | Values::Mixed => Values::Mixed,
                };
                self.ply = Ply::Searching;
            }
            Ply::Fresh | Ply::Searching | Ply::Evaluated { .. } => {
                let evaluation = evaluations.get(0);
                self.ply = Ply::Evaluated { worth: evaluation.worth(), priors: evaluation.priors.to_vec() };
            }
        }
        self.version = version;
        self.first_version.get_or_insert(version);
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
    pub const fn is_searching(&self) -> bool {
        matches!(self.ply, Ply::Waiting(_))
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

    /// For what the search draws at its root.
    fn root_rng(&self) -> rand_chacha::ChaCha8Rng {
        self.rng(match self.settings.search.root {
            Root::Puct(_) => Purpose::Noise,
            Root::Gumbel(_) => Purpose::Gumbel,
        })
    }

    fn agent(&self) -> Agent {
        self.settings.agents[self.game.side_to_move(&self.state).index()]
    }

    fn ended(&self) -> Option<(Outcome, Ending)> {
        if let Some(outcome) = self.early.verdict() {
            return Some((outcome, Ending::Adjudicated));
        }
        let stuck = || self.game.legal_actions(&self.state).is_empty();
        let outcome = self.game.outcome(&self.state).or_else(|| stuck().then_some(Outcome::Draw(Draw::NoLegalAction)));
        let resigned = || Some((self.early.resigned(&self.plies)?, Ending::Resigned));
        outcome.map(|outcome| (outcome, Ending::Rules)).or_else(resigned)
    }

    /// One step of the search; the finished ply once no leaf is needed.
    fn search_ply(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<PlyRecord<G>> {
        if matches!(self.ply, Ply::Fresh) {
            self.prepare_search();
            let mut rng = self.root_rng();
            self.search.begin(&self.state, &mut rng);
            self.ply = Ply::Searching;
        }
        if let Some(gathered) = self.search.gather(leaves) {
            self.ply = Ply::Waiting(gathered);
            return None;
        }
        let effort = self.search.end();
        self.searched.push(effort);
        let temperature = self.settings.temperature_at(self.game.ply(&self.state));
        let decision = self.search.decide(temperature, &mut self.rng(Purpose::Choice));
        let params = self.settings.rows.params(self.kind, self.settings.search);
        let notes = PlyNotes {
            kind: self.kind,
            weight: self.weight(),
            noise: params.draws(),
            mixed: matches!(self.values, Values::Mixed),
            ..PlyNotes::of_search(effort, self.search.notes(&decision))
        };
        Some(self.record_ply(decision, notes))
    }

    /// Chooses the size of the search of the next ply. One of full size begins with a fresh tree, so that no simulation of a target was made
    /// without noise; a cheap one goes on with what is there (Wu 2019, as KataGo does).
    fn prepare_search(&mut self) {
        let (rows, soft_resign) = (self.settings.rows, self.settings.soft_resign);
        if rows.all_full() && soft_resign.is_none() {
            return;
        }
        if !rows.all_full() {
            self.kind = rows.draw(&mut self.rng(Purpose::Size));
            if self.kind == PlyKind::Full {
                self.search.forget();
                self.values = Values::Nothing;
            }
        }
        let mut params = rows.params(self.kind, self.settings.search);
        if let Some(soft) = soft_resign {
            let legal = self.game.legal_actions(&self.state).len();
            params.simulations = soft.simulations(&self.plies, params.simulations, legal);
        }
        self.search.use_params(params);
    }

    /// Of the search at hand, as a policy target.
    fn weight(&self) -> f32 {
        match (self.kind, self.settings.soft_resign) {
            (PlyKind::Full, Some(soft)) => soft.weight(&self.plies),
            (PlyKind::Full, None) => 1.0,
            _ => 0.0,
        }
    }

    fn raw_ply(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<PlyRecord<G>> {
        let decision = self.raw_decision(leaves)?;
        let notes = PlyNotes { raw_value: decision.value, divergence: 0.0, ..PlyNotes::unknown(false) };
        Some(self.record_ply(decision, notes))
    }

    /// What the network says of the position, and its most likely action.
    fn raw_decision(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<Decision> {
        let legal = self.game.legal_actions(&self.state);
        let Ply::Evaluated { worth, priors } = &mut self.ply else {
            leaves.push(Leaf::new(&self.game, &self.state, &legal));
            return None;
        };
        let (Worth { value, draw }, mut priors) = (*worth, std::mem::take(priors));
        self.game.turn_priors(self.game.side_to_move(&self.state), &legal, &mut priors);
        let share = |(action, probability)| Share { action, visits: 0, probability };
        let policy: Vec<_> = legal.iter().zip(priors).map(share).collect();
        let best =
            policy.iter().copied().reduce(|best, next| if next.probability > best.probability { next } else { best });
        let action = best.map_or_else(|| legal.nth(0), |best| best.action);
        Some(Decision { action, policy, value, draw })
    }

    fn random_ply(&self) -> PlyRecord<G> {
        let legal = self.game.legal_actions(&self.state);
        let evenly: Vec<_> = legal.iter().map(|action| (action, 1)).collect();
        let mut rng = self.rng(Purpose::Choice);
        let action = choose_action(&evenly, 1.0, &mut rng).unwrap_or_else(|| legal.nth(0));
        let policy = vec![Share { action, visits: 0, probability: 1.0 }];
        let decision = Decision { action, policy, value: 0.0, draw: DrawChance::UNKNOWN };
        self.record_ply(decision, PlyNotes::unknown(false))
    }

    /// How the ply at hand is chosen and from which moves, if it is one of the opening. The opening is over, too, where every move
    /// ends the game.
    fn opening_moves(&self) -> Option<(OpeningPly, G::Actions)> {
        let begun = matches!(self.ply, Ply::Searching | Ply::Waiting(_));
        let kind = self.opening.ply(self.game.ply(&self.state)).filter(|_| !begun)?;
        let moves = opening::moves(&self.game, &self.state);
        (!moves.is_empty()).then_some((kind, moves))
    }

    fn random_opening_ply(&self, moves: &G::Actions) -> PlyRecord<G> {
        let evenly: Vec<_> = moves.iter().map(|action| (action, 1.0)).collect();
        let action = opening::choose(&evenly, &mut self.rng(Purpose::Opening)).unwrap_or_else(|| moves.nth(0));
        let policy = vec![Share { action, visits: 0, probability: 1.0 }];
        self.record_ply(Decision { action, policy, value: 0.0, draw: DrawChance::UNKNOWN }, OPENING)
    }

    fn policy_opening_ply(&mut self, moves: &G::Actions, leaves: &mut Vec<Leaf<G>>) -> Option<PlyRecord<G>> {
        let decision = self.raw_decision(leaves)?;
        let among = decision.policy.iter().filter(|share| moves.contains(share.action));
        let shares: Vec<_> = among.map(|share| (share.action, share.probability)).collect();
        let action = opening::choose(&shares, &mut self.rng(Purpose::Opening)).unwrap_or_else(|| moves.nth(0));
        let notes = PlyNotes { raw_value: decision.value, divergence: 0.0, ..OPENING };
        Some(self.record_ply(Decision { action, ..decision }, notes))
    }

    fn record_ply(&self, decision: Decision, notes: PlyNotes) -> PlyRecord<G> {
        PlyRecord::new(&self.game, &self.state, decision, self.version, notes)
    }

    /// See [`Search::shrink`].
    pub fn shrink(&mut self) {
        self.search.shrink();
    }

    fn play(&mut self, ply: PlyRecord<G>, spare: &mut SpareTree<G>) {
        if self.settings.tree_reuse && !matches!(self.values, Values::Mixed) {
            self.search.advance(ply.action, spare);
        } else {
            self.search.forget();
        }
        self.values = match self.values {
            Values::Kept(model) | Values::OneModel(model) if self.search.size().nodes > 0 => Values::Kept(model),
            _ => Values::Nothing,
        };
        self.search.note_visited(&self.state);
        self.ply = Ply::Fresh;
        self.game.play(&mut self.state, ply.action);
        self.plies.push(ply);
        self.look_for_an_end();
    }

    fn record(&mut self, outcome: Outcome, ending: Ending) -> GameRecord<G> {
        if self.settings.rows.surprise > 0.0 {
            weigh(self.plies.iter_mut().map(|ply| &mut ply.notes), self.settings.rows.surprise);
        }
        let resign = self.early.notes(&self.plies);
        let model_version = self.first_version.unwrap_or(self.version);
        // No model had answered before the random plies of an opening.
        let random = |ply: &&mut PlyRecord<G>| ply.notes.kind == PlyKind::Opening && ply.notes.raw_value.is_nan();
        self.plies.iter_mut().take_while(random).for_each(|ply| ply.model_version = model_version);
        GameRecord {
            index: self.index,
            seed: self.seed,
            model_version,
            plies: std::mem::take(&mut self.plies),
            outcome,
            ending,
            effort: self.search.effort(),
            resign,
        }
    }
}
