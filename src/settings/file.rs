//! Files of settings: read within bounds, and parsed into a table.
//!
//! Whatever stands in the place of a file, the answer comes at once, in bounded memory and on a bounded stack: only regular
//! files are read, and of these only what could be settings; nesting and the expansion of aliases have limits too.

use std::{
    fmt,
    fs::{self, File},
    io::Read as _,
    path::Path,
    str,
};

use config::{ConfigError, FileFormat, Format as _, Map, Value, ValueKind};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::mistake::shortened;

/// Largest file read, in bytes. A resolved configuration of the trainer has some thousand.
pub(super) const MOST_BYTES: u64 = 1 << 20;

/// Deepest nesting of sections and lists; settings have four levels.
const MOST_LEVELS: usize = 64;

/// Most values, keys and brackets, with everything that aliases repeat.
const MOST_PARTS: usize = 100_000;

/// How a file of settings is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// TOML 1.
    Toml,
    /// YAML 1.2, with the merge keys of 1.1.
    Yaml,
}

impl Language {
    const fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
        }
    }
}

/// Reads the table in the file at `path`.
///
/// # Errors
/// What is wrong with the file, to follow its name and a colon.
pub(super) fn read(path: &Path, language: Language) -> Result<Map<String, Value>, String> {
    parse(&bytes(path)?, language)
}

/// The contents of a regular file that is not too large.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(failed)?;
    // Opening a pipe waits for its writer, perhaps for ever; this also refuses a shell's process substitution.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err("is not a regular file, but a pipe, a socket or a device".to_owned());
    }
    let too_large = || format!("is larger than the {} KiB that settings may have", MOST_BYTES >> 10);
    if metadata.is_file() && metadata.len() > MOST_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The file may grow meanwhile, and files that the kernel makes up have no length.
    File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MOST_BYTES { Err(too_large()) } else { Ok(bytes) }
}

/// The table that these bytes of a file stand for.
///
/// # Errors
/// What is wrong with them, to follow the name of the file and a colon.
pub(super) fn parse(bytes: &[u8], language: Language) -> Result<Map<String, Value>, String> {
    let name = language.name();
    let text = str::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 text (the first bad byte is number {})", error.valid_up_to() + 1))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A file whose blocks never reached the disk before a crash reads as zeros, which YAML takes for its end.
    if let Some(place) = text.find('\0') {
        return Err(format!("is not valid {name}: byte {} is zero", place + 1));
    }
    let root = match language {
        Language::Toml => FileFormat::Toml.parse(None, text).map(|table| Value::new(None, table)),
        Language::Yaml => yaml(text).map_err(Into::into),
    };
    let root = root.map_err(|error| match error.downcast_ref::<ConfigError>() {
        Some(ConfigError::Type { .. }) => not_sections(name),
        _ => format!("is not valid {name}: {}", lines_of(&error.to_string())),
    })?;
    match root.kind {
        ValueKind::Table(table) => Ok(table),
        ValueKind::Nil => Ok(Map::new()),
        _ => Err(not_sections(name)),
    }
}

fn not_sections(name: &str) -> String {
    format!("is not a {name} file of settings: its top level must be sections")
}

fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MOST_LEVELS,
            flow_nesting_limit: MOST_LEVELS,
            max_events: MOST_PARTS,
            max_nodes: MOST_PARTS,
            max_total_scalar_bytes: 2 * MOST_BYTES as usize,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_PARTS },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // Refused by the table of keys, with the name of the key.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map(|Node(value)| value)
}

/// A value of any kind. That of `config` refuses a whole file for one number of 64 bits.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(|kind: ValueKind| Self(Value::new(None, kind)))
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = ValueKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<ValueKind, E> {
        Ok(ValueKind::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<ValueKind, E> {
        Ok(ValueKind::I64(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<ValueKind, E> {
        Ok(i64::try_from(number).map_or(ValueKind::U64(number), ValueKind::I64))
    }

    fn visit_i128<E>(self, number: i128) -> Result<ValueKind, E> {
        Ok(ValueKind::I128(number))
    }

    fn visit_u128<E>(self, number: u128) -> Result<ValueKind, E> {
        Ok(ValueKind::U128(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<ValueKind, E> {
        Ok(ValueKind::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<ValueKind, E> {
        Ok(ValueKind::String(text.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<ValueKind, E> {
        Ok(ValueKind::Nil)
    }

    fn visit_none<E>(self) -> Result<ValueKind, E> {
        Ok(ValueKind::Nil)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<ValueKind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ValueKind, A::Error> {
        let mut values = Vec::new();
        while let Some(Node(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(ValueKind::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut section: A) -> Result<ValueKind, A::Error> {
        let mut table = Map::new();
        while let Some((key, Node(value))) = section.next_entry::<String, Node>()? {
            table.insert(key, value);
        }
        Ok(ValueKind::Table(table))
    }
}

/// A parser's message, which may quote lines of any length and speak of its own limits and options, below the line that it
/// begins in.
fn lines_of(message: &str) -> String {
    let ours = message
        .replace("budget breached:", "it holds more than settings can:")
        .replace(", set DuplicateKeyPolicy in Options if acceptable", "")
        .replace("; use from_str_multiple or from_str_multiple_with_options", "")
        .replace("; use Option<String>", "");
    ours.trim_end().lines().map(shortened).collect::<Vec<_>>().join("\n    ")
}
