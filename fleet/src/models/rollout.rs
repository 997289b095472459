//! Whether a new model goes on, further, or back.

use serde::{Deserialize, Serialize};

use super::{Hash, MOST_RECENT, ModelFile, Pointer, SLOTS, share, slot};
use crate::name::Name;

/// What a worker found of the model that it serves, or refused to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It serves, and is on probation.
    Trying,
    /// It has stood the probation.
    Proven,
    /// It was refused before it served, or withdrawn after.
    Bad(
        /// Why.
        String,
    ),
}

/// A worker that is there, and what it said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub worker: Name,
    /// The model that it speaks of, if it has found any.
    pub model: Option<Hash>,
    /// What it found.
    pub standing: Standing,
}

/// Percentages that a new model goes through; the last is 100.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages(Vec<f64>);

impl Default for Stages {
    fn default() -> Self {
        Self(vec![5.0, 25.0, 100.0])
    }
}

/// What is to become of the pointer.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing is on its way.
    Rest,
    /// Too early to say.
    Wait {
        /// Workers that serve the new model and have proven it.
        proven: usize,
        /// Workers that are to.
        of: usize,
    },
    /// More workers are to serve it.
    Raise {
        /// As in [`Pointer`].
        percent: f64,
    },
    /// All go back to the one before.
    Withdraw {
        /// Who found it bad.
        worker: Name,
        /// Why.
        reason: String,
    },
}

impl Stages {
    /// The given percentages, in order, with 100 as the last.
    #[must_use]
    pub fn new(mut percentages: Vec<f64>) -> Self {
        percentages.retain(|percent| (0.0..100.0).contains(percent));
        percentages.sort_by(f64::total_cmp);
        percentages.push(100.0);
        Self(percentages)
    }

    /// The pointer when a new model comes: to the first stage of it, with the one that has proven itself behind. Without one before, all are
    /// to serve it.
    #[must_use]
    pub fn begin(&self, current: Option<&Pointer>, model: ModelFile, settings_hash: &str) -> Pointer {
        // One on its way, or withdrawn, has proven nothing: what stood behind it stays there.
        let previous = current.and_then(|pointer| {
            let proven = pointer.percent >= 100.0 && !pointer.withdrawn;
            if proven { Some(pointer.model) } else { pointer.previous }
        });
        let first = self.0.first().copied().unwrap_or(100.0);
        let percent = if previous.is_some() { first } else { 100.0 };
        let mut recent = vec![model];
        for known in current.iter().flat_map(|pointer| [&pointer.model].into_iter().chain(&pointer.recent)) {
            if recent.iter().all(|model| model.sha256 != known.sha256) {
                recent.push(*known);
            }
        }
        recent.truncate(MOST_RECENT);
        // It may be older than all of them, and is to be forgotten once it is named no more.
        if let Some(previous) = previous.filter(|previous| recent.iter().all(|model| model.sha256 != previous.sha256)) {
            recent.pop();
            recent.push(previous);
        }
        Pointer { previous, recent, ..Pointer::new(model, percent, settings_hash.to_owned()) }
    }

    /// What is to be done now that these workers are there.
    #[must_use]
    pub fn decide(&self, pointer: &Pointer, present: &[Presence]) -> Decision {
        let of_it = |worker: &&Presence| worker.model == Some(pointer.model.sha256);
        if pointer.withdrawn {
            return Decision::Rest;
        }
        for worker in present.iter().filter(of_it) {
            if let (Standing::Bad(reason), Some(_)) = (&worker.standing, &pointer.previous) {
                return Decision::Withdraw { worker: worker.worker.clone(), reason: reason.clone() };
            }
        }
        if pointer.percent >= 100.0 {
            return Decision::Rest;
        }
        let canaries: Vec<_> = present.iter().filter(|worker| pointer.is_canary(&worker.worker)).collect();
        if canaries.is_empty() {
            // Of few workers a small share may be none: up to the first of them.
            let first = present.iter().map(|worker| slot(&worker.worker, pointer.model.sha256)).min();
            return first.map_or(Decision::Wait { proven: 0, of: 0 }, |slot| Decision::Raise { percent: up_to(slot) });
        }
        let proven = canaries.iter().filter(|worker| of_it(worker) && worker.standing == Standing::Proven).count();
        if proven < canaries.len() {
            return Decision::Wait { proven, of: canaries.len() };
        }
        let next = self.0.iter().copied().find(|&percent| percent > pointer.percent).unwrap_or(100.0);
        Decision::Raise { percent: next }
    }
}

/// The smallest percentage that has the slot in its share.
fn up_to(slot: u64) -> f64 {
    let percent = (slot + 1) as f64 * 100.0 / SLOTS as f64;
    debug_assert!(share(percent) == slot + 1);
    percent
}
