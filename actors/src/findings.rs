//! What the loader found when it last looked for a model, for log, status and page.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};

/// How a look for a model can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookOutcome {
    /// There is nothing that may be a model.
    Nothing,
    /// What is there serves already.
    Unchanged,
    /// A model is being read and checked.
    Coming,
    /// A model will be read when play is resumed.
    OnResume,
    /// A model came into service.
    Served,
    /// A model is held back until it has not lost a match against the one that serves.
    Held,
    /// A file of the model is missing, cut off or still being written.
    Incomplete,
    /// The model was refused or withdrawn.
    Refused,
    /// What names the model cannot be read or understood.
    Unreadable,
}

/// What a look for a model found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// How it ended.
    pub outcome: LookOutcome,
    /// The trainer's number of the model, where there is one.
    pub version: Option<i64>,
    /// What is wrong with it or missing, for people.
    pub reason: Option<String>,
}

impl Found {
    pub(crate) const fn of(outcome: LookOutcome, version: i64) -> Self {
        Self { outcome, version: Some(version), reason: None }
    }

    pub(crate) fn because(outcome: LookOutcome, version: Option<i64>, reason: impl Into<String>) -> Self {
        Self { outcome, version, reason: Some(reason.into()) }
    }

    /// Whether something keeps the newest model from being played with.
    #[must_use]
    pub const fn is_trouble(&self) -> bool {
        matches!(self.outcome, LookOutcome::Incomplete | LookOutcome::Refused | LookOutcome::Unreadable)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let model = self.version.map_or_else(|| "the model".to_owned(), |version| format!("model {version}"));
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        match self.outcome {
            LookOutcome::Nothing | LookOutcome::Unreadable => f.write_str(reason),
            LookOutcome::Unchanged => write!(f, "nothing changed: {model} serves"),
            LookOutcome::Coming => write!(f, "{model} is on its way"),
            LookOutcome::OnResume => write!(f, "{model} is read when play is resumed"),
            LookOutcome::Held => write!(f, "{model} is held back until it has played the one that serves"),
            LookOutcome::Served => write!(f, "{model} serves now"),
            LookOutcome::Incomplete => write!(f, "{model} is not complete yet: {reason}"),
            LookOutcome::Refused => write!(f, "{model} is refused: {reason}"),
        }
    }
}

/// What was found last. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Findings(Mutex<Option<Found>>);

impl Findings {
    /// Notes what was found; whether that is news. Called by the loader.
    pub(crate) fn note(&self, found: Found) -> bool {
        let mut last = self.lock();
        let is_news = last.as_ref() != Some(&found);
        *last = Some(found);
        is_news
    }

    /// What was found last; `None` before the first look, and where models are not looked for.
    #[must_use]
    pub fn last(&self) -> Option<Found> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_news() {
        let findings = Findings::default();
        assert_eq!(findings.last(), None);
        let found = Found::of(LookOutcome::Unchanged, 3);
        assert!(findings.note(found.clone()) && !findings.note(found));
        let incomplete = Found::because(LookOutcome::Incomplete, Some(4), "no weights");
        assert!(findings.note(incomplete.clone()));
        assert_eq!(findings.last(), Some(incomplete.clone()));
        assert_eq!(incomplete.to_string(), "model 4 is not complete yet: no weights");
    }
}
