//! The openings of a match: random, each to a position of its own in which no model sees the game as decided.

use std::collections::HashSet;

use selfplay_engine::{Action, Game, Leaf, matches::opening};

/// Openings in which a model sees one side this far ahead are drawn anew: they say nothing of the players.
const DECIDED: f32 = 0.8;
/// Times that an opening is drawn before there is taken to be none.
const ATTEMPTS: u32 = 100;

/// Openings by the number of their pair, found when they are first asked for. They follow from the seed and the models alone.
pub(super) struct Openings<G: Game> {
    seed: u64,
    plies: u32,
    found: Vec<Vec<Action>>,
    seen: HashSet<G::Position>,
    /// There are no more.
    exhausted: bool,
}

impl<G: Game> Openings<G> {
    /// Of so many plies.
    pub(super) fn new(seed: u64, plies: u32) -> Self {
        Self { seed, plies, found: Vec::new(), seen: HashSet::new(), exhausted: false }
    }

    /// That of a pair; `None` where there are fewer. `values`: what the models say of a position.
    ///
    /// # Errors
    /// Those of `values`.
    pub(super) fn get(
        &mut self,
        game: &G,
        pair: u64,
        mut values: impl FnMut(Leaf<G>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Vec<Action>>> {
        while self.found.len() as u64 <= pair && !self.exhausted {
            match self.draw(game, &mut values)? {
                Some(actions) => self.found.push(actions),
                None => self.exhausted = true,
            }
        }
        Ok(self.found.get(pair as usize).cloned())
    }

    fn draw(
        &mut self,
        game: &G,
        values: &mut impl FnMut(Leaf<G>) -> anyhow::Result<Vec<f32>>,
    ) -> anyhow::Result<Option<Vec<Action>>> {
        let pair = self.found.len() as u64;
        for attempt in 0..ATTEMPTS {
            let Some(actions) = opening(game, self.seed, pair, attempt, self.plies) else { continue };
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
        let mut openings = Openings::new(3, plies);
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
            let mut openings = Openings::new(3, 4);
            let mut get = |pair| openings.get(&game, pair, |_| Ok(Vec::new())).unwrap().unwrap();
            pairs.iter().for_each(|&pair| drop(get(pair)));
            (get(0), get(9))
        };
        assert_eq!(of(&[9, 2]), of(&[0, 1, 2]));
    }
}
