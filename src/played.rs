//! A game as the daemon plays it: what it says beside its rules, and the user's own one, where the process has one.

use std::{
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
};

use anyhow::ensure;
use selfplay_engine::{
    game::Notation,
    solve::{Adjudicator, Exhaustive, Solver},
};

/// Positions that are looked at and kept to solve one: some seconds, and some hundred megabytes.
pub(crate) const MOST_POSITIONS: u64 = 2_000_000;

/// A game that the daemon can play: rules ([`Game`](selfplay_engine::Game)) and how people see them ([`Notation`]), and a name.
///
/// Its parameters, such as the size of a board, are fields of the type; [`main_with`](crate::main_with) is given a value of it.
pub trait PlayedGame: Notation {
    /// Its name in settings, files and metrics: lowercase letters, digits and underscores, and none of a game that selfplayd has
    /// already.
    fn name(&self) -> &'static str;

    /// What tells games of this name apart, with names and values. Files of games and the hash of the settings hold it: games by
    /// other parameters are not gone on with, and not shown by these rules.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// A typical number of legal actions, from which noise gets its width where the settings leave that open; by default half of
    /// all actions, as of a board that is filled.
    fn typical_actions(&self) -> f32 {
        self.policy_size() as f32 / 2.0
    }

    /// What each plane of an encoding holds, in words, for those who write a trainer; none where it has no planes, as by default.
    fn planes(&self, encoding: Self::Encoding) -> Vec<&'static str> {
        let _ = encoding;
        Vec::new()
    }

    /// What the actions of a policy are, by their numbers, in words.
    fn policy_meaning(&self) -> &'static str {
        "as the game numbers them"
    }

    /// How the board lies before the network, in words.
    fn frame(&self) -> &'static str {
        "as it lies"
    }

    /// No game is longer, in plies; `None`, as by default, where that is not known or nothing ends games.
    fn most_plies(&self) -> Option<u32> {
        None
    }

    /// What finds out what its positions are worth under perfect play, for `selfplayd judge`; by default it looks at everything,
    /// which small boards and endings allow.
    fn solver(&self) -> Box<dyn Solver<Self>> {
        Box::new(Exhaustive::new(self.clone(), MOST_POSITIONS))
    }

    /// The plies whose positions `selfplayd judge` draws unless it is told others: not too early for the solver, and not so late
    /// that nothing is left to decide.
    fn plies_to_solve(&self) -> RangeInclusive<u32> {
        0..=u32::MAX
    }

    /// What knows the result of some positions under perfect play so cheaply that games can end there
    /// (`play.adjudicate`); by default nothing does.
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        None
    }

    /// Name and parameters, such as `hex(size=11,swap=true)`.
    fn title(&self) -> String {
        let parameters: Vec<_> = self.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if parameters.is_empty() {
            self.name().to_owned()
        } else {
            format!("{}({})", self.name(), parameters.join(","))
        }
    }
}

/// What is known of a game without its type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// Its name.
    pub name: &'static str,
    /// Name and parameters.
    pub title: String,
    /// What tells it from others of its name.
    pub parameters: Vec<(&'static str, String)>,
    /// A typical number of legal actions.
    pub typical_actions: f32,
    /// Length of its policies.
    pub actions: u64,
    /// Numbers of one position in the largest encoding.
    pub inputs: u64,
    /// Whether anything knows the results of some of its positions.
    pub adjudicates: bool,
}

impl Facts {
    /// Of this game.
    pub(crate) fn of(game: &impl PlayedGame) -> Self {
        let numbers = |encoding| game.input_shape(encoding).iter().product::<usize>();
        Self {
            name: game.name(),
            title: game.title(),
            parameters: game.parameters(),
            typical_actions: game.typical_actions().max(1.0),
            actions: game.policy_size() as u64,
            inputs: game.encodings().into_iter().map(numbers).max().unwrap_or(0) as u64,
            adjudicates: game.adjudicator().is_some(),
        }
    }
}

/// The game that this process was given beside those that are shipped.
static OWN: OnceLock<Facts> = OnceLock::new();

/// The user's own game, if this process has one.
pub(crate) fn own() -> Option<&'static Facts> {
    OWN.get()
}

/// Makes a game known to settings, once and before anything reads them. `shipped`: names that are taken.
///
/// # Errors
/// When it cannot be called what it is called.
pub(crate) fn register(game: &impl PlayedGame, shipped: &[&str]) -> anyhow::Result<()> {
    check_name(game.name(), shipped)?;
    ensure!(
        OWN.set(Facts::of(game)).is_ok(),
        "a process plays one game of its own, and was given {:?} as well",
        game.name()
    );
    Ok(())
}

fn check_name(name: &str, shipped: &[&str]) -> anyhow::Result<()> {
    let fits = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_';
    ensure!(
        !name.is_empty() && name.chars().all(fits),
        "a game cannot be called {name:?}: choose a name of lowercase letters, digits and underscores"
    );
    ensure!(
        !shipped.contains(&name),
        "a game cannot be called {name:?}: selfplayd has a game of that name, choose another"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::connect_four::ConnectFour;

    use super::*;

    #[test]
    fn names_are_words_of_settings_that_are_not_taken() {
        let said = |name| check_name(name, &["hex", "othello"]).map_err(|error| error.to_string());
        assert_eq!(said("domineering_2"), Ok(()));
        for name in ["", "Go", "four in a row", "hex(size=3)"] {
            assert!(said(name).unwrap_err().ends_with(": choose a name of lowercase letters, digits and underscores"));
        }
        let taken = "a game cannot be called \"hex\": selfplayd has a game of that name, choose another";
        assert_eq!(said("hex"), Err(taken.to_owned()));
    }

    #[test]
    fn games_are_told_without_their_type() {
        let facts = Facts::of(&ConnectFour::default());
        assert_eq!((facts.name, &*facts.title), ("connect_four", "connect_four(rows=6,columns=7,length=4)"));
        assert_eq!((facts.actions, facts.inputs, facts.typical_actions), (7, 84, 7.0));
    }
}
