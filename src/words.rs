//! Spans of time and sizes as people read them, and numbers as text.

/// A span of time in its two largest units.
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A span of time that is only guessed: in its largest unit, rounded up.
pub(crate) fn about(seconds: f64) -> String {
    let (unit, name) = match seconds {
        ..60.0 => (1.0, "s"),
        ..5400.0 => (60.0, "min"),
        ..129_600.0 => (3600.0, "h"),
        _ => (86_400.0, "d"),
    };
    format!("about {:.0} {name}", (seconds / unit).ceil())
}

/// A number of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut size, mut unit) = (bytes as f64, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", UNITS[unit]) }
}

/// Numbers that are written as text, and read from either.
pub(crate) mod as_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.ok_or_else(|| D::Error::custom("not a number"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes() {
        let spans = [0.9, 59.0, 61.0, 3599.0, 3660.0, 90_000.0].map(duration);
        assert_eq!(spans, ["0 s", "59 s", "1 min 1 s", "59 min 59 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!(
            [0, 1023, 1024, 3 << 30, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "3.0 GiB", "16777216.0 TiB"]
        );
        let guesses = [0.0, 41.2, 150.0, 7000.0, 200_000.0].map(about);
        assert_eq!(guesses, ["about 0 s", "about 42 s", "about 3 min", "about 2 h", "about 3 d"]);
    }
}
