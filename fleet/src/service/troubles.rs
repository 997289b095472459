//! What goes wrong at present.

use std::collections::BTreeMap;

use serde::Serialize;

/// What goes wrong at present, by what it is about, in words. What has passed is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Troubles(BTreeMap<&'static str, String>);

impl Troubles {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(&about, words)| (about, words.as_str()))
    }

    /// What goes wrong with one thing.
    #[must_use]
    pub fn get(&self, about: &str) -> Option<&str> {
        self.0.get(about).map(String::as_str)
    }

    /// Something goes wrong.
    pub(super) fn set(&mut self, about: &'static str, words: impl Into<String>) {
        self.0.insert(about, words.into());
    }

    /// It has passed.
    pub(super) fn clear(&mut self, about: &'static str) {
        self.0.remove(about);
    }

    /// All in one text, if there is any.
    pub(super) fn words(&self) -> Option<String> {
        let all: Vec<_> = self.0.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// An error with all that is behind it.
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| {
        let source = source.to_string();
        // Some say themselves what is behind them.
        if text.ends_with(&source) { text } else { format!("{text}: {source}") }
    })
}
