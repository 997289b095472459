//! The table that games are played at: one thread with its evaluators, and many games side by side, so that batches are full. Where
//! players have a time for each move, one game after the other.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use selfplay_engine::{
    Action, Evaluations, Evaluator, Game, Leaf, Player,
    evaluation::Worth,
    matches::{MatchGame, Seat, Step},
    replay::GameRecord,
    search::SpareTree,
    solve::{Class, Solver},
};

use super::openings::Openings;
use crate::{exit::failed, played::PlayedGame};

/// The games of a match that are still to be played; all threads take from it.
pub(crate) struct Fixture<G: Game> {
    pub game: G,
    /// Games in play at once on one thread.
    pub at_once: usize,
    /// Of A and of B.
    pub seats: [Seat; 2],
    /// What each of them has for a move, where that is how long it searches: those whose seat is open-ended.
    pub move_times: [Option<Duration>; 2],
    /// The evaluator that each of them asks, by number.
    pub asks: [Option<usize>; 2],
    /// Most pairs that are played.
    pub pairs: u64,
    pub openings: Mutex<Openings<G>>,
    pub seed: u64,
    /// The next pair.
    pub next: AtomicU64,
    /// Set where no more is to be played.
    pub stop: AtomicBool,
}

impl<G: Game> Fixture<G> {
    /// Games in play at once: where moves have a time, it belongs to one of them.
    fn most_seated(&self) -> usize {
        if self.is_timed() { 1 } else { self.at_once }
    }

    fn is_timed(&self) -> bool {
        self.move_times.iter().any(Option::is_some)
    }
}

/// Both games of a pair: the first is that in which A began. Of the models they say nothing.
pub(crate) type PlayedPair<G> = [GameRecord<G>; 2];

/// The plies of both games.
pub(crate) fn plies<G: Game>(pair: &PlayedPair<G>) -> u64 {
    pair.iter().map(|game| game.plies.len() as u64).sum()
}

/// An evaluator's answer to a position.
struct Known {
    worth: Worth,
    priors: Box<[f32]>,
}

/// What a thread has of its own.
pub(crate) struct Table<G: Game> {
    evaluators: Vec<Box<dyn Evaluator<G>>>,
    known: Vec<HashMap<G::Position, Known>>,
    /// Evaluations that are known of one evaluator at most; then it begins anew.
    most_known: usize,
    /// Made when it is first asked.
    solver: Option<Box<dyn Solver<G>>>,
    seated: Vec<Seated<G>>,
    /// Games that begin when there is room.
    next: Vec<Seated<G>>,
    /// Pairs of which one game is over.
    halves: HashMap<u64, [Option<GameRecord<G>>; 2]>,
    /// Time since some moment.
    clock: Box<dyn FnMut() -> Duration + Send>,
    spare: SpareTree<G>,
    evaluations: Evaluations,
    /// Positions that evaluators were asked.
    pub evaluated: u64,
}

/// A game in play and where its leaves are.
struct Seated<G: Game> {
    pair: u64,
    /// 0: A began; 1: B did.
    number: usize,
    game: MatchGame<G>,
    /// The evaluator that is asked, and the leaves.
    asked: Option<(usize, Vec<Leaf<G>>)>,
    /// The ply at hand, and when its mover began to think.
    begun: (usize, Duration),
}

impl<G: Game> Seated<G> {
    /// A or B: 0 or 1.
    const fn contestant(&self, player: Player) -> usize {
        (player.index() + self.number) % 2
    }

    /// Ends the search of a player who has thought for as long as it may.
    fn look_at_the_clock(&mut self, player: Player, fixture: &Fixture<G>, now: Duration) {
        let time = fixture.move_times[self.contestant(player)];
        if time.is_some_and(|time| now.saturating_sub(self.begun.1) >= time) {
            self.game.enough();
        }
    }
}

impl<G: PlayedGame> Table<G> {
    /// With these evaluators, by number, of each of which `most_known` evaluations are known at most.
    pub(crate) fn new(evaluators: Vec<Box<dyn Evaluator<G>>>, most_known: usize) -> Self {
        let begun = Instant::now();
        Self {
            known: evaluators.iter().map(|_| HashMap::new()).collect(),
            evaluators,
            most_known,
            solver: None,
            seated: Vec::new(),
            next: Vec::new(),
            halves: HashMap::new(),
            clock: Box::new(move || begun.elapsed()),
            spare: SpareTree::default(),
            evaluations: Evaluations::default(),
            evaluated: 0,
        }
    }

    /// Its evaluators, for other games.
    pub(crate) fn into_evaluators(self) -> Vec<Box<dyn Evaluator<G>>> {
        self.evaluators
    }

    /// Plays pairs until there are none left, and tells each as it ends.
    ///
    /// A game does not depend on others at the table: answers are those that the evaluator gives a position first. Where moves have a
    /// time, nothing is known when a game begins.
    ///
    /// # Errors
    /// When an evaluator fails or answers what is no number.
    pub(crate) fn play(
        &mut self,
        fixture: &Fixture<G>,
        mut tell: impl FnMut(u64, PlayedPair<G>),
    ) -> anyhow::Result<()> {
        while self.round(fixture, &mut tell)? {}
        Ok(())
    }

    /// Seats games, and brings every game at the table to its next request for evaluations, which it answers. False: no games are left.
    ///
    /// # Errors
    /// Those of [`Table::play`].
    pub(crate) fn round(
        &mut self,
        fixture: &Fixture<G>,
        mut tell: impl FnMut(u64, PlayedPair<G>),
    ) -> anyhow::Result<bool> {
        self.seat(fixture)?;
        if self.seated.is_empty() || fixture.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut over = Vec::new();
        let mut seated = std::mem::take(&mut self.seated);
        for (place, seat) in seated.iter_mut().enumerate() {
            let mut leaves = seat.asked.take().map(|(_, leaves)| leaves).unwrap_or_default();
            leaves.clear();
            let (now, step) = loop {
                // Before a move may begin, and after what a solver took.
                let now = self.now(fixture);
                match seat.game.advance(&mut leaves, &mut self.spare) {
                    Step::Choice => {
                        let (best, worth) = self.solved(&fixture.game, seat.game.state())?;
                        seat.game.choose(&best, worth, &mut self.spare);
                    }
                    step => break (now, step),
                }
            };
            let ply = seat.game.plies().len();
            if seat.begun.0 != ply {
                seat.begun = (ply, now);
            }
            match step {
                Step::Choice => {}
                Step::Thinking(player) => {
                    let now = self.now(fixture);
                    seat.look_at_the_clock(player, fixture, now);
                }
                Step::Over(outcome) => over.push((place, outcome)),
                Step::Leaves(player) => {
                    let Some(asks) = fixture.asks[seat.contestant(player)] else {
                        bail!("a player that asks has no evaluator")
                    };
                    seat.asked = Some((asks, leaves));
                }
            }
        }
        for (place, outcome) in over.into_iter().rev() {
            let Seated { pair, number, game, .. } = seated.swap_remove(place);
            let halves_of = self.halves.entry(pair).or_default();
            halves_of[number] = Some(game.into_record(2 * pair + number as u64, outcome));
            if halves_of.iter().all(Option::is_some)
                && let Some([Some(first), Some(second)]) = self.halves.remove(&pair)
            {
                tell(pair, [first, second]);
            }
        }
        self.evaluate(&seated)?;
        for seat in &mut seated {
            let Some((asks, leaves)) = &seat.asked else { continue };
            self.evaluations.clear();
            for leaf in leaves {
                let Some(known) = self.known[*asks].get(&leaf.position) else { bail!("a leaf was not evaluated") };
                self.evaluations.push(known.worth, known.priors.iter().copied());
            }
            let player = fixture.game.side_to_move(seat.game.state());
            seat.game.apply(&self.evaluations, &mut self.spare);
            let now = self.now(fixture);
            seat.look_at_the_clock(player, fixture, now);
        }
        self.seated = seated;
        Ok(true)
    }

    /// Fills the table with games.
    fn seat(&mut self, fixture: &Fixture<G>) -> anyhow::Result<()> {
        while self.seated.len() < fixture.most_seated() && !fixture.stop.load(Ordering::Relaxed) {
            if self.next.is_empty() {
                let pair = fixture.next.fetch_add(1, Ordering::Relaxed);
                let Some(opening) = self.opening(fixture, pair)? else { break };
                // That in which A begins is the first.
                for number in [1, 0] {
                    let mut seats = fixture.seats;
                    seats.rotate_left(number);
                    let game = MatchGame::new(fixture.game.clone(), seats, &opening, fixture.seed, pair);
                    self.next.push(Seated { pair, number, game, asked: None, begun: (usize::MAX, Duration::ZERO) });
                }
            }
            if fixture.is_timed() {
                // What is known already would cost no time.
                self.known.iter_mut().for_each(HashMap::clear);
            }
            self.seated.extend(self.next.pop());
        }
        Ok(())
    }

    /// The time, where it matters.
    fn now(&mut self, fixture: &Fixture<G>) -> Duration {
        if fixture.is_timed() { (self.clock)() } else { Duration::ZERO }
    }

    /// The best moves of a position, and what they are worth.
    fn solved(&mut self, game: &G, state: &G::State) -> anyhow::Result<(Vec<Action>, Class)> {
        let moves = self.solver.get_or_insert_with(|| game.solver()).moves(state);
        let ply = game.ply(state);
        let moves = moves.map_err(failed);
        let moves = moves.with_context(|| format!("the solver cannot play at ply {ply}, give more --opening-plies"))?;
        let best = moves.iter().map(|(_, class)| *class).max().unwrap_or(Class::Draw);
        Ok((moves.into_iter().filter(|(_, class)| *class == best).map(|(action, _)| action).collect(), best))
    }

    /// Asks each evaluator all that it was not asked before.
    fn evaluate(&mut self, seated: &[Seated<G>]) -> anyhow::Result<()> {
        let Self { evaluations, most_known, .. } = self;
        for (number, known) in self.known.iter_mut().enumerate() {
            if known.len() > *most_known {
                known.clear();
            }
            let asked = || seated.iter().filter_map(|seat| seat.asked.as_ref()).filter(|(asks, _)| *asks == number);
            let mut new: Vec<Leaf<G>> = Vec::new();
            for leaf in asked().flat_map(|(_, leaves)| leaves) {
                if let std::collections::hash_map::Entry::Vacant(place) = known.entry(leaf.position) {
                    place.insert(Known { worth: 0.0.into(), priors: Box::default() });
                    new.push(*leaf);
                }
            }
            if new.is_empty() {
                continue;
            }
            self.evaluated += new.len() as u64;
            self.evaluators[number].evaluate(&new, evaluations).map_err(failed)?;
            if let Some((_, output)) = evaluations.flaws().first() {
                bail!("a model answered what is no number: {output:?}");
            }
            for (leaf, answer) in new.iter().zip(evaluations.iter()) {
                known.insert(leaf.position, Known { worth: answer.worth(), priors: answer.priors.into() });
            }
        }
        Ok(())
    }

    /// The opening of a pair, if it is to be played.
    fn opening(&mut self, fixture: &Fixture<G>, pair: u64) -> anyhow::Result<Option<Vec<Action>>> {
        if pair >= fixture.pairs {
            return Ok(None);
        }
        let mut evaluations = Evaluations::default();
        let mut openings = fixture.openings.lock().unwrap_or_else(PoisonError::into_inner);
        openings.get(&fixture.game, pair, |leaf| {
            let ask = |evaluator: &mut Box<dyn Evaluator<G>>| {
                evaluator.evaluate(&[leaf], &mut evaluations).map_err(failed)?;
                Ok(evaluations.get(0).value)
            };
            self.evaluators.iter_mut().map(ask).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{
        Outcome,
        evaluation::{HashEvaluator, HashPriors},
        games::connect_four::ConnectFour,
        matches::Mover,
        replay::PlyKind,
        search::{InFlight, Root, SearchParams, Simulations},
    };

    use super::*;
    use crate::matches::openings::Source;

    const SEARCH: SearchParams = SearchParams {
        simulations: Simulations::PerMove(20),
        c_puct: 1.4,
        leaf_parallelism: 2,
        in_flight: InFlight::Visits,
        noise: None,
        root: Root::PUCT,
        solver: false,
    };

    const fn seat(mover: Mover) -> Seat {
        Seat { mover, search: SEARCH, tree_reuse: true, penalize_visited_states: false, open_ended: false }
    }

    fn fixture<G: Game>(game: G, seats: [Seat; 2], plies: u32, pairs: u64) -> Fixture<G> {
        Fixture {
            game,
            at_once: 128,
            seats,
            move_times: [None; 2],
            asks: [None; 2],
            pairs,
            openings: Mutex::new(Openings::new(3, Source::Random { plies })),
            seed: 3,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn table() -> Table<ConnectFour> {
        let game = ConnectFour::default();
        let hash = |salt| Box::new(HashEvaluator::new(game, (), HashPriors::Softmax, salt)) as Box<dyn Evaluator<_>>;
        Table::new(vec![hash(1), hash(2)], 50_000)
    }

    /// A game's actions, and how it ended.
    type Told = (Vec<Action>, Outcome);

    /// What was played in each pair.
    fn told(pairs: &[(u64, PlayedPair<ConnectFour>)]) -> Vec<(u64, [Told; 2])> {
        let game = |game: &GameRecord<_>| (game.plies.iter().map(|ply| ply.action).collect(), game.outcome);
        pairs.iter().map(|(pair, games)| (*pair, games.each_ref().map(game))).collect()
    }

    fn play(seats: [Mover; 2], asks: [Option<usize>; 2], pairs: u64) -> Vec<(u64, PlayedPair<ConnectFour>)> {
        let fixture = Fixture { asks, ..fixture(ConnectFour::default(), seats.map(seat), 3, pairs) };
        let mut played = Vec::new();
        table().play(&fixture, |pair, games| played.push((pair, games))).unwrap();
        played.sort_by_key(|(pair, _)| *pair);
        played
    }

    /// Each look at the clock takes a millisecond, and nothing else takes any time.
    #[test]
    fn moves_take_as_long_as_they_may_and_games_are_played_one_after_the_other() {
        let open_ended = Seat { open_ended: true, ..seat(Mover::Search) };
        let milliseconds = [20, 5];
        let fixture = Fixture {
            asks: [Some(0), Some(1)],
            move_times: milliseconds.map(|time| Some(Duration::from_millis(time))),
            ..fixture(ConnectFour::default(), [open_ended; 2], 3, 2)
        };
        let mut table = table();
        let mut looks = 0;
        table.clock = Box::new(move || {
            looks += 1;
            Duration::from_millis(looks)
        });
        let mut games = Vec::new();
        while table.round(&fixture, |_, pair| games.extend(pair)).unwrap() {
            assert!(table.seated.len() <= 1);
        }
        assert_eq!(games.iter().map(|game| game.index).collect::<Vec<_>>(), [0, 1, 2, 3]);
        for game in &games {
            for (ply, at_hand) in game.plies.iter().enumerate().skip(3) {
                // A gather, of one leaf or two, is two looks. Where no leaf is new, a whole installment is one.
                let contestant = (ply + game.index as usize) % 2;
                let gathers = (milliseconds[contestant] / 2) as u32;
                let notes = &at_hand.notes;
                assert_eq!(notes.kind, PlyKind::Full);
                assert!(notes.simulations >= gathers.min(2), "ply {ply}: {notes:?}");
                assert!(notes.simulations <= 1 + 20 * milliseconds[contestant] as u32, "ply {ply}: {notes:?}");
            }
        }
        let mean = |contestant: usize| {
            let of_it = |game: &GameRecord<_>| {
                let own = game.plies.iter().enumerate().skip(3);
                let own = own.filter(|(ply, _)| (ply + game.index as usize) % 2 == contestant);
                own.map(|(_, ply)| f64::from(ply.notes.simulations)).collect::<Vec<_>>()
            };
            let all: Vec<f64> = games.iter().flat_map(of_it).collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        assert!(mean(0) > 2.0 * mean(1), "{} {}", mean(0), mean(1));
    }

    /// The time for a move is over before it has begun.
    #[test]
    fn a_player_without_time_still_looks_at_one_move() {
        let open_ended = Seat { open_ended: true, ..seat(Mover::Search) };
        let fixture = Fixture {
            asks: [Some(0), Some(1)],
            move_times: [Some(Duration::ZERO); 2],
            ..fixture(ConnectFour::default(), [open_ended; 2], 3, 1)
        };
        let tell = |_, games: PlayedPair<ConnectFour>| {
            for ply in games.iter().flat_map(|game| game.plies.iter().skip(3)) {
                assert!(ply.is_searched() && ply.notes.simulations <= 40, "{ply:?}");
            }
        };
        table().play(&fixture, tell).unwrap();
    }

    #[test]
    fn every_pair_is_played_whatever_is_beside_it() {
        let (few, many) = (
            play([Mover::Search, Mover::Raw], [Some(0), Some(1)], 3),
            play([Mover::Search, Mover::Raw], [Some(0), Some(1)], 80),
        );
        assert_eq!(many.len(), 80);
        assert_eq!(told(&few)[..], told(&many)[..3]);
        assert!(told(&many).iter().any(|(_, [first, second])| first != second));
    }

    #[test]
    fn a_player_against_itself_plays_each_game_twice() {
        for (_, [first, second]) in told(&play([Mover::Search; 2], [Some(1); 2], 70)) {
            assert_eq!(first, second);
        }
    }

    #[test]
    fn random_players_ask_nothing() {
        assert_eq!(play([Mover::Random; 2], [None; 2], 5).len(), 5);
    }

    #[test]
    fn a_solver_never_loses_what_it_could_hold() {
        use selfplay_engine::games::tictactoe::TicTacToe;
        let fixture = fixture(TicTacToe, [Mover::Solver, Mover::Random].map(seat), 1, 3);
        let mut table = Table::new(Vec::new(), 0);
        table
            .play(&fixture, |_, [first, second]| {
                assert!(first.outcome != Outcome::Win(Player::Second) && second.outcome != Outcome::Win(Player::First));
            })
            .unwrap();
    }
}
