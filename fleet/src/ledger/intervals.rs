//! Sets of numbers from 1 that are dense but for a few gaps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A set of numbers, kept as the intervals without gaps that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals(
    /// First and last number of each interval. None touches another.
    BTreeMap<u64, u64>,
);

impl Intervals {
    /// Whether the number is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &last)| number <= last)
    }

    /// Adds the numbers from `first` to `last`; returns how many were not in the set.
    pub fn insert(&mut self, first: u64, last: u64) -> u64 {
        let (mut from, mut to) = (first, last);
        let mut known = 0;
        // Those that begin before or just behind it, from the highest down, as long as they touch it.
        while let Some((&begin, &end)) = self.0.range(..=to.saturating_add(1)).next_back() {
            if end.saturating_add(1) < from {
                break;
            }
            let (low, high) = (begin.max(first), end.min(last));
            known += if low <= high { high - low + 1 } else { 0 };
            (from, to) = (from.min(begin), to.max(end));
            self.0.remove(&begin);
        }
        self.0.insert(from, to);
        last - first + 1 - known
    }

    /// The highest number such that it and all before it, from 1, are in the set; 0 where 1 is not.
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        self.0.get(&1).copied().unwrap_or(0)
    }

    /// Number of intervals.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set has no number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(ranges in proptest::collection::vec((1_u64..60, 0_u64..9), 0..30)) {
            let (mut intervals, mut set) = (Intervals::default(), BTreeSet::new());
            for (first, length) in ranges {
                let new = (first..=first + length).filter(|&number| set.insert(number)).count() as u64;
                prop_assert_eq!(intervals.insert(first, first + length), new);
                for number in 0..80 {
                    prop_assert_eq!(intervals.contains(number), set.contains(&number), "{}", number);
                }
                let dense = (1..).take_while(|number| set.contains(number)).count() as u64;
                prop_assert_eq!(intervals.contiguous(), dense);
                let begins = set.iter().filter(|&&number| !set.contains(&(number - 1))).count();
                prop_assert_eq!(intervals.len(), begins);
            }
        }
    }
}
