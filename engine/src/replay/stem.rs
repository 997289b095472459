//! Names of sessions and of games' files.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
    str::FromStr,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds have this many digits in names, until the year 2286.
const MS_DIGITS: usize = 13;

/// The largest time that has [`MS_DIGITS`] digits and another after it.
const LAST_MS: u64 = 9_999_999_999_998;

/// One run of the daemon: unique across processes, restarts and hosts. Written `{pid}-{random:08x}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    pid: u32,
    random: u32,
}

/// A text is not a [`SessionId`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("read {0:?} as a session: it is not of the form 4321-1a2b3c4d")]
pub struct SessionIdError(String);

impl SessionId {
    /// The session of process `pid` with 32 bits that no other process of that id draws.
    #[must_use]
    pub const fn new(pid: u32, random: u32) -> Self {
        Self { pid, random }
    }

    /// A new session of this process, with random bits of the system.
    #[must_use]
    pub fn of_this_process() -> Self {
        // The keys of a `RandomState` are the system's random bits.
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        Self::new(std::process::id(), hasher.finish() as u32)
    }

    /// Id of the process.
    #[must_use]
    pub const fn pid(self) -> u32 {
        self.pid
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:08x}", self.pid, self.random)
    }
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let parsed = text
            .split_once('-')
            .and_then(|(pid, random)| Some(Self::new(pid.parse().ok()?, u32::from_str_radix(random, 16).ok()?)));
        // One spelling only, so that names and sessions are one to one.
        parsed.filter(|session| session.to_string() == text).ok_or_else(|| SessionIdError(text.to_owned()))
    }
}

/// Name of a game's two files without their endings: `game_{unix_ms}_{game_index}_{session}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stem(String);

/// A text is not a [`Stem`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("read {0:?} as the name of a game")]
pub struct StemError(String);

impl Stem {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The session that gave the name. Another may have put the files in place.
    #[must_use]
    pub fn session(&self) -> SessionId {
        // Every way to make a stem has seen to it that there is one.
        parts(&self.0).map_or(SessionId::new(0, 0), |(_, session)| session)
    }

    /// The time in the name: milliseconds since 1970.
    #[must_use]
    pub fn ms(&self) -> u64 {
        parts(&self.0).map_or(0, |(ms, _)| ms)
    }
}

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Stem {
    type Err = StemError;

    fn from_str(text: &str) -> Result<Self, StemError> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Stem {
    type Error = StemError;

    fn try_from(text: String) -> Result<Self, StemError> {
        if parts(&text).is_some() { Ok(Self(text)) } else { Err(StemError(text)) }
    }
}

impl From<Stem> for String {
    fn from(stem: Stem) -> Self {
        stem.0
    }
}

/// Time and session of a name.
fn parts(name: &str) -> Option<(u64, SessionId)> {
    let mut fields = name.strip_prefix("game_")?.split('_');
    let (ms, index, session) = (number(fields.next()?)?, number(fields.next()?), fields.next()?.parse().ok()?);
    (index.is_some() && fields.next().is_none()).then_some((ms, session))
}

/// Digits only: `parse` would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The time in the name of any game's file, of whatever program that names them alike; `None` for other files, and for times
/// that no name could sort after.
pub(crate) fn ms_of_file(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("game_")?.split('_').next()?;
    number(digits).filter(|&ms| digits.len() == MS_DIGITS && ms <= LAST_MS)
}

/// Makes the names of one session's games: each greater than the one before, whatever the wall clock does.
///
/// The trainer takes games in the order of their names. A name holds the milliseconds of the wall clock, or one more than the
/// name before it where the clock stands still or has been set back.
#[derive(Clone, Debug)]
pub struct StemClock {
    session: SessionId,
    not_before_ms: u64,
}

impl StemClock {
    /// A clock for the games of `session`, whose names hold `not_before_ms` or more: later than any name in use, so that a clock
    /// set back between two runs does not change the order ([`crate::journal::Recovered::not_before_ms`]).
    #[must_use]
    pub const fn new(session: SessionId, not_before_ms: u64) -> Self {
        Self { session, not_before_ms }
    }

    /// The name of a game that is finished when the wall clock shows `unix_ms`.
    pub fn next(&mut self, unix_ms: u64, game_index: u64) -> Stem {
        let ms = unix_ms.max(self.not_before_ms);
        self.not_before_ms = ms.saturating_add(1);
        Stem(format!("game_{ms:0MS_DIGITS$}_{game_index:04}_{}", self.session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::new(4321, 0x1a2b_3c4d);

    #[test]
    fn names_hold_time_game_and_session() {
        let mut clock = StemClock::new(SESSION, 0);
        let stem = clock.next(1_767_225_600_123, 7);
        assert_eq!(stem.as_str(), "game_1767225600123_0007_4321-1a2b3c4d");
        assert_eq!((stem.ms(), stem.session()), (1_767_225_600_123, SESSION));
        assert_eq!(clock.next(1_767_225_600_999, 12_345).as_str(), "game_1767225600999_12345_4321-1a2b3c4d");
        assert_eq!(stem.as_str().parse(), Ok(stem));
    }

    #[test]
    fn names_grow_when_the_clock_stands_still_or_is_set_back() {
        let mut clock = StemClock::new(SESSION, 0);
        let times = [1_000, 1_000, 1_000, 400, 0, 1_002, 1_003, 9_999_999, 1, u64::from(u32::MAX), 7];
        let stems: Vec<_> =
            times.iter().enumerate().map(|(number, &ms)| clock.next(ms, 20_000 - number as u64 * 1_999)).collect();
        assert!(stems.is_sorted_by(|a, b| a < b), "{stems:?}");
        assert_eq!(stems[3].as_str(), "game_0000000001003_14003_4321-1a2b3c4d");
    }

    #[test]
    fn a_new_clock_goes_on_where_it_is_told() {
        let mut clock = StemClock::new(SESSION, 5_000);
        assert_eq!(clock.next(10, 0).ms(), 5_000);
        assert_eq!(clock.next(10, 1).ms(), 5_001);
        assert_eq!(clock.next(7_000, 2).ms(), 7_000);
    }

    #[test]
    fn sessions_differ_and_are_read_back_from_their_one_spelling() {
        assert_ne!(SessionId::of_this_process(), SessionId::of_this_process());
        assert_eq!(SessionId::of_this_process().pid(), std::process::id());
        assert_eq!("4321-1a2b3c4d".parse(), Ok(SESSION));
        assert_eq!(SessionId::new(1, 2).to_string(), "1-00000002");
        for wrong in
            ["", "4321", "4321-", "-1a2b3c4d", "04321-1a2b3c4d", "4321-1A2B3C4D", "4321-1a2b3c4", "+1-00000002"]
        {
            assert!(wrong.parse::<SessionId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_names_are_no_stems() {
        for wrong in [
            "game_1_2_3",
            "game_1_2_3-0000000z",
            "game_x_2_4321-1a2b3c4d",
            "game_1_2_4321-1a2b3c4d_5",
            "game_+1_2_1-00000002",
        ] {
            assert!(wrong.parse::<Stem>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_found_in_the_names_of_other_programs_too() {
        assert_eq!(ms_of_file("game_1767225600123_0007_4321.npz"), Some(1_767_225_600_123));
        assert_eq!(ms_of_file("game_1767225600123_0007_4321-1a2b3c4d.npz.part"), Some(1_767_225_600_123));
        assert_eq!(ms_of_file("game_0000123.npz"), None);
        assert_eq!(ms_of_file("game_9999999999999_0007_1.npz"), None, "nothing could sort after it");
        assert_eq!(ms_of_file("latest.yaml"), None);
    }
}
