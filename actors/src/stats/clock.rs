//! A clock that only goes forward.

use std::{sync::LazyLock, time::Instant};

/// Milliseconds since about the first call in this process, at least 1.
#[must_use]
pub fn monotonic_ms() -> i64 {
    static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);
    i64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(i64::MAX - 1) + 1
}
