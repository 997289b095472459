//! The header of an `.npy` file: what its array is made of (numpy's format description, versions 1 to 3).
//!
//! The header is a literal of Python, and general parsers of those take exponential time for some nests of brackets. numpy
//! writes three keys with plain values, so that is all that is read here, in one pass.

use thiserror::Error;

/// How every file begins.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header read, in bytes from the file's first. numpy's own have 128.
pub(super) const MOST_BYTES: usize = 1024;

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HeaderError {
    /// The file is none of numpy's.
    #[error("it does not begin like an .npy file")]
    Magic,
    /// A version that is not known.
    #[error("its version is not 1, 2 or 3")]
    Version,
    /// The file ends first.
    #[error("the file ends within it")]
    Truncated,
    /// No array of numbers needs as much.
    #[error("it is too long")]
    Long,
    /// Not the dictionary that numpy writes.
    #[error("it is not a dictionary of descr, fortran_order and shape")]
    Dictionary,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// numpy's name of the element type; the text between brackets where elements have fields.
    pub(super) descr: String,
    /// Whether the first index varies fastest.
    pub(super) fortran: bool,
    /// Length of each axis.
    pub(super) shape: Vec<usize>,
    /// Where the elements begin, in bytes from the file's first.
    pub(super) end: usize,
}

impl Header {
    /// Reads the header at the beginning of `file`, which holds the whole file or at least [`MOST_BYTES`] of it.
    pub(super) fn read(file: &[u8]) -> Result<Self, HeaderError> {
        let (magic, rest) = file.split_at_checked(MAGIC.len()).ok_or(HeaderError::Truncated)?;
        if magic != MAGIC {
            return Err(HeaderError::Magic);
        }
        let (start, length) = match rest {
            [1, _, low, high, ..] => (10, usize::from(u16::from_le_bytes([*low, *high]))),
            [2 | 3, _, a, b, c, d, ..] => {
                let length = u32::from_le_bytes([*a, *b, *c, *d]);
                (12, usize::try_from(length).map_err(|_| HeaderError::Long)?)
            }
            [1..=3, ..] | [] => return Err(HeaderError::Truncated),
            _ => return Err(HeaderError::Version),
        };
        let end = length.saturating_add(start);
        if end > MOST_BYTES {
            return Err(HeaderError::Long);
        }
        let text = file.get(start..end).ok_or(HeaderError::Truncated)?;
        Cursor(text).dictionary(end).ok_or(HeaderError::Dictionary)
    }
}

/// What is left of a header. Each method takes what it names off the front, or gives nothing where something else stands.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn dictionary(&mut self, end: usize) -> Option<Header> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.token(b"{")?;
        while self.token(b"}").is_none() {
            let key = self.quoted()?;
            self.token(b":")?;
            let known_before = match key {
                b"descr" => descr.replace(self.descr()?).is_some(),
                b"fortran_order" => fortran.replace(self.flag()?).is_some(),
                b"shape" => shape.replace(self.shape()?).is_some(),
                _ => return None,
            };
            if known_before || (self.token(b",").is_none() && !self.next_is(b'}')) {
                return None;
            }
        }
        self.space();
        let header = Header { descr: descr?, fortran: fortran?, shape: shape?, end };
        self.0.is_empty().then_some(header)
    }

    fn descr(&mut self) -> Option<String> {
        if !self.next_is(b'[') {
            return self.quoted().map(|descr| String::from_utf8_lossy(descr).into_owned());
        }
        // The types of the fields may hold brackets of their own; quotes hold none.
        let mut depth = 0_usize;
        let length = 1 + self.0.iter().position(|byte| {
            match byte {
                b'[' => depth += 1,
                b']' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let (fields, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(String::from_utf8_lossy(fields).into_owned())
    }

    fn flag(&mut self) -> Option<bool> {
        let flag = self.token(b"True").map(|()| true);
        flag.or_else(|| self.token(b"False").map(|()| false))
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        let mut shape = Vec::new();
        self.token(b"(")?;
        while self.token(b")").is_none() {
            shape.push(self.number()?);
            if self.token(b",").is_none() && !self.next_is(b')') {
                return None;
            }
        }
        Some(shape)
    }

    fn number(&mut self) -> Option<usize> {
        self.space();
        let digits = self.0.iter().position(|byte| !byte.is_ascii_digit())?;
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        str::from_utf8(number).ok()?.parse().ok()
    }

    fn quoted(&mut self) -> Option<&'a [u8]> {
        self.space();
        let (&quote, rest) = self.0.split_first().filter(|(quote, _)| matches!(quote, b'\'' | b'"'))?;
        let length = rest.iter().position(|&byte| byte == quote)?;
        self.0 = &rest[length + 1..];
        Some(&rest[..length])
    }

    fn token(&mut self, token: &[u8]) -> Option<()> {
        self.space();
        self.0 = self.0.strip_prefix(token)?;
        Some(())
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        self.0.first() == Some(&byte)
    }

    fn space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version `major` with this header and nothing after it.
    fn file(major: u8, text: &str) -> Vec<u8> {
        let mut file = [MAGIC, &[major, 0]].concat();
        match major {
            1 => file.extend((text.len() as u16).to_le_bytes()),
            _ => file.extend((text.len() as u32).to_le_bytes()),
        }
        file.extend(text.as_bytes());
        file
    }

    fn read(text: &str) -> Result<Header, HeaderError> {
        Header::read(&file(1, text))
    }

    #[test]
    fn what_numpy_writes_is_understood_whatever_its_version_and_spacing() {
        let plain = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n";
        for (major, end) in [(1, 10), (2, 12), (3, 12)] {
            let header = Header::read(&file(major, plain)).unwrap();
            let expected =
                Header { descr: "<f4".to_owned(), fortran: false, shape: vec![2, 3], end: end + plain.len() };
            assert_eq!(header, expected);
        }
        let dense = read("{\"shape\":(7,),\"fortran_order\":True,\"descr\":\"|i1\"}").unwrap();
        assert_eq!((dense.descr.as_str(), dense.fortran, dense.shape), ("|i1", true, vec![7]));
        assert_eq!(read("{'descr': '<i8', 'fortran_order': False, 'shape': ()}\n").unwrap().shape, Vec::<usize>::new());
        let fields = read("{'descr': [('a', [('b', '<f4')]), ('c', '<i4')], 'fortran_order': False, 'shape': (2,)}");
        assert_eq!(fields.unwrap().descr, "[('a', [('b', '<f4')]), ('c', '<i4')]");
    }

    #[test]
    fn everything_else_is_refused() {
        let part = "'fortran_order': False, 'shape': (2,)";
        for text in [
            "",
            "{",
            "[]",
            "{}",
            "(1, 2)",
            "{'descr': '<f4', 'fortran_order': False}",
            &format!("{{'descr': '<f4', {part}"),
            &format!("{{'descr': '<f4' {part}}}"),
            &format!("{{'descr': '<f4', {part}}} more"),
            &format!("{{'descr': '<f4', 'descr': '<f4', {part}}}"),
            &format!("{{'descr': '<f4', 'other': 1, {part}}}"),
            &format!("{{'descr': '<f4, {part}}}"),
            &format!("{{'descr': [('a', '<f4'), {part}}}"),
            &format!("{{'descr': 4, {part}}}"),
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1.5,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551616,)}",
        ] {
            assert_eq!(read(text), Err(HeaderError::Dictionary), "{text}");
        }
    }

    #[test]
    fn files_that_are_none_end_or_go_on_too_long_are_told_apart() {
        let whole = file(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n");
        for end in 0..whole.len() {
            assert_eq!(Header::read(&whole[..end]), Err(HeaderError::Truncated), "{end}");
        }
        assert_eq!(Header::read(b"PK\x03\x04 and more"), Err(HeaderError::Magic));
        assert_eq!(Header::read(b"\x93NUMPY\x04\x00\x00\x00\x00\x00"), Err(HeaderError::Version));
        assert_eq!(Header::read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}"), Err(HeaderError::Long));
        assert_eq!(Header::read(b"\x93NUMPY\x01\x00\xff\xff{}"), Err(HeaderError::Long));
    }

    #[test]
    fn nests_of_brackets_take_no_more_time_than_other_text() {
        for (open, close) in [("[", "]"), ("{", "}"), ("(", ")"), ("{'descr': [", "]}")] {
            let nest = format!("{}{}", open.repeat(60), close.repeat(60));
            assert_eq!(read(&nest), Err(HeaderError::Dictionary), "{nest}");
        }
    }
}
