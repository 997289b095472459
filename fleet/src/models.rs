//! Which model a worker is to serve, and how a new one spreads: pure decisions over a pointer that all can see.
//!
//! The pointer is a small JSON document. One program writes it, each time only if nothing else has changed it since; every worker reads it and
//! decides for itself: a new model goes first to a share of the workers, chosen by a hash of worker and model, so that it is others each
//! time. What they report of it (their guard, warm-up and probation are those of a daemon alone) decides whether it goes on, further, or
//! back.

mod chunks;
mod rollout;
#[cfg(test)]
mod tests;
mod transfer;

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::{
    chunks::WINDOW,
    rollout::{Decision, Presence, Stages, Standing},
    transfer::{Download, DownloadError, Upload, cached, read_chunk, tidy},
};
use crate::name::Name;

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Longest pointer read.
const MOST_BYTES: usize = 4096;

/// Bytes of a chunk, but for a model's last.
pub const CHUNK_BYTES: u64 = 512 << 10;

/// Largest model.
pub const MOST_MODEL_BYTES: u64 = 4 << 30;

/// Models that the broker keeps, with what a pointer names.
pub const KEPT: usize = 5;

/// Models that a pointer remembers: those that may be forgotten are, again and again, until they drop out.
const MOST_RECENT: usize = KEPT + 3;

/// Letters of the reason for which a model is withdrawn.
const MOST_REASON: usize = 300;

/// Workers are told apart by as many slots.
const SLOTS: u64 = 10_000;

/// SHA-256 of a file; 64 hexadecimal digits where people read it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a file's bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let wrong = "a SHA-256 has 64 hexadecimal digits, in small letters";
        let digit = |letter: u8| (letter as char).to_digit(16).filter(|_| !letter.is_ascii_uppercase());
        let letters = text.as_bytes();
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(letters.chunks_exact(2)) {
            let (high, low) = (digit(pair[0]).ok_or(wrong)?, digit(pair[1]).ok_or(wrong)?);
            *byte = (high * 16 + low) as u8;
        }
        if letters.len() == 64 { Ok(Self(hash)) } else { Err(wrong) }
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.to_string()
    }
}

/// A model's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelFile {
    /// Its version in the run.
    pub generation: i64,
    /// Its contents.
    pub sha256: Hash,
    /// Its length in bytes.
    pub size: u64,
}

impl ModelFile {
    /// Number of chunks that it is sent in.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK_BYTES)
    }
}

/// What every worker reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// Version of the format.
    pub(crate) v: u32,
    /// The newest model.
    #[serde(flatten)]
    pub model: ModelFile,
    /// How many of a hundred workers are to serve it.
    pub percent: f64,
    /// The one before, which all others serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ModelFile>,
    /// Whether it was found to be bad: all serve the one before.
    #[serde(default)]
    pub withdrawn: bool,
    /// Who found it bad, and why; or who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The last models that pointers named, the newest first: the broker still has some of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<ModelFile>,
    /// Fingerprint of the settings that games of this run are played with.
    pub settings_hash: String,
}

/// Why a pointer cannot be used.
#[derive(Debug, Error)]
pub enum PointerError {
    /// It is longer than any.
    #[error("read the pointer to the model: it has {0} bytes, and may have {MOST_BYTES}")]
    Long(usize),
    /// It is something else.
    #[error("read the pointer to the model: {0}")]
    Json(String),
    /// Another version of this program wrote it.
    #[error(
        "read the pointer to the model: it has format {0}, this program reads {VERSION}; run the same version of selfplayd on the worker and beside the trainer"
    )]
    Version(u32),
    /// A number makes no sense.
    #[error("read the pointer to the model: {what} is {value}, which makes no sense")]
    Number {
        /// Which.
        what: &'static str,
        /// The number.
        value: String,
    },
}

impl Pointer {
    /// The pointer to a model that `percent` of a hundred workers are to serve; nothing said of those before.
    #[must_use]
    pub const fn new(model: ModelFile, percent: f64, settings_hash: String) -> Self {
        Self {
            v: VERSION,
            model,
            percent,
            previous: None,
            withdrawn: false,
            why: None,
            recent: Vec::new(),
            settings_hash,
        }
    }

    /// All serve the one before, for this reason.
    #[must_use]
    pub fn withdrawn(&self, why: &str) -> Self {
        let why = why.chars().take(MOST_REASON).collect();
        Self { withdrawn: true, why: Some(why), ..self.clone() }
    }

    /// Models that the broker may forget: none of the last [`KEPT`], and not the one before.
    pub fn forgettable(&self) -> impl Iterator<Item = Hash> {
        let kept = self.recent.iter().take(KEPT).chain(&self.previous).chain([&self.model]);
        let kept: Vec<_> = kept.map(|model| model.sha256).collect();
        self.recent.iter().skip(KEPT).map(|model| model.sha256).filter(move |hash| !kept.contains(hash))
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// When it is none, or makes no sense.
    pub fn read(bytes: &[u8]) -> Result<Self, PointerError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        if bytes.len() > MOST_BYTES {
            return Err(PointerError::Long(bytes.len()));
        }
        let json = |error: serde_json::Error| PointerError::Json(error.to_string());
        let Version { v } = serde_json::from_slice(bytes).map_err(json)?;
        if v != VERSION {
            return Err(PointerError::Version(v));
        }
        let pointer: Self = serde_json::from_slice(bytes).map_err(json)?;
        if !(0.0..=100.0).contains(&pointer.percent) {
            return Err(PointerError::Number { what: "percent", value: pointer.percent.to_string() });
        }
        let sizes = [Some(pointer.model), pointer.previous];
        match sizes.into_iter().flatten().find(|model| !(1..=MOST_MODEL_BYTES).contains(&model.size)) {
            Some(model) => Err(PointerError::Number { what: "size", value: model.size.to_string() }),
            None => Ok(pointer),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and finite numbers: nothing that JSON lacks.
        serde_json::to_string(self).expect("a pointer can be written")
    }

    /// Which model a worker is to serve. Where there is none before, all serve the newest, unless it was withdrawn.
    #[must_use]
    pub fn model_of(&self, worker: &Name) -> Option<&ModelFile> {
        match &self.previous {
            _ if self.is_canary(worker) && !self.withdrawn => Some(&self.model),
            Some(previous) => Some(previous),
            None => (!self.withdrawn).then_some(&self.model),
        }
    }

    /// Whether the worker is among those who serve the newest model first.
    #[must_use]
    pub fn is_canary(&self, worker: &Name) -> bool {
        slot(worker, self.model.sha256) < share(self.percent)
    }
}

/// The slot of a worker for a model, below [`SLOTS`].
fn slot(worker: &Name, model: Hash) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(worker.as_str());
    hasher.update(model.bytes());
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hasher.finalize().into();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % SLOTS
}

/// How many slots a percentage takes.
fn share(percent: f64) -> u64 {
    (percent * SLOTS as f64 / 100.0).round() as u64
}
