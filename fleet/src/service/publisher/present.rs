//! Which workers are there, and what they said last.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    models::{Pointer, Presence, Standing},
    name::Name,
    presence::{self, Said},
};

/// For so long the first to speak may not be all who are there: each speaks every few seconds.
const ALL_HAVE_SPOKEN: Duration = Duration::from_secs(2 * presence::EVERY.as_secs());

/// Most workers that are listened to.
const MOST: usize = 20_000;

/// A worker that is there.
#[derive(Clone, Debug, Serialize)]
pub struct Present {
    /// Who.
    pub worker: Name,
    /// How long ago it spoke.
    pub age_seconds: f64,
    /// Whether it is among those who serve the newest model first.
    pub is_canary: bool,
    /// What it said; nothing where it was not understood.
    pub said: Option<Said>,
    /// Why it was not understood.
    pub trouble: Option<String>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    workers: BTreeMap<Name, (Result<Said, String>, Duration)>,
    /// Since when there is one.
    since: Option<Duration>,
}

impl Attendance {
    pub(super) fn heard(&mut self, worker: Name, bytes: &[u8], now: Duration) {
        if self.workers.len() >= MOST && !self.workers.contains_key(&worker) {
            return;
        }
        self.since.get_or_insert(now);
        self.workers.insert(worker, (Said::read(bytes), now));
    }

    /// Who has not spoken for long is not there.
    pub(super) fn forget(&mut self, now: Duration) {
        self.workers.retain(|_, (_, then)| now.saturating_sub(*then) < presence::FORGOTTEN);
        if self.workers.is_empty() {
            self.since = None;
        }
    }

    /// Whether all who are there have spoken.
    pub(super) fn is_complete(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) >= ALL_HAVE_SPOKEN)
    }

    /// What they found of models. One that has found nothing yet is there too.
    pub(super) fn standings(&self) -> Vec<Presence> {
        let understood = self.workers.iter().filter_map(|(worker, (said, _))| Some((worker, said.as_ref().ok()?)));
        let presence = |(worker, said): (&Name, &Said)| {
            let (model, standing) = match &said.model {
                Some(judged) => (Some(judged.sha256), judged.standing.clone()),
                None => (None, Standing::Trying),
            };
            Presence { worker: worker.clone(), model, standing }
        };
        understood.map(presence).collect()
    }

    /// Workers that are to prove the newest model, and have not yet.
    pub(super) fn unproven(&self, pointer: &Pointer) -> Vec<Name> {
        let mut names = Vec::new();
        if pointer.percent < 100.0 && !pointer.withdrawn {
            for Presence { worker, model, standing } in self.standings() {
                let proven = model == Some(pointer.model.sha256) && standing == Standing::Proven;
                if pointer.is_canary(&worker) && !proven {
                    names.push(worker);
                }
            }
        }
        names
    }

    pub(super) fn list(&self, pointer: Option<&Pointer>, now: Duration) -> Vec<Present> {
        let present = |(worker, (said, then)): (&Name, &(Result<Said, String>, Duration))| Present {
            worker: worker.clone(),
            age_seconds: now.saturating_sub(*then).as_secs_f64(),
            is_canary: pointer.is_some_and(|pointer| pointer.is_canary(worker)),
            said: said.as_ref().ok().cloned(),
            trouble: said.as_ref().err().cloned(),
        };
        self.workers.iter().map(present).collect()
    }
}
