//! What values a key may have: one enum that reads, checks and describes them.

use config::ValueKind;
use std::fmt;

use super::{Addresses, Buckets, Device, HostNames, Servers};
use crate::shipped;

/// What a device setting may be.
pub(super) const DEVICES: &str = r#""auto", "cpu", "openvino", "openvino:gpu", "cuda", "cuda:N", "cuda:0,1", "cuda:0-3", "cuda:all" or the same with "tensorrt""#;

/// Most characters of a name: more than names of directories have.
const LONGEST_NAME: usize = 255;

/// Units of a size, with the bytes each stands for.
const UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
];

/// The values of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A whole number in this range.
    Int(i64, i64),
    /// A number in this range.
    Real(f64, f64),
    /// A number above 0, up to this.
    Positive(f64),
    /// True or false.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The name of a game.
    Game,
    /// A path, not empty.
    Path,
    /// A number of bytes, or a size such as "256MiB".
    Bytes,
    /// A device.
    Device,
    /// Batch sizes, separated by commas.
    Buckets,
    /// Addresses of IP and port, separated by commas.
    Addresses,
    /// Names of hosts, separated by commas.
    HostNames,
    /// Addresses of a fleet's servers, separated by commas.
    Servers,
    /// One line of text that people read, not empty.
    Name,
    /// A log level, or a list of `target=level`.
    LogLevel,
}

impl Kind {
    /// The words that it may be, where these are few.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::Game => shipped::names(),
            _ => &[],
        }
    }

    /// The value in the form that [`super::Settings`] reads, or nothing if it is not allowed.
    pub(super) fn accept(self, value: &ValueKind) -> Option<ValueKind> {
        let accepted = match self {
            Self::Int(least, most) => {
                let number = whole(value)?;
                (i128::from(least)..=i128::from(most)).contains(&number)
            }
            Self::Real(least, most) => (least..=most).contains(&real(value)?),
            // Settings hold single precision, in which smaller numbers are 0.
            Self::Positive(most) => (f64::from(f32::MIN_POSITIVE)..=most).contains(&real(value)?),
            Self::Flag => matches!(value, ValueKind::Boolean(_)),
            Self::Choice(_) | Self::Game => text(value).is_some_and(|word| self.words().contains(&word)),
            Self::Path => text(value).is_some_and(|path| !path.is_empty()),
            Self::Bytes => return bytes(value).map(ValueKind::from),
            Self::Device => text(value)?.parse::<Device>().is_ok(),
            Self::Buckets => return buckets(value).map(|buckets| buckets.to_string().into()),
            Self::Addresses => text(value)?.parse::<Addresses>().is_ok(),
            Self::HostNames => text(value)?.parse::<HostNames>().is_ok(),
            Self::Servers => text(value)?.parse::<Servers>().is_ok(),
            // YAML reads a name such as 2026 as a number.
            Self::Name => return name(value).map(ValueKind::from),
            Self::LogLevel => text(value).is_some_and(is_log_level),
        };
        accepted.then(|| value.clone())
    }

    /// The value that this text from the environment or a flag stands for. Text that does not fit stays text, and is then
    /// refused by [`Self::accept`] in the user's own words.
    pub(super) fn read(self, text: &str) -> ValueKind {
        let trimmed = text.trim();
        let read = match self {
            Self::Int(..) | Self::Bytes => trimmed.parse::<i64>().ok().map(ValueKind::from),
            Self::Real(..) | Self::Positive(_) => trimmed.parse::<f64>().ok().map(ValueKind::from),
            Self::Flag => trimmed.parse::<bool>().ok().map(ValueKind::from),
            Self::Choice(_)
            | Self::Game
            | Self::Path
            | Self::Device
            | Self::Buckets
            | Self::Addresses
            | Self::HostNames
            | Self::Servers
            | Self::Name
            | Self::LogLevel => None,
        };
        read.unwrap_or_else(|| text.into())
    }
}

impl fmt::Display for Kind {
    /// What is allowed, to follow "must be".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(least, i64::MAX) => write!(f, "a whole number of at least {least}"),
            Self::Int(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Real(least, most) => write!(f, "a number from {least} to {most}"),
            Self::Positive(most) => write!(f, "a number above 0, at most {most}"),
            Self::Flag => f.write_str("true or false"),
            Self::Choice(_) | Self::Game => {
                let quoted: Vec<_> = self.words().iter().map(|word| format!("{word:?}")).collect();
                f.write_str(&quoted.join(" or "))
            }
            Self::Path => f.write_str("a path"),
            Self::Bytes => f.write_str(r#"a number of bytes or a size such as "256MiB" or "2GB""#),
            Self::Device => f.write_str(DEVICES),
            Self::Buckets => f.write_str("up to 64 batch sizes from 1 to 65536 in ascending order, separated by commas"),
            Self::Addresses => {
                f.write_str(r#"an address of IP and port such as "127.0.0.1:9466" or several separated by commas"#)
            }
            Self::HostNames => f.write_str(r#"a host name such as "gpu-1.lan" or several separated by commas"#),
            Self::Servers => f.write_str(
                r#"an address such as "tls://trainer.example.org:4222" or several separated by commas; nats:// only for servers on this machine"#,
            ),
            Self::Name => write!(f, "a name of at most {LONGEST_NAME} characters on one line"),
            Self::LogLevel => f.write_str(
                r#"off, error, warn, info, debug or trace, or a list with modules such as "info,selfplay_actors=debug""#,
            ),
        }
    }
}

/// A name as text without blanks around it.
fn name(value: &ValueKind) -> Option<String> {
    let name = match value {
        ValueKind::String(text) => text.trim().to_owned(),
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => value.to_string(),
        _ => return None,
    };
    let fits = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    fits.then_some(name)
}

/// A value as it was written.
pub(super) fn written(value: &ValueKind) -> String {
    match value {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::String(text) => quoted(text),
        ValueKind::Float(number) => format!("{number:?}"),
        ValueKind::Table(_) => "a section".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Boolean(_) | ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            value.to_string()
        }
    }
}

/// A TOML basic string. JSON's escapes are a subset of TOML's, which escapes U+007F as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

fn whole(value: &ValueKind) -> Option<i128> {
    match value {
        ValueKind::I64(number) => Some(i128::from(*number)),
        ValueKind::U64(number) => Some(i128::from(*number)),
        ValueKind::I128(number) => Some(*number),
        ValueKind::U128(number) => i128::try_from(*number).ok(),
        _ => None,
    }
}

fn real(value: &ValueKind) -> Option<f64> {
    match value {
        ValueKind::Float(number) => Some(*number),
        // Whole numbers beyond 2^53 lose digits here, far outside every range.
        _ => whole(value).map(|number| number as f64),
    }
}

fn text(value: &ValueKind) -> Option<&str> {
    match value {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

/// The bytes that a size such as "8GiB" on the command line stands for.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    bytes(&Kind::Bytes.read(text)).ok_or_else(|| "not a number of bytes, or a size such as \"8GiB\"".to_owned())
}

fn bytes(value: &ValueKind) -> Option<u64> {
    let ValueKind::String(size) = value else {
        return whole(value).and_then(|number| u64::try_from(number).ok());
    };
    let size = size.trim();
    let digits = size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len());
    let (number, unit) = size.split_at(digits);
    let unit = unit.trim().to_ascii_uppercase();
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// From a text, a list, or a single number.
fn buckets(value: &ValueKind) -> Option<Buckets> {
    let sizes = match value {
        ValueKind::Array(sizes) => {
            sizes.iter().map(|size| Some(whole(&size.kind)?.to_string())).collect::<Option<Vec<_>>>()?
        }
        _ => vec![whole(value).map(|size| size.to_string()).or_else(|| text(value).map(str::to_owned))?],
    };
    sizes.join(",").parse().ok()
}

fn is_log_level(text: &str) -> bool {
    text.split(',').all(|directive| {
        let (target, level) = directive.trim().rsplit_once('=').unwrap_or(("any", directive.trim()));
        let target_is_a_module =
            !target.is_empty() && target.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        target_is_a_module && ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let sizes = [
            ("0", Some(0)),
            ("17", Some(17)),
            ("17B", Some(17)),
            ("256MiB", Some(256 << 20)),
            (" 2 gb ", Some(2_000_000_000)),
            ("1TiB", Some(1 << 40)),
            ("1.5GiB", None),
            ("-1MB", None),
            ("MiB", None),
            ("99999999999TiB", None),
        ];
        for (size, expected) in sizes {
            // As from the environment: plain digits are read as a number.
            let value = Kind::Bytes.read(size);
            assert_eq!(Kind::Bytes.accept(&value), expected.map(|bytes: u64| bytes.into()), "{size}");
        }
        assert_eq!(Kind::Bytes.accept(&ValueKind::from(-1)), None);
        assert_eq!(Kind::Bytes.accept(&ValueKind::from(1.0)), None);
    }

    #[test]
    fn bounds_belong_to_ranges() {
        let accepts = |kind: Kind, value: f64| kind.accept(&value.into()).is_some();
        assert!(accepts(Kind::Real(0.0, 1.0), 0.0) && accepts(Kind::Real(0.0, 1.0), 1.0));
        assert!(!accepts(Kind::Real(0.0, 1.0), 1.0001) && !accepts(Kind::Real(0.0, 1.0), f64::NAN));
        assert!(!accepts(Kind::Positive(2.0), 0.0) && accepts(Kind::Positive(2.0), 2.0));
        assert!(!accepts(Kind::Positive(2.0), -0.0) && !accepts(Kind::Positive(2.0), 1e-60));
        assert!(!accepts(Kind::Positive(2.0), f64::INFINITY) && !accepts(Kind::Positive(2.0), f64::NAN));
        assert!(Kind::Int(3, 9).accept(&3.into()).is_some() && Kind::Int(3, 9).accept(&10.into()).is_none());
        assert!(Kind::Int(3, 9).accept(&ValueKind::from(4.0)).is_none());
    }

    #[test]
    fn batch_sizes_come_as_texts_lists_and_numbers() {
        let accepted = |value: ValueKind| Kind::Buckets.accept(&value);
        let list = |sizes: &[i64]| ValueKind::Array(sizes.iter().map(|&size| config::Value::from(size)).collect());
        for value in [Kind::Buckets.read("1, 8,64"), list(&[1, 8, 64])] {
            assert_eq!(accepted(value), Some("1,8,64".into()));
        }
        assert_eq!(accepted(32.into()), Some("32".into()));
        for wrong in [list(&[]), list(&[8, 1]), list(&[0]), true.into(), 1.5.into(), "few".into()] {
            assert_eq!(accepted(wrong.clone()), None, "{wrong:?}");
        }
    }

    #[test]
    fn log_levels() {
        for level in ["info", "off", "warn,selfplayd=trace", "info, selfplay_actors::batcher=debug"] {
            assert!(is_log_level(level), "{level}");
        }
        for level in ["", "INFO!", "inof", "info,", "selfplayd=", "=info", "a b=info"] {
            assert!(!is_log_level(level), "{level}");
        }
    }
}
