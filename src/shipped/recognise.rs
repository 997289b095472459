//! What a model is of that does not fit the game of the settings.

use std::any::Any;

use selfplay_actors::onnx::GameDescription;
use selfplay_engine::{
    Game as _,
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
        quoridor::Quoridor, tictactoe::TicTacToe,
    },
};

use super::Other;
use crate::played::PlayedGame;

/// How a game is named in messages about models that do not fit it.
pub(crate) fn description<G: PlayedGame>(game: &G) -> GameDescription {
    match (game as &dyn Any).downcast_ref::<Quoridor>() {
        Some(quoridor) => GameDescription {
            settings: format!("board_size {}", quoridor.board_size()),
            recognise: |input, policy| quoridor_model(input, policy).or_else(|| recognise(input, policy)),
        },
        None => GameDescription { settings: game.title(), recognise },
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
