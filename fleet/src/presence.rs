//! What a worker says of itself, every few seconds and whenever it finds something new out of a model: small JSON documents.
//!
//! They decide how a new model spreads, and show people the fleet. None is kept for longer than half a minute: a worker that says nothing
//! any more is not there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::models::{Hash, Standing};

/// How often a worker speaks.
pub const EVERY: Duration = Duration::from_secs(5);

/// After so long without a word a worker is not there.
pub const FORGOTTEN: Duration = Duration::from_secs(30);

/// The version of the format that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Longest one read.
const MOST_BYTES: usize = 4096;

/// Longest text in it.
const MOST_LETTERS: usize = 240;

/// What a worker found of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// The model.
    pub sha256: Hash,
    /// Its version in the run.
    pub generation: i64,
    /// What was found.
    pub standing: Standing,
}

/// Why a worker starts no new games.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Which of the reasons it is.
    pub why: Block,
    /// In words, with what helps.
    pub words: String,
}

/// See [`Blocked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// There is no room for more games until the trainer has those that wait.
    OutboxFull,
    /// Games cannot be kept, or not be sent.
    OutboxUnusable,
    /// The trainer would have no use for games of this worker's settings.
    SettingsDiffer,
}

/// What waits in an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxState {
    /// Frames without a receipt.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Most bytes that there may be.
    pub most_bytes: u64,
    /// For how long the oldest of them has waited, as far as this process knows.
    pub oldest_seconds: u64,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Version of the format.
    pub v: u32,
    /// The version of selfplayd.
    pub version: String,
    /// Which process it is, in words: two that speak under one name are told apart by it.
    #[serde(default)]
    pub process: String,
    /// The newest model that it has looked into.
    pub model: Option<Judged>,
    /// The version of the model that it plays with.
    pub serving: Option<i64>,
    /// What it does, in a word.
    pub playing: String,
    /// Games that it has finished since its process began.
    pub games: u64,
    /// How fast it is.
    pub simulations_per_second: f64,
    /// What keeps it from being faster.
    pub bottleneck: String,
    /// What waits to be sent.
    pub outbox: OutboxState,
    /// Why it starts no new games, if it does not.
    pub blocked: Option<Blocked>,
    /// What goes wrong, if something does.
    pub trouble: Option<String>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            v: VERSION,
            version: String::new(),
            process: String::new(),
            model: None,
            serving: None,
            playing: String::new(),
            games: 0,
            simulations_per_second: 0.0,
            bottleneck: String::new(),
            outbox: OutboxState::default(),
            blocked: None,
            trouble: None,
        }
    }
}

impl Said {
    /// Reads what a worker says.
    ///
    /// # Errors
    /// When it says nothing that is understood.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        if bytes.len() > MOST_BYTES {
            return Err(format!("it has {} bytes, and may have {MOST_BYTES}", bytes.len()));
        }
        let json = |error: serde_json::Error| error.to_string();
        let Version { v } = serde_json::from_slice(bytes).map_err(json)?;
        if v != VERSION {
            return Err(format!(
                "it has format {v}, this program reads {VERSION}; run the same version of selfplayd on the worker and beside the trainer"
            ));
        }
        serde_json::from_slice(bytes).map_err(json)
    }

    /// As JSON; long texts are cut.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut short = self.clone();
        let reason = short.model.as_mut().and_then(|judged| match &mut judged.standing {
            Standing::Bad(reason) => Some(reason),
            _ => None,
        });
        let texts = [&mut short.version, &mut short.process, &mut short.playing, &mut short.bottleneck].into_iter();
        let blocked = short.blocked.as_mut().map(|blocked| &mut blocked.words);
        texts.chain(reason).chain(blocked).chain(&mut short.trouble).for_each(cut);
        if !short.simulations_per_second.is_finite() {
            short.simulations_per_second = 0.0;
        }
        // Texts and finite numbers: nothing that JSON lacks.
        serde_json::to_string(&short).expect("it can be written")
    }
}

/// Cuts a text so that, whatever its letters are as JSON, all of them fit.
fn cut(text: &mut String) {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut bytes = 0;
    let fits = |letter: &char| {
        bytes += letter.len_utf8();
        bytes <= MOST_LETTERS
    };
    *text = text.chars().map(plain).take_while(fits).collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        let standing = Standing::Bad(text.to_owned());
        Said {
            version: text.to_owned(),
            process: text.to_owned(),
            model: Some(Judged { sha256: Hash::of(b"model"), generation: i64::MIN, standing }),
            serving: Some(i64::MIN),
            playing: text.to_owned(),
            games: u64::MAX,
            simulations_per_second: f64::MIN_POSITIVE,
            bottleneck: text.to_owned(),
            outbox: OutboxState { frames: u64::MAX, bytes: u64::MAX, most_bytes: u64::MAX, oldest_seconds: u64::MAX },
            blocked: Some(Blocked { why: Block::OutboxFull, words: text.to_owned() }),
            trouble: Some(text.to_owned()),
            ..Said::default()
        }
    }

    #[test]
    fn what_is_said_is_heard_as_it_was_and_never_too_long() {
        let plain = said("w");
        assert_eq!(Said::read(plain.to_json().as_bytes()).unwrap(), plain);
        for letters in ["x", "\"", "\u{1}\n", "\\", "\u{10ffff}"] {
            let json = said(&letters.repeat(10_000)).to_json();
            assert!(json.len() <= MOST_BYTES, "{}", json.len());
            Said::read(json.as_bytes()).unwrap();
        }
        let odd = Said { simulations_per_second: f64::NAN, ..said("w") };
        assert_eq!(Said::read(odd.to_json().as_bytes()).unwrap().simulations_per_second, 0.0);
    }

    #[test]
    fn what_is_not_understood_is_told_in_words() {
        let json = said("w").to_json();
        let refusal = |text: &str| Said::read(text.as_bytes()).unwrap_err();
        assert!(refusal(&json.replace("\"v\":1", "\"v\":2")).contains("it has format 2, this program reads 1"));
        assert!(refusal(&" ".repeat(5_000)).contains("it has 5000 bytes"));
        assert!(!refusal("").is_empty() && !refusal("{}").is_empty());
        assert!(Said::read(json.replace("\"v\":1", "\"v\":1,\"more\":[]").as_bytes()).is_ok());
    }
}
