//! What the pointer is to be next: by the trainer's models, by what workers find of them, and by what people ask for.

use thiserror::Error;

use super::PublisherService;
use crate::{
    disk::Disk,
    link::PublisherLink,
    models::{Decision, Hash, Pointer},
};

/// The roll-out cannot be steered like this.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SteerError {
    /// The broker has not told yet which model is published, or there is none.
    #[error("steer the roll-out: no model is published, as far as is known; try again in a moment")]
    Unknown,
    /// All serve it already.
    #[error("promote model {0}: all workers are to serve it already")]
    Promoted(i64),
    /// It was taken back.
    #[error("steer the roll-out: model {0} was withdrawn; the trainer's next model goes on")]
    Withdrawn(i64),
    /// There is no other.
    #[error("withdraw model {0}: there is none before it that workers could go back to")]
    First(i64),
}

/// What a person has asked for, of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Steer {
    Promote(Hash),
    Withdraw(Hash, String),
}

impl<L: PublisherLink, D: Disk + Clone> PublisherService<L, D> {
    /// While it is held, the pointer stays as it is, but for a model that a worker finds bad.
    pub const fn hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// Has all workers serve the newest model, as soon as the broker can be told.
    ///
    /// # Errors
    /// When there is no such model on its way.
    pub fn promote(&mut self) -> Result<(), SteerError> {
        let pointer = self.steerable()?;
        if pointer.percent >= 100.0 {
            return Err(SteerError::Promoted(pointer.model.generation));
        }
        self.steer = Some(Steer::Promote(pointer.model.sha256));
        Ok(())
    }

    /// Has all workers go back to the model before the newest, as soon as the broker can be told.
    ///
    /// # Errors
    /// When there is none before it.
    pub fn withdraw(&mut self, why: &str) -> Result<(), SteerError> {
        let pointer = self.steerable()?;
        if pointer.previous.is_none() {
            return Err(SteerError::First(pointer.model.generation));
        }
        self.steer = Some(Steer::Withdraw(pointer.model.sha256, why.to_owned()));
        Ok(())
    }

    fn steerable(&self) -> Result<&Pointer, SteerError> {
        let pointer = self.pointer().ok_or(SteerError::Unknown)?;
        if pointer.withdrawn { Err(SteerError::Withdrawn(pointer.model.generation)) } else { Ok(pointer) }
    }

    /// What the pointer is to be, if it is to be another.
    pub(super) fn next_pointer(&mut self, current: Option<&Pointer>) -> Option<Pointer> {
        let is_there = |there: &[Hash], hash: Hash| there.contains(&hash);
        // What the broker has lost is put again as it was.
        let base = self.base().cloned();
        if let Some(wanted) = self.wanted.filter(|wanted| self.is_new && is_there(&self.there, wanted.sha256))
            && (!self.hold || base.is_none())
        {
            return Some(self.config.stages.begin(base.as_ref(), wanted, &self.config.settings_hash));
        }
        let base = base?;
        if current.is_none() {
            let sha256 = base.model.sha256;
            return (is_there(&self.there, sha256) || !self.files.contains_key(&sha256)).then_some(base);
        }
        if let Some(next) = self.steered(&base) {
            return Some(next);
        }
        let settings = &self.config.settings_hash;
        if !self.settled && !settings.is_empty() && base.settings_hash != *settings {
            return Some(Pointer { settings_hash: settings.clone(), ..base });
        }
        self.decision = self.config.stages.decide(&base, &self.present.standings());
        match &self.decision {
            Decision::Withdraw { worker, reason } => Some(base.withdrawn(&format!("worker {worker}: {reason}"))),
            Decision::Raise { percent } if !self.hold && self.present.is_complete(self.now) => {
                Some(Pointer { percent: *percent, ..base })
            }
            _ => None,
        }
    }

    /// What a person has asked for, if it still makes sense.
    fn steered(&mut self, base: &Pointer) -> Option<Pointer> {
        let next = match self.steer.as_ref()? {
            Steer::Promote(hash) if *hash == base.model.sha256 && !base.withdrawn && base.percent < 100.0 => {
                Some(Pointer { percent: 100.0, ..base.clone() })
            }
            Steer::Withdraw(hash, why) if *hash == base.model.sha256 && !base.withdrawn && base.previous.is_some() => {
                Some(base.withdrawn(why))
            }
            _ => None,
        };
        if next.is_none() {
            // It was done, or another model is on its way since.
            self.steer = None;
        }
        next
    }
}
