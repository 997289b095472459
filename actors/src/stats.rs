//! Counters that actors and inference threads keep and anyone may read: for the summary line, the progress bar and the bench.
//!
//! Touched once per message or batch, never per leaf.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::account::Accounts;

/// One counter or gauge.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// Takes from it.
    pub fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Relaxed);
    }

    /// Replaces it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one process. All count up from its start but those called gauges.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
            /// Where the threads' time goes.
            pub accounts: Accounts,
        }

        /// The values of [`Stats`] at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// Reads all counters.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot { $($name: self.$name.get(),)* }
            }
        }

        impl Snapshot {
            /// What was counted since `earlier`; gauges are kept as they are where they fell.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)* }
            }
        }
    };
}

impl Snapshot {
    /// Games that left their slots: finished, set aside or given up.
    #[must_use]
    pub fn games_ended(&self) -> u64 {
        self.games_finished + self.games_rejected + self.games_abandoned
    }
}

stats! {
    /// Games started.
    games_started,
    /// Games finished and handed to the writer.
    games_finished,
    /// Games written to disk.
    games_written,
    /// Games given up after repeated failures.
    games_abandoned,
    /// Games set aside in play: the network answered one of their positions with nonsense twice.
    games_rejected,
    /// Finished games set aside: they break the replay format, or the writer panicked over them.
    games_unfit,
    /// Games of earlier processes that went on in this one. They count as started too.
    games_resumed,
    /// Finished games that went to the spool directory.
    games_spooled,
    /// Plies of finished games.
    plies,
    /// Simulations of all games.
    simulations,
    /// Leaves asked of the cache.
    lookups,
    /// Leaves the cache knew.
    cache_hits,
    /// Leaves that were being evaluated for someone else already.
    cache_in_flight_hits,
    /// Entries in the cache (gauge).
    cache_entries,
    /// Bytes in the cache (gauge).
    cache_bytes,
    /// Entries evicted.
    cache_evictions,
    /// Batches run.
    batches,
    /// Positions evaluated by the network.
    evaluations,
    /// Nanoseconds inference threads spent in evaluators, summed over threads.
    inference_ns,
    /// Nanoseconds the first leaf of each batch waited for a thread, summed over batches.
    batch_wait_ns,
    /// Nanoseconds spent on answering games from finished batches.
    post_processing_ns,
    /// Batches that failed.
    batch_errors,
    /// Positions for which the network gave numbers that are not finite.
    evaluations_flawed,
    /// Values outside [−1, 1] that were clamped.
    values_clamped,
    /// Requests answered as lost or failed and asked again.
    retries,
    /// Restarts of all children, failed batches included.
    restarts,
    /// Models taken into service.
    models_loaded,
    /// Models refused.
    models_refused,
    /// Models taken out of service because of what they answered.
    models_withdrawn,
    /// 1 while a model is checked and made ready, else 0 (gauge).
    loading,
    /// Nanoseconds spent on that, for models refused at that point too.
    loading_ns,
    /// Version of the serving model (gauge), as the two's complement of the trainer's number.
    model_version,
    /// Bytes of replay files written.
    bytes_written,
    /// Failed attempts to write a game.
    write_errors,
}
