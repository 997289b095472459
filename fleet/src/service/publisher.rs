//! A publisher: the trainer's newest model to the broker, and the pointer to it on its way through the fleet.

mod present;
mod source;
mod state;
mod steer;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use self::{present::Attendance, source::Source, steer::Steer};
pub use self::{
    present::Present,
    source::Check,
    state::{PointerState, PublisherState, Rollout},
    steer::SteerError,
};
use super::troubles::{Troubles, words};
use crate::{
    disk::Disk,
    link::{PublisherLink, ToPublisher},
    models::{CHUNK_BYTES, Decision, Hash, MOST_MODEL_BYTES, ModelFile, Pointer, Stages, Upload},
    name::Name,
};

/// How often the trainer's file is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often the pointer is asked for: the broker may have lost it, or another may have put one.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How long an answer about the pointer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// When something is tried again that was refused.
const AGAIN: Duration = Duration::from_secs(2);

/// When a model that could not be read is tried again.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Which models are published, and how they spread.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// The run.
    pub run: Name,
    /// The trainer's file that names its newest model: `latest.yaml`.
    pub latest: PathBuf,
    /// Percentages of the workers that a new model goes through.
    pub stages: Stages,
    /// Fingerprint of the settings that this run's games are played with; empty where it is not known.
    pub settings_hash: String,
    /// What is looked at before a model is published.
    pub check: Check,
}

/// The pointer, as far as is known.
#[derive(Clone, Debug, Default)]
enum Known {
    /// It was not asked for, or something may have changed it.
    #[default]
    Nothing,
    /// It is as it was at this revision; 0: there is none.
    At(u64, Option<Pointer>),
}

/// See the module.
#[derive(Debug)]
pub struct PublisherService<L, D: Disk> {
    config: PublisherConfig,
    link: L,
    disk: D,
    source: Source<D>,
    now: Duration,
    look_at: Duration,
    known: Known,
    /// When the pointer is to be asked for, and since when an answer is waited for.
    ask_at: Duration,
    asked: Option<Duration>,
    /// The last pointer that was there, should the broker lose it.
    last: Option<Pointer>,
    /// What the trainer's file names, and whether it is still to be published.
    wanted: Option<ModelFile>,
    is_new: bool,
    /// Files of models that this process saw.
    files: BTreeMap<Hash, (ModelFile, PathBuf)>,
    /// Models of which all chunks are at the broker.
    there: Vec<Hash>,
    upload: Option<(Upload, Vec<u8>)>,
    upload_at: Duration,
    /// The pointer that is being put, and since when.
    putting: Option<(Pointer, Duration)>,
    put_at: Duration,
    present: Attendance,
    decision: Decision,
    hold: bool,
    steer: Option<Steer>,
    /// Whether our settings have stood in the pointer: should others follow, they are another publisher's.
    settled: bool,
    troubles: Troubles,
}

impl<L: PublisherLink, D: Disk + Clone> PublisherService<L, D> {
    /// A publisher.
    #[must_use]
    pub fn new(config: PublisherConfig, link: L, disk: D) -> Self {
        let source = Source::new(disk.clone(), config.latest.clone(), config.check);
        Self {
            config,
            link,
            disk,
            source,
            now: Duration::ZERO,
            look_at: Duration::ZERO,
            known: Known::Nothing,
            ask_at: Duration::ZERO,
            asked: None,
            last: None,
            wanted: None,
            is_new: false,
            files: BTreeMap::new(),
            there: Vec::new(),
            upload: None,
            upload_at: Duration::ZERO,
            putting: None,
            put_at: Duration::ZERO,
            present: Attendance::default(),
            decision: Decision::Rest,
            hold: false,
            steer: None,
            settled: false,
            troubles: Troubles::default(),
        }
    }

    /// The link, for whoever made it.
    #[must_use]
    pub const fn link(&self) -> &L {
        &self.link
    }

    /// The pointer that the next one follows: as it is, or was before the broker lost it.
    fn base(&self) -> Option<&Pointer> {
        match &self.known {
            Known::At(_, Some(pointer)) => Some(pointer),
            _ => self.last.as_ref(),
        }
    }

    /// The pointer, as it was known last.
    fn pointer(&self) -> Option<&Pointer> {
        match &self.known {
            Known::At(_, pointer) => pointer.as_ref(),
            Known::Nothing => self.last.as_ref(),
        }
    }

    /// Does what is due. In how long the next step should come.
    pub fn step(&mut self, now: Duration) -> Duration {
        self.now = now;
        while let Some(event) = self.link.hear() {
            self.heard(event);
        }
        self.present.forget(now);
        if now >= self.look_at {
            self.look_at = now + LOOK_EVERY;
            self.look();
        }
        if self.link.state().up {
            self.ask();
            self.send();
            self.put();
        }
        LOOK_EVERY
    }

    fn heard(&mut self, event: ToPublisher) {
        let now = self.now;
        match event {
            ToPublisher::Stored { model, number } => {
                if let Some((upload, _)) = self.upload.as_mut().filter(|(upload, _)| upload.model().sha256 == model) {
                    upload.stored(number);
                    self.troubles.clear("upload");
                }
            }
            ToPublisher::Refused { model, number, refusal } => {
                if let Some((upload, _)) = self.upload.as_mut().filter(|(upload, _)| upload.model().sha256 == model) {
                    upload.failed(number, now);
                    let generation = upload.model().generation;
                    self.troubles.set("upload", format!("model {generation} cannot be sent: {refusal}"));
                }
            }
            ToPublisher::Pointer(found) => self.pointed(found),
            ToPublisher::Put(revision) => {
                let Some((pointer, _)) = self.putting.take() else { return };
                self.troubles.clear("pointer");
                self.adopt(revision, Some(pointer));
            }
            // It was this one, and the answer was lost; or another publisher.
            ToPublisher::Changed => {
                self.putting = None;
                self.doubt(now);
            }
            ToPublisher::NotPut(refusal) => {
                self.putting = None;
                self.put_at = now + AGAIN;
                self.troubles.set("pointer", format!("the pointer to the model cannot be put: {refusal}"));
                // It may have been put all the same.
                self.doubt(now + AGAIN);
            }
            ToPublisher::Said { worker, bytes } => self.present.heard(worker, &bytes, now),
        }
    }

    /// The pointer may be another: it is asked for, not before this time.
    fn doubt(&mut self, from: Duration) {
        self.known = Known::Nothing;
        self.asked = None;
        self.ask_at = from;
    }

    fn pointed(&mut self, found: Option<(u64, Vec<u8>)>) {
        if self.asked.take().is_none() {
            // Of a question that was given up: what it says may be old.
            return;
        }
        self.ask_at = self.now + ASK_EVERY;
        // What is being put is about to change it.
        if self.putting.is_some() {
            return;
        }
        let found = match found {
            None => None,
            Some((revision, bytes)) => match Pointer::read(&bytes) {
                Ok(pointer) => Some((revision, pointer)),
                Err(error) => {
                    self.troubles.set("pointer", words(&error));
                    return self.doubt(self.now + AGAIN);
                }
            },
        };
        self.troubles.clear("pointer");
        match found {
            Some((revision, pointer)) => self.adopt(revision, Some(pointer)),
            None => {
                if self.last.is_some() {
                    // The broker has lost it, and so perhaps the models.
                    self.there.clear();
                }
                self.known = Known::At(0, None);
            }
        }
    }

    /// This is the pointer.
    fn adopt(&mut self, revision: u64, pointer: Option<Pointer>) {
        if let (Some(pointer), Some(wanted)) = (&pointer, &self.wanted) {
            let is_it = (pointer.model.generation, pointer.model.sha256) == (wanted.generation, wanted.sha256);
            if is_it {
                self.is_new = false;
            }
            if is_it || self.is_new {
                self.troubles.clear("other");
            } else {
                let (theirs, ours) = (pointer.model.generation, wanted.generation);
                self.troubles.set(
                    "other",
                    format!(
                        "another publisher has put model {theirs} in the place of model {ours}; stop one of the two, or give each run a name of its own"
                    ),
                );
            }
        }
        if let Some(pointer) = &pointer {
            self.settled |= pointer.settings_hash == self.config.settings_hash;
            let changed = self.last.as_ref().is_none_or(|last| last.model != pointer.model);
            if changed {
                pointer.forgettable().for_each(|model| self.link.forget(model));
            }
        }
        self.last = pointer.clone().or(self.last.take());
        self.known = Known::At(revision, pointer);
    }

    /// Looks for a new model of the trainer.
    fn look(&mut self) {
        match self.source.look() {
            Ok(None) => {}
            Ok(Some((model, path))) => {
                self.troubles.clear("model");
                self.files.insert(model.sha256, (model, path));
                self.tidy(model);
                let is_published = self.pointer().is_some_and(|pointer| {
                    (pointer.model.generation, pointer.model.sha256) == (model.generation, model.sha256)
                });
                self.wanted = Some(model);
                self.is_new = !is_published;
            }
            Err(reason) => {
                self.look_at = self.now + READ_AGAIN;
                self.troubles.set("model", reason);
            }
        }
    }

    /// Remembers nothing of models that are named no more.
    fn tidy(&mut self, wanted: ModelFile) {
        let base = self.base();
        let named = [base.map(|pointer| pointer.model), base.and_then(|pointer| pointer.previous), Some(wanted)];
        let is_named = |hash: &Hash| named.iter().flatten().any(|model| model.sha256 == *hash);
        self.files.retain(|hash, _| is_named(hash));
        self.there.retain(is_named);
    }

    /// Asks for the pointer.
    fn ask(&mut self) {
        let overdue = self.asked.is_some_and(|asked| self.now.saturating_sub(asked) >= PATIENCE);
        if self.now >= self.ask_at && self.asked.is_none() || overdue {
            self.asked = Some(self.now);
            self.link.ask_pointer();
        }
    }

    /// Sends models that lack: the trainer's newest, and what the pointer names as far as its file is known.
    fn send(&mut self) {
        if matches!(self.known, Known::Nothing) {
            return;
        }
        let pointer = self.base();
        let named = [pointer.and_then(|pointer| pointer.previous), pointer.map(|pointer| pointer.model), self.wanted];
        let lacks = |model: &ModelFile| !self.there.contains(&model.sha256) && self.files.contains_key(&model.sha256);
        // The newest first, as it is waited for.
        let lacking = named.into_iter().flatten().rev().find(lacks);
        let of = self.upload.as_ref().map(|(upload, _)| upload.model().sha256);
        if of != lacking.map(|model| model.sha256) {
            // What was begun and is wanted no more is only in the way.
            let abandoned = self.upload.take().map(|(upload, _)| upload.model().sha256);
            let is_named = |hash: Hash| named.into_iter().flatten().any(|model| model.sha256 == hash);
            abandoned.into_iter().filter(|&hash| !is_named(hash)).for_each(|hash| self.link.forget(hash));
            if let Some(model) = lacking.filter(|_| self.now >= self.upload_at) {
                self.begin(model.sha256);
            }
        }
        let Some((upload, bytes)) = &mut self.upload else { return };
        while let Some((number, range)) = upload.next(self.now) {
            let range = range.start as usize..range.end as usize;
            debug_assert!(range.len() as u64 <= CHUNK_BYTES);
            self.link.put_chunk(upload.model().sha256, number, bytes[range].to_vec());
        }
        if upload.is_done() {
            self.there.push(upload.model().sha256);
            self.upload = None;
        }
    }

    /// Reads a model to be sent.
    fn begin(&mut self, hash: Hash) {
        let Some((model, path)) = self.files.get(&hash).cloned() else { return };
        let read = self.disk.read(&path, MOST_MODEL_BYTES).map_err(|error| error.to_string());
        match read.and_then(|bytes| {
            if Hash::of(&bytes) == hash { Ok(bytes) } else { Err("it has changed since it was named".to_owned()) }
        }) {
            Ok(bytes) => {
                self.troubles.clear("upload");
                self.upload = Some((Upload::new(model), bytes));
            }
            Err(reason) => {
                self.upload_at = self.now + READ_AGAIN;
                self.troubles.set("upload", format!("read model {}: {reason}", path.display()));
                // Only the newest is read again: it is looked for once more. Another that is gone is at the broker, or lost.
                self.files.remove(&hash);
                if self.wanted.is_some_and(|wanted| wanted.sha256 == hash) {
                    self.source.again();
                }
            }
        }
    }

    /// Puts the pointer that is to be there, if it is another.
    fn put(&mut self) {
        if let Some((_, since)) = &self.putting {
            if self.now.saturating_sub(*since) < PATIENCE {
                return;
            }
            self.putting = None;
            self.doubt(self.now);
        }
        let Known::At(revision, current) = &self.known else { return };
        let (revision, current) = (*revision, current.clone());
        if self.now < self.put_at {
            return;
        }
        if let Some(next) = self.next_pointer(current.as_ref()) {
            // What was asked before tells of what was before.
            (self.asked, self.ask_at) = (None, self.now + ASK_EVERY);
            self.link.put_pointer(revision, next.to_json().into_bytes());
            self.putting = Some((next, self.now));
        }
    }

    /// How it is, as of the last step.
    #[must_use]
    pub fn state(&self) -> PublisherState {
        PublisherState {
            run: self.config.run.clone(),
            link: self.link.state(),
            pointer: self.pointer().map(PointerState::of),
            newest: self.wanted.map(|wanted| wanted.generation),
            uploading: self.upload.as_ref().map(|(upload, _)| upload.model().generation),
            rollout: Rollout::of(self.pointer(), &self.decision, self.hold),
            waits_for: self.pointer().map(|pointer| self.present.unproven(pointer)).unwrap_or_default(),
            held: self.hold,
            workers: self.present.list(self.pointer(), self.now),
            troubles: self.troubles.clone(),
        }
    }
}
