//! Finished evaluations, least recently used first out, bounded in bytes and, when asked for, in entries.

use lru::LruCache;
use selfplay_engine::{Game, evaluation::Worth};

/// Bounds of the evaluation cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most bytes, by an estimate of what an entry costs.
    pub max_bytes: usize,
    /// Most entries; `None` for no bound of its own, 0 switches the cache off.
    pub max_entries: Option<usize>,
}

impl CacheLimits {
    /// Bytes it may take; 0 when it is off.
    #[must_use]
    pub fn capacity(self) -> usize {
        if self.max_entries == Some(0) { 0 } else { self.max_bytes }
    }
}

/// A network's answer for one position.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) worth: Worth,
    /// Over legal actions, ascending, network frame.
    pub(super) priors: Box<[f32]>,
}

/// What an evaluation depends on: what the network sees, and which network.
pub(super) type Key<G> = (u64, <G as Game>::Position);

/// Bytes an entry costs: a list node of key, value and two links, the priors, and a place in the hash table.
///
/// The table's share is that of a full cache: once entries are evicted, hashbrown doubles a table that is more than 7/16 full,
/// so that an entry has 2.3 to 4.6 slots of 17 bytes. What it comes to is
/// in docs/measurements/whole-daemon.md.
fn entry_bytes<G: Game>(priors: usize) -> usize {
    const WORD: usize = size_of::<usize>();
    const TABLE_SHARE: usize = 56;
    // The daemon's allocator, mimalloc, rounds up to four sizes between two powers of two.
    let allocated = |bytes: usize| match bytes {
        0..=64 => bytes.next_multiple_of(WORD),
        _ => bytes.next_multiple_of(1 << ((bytes - 1).ilog2() - 2)),
    };
    let node = size_of::<(Key<G>, Known)>() + 2 * WORD;
    allocated(node) + allocated(priors * size_of::<f32>()) + TABLE_SHARE
}

pub(super) struct Store<G: Game> {
    entries: LruCache<Key<G>, Known>,
    limits: CacheLimits,
    bytes: usize,
    evictions: Evictions,
}

/// Entries that left for others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evictions {
    /// Of the generation that the new entry is of.
    pub(crate) full: u64,
    /// Of another: they would not have been asked for any more.
    pub(crate) stale: u64,
}

impl<G: Game> Store<G> {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self { entries: LruCache::unbounded(), limits, bytes: 0, evictions: Evictions::default() }
    }

    pub(super) fn get(&mut self, key: &Key<G>) -> Option<&Known> {
        self.entries.get(key)
    }

    pub(super) fn insert(&mut self, key: Key<G>, known: Known) {
        if self.limits.max_entries == Some(0) {
            return;
        }
        let (generation, _) = key;
        self.bytes += entry_bytes::<G>(known.priors.len());
        if let Some((_, replaced)) = self.entries.push(key, known) {
            self.bytes -= entry_bytes::<G>(replaced.priors.len());
        }
        self.evict(generation);
    }

    /// Holds no more than this from now on; `generation`: the present one.
    pub(super) fn set_limits(&mut self, limits: CacheLimits, generation: u64) {
        self.limits = limits;
        self.evict(generation);
    }

    /// Lets entries go until what is left is within the limits.
    fn evict(&mut self, generation: u64) {
        while self.bytes > self.limits.max_bytes || self.limits.max_entries.is_some_and(|max| self.entries.len() > max)
        {
            let Some(((evicted_of, _), evicted)) = self.entries.pop_lru() else { break };
            self.bytes -= entry_bytes::<G>(evicted.priors.len());
            *if evicted_of == generation { &mut self.evictions.full } else { &mut self.evictions.stale } += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key<G>, &Known)> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries evicted since the last call.
    pub(super) fn take_evictions(&mut self) -> Evictions {
        std::mem::take(&mut self.evictions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Numbers;

    fn known(priors: usize) -> Known {
        Known { worth: 0.0.into(), priors: vec![0.5; priors].into() }
    }

    fn full(full: u64) -> Evictions {
        Evictions { full, stale: 0 }
    }

    /// The bytes accounted for are those of the entries.
    fn check(store: &Store<Numbers>) {
        let bytes: usize = store.entries.iter().map(|(_, known)| entry_bytes::<Numbers>(known.priors.len())).sum();
        assert_eq!(store.bytes(), bytes);
    }

    #[test]
    fn entries_leave_in_order_of_their_last_use_once_there_are_too_many() {
        let mut store = Store::new(CacheLimits { max_bytes: usize::MAX, max_entries: Some(2) });
        store.insert((1, 10), known(3));
        store.insert((1, 11), known(4));
        assert!(store.get(&(1, 10)).is_some());
        store.insert((1, 12), known(5));
        assert!(store.get(&(1, 10)).is_some() && store.get(&(1, 12)).is_some());
        assert!(store.get(&(1, 11)).is_none());
        assert_eq!((store.len(), store.take_evictions(), store.take_evictions()), (2, full(1), full(0)));
        check(&store);
    }

    #[test]
    fn bytes_are_bounded_whatever_the_entries_sizes() {
        let room = 10 * entry_bytes::<Numbers>(8);
        let mut store = Store::new(CacheLimits { max_bytes: room, max_entries: None });
        for position in 0..100 {
            store.insert((1, position), known(usize::from(position) % 17));
            assert!(store.bytes() <= room);
            assert!(store.get(&(1, position)).is_some(), "the newest fits");
            check(&store);
        }
        assert!(store.bytes() > room / 2);
        store.insert((1, 500), known(10_000));
        assert_eq!((store.len(), store.bytes()), (0, 0), "larger than all the room there is");
        store.insert((1, 501), known(1));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn lower_limits_let_the_oldest_go_at_once() {
        let mut store = Store::<Numbers>::new(CacheLimits { max_bytes: usize::MAX, max_entries: None });
        (0..10).for_each(|position| store.insert((1, position), known(3)));
        store.set_limits(CacheLimits { max_bytes: 4 * entry_bytes::<Numbers>(3), max_entries: None }, 1);
        assert_eq!((store.len(), store.take_evictions()), (4, full(6)));
        assert!(store.get(&(1, 6)).is_some() && store.get(&(1, 5)).is_none());
        check(&store);
    }

    #[test]
    fn a_draw_has_its_place_where_there_was_room() {
        assert_eq!(size_of::<Known>(), size_of::<(f32, Box<[f32]>)>());
    }

    #[test]
    fn an_entry_replaced_is_counted_once() {
        let mut store = Store::<Numbers>::new(CacheLimits { max_bytes: usize::MAX, max_entries: None });
        store.insert((1, 10), known(3));
        store.insert((1, 10), known(7));
        assert_eq!((store.len(), store.bytes(), store.take_evictions()), (1, entry_bytes::<Numbers>(7), full(0)));
    }

    #[test]
    fn what_an_earlier_model_said_leaves_as_stale() {
        let mut store = Store::<Numbers>::new(CacheLimits { max_bytes: usize::MAX, max_entries: Some(2) });
        for (generation, position) in [(1, 10), (1, 11), (2, 10), (2, 11), (2, 12)] {
            store.insert((generation, position), known(3));
        }
        assert_eq!(store.take_evictions(), Evictions { full: 1, stale: 2 });
    }

    #[test]
    fn generations_do_not_share_entries() {
        let mut store = Store::<Numbers>::new(CacheLimits { max_bytes: usize::MAX, max_entries: None });
        store.insert((1, 10), known(3));
        assert!(store.get(&(2, 10)).is_none());
    }
}
