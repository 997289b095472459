//! One array out of an `.npz` archive, checked before it is believed.

mod header;

use std::io::{self, Read, Seek};

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use zip::{ZipArchive, result::ZipError};

pub use self::header::HeaderError;
use self::header::{Header, MOST_BYTES};
use super::read::ReadError;

/// Most bytes of all arrays of a game: far beyond any game, so that a damaged or hostile file cannot fill the memory.
const MAX_GAME_BYTES: u64 = 1 << 30;

/// The arrays of a game in their archive.
pub(super) struct Arrays<R> {
    archive: ZipArchive<R>,
    /// Most bytes of all arrays.
    most: u64,
    /// Bytes that may still be read.
    left: u64,
}

impl<R: Read + Seek> Arrays<R> {
    /// Opens the archive, whose arrays may have `most` bytes in all; never more than [`MAX_GAME_BYTES`].
    pub(super) fn open(file: R, most: u64) -> Result<Self, ReadError> {
        let archive = ZipArchive::new(file).map_err(ReadError::Archive)?;
        // Readers differ in which of two arrays of one name they take.
        if archive.has_duplicate_names() {
            return Err(ReadError::Duplicate);
        }
        let most = MAX_GAME_BYTES.min(most);
        Ok(Self { archive, most, left: most })
    }

    /// Reads member `<name>.npy`, whose elements must be readable as `T`, into an array in C order; `None` when the archive
    /// has no such member. Memory is asked for only as data arrive, and never more than the shape in the header needs.
    pub(super) fn read<T: Element>(&mut self, name: &'static str) -> Result<Option<ArrayD<T>>, ReadError> {
        let failed = |source: io::Error| ReadError::Member { name, source };
        let mut member = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(member) => member,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::Io(source)) => return Err(failed(source)),
            Err(source) => return Err(failed(io::Error::new(io::ErrorKind::InvalidData, source))),
        };
        let size = member.size();
        let mut data = Vec::new();
        (&mut member).take(MOST_BYTES as u64).read_to_end(&mut data).map_err(failed)?;
        let header = Header::read(&data).map_err(|source| ReadError::Header { name, source })?;
        let Some((width, parse)) = T::reader(&header.descr) else {
            return Err(ReadError::Type { name, expected: T::TYPES, found: header.descr });
        };
        let length_error = |bytes| ReadError::Length { name, shape: header.shape.clone(), bytes };
        let declared = size.saturating_sub(header.end as u64);
        let wanted = header.shape.iter().try_fold(width, |product, &axis| product.checked_mul(axis));
        let wanted = wanted.filter(|&wanted| wanted as u64 == declared).ok_or_else(|| length_error(declared))?;
        self.left =
            self.left.checked_sub(declared).ok_or(ReadError::Large { name, bytes: declared, most: self.most })?;

        // One byte more than is wanted, so that the end of the data is seen and their checksum compared.
        let missing = (header.end + wanted + 1).saturating_sub(data.len());
        member.take(missing as u64).read_to_end(&mut data).map_err(failed)?;
        let data = &data[header.end..];
        if data.len() != wanted {
            return Err(length_error(data.len() as u64));
        }
        let elements = data.chunks_exact(width).map(parse).collect();
        let shape = IxDyn(&header.shape).set_f(header.fortran);
        let array = ArrayD::from_shape_vec(shape, elements).map_err(|_| length_error(declared))?;
        Ok(Some(if header.fortran { array.as_standard_layout().into_owned() } else { array }))
    }
}

/// Bytes per element, and what turns them into a value.
type Reader<T> = (usize, fn(&[u8]) -> T);

/// An element type that can be read from some of numpy's types.
pub(super) trait Element: Copy + 'static {
    /// The numpy types accepted, for messages.
    const TYPES: &'static str;
    /// How many bytes an element of type `descr` has, and what turns them into a value; `None` when that type is not accepted.
    fn reader(descr: &str) -> Option<Reader<Self>>;
}

/// The bytes of one element of `N` bytes.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut fixed = [0; N];
    fixed.copy_from_slice(bytes);
    fixed
}

impl Element for f32 {
    const TYPES: &'static str = "<f4";
    fn reader(descr: &str) -> Option<Reader<Self>> {
        (descr == "<f4").then_some((4, |bytes| Self::from_le_bytes(fixed(bytes))))
    }
}

impl Element for u8 {
    const TYPES: &'static str = "|u1";
    fn reader(descr: &str) -> Option<Reader<Self>> {
        (descr == "|u1").then_some((1, |bytes| bytes[0]))
    }
}

impl Element for i32 {
    const TYPES: &'static str = "<i4";
    fn reader(descr: &str) -> Option<Reader<Self>> {
        (descr == "<i4").then_some((4, |bytes| Self::from_le_bytes(fixed(bytes))))
    }
}

impl Element for i64 {
    const TYPES: &'static str = "<i8";
    fn reader(descr: &str) -> Option<Reader<Self>> {
        (descr == "<i8").then_some((8, |bytes| Self::from_le_bytes(fixed(bytes))))
    }
}

/// Whether an action is legal: producers write the 0 or 1 as different types.
impl Element for bool {
    const TYPES: &'static str = "<f4, |i1, |u1 or |b1";
    fn reader(descr: &str) -> Option<Reader<Self>> {
        match descr {
            "<f4" => Some((4, |bytes| f32::from_le_bytes(fixed(bytes)) != 0.0)),
            "|i1" | "|u1" | "|b1" => Some((1, |bytes| bytes[0] != 0)),
            _ => None,
        }
    }
}
