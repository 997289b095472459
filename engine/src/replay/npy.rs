//! One array out of an `.npz` archive, checked before it is believed.

use std::io::{self, Read, Seek};

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use ndarray_npy::npy::header::{Header, ReadHeaderError};
use zip::{ZipArchive, result::ZipError};

use super::read::ReadError;

/// Longest array read, in bytes: far beyond any game, so that a damaged or hostile file cannot fill the memory.
const MAX_ARRAY_BYTES: u64 = 1 << 30;
/// Longest header read. numpy's own are 128 bytes; the parser recurses, so depth must be bounded.
const MAX_HEADER_BYTES: usize = 1024;

/// An array as it lies in the file.
pub(super) struct RawArray {
    name: &'static str,
    descr: String,
    fortran: bool,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl RawArray {
    /// Reads member `<name>.npy`, or `None` when the archive has none.
    pub(super) fn read<R: Read + Seek>(
        archive: &mut ZipArchive<R>,
        name: &'static str,
    ) -> Result<Option<Self>, ReadError> {
        let failed = |source: io::Error| ReadError::Member { name, source };
        let mut bytes = Vec::new();
        match archive.by_name(&format!("{name}.npy")) {
            Ok(member) => member.take(MAX_ARRAY_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(ZipError::Io(source)) => return Err(failed(source)),
            Err(source) => return Err(failed(io::Error::new(io::ErrorKind::InvalidData, source))),
        };
        if bytes.len() as u64 > MAX_ARRAY_BYTES {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "longer than 1 GiB")));
        }
        Self::parse(name, bytes).map(Some)
    }

    /// Splits an `.npy` file into header and data.
    fn parse(name: &'static str, mut bytes: Vec<u8>) -> Result<Self, ReadError> {
        let mut rest = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
        let header = Header::from_reader(&mut rest).map_err(|source| match source {
            ReadHeaderError::Io(_) if bytes.len() > MAX_HEADER_BYTES => ReadError::LongHeader { name },
            source => ReadError::Header { name, source },
        })?;
        let start = bytes.len().min(MAX_HEADER_BYTES) - rest.len();
        let descr = header.type_descriptor.as_string().cloned().unwrap_or_else(|| header.type_descriptor.to_string());
        bytes.drain(..start);
        Ok(Self { name, descr, fortran: header.layout.is_fortran(), shape: header.shape, data: bytes })
    }

    /// The elements as an array in C order, when the element type is `T`.
    pub(super) fn into_array<T: Element>(self) -> Result<ArrayD<T>, ReadError> {
        let Some(parse) = T::reader(&self.descr) else {
            return Err(ReadError::Type { name: self.name, expected: T::TYPES, found: self.descr });
        };
        let length_error = || ReadError::Length { name: self.name, shape: self.shape.clone(), bytes: self.data.len() };
        // The width is the number at the end of `<f4`, `|i1`, …
        let width = usize::from(self.descr.as_bytes()[self.descr.len() - 1] - b'0');
        let wanted = self.shape.iter().try_fold(width, |product, &axis| product.checked_mul(axis));
        if wanted != Some(self.data.len()) {
            return Err(length_error());
        }
        let elements = self.data.chunks_exact(width).map(parse).collect();
        let shape = IxDyn(&self.shape).set_f(self.fortran);
        let array = ArrayD::from_shape_vec(shape, elements).map_err(|_| length_error())?;
        Ok(if self.fortran { array.as_standard_layout().into_owned() } else { array })
    }
}

/// An element type that can be read from some of numpy's types.
pub(super) trait Element: Copy + 'static {
    /// The numpy types accepted, for messages.
    const TYPES: &'static str;
    /// What turns the bytes of one element of type `descr` into a value; `None` when that type is not accepted.
    fn reader(descr: &str) -> Option<fn(&[u8]) -> Self>;
}

/// The bytes of one element of `N` bytes.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut fixed = [0; N];
    fixed.copy_from_slice(bytes);
    fixed
}

impl Element for f32 {
    const TYPES: &'static str = "<f4";
    fn reader(descr: &str) -> Option<fn(&[u8]) -> Self> {
        (descr == "<f4").then_some(|bytes| Self::from_le_bytes(fixed(bytes)))
    }
}

impl Element for i32 {
    const TYPES: &'static str = "<i4";
    fn reader(descr: &str) -> Option<fn(&[u8]) -> Self> {
        (descr == "<i4").then_some(|bytes| Self::from_le_bytes(fixed(bytes)))
    }
}

impl Element for i64 {
    const TYPES: &'static str = "<i8";
    fn reader(descr: &str) -> Option<fn(&[u8]) -> Self> {
        (descr == "<i8").then_some(|bytes| Self::from_le_bytes(fixed(bytes)))
    }
}

/// Whether an action is legal: producers write the 0 or 1 as different types.
impl Element for bool {
    const TYPES: &'static str = "<f4, |i1, |u1 or |b1";
    fn reader(descr: &str) -> Option<fn(&[u8]) -> Self> {
        match descr {
            "<f4" => Some(|bytes| f32::from_le_bytes(fixed(bytes)) != 0.0),
            "|i1" | "|u1" | "|b1" => Some(|bytes| bytes[0] != 0),
            _ => None,
        }
    }
}
