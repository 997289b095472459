//! A journal as read back: the games that were unfinished when it ended.

use std::{collections::BTreeMap, fs::File, io::BufReader};

use super::{
    JournaledPly,
    entry::{Entry, Header, ReadTargets, check_magic, decode},
};
use crate::replay::Stem;

/// What a journal says, up to its end or the first byte that makes no sense.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contents {
    pub(super) header: Header,
    /// Games begun and not ended, by number.
    pub(super) games: BTreeMap<u64, KnownGame>,
    /// What makes no sense, if anything.
    pub(super) cut: Option<Cut>,
}

/// Where the readable part of a journal ends, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) offset: u64,
    pub(super) reason: String,
}

/// A game that was begun and did not end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KnownGame {
    pub(super) seed: u64,
    pub(super) index: u64,
    /// Hash of its settings, where they are not those of the header.
    pub(super) settings_hash: Option<String>,
    pub(super) first_version: Option<i64>,
    /// The value below which its players resign, where that was fixed.
    pub(super) resign_below: Option<f32>,
    pub(super) plies: Vec<JournaledPly>,
    /// The name under which it was to be stored: it was over.
    pub(super) stem: Option<Stem>,
    /// Its files were complete.
    pub(super) staged: bool,
}

/// Reads a journal; any bytes will do.
///
/// # Errors
/// Why nothing of it can be read.
pub(super) fn read(file: &File) -> Result<Contents, String> {
    let mut reader = BufReader::new(file);
    let mut buffer = Vec::new();
    let (header, mut offset) = read_header(&mut reader, &mut buffer)?;
    let mut contents = Contents { header, games: BTreeMap::new(), cut: None };
    loop {
        match decode(&mut reader, &mut buffer) {
            Ok(Some((entry, bytes))) => {
                contents.apply(entry);
                offset += bytes;
            }
            Ok(None) => return Ok(contents),
            Err(reason) => {
                contents.cut = Some(Cut { offset, reason });
                return Ok(contents);
            }
        }
    }
}

/// Reads the first entry; returns it with the place where it ends.
pub(super) fn read_header(reader: &mut impl std::io::Read, buffer: &mut Vec<u8>) -> Result<(Header, u64), String> {
    check_magic(reader)?;
    match decode(reader, buffer)? {
        Some((Entry::Header(header), bytes)) => Ok((header, super::entry::MAGIC.len() as u64 + bytes)),
        _ => Err("its first entry is missing".to_owned()),
    }
}

impl Contents {
    fn apply(&mut self, entry: Entry<ReadTargets>) {
        match entry {
            Entry::Header(_) => {}
            Entry::Begun { number, seed, index } => self.begin(number, seed, index, None),
            Entry::BegunWith { number, seed, index, settings_hash } => {
                self.begin(number, seed, index, Some(settings_hash));
            }
            Entry::Ply(_) | Entry::PlyWithDraw(..) | Entry::PlyWithNotes(..) => self.play(entry),
            Entry::Resigning { number, below } => {
                if let Some(game) = self.games.get_mut(&number) {
                    game.resign_below = Some(below);
                }
            }
            Entry::Staging { number, stem } => self.stage(number, stem, false),
            Entry::Staged { number, stem } => self.stage(number, stem, true),
            Entry::End { number } => {
                self.games.remove(&number);
            }
        }
    }

    fn play(&mut self, entry: Entry<ReadTargets>) {
        let Some(((number, index, first_version), ply)) = entry.into_ply() else { return };
        let Some(game) = self.games.get_mut(&number) else { return };
        // A game that panicked goes back to its last complete ply; what it says then is what counts.
        if index <= game.plies.len() {
            game.plies.truncate(index);
            game.plies.push(ply);
            game.first_version = game.first_version.or(first_version);
        }
    }

    fn begin(&mut self, number: u64, seed: u64, index: u64, settings_hash: Option<String>) {
        note_begun(&mut self.header.next_index, seed, index);
        self.games.insert(number, KnownGame { seed, index, settings_hash, ..KnownGame::default() });
    }

    fn stage(&mut self, number: u64, stem: Stem, staged: bool) {
        self.header.highest_ms = self.header.highest_ms.max(stem.ms());
        if let Some(game) = self.games.get_mut(&number) {
            game.stem = Some(stem);
            game.staged = staged;
        }
    }
}

/// Remembers that game `index` of `seed` was begun.
pub(super) fn note_begun(next_index: &mut Vec<(u64, u64)>, seed: u64, index: u64) {
    let next = index.saturating_add(1);
    match next_index.iter_mut().find(|(known, _)| *known == seed) {
        Some((_, known)) => *known = next.max(*known),
        None => next_index.push((seed, next)),
    }
}
