//! Many games as one message, and one game too large for a message as several.
//!
//! | bytes | |
//! |---|---|
//! | 4 | `SPFG` |
//! | 2 | version of this format, 1; numbers are little-endian |
//! | 4 | length of the header |
//! | … | [`Header`], in postcard |
//! | … | body: each game's YAML file and archive, one after the other, as a zstd frame of its own; of a part, its share of the one game's |
//! | 4 | CRC32 of all bytes before |
//!
//! Games are packed one by one: 64 games of one kind in one zstd frame take hardly less (the planes of one game repeat far more
//! than those of two), and so each is packed once, its size is known before the frame is made, and a damaged one spoils no other.
//!
//! Who reads a frame does not trust who wrote it: every length is compared with what is there, and with a bound, before memory is
//! asked for.

mod pack;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use selfplay_engine::replay::Stem;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::{
    pack::{OutFrame, OutGame, PackError, Packed, Packer, frames, void},
    read::{Frame, GameFiles, join},
};
use crate::name::{Name, Origin};

/// How every frame begins.
const MAGIC: [u8; 4] = *b"SPFG";

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u16 = 1;

/// Magic, version and length of the header.
const HEAD: usize = 10;

/// Length of the checksum at the end.
const TAIL: usize = 4;

/// Most games of a frame.
pub const MOST_GAMES: usize = 64;

/// A frame takes another game only while its body stays within this.
pub const TARGET_BYTES: usize = 256 << 10;

/// A packed game of more bytes is split, and this is the length of each part but the last. With a header a part fits into a
/// broker's message of 1 MiB.
pub const PART_BYTES: usize = 900_000;

/// Most bytes of all files of a frame, unpacked.
pub const MOST_UNPACKED: u64 = 64 << 20;

/// Most bytes of one game, packed: what cannot be packed grows a little.
const MOST_PACKED: u64 = MOST_UNPACKED + (MOST_UNPACKED >> 7);

/// Longest YAML file, as the trainer's reader has it.
const MOST_YAML: u64 = 64 << 10;

/// Longest header; one of 64 games has about 13 kB.
const MOST_HEADER: usize = 32 << 10;

/// Most bytes of a frame.
pub const MOST_BYTES: usize = HEAD + MOST_HEADER + PART_BYTES + TAIL;

/// Longest fingerprint of settings.
const MOST_HASH: usize = 64;

/// Numbers of frames stay below this, so that the numbers of their games fit into names.
pub const MOST_NUMBER: u64 = 1 << 48;

/// Times in names have 13 digits, which last until the year 2286: one with more would not sort as the trainer takes games.
const MOST_MS: u64 = 9_999_999_999_999;

/// What a frame says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The outbox that it is from.
    pub origin: Origin,
    /// Its number in that outbox, from 1, without gaps.
    pub number: u64,
    /// Up to this number the worker had receipts for all frames when it made this one.
    pub receipted: u64,
    /// The run that the games are for.
    pub run: Name,
    /// Who played them.
    pub worker: Name,
    /// Fingerprint of the settings that shape games.
    pub settings_hash: String,
    /// Which part of its one game the body is, from 0; nothing where all of each game is here.
    pub part: Option<u32>,
    /// The games. None in a frame that stands in the place of one that was lost.
    pub games: Vec<Entry>,
}

/// What a frame's header says of a game.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The worker's own name for it.
    pub stem: Stem,
    /// The model that served when it began.
    pub model: Model,
    /// Its YAML file.
    pub yaml: Sum,
    /// Its archive.
    pub npz: Sum,
    /// Bytes of both, packed.
    pub packed: u64,
}

/// Which model: its version in the run, and its contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Model {
    /// Its version.
    pub version: i64,
    /// SHA-256 of its file.
    pub sha256: [u8; 32],
}

/// Length and SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
}

/// Why bytes are no frame that can be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FrameError {
    /// Fewer or more bytes than any frame has.
    #[error("read a frame: {0} bytes are not the length of one ({HEAD} to {MOST_BYTES})")]
    Length(usize),
    /// Other bytes at its beginning.
    #[error("read a frame: it does not begin as one does")]
    Magic,
    /// Another version of this program wrote it.
    #[error(
        "read a frame: it has format {0}, this program reads {VERSION}; run the same version of selfplayd on the worker and beside the trainer"
    )]
    Version(u16),
    /// It was damaged on its way.
    #[error("read a frame: its checksum is wrong, so it was damaged on its way")]
    Checksum,
    /// The header is longer than any, or than what is there.
    #[error("read a frame: its header is said to have {0} bytes")]
    HeaderLength(u32),
    /// The header is something else.
    #[error("read the header of a frame: {0}")]
    Header(String),
    /// No outbox numbers its frames so.
    #[error("read a frame: number {number} after receipts up to {receipted} is none that an outbox gives")]
    Number {
        /// Its number.
        number: u64,
        /// Up to which it had receipts.
        receipted: u64,
    },
    /// The fingerprint of the settings is not one.
    #[error("read a frame: its fingerprint of settings is not 1 to {MOST_HASH} printable letters")]
    SettingsHash,
    /// More games than a frame may hold.
    #[error("read a frame: it has {0} games, and may have {MOST_GAMES}")]
    ManyGames(usize),
    /// A game's files, or all of them, are larger than a frame's may be.
    #[error("read a frame: its files are said to have {0} bytes, and may have {MOST_UNPACKED}")]
    Large(u64),
    /// A game's YAML file is longer than any that the trainer reads.
    #[error("read game {game} of a frame: its YAML file is said to have {bytes} bytes, and may have {MOST_YAML}")]
    LargeYaml {
        /// Place of the game in the frame, from 0.
        game: usize,
        /// Its length.
        bytes: u64,
    },
    /// A game's name has a time that no clock shows.
    #[error("read game {game} of a frame: it is said to have ended {ms} milliseconds after 1970, which is no time")]
    Time {
        /// Place of the game in the frame, from 0.
        game: usize,
        /// Its time.
        ms: u64,
    },
    /// The body has another length than the header says.
    #[error("read a frame: its body has {found} bytes, not {expected}")]
    Body {
        /// What the header says.
        expected: u64,
        /// What is there.
        found: usize,
    },
    /// There is no such part.
    #[error("read a frame: part {part} of a game of {packed} bytes is none")]
    Part {
        /// Number of the part, from 0.
        part: u32,
        /// Bytes of the game, packed.
        packed: u64,
    },
    /// Parts of different games, or not all.
    #[error("put a game together: its {0} parts do not belong together")]
    Parts(usize),
    /// A game cannot be unpacked, or has other files than the header says.
    #[error("unpack game {game} of a frame: {reason}")]
    Game {
        /// Place of the game in the frame, from 0.
        game: usize,
        /// What is wrong.
        reason: String,
    },
}

impl Header {
    /// The name of the game in this place of the frame, in the trainer's folder: as any other, with the time that the worker gave it, a number
    /// that follows from the frame's and the place, and the origin as session.
    ///
    /// # Panics
    /// When the header did not pass [`Header::check`], or there is no such game.
    #[must_use]
    pub fn stem(&self, place: usize) -> Stem {
        let (pid, random) = self.origin.short();
        let index = self.first_number() * MOST_GAMES as u64 + place as u64;
        let text = format!("game_{:013}_{index:04}_{pid}-{random:08x}", self.games[place].stem.ms());
        // The four fields are those of a name.
        text.parse().expect("the name of a game")
    }

    /// Number of the frame with the first part of the game; of a whole frame its own.
    #[must_use]
    pub fn first_number(&self) -> u64 {
        self.number - u64::from(self.part.unwrap_or(0))
    }

    /// Number of frames that the game of this one takes.
    #[must_use]
    pub fn parts(&self) -> u64 {
        match self.part {
            Some(_) => self.games[0].packed.div_ceil(PART_BYTES as u64),
            None => 1,
        }
    }

    /// Bytes of all files, unpacked.
    #[must_use]
    pub fn unpacked(&self) -> u64 {
        self.games.iter().map(Entry::unpacked).fold(0, u64::saturating_add)
    }

    /// What the body's length must be.
    fn body(&self) -> u64 {
        match self.part {
            None => self.games.iter().map(|game| game.packed).fold(0, u64::saturating_add),
            Some(part) => {
                let rest = self.games[0].packed - u64::from(part) * PART_BYTES as u64;
                rest.min(PART_BYTES as u64)
            }
        }
    }

    /// Checks all that can be checked without the body.
    ///
    /// # Errors
    /// The first bound that is not kept.
    pub fn check(&self) -> Result<(), FrameError> {
        let &Self { number, receipted, part, .. } = self;
        if !(1..MOST_NUMBER).contains(&number) || receipted >= number - u64::from(part.unwrap_or(0)).min(number - 1) {
            return Err(FrameError::Number { number, receipted });
        }
        let hash = &self.settings_hash;
        if !(1..=MOST_HASH).contains(&hash.len()) || !hash.bytes().all(|letter| letter.is_ascii_graphic()) {
            return Err(FrameError::SettingsHash);
        }
        if self.games.len() > MOST_GAMES {
            return Err(FrameError::ManyGames(self.games.len()));
        }
        if let Some((game, entry)) = self.games.iter().enumerate().find(|(_, game)| game.yaml.bytes > MOST_YAML) {
            return Err(FrameError::LargeYaml { game, bytes: entry.yaml.bytes });
        }
        if let Some((game, entry)) = self.games.iter().enumerate().find(|(_, game)| game.stem.ms() > MOST_MS) {
            return Err(FrameError::Time { game, ms: entry.stem.ms() });
        }
        if self.unpacked() > MOST_UNPACKED {
            return Err(FrameError::Large(self.unpacked()));
        }
        if let Some(game) = self.games.iter().find(|game| game.packed > MOST_PACKED) {
            return Err(FrameError::Large(game.packed));
        }
        let Some(part) = part else { return Ok(()) };
        let packed = self.games.first().map_or(0, |game| game.packed);
        // A game that fits is not split.
        let parts = if packed > PART_BYTES as u64 { packed.div_ceil(PART_BYTES as u64) } else { 0 };
        if self.games.len() != 1 || u64::from(part) >= parts || number <= u64::from(part) {
            return Err(FrameError::Part { part, packed });
        }
        Ok(())
    }
}

impl Entry {
    /// Bytes of both files.
    #[must_use]
    pub const fn unpacked(&self) -> u64 {
        self.yaml.bytes.saturating_add(self.npz.bytes)
    }
}
