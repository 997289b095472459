//! Frames back into games, none of which is believed.

use super::{
    Entry, FrameError, HEAD, Header, MAGIC, MOST_BYTES, MOST_HEADER, PART_BYTES, Sum, TAIL, VERSION, pack::sum,
};

/// A frame whose header keeps all bounds and whose body has the length that it says.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    header: Header,
    body: &'a [u8],
}

/// A game's two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameFiles {
    /// The YAML file.
    pub yaml: Vec<u8>,
    /// The archive.
    pub npz: Vec<u8>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; any bytes will do. Nothing is unpacked.
    ///
    /// # Errors
    /// When the bytes are no frame, or one that keeps a bound not; see [`FrameError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if !(HEAD + TAIL..=MOST_BYTES).contains(&bytes.len()) {
            return Err(FrameError::Length(bytes.len()));
        }
        let (content, checksum) = bytes.split_at(bytes.len() - TAIL);
        let (head, rest) = content.split_at(HEAD);
        if head[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        let version = u16::from_le_bytes([head[4], head[5]]);
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        if crc32fast::hash(content).to_le_bytes() != checksum {
            return Err(FrameError::Checksum);
        }
        let length = u32::from_le_bytes([head[6], head[7], head[8], head[9]]);
        let fits = |length: &usize| *length <= rest.len().min(MOST_HEADER);
        let split = usize::try_from(length).ok().filter(fits).ok_or(FrameError::HeaderLength(length))?;
        let (header, body) = rest.split_at(split);
        // Texts and lists are taken from these bytes one after the other: no more memory than they are long, times the size of an entry.
        let (header, left) =
            postcard::take_from_bytes::<Header>(header).map_err(|error| FrameError::Header(error.to_string()))?;
        if !left.is_empty() {
            return Err(FrameError::Header(format!("{} bytes are left over", left.len())));
        }
        header.check()?;
        if header.body() != body.len() as u64 {
            return Err(FrameError::Body { expected: header.body(), found: body.len() });
        }
        Ok(Self { header, body })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The games, unpacked one by one and compared with what the header says of them. Nothing of a part.
    pub fn games(&self) -> impl Iterator<Item = Result<GameFiles, FrameError>> {
        let mut body = self.body;
        let whole = if self.header.part.is_none() { &self.header.games[..] } else { &[] };
        whole.iter().enumerate().map(move |(place, entry)| {
            // Their sum is the body's length.
            let (packed, rest) = body.split_at(entry.packed as usize);
            body = rest;
            unpack(place, entry, packed)
        })
    }
}

/// The game whose parts these are, all of them and in order.
///
/// # Errors
/// When they are not, or the game is not what the header says.
pub fn join(parts: &[Frame<'_>]) -> Result<GameFiles, FrameError> {
    let wrong = || FrameError::Parts(parts.len());
    let first = &parts.first().ok_or_else(wrong)?.header;
    let belongs = |(place, part): (usize, &Frame<'_>)| {
        let Header { origin, number, part, games, .. } = &part.header;
        *part == Some(place as u32)
            && (*origin, *number) == (first.origin, first.number + place as u64)
            && *games == first.games
    };
    if first.part.is_none() || first.parts() != parts.len() as u64 || !parts.iter().enumerate().all(belongs) {
        return Err(wrong());
    }
    // As many bytes as are in memory already.
    let mut packed = Vec::with_capacity(parts.len() * PART_BYTES);
    parts.iter().for_each(|part| packed.extend_from_slice(part.body));
    unpack(0, &first.games[0], &packed)
}

fn unpack(place: usize, entry: &Entry, packed: &[u8]) -> Result<GameFiles, FrameError> {
    let wrong = |reason: String| FrameError::Game { game: place, reason };
    let bytes = entry.unpacked();
    // What zstd says of itself, before memory is asked for; the bound on it is the header's.
    match zstd::zstd_safe::get_frame_content_size(packed) {
        Ok(Some(said)) if said == bytes => {}
        said => return Err(wrong(format!("{bytes} bytes are said to be packed as {said:?}"))),
    }
    let mut npz = zstd::bulk::decompress(packed, bytes as usize).map_err(|error| wrong(error.to_string()))?;
    if npz.len() as u64 != bytes {
        return Err(wrong(format!("{} bytes came of it, not {bytes}", npz.len())));
    }
    // The archive is by far the longer: it stays where it is in memory.
    let yaml: Vec<u8> = npz.drain(..entry.yaml.bytes as usize).collect();
    let differs = |bytes: &[u8], said: &Sum| sum(bytes) != *said;
    if differs(&yaml, &entry.yaml) || differs(&npz, &entry.npz) {
        return Err(wrong("its files are not those whose checksums the header has".to_owned()));
    }
    Ok(GameFiles { yaml, npz })
}
