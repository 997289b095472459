//! The table that games are played at: one thread with its evaluators, and many games side by side, so that batches are full.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, bail};
use selfplay_engine::{
    Action, Evaluations, Evaluator, Game, Leaf, Outcome,
    matches::{MatchGame, Seat, Step},
    search::SpareTree,
    solve::Solver,
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

/// A game of a pair that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub actions: Vec<Action>,
    pub outcome: Outcome,
}

/// Both games of a pair: the first is that in which A began.
pub(crate) type PlayedPair = [Played; 2];

/// An evaluator's answer to a position.
struct Known {
    value: f32,
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
    /// Pairs of which one game is over.
    halves: HashMap<u64, [Option<Played>; 2]>,
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
}

impl<G: PlayedGame> Table<G> {
    /// With these evaluators, by number, of each of which `most_known` evaluations are known at most.
    pub(crate) fn new(evaluators: Vec<Box<dyn Evaluator<G>>>, most_known: usize) -> Self {
        Self {
            known: evaluators.iter().map(|_| HashMap::new()).collect(),
            evaluators,
            most_known,
            solver: None,
            seated: Vec::new(),
            halves: HashMap::new(),
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
    /// A game does not depend on others at the table: answers are those that the evaluator gives a position first.
    ///
    /// # Errors
    /// When an evaluator fails or answers what is no number.
    pub(crate) fn play(&mut self, fixture: &Fixture<G>, mut tell: impl FnMut(u64, PlayedPair)) -> anyhow::Result<()> {
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
        mut tell: impl FnMut(u64, PlayedPair),
    ) -> anyhow::Result<bool> {
        while self.seated.len() < fixture.at_once && !fixture.stop.load(Ordering::Relaxed) {
            let pair = fixture.next.fetch_add(1, Ordering::Relaxed);
            let Some(opening) = self.opening(fixture, pair)? else { break };
            for number in 0..2 {
                let mut seats = fixture.seats;
                seats.rotate_left(number);
                let game = MatchGame::new(fixture.game.clone(), seats, &opening, fixture.seed, pair);
                self.seated.push(Seated { pair, number, game, asked: None });
            }
        }
        if self.seated.is_empty() || fixture.stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let mut over = Vec::new();
        let mut seated = std::mem::take(&mut self.seated);
        for (place, seat) in seated.iter_mut().enumerate() {
            let mut leaves = seat.asked.take().map(|(_, leaves)| leaves).unwrap_or_default();
            leaves.clear();
            let step = loop {
                match seat.game.advance(&mut leaves, &mut self.spare) {
                    Step::Choice => {
                        let best = self.solved(&fixture.game, seat.game.state())?;
                        seat.game.choose(&best, &mut self.spare);
                    }
                    step => break step,
                }
            };
            match step {
                Step::Choice => {}
                Step::Over(outcome) => over.push((place, outcome)),
                Step::Leaves(player) => {
                    let contestant = (player.index() + seat.number) % 2;
                    let Some(asks) = fixture.asks[contestant] else { bail!("a player that asks has no evaluator") };
                    seat.asked = Some((asks, leaves));
                }
            }
        }
        for (place, outcome) in over.into_iter().rev() {
            let Seated { pair, number, game, .. } = seated.swap_remove(place);
            let halves_of = self.halves.entry(pair).or_default();
            halves_of[number] = Some(Played { actions: game.actions().to_vec(), outcome });
            if let [Some(first), Some(second)] = halves_of {
                tell(pair, [first.clone(), second.clone()]);
                self.halves.remove(&pair);
            }
        }
        self.evaluate(&seated)?;
        for seat in &mut seated {
            let Some((asks, leaves)) = &seat.asked else { continue };
            self.evaluations.clear();
            for leaf in leaves {
                let Some(known) = self.known[*asks].get(&leaf.position) else { bail!("a leaf was not evaluated") };
                self.evaluations.push(known.value, known.priors.iter().copied());
            }
            seat.game.apply(&self.evaluations, &mut self.spare);
        }
        self.seated = seated;
        Ok(true)
    }

    /// The best moves of a position.
    fn solved(&mut self, game: &G, state: &G::State) -> anyhow::Result<Vec<Action>> {
        let moves = self.solver.get_or_insert_with(|| game.solver()).moves(state);
        let ply = game.ply(state);
        let moves = moves.map_err(failed);
        let moves = moves.with_context(|| format!("the solver cannot play at ply {ply}, give more --opening-plies"))?;
        let best = moves.iter().map(|(_, class)| *class).max();
        Ok(moves.into_iter().filter(|(_, class)| Some(*class) == best).map(|(action, _)| action).collect())
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
                    place.insert(Known { value: 0.0, priors: Box::default() });
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
                known.insert(leaf.position, Known { value: answer.value, priors: answer.priors.into() });
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
        Player,
        evaluation::{HashEvaluator, HashPriors},
        games::connect_four::ConnectFour,
        matches::Mover,
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

    fn play(seats: [Mover; 2], asks: [Option<usize>; 2], pairs: u64) -> Vec<(u64, PlayedPair)> {
        let game = ConnectFour::default();
        let seat = |mover| Seat { mover, search: SEARCH, tree_reuse: true, penalize_visited_states: false };
        let fixture = Fixture {
            game,
            at_once: 128,
            seats: seats.map(seat),
            asks,
            pairs,
            openings: Mutex::new(Openings::new(3, Source::Random { plies: 3 })),
            seed: 3,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        };
        let hash = |salt| Box::new(HashEvaluator::new(game, (), HashPriors::Softmax, salt)) as Box<dyn Evaluator<_>>;
        let mut played = Vec::new();
        Table::new(vec![hash(1), hash(2)], 50_000).play(&fixture, |pair, games| played.push((pair, games))).unwrap();
        played.sort_by_key(|(pair, _)| *pair);
        played
    }

    #[test]
    fn every_pair_is_played_whatever_is_beside_it() {
        let (few, many) = (
            play([Mover::Search, Mover::Raw], [Some(0), Some(1)], 3),
            play([Mover::Search, Mover::Raw], [Some(0), Some(1)], 80),
        );
        assert_eq!(many.len(), 80);
        assert_eq!(few[..], many[..3]);
        assert!(many.iter().any(|(_, [first, second])| first != second));
    }

    #[test]
    fn a_player_against_itself_plays_each_game_twice() {
        for (_, [first, second]) in play([Mover::Search; 2], [Some(1); 2], 70) {
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
        let seat = |mover| Seat { mover, search: SEARCH, tree_reuse: true, penalize_visited_states: false };
        let fixture = Fixture {
            game: TicTacToe,
            at_once: 128,
            seats: [Mover::Solver, Mover::Random].map(seat),
            asks: [None; 2],
            pairs: 3,
            openings: Mutex::new(Openings::new(3, Source::Random { plies: 1 })),
            seed: 3,
            next: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        };
        let mut table = Table::new(Vec::new(), 0);
        table
            .play(&fixture, |_, [first, second]| {
                assert!(first.outcome != Outcome::Win(Player::Second) && second.outcome != Outcome::Win(Player::First));
            })
            .unwrap();
    }
}
