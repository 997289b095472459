//! What a journal holds: entries, each in a frame of length, checksum and content.

use std::io::{self, Read};

use serde::{Deserialize, Serialize, Serializer};

use super::JournaledPly;
use crate::{
    evaluation::DrawChance,
    game::Game,
    replay::{PlyNotes, PlyRecord, SessionId, Stem, Target},
};

/// How every journal begins: four letters and the number of this format.
pub(super) const MAGIC: [u8; 8] = *b"SPJL\x01\0\0\0";

/// No entry is longer: a policy of all 65,536 actions is not.
const MOST_BYTES: usize = 1 << 20;

/// Length and checksum in front of every entry.
const FRAME: usize = 8;

/// First entry of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) session: SessionId,
    pub(super) settings_hash: String,
    pub(super) seed: u64,
    pub(super) daemon_version: String,
    /// Sessions whose unfinished games were copied into this journal: theirs count no more.
    pub(super) adopted: Vec<SessionId>,
    /// The latest time in a name that is known to have been used.
    pub(super) highest_ms: u64,
    /// Per seed, the lowest number of a game that was not begun yet.
    pub(super) next_index: Vec<(u64, u64)>,
}

/// One entry; `T`: [`Targets`] to write, [`ReadTargets`] as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Entry<T> {
    Header(Header),
    Begun {
        number: u64,
        seed: u64,
        index: u64,
    },
    Ply(PlyEntry<T>),
    Staging {
        number: u64,
        stem: Stem,
    },
    Staged {
        number: u64,
        stem: Stem,
    },
    End {
        number: u64,
    },
    /// As `Begun`, with other settings than the header says.
    BegunWith {
        number: u64,
        seed: u64,
        index: u64,
        settings_hash: String,
    },
    /// As `Ply`, of a network that says how likely a draw is: with that. As earlier versions wrote it, as `Ply`.
    PlyWithDraw(PlyEntry<T>, f32),
    /// A ply with all that is known of it.
    PlyWithNotes(PlyEntry<T>, Option<f32>, PlyNotes),
    /// Players of the game resign below this value.
    Resigning {
        number: u64,
        below: f32,
    },
}

/// One ply of a game.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PlyEntry<T> {
    pub(super) number: u64,
    pub(super) index: u32,
    pub(super) first_version: Option<i64>,
    pub(super) action: u16,
    pub(super) targets: T,
    pub(super) root_value: f32,
    pub(super) model_version: i64,
}

/// Where a ply belongs: number of its game, number of the ply, version of the model that served when the game began.
pub(super) type Place = (u64, usize, Option<i64>);

impl<'a> Entry<Targets<'a>> {
    /// A ply that was played just now.
    pub(super) fn played<G: Game>((number, index, first_version): Place, ply: &'a PlyRecord<G>) -> Self {
        let entry = PlyEntry {
            number,
            index: index as u32,
            first_version,
            action: ply.action,
            targets: Targets(&ply.targets),
            root_value: ply.root_value,
            model_version: ply.model_version,
        };
        Self::PlyWithNotes(entry, ply.root_draw.known(), ply.notes)
    }
}

impl<'a> Entry<&'a ReadTargets> {
    /// A ply of another journal.
    pub(super) fn taken((number, index, first_version): Place, ply: &'a JournaledPly) -> Self {
        let entry = PlyEntry {
            number,
            index: index as u32,
            first_version,
            action: ply.action,
            targets: &ply.targets,
            root_value: ply.root_value,
            model_version: ply.model_version,
        };
        Self::PlyWithNotes(entry, ply.root_draw.known(), ply.notes)
    }
}

impl Entry<ReadTargets> {
    /// Where a ply belongs and what is kept of it, if it is a ply.
    pub(super) fn into_ply(self) -> Option<(Place, JournaledPly)> {
        let (ply, draw, notes) = match self {
            Self::Ply(ply) => (ply, None, None),
            Self::PlyWithDraw(ply, draw) => (ply, Some(draw), None),
            Self::PlyWithNotes(ply, draw, notes) => (ply, draw, Some(notes)),
            _ => return None,
        };
        let root_draw = draw.map_or(DrawChance::UNKNOWN, DrawChance::new);
        let PlyEntry { number, index, first_version, action, targets, root_value, model_version } = ply;
        let searched = || targets.iter().any(|&(_, visits, _)| visits > 0);
        let notes = notes.unwrap_or_else(|| PlyNotes::unknown(searched()));
        let ply = JournaledPly { action, targets, root_value, root_draw, model_version, notes };
        Some(((number, index as usize, first_version), ply))
    }
}

/// Action (network frame), visits, probability.
pub(super) type ReadTargets = Vec<(u16, u32, f32)>;

/// Targets on their way into a journal, laid out as [`ReadTargets`].
pub(super) struct Targets<'a>(pub(super) &'a [Target]);

impl Serialize for Targets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|target| (target.action, target.visits, target.probability)))
    }
}

/// Appends the frame of `entry` to `out`.
pub(super) fn encode<T: Serialize>(entry: &Entry<T>, out: &mut Vec<u8>) {
    let start = out.len();
    let mut room = 1 << 10;
    let length = loop {
        out.resize(start + FRAME + room, 0);
        match postcard::to_slice(entry, &mut out[start + FRAME..]) {
            Ok(written) => break written.len(),
            // The only way that writing these types can fail.
            Err(_) => room *= 4,
        }
    };
    out.truncate(start + FRAME + length);
    let length = (length as u32).to_le_bytes();
    let sum = checksum(length, &out[start + FRAME..]).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + FRAME].copy_from_slice(&sum);
}

/// Over the length too, so that a run of zeros is no entry.
fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(content);
    hasher.finalize()
}

/// Reads the next entry and its length in bytes; `None` at the end of the file.
///
/// # Errors
/// What is wrong with the bytes that follow.
pub(super) fn decode(
    reader: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> Result<Option<(Entry<ReadTargets>, u64)>, String> {
    buffer.clear();
    let read = |reader: &mut dyn Read, length: usize, buffer: &mut Vec<u8>| {
        reader.take(length as u64).read_to_end(buffer).map_err(|error| format!("it cannot be read: {error}"))
    };
    match read(reader, FRAME, buffer)? {
        0 => return Ok(None),
        FRAME => {}
        _ => return Err("an entry is cut off".to_owned()),
    }
    let word = |at: usize| [buffer[at], buffer[at + 1], buffer[at + 2], buffer[at + 3]];
    let (length, sum) = (word(0), u32::from_le_bytes(word(4)));
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > MOST_BYTES {
        return Err(format!("an entry claims {bytes} bytes"));
    }
    buffer.clear();
    if read(reader, bytes, buffer)? < bytes {
        return Err("an entry is cut off".to_owned());
    }
    if checksum(length, buffer) != sum {
        return Err("a checksum is wrong".to_owned());
    }
    match postcard::take_from_bytes(buffer) {
        Ok((entry, [])) => Ok(Some((entry, (FRAME + bytes) as u64))),
        Ok(_) => Err("an entry is too long".to_owned()),
        Err(error) => Err(format!("an entry cannot be decoded: {error}")),
    }
}

/// Reads the first bytes of a journal.
///
/// # Errors
/// Why it is not a journal of this format.
pub(super) fn check_magic(reader: &mut impl Read) -> Result<(), String> {
    let mut magic = [0; 8];
    match reader.read_exact(&mut magic) {
        Ok(()) if magic == MAGIC => Ok(()),
        Ok(()) if magic[..4] == MAGIC[..4] => {
            let version = u32::from_le_bytes([magic[4], magic[5], magic[6], magic[7]]);
            Err(format!("it has format {version}, of another version of this program"))
        }
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(format!("it cannot be read: {error}")),
        _ => Err("it does not begin as a journal does".to_owned()),
    }
}
