//! The openings of a match: random, each to a position of its own in which no model sees the game as decided, or those of a file.

use std::{collections::HashSet, fmt};

use selfplay_engine::{Action, Game, Leaf, matches::opening};

/// Openings in which a model sees one side this far ahead are drawn anew: they say nothing of the players.
const DECIDED: f32 = 0.8;
/// Times that an opening is drawn before there is taken to be none.
const ATTEMPTS: u32 = 100;

/// Where openings come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Random games of so many plies.
    Random { plies: u32 },
    /// These, in their order.
    File { name: String, openings: Vec<Vec<Action>> },
}

impl Source {
    /// What tells matches with other openings from each other.
    pub(crate) fn identity(&self) -> serde_json::Value {
        match self {
            Self::Random { plies } => (*plies).into(),
            Self::File { openings, .. } => serde_json::json!(openings),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random { plies } => write!(f, "openings of {plies} random plies"),
            Self::File { name, openings } => write!(f, "{} openings of {name}", openings.len()),
        }
    }
}

/// Openings by the number of their pair, found when they are first asked for. They follow from the seed and the models alone.
pub(crate) struct Openings<G: Game> {
    seed: u64,
    source: Source,
    found: Vec<Vec<Action>>,
    seen: HashSet<G::Position>,
    /// There are no more.
    exhausted: bool,
}

impl<G: Game> Openings<G> {
    /// `seed`: of random ones.
    pub(crate) fn new(seed: u64, source: Source) -> Self {
        Self { seed, source, found: Vec::new(), seen: HashSet::new(), exhausted: false }
    }

    /// That of a pair; `None` where there are fewer. `values`: what the models say of a position.
    ///
    /// # Errors
    /// Those of `values`.
    pub(crate) fn get(
        &mut self,
        game: &G,
        pair: u64,
        mut values: impl FnMut(Leaf<G>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Vec<Action>>> {
        let plies = match &self.source {
            Source::File { openings, .. } => return Ok(openings.get(pair as usize).cloned()),
            &Source::Random { plies } => plies,
        };
        while self.found.len() as u64 <= pair && !self.exhausted {
            match self.draw(game, plies, &mut values)? {
                Some(actions) => self.found.push(actions),
                None => self.exhausted = true,
            }
        }
        Ok(self.found.get(pair as usize).cloned())
    }

    fn draw(
        &mut self,
        game: &G,
        plies: u32,
        values: &mut impl FnMut(Leaf<G>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Vec<Action>>> {
        let pair = self.found.len() as u64;
        for attempt in 0..ATTEMPTS {
            let Some(actions) = opening(game, self.seed, pair, attempt, plies) else { continue };
            let mut state = game.start();
            actions.iter().for_each(|&action| game.play(&mut state, action));
            let leaf = Leaf::new(game, &state, &game.legal_actions(&state));
            let decided = values(leaf)?.iter().any(|value| value.abs() > DECIDED);
            if !decided && self.seen.insert(leaf.position) {
                return Ok(Some(actions));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{
        Evaluations, Evaluator as _,
        evaluation::{HashEvaluator, HashPriors},
        games::{connect_four::ConnectFour, tictactoe::TicTacToe},
    };

    use super::*;

    fn all<G: Game>(game: &G, plies: u32, values: impl Fn(Leaf<G>) -> Vec<f32>) -> Vec<Vec<Action>> {
        let mut openings = Openings::new(3, Source::Random { plies });
        (0..60).map_while(|pair| openings.get(game, pair, |leaf| Ok(values(leaf))).unwrap()).collect()
    }

    #[test]
    fn no_opening_leads_where_another_does_and_there_may_be_fewer_than_wanted() {
        assert_eq!(all(&TicTacToe, 1, |_| Vec::new()).len(), 9);
        assert_eq!(all(&TicTacToe, 9, |_| Vec::new()).len(), 0, "all games are over by then");
        assert_eq!(all(&TicTacToe, 0, |_| Vec::new()).len(), 1);
    }

    #[test]
    fn openings_that_a_model_sees_as_decided_are_drawn_anew() {
        let game = ConnectFour::default();
        let value = |leaf: Leaf<ConnectFour>| {
            let mut answer = Evaluations::default();
            HashEvaluator::new(game, (), HashPriors::Ratio, 1).evaluate(&[leaf], &mut answer).unwrap();
            vec![0.1, 4.0 * answer.get(0).value]
        };
        let at = |actions: &Vec<Action>| {
            let mut state = game.start();
            actions.iter().for_each(|&action| game.play(&mut state, action));
            value(Leaf::new(&game, &state, &game.legal_actions(&state)))[1]
        };
        let (any, open) = (all(&game, 4, |_| Vec::new()), all(&game, 4, value));
        assert_eq!((any.len(), open.len()), (60, 60));
        assert!(any.iter().any(|actions| at(actions).abs() > DECIDED), "the evaluator sees some as decided");
        assert!(open.iter().all(|actions| at(actions).abs() <= DECIDED));
    }

    #[test]
    fn an_opening_is_the_same_whoever_asks_first() {
        let game = ConnectFour::default();
        let of = |pairs: &[u64]| {
            let mut openings = Openings::new(3, Source::Random { plies: 4 });
            let mut get = |pair| openings.get(&game, pair, |_| Ok(Vec::new())).unwrap().unwrap();
            pairs.iter().for_each(|&pair| drop(get(pair)));
            (get(0), get(9))
        };
        assert_eq!(of(&[9, 2]), of(&[0, 1, 2]));
    }
}
