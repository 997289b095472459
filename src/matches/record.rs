//! The pairs of a match on the disk, one line of JSON each, below a line that says which match it is.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use selfplay_engine::{game::Notation, solve::Class};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{score::Score, table::PlayedPair};
use crate::boards::view::result_name;

/// One pair, as it is kept.
#[derive(Debug, Deserialize, Serialize)]
struct Line {
    pair: u64,
    /// The game that A began, then the one that B began.
    games: [Game; 2],
}

/// One game.
#[derive(Debug, Deserialize, Serialize)]
struct Game {
    moves: Vec<String>,
    /// `first`, `second` or `draw`.
    result: String,
    /// 1, 0 or −1 for A.
    a: i8,
}

/// The file of a match.
pub(crate) struct Record {
    path: PathBuf,
    file: File,
    earlier: Vec<([Class; 2], u64)>,
    pairs: u64,
}

impl Record {
    /// Opens or begins the file of the match with this `identity`. A last line that was cut off is dropped.
    ///
    /// # Errors
    /// When it cannot be read and written, or is of another match.
    pub(crate) fn open(path: &Path, identity: &Value) -> anyhow::Result<Self> {
        let what = || format!("failed to keep the games of a match in {}", path.display());
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).with_context(what)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(what)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        match lines.next() {
            None => {}
            Some(first) => {
                let found: Value = serde_json::from_str(first).with_context(what)?;
                ensure!(
                    found == *identity,
                    "{}: it is of another match: {found}; give another file, or remove this one",
                    path.display()
                );
            }
        }
        let mut earlier = Vec::new();
        for line in lines {
            let line: Line = serde_json::from_str(line).with_context(what)?;
            if line.pair != earlier.len() as u64 {
                bail!("{}: pair {} stands where pair {} is expected", path.display(), line.pair, earlier.len());
            }
            let plies = line.games.iter().map(|game| game.moves.len() as u64).sum();
            earlier.push((line.games.map(|game| Class::of_sign(game.a.into())), plies));
        }
        file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).with_context(what)?;
        if whole == 0 {
            writeln!(file, "{identity}").with_context(what)?;
        }
        let pairs = earlier.len() as u64;
        Ok(Self { path: path.to_owned(), file, earlier, pairs })
    }

    /// What earlier processes played: A's results, and the plies of both games.
    pub(crate) fn take_earlier(&mut self) -> Vec<([Class; 2], u64)> {
        std::mem::take(&mut self.earlier)
    }

    /// Adds the next pair.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn add<G: Notation>(&mut self, rules: &G, games: &PlayedPair<G>) -> anyhow::Result<()> {
        let results = Score::results(games);
        let kept = [0, 1].map(|number| Game {
            moves: games[number].plies.iter().map(|ply| rules.action_name(ply.action)).collect(),
            result: result_name(games[number].outcome).to_owned(),
            a: results[number].value(),
        });
        let line = serde_json::to_string(&Line { pair: self.pairs, games: kept })?;
        self.pairs += 1;
        writeln!(self.file, "{line}")
            .with_context(|| format!("failed to keep the games of a match in {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{Outcome, Player, games::tictactoe::TicTacToe};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::match_game;

    fn pair() -> PlayedPair<TicTacToe> {
        [0, 1].map(|index| match_game(index, &[4, 0, 8], 3, Outcome::Win(Player::First)))
    }

    #[test]
    fn a_record_goes_on_where_it_was_cut_off() {
        let dir = TempDir::new().unwrap();
        let (path, identity) = (dir.path().join("match.jsonl"), json!({ "seed": 3 }));
        let mut record = Record::open(&path, &identity).unwrap();
        assert!(record.take_earlier().is_empty());
        record.add(&TicTacToe, &pair()).unwrap();
        record.add(&TicTacToe, &pair()).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        let mut record = Record::open(&path, &identity).unwrap();
        assert_eq!(record.take_earlier(), [([Class::Win, Class::Loss], 6)]);
        record.add(&TicTacToe, &pair()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
    }

    #[test]
    fn the_record_of_another_match_is_left_alone() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("match.jsonl");
        drop(Record::open(&path, &json!({ "seed": 3 })).unwrap());
        let error = Record::open(&path, &json!({ "seed": 4 })).err().unwrap().to_string();
        assert!(error.contains("it is of another match: {\"seed\":3}"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"seed\":3}\n");
    }
}
