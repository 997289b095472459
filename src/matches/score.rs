//! The results of a match, counted.

use selfplay_engine::{
    Game, Outcome, Player as Side,
    rating::{Games, Pairs},
    solve::Class,
};

use super::table::PlayedPair;

/// The result of one game for A, who began if `a_first`.
pub(crate) const fn result(outcome: Outcome, a_first: bool) -> Class {
    match (outcome, a_first) {
        (Outcome::Draw(_), _) => Class::Draw,
        (Outcome::Win(Side::First), true) | (Outcome::Win(Side::Second), false) => Class::Win,
        (Outcome::Win(_), _) => Class::Loss,
    }
}

/// Results counted, from A's view.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Score {
    /// Games that A began, and those that B began.
    pub games: [Games; 2],
    /// Both games of each opening.
    pub pairs: Pairs,
    plies: u64,
}

impl Score {
    /// Counts a pair.
    pub(crate) fn count(&mut self, results: [Class; 2], plies: u64) {
        self.games.iter_mut().zip(results).for_each(|(games, result)| games.count(result));
        self.pairs.count(results);
        self.plies += plies;
    }

    /// Both results of a pair that was played.
    pub(crate) fn results<G: Game>(pair: &PlayedPair<G>) -> [Class; 2] {
        [result(pair[0].outcome, true), result(pair[1].outcome, false)]
    }

    /// Length of a game.
    pub(crate) fn mean_plies(&self) -> f64 {
        self.plies as f64 / (2 * self.pairs.total()).max(1) as f64
    }

    /// In a line, while the match goes on.
    pub(crate) fn line(&self) -> String {
        format!("A {}", self.words())
    }

    /// What A did.
    pub(crate) fn words(&self) -> String {
        let all: [u64; 3] = std::array::from_fn(|kind| self.games.iter().map(|games| games.0[kind]).sum());
        let [lost, drawn, won] = all;
        let elo = self.pairs.elo().map(|elo| format!(", Elo {:+.0} ± {:.0}", elo.value, elo.margin()));
        format!("won {won}, drew {drawn}, lost {lost}{}", elo.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::Draw;

    use super::*;

    #[test]
    fn results_are_those_of_a_whoever_began() {
        let won = |player| Outcome::Win(player);
        assert_eq!((result(won(Side::First), true), result(won(Side::First), false)), (Class::Win, Class::Loss));
        assert_eq!((result(won(Side::Second), true), result(won(Side::Second), false)), (Class::Loss, Class::Win));
        assert_eq!(result(Outcome::Draw(Draw::StepLimit), true), Class::Draw);
    }
}
