//! Where the openings of a match come from.

use std::{collections::HashSet, path::Path};

use selfplay_engine::{Game, Leaf};

use crate::{commands::positions, matches::openings::Source};

/// Openings of a file of positions, if one was named, else random ones; each position of the file counts once, however often it is there.
///
/// # Errors
/// When the file holds something else.
pub(super) fn source<G: Game>(game: &G, file: Option<&Path>, plies: u32) -> anyhow::Result<Source> {
    let Some(path) = file else { return Ok(Source::Random { plies }) };
    let mut openings: Vec<_> = positions::read(path, game)?.into_iter().map(|(moves, _)| moves).collect();
    let (named, mut seen) = (openings.len(), HashSet::new());
    openings.retain(|moves| {
        let state = positions::played(game, moves);
        seen.insert(Leaf::new(game, &state, &game.legal_actions(&state)).position)
    });
    if openings.len() < named {
        tracing::warn!("{}: {} of {named} positions repeat others", path.display(), named - openings.len());
    }
    Ok(Source::File { name: path.display().to_string(), openings })
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::tictactoe::TicTacToe;

    use super::*;
    use crate::matches::openings::Openings;

    #[test]
    fn openings_of_a_file_are_taken_in_their_order_and_each_position_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let of = |lines: &str| {
            std::fs::write(file.path(), lines).unwrap();
            source(&TicTacToe, Some(file.path()), 4)
        };
        // The first and the third lead to one position.
        let lines = "{\"moves\":[4,0,8]}\n{\"moves\":[1]}\n{\"moves\":[8,0,4]}\n";
        let mut openings = Openings::new(3, of(lines).unwrap());
        let found: Vec<_> =
            (0..9).map_while(|pair| openings.get(&TicTacToe, pair, |_| Ok(vec![1.0])).unwrap()).collect();
        assert_eq!(found, [vec![4, 0, 8], vec![1]]);
        let error = format!("{:#}", of("{\"moves\":[4]}\n{\"moves\":[4,4]}\n").unwrap_err());
        assert!(error.ends_with("line 2: move 1 (counted from 0) is 4, which is not legal"), "{error}");
    }
}
