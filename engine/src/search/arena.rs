//! Memory that follows what searches need.

use std::ops::{Deref, DerefMut};

/// A vector that is filled by one search after another, each beginning with what is kept of the one before.
#[derive(Clone, Debug)]
pub(super) struct Arena<T> {
    items: Vec<T>,
    /// Items that were kept when the present search began.
    kept: usize,
}

impl<T> Default for Arena<T> {
    fn default() -> Self {
        Self { items: Vec::new(), kept: 0 }
    }
}

impl<T: Clone> Arena<T> {
    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.kept = 0;
    }

    /// Begins anew with `kept`. Of its memory it gives back what is more than twice as much as will be needed if as many items
    /// are added as since it last began: positions with many actions are followed by such with few, and a game that once needed
    /// much would hold it to its end. Where nothing was added, nothing is known of the need.
    pub(super) fn refill(&mut self, kept: &[T]) {
        let added = self.items.len().saturating_sub(self.kept);
        let needed = kept.len() + added;
        self.items.clear();
        if added > 0 && self.items.capacity() > 2 * needed {
            self.items = Vec::with_capacity(needed);
        }
        self.items.extend_from_slice(kept);
        self.kept = kept.len();
    }
}

impl<T> Deref for Arena<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Arena<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_follows_what_is_kept_and_added() {
        let mut arena = Arena::default();
        for (kept, added) in [(0, 1000), (400, 600), (10, 990), (10, 90), (10, 90), (3, 1), (0, 1), (0, 50)] {
            let added_before = arena.len() - arena.kept;
            arena.refill(&vec![7; kept]);
            assert!(arena.capacity() <= 2 * (kept + added_before), "{} for {kept} + {added_before}", arena.capacity());
            arena.extend(std::iter::repeat_n(8, added));
            assert_eq!((arena.len(), arena.iter().filter(|&&item| item == 7).count()), (kept + added, kept));
        }
    }

    #[test]
    fn what_the_last_search_needed_is_there_for_the_next() {
        let mut arena = Arena::default();
        arena.extend(0..1000);
        // As when a kept tree is dropped, because another model is in service, before anything was searched in it.
        for kept in [&[][..], &[1, 2, 3], &[], &[]] {
            arena.refill(kept);
            assert!((1000..=2000).contains(&arena.capacity()), "{}", arena.capacity());
        }
    }

    #[test]
    fn searches_alike_need_no_new_memory() {
        let mut arena = Arena::default();
        arena.extend(0..1000);
        arena.refill(&[0; 100]);
        arena.extend(100..1000);
        let room = arena.capacity();
        for _ in 0..10 {
            arena.refill(&[0; 100]);
            arena.extend(100..1000);
            assert_eq!(arena.capacity(), room);
        }
    }
}
