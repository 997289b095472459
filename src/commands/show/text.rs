//! A game in the terminal: its moves, its value over time, and boards with what the search thought.

use std::{
    io::{self, Write},
    ops::RangeInclusive,
};

use selfplay_engine::game::Notation;

use crate::boards::{game::ShownGame, view::Ply};

/// Most characters of the line of values.
const CURVE: usize = 72;
/// Characters of a share of 1.
const BAR: f32 = 24.0;

/// Prints the game, with the positions before the plies `shown`.
///
/// # Errors
/// When `out` does not take it.
pub(super) fn print<G: Notation>(
    game: &ShownGame<G>,
    shown: RangeInclusive<usize>,
    out: &mut impl Write,
) -> io::Result<()> {
    let result =
        game.metadata.result.map_or_else(|| "unknown".to_owned(), |result| format!("{result:?}").to_lowercase());
    // How the rules ended it shows the board.
    let early = game.metadata.end_reason.as_deref().filter(|reason| ["adjudicated", "resigned"].contains(reason));
    let early = early.map(|reason| format!(" ({reason})")).unwrap_or_default();
    writeln!(out, "{} plies, result {result}{early}, model version {}", game.plies.len(), game.metadata.model_version)?;
    if let (Some(first), Some(second)) = (&game.metadata.first_player, &game.metadata.second_player) {
        writeln!(out, "first player: {first}\nsecond player: {second}")?;
    }
    let names: Vec<_> = game.plies.iter().map(|ply| game.rules.action_name(ply.action)).collect();
    for (number, pair) in names.chunks(2).enumerate() {
        write!(out, "{}{}. {}", if number == 0 { "" } else { " " }, number + 1, pair.join(" "))?;
    }
    writeln!(out)?;
    let values: Option<Vec<_>> = game.plies.iter().map(Ply::value_for_first).collect();
    if let Some(values) = values {
        writeln!(out, "value for the first player, −1 to 1: {}", curve(&values))?;
    }
    writeln!(out)?;
    shown.into_iter().try_for_each(|ply| position(game, ply, out))
}

/// The position before a ply, what the search thought of it and what was played.
fn position<G: Notation>(game: &ShownGame<G>, number: usize, out: &mut impl Write) -> io::Result<()> {
    let ply = game.plies.get(number);
    let value =
        ply.and_then(|ply| ply.value).map(|value| format!(", the mover's value {value:+.3}")).unwrap_or_default();
    let draw =
        ply.and_then(|ply| ply.draw.known()).map(|draw| format!(", a draw {:.0}%", draw * 100.0)).unwrap_or_default();
    writeln!(out, "before ply {number}{value}{draw}")?;
    write!(out, "{}", game.rules.draw(&game.state(number)))?;
    for top in ply.into_iter().flat_map(Ply::top) {
        let name = game.rules.action_name(top.action);
        let bar = "█".repeat((top.probability * BAR).round() as usize);
        let played = if ply.is_some_and(|ply| ply.action == top.action) { "played" } else { "" };
        let visits = if top.visits > 0 { format!("{:>6} visits", top.visits) } else { String::new() };
        let line = format!("{name:>4} {:>6.1}%{visits} {bar:<24} {played}", top.probability * 100.0);
        writeln!(out, "{}", line.trim_end())?;
    }
    if let Some(ply) = ply.filter(|ply| ply.top().all(|top| top.action != ply.action)) {
        writeln!(out, "played: {}", game.rules.action_name(ply.action))?;
    }
    writeln!(out)
}

/// Values from −1 to 1 as a line of bars; several plies to a character where there are too many.
fn curve(values: &[f32]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let each = values.len().div_ceil(CURVE).max(1);
    let level = |values: &[f32]| {
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        LEVELS[((mean + 1.0) / 2.0 * 8.0).clamp(0.0, 7.0) as usize]
    };
    values.chunks(each).map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bars_and_long_games_are_condensed() {
        assert_eq!(curve(&[-1.0, -0.5, 0.0, 0.5, 1.0]), "▁▃▅▇█");
        assert_eq!(curve(&[]), "");
        let long = curve(&[0.9; 200]);
        assert!(long.chars().count() <= CURVE && long.chars().all(|bar| bar == '█'), "{long}");
    }
}
