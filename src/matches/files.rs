//! The games of a match as files of games, as self-play writes them.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use selfplay_engine::replay::{GameArrays, GameMetadata, GameRecord, ReplayStore, SessionId, StemClock};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::table::PlayedPair;
use crate::{exit::failed, played::PlayedGame, shipped::stored_title};

/// What files tell of a player.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FiledPlayer {
    /// As it was named, with its settings.
    pub name: String,
    /// Of the settings that shape its games.
    pub settings_hash: String,
    /// Of its model.
    pub version: i64,
}

/// Writes the games of one match. Their names follow from the match and their numbers, so that a game that is played again takes the place
/// of what was written before.
pub(crate) struct GameFiles<G: PlayedGame> {
    store: ReplayStore,
    /// Tells the games of this match from those of others.
    session: SessionId,
    encoding: G::Encoding,
    /// A and B.
    players: [FiledPlayer; 2],
}

impl<G: PlayedGame> GameFiles<G> {
    /// For games of the match with this `identity`, in `dir`. `encoding`: of positions.
    ///
    /// # Errors
    /// When files cannot be written there.
    pub(crate) fn open(
        dir: &Path,
        identity: &Value,
        encoding: G::Encoding,
        players: [FiledPlayer; 2],
    ) -> anyhow::Result<Self> {
        let digest = Sha256::digest(identity.to_string());
        let four =
            |from: usize| digest.iter().skip(from).take(4).fold(0, |number, &byte| number << 8 | u32::from(byte));
        let session = SessionId::new(four(0), four(4));
        let store = ReplayStore::open(dir, session).map_err(failed);
        let store = store.with_context(|| format!("the games of a match cannot be kept in {}", dir.display()))?;
        Ok(Self { store, session, encoding, players })
    }

    /// Writes both games of a pair.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn add(&self, game: &G, pair: PlayedPair<G>) -> anyhow::Result<()> {
        let written = pair.into_iter().enumerate().try_for_each(|(number, record)| {
            let mut players = self.players.each_ref();
            players.rotate_left(number);
            self.write(game, record, players)
        });
        written.with_context(|| format!("failed to write a game of the match to {}", self.store.dir().display()))
    }

    /// `players`: the first and the second.
    fn write(&self, game: &G, mut record: GameRecord<G>, players: [&FiledPlayer; 2]) -> anyhow::Result<()> {
        record.model_version = players[0].version;
        record.plies.iter_mut().for_each(|ply| ply.model_version = players[ply.player.index()].version);
        let npz = GameArrays::new(&record, game, self.encoding).and_then(|arrays| arrays.to_npz()).map_err(failed)?;
        let [first, second] = players;
        let hash = format!("{}/{}", first.settings_hash, second.settings_hash);
        let metadata = GameMetadata {
            creator: self.session.to_string(),
            rules: stored_title(game),
            first_player: Some(first.name.clone()),
            second_player: Some(second.name.clone()),
            ..GameMetadata::new(&record, self.session.pid(), &hash, env!("CARGO_PKG_VERSION"))
        };
        let yaml = metadata.to_yaml().map_err(failed)?;
        // Its number stands where names have the time: they ascend, and are the same again.
        let stem = StemClock::new(self.session, 0).next(record.index, record.index);
        match fs::remove_file(self.store.dir().join(format!("{stem}.npz"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.store.write(&stem, yaml.as_bytes(), &npz).map_err(failed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{Outcome, Player, replay::ReadGame};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::testing::match_game;

    fn player(name: &str, version: i64) -> FiledPlayer {
        FiledPlayer { name: name.to_owned(), settings_hash: format!("hash of {name}"), version }
    }

    fn write(dir: &Path, seed: u64, outcome: Outcome) {
        let players = [player("new: one", 41), player("old", 37)];
        let files = GameFiles::open(dir, &json!({ "seed": seed }), Default::default(), players).unwrap();
        let pair = [4, 5].map(|index| match_game(index, &[4, 0, 8], 1, outcome));
        files.add(&selfplay_engine::games::tictactoe::TicTacToe, pair).unwrap();
    }

    fn archives(dir: &Path) -> Vec<std::path::PathBuf> {
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let mut archives: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|ending| ending == "npz")).collect();
        archives.sort();
        archives
    }

    #[test]
    fn files_say_who_played_and_sides_are_exchanged_in_the_second_game() {
        let dir = TempDir::new().unwrap();
        write(dir.path(), 3, Outcome::Win(Player::First));
        let read: Vec<_> = archives(dir.path()).iter().map(|path| ReadGame::open(path).unwrap()).collect();
        let told = |game: &ReadGame| {
            let about = game.metadata.clone();
            (about.first_player.unwrap(), about.second_player.unwrap(), about.settings_hash.unwrap(), about.game_index)
        };
        let [one, other] = ["new: one", "old"].map(str::to_owned);
        assert_eq!(told(&read[0]), (one.clone(), other.clone(), "hash of new: one/hash of old".to_owned(), Some(4)));
        assert_eq!(told(&read[1]), (other, one, "hash of old/hash of new: one".to_owned(), Some(5)));
        assert_eq!(read[0].metadata.model_version, 41);
        let all = read[1].all.as_ref().unwrap();
        assert_eq!((all.model_versions.to_vec(), all.kinds.to_vec()), (vec![37, 41, 37], vec![3, 0, 0]));
        assert_eq!((read[1].rows(), read[1].values.to_vec()), (2, vec![-1.0, 1.0]));
    }

    #[test]
    fn a_game_that_is_played_again_takes_its_place_and_other_matches_have_theirs() {
        let dir = TempDir::new().unwrap();
        write(dir.path(), 3, Outcome::Win(Player::First));
        let bytes = |paths: &[std::path::PathBuf]| paths.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        let first = archives(dir.path());
        let before = bytes(&first);
        write(dir.path(), 3, Outcome::Win(Player::First));
        assert_eq!((archives(dir.path()), bytes(&first)), (first.clone(), before));
        write(dir.path(), 3, Outcome::Win(Player::Second));
        assert_eq!(archives(dir.path()), first);
        assert_eq!(ReadGame::open(&first[0]).unwrap().values.to_vec(), [1.0, -1.0]);
        write(dir.path(), 4, Outcome::Win(Player::First));
        assert_eq!(archives(dir.path()).len(), 4);
    }
}
