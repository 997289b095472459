//! The games of this program: what each says beside its rules, and the one place that chooses among them.
//!
//! All that plays, shows or checks is generic over [`Shipped`]; [`with_game!`] calls it with the game of the settings or of a file.
//! What needs only numbers of the game asks for its [`Facts`].

mod other;

use anyhow::{Context as _, bail};
use selfplay_actors::onnx::GameDescription;
use selfplay_engine::{
    Game,
    game::Notation,
    games::{
        breakthrough::Breakthrough,
        connect_four::ConnectFour,
        hex::Hex,
        mnk::Mnk,
        othello::Othello,
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    },
};

pub(crate) use self::other::Other;
use crate::settings::{GameName, NetworkKind, Settings};

/// A game that the daemon plays.
pub(crate) trait Shipped: Notation {
    /// Its name in settings.
    fn name(&self) -> &'static str;
    /// What can be set, and to what: names as in the settings.
    fn parameters(&self) -> Vec<(&'static str, String)>;
    /// A typical number of legal actions, from which noise gets its width.
    fn typical_actions(&self) -> f32;

    /// Name and parameters, such as `hex(size=11,swap=true)`.
    fn title(&self) -> String {
        let parameters: Vec<_> = self.parameters().iter().map(|(name, value)| format!("{name}={value}")).collect();
        if parameters.is_empty() {
            self.name().to_owned()
        } else {
            format!("{}({})", self.name(), parameters.join(","))
        }
    }
    /// What files of its games say it is.
    fn stored_title(&self) -> Option<String> {
        Some(self.title())
    }
    /// How it is named in messages about models that do not fit it.
    fn description(&self) -> GameDescription {
        GameDescription { settings: self.title(), recognise }
    }
    /// The layout that a network of this kind takes.
    fn encoding_for(&self, kind: NetworkKind) -> Self::Encoding {
        let _ = kind;
        Self::Encoding::default()
    }
}

impl Shipped for Quoridor {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters =
            vec![("board_size", self.board_size().to_string()), ("max_walls", self.max_walls().to_string())];
        parameters.extend(self.max_steps().map(|steps| ("max_steps", steps.to_string())));
        parameters
    }

    /// mean(3, W), where W is the number of wall actions of an empty board (contract of the trainer): 3 pawn moves and W walls
    /// are the extremes.
    fn typical_actions(&self) -> f32 {
        let walls = if self.max_walls() == 0 { 0 } else { 2 * (u32::from(self.board_size()) - 1).pow(2) };
        (3 + walls) as f32 / 2.0
    }

    /// Nothing: it was the only game when files of games began.
    fn stored_title(&self) -> Option<String> {
        None
    }

    fn description(&self) -> GameDescription {
        let recognise = |input: &[usize], policy| quoridor_model(input, policy).or_else(|| recognise(input, policy));
        GameDescription { settings: format!("board_size {}", self.board_size()), recognise }
    }

    fn encoding_for(&self, kind: NetworkKind) -> QuoridorEncoding {
        match kind {
            NetworkKind::Resnet => QuoridorEncoding::Resnet,
            NetworkKind::Mlp => QuoridorEncoding::Mlp,
        }
    }
}

impl Shipped for TicTacToe {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
    fn typical_actions(&self) -> f32 {
        half_the_board(self)
    }
}

impl Shipped for Mnk {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        ["m", "n", "k"].into_iter().zip(self.sizes().map(|size| size.to_string())).collect()
    }
    fn typical_actions(&self) -> f32 {
        half_the_board(self)
    }
}

impl Shipped for ConnectFour {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let [rows, columns] = self.sides().map(|side| side.to_string());
        vec![("rows", rows), ("columns", columns), ("length", self.length().to_string())]
    }
    /// Columns fill late.
    fn typical_actions(&self) -> f32 {
        self.sides()[1].into()
    }
}

impl Shipped for Othello {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size().to_string())]
    }
    /// About 8 on the usual board.
    fn typical_actions(&self) -> f32 {
        self.size().into()
    }
}

impl Shipped for Hex {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size().to_string()), ("swap", self.swap().to_string())]
    }
    fn typical_actions(&self) -> f32 {
        half_the_board(self)
    }
}

impl Shipped for Breakthrough {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let [rows, columns] = self.sides().map(|side| side.to_string());
        vec![("rows", rows), ("columns", columns)]
    }
    /// Two pawns a column, each with up to three moves; about 24 on the usual board.
    fn typical_actions(&self) -> f32 {
        3.0 * f32::from(self.sides()[1])
    }
}

/// Of a game that begins on an empty board and fills it, a cell a ply.
fn half_the_board(game: &impl Game) -> f32 {
    game.policy_size() as f32 / 2.0
}

/// One of the games.
#[derive(Clone, Debug)]
pub(crate) enum AnyGame {
    /// The one that is played most has the daemon made for it.
    Quoridor(Quoridor),
    /// The others share theirs.
    Other(Other),
}

/// Does something with the game that an [`AnyGame`] is, whose type is known there.
macro_rules! with_game {
    ($any:expr, $game:ident => $work:expr) => {
        match $any {
            $crate::shipped::AnyGame::Quoridor($game) => $work,
            $crate::shipped::AnyGame::Other($game) => $work,
        }
    };
}
pub(crate) use with_game;

impl AnyGame {
    /// The game of the settings.
    ///
    /// # Errors
    /// When its parameters make no sense together.
    pub(crate) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let Settings { game, mnk, connect_four, othello, hex, breakthrough, .. } = settings;
        Ok(Self::Other(match game.name {
            GameName::Quoridor => {
                let rules = Quoridor::new(game.board_size.into(), game.max_walls.into(), game.max_steps)?;
                return Ok(Self::Quoridor(rules));
            }
            GameName::TicTacToe => Other::TicTacToe(TicTacToe),
            GameName::Mnk => Other::Mnk(Mnk::new(mnk.m, mnk.n, mnk.k)?),
            GameName::ConnectFour => {
                Other::ConnectFour(ConnectFour::new(connect_four.rows, connect_four.columns, connect_four.length)?)
            }
            GameName::Othello => Other::Othello(Othello::new(othello.size)?),
            GameName::Hex => Other::Hex(Hex::new(hex.size, hex.swap)?),
            GameName::Breakthrough => Other::Breakthrough(Breakthrough::new(breakthrough.rows, breakthrough.columns)?),
        }))
    }

    /// The game of a [title](Shipped::title).
    ///
    /// # Errors
    /// When no game has this name, or not these parameters.
    pub(crate) fn titled(title: &str) -> anyhow::Result<Self> {
        let (name, parameters) = title.split_once('(').unwrap_or((title, ")"));
        let parameters = parameters.strip_suffix(')').with_context(|| format!("{title:?} names no game"))?;
        let text = |wanted: &str| {
            let pairs = parameters.split(',').filter_map(|pair| pair.split_once('='));
            let found = pairs.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
            found.with_context(|| format!("{title:?} does not say its {wanted}"))
        };
        let number = |wanted: &str| {
            let number = text(wanted)?.parse::<u32>();
            number.with_context(|| format!("{wanted} of {title:?} is no number"))
        };
        Ok(Self::Other(match name {
            TicTacToe::NAME => Other::TicTacToe(TicTacToe),
            Mnk::NAME => Other::Mnk(Mnk::new(number("m")?, number("n")?, number("k")?)?),
            ConnectFour::NAME => {
                Other::ConnectFour(ConnectFour::new(number("rows")?, number("columns")?, number("length")?)?)
            }
            Othello::NAME => Other::Othello(Othello::new(number("size")?)?),
            Hex::NAME => Other::Hex(Hex::new(number("size")?, text("swap")? == "true")?),
            Breakthrough::NAME => Other::Breakthrough(Breakthrough::new(number("rows")?, number("columns")?)?),
            _ => bail!("{title:?} is no game that this version knows"),
        }))
    }
}

/// What is needed of a game where its types do not matter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// See [`Shipped::title`].
    pub title: String,
    /// See [`Shipped::parameters`].
    pub parameters: Vec<(&'static str, String)>,
    /// See [`Shipped::typical_actions`].
    pub typical_actions: f32,
    /// Length of the policy.
    pub actions: u64,
    /// Numbers of one position in the largest encoding.
    pub inputs: u64,
}

impl Facts {
    /// Of the game of `settings`, which have been checked.
    pub(crate) fn of(settings: &Settings) -> Self {
        let game = AnyGame::of(settings).expect("settings are checked before they are used");
        with_game!(game, game => Self::of_game(&game))
    }

    fn of_game(game: &impl Shipped) -> Self {
        let numbers = |encoding| game.input_shape(encoding).iter().product::<usize>();
        Self {
            title: game.title(),
            parameters: game.parameters(),
            typical_actions: game.typical_actions(),
            actions: game.policy_size() as u64,
            inputs: game.encodings().into_iter().map(numbers).max().unwrap_or(0) as u64,
        }
    }
}

/// What a model of Quoridor takes, if it is one: `a 5x5 resnet`.
fn quoridor_model(input: &[usize], policy: Option<usize>) -> Option<String> {
    (3..=9).find_map(|size| {
        let game = Quoridor::new(size, 0, None).ok()?;
        let encoding = game.encodings().into_iter().find(|&encoding| game.input_shape(encoding) == input)?;
        let fits = policy.is_none_or(|policy| policy == game.policy_size());
        fits.then(|| format!("a {size}x{size} {}", game.encoding_name(encoding)))
    })
}

/// What a model is of, whose input and policy have these lengths. Several games can have the same.
fn recognise(input: &[usize], policy: Option<usize>) -> Option<String> {
    /// Policies that are left open fit too many games.
    const MOST: usize = 3;
    let quoridor = quoridor_model(input, policy).map(|model| format!("{model} of {}", Quoridor::NAME));
    let [_, rows, columns] = *input else { return quoridor };
    let sides = [rows, columns].map(|side| u32::try_from(side).ok());
    let [Some(rows), Some(columns)] = sides else { return quoridor };
    let size = rows;
    let others = [
        (rows == 3 && columns == 3).then_some(Other::TicTacToe(TicTacToe)),
        ConnectFour::new(rows, columns, 2).ok().map(Other::ConnectFour),
        Othello::new(size).ok().map(Other::Othello),
        Hex::new(size, false).ok().map(Other::Hex),
        Hex::new(size, true).ok().map(Other::Hex),
        Breakthrough::new(rows, columns).ok().map(Other::Breakthrough),
        Mnk::new(columns, rows, 2).ok().map(Other::Mnk),
    ];
    let fitting = others.into_iter().flatten().filter_map(|game| {
        let fits = game.input_shape(()) == input && policy.is_none_or(|policy| policy == game.policy_size());
        fits.then(|| format!("one of {} {rows}x{columns}", game.name()))
    });
    let mut known: Vec<_> = quoridor.into_iter().chain(fitting).take(MOST).collect();
    known.dedup();
    (!known.is_empty()).then(|| known.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(title: &str) -> String {
        let game = AnyGame::titled(title).map(|game| with_game!(game, game => game.title()));
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
            ("othello(size=x)", "size of \"othello(size=x)\" is no number: invalid digit found in string"),
            ("othello(size=5)", "set up othello with size 5: size must be 4, 6 or 8"),
        ] {
            assert_eq!(titled(title), said);
        }
    }

    #[test]
    fn models_of_other_games_are_recognised() {
        assert_eq!(recognise(&[5, 13, 13], Some(57)).as_deref(), Some("a 5x5 resnet of quoridor"));
        assert_eq!(recognise(&[2, 6, 7], Some(7)).as_deref(), Some("one of connect_four 6x7"));
        assert_eq!(recognise(&[2, 6, 7], Some(42)).as_deref(), Some("one of mnk 6x7"));
        assert_eq!(recognise(&[2, 8, 8], Some(65)).as_deref(), Some("one of othello 8x8"));
        assert_eq!(recognise(&[3, 11, 11], Some(121)).as_deref(), Some("one of hex 11x11"));
        assert_eq!(recognise(&[2, 8, 8], Some(768)).as_deref(), Some("one of breakthrough 8x8"));
        assert_eq!(recognise(&[2, 11, 11], Some(121)).as_deref(), Some("one of hex 11x11 or one of mnk 11x11"));
        for unknown in [&[][..], &[3], &[7, 4, 4], &[2, 40, 40]] {
            assert_eq!(recognise(unknown, None), None, "{unknown:?}");
        }
    }
}
