//! Games between two players that choose their moves in ways of their own, such as two networks or two settings of the search.
//!
//! Games come in pairs of one opening, with the players' sides exchanged, so that what an opening gives to one side it gives to each
//! player once. Nothing in a match is noisy: after the opening every player plays its best move. So a game follows from its
//! opening and what the players' evaluators answer, and a player against itself gets exactly one point out of each pair.
//! The one exception is [`Mover::Random`], whose choices follow from the seed.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluation::{Evaluator, HashEvaluator, HashPriors, UniformEvaluator},
        games::{
            connect_four::ConnectFour,
            quoridor::{Quoridor, QuoridorEncoding},
            tictactoe::TicTacToe,
        },
        replay::{GameArrays, GameMetadata, ReadGame},
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
        Seat { mover, search, tree_reuse: true, penalize_visited_states: false, open_ended: false }
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
                Step::Thinking(_) => {}
                Step::Choice => unreachable!("no solver plays"),
                Step::Over(outcome) => return (outcome, game.actions()),
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

    /// Quoridor turns the board for the second player, and its actions with it.
    #[test]
    fn files_of_a_game_tell_what_each_player_saw() {
        let game = Quoridor::new(5, 3, Some(60)).unwrap();
        let mut hash = HashEvaluator::new(game, QuoridorEncoding::Resnet, HashPriors::Softmax, 5);
        let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
        let opening = opening(&game, 1, 0, 0, 3).unwrap();
        let mut plays = MatchGame::new(game, [seat(Mover::Raw, 0), seat(Mover::Search, 30)], &opening, 1, 0);
        let outcome = loop {
            leaves.clear();
            match plays.advance(&mut leaves, &mut spare) {
                Step::Leaves(_) => {
                    hash.evaluate(&leaves, &mut evaluations).unwrap();
                    plays.apply(&evaluations, &mut spare);
                }
                Step::Thinking(_) | Step::Choice => unreachable!("neither waits for that"),
                Step::Over(outcome) => break outcome,
            }
        };
        let actions = plays.actions();
        let record = plays.into_record(7, outcome);
        for (ply, told) in record.plies.iter().enumerate() {
            let searched = ply % 2 == 1;
            let PlyNotes { kind, simulations, raw_value, divergence, .. } = told.notes;
            match ply {
                0..3 => assert_eq!((kind, told.is_row()), (PlyKind::Opening, false)),
                _ if searched => {
                    assert_eq!((kind, simulations, told.is_row(), told.is_searched()), (PlyKind::Full, 30, true, true));
                    assert!(raw_value.is_finite() && divergence.is_finite());
                }
                _ => {
                    assert_eq!((kind, told.is_row(), told.is_searched()), (PlyKind::NoSearch, true, false));
                    assert_eq!((raw_value, divergence), (told.root_value, 0.0));
                    let most = told.targets.iter().map(|target| target.probability).fold(0.0, f32::max);
                    let seen = game.turn_action(told.player, told.action);
                    let its = told.targets.iter().find(|target| target.action == seen).map(|target| target.probability);
                    assert_eq!(its, Some(most), "the network's likeliest move is played");
                }
            }
        }
        let npz = GameArrays::new(&record, &game, QuoridorEncoding::Resnet).unwrap().to_npz().unwrap();
        let yaml = GameMetadata::new(&record, 1, "", "").to_yaml().unwrap();
        let read = ReadGame::read(std::io::Cursor::new(npz), &yaml).unwrap();
        assert_eq!((read.plies(), read.rows()), (actions.len(), actions.len() - 3));
        assert_eq!(read.all.unwrap().actions.to_vec(), actions.into_iter().map(i32::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_solver_s_moves_are_told_with_their_worth() {
        let mut plays = MatchGame::new(TicTacToe, [seat(Mover::Solver, 0); 2], &[0, 3], 1, 0);
        let mut spare = SpareTree::default();
        plays.choose(&[2, 1], Class::Win, &mut spare);
        let told = &plays.plies()[2];
        let shares: Vec<_> = told.targets.iter().map(|target| (target.action, target.probability)).collect();
        assert_eq!(shares, [(2, 0.5), (1, 0.5)]);
        assert_eq!((told.root_value, told.notes.best_value, told.notes.proven), (1.0, 1.0, true));
        assert!(told.is_row() && !told.is_searched());
    }

    #[test]
    fn an_open_ended_search_goes_on_until_it_is_told() {
        let game = ConnectFour::default();
        let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
        let thinks = Seat { open_ended: true, tree_reuse: false, ..seat(Mover::Search, 4) };
        let mut plays = MatchGame::new(game, [thinks; 2], &[], 1, 0);
        for wanted in [100, 1, 37] {
            let ply = plays.plies().len();
            let mut asked = 0;
            while plays.plies().len() == ply {
                leaves.clear();
                match plays.advance(&mut leaves, &mut spare) {
                    Step::Leaves(_) => {
                        asked += 1;
                        UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
                        plays.apply(&evaluations, &mut spare);
                        if asked >= wanted {
                            plays.enough();
                        }
                    }
                    step => unreachable!("{step:?}"),
                }
                if plays.plies().len() > ply {
                    // What was asked last is of the next move.
                    asked -= 1;
                }
            }
            // Without any visit there is no move: two evaluations at least.
            assert_eq!(plays.plies()[ply].notes.simulations, wanted.max(2));
            assert_eq!(asked, wanted.max(2));
            plays = MatchGame::new(game, [thinks; 2], &plays.actions(), 1, 0);
        }
    }

    /// Once all positions are known no leaf is left to ask: the search says so after each installment, and ends where the worth is proven.
    #[test]
    fn a_search_that_asks_nothing_any_more_can_be_told_too() {
        let (mut leaves, mut evaluations, mut spare) = (Vec::new(), Evaluations::default(), SpareTree::default());
        // Three cells are left.
        let moves = [0, 1, 2, 4, 3, 5];
        for solver in [false, true] {
            let mut thinks = Seat { open_ended: true, ..seat(Mover::Search, 8) };
            thinks.search.solver = solver;
            let mut plays = MatchGame::new(TicTacToe, [thinks; 2], &moves, 1, 0);
            let mut rests = 0;
            while plays.plies().len() == moves.len() {
                leaves.clear();
                match plays.advance(&mut leaves, &mut spare) {
                    Step::Leaves(_) => {
                        UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
                        plays.apply(&evaluations, &mut spare);
                    }
                    Step::Thinking(_) => rests += 1,
                    step => assert!(matches!(step, Step::Over(_)), "{step:?}"),
                }
                if rests == 5 {
                    plays.enough();
                }
            }
            assert_eq!(rests == 0, solver, "{rests}");
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
