//! A look inside the cache, for tests that drive it by hand.

use selfplay_engine::evaluation::Worth;

use super::*;
use crate::cache::CacheActor;

impl<G: Game> CacheActor<G> {
    /// Number of the model that it answers by.
    pub(crate) fn generation(&self) -> u64 {
        self.table.borrow().generation.number
    }

    /// What it knows: model number, position, value, priors.
    pub(crate) fn for_each_known(&self, mut check: impl FnMut(u64, G::Position, f32, &[f32])) {
        for ((generation, position), Known { worth: Worth { value, .. }, priors }) in self.table.borrow().store.iter() {
            check(*generation, *position, *value, priors);
        }
    }

    /// What it waits for.
    pub(crate) fn flying(&self) -> Vec<(LeafId, G::Position)> {
        self.table.borrow().flying.iter().map(|(&id, in_flight)| (id, in_flight.position)).collect()
    }

    /// Number of requests that wait.
    pub(crate) fn open(&self) -> usize {
        self.table.borrow().open()
    }

    /// Panics unless its counts agree: every request waits for exactly the leaves that it misses, and every leaf in flight is
    /// found by its position.
    pub(crate) fn check_books(&self) {
        let Table { flying, flying_by_position, open, misses, .. } = &*self.table.borrow();
        assert!(misses.is_empty(), "leaves were collected and not asked");
        assert_eq!(flying.len(), flying_by_position.len(), "a position is in flight twice, or cannot be found");
        let mut waits: HashMap<u64, Vec<usize>> = HashMap::new();
        for (id, in_flight) in flying {
            assert_eq!(flying_by_position.get(&in_flight.position), Some(id));
            for &(request, place) in &in_flight.waiters {
                waits.entry(request).or_default().push(place);
            }
        }
        for (number, request) in open {
            let mut waits = waits.remove(number).unwrap_or_default();
            waits.sort_unstable();
            let missing: Vec<_> =
                (0..request.answers.len()).filter(|&place| request.answers.is_vacant(place)).collect();
            assert_eq!((waits, request.missing), (missing.clone(), missing.len()), "request {number}");
            assert!(request.missing > 0, "request {number} could have been answered");
        }
    }
}
