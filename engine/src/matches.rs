//! Games between two players that choose their moves in ways of their own, such as two networks or two settings of the search.
//!
//! Games come in pairs of one opening, with the players' sides exchanged, so that what an opening gives to one side it gives to each
//! player once. Nothing in a match is noisy: after the opening every player plays its best move. So a game follows from its
//! opening and what the players' evaluators answer, and a player against itself gets exactly one point out of each pair.
//! There are two exceptions: the choices of [`Mover::Random`] follow from the seed, and an open-ended search from when it is told that it is enough.

#[cfg(test)]
mod tests;

use rand::RngExt as _;

use crate::{
    evaluation::{DrawChance, Evaluation, Evaluations, Leaf},
    game::{Action, ActionSet, Draw, Game, Outcome, Player},
    replay::{Ending, GameRecord, PlyKind, PlyNotes, PlyRecord},
    search::{Decision, Gathered, Search, SearchEffort, SearchParams, Share, SpareTree},
    selfplay::{Purpose, ply_rng},
    solve::Class,
};

/// A game that is longer is a draw: some games of random players would never end.
pub const MOST_PLIES: u32 = 10_000;

/// A search that goes on until it is told that it is enough ends by itself when its tree has so many nodes: memory is not endless.
pub const MOST_NODES: usize = 2_000_000;

/// What is known of a ply of the opening.
const OPENING: PlyNotes = PlyNotes { kind: PlyKind::Opening, weight: 0.0, ..PlyNotes::unknown(false) };

/// How a player chooses its moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mover {
    /// By a search.
    Search,
    /// By the network alone: its most likely action.
    Raw,
    /// Evenly among the legal actions.
    Random,
    /// By a solver, which is asked outside of the game.
    Solver,
}

/// A player of a match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seat {
    /// How it chooses moves.
    pub mover: Mover,
    /// Its search, if it searches; never with noise or Gumbel draws.
    pub search: SearchParams,
    /// Whether it keeps the subtree of the moves played.
    pub tree_reuse: bool,
    /// Subtract 1 from the score of actions that lead to a position of this game. Turns tree reuse off.
    pub penalize_visited_states: bool,
    /// Its search goes on until it is told that it is enough ([`MatchGame::enough`]), and asks after each gather and each so many
    /// simulations as `search` says. Not by Gumbel's rule.
    pub open_ended: bool,
}

/// What a game needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The evaluations of the leaves that were appended, by the evaluator of this player.
    Leaves(Player),
    /// Nothing, the search of this player goes on: time to look whether it is enough.
    Thinking(Player),
    /// A move of [`MatchGame::state`], for [`MatchGame::choose`].
    Choice,
    /// Nothing: it is over.
    Over(Outcome),
}

/// What the player to move waits for.
enum Waiting {
    Nothing,
    Search(Gathered),
    Raw,
}

/// What a search comes to.
enum Thought {
    Decided(Decision, PlyNotes),
    Asks,
    GoesOn,
}

/// One game of a match.
pub struct MatchGame<G: Game> {
    game: G,
    /// The first player's and the second's.
    seats: [Seat; 2],
    searches: [Search<G>; 2],
    seed: u64,
    pair: u64,
    state: G::State,
    searching: bool,
    /// The search at hand is to end.
    enough: bool,
    waiting: Waiting,
    plies: Vec<PlyRecord<G>>,
}

impl<G: Game> MatchGame<G> {
    /// A game after `opening`, whose actions must be legal one after the other. `seats`: the first player's and the second's.
    /// `seed` and `pair` fix the choices of random players, and among moves that are equally good.
    pub fn new(game: G, seats: [Seat; 2], opening: &[Action], seed: u64, pair: u64) -> Self {
        let search = |seat: Seat| Search::new(game.clone(), seat.search.without_chance(), seat.penalize_visited_states);
        let mut searches = seats.map(search);
        let mut state = game.start();
        let mut plies = Vec::new();
        for &action in opening {
            searches.iter_mut().for_each(|search| search.note_visited(&state));
            plies.push(PlyRecord::new(&game, &state, without_reason(action), 0, OPENING));
            game.play(&mut state, action);
        }
        let waiting = Waiting::Nothing;
        Self { game, seats, searches, seed, pair, state, searching: false, enough: false, waiting, plies }
    }

    /// All plies so far, those of the opening among them. Of model versions they say nothing.
    #[must_use]
    pub fn plies(&self) -> &[PlyRecord<G>] {
        &self.plies
    }

    /// All actions so far.
    #[must_use]
    pub fn actions(&self) -> Vec<Action> {
        self.plies.iter().map(|ply| ply.action).collect()
    }

    /// What is kept of a game that ended with `outcome`, as game `index` of its match.
    #[must_use]
    pub fn into_record(self, index: u64, outcome: Outcome) -> GameRecord<G> {
        GameRecord {
            index,
            seed: self.seed,
            model_version: 0,
            plies: self.plies,
            outcome,
            ending: Ending::Rules,
            effort: SearchEffort::default(),
            resign: None,
        }
    }

    /// The position at hand.
    #[must_use]
    pub const fn state(&self) -> &G::State {
        &self.state
    }

    /// Plays one of `actions`, which are the best and worth this much: legal ones, at least one.
    pub fn choose(&mut self, actions: &[Action], worth: Class, spare: &mut SpareTree<G>) {
        let share = 1.0 / actions.len() as f32;
        let policy = actions.iter().map(|&action| Share { action, visits: 0, probability: share }).collect();
        let (action, value) = (self.one_of(actions), f32::from(worth.value()));
        let notes = PlyNotes { proven: true, best_value: value, played_value: value, ..PlyNotes::unknown(false) };
        self.play(Decision { action, policy, value, draw: DrawChance::UNKNOWN }, notes, spare);
    }

    fn one_of(&self, actions: &[Action]) -> Action {
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        actions[rng.random_range(0..actions.len())]
    }

    /// Ends the search at hand, if it goes on until then: what it has found is played by the next [`MatchGame::advance`], once it has looked
    /// at one move.
    pub const fn enough(&mut self) {
        self.enough = true;
    }

    /// Goes on until evaluations are needed, whose leaves it appends to `leaves`, or a move, or the game is over; or a search asks whether
    /// it is enough. After [`Step::Leaves`] the next call must be [`MatchGame::apply`], after [`Step::Choice`] [`MatchGame::choose`].
    pub fn advance(&mut self, leaves: &mut Vec<Leaf<G>>, spare: &mut SpareTree<G>) -> Step {
        loop {
            if let Some(outcome) = self.ended() {
                return Step::Over(outcome);
            }
            let mover = self.game.side_to_move(&self.state);
            match self.seats[mover.index()].mover {
                Mover::Random => {
                    let legal: Vec<_> = self.game.legal_actions(&self.state).iter().collect();
                    self.play(without_reason(self.one_of(&legal)), PlyNotes::unknown(false), spare);
                }
                Mover::Solver => return Step::Choice,
                Mover::Raw => {
                    let legal = self.game.legal_actions(&self.state);
                    leaves.push(Leaf::new(&self.game, &self.state, &legal));
                    self.waiting = Waiting::Raw;
                    return Step::Leaves(mover);
                }
                Mover::Search => match self.search(mover, leaves) {
                    Thought::Decided(decision, notes) => self.play(decision, notes, spare),
                    Thought::Asks => return Step::Leaves(mover),
                    Thought::GoesOn => return Step::Thinking(mover),
                },
            }
        }
    }

    fn search(&mut self, mover: Player, leaves: &mut Vec<Leaf<G>>) -> Thought {
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        let search = &mut self.searches[mover.index()];
        let open_ended = self.seats[mover.index()].open_ended;
        if !std::mem::replace(&mut self.searching, true) {
            search.begin(&self.state, &mut rng);
            self.enough = false;
        } else if open_ended {
            search.go_on();
        }
        let enough = open_ended && (self.enough || search.size().nodes >= MOST_NODES);
        // Before it has looked at any move there is none to play.
        if !enough || search.visits().is_empty() {
            if let Some(gathered) = search.gather(leaves) {
                self.waiting = Waiting::Search(gathered);
                return Thought::Asks;
            }
            if open_ended && !enough && search.go_on() {
                return Thought::GoesOn;
            }
        }
        let effort = search.end();
        let decision = search.decide(0.0, &mut rng);
        let notes = PlyNotes::of_search(effort, search.notes(&decision));
        Thought::Decided(decision, notes)
    }

    /// Takes the evaluations of the leaves that the last [`MatchGame::advance`] appended.
    pub fn apply(&mut self, evaluations: &Evaluations, spare: &mut SpareTree<G>) {
        let mover = self.game.side_to_move(&self.state);
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Search(gathered) => self.searches[mover.index()].apply(gathered, evaluations, &mut rng),
            Waiting::Raw => {
                let Evaluation { value, draw, priors } = evaluations.get(0);
                let best = (0..priors.len()).rev().max_by(|&a, &b| priors[a].total_cmp(&priors[b])).unwrap_or(0);
                let seen = self.game.turn_actions(mover, &self.game.legal_actions(&self.state));
                let turned = |action| self.game.turn_action(mover, action);
                let share =
                    |(action, &probability): (_, &f32)| Share { action: turned(action), visits: 0, probability };
                let policy = seen.iter().zip(priors).map(share).collect();
                let notes = PlyNotes { raw_value: value, divergence: 0.0, ..PlyNotes::unknown(false) };
                self.play(Decision { action: turned(seen.nth(best)), policy, value, draw }, notes, spare);
            }
            Waiting::Nothing => debug_assert!(false, "evaluations for a game that asked for none"),
        }
    }

    fn play(&mut self, decision: Decision, notes: PlyNotes, spare: &mut SpareTree<G>) {
        let action = decision.action;
        for (search, seat) in self.searches.iter_mut().zip(&self.seats) {
            search.note_visited(&self.state);
            if seat.tree_reuse && !seat.penalize_visited_states {
                search.advance(action, spare);
            } else {
                search.forget();
            }
        }
        self.plies.push(PlyRecord::new(&self.game, &self.state, decision, 0, notes));
        self.game.play(&mut self.state, action);
        self.searching = false;
    }

    fn ended(&self) -> Option<Outcome> {
        let unending = || self.game.ply(&self.state) >= MOST_PLIES || self.game.legal_actions(&self.state).is_empty();
        self.game.outcome(&self.state).or_else(|| unending().then_some(Outcome::Draw(Draw::StepLimit)))
    }
}

/// A move of which no more is known than that it was played.
fn without_reason(action: Action) -> Decision {
    let policy = vec![Share { action, visits: 0, probability: 1.0 }];
    Decision { action, policy, value: 0.0, draw: DrawChance::UNKNOWN }
}

/// A random opening of `plies` legal plies, the `attempt`-th of those that pair `pair` may begin with. `None` where the game is over
/// before.
pub fn opening<G: Game>(game: &G, seed: u64, pair: u64, attempt: u32, plies: u32) -> Option<Vec<Action>> {
    let mut rng = ply_rng(seed, pair, attempt, Purpose::Noise);
    let mut state = game.start();
    let mut actions = Vec::with_capacity(plies as usize);
    while actions.len() < plies as usize && game.outcome(&state).is_none() {
        let legal = game.legal_actions(&state);
        let action = legal.nth(rng.random_range(0..legal.len()));
        game.play(&mut state, action);
        actions.push(action);
    }
    game.outcome(&state).is_none().then_some(actions)
}
