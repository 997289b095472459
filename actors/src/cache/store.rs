//! Finished evaluations, least recently used first out, bounded in bytes and, when asked for, in entries.

use std::rc::Rc;

use lru::LruCache;
use selfplay_engine::Game;

/// Bounds of the evaluation cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Most bytes, by the estimate of [`entry_bytes`].
    pub max_bytes: usize,
    /// Most entries; `None` for no bound of its own, 0 switches the cache off.
    pub max_entries: Option<usize>,
}

/// A network's answer for one position, shared between the cache and whoever waits for it.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) value: f32,
    /// Over legal actions, ascending, network frame.
    pub(super) priors: Rc<[f32]>,
}

/// What an evaluation depends on: what the network sees, and which network.
pub(super) type Key<G> = (u64, <G as Game>::Position);

/// Bytes an entry costs: key and value in a list node, its place in the hash table, and the priors with their counts.
fn entry_bytes<G: Game>(priors: usize) -> usize {
    const LINKS_AND_SLOT: usize = 2 * size_of::<usize>() + 20;
    const COUNTS_AND_ALLOCATOR: usize = 2 * size_of::<usize>() + 16;
    size_of::<(Key<G>, Known)>() + LINKS_AND_SLOT + COUNTS_AND_ALLOCATOR + priors * size_of::<f32>()
}

pub(super) struct Store<G: Game> {
    entries: LruCache<Key<G>, Known>,
    limits: CacheLimits,
    bytes: usize,
    evictions: u64,
}

impl<G: Game> Store<G> {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self { entries: LruCache::unbounded(), limits, bytes: 0, evictions: 0 }
    }

    pub(super) fn get(&mut self, key: &Key<G>) -> Option<&Known> {
        self.entries.get(key)
    }

    pub(super) fn insert(&mut self, key: Key<G>, known: Known) {
        if self.limits.max_entries == Some(0) {
            return;
        }
        self.bytes += entry_bytes::<G>(known.priors.len());
        if let Some((_, replaced)) = self.entries.push(key, known) {
            self.bytes -= entry_bytes::<G>(replaced.priors.len());
        }
        while self.bytes > self.limits.max_bytes || self.limits.max_entries.is_some_and(|max| self.entries.len() > max)
        {
            let Some((_, evicted)) = self.entries.pop_lru() else { break };
            self.bytes -= entry_bytes::<G>(evicted.priors.len());
            self.evictions += 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Entries evicted since the last call.
    pub(super) fn take_evictions(&mut self) -> u64 {
        std::mem::take(&mut self.evictions)
    }
}
