//! Which workers are there, and what they said last.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    time::Duration,
};

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
    /// Why it was not understood, or what is wrong with how it speaks.
    pub trouble: Option<String>,
}

/// What was heard under a name.
#[derive(Debug)]
struct Heard {
    said: Result<Said, String>,
    at: Duration,
    /// The process that spoke before this one did, and when it was heard last.
    before: Option<(String, Duration)>,
    /// Another that speaks between its words, and when that was found.
    rival: Option<(String, Duration)>,
}

impl Heard {
    fn process(&self) -> Option<&str> {
        self.said.as_ref().ok().map(|said| said.process.as_str()).filter(|process| !process.is_empty())
    }

    /// One that takes the place of another, as after a restart, does so once; two that are there both return.
    fn hear(&mut self, said: Result<Said, String>, now: Duration) {
        let last = self.process().map(str::to_owned);
        let then = std::mem::replace(&mut self.at, now);
        self.said = said;
        let (Some(last), Some(process)) = (last, self.process().map(str::to_owned)) else { return };
        if process == last {
            return;
        }
        if self.before.replace((last.clone(), then)).is_some_and(|(before, _)| before == process) {
            self.rival = Some((last, now));
        }
    }

    /// What is wrong with it.
    fn trouble(&self, now: Duration) -> Option<String> {
        let process = match &self.said {
            Err(reason) => return Some(reason.clone()),
            Ok(said) => &said.process,
        };
        let (rival, _) = self.rival.as_ref().filter(|(_, found)| now.saturating_sub(*found) < presence::FORGOTTEN)?;
        Some(format!(
            "two daemons speak under this name, {rival} and {process}: each needs a worker of its own; see `selfplayd fleet add-worker`"
        ))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Attendance {
    workers: BTreeMap<Name, Heard>,
    /// Since when there is one.
    since: Option<Duration>,
}

impl Attendance {
    pub(super) fn heard(&mut self, worker: Name, bytes: &[u8], now: Duration) {
        if self.workers.len() >= MOST && !self.workers.contains_key(&worker) {
            return;
        }
        self.since.get_or_insert(now);
        let said = Said::read(bytes);
        match self.workers.entry(worker) {
            Entry::Occupied(mut known) => known.get_mut().hear(said, now),
            Entry::Vacant(free) => drop(free.insert(Heard { said, at: now, before: None, rival: None })),
        }
    }

    /// Who has not spoken for long is not there.
    pub(super) fn forget(&mut self, now: Duration) {
        self.workers.retain(|_, heard| now.saturating_sub(heard.at) < presence::FORGOTTEN);
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
        let understood = self.workers.iter().filter_map(|(worker, heard)| Some((worker, heard.said.as_ref().ok()?)));
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
        let present = |(worker, heard): (&Name, &Heard)| Present {
            worker: worker.clone(),
            age_seconds: now.saturating_sub(heard.at).as_secs_f64(),
            is_canary: pointer.is_some_and(|pointer| pointer.is_canary(worker)),
            said: heard.said.as_ref().ok().cloned(),
            trouble: heard.trouble(now),
        };
        self.workers.iter().map(present).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is wrong after these processes have spoken under one name, one a second.
    fn trouble(processes: &[&str]) -> Option<String> {
        let mut attendance = Attendance::default();
        let mut now = Duration::ZERO;
        for process in processes {
            now += SECOND;
            let said = Said { process: (*process).to_owned(), ..Said::default() };
            attendance.heard("w1".parse().unwrap(), said.to_json().as_bytes(), now);
        }
        attendance.list(None, now).remove(0).trouble
    }

    #[test]
    fn two_that_speak_under_one_name_are_told_and_one_that_began_anew_is_not() {
        assert_eq!(trouble(&["a", "a", "b", "b", "c"]), None);
        // Of an older version.
        assert_eq!(trouble(&["", "a", "", "a"]), None);
        let told = trouble(&["a", "b", "a"]).unwrap();
        assert!(told.contains("two daemons speak under this name, b and a"), "{told}");
        // One of them has ended.
        assert_eq!(trouble(&[&["a", "b", "a"][..], &["a"; 30]].concat()), None);
    }
}
