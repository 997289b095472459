//! Settings that change while the daemon plays: which ones can, what is wrong with a change, and what it changes.

use config::ValueKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Settings;
use super::key::Key;
use super::keys::{self, KEYS};
use super::layer;
use super::mistake::{Mistake, Mistakes};
use super::resolve::Resolved;

/// A setting that is another now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// Its key.
    pub key: String,
    /// Its value before; the word that leaves it open, where it was open.
    pub from: Value,
    /// Its value now.
    pub to: Value,
}

/// A setting that stays as it is although another was wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refused {
    /// The key, as it was given.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// The keys that can be changed while the daemon plays.
fn live() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| key.live).map(|key| key.path)
}

/// Whether `key` can be changed while the daemon plays.
pub(crate) fn is_live(key: &str) -> bool {
    live().any(|live| live == key)
}

/// Why a key of ours cannot be changed now.
pub(crate) fn needs_a_restart(key: &str) -> String {
    format!(
        "{key} needs a restart; what can be changed while games are played: {}",
        live().collect::<Vec<_>>().join(", ")
    )
}

/// The keys whose values differ, in the order of the default file.
pub(crate) fn differences(before: &Settings, after: &Settings) -> Vec<Change> {
    let (before, after) = (values(before), values(after));
    let change = |key: &Key| {
        let (from, to) = (value(&before, key), value(&after, key));
        (from != to).then(|| Change { key: key.path.to_owned(), from, to })
    };
    KEYS.iter().filter_map(change).collect()
}

impl Resolved {
    /// These settings with other values for some keys that can be changed while games are played, given by key, flat or by
    /// section. Text is read as from the environment. `source`: who wants it, for messages.
    ///
    /// # Errors
    /// Everything that cannot be as it is wanted.
    pub(crate) fn changed(&self, wanted: &Map<String, Value>, source: &str) -> Result<Self, Vec<Refused>> {
        let mut refused = Vec::new();
        let mut values = Vec::new();
        for (path, value) in flat(wanted) {
            match keys::find(&path) {
                Some(key) if key.live => values.push((key.path, as_setting(key, &value))),
                Some(key) => refused.push(Refused { key: path, reason: needs_a_restart(key.path) }),
                None => {
                    let reason = layer::unknown(path.clone(), source.to_owned()).to_string();
                    refused.push(Refused { key: path, reason });
                }
            }
        }
        let changed = self.with(values, source);
        refused.extend(changed.mistakes().iter().map(|mistake| Refused {
            key: mistake.key().unwrap_or_default().to_owned(),
            reason: Mistake::to_string(mistake),
        }));
        if refused.is_empty() { Ok(changed) } else { Err(refused) }
    }

    /// These settings with other values for keys of the section `search`, each given by its name there and as text.
    ///
    /// # Errors
    /// When there is no such key, or it may not be that.
    pub(crate) fn with_search(&self, values: &[(&str, &str)], source: &str) -> Result<Self, Mistakes> {
        let read = |(name, text): &(&str, &str)| {
            let path = format!("search.{name}");
            match keys::find(&path) {
                Some(key) => Ok((key.path, key.kind.read(text))),
                None => Err(Mistakes(vec![layer::unknown(path, source.to_owned())])),
            }
        };
        let changed = self.with(values.iter().map(read).collect::<Result<Vec<_>, _>>()?, source);
        changed.refuse_mistakes()?;
        Ok(changed)
    }

    /// These settings with the values that `other` has for the keys that can be changed while games are played, but for those
    /// `refused`.
    pub(crate) fn with_live_values_of(&self, other: &Self, refused: &[Refused]) -> Self {
        let taken = live().filter(|key| refused.iter().all(|refused| refused.key != *key));
        self.with_entries(taken.filter_map(|key| Some((key, other.entries.get(key)?.clone()))))
    }
}

/// Keys with their values; sections, which may be nested, become parts of the keys.
fn flat(wanted: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in wanted {
        match value {
            Value::Object(section) => {
                found.extend(flat(section).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

fn as_setting(key: &Key, value: &Value) -> ValueKind {
    match value {
        Value::Null | Value::Object(_) => ValueKind::Nil,
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => number.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(text) => key.kind.read(text),
        Value::Array(_) => ValueKind::Array(Vec::new()),
    }
}

/// All values by section and key. By way of text, which writes single precision with as few digits as it takes.
fn values(settings: &Settings) -> Value {
    let text = serde_json::to_string(settings).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

fn value(settings: &Value, key: &Key) -> Value {
    let (section, name) = key.path.split_once('.').unwrap_or_default();
    match (&settings[section][name], key.open) {
        (Value::Null, Some(word)) => word.into(),
        (value, _) => value.clone(),
    }
}
