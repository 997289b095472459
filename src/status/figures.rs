//! What the status is made of, read from the daemon: the one place that knows where each figure comes from.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use selfplay_actors::{
    account::RoleShares,
    bottleneck::{self, Monitor},
    health::{self, Health},
    stats::{Bucket, Snapshot, Stats},
};
use selfplay_engine::rating::share_interval;
use serde_json::Value;

use super::{
    Bin, Bottleneck, CacheStatus, ChildStatus, GamesStatus, Limit, Mode, ResignCheck, Restarts, ThreadStatus,
    WriterStatus,
};
use crate::{
    daemon::{
        device::DeviceFacts,
        fleet::Fleet,
        progress::{BatchStatus, Progress},
        run::RunStatus,
        siblings::Siblings,
    },
    learning::Learning,
    steering::api::SteeringApi,
};

/// What is known of a daemon from its start on.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// When it started, in seconds since 1970.
    pub started_unix: f64,
    /// The same by a clock that only goes forward.
    pub started: Instant,
    /// Of all random choices.
    pub seed: u64,
    /// What it plays for.
    pub run: RunStatus,
    /// What ends it.
    pub mode: Mode,
    /// What the network runs on.
    pub device: DeviceFacts,
}

/// Where the status is read.
#[derive(Clone)]
pub(crate) struct Sources {
    /// What never changes.
    pub facts: Facts,
    /// Counters.
    pub stats: Arc<Stats>,
    /// What holds play back, and where the threads' time goes.
    pub monitor: Arc<Monitor>,
    /// The supervision tree.
    pub health: Arc<Health>,
    /// What the daemon was told.
    pub control: Arc<dyn SteeringApi>,
    /// Other daemons that play into the same output directory.
    pub siblings: Siblings,
    /// How far it is, where the last of its games ends it.
    pub batch: Option<Arc<Progress>>,
    /// What the run learns.
    pub learning: Learning,
    /// The fleet, where this daemon is a worker of one.
    pub fleet: Fleet,
}

/// Counters that rates are made of. Each only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub evaluations: u64,
    pub values_clamped: u64,
    pub batches: u64,
    pub simulations: u64,
    pub lookups: u64,
    pub cache_hits: u64,
    pub evictions: u64,
    pub games_finished: u64,
    pub positions: u64,
    pub write_errors: u64,
}

impl Counts {
    /// What was counted after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            evaluations: self.evaluations.saturating_sub(earlier.evaluations),
            values_clamped: self.values_clamped.saturating_sub(earlier.values_clamped),
            batches: self.batches.saturating_sub(earlier.batches),
            simulations: self.simulations.saturating_sub(earlier.simulations),
            lookups: self.lookups.saturating_sub(earlier.lookups),
            cache_hits: self.cache_hits.saturating_sub(earlier.cache_hits),
            evictions: self.evictions.saturating_sub(earlier.evictions),
            games_finished: self.games_finished.saturating_sub(earlier.games_finished),
            positions: self.positions.saturating_sub(earlier.positions),
            write_errors: self.write_errors.saturating_sub(earlier.write_errors),
        }
    }

    /// A number that grows whenever play gets on.
    pub(super) fn progress(&self) -> u64 {
        self.evaluations + self.simulations + self.lookups
    }
}

/// What is known of models.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ModelFigures {
    /// Models that came into service.
    pub served: u64,
    /// Models refused.
    pub refused: u64,
    /// Models taken out of service.
    pub withdrawn: u64,
    /// The trainer's number of the last that came into service.
    pub version: Option<i64>,
    /// Seconds spent on reading, checking and warming.
    pub loading_seconds: f64,
}

/// Everything that is read at one moment.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    pub counts: Counts,
    pub model: ModelFigures,
    pub games: GamesStatus,
    pub batch: Option<BatchStatus>,
    pub cache: CacheStatus,
    pub writer: WriterStatus,
    pub batch_sizes: Vec<Bin>,
    pub bottleneck: Option<Bottleneck>,
    pub threads: Vec<ThreadStatus>,
    pub children: Vec<ChildStatus>,
    pub totals: BTreeMap<String, u64>,
}

impl Figures {
    /// Reads everything.
    pub(super) fn read(sources: &Sources) -> Self {
        let now = sources.stats.snapshot();
        Self {
            counts: Counts {
                evaluations: now.evaluations,
                values_clamped: now.values_clamped,
                batches: now.batches_total(),
                simulations: now.simulations_total(),
                lookups: now.cache_lookups_total(),
                cache_hits: now.cache_hits + now.cache_in_flight_hits,
                evictions: now.cache_evictions_total(),
                games_finished: now.games_finished,
                positions: now.plies(),
                write_errors: now.write_errors_total(),
            },
            model: ModelFigures {
                served: now.models_loaded,
                refused: now.models_refused,
                withdrawn: now.models_withdrawn,
                version: (now.models_loaded > 0).then_some(now.model_version),
                loading_seconds: now.loading_ns as f64 / 1e9,
            },
            games: GamesStatus {
                started: now.games_started,
                finished: now.games_finished,
                active: now.games_in_play(),
                parked: count(now.games_parked),
                target: count(now.games_target),
                rejected: now.games_rejected + now.games_unfit,
                given_up: now.games_abandoned,
                resumed: now.games_resumed,
                mean_plies: (now.games_finished > 0).then(|| now.game_plies.mean()),
                draw_share: (now.games_finished > 0).then(|| now.games_drawn as f64 / now.games_finished as f64),
                adjudicated: now.games_adjudicated,
                resigned: now.games_resigned,
                resign_check: resign_check(now.played_on_wrong, now.games_played_on_total()),
            },
            batch: sources.batch.as_ref().map(|batch| batch.look(&now)),
            cache: cache(&now),
            writer: WriterStatus {
                written: now.games_written,
                queued: now.games_finished.saturating_sub(now.games_settled()),
                credits: Some(count(now.writer_credits)),
                bytes_written: now.bytes_written,
                errors: now.write_errors_total(),
                disk_free_bytes: known(now.disk_free),
                disk_floor_bytes: known(now.disk_floor),
                journal_bytes: Some(count(now.journal_bytes)),
            },
            batch_sizes: now.batch_size.buckets().map(Bin::from).collect(),
            bottleneck: Some(sources.monitor.bottleneck().into()),
            threads: sources.monitor.window().iter().flat_map(|window| window.times.shares()).map(Into::into).collect(),
            children: sources.health.status().children.iter().map(ChildStatus::from).collect(),
            totals: totals(&now),
        }
    }
}

fn resign_check(wrong: u64, games: u64) -> Option<ResignCheck> {
    let [low, high] = share_interval(wrong, games);
    (games > 0).then(|| ResignCheck { games, wrong_share: wrong as f64 / games as f64, low, high })
}

fn cache(now: &Snapshot) -> CacheStatus {
    let (entries, bytes) = (count(now.cache_entries), count(now.cache_bytes));
    let (most_bytes, most_entries) = (count(now.cache_capacity), known(now.cache_capacity_entries));
    let full = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let nearer = most_entries.is_some_and(|most| full(entries, most) >= full(bytes, most_bytes));
    let limit = if nearer { Limit::Entries } else { Limit::Bytes };
    CacheStatus {
        entries,
        bytes,
        capacity_bytes: most_bytes,
        capacity_entries: most_entries,
        limit: (most_bytes > 0).then_some(limit),
    }
}

/// A gauge that counts something.
fn count(gauge: i64) -> u64 {
    gauge.try_into().unwrap_or(0)
}

/// A gauge that is 0 until something is known.
fn known(gauge: i64) -> Option<u64> {
    u64::try_from(gauge).ok().filter(|&value| value > 0)
}

impl From<Bucket> for Bin {
    fn from(bucket: Bucket) -> Self {
        Self { le: bucket.le.map(|le| le as u64), count: bucket.count }
    }
}

impl From<bottleneck::Bottleneck> for Bottleneck {
    fn from(judgement: bottleneck::Bottleneck) -> Self {
        let bottleneck::Bottleneck { kind, statement, advice } = judgement;
        Self { kind: kind.name().to_owned(), statement, advice: Some(advice).filter(|advice| !advice.is_empty()) }
    }
}

impl From<RoleShares> for ThreadStatus {
    fn from(RoleShares { role, count, shares }: RoleShares) -> Self {
        let shares = shares.into_iter().map(|(activity, share)| (activity.to_owned(), share)).collect();
        Self { role: role.name().to_owned(), count: count.into(), shares }
    }
}

/// Every counter by its name.
fn totals(now: &Snapshot) -> BTreeMap<String, u64> {
    let Ok(Value::Object(counters)) = serde_json::to_value(now) else { return BTreeMap::new() };
    counters.into_iter().filter_map(|(name, value)| Some((name, value.as_u64()?))).collect()
}

impl From<&health::ChildStatus> for ChildStatus {
    fn from(child: &health::ChildStatus) -> Self {
        let health::Restarts { panic, error, stopped, hang } = child.restarts;
        Self {
            name: child.name.to_string(),
            state: word(&child.state),
            running: child.running,
            restart: word(&child.restart),
            restarts: Restarts { panic, error, stopped, hang },
            restarts_allowed: child.restarts_allowed,
            window_seconds: child.window_seconds,
            last_exit: child.last_exit.clone(),
            last_exit_seconds_ago: child.last_exit_seconds_ago,
            busy_seconds: child.busy_seconds,
            hang_seconds: child.hang_seconds,
            cost: child.cost.to_owned(),
            escalation: child.escalation.to_owned(),
        }
    }
}

/// The word that a variant is written as.
fn word(variant: &impl serde::Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
