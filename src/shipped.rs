//! The games that come with the program, and the one place that chooses a game by its name.
//!
//! - `games`: what each says beside its rules
//! - `other`: every game but Quoridor as one type
//! - `recognise`: what a model is of that does not fit

mod games;
mod other;
mod recognise;

use std::sync::OnceLock;

use anyhow::{Context as _, bail, ensure};
use selfplay_engine::games::{
    breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello, quoridor::Quoridor,
    tictactoe::TicTacToe,
};

pub(crate) use self::{other::Other, recognise::description};
use crate::played::{self, Facts};

/// Names of the games that are shipped.
pub(crate) const NAMES: [&str; 7] =
    [Quoridor::NAME, TicTacToe::NAME, Mnk::NAME, ConnectFour::NAME, Othello::NAME, Hex::NAME, Breakthrough::NAME];

/// Names of all games that this process can play.
pub(crate) fn names() -> &'static [&'static str] {
    static ALL: OnceLock<Vec<&str>> = OnceLock::new();
    ALL.get_or_init(|| NAMES.into_iter().chain(played::own().map(|own| own.name)).collect())
}

/// One of the games that this process can play.
#[derive(Clone, Debug)]
pub(crate) enum AnyGame {
    /// The one that is played most has the daemon made for it.
    Quoridor(Quoridor),
    /// The others share theirs.
    Other(Other),
    /// The user's own, [which was registered](played::own).
    Own,
}

impl AnyGame {
    /// The game of this name, with parameters as text: any but Quoridor, which says less of itself in files.
    ///
    /// # Errors
    /// When no game has this name, or not these parameters.
    pub(crate) fn named(name: &str, parameter: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<Self> {
        let number = |wanted: &str| {
            let number = parameter(wanted)?.parse::<u32>();
            number.with_context(|| format!("{wanted} of {name} is no number"))
        };
        Ok(Self::Other(match name {
            TicTacToe::NAME => Other::TicTacToe(TicTacToe),
            Mnk::NAME => Other::Mnk(Mnk::new(number("m")?, number("n")?, number("k")?)?),
            ConnectFour::NAME => {
                Other::ConnectFour(ConnectFour::new(number("rows")?, number("columns")?, number("length")?)?)
            }
            Othello::NAME => Other::Othello(Othello::new(number("size")?)?),
            Hex::NAME => Other::Hex(Hex::new(number("size")?, parameter("swap")? == "true")?),
            Breakthrough::NAME => Other::Breakthrough(Breakthrough::new(number("rows")?, number("columns")?)?),
            _ if played::own().is_some_and(|own| own.name == name) => return Ok(Self::Own),
            _ => bail!("{name:?} is no game that this version knows"),
        }))
    }

    /// The game of a [title](played::PlayedGame::title).
    ///
    /// # Errors
    /// When no game has this name, or not these parameters.
    pub(crate) fn titled(title: &str) -> anyhow::Result<Self> {
        let (name, parameters) = title.split_once('(').unwrap_or((title, ")"));
        let parameters = parameters.strip_suffix(')').with_context(|| format!("{title:?} names no game"))?;
        let game = Self::named(name, |wanted| {
            let pairs = parameters.split(',').filter_map(|pair| pair.split_once('='));
            let found = pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned());
            found.with_context(|| format!("{title:?} does not say its {wanted}"))
        })?;
        // Only the user's own one cannot be had with other parameters than it has.
        if let (Self::Own, Some(own)) = (&game, played::own()) {
            ensure!(own.title == title, "it was played by the rules {title}, and this program plays {}", own.title);
        }
        Ok(game)
    }

    /// What is known of it without its type.
    pub(crate) fn facts(&self) -> Facts {
        match self {
            Self::Quoridor(game) => Facts::of(game),
            Self::Other(game) => Facts::of(game),
            Self::Own => played::own().expect("it is there where it is chosen").clone(),
        }
    }
}

/// What files of its games say that a game is. Nothing for Quoridor: it was the only game when files of games began.
pub(crate) fn stored_title(game: &impl played::PlayedGame) -> Option<String> {
    (game.name() != Quoridor::NAME).then(|| game.title())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(title: &str) -> String {
        let game = AnyGame::titled(title).map(|game| game.facts().title);
        game.unwrap_or_else(|error| format!("{error:#}"))
    }

    #[test]
    fn every_title_names_its_game() {
        let games = [
            "tic_tac_toe",
            "mnk(m=15,n=14,k=5)",
            "connect_four(rows=6,columns=7,length=4)",
            "othello(size=6)",
            "hex(size=11,swap=true)",
            "hex(size=5,swap=false)",
            "breakthrough(rows=8,columns=7)",
        ];
        assert_eq!(games.map(titled), games);
        for (title, said) in [
            ("chess", "\"chess\" is no game that this version knows"),
            ("hex(size=11", "\"hex(size=11\" names no game"),
            ("hex(size=11)", "\"hex(size=11)\" does not say its swap"),
            ("othello(size=x)", "size of othello is no number: invalid digit found in string"),
            ("othello(size=5)", "set up othello with size 5: size must be 4, 6 or 8"),
        ] {
            assert_eq!(titled(title), said);
        }
    }
}
