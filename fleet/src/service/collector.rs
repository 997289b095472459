//! A collector: frames from the broker into the trainer's folder, with the times at which what is said.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Serialize;

use super::troubles::{Troubles, words};
use crate::{
    collector::{Collector, CollectorError, Counts, Rules},
    disk::Disk,
    hub::Hub,
    link::{CollectorLink, Lag, LinkState, ToCollector},
    name::Name,
};

/// How often messages are wanted that were wanted before, and how the stream is is asked.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// When it is tried again to collect after the disk failed. The messages come again then.
const DISK_AGAIN: Duration = Duration::from_secs(5);

/// How often it is looked whether another still collects there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is told where another collects into another folder.
const RIVAL: &str = "another hub of this fleet collects too, into another folder: each gets a part of the games; end the one that is not \
                     beside the trainer";

/// Groups that are collected in one step.
const MOST_GROUPS: usize = 4;

/// What is collected, and to where.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// The trainer's folder of finished games, which is there.
    pub ready: PathBuf,
    /// What is taken.
    pub rules: Rules,
}

/// Games of one worker, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Games that came into the trainer's folder.
    pub games: u64,
    /// Games that were refused.
    pub refused: u64,
    /// Frames that it had receipts for and the ledger did not know of.
    pub forgotten: u64,
}

/// How a collector is.
#[derive(Clone, Debug, Serialize)]
pub struct CollectorState {
    /// The run.
    pub run: Name,
    /// The trainer's folder.
    pub ready: PathBuf,
    /// Whether it collects; if not, another does, or the folder cannot be used.
    pub collects: bool,
    /// Whether another process collects there, whose place it takes when that ends.
    pub stands_by: bool,
    /// How the connection is.
    pub link: LinkState,
    /// What was done since the process began.
    pub counts: Counts,
    /// Messages that the broker keeps for it, when it was asked last.
    pub lag: Option<Lag>,
    /// How long ago that was.
    pub lag_seconds: Option<u64>,
    /// What was collected of each worker, ever.
    pub workers: BTreeMap<Name, Collected>,
    /// The last reason for which a game was refused, by worker.
    pub refusals: BTreeMap<Name, String>,
    /// What goes wrong.
    pub troubles: Troubles,
}

/// See the module.
#[derive(Debug)]
pub struct CollectorService<L, D: Disk> {
    config: CollectorConfig,
    link: L,
    disk: D,
    hub: Option<Hub<D>>,
    stands_by: bool,
    now: Duration,
    /// When the folder is to be opened, if it is not, or collecting may go on.
    not_before: Duration,
    ask_at: Duration,
    lag: Option<(Lag, Duration)>,
    troubles: Troubles,
}

impl<L: CollectorLink, D: Disk + Clone> CollectorService<L, D> {
    /// A collector. The folder is opened by the first step, or before by [`CollectorService::open`].
    #[must_use]
    pub fn new(config: CollectorConfig, link: L, disk: D) -> Self {
        Self {
            config,
            link,
            disk,
            hub: None,
            stands_by: false,
            now: Duration::ZERO,
            not_before: Duration::ZERO,
            ask_at: Duration::ZERO,
            lag: None,
            troubles: Troubles::default(),
        }
    }

    /// The link, for whoever made it.
    #[must_use]
    pub const fn link(&self) -> &L {
        &self.link
    }

    /// Opens the trainer's folder; whether it is free. To be called at the start, so that what a person must mend is said then.
    ///
    /// # Errors
    /// When it cannot be used, or its ledger is damaged.
    pub fn open(&mut self) -> Result<bool, CollectorError> {
        if self.hub.is_none() {
            let CollectorConfig { ready, rules } = &self.config;
            self.hub = Collector::open(self.disk.clone(), ready, rules.clone())?.map(Hub::new);
        }
        Ok(self.hub.is_some())
    }

    /// Does what is due. In how long the next step should come.
    pub fn step(&mut self, now: Duration) -> Duration {
        self.now = now;
        if self.hub.is_none() && now >= self.not_before {
            match self.open() {
                Ok(free) => {
                    self.stands_by = !free;
                    self.not_before = if free { now } else { now + LOOK_EVERY };
                    self.troubles.clear("folder");
                }
                Err(error) => {
                    self.not_before = now + DISK_AGAIN;
                    self.troubles.set("folder", words(&error));
                }
            }
        }
        let Some(hub) = &mut self.hub else {
            return self.not_before.saturating_sub(now).clamp(Duration::from_millis(1), LOOK_EVERY);
        };
        for _ in 0..MOST_GROUPS {
            while let Some(event) = self.link.hear() {
                match event {
                    ToCollector::Lag(lag) => self.lag = Some((lag, now)),
                    ToCollector::Rival(true) => self.troubles.set("rival", RIVAL),
                    ToCollector::Rival(false) => self.troubles.clear("rival"),
                    ToCollector::Message { .. } | ToCollector::Stream(_) => {}
                }
                hub.heard(event, &mut self.link);
            }
            if !hub.has_messages() {
                break;
            }
            match hub.collect(&mut self.link) {
                Ok(_) => {
                    self.troubles.clear("disk");
                    hub.want(&mut self.link);
                }
                Err(error) => {
                    self.not_before = now + DISK_AGAIN;
                    let wait = "games wait at the broker, and then at the workers, until it can be";
                    self.troubles.set("disk", format!("games cannot be collected: {}; {wait}", words(&error)));
                    break;
                }
            }
        }
        if now >= self.ask_at {
            self.ask_at = now + ASK_EVERY;
            self.link.ask_stream();
            if now >= self.not_before {
                hub.want(&mut self.link);
            }
        }
        self.ask_at.saturating_sub(now).clamp(Duration::from_millis(1), ASK_EVERY)
    }

    /// How it is, as of the last step.
    #[must_use]
    pub fn state(&self) -> CollectorState {
        let mut workers = BTreeMap::<Name, Collected>::new();
        let mut refusals = BTreeMap::new();
        for (_, known) in self.hub.iter().flat_map(|hub| hub.collector().book().origins()) {
            let of = workers.entry(known.worker.clone()).or_default();
            of.games += known.games;
            of.refused += known.refused;
            of.forgotten += known.forgotten;
            if let Some(reason) = &known.reason {
                refusals.insert(known.worker.clone(), reason.clone());
            }
        }
        CollectorState {
            run: self.config.rules.run.clone(),
            ready: self.config.ready.clone(),
            collects: self.hub.is_some(),
            stands_by: self.stands_by,
            link: self.link.state(),
            counts: self.hub.as_ref().map(|hub| hub.collector().counts()).unwrap_or_default(),
            lag: self.lag.map(|(lag, _)| lag),
            lag_seconds: self.lag.map(|(_, then)| self.now.saturating_sub(then).as_secs()),
            workers,
            refusals,
            troubles: self.troubles.clone(),
        }
    }
}
