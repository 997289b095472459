//! A clock that any thread may read and switch without a lock: nanoseconds per activity, and the span that is open.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Instant,
};

use super::Activity;

/// Where the clock of all ledgers begins.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Bits of a span's word that hold its activity; the rest are nanoseconds, for 73 years.
const ACTIVITY_BITS: u32 = 3;
/// How often a reading is tried that falls into a switch. A switch takes nanoseconds, unless its thread is suspended there.
const READINGS: usize = 10_000;

/// Nanoseconds per activity, in the order of [`Activity::ALL`].
pub(super) type Spent = [u64; Activity::ALL.len()];

/// Nanoseconds spent on each activity. At any moment their sum, with the open span, is the time since the ledger was made.
#[derive(Debug)]
pub(super) struct Ledger {
    begun: u64,
    /// What is going on, and since when.
    open: AtomicU64,
    /// Of spans that are over.
    spent: [AtomicU64; Activity::ALL.len()],
}

impl Ledger {
    pub(super) fn new(activity: Activity) -> Self {
        let begun = now();
        Self { begun, open: AtomicU64::new(pack(activity, begun)), spent: Default::default() }
    }

    /// Goes over to the activity that `next` makes of the present one.
    pub(super) fn switch(&self, next: impl Fn(Activity) -> Activity) {
        let mut open = self.open.load(SeqCst);
        loop {
            let (activity, since) = unpack(open);
            let next = next(activity);
            if next == activity {
                return;
            }
            // Another thread may have switched since this one looked at the clock.
            let until = now().max(since);
            match self.open.compare_exchange(open, pack(next, until), SeqCst, SeqCst) {
                // A span that is over is added by the one thread that ended it.
                Ok(_) => {
                    self.spent[activity as usize].fetch_add(until - since, SeqCst);
                    return;
                }
                Err(changed) => open = changed,
            }
        }
    }

    /// What was spent so far, the open span included. A thread that is just switching may have looked at the clock before this
    /// reading: what the open span got since then is the next one's in later readings. The sum is right at any time.
    pub(super) fn read(&self) -> Spent {
        let mut reading = self.try_read();
        for _ in 1..READINGS {
            if reading.is_ok() {
                break;
            }
            std::thread::yield_now();
            reading = self.try_read();
        }
        // The span that the suspended thread ended is missing until it goes on.
        reading.unwrap_or_else(|incomplete| incomplete)
    }

    /// An error is a reading in which a span is missing or counted twice.
    fn try_read(&self) -> Result<Spent, Spent> {
        let now = now();
        let open = self.open.load(SeqCst);
        let (activity, since) = unpack(open);
        let mut spent = self.spent.each_ref().map(|nanoseconds| nanoseconds.load(SeqCst));
        let complete = spent.iter().sum::<u64>() == since - self.begun && self.open.load(SeqCst) == open;
        spent[activity as usize] += now.saturating_sub(since);
        if complete { Ok(spent) } else { Err(spent) }
    }
}

fn now() -> u64 {
    EPOCH.elapsed().as_nanos() as u64
}

fn pack(activity: Activity, since: u64) -> u64 {
    since << ACTIVITY_BITS | activity as u64
}

fn unpack(open: u64) -> (Activity, u64) {
    let activity = (open & ((1 << ACTIVITY_BITS) - 1)) as usize;
    (Activity::ALL[activity], open >> ACTIVITY_BITS)
}
