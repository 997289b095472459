//! What a hub tells of its fleet, put together from what its parts tell, once a second.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use selfplay_fleet::{
    link::LinkState,
    models::Standing,
    name::Name,
    presence::{self, OutboxState},
    service::{CollectorState, Present, PublisherState, Rollout},
};
use serde::{Deserialize, Serialize};

use crate::status::{ChildStatus, Verdict};

/// Over which time speeds are measured.
const WINDOW: Duration = Duration::from_secs(60);

/// All that is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FleetStatus {
    /// The version of this program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// How long it has run.
    pub uptime_seconds: f64,
    /// The run.
    pub run: String,
    /// Whether nothing is wrong with the hub itself.
    pub health: Verdict,
    /// Whether games are collected and models published.
    pub ready: Verdict,
    /// What a person should look at: workers that are gone or blocked, a roll-out that was taken back.
    pub warnings: Vec<String>,
    /// Games that came into the trainer's folder, ever; of every worker.
    pub games: u64,
    /// Games that were refused, ever.
    pub games_refused: u64,
    /// Games that came per second, over the last minute.
    pub games_per_second: f64,
    /// The part that collects games; `null` where this hub has none.
    pub collector: Option<CollectorStatus>,
    /// The part that publishes models; `null` where this hub has none.
    pub publisher: Option<PublisherStatus>,
    /// All workers that have a key, are there, or ever sent a game, by name.
    pub workers: Vec<WorkerStatus>,
    /// The supervision tree.
    pub children: Vec<ChildStatus>,
    /// Whether who asks may steer.
    #[serde(default)]
    pub control: bool,
}

/// How games are collected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CollectorStatus {
    /// The trainer's folder.
    pub ready: String,
    /// Whether it collects; if not, another does, or the folder cannot be used.
    pub collects: bool,
    /// Whether another process collects there, whose place it takes when that ends.
    pub stands_by: bool,
    /// How the connection is.
    pub link: LinkState,
    /// Frames that wait at the broker; `null` while it has not said.
    pub frames_waiting: Option<u64>,
    /// Frames that the broker has delivered and that are not answered for.
    pub frames_in_hand: Option<u64>,
    /// How long ago the broker said so.
    pub lag_seconds: Option<u64>,
    /// Frames collected since the process began.
    pub frames: u64,
    /// Frames that had come before.
    pub duplicates: u64,
    /// Messages that were no frames of this fleet.
    pub messages_refused: u64,
    /// What goes wrong, in words.
    pub troubles: Vec<String>,
}

/// How models are published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PublisherStatus {
    /// How the connection is.
    pub link: LinkState,
    /// Version of the trainer's newest model.
    pub newest: Option<i64>,
    /// Version of the model that is being sent to the broker.
    pub uploading: Option<i64>,
    /// Version of the model that workers are told of; `null` while none is known.
    pub model: Option<i64>,
    /// How many of a hundred workers are to serve it.
    pub percent: Option<f64>,
    /// Version of the one before, which all others serve.
    pub previous: Option<i64>,
    /// `none`, `everywhere`, `underway`, `ready`, `withdrawn` or `held`.
    pub stage: String,
    /// In words.
    pub rollout: String,
    /// How long it has been at this stage.
    pub stage_seconds: f64,
    /// Workers that are to prove it and have not.
    pub waits_for: Vec<String>,
    /// Whether a person holds it.
    pub held: bool,
    /// Fingerprint of the settings that games are to be played with; empty where none was given.
    pub settings_hash: String,
    /// What goes wrong, in words.
    pub troubles: Vec<String>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    /// Its name.
    pub name: String,
    /// Whether it is there; `null` where this hub does not hear workers, or has not for half a minute.
    pub present: Option<bool>,
    /// Whether the fleet's folder has a key for it.
    pub has_key: bool,
    /// How long ago it said something.
    pub last_word_seconds: Option<f64>,
    /// Its version of this program.
    pub version: Option<String>,
    /// Version of the model that it plays with.
    pub model: Option<i64>,
    /// Version of the newest model that it has looked into.
    pub newest: Option<i64>,
    /// What it found of that: `trying`, `proven`, or why it is bad.
    pub standing: Option<String>,
    /// Whether it is among those who serve the newest model first.
    pub canary: bool,
    /// What it does, in a word.
    pub playing: String,
    /// Its games in the trainer's folder, ever.
    pub games: u64,
    /// Its games that were refused, ever.
    pub games_refused: u64,
    /// Why the last one was.
    pub refusal: Option<String>,
    /// Its games that came per second, over the last minute.
    pub games_per_second: f64,
    /// How fast it is, as it says.
    pub simulations_per_second: Option<f64>,
    /// What keeps it from being faster, as it says.
    pub bottleneck: Option<String>,
    /// What waits to be sent.
    pub outbox: Option<OutboxState>,
    /// Why it starts no new games.
    pub blocked: Option<String>,
    /// What goes wrong, in words.
    pub trouble: Option<String>,
}

/// What the parts told, and what else is known.
pub(super) struct Seen<'a> {
    /// Since the process began.
    pub now: Duration,
    /// The run.
    pub run: &'a Name,
    /// Workers that have a key.
    pub keys: &'a BTreeSet<Name>,
    /// Whether there is a collector, and what it told.
    pub collector: Option<Option<&'a CollectorState>>,
    /// Whether there is a publisher, and what it told.
    pub publisher: Option<Option<&'a PublisherState>>,
    /// The supervision tree.
    pub children: Vec<ChildStatus>,
}

/// Puts the status together, look by look: speeds and ages need what was before.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    /// Games of each worker at earlier looks, the oldest first.
    games: VecDeque<(Duration, BTreeMap<Name, u64>)>,
    /// The stage of the roll-out, of which model and at what percentage, and since when.
    stage: Option<(Stage, Duration)>,
    /// Since when workers are heard.
    listens: Option<Duration>,
}

/// Where a roll-out is: its model, its percentage and its stage.
type Stage = (Option<i64>, Option<u64>, &'static str);

impl Lookout {
    /// The status now.
    pub(super) fn look(&mut self, seen: Seen<'_>) -> FleetStatus {
        let Seen { now, run, keys, collector, publisher, children } = seen;
        let (collects, publishes) = (collector.is_some(), publisher.is_some());
        let (collected, published) = (collector.flatten(), publisher.flatten());
        let rates = self.rates(now, collected);
        self.listens = published.filter(|state| state.link.up).and(self.listens.or(Some(now)));
        let all_spoke = self.listens.is_some_and(|since| now.saturating_sub(since) >= presence::FORGOTTEN);
        let workers = workers(keys, collected, published, all_spoke, &rates);
        let collector_status = collected.map(CollectorStatus::of);
        let publisher_status = published.map(|state| {
            let mut status = PublisherStatus::of(state);
            status.stage_seconds = self.since(&status, now).as_secs_f64();
            status
        });
        let (health, ready) = verdicts(
            collects.then_some(collector_status.as_ref()),
            publishes.then_some(publisher_status.as_ref()),
            &children,
        );
        let sum = |count: fn(&selfplay_fleet::service::Collected) -> u64| {
            collected.map_or(0, |state| state.workers.values().map(count).sum())
        };
        FleetStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: now.as_secs_f64(),
            run: run.to_string(),
            warnings: warnings(&workers, published),
            games: sum(|of| of.games),
            games_refused: sum(|of| of.refused),
            games_per_second: rates.values().sum(),
            health,
            ready,
            collector: collector_status,
            publisher: publisher_status,
            workers,
            children,
            control: false,
        }
    }

    /// Games per second of each worker.
    fn rates(&mut self, now: Duration, state: Option<&CollectorState>) -> BTreeMap<Name, f64> {
        let Some(state) = state else { return BTreeMap::new() };
        let games: BTreeMap<_, _> = state.workers.iter().map(|(name, of)| (name.clone(), of.games)).collect();
        while self.games.get(1).is_some_and(|(then, _)| now.saturating_sub(*then) >= WINDOW) {
            self.games.pop_front();
        }
        let rates = match self.games.front() {
            Some((then, before)) if now > *then => {
                let seconds = (now - *then).as_secs_f64();
                let rate = |name: &Name, games: u64| {
                    games.saturating_sub(before.get(name).copied().unwrap_or(0)) as f64 / seconds
                };
                games.iter().map(|(name, &games)| (name.clone(), rate(name, games))).collect()
            }
            _ => BTreeMap::new(),
        };
        // A look every few seconds is enough for a minute.
        if self.games.back().is_none_or(|(then, _)| now.saturating_sub(*then) >= WINDOW / 20) {
            self.games.push_back((now, games));
        }
        rates
    }

    /// How long the roll-out has been where it is.
    fn since(&mut self, status: &PublisherStatus, now: Duration) -> Duration {
        let stage = (status.model, status.percent.map(f64::to_bits), stage_name(&status.stage));
        match self.stage {
            Some((then, since)) if then == stage => now.saturating_sub(since),
            _ => {
                self.stage = Some((stage, now));
                Duration::ZERO
            }
        }
    }
}

/// All names that a stage can have.
const STAGES: [&str; 6] = ["none", "everywhere", "underway", "ready", "withdrawn", "held"];

fn stage_name(name: &str) -> &'static str {
    STAGES.into_iter().find(|&stage| stage == name).unwrap_or(STAGES[0])
}

impl CollectorStatus {
    fn of(state: &CollectorState) -> Self {
        Self {
            ready: state.ready.display().to_string(),
            collects: state.collects,
            stands_by: state.stands_by,
            link: state.link.clone(),
            frames_waiting: state.lag.map(|lag| lag.waiting),
            frames_in_hand: state.lag.map(|lag| lag.in_hand),
            lag_seconds: state.lag_seconds,
            frames: state.counts.frames,
            duplicates: state.counts.duplicates,
            messages_refused: state.counts.messages_refused,
            troubles: state.troubles.iter().map(|(_, words)| words.to_owned()).collect(),
        }
    }
}

impl PublisherStatus {
    fn of(state: &PublisherState) -> Self {
        let pointer = state.pointer.as_ref();
        let (model, percent) = (pointer.map(|pointer| pointer.generation), pointer.map(|pointer| pointer.percent));
        let previous = pointer.and_then(|pointer| pointer.previous);
        let name = |model: Option<i64>| model.map_or_else(|| "none".to_owned(), |model| model.to_string());
        let newest = name(model);
        let share = percent.unwrap_or(0.0);
        let (stage, rollout) = match &state.rollout {
            Rollout::None => ("none", "no model is published".to_owned()),
            Rollout::Everywhere => {
                let held = if state.held { "; newer ones are held back" } else { "" };
                ("everywhere", format!("model {newest} for all workers{held}"))
            }
            Rollout::Underway { proven, of } => (
                "underway",
                format!(
                    "model {newest} for {share}% of the workers, proven by {proven} of {of}; the others have model {}",
                    name(previous)
                ),
            ),
            Rollout::Ready => ("ready", format!("model {newest} for {share}% of the workers; it goes further")),
            Rollout::Withdrawn => {
                let why = pointer.and_then(|pointer| pointer.why.as_deref()).unwrap_or("no reason was given");
                ("withdrawn", format!("model {newest} was withdrawn: {why}; all have model {}", name(previous)))
            }
            Rollout::Held => ("held", format!("model {newest} for {share}% of the workers, and held there")),
        };
        Self {
            link: state.link.clone(),
            newest: state.newest,
            uploading: state.uploading,
            model,
            percent,
            previous,
            stage: stage.to_owned(),
            rollout,
            stage_seconds: 0.0,
            waits_for: state.waits_for.iter().map(ToString::to_string).collect(),
            held: state.held,
            settings_hash: pointer.map(|pointer| pointer.settings_hash.clone()).unwrap_or_default(),
            troubles: state.troubles.iter().map(|(_, words)| words.to_owned()).collect(),
        }
    }
}

/// All workers, by name.
fn workers(
    keys: &BTreeSet<Name>,
    collector: Option<&CollectorState>,
    publisher: Option<&PublisherState>,
    all_spoke: bool,
    rates: &BTreeMap<Name, f64>,
) -> Vec<WorkerStatus> {
    let present: BTreeMap<_, _> =
        publisher.iter().flat_map(|state| &state.workers).map(|present| (&present.worker, present)).collect();
    let sent = collector.iter().flat_map(|state| state.workers.keys());
    let names: BTreeSet<&Name> = keys.iter().chain(present.keys().copied()).chain(sent).collect();
    let worker = |name: &Name| {
        let collected = collector.and_then(|state| state.workers.get(name).copied()).unwrap_or_default();
        let there: Option<&Present> = present.get(name).copied();
        let said = there.and_then(|there| there.said.as_ref());
        let judged = said.and_then(|said| said.model.as_ref());
        WorkerStatus {
            name: name.to_string(),
            // One that has not spoken yet may be there.
            present: publisher.and_then(|_| (there.is_some() || all_spoke).then_some(there.is_some())),
            has_key: keys.contains(name),
            last_word_seconds: there.map(|there| there.age_seconds),
            version: said.map(|said| said.version.clone()),
            model: said.and_then(|said| said.serving),
            newest: judged.map(|judged| judged.generation),
            standing: judged.map(|judged| match &judged.standing {
                Standing::Trying => "trying".to_owned(),
                Standing::Proven => "proven".to_owned(),
                Standing::Bad(reason) => format!("bad: {reason}"),
            }),
            canary: there.is_some_and(|there| there.is_canary),
            playing: said.map(|said| said.playing.clone()).unwrap_or_default(),
            games: collected.games,
            games_refused: collected.refused,
            refusal: collector.and_then(|state| state.refusals.get(name).cloned()),
            games_per_second: rates.get(name).copied().unwrap_or(0.0),
            simulations_per_second: said.map(|said| said.simulations_per_second),
            bottleneck: said.map(|said| said.bottleneck.clone()),
            outbox: said.map(|said| said.outbox),
            blocked: said.and_then(|said| Some(said.blocked.as_ref()?.words.clone())),
            trouble: there
                .and_then(|there| there.trouble.clone())
                .or_else(|| said.and_then(|said| said.trouble.clone())),
        }
    };
    names.into_iter().map(worker).collect()
}

/// Whether the hub is well, and whether it does its work.
fn verdicts(
    collector: Option<Option<&CollectorStatus>>,
    publisher: Option<Option<&PublisherStatus>>,
    children: &[ChildStatus],
) -> (Verdict, Verdict) {
    let mut ill = Vec::new();
    let mut idle = Vec::new();
    for child in children.iter().filter(|child| ["hung", "stopped"].contains(&child.state.as_str())) {
        ill.push(format!("the {} is {}", child.name, child.state));
    }
    match collector {
        None => {}
        Some(None) => idle.push("the collector has not begun".to_owned()),
        Some(Some(status)) => {
            ill.extend(status.troubles.iter().cloned());
            if !status.link.up {
                idle.push(format!("the collector is {}", status.link.words));
            } else if status.stands_by {
                let ready = &status.ready;
                idle.push(format!("{ready}: another process collects there; this one takes its place when that ends"));
            } else if !status.collects {
                idle.push("no games are collected".to_owned());
            }
        }
    }
    match publisher {
        None => {}
        Some(None) => idle.push("the publisher has not begun".to_owned()),
        Some(Some(status)) => {
            ill.extend(status.troubles.iter().cloned());
            if !status.link.up {
                idle.push(format!("the publisher is {}", status.link.words));
            } else if status.model.is_none() {
                idle.push("no model is published yet".to_owned());
            }
        }
    }
    (Verdict::of(ill), Verdict::of(idle))
}

/// What a person should look at.
fn warnings(workers: &[WorkerStatus], publisher: Option<&PublisherState>) -> Vec<String> {
    let mut warnings = Vec::new();
    for worker in workers {
        let WorkerStatus { name, .. } = worker;
        if worker.present == Some(false) && worker.has_key && worker.games > 0 {
            warnings.push(format!("worker {name} is not there: it has said nothing for half a minute"));
        }
        if worker.present == Some(true) && !worker.has_key {
            warnings.push(format!("worker {name} is there, and has no key in the fleet's folder"));
        }
        if let Some(blocked) = &worker.blocked {
            warnings.push(format!("worker {name} starts no new games: {blocked}"));
        }
        if let Some(trouble) = &worker.trouble {
            warnings.push(format!("worker {name}: {trouble}"));
        }
    }
    let withdrawn = publisher.filter(|state| state.rollout == Rollout::Withdrawn);
    warnings.extend(withdrawn.map(|state| PublisherStatus::of(state).rollout));
    warnings
}
