//! Games between two players that choose their moves in ways of their own, such as two networks or two settings of the search.
//!
//! Games come in pairs of one opening, with the players' sides exchanged, so that what an opening gives to one side it gives to each
//! player once. Nothing in a match is noisy: after the opening every player plays its best move. So a game follows from its
//! opening and what the players' evaluators answer, and a player against itself gets exactly one point out of each pair.
//! The one exception is [`Mover::Random`], whose choices follow from the seed.

use rand::RngExt as _;

use crate::{
    evaluation::{Evaluations, Leaf},
    game::{Action, ActionSet, Draw, Game, Outcome, Player},
    search::{Gathered, Search, SearchParams, SpareTree},
    selfplay::{Purpose, ply_rng},
};

/// A game that is longer is a draw: some games of random players would never end.
pub const MOST_PLIES: u32 = 10_000;

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
}

/// What a game needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The evaluations of the leaves that were appended, by the evaluator of this player.
    Leaves(Player),
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
    waiting: Waiting,
    actions: Vec<Action>,
}

impl<G: Game> MatchGame<G> {
    /// A game after `opening`, whose actions must be legal one after the other. `seats`: the first player's and the second's.
    /// `seed` and `pair` fix the choices of random players, and among moves that are equally good.
    pub fn new(game: G, seats: [Seat; 2], opening: &[Action], seed: u64, pair: u64) -> Self {
        let search = |seat: Seat| Search::new(game.clone(), seat.search.without_chance(), seat.penalize_visited_states);
        let mut searches = seats.map(search);
        let mut state = game.start();
        for &action in opening {
            searches.iter_mut().for_each(|search| search.note_visited(&state));
            game.play(&mut state, action);
        }
        let actions = opening.to_vec();
        Self { game, seats, searches, seed, pair, state, searching: false, waiting: Waiting::Nothing, actions }
    }

    /// All actions so far, those of the opening among them.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The position at hand.
    #[must_use]
    pub const fn state(&self) -> &G::State {
        &self.state
    }

    /// Plays one of `actions`, which are equally good: legal ones, at least one.
    pub fn choose(&mut self, actions: &[Action], spare: &mut SpareTree<G>) {
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        self.play(actions[rng.random_range(0..actions.len())], spare);
    }

    /// Goes on until evaluations are needed, whose leaves it appends to `leaves`, or a move, or the game is over. After [`Step::Leaves`] the
    /// next call must be [`MatchGame::apply`], after [`Step::Choice`] [`MatchGame::choose`].
    pub fn advance(&mut self, leaves: &mut Vec<Leaf<G>>, spare: &mut SpareTree<G>) -> Step {
        loop {
            if let Some(outcome) = self.ended() {
                return Step::Over(outcome);
            }
            let mover = self.game.side_to_move(&self.state);
            match self.seats[mover.index()].mover {
                Mover::Random => {
                    let legal: Vec<_> = self.game.legal_actions(&self.state).iter().collect();
                    self.choose(&legal, spare);
                }
                Mover::Solver => return Step::Choice,
                Mover::Raw => {
                    let legal = self.game.legal_actions(&self.state);
                    leaves.push(Leaf::new(&self.game, &self.state, &legal));
                    self.waiting = Waiting::Raw;
                    return Step::Leaves(mover);
                }
                Mover::Search => match self.search(mover, leaves) {
                    Some(action) => self.play(action, spare),
                    None => return Step::Leaves(mover),
                },
            }
        }
    }

    /// The move of a search that is complete, or nothing where it waits for `leaves`.
    fn search(&mut self, mover: Player, leaves: &mut Vec<Leaf<G>>) -> Option<Action> {
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        let search = &mut self.searches[mover.index()];
        if !std::mem::replace(&mut self.searching, true) {
            search.begin(&self.state, &mut rng);
        }
        if let Some(gathered) = search.gather(leaves) {
            self.waiting = Waiting::Search(gathered);
            return None;
        }
        search.end();
        Some(search.decide(0.0, &mut rng).action)
    }

    /// Takes the evaluations of the leaves that the last [`MatchGame::advance`] appended.
    pub fn apply(&mut self, evaluations: &Evaluations, spare: &mut SpareTree<G>) {
        let mover = self.game.side_to_move(&self.state);
        let mut rng = ply_rng(self.seed, self.pair, self.game.ply(&self.state), Purpose::Choice);
        match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Search(gathered) => self.searches[mover.index()].apply(gathered, evaluations, &mut rng),
            Waiting::Raw => {
                let priors = evaluations.get(0).priors;
                let best = (0..priors.len()).rev().max_by(|&a, &b| priors[a].total_cmp(&priors[b])).unwrap_or(0);
                let legal = self.game.legal_actions(&self.state);
                let seen = self.game.turn_actions(mover, &legal).nth(best);
                self.play(self.game.turn_action(mover, seen), spare);
            }
            Waiting::Nothing => debug_assert!(false, "evaluations for a game that asked for none"),
        }
    }

    fn play(&mut self, action: Action, spare: &mut SpareTree<G>) {
        for (search, seat) in self.searches.iter_mut().zip(&self.seats) {
            search.note_visited(&self.state);
            if seat.tree_reuse && !seat.penalize_visited_states {
                search.advance(action, spare);
            } else {
                search.forget();
            }
        }
        self.game.play(&mut self.state, action);
        self.actions.push(action);
        self.searching = false;
    }

    fn ended(&self) -> Option<Outcome> {
        let unending = || self.game.ply(&self.state) >= MOST_PLIES || self.game.legal_actions(&self.state).is_empty();
        self.game.outcome(&self.state).or_else(|| unending().then_some(Outcome::Draw(Draw::StepLimit)))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{Evaluator, HashEvaluator, HashPriors, UniformEvaluator},
        games::{connect_four::ConnectFour, tictactoe::TicTacToe},
        search::{InFlight, Root, Simulations},
    };

    const fn seat(mover: Mover, simulations: u32) -> Seat {
        let search = SearchParams {
            simulations: Simulations::PerMove(simulations),
            c_puct: 1.4,
            leaf_parallelism: 1,
            in_flight: InFlight::Visits,
            noise: None,
            root: Root::PUCT,
            solver: false,
        };
        Seat { mover, search, tree_reuse: true, penalize_visited_states: false }
    }

    /// Plays a game; `evaluators`: the first player's and the second's.
    fn played<G: Game>(mut game: MatchGame<G>, evaluators: &mut [&mut dyn Evaluator<G>; 2]) -> (Outcome, Vec<Action>) {
        let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
        loop {
            leaves.clear();
            match game.advance(&mut leaves, &mut spare) {
                Step::Leaves(player) => {
                    evaluators[player.index()].evaluate(&leaves, &mut evaluations).unwrap();
                    game.apply(&evaluations, &mut spare);
                }
                Step::Choice => unreachable!("no solver plays"),
                Step::Over(outcome) => return (outcome, game.actions().to_vec()),
            }
        }
    }

    #[test]
    fn a_player_against_itself_plays_the_same_game_on_either_side() {
        let game = ConnectFour::default();
        let mut hash = HashEvaluator::new(game, (), HashPriors::Softmax, 5);
        for (mover, simulations) in [(Mover::Search, 30), (Mover::Raw, 0)] {
            for pair in 0..3 {
                let opening = opening(&game, 9, pair, 0, 4).unwrap();
                let seats = [seat(mover, simulations); 2];
                let mut play = || {
                    let mut other = hash.clone();
                    played(MatchGame::new(game, seats, &opening, 9, pair), &mut [&mut hash, &mut other])
                };
                let first = play();
                assert_eq!(play(), first);
                assert!(first.1.starts_with(&opening));
            }
        }
    }

    #[test]
    fn search_beats_random_moves_from_either_side_of_most_openings() {
        let seats = [seat(Mover::Search, 200), seat(Mover::Random, 0)];
        let mut points = 0;
        for pair in 0..10 {
            let opening = opening(&TicTacToe, 1, pair, 0, 1).unwrap();
            for (seats, player) in [(seats, Player::First), ([seats[1], seats[0]], Player::Second)] {
                let game = MatchGame::new(TicTacToe, seats, &opening, 1, pair);
                let (outcome, _) = played(game, &mut [&mut UniformEvaluator, &mut UniformEvaluator]);
                points +=
                    if outcome == Outcome::Win(player) { 2 } else { i32::from(matches!(outcome, Outcome::Draw(_))) };
            }
        }
        assert!(points >= 34, "{points} of 40");
    }

    /// Kept trees are those of the position at hand, whoever moved last: else the search would not begin on them.
    #[test]
    fn trees_are_kept_through_the_moves_of_both_players() {
        let game = ConnectFour::default();
        let mut spare = SpareTree::default();
        let mut plays = MatchGame::new(game, [seat(Mover::Search, 200); 2], &[], 1, 0);
        let (mut leaves, mut evaluations) = (Vec::new(), Evaluations::default());
        while plays.actions().len() < 2 {
            leaves.clear();
            assert!(matches!(plays.advance(&mut leaves, &mut spare), Step::Leaves(_)));
            UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
            plays.apply(&evaluations, &mut spare);
        }
        // The first player's second move has begun: on what it knew of the answer.
        assert!(plays.searches[0].size().nodes > 1, "{:?}", plays.searches[0].size());
    }

    #[test]
    fn openings_follow_from_seed_pair_and_attempt_and_do_not_end_the_game() {
        let game = ConnectFour::default();
        let first = opening(&game, 3, 0, 0, 6).unwrap();
        assert_eq!((first.len(), opening(&game, 3, 0, 0, 6).as_ref()), (6, Some(&first)));
        let others = [opening(&game, 4, 0, 0, 6), opening(&game, 3, 1, 0, 6), opening(&game, 3, 0, 1, 6)];
        assert!(others.iter().all(|other| other.as_ref() != Some(&first)));
        assert_eq!(opening(&TicTacToe, 1, 0, 0, 9), None);
        assert_eq!(opening(&TicTacToe, 1, 0, 0, 0), Some(Vec::new()));
    }
}
