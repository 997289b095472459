//! Names of games' files.

use std::fmt;

/// Name of a game's two files without their endings: `game_{unix_ms}_{game_index}_{pid}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stem(String);

impl Stem {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes the names of one process's games: each greater than the one before, whatever the wall clock does.
///
/// The trainer takes games in the order of their names. A name holds the milliseconds of the wall clock, or one more than the
/// name before it where the clock stands still or has been set back.
#[derive(Clone, Debug)]
pub struct StemClock {
    pid: u32,
    last_ms: Option<u64>,
}

impl StemClock {
    /// A clock for the games of process `pid`.
    #[must_use]
    pub const fn new(pid: u32) -> Self {
        Self { pid, last_ms: None }
    }

    /// The name of a game that is finished when the wall clock shows `unix_ms`.
    pub fn next(&mut self, unix_ms: u64, game_index: u64) -> Stem {
        let ms = self.last_ms.map_or(unix_ms, |last| unix_ms.max(last.saturating_add(1)));
        self.last_ms = Some(ms);
        Stem(format!("game_{ms:013}_{game_index:04}_{}", self.pid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_reference_s() {
        let mut clock = StemClock::new(4321);
        assert_eq!(clock.next(1_767_225_600_123, 7).as_str(), "game_1767225600123_0007_4321");
        assert_eq!(clock.next(1_767_225_600_999, 12_345).as_str(), "game_1767225600999_12345_4321");
    }

    #[test]
    fn names_grow_when_the_clock_stands_still_or_is_set_back() {
        let mut clock = StemClock::new(1);
        let times = [1_000, 1_000, 1_000, 400, 0, 1_002, 1_003, 9_999_999, 1, u64::from(u32::MAX), 7];
        let stems: Vec<_> =
            times.iter().enumerate().map(|(number, &ms)| clock.next(ms, 20_000 - number as u64 * 1_999)).collect();
        assert!(stems.is_sorted_by(|a, b| a < b), "{stems:?}");
        assert_eq!(stems[3].as_str(), "game_0000000001003_14003_1");
    }
}
