//! Finished games out of the folder that a daemon writes them to, into the outbox.
//!
//! To the daemon, its writer and its journal, a worker is a trainer: one that takes games away as they come. So nothing of them knows of the
//! fleet. Games are put into the outbox, then removed from the folder, and only then may they be sent:
//!
//! ```text
//! Outbox::write, on the disk ─▶ YAML file and archive removed, folder synchronised ─▶ Outbox::release
//! ```
//!
//! Whatever a process leaves behind that ends in between, the next one knows the games by the outbox's newest frames, which nobody was sent,
//! and removes them from the folder before it takes any other.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use selfplay_engine::replay::{GameMetadata, Stem};
use thiserror::Error;

use crate::{
    disk::{Disk, DiskError, failed},
    frame::{MOST_GAMES, MOST_UNPACKED, Model, OutGame, PackError, Packed, Packer},
    outbox::{Outbox, OutboxError},
};

/// Games are packed together up to so many bytes.
const MOST_PACKED: usize = 8 << 20;

/// Where games lie that cannot be sent, in the folder.
const ASIDE: &str = "not_sent";

/// Why no games are taken, or not now.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The outbox takes none.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// There is no memory to pack them.
    #[error("pack games")]
    Packer(#[source] io::Error),
}

/// A game that cannot be sent. Its files were moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its name.
    pub stem: Stem,
    /// Why.
    pub reason: String,
}

/// Takes games from one folder. See the module.
#[derive(Debug)]
pub struct Intake<D: Disk> {
    disk: D,
    dir: PathBuf,
    packer: Packer,
    /// Games that are in the outbox and perhaps still in the folder, with the number of their last frame.
    moved: Option<(Vec<Stem>, u64)>,
    aside: Vec<Aside>,
}

impl<D: Disk> Intake<D> {
    /// Takes games from `dir`, first out of it those that the outbox has already. The only one to do so with this outbox.
    ///
    /// # Errors
    /// When the folder or the outbox cannot be used; it may be tried again.
    pub fn open(disk: D, dir: impl Into<PathBuf>, outbox: &mut Outbox<D>) -> Result<Self, IntakeError> {
        let packer = Packer::new().map_err(IntakeError::Packer)?;
        let moved = Some((outbox.newest(MOST_GAMES)?, outbox.last()));
        let mut intake = Self { disk, dir: dir.into(), packer, moved, aside: Vec::new() };
        intake.finish(outbox)?;
        Ok(intake)
    }

    /// Takes the oldest games, at most [`MOST_GAMES`], those of the same settings as the first; how many. `sha256`: of the file of a model
    /// version, as far as that is known.
    ///
    /// # Errors
    /// When the disk fails or the outbox takes none. No game is lost by it, or taken twice: the next call goes on.
    pub fn take(
        &mut self,
        outbox: &mut Outbox<D>,
        sha256: impl Fn(i64) -> Option<[u8; 32]>,
    ) -> Result<usize, IntakeError> {
        self.finish(outbox)?;
        let (mut games, mut settings, mut bytes) = (Vec::new(), None, 0);
        for stem in self.waiting()? {
            if games.len() == MOST_GAMES || bytes >= MOST_PACKED {
                break;
            }
            match self.pack(&stem, &sha256)? {
                Ok((hash, _)) if settings.as_ref().is_some_and(|settings| *settings != hash) => break,
                Ok((hash, game)) => {
                    settings = Some(hash);
                    bytes += game.bytes.len();
                    games.push(game);
                }
                Err(reason) => self.set_aside(stem, reason)?,
            }
        }
        let Some(settings) = settings else { return Ok(0) };
        let numbers = loop {
            match outbox.write(&settings, &games) {
                // Fewer of them may fit; the others wait.
                Err(OutboxError::Full { .. }) if games.len() > 1 => games.truncate(games.len() / 2),
                written => break written?,
            }
        };
        let count = games.len();
        self.moved = Some((games.into_iter().map(|game| game.entry.stem).collect(), *numbers.end()));
        self.finish(outbox)?;
        Ok(count)
    }

    /// Games moved aside since this was asked last.
    pub fn take_aside(&mut self) -> Vec<Aside> {
        std::mem::take(&mut self.aside)
    }

    /// Removes games from the folder that the outbox has, and lets them be sent.
    fn finish(&mut self, outbox: &mut Outbox<D>) -> Result<(), DiskError> {
        let Some((stems, last)) = &self.moved else { return Ok(()) };
        for stem in stems {
            // The archive last: without its YAML file it is still found to be a game.
            for ending in ["yaml", "npz"] {
                let path = self.path(stem, ending);
                self.disk.remove(&path).map_err(failed("remove", &path))?;
            }
        }
        self.disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))?;
        outbox.release(*last);
        self.moved = None;
        Ok(())
    }

    /// Games whose archive is there, and so their YAML file too, in the order in which they ended.
    fn waiting(&self) -> Result<Vec<Stem>, DiskError> {
        let names = self.disk.list(&self.dir).map_err(failed("list directory", &self.dir))?;
        Ok(names.iter().filter_map(|(name, _)| name.strip_suffix(".npz")?.parse().ok()).collect())
    }

    /// A game, packed, with the fingerprint of its settings; why not.
    fn pack(
        &mut self,
        stem: &Stem,
        sha256: impl Fn(i64) -> Option<[u8; 32]>,
    ) -> Result<Result<(String, Packed), String>, IntakeError> {
        let mut files = [Vec::new(), Vec::new()];
        for (file, ending) in files.iter_mut().zip(["yaml", "npz"]) {
            let path = self.path(stem, ending);
            match self.disk.read(&path, MOST_UNPACKED) {
                Ok(bytes) => *file = bytes,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                    return Ok(Err(format!("its {ending} file: {error}")));
                }
                Err(error) => return Err(failed("read file", &path)(error).into()),
            }
        }
        let [yaml, npz] = files;
        let metadata = match std::str::from_utf8(&yaml).map(GameMetadata::from_yaml) {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(error)) => return Ok(Err(error.to_string())),
            Err(_) => return Ok(Err("its YAML file is no text".to_owned())),
        };
        let model =
            Model { version: metadata.model_version, sha256: sha256(metadata.model_version).unwrap_or_default() };
        match self.packer.pack(&OutGame { stem: stem.clone(), model, yaml, npz }) {
            Ok(packed) => Ok(Ok((metadata.settings_hash.unwrap_or_default(), packed))),
            Err(error @ PackError::Large { .. }) => Ok(Err(error.to_string())),
            Err(PackError::Compress { source, .. }) => Err(IntakeError::Packer(source)),
        }
    }

    fn set_aside(&mut self, stem: Stem, reason: String) -> Result<(), DiskError> {
        let dir = self.dir.join(ASIDE);
        self.disk.create_dir(&dir).map_err(failed("create directory", &dir))?;
        for ending in ["yaml", "npz"] {
            let (from, to) = (self.path(&stem, ending), game_path(&dir, &stem, ending));
            match self.disk.rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("rename", &from)(error)),
                _ => {}
            }
        }
        self.aside.push(Aside { stem, reason });
        Ok(())
    }

    fn path(&self, stem: &Stem, ending: &str) -> PathBuf {
        game_path(&self.dir, stem, ending)
    }
}

fn game_path(dir: &Path, stem: &Stem, ending: &str) -> PathBuf {
    dir.join(format!("{stem}.{ending}"))
}
