//! Why the last models were refused or withdrawn, for status and page: counters tell only how many were.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Most that are kept.
const MOST: usize = 20;

/// A model that was refused or withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Counts all of them, from 1.
    pub number: u64,
    /// The trainer's number of the model.
    pub version: i64,
    /// It had come into service before.
    pub withdrawn: bool,
    /// What was wrong with it, for people.
    pub reason: String,
}

/// The last rejections, the oldest first. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Rejections(Mutex<VecDeque<Rejection>>);

impl Rejections {
    /// Notes another. Called by the loader.
    pub(crate) fn note(&self, version: i64, withdrawn: bool, reason: &str) {
        let mut last = self.lock();
        let number = last.back().map_or(1, |last| last.number + 1);
        last.push_back(Rejection { number, version, withdrawn, reason: reason.to_owned() });
        if last.len() > MOST {
            last.pop_front();
        }
    }

    /// Those after number `seen`, as far as they are kept.
    #[must_use]
    pub fn after(&self, seen: u64) -> Vec<Rejection> {
        self.lock().iter().filter(|rejection| rejection.number > seen).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Rejection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_in_order() {
        let rejections = Rejections::default();
        assert_eq!(rejections.after(0), []);
        (0..25).for_each(|version| rejections.note(version, version % 2 == 1, "bad"));
        let kept = rejections.after(0);
        assert_eq!((kept.len(), kept[0].number, kept[0].version, kept[0].withdrawn), (MOST, 6, 5, true));
        assert_eq!(rejections.after(24).iter().map(|rejection| rejection.version).collect::<Vec<_>>(), [24]);
    }
}
