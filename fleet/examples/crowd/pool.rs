//! Games that were played before, to be finished again and again under new names.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use selfplay_engine::replay::GameMetadata;

/// Both files of a game.
pub(crate) struct Game {
    pub(crate) yaml: Vec<u8>,
    pub(crate) npz: Vec<u8>,
}

/// See the module.
pub(crate) struct Pool {
    games: Vec<Game>,
    settings_hash: String,
}

impl Pool {
    /// The games of a folder, which are all of the same settings.
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(dir)
            .with_context(|| format!("cannot list {}", dir.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "npz"))
            .collect();
        paths.sort();
        let read = |npz: &Path| anyhow::Ok(Game { yaml: fs::read(npz.with_extension("yaml"))?, npz: fs::read(npz)? });
        let games: Vec<_> =
            paths.iter().map(|npz| read(npz)).collect::<Result<_, _>>().context("cannot read a game")?;
        ensure!(!games.is_empty(), "there are no games in {}: play some with `selfplayd --output-dir`", dir.display());
        let metadata = GameMetadata::from_yaml(std::str::from_utf8(&games[0].yaml)?)?;
        Ok(Self { games, settings_hash: metadata.settings_hash.unwrap_or_default() })
    }

    /// Game `number`; after the last the first comes again.
    pub(crate) fn game(&self, number: u64) -> &Game {
        &self.games[(number % self.games.len() as u64) as usize]
    }

    /// What they were played with.
    pub(crate) fn settings_hash(&self) -> &str {
        &self.settings_hash
    }

    /// Bytes of so many games' archives.
    pub(crate) fn npz_bytes(&self, games: u64) -> u64 {
        (0..games).map(|number| self.game(number).npz.len() as u64).sum()
    }

    /// Bytes of all files of so many games.
    pub(crate) fn bytes(&self, games: u64) -> u64 {
        self.npz_bytes(games) + (0..games).map(|number| self.game(number).yaml.len() as u64).sum::<u64>()
    }
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
