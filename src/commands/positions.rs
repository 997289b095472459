//! Files of positions: for `judge`, and as openings of matches.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use anyhow::{Context as _, anyhow, bail, ensure};
use flate2::read::GzDecoder;
use selfplay_engine::{Action, ActionSet as _, Game, solve::Class};
use serde::Deserialize;

/// A line of a file of positions.
#[derive(Deserialize)]
struct Line {
    /// Played from the start.
    moves: Vec<Action>,
    /// Class of every legal move for the mover: 1 wins, 0 draws, −1 loses.
    class: Option<BTreeMap<Action, i8>>,
}

/// A position, and its moves' classes if they are known.
pub(super) type Position = (Vec<Action>, Option<Vec<(Action, Class)>>);

/// The state after legal moves from the start.
pub(super) fn played<G: Game>(game: &G, moves: &[Action]) -> G::State {
    let mut state = game.start();
    moves.iter().for_each(|&action| game.play(&mut state, action));
    state
}

/// Positions of a file: one JSON object a line, compressed with gzip or not.
///
/// # Errors
/// When there is none, or a line is no position in which `game` goes on; it says which.
pub(super) fn read<G: Game>(path: &Path, game: &G) -> anyhow::Result<Vec<Position>> {
    let bytes = fs::read(path).with_context(|| format!("failed to read positions from {}", path.display()))?;
    let text = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        GzDecoder::new(&*bytes).read_to_string(&mut text).map(|_| text).map_err(anyhow::Error::from)
    } else {
        String::from_utf8(bytes).map_err(anyhow::Error::from)
    };
    let text = text.with_context(|| format!("failed to read positions from {}", path.display()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let positions: Vec<_> = lines
        .map(|(number, line)| parse(game, line).with_context(|| format!("{}, line {}", path.display(), number + 1)))
        .collect::<Result<_, _>>()?;
    ensure!(!positions.is_empty(), "{} has no positions", path.display());
    Ok(positions)
}

fn parse<G: Game>(game: &G, line: &str) -> anyhow::Result<Position> {
    let Line { moves, class } = serde_json::from_str(line)?;
    let mut state = game.start();
    for (ply, &action) in moves.iter().enumerate() {
        if game.outcome(&state).is_some() {
            bail!("the game is over after {ply} moves, and there are {}", moves.len());
        }
        if !game.legal_actions(&state).contains(action) {
            bail!("move {ply} (counted from 0) is {action}, which is not legal");
        }
        game.play(&mut state, action);
    }
    let legal = game.legal_actions(&state);
    ensure!(game.outcome(&state).is_none() && !legal.is_empty(), "the game is over in this position");
    let Some(class) = class else { return Ok((moves, None)) };
    let named: Vec<Action> = class.keys().copied().collect();
    let legal: Vec<Action> = legal.iter().collect();
    ensure!(named == legal, "\"class\" is of the moves {named:?}, and {legal:?} are legal");
    let classes = class.into_iter().map(|(action, class)| match class {
        -1..=1 => Ok((action, Class::of_sign(class.into()))),
        _ => Err(anyhow!("the class of move {action} is {class}, and must be -1, 0 or 1")),
    });
    Ok((moves, Some(classes.collect::<Result<_, _>>()?)))
}

#[cfg(test)]
mod tests {
    use selfplay_engine::games::connect_four::ConnectFour;

    use super::*;

    fn refused(line: &str) -> String {
        parse(&ConnectFour::default(), line).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_position_is_said() {
        assert_eq!(refused(r#"{"moves":[0,0,0,0,0,0,0]}"#), "move 6 (counted from 0) is 0, which is not legal");
        assert_eq!(refused(r#"{"moves":[7]}"#), "move 0 (counted from 0) is 7, which is not legal");
        assert_eq!(refused(r#"{"moves":[0,1,0,1,0,1,0]}"#), "the game is over in this position");
        assert_eq!(refused(r#"{"moves":[0,1,0,1,0,1,0,1]}"#), "the game is over after 7 moves, and there are 8");
        assert_eq!(
            refused(r#"{"moves":[0,0,0,0,0,0],"class":{"0":1,"1":0}}"#),
            "\"class\" is of the moves [0, 1], and [1, 2, 3, 4, 5, 6] are legal"
        );
        assert_eq!(
            refused(r#"{"moves":[],"class":{"0":0,"1":0,"2":0,"3":2,"4":0,"5":0,"6":0}}"#),
            "the class of move 3 is 2, and must be -1, 0 or 1"
        );
        assert!(refused(r#"{"move":[]}"#).contains("missing field `moves`"));
    }
}
