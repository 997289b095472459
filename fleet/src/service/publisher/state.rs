//! How a publisher is, for people.

use serde::Serialize;

use super::{super::troubles::Troubles, present::Present};
use crate::{
    link::LinkState,
    models::{Decision, Hash, Pointer},
    name::Name,
};

/// What all workers read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointerState {
    /// The newest model.
    pub generation: i64,
    /// Its contents.
    pub sha256: Hash,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many of a hundred workers are to serve it.
    pub percent: f64,
    /// The one before.
    pub previous: Option<i64>,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
    /// Why.
    pub why: Option<String>,
    /// Fingerprint of the settings.
    pub settings_hash: String,
}

impl PointerState {
    pub(super) fn of(pointer: &Pointer) -> Self {
        Self {
            generation: pointer.model.generation,
            sha256: pointer.model.sha256,
            bytes: pointer.model.size,
            percent: pointer.percent,
            previous: pointer.previous.map(|model| model.generation),
            withdrawn: pointer.withdrawn,
            why: pointer.why.clone(),
            settings_hash: pointer.settings_hash.clone(),
        }
    }
}

/// How far the newest model has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Rollout {
    /// There is no model, as far as is known.
    None,
    /// All serve it.
    Everywhere,
    /// Some serve it; so many of so many of them have proven it.
    Underway {
        /// Workers that have proven it.
        proven: usize,
        /// Workers that are to.
        of: usize,
    },
    /// It goes further in a moment.
    Ready,
    /// It was taken back.
    Withdrawn,
    /// It stays where it is, as a person said.
    Held,
}

impl Rollout {
    pub(super) fn of(pointer: Option<&Pointer>, decision: &Decision, held: bool) -> Self {
        match (pointer, decision) {
            (None, _) => Self::None,
            (Some(pointer), _) if pointer.withdrawn => Self::Withdrawn,
            (Some(pointer), _) if pointer.percent >= 100.0 => Self::Everywhere,
            _ if held => Self::Held,
            (_, Decision::Wait { proven, of }) => Self::Underway { proven: *proven, of: *of },
            _ => Self::Ready,
        }
    }
}

/// How a publisher is.
#[derive(Clone, Debug, Serialize)]
pub struct PublisherState {
    /// The run.
    pub run: Name,
    /// How the connection is.
    pub link: LinkState,
    /// What all workers read, as far as is known.
    pub pointer: Option<PointerState>,
    /// The trainer's newest model.
    pub newest: Option<i64>,
    /// The model that is being sent to the broker.
    pub uploading: Option<i64>,
    /// How far the newest model has come.
    pub rollout: Rollout,
    /// Workers that are to prove it first.
    pub waits_for: Vec<Name>,
    /// Whether a person has asked for the roll-out to stay where it is.
    pub held: bool,
    /// The workers that are there.
    pub workers: Vec<Present>,
    /// What goes wrong.
    pub troubles: Troubles,
}
