//! Batch sizes that a network is run with.

/// The batch sizes a network is run with; other batches are padded to the next one.
///
/// A CPU runs any size equally well and needs none. A GPU prepares something for each new size (choice of algorithm, memory),
/// so that few sizes, all run once before the network is used, avoid stalls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchBuckets {
    /// Ascending, without repeats. Empty: every size is run as it is.
    sizes: Vec<usize>,
}

impl BatchBuckets {
    /// Every batch is run as it is.
    #[must_use]
    pub const fn none() -> Self {
        Self { sizes: Vec::new() }
    }

    /// These sizes in any order; zeros are left out.
    #[must_use]
    pub fn new(sizes: impl IntoIterator<Item = usize>) -> Self {
        let mut sizes: Vec<_> = sizes.into_iter().filter(|&size| size > 0).collect();
        sizes.sort_unstable();
        sizes.dedup();
        Self { sizes }
    }

    /// Powers of two and, from 8 on, what lies half-way between them, up to `max_batch` and with it: a batch is padded by less
    /// than half from 8 on, and 1024 needs 18 sizes.
    #[must_use]
    pub fn geometric(max_batch: usize) -> Self {
        let powers = std::iter::successors(Some(1_usize), |size| size.checked_mul(2));
        let sizes = powers.take_while(|&size| size < max_batch).flat_map(|size| {
            let between = if size >= 8 { size + size / 2 } else { size };
            [size, between]
        });
        Self::new(sizes.filter(|&size| size < max_batch).chain([max_batch]))
    }

    /// The size to run `batch` positions with, at least `batch`. Batches above the largest bucket are run as they are.
    #[must_use]
    pub fn fit(&self, batch: usize) -> usize {
        let next = self.sizes.partition_point(|&size| size < batch);
        self.sizes.get(next).copied().unwrap_or(batch)
    }

    /// The sizes, ascending.
    #[must_use]
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The largest size.
    #[must_use]
    pub fn max(&self) -> Option<usize> {
        self.sizes.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_go_to_the_next_bucket() {
        let buckets = BatchBuckets::new([8, 1, 4, 8, 0]);
        assert_eq!(buckets.sizes(), [1, 4, 8]);
        let fitted: Vec<_> = (1..=9).map(|batch| buckets.fit(batch)).collect();
        assert_eq!(fitted, [1, 4, 4, 4, 8, 8, 8, 8, 9]);
        assert_eq!(BatchBuckets::none().fit(7), 7);
    }

    #[test]
    fn geometric_buckets_end_with_the_largest_batch() {
        assert_eq!(BatchBuckets::geometric(1).sizes(), [1]);
        assert_eq!(BatchBuckets::geometric(50).sizes(), [1, 2, 4, 8, 12, 16, 24, 32, 48, 50]);
        assert_eq!(BatchBuckets::geometric(1024).sizes().len(), 18);
        let buckets = BatchBuckets::geometric(1000);
        assert!((8..=1000).all(|batch| buckets.fit(batch) * 2 < batch * 3));
    }
}
