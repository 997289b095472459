//! Games into frames.

use std::io;

use selfplay_engine::replay::Stem;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    Entry, HEAD, Header, MAGIC, MOST_GAMES, MOST_UNPACKED, MOST_YAML, Model, PART_BYTES, Sum, TAIL, TARGET_BYTES,
    VERSION,
};

/// How hard zstd tries: the trainer's files shrink to a tenth and less at its fastest, in a tenth of a millisecond.
const LEVEL: i32 = 1;

/// A finished game, as the worker has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutGame {
    /// The worker's own name for it.
    pub stem: Stem,
    /// The model that served when it began.
    pub model: Model,
    /// Its YAML file.
    pub yaml: Vec<u8>,
    /// Its archive.
    pub npz: Vec<u8>,
}

/// A game, packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// What the header is to say of it.
    pub entry: Entry,
    /// Both files.
    pub bytes: Vec<u8>,
}

/// Why a game cannot be packed.
#[derive(Debug, Error)]
pub enum PackError {
    /// Its files are larger than a frame's may be.
    #[error(
        "pack game {stem}: its files have {bytes} bytes, and may have {MOST_UNPACKED}, of which {MOST_YAML} for the YAML file"
    )]
    Large {
        /// Its name.
        stem: Stem,
        /// Bytes of both files.
        bytes: u64,
    },
    /// There is no memory for it.
    #[error("pack game {stem}")]
    Compress {
        /// Its name.
        stem: Stem,
        /// What zstd said.
        #[source]
        source: io::Error,
    },
}

/// Packs games; keeps what it needs for the next: fresh memory of that size costs about as much as to pack what is in it.
pub struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    both: Vec<u8>,
    packed: Vec<u8>,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// A packer.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { zstd: zstd::bulk::Compressor::new(LEVEL)?, both: Vec::new(), packed: Vec::new() })
    }

    /// Packs a game.
    ///
    /// # Errors
    /// When its files are larger than the receiver would unpack.
    pub fn pack(&mut self, game: &OutGame) -> Result<Packed, PackError> {
        let OutGame { stem, model, yaml, npz } = game;
        let bytes = (yaml.len() + npz.len()) as u64;
        if bytes > MOST_UNPACKED || yaml.len() as u64 > MOST_YAML {
            return Err(PackError::Large { stem: stem.clone(), bytes });
        }
        self.both.clear();
        self.both.extend_from_slice(yaml);
        self.both.extend_from_slice(npz);
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.both.len()));
        let packed = self.zstd.compress_to_buffer(&self.both, &mut self.packed);
        packed.map_err(|source| PackError::Compress { stem: stem.clone(), source })?;
        let packed = self.packed.clone();
        let (yaml, npz) = (sum(yaml), sum(npz));
        let entry = Entry { stem: stem.clone(), model: *model, yaml, npz, packed: packed.len() as u64 };
        Ok(Packed { entry, bytes: packed })
    }
}

/// Length and SHA-256 of a file.
pub(crate) fn sum(bytes: &[u8]) -> Sum {
    Sum { bytes: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
}

/// A frame, ready to be kept and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFrame {
    /// Its number.
    pub number: u64,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Puts games into frames. `first`: the header of the first frame but for its games; the others are numbered on from it.
#[must_use]
pub fn frames(first: &Header, games: &[Packed]) -> Vec<OutFrame> {
    let mut made = Vec::new();
    let mut header = Header { part: None, games: Vec::new(), ..first.clone() };
    let mut place = 0;
    while place < games.len() {
        let begin = place;
        let mut body = Vec::new();
        header.games.clear();
        let (mut unpacked, mut large) = (0, false);
        while let Some(game) = games.get(place).filter(|_| header.games.len() < MOST_GAMES && !large) {
            let fits = body.len() + game.bytes.len() <= TARGET_BYTES;
            unpacked += game.entry.unpacked();
            if place > begin && !(fits && unpacked <= MOST_UNPACKED) {
                break;
            }
            large = game.bytes.len() > PART_BYTES;
            header.games.push(game.entry.clone());
            body.extend_from_slice(&game.bytes);
            place += 1;
        }
        let length = if large { PART_BYTES } else { body.len().max(1) };
        for (part, slice) in body.chunks(length).enumerate() {
            header.part = large.then_some(part as u32);
            made.push(OutFrame { number: header.number, bytes: seal(&header, slice) });
            header.number += 1;
        }
    }
    made
}

/// A frame without games, to stand in the place of one that was lost.
#[must_use]
pub fn void(header: &Header) -> Vec<u8> {
    seal(&Header { part: None, games: Vec::new(), ..header.clone() }, &[])
}

/// Header and body as a frame.
pub(super) fn seal(header: &Header, body: &[u8]) -> Vec<u8> {
    // Its texts have bounds and its numbers are plain: nothing that postcard refuses.
    let header = postcard::to_stdvec(header).expect("a header can be written");
    let mut bytes = Vec::with_capacity(HEAD + header.len() + body.len() + TAIL);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes.extend_from_slice(body);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}
