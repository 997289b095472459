//! A key of the settings: how it is declared, and what it may be.

use config::ValueKind;
use std::fmt;

use super::{keys, kind::Kind};

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// `section.key`.
    pub path: &'static str,
    /// Its values.
    pub(super) kind: Kind,
    /// The word that leaves it open, if it may be left open.
    pub(super) open: Option<&'static str>,
    /// A number that means the same as the word.
    open_number: Option<i64>,
    /// The trainer's names for it, older spellings first: the last one that is given counts.
    pub(super) trainer: &'static [&'static str],
    /// Whether it can be changed while games are played.
    pub(super) live: bool,
    /// The flag that sets it.
    pub flag: Option<Flag>,
}

/// A flag of the command line. It only carries text: what is wrong with it is said with all other mistakes in the settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// With its dashes.
    pub long: &'static str,
    /// Another name for it, without dashes.
    pub alias: Option<&'static str>,
    /// What follows it.
    pub argument: Argument,
    /// For `--help`.
    pub help: &'static str,
    /// Which commands take it.
    pub scope: Scope,
}

/// What follows a flag.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Argument {
    /// A value, which help calls so.
    Value(&'static str),
    /// Nothing: the flag stands for this value.
    Nothing(&'static str),
}

/// Which commands take a flag; each scope includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Only the daemon: where games go, what it follows, who is told.
    Daemon,
    /// What plays, measures or tunes.
    Play,
    /// What searches single positions, too.
    Search,
    /// What looks at a model by itself, too.
    Model,
    /// What only needs to know which game it is, too.
    Game,
}

/// A key that always has a value.
pub(super) const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, open: None, open_number: None, trainer: &[], live: false, flag: None }
}

impl Key {
    /// `word` leaves it open.
    pub(super) const fn open(self, word: &'static str) -> Self {
        Self { open: Some(word), ..self }
    }

    /// So does `number`.
    pub(super) const fn open_number(self, number: i64) -> Self {
        Self { open_number: Some(number), ..self }
    }

    /// The trainer's YAML has it by these names.
    pub(super) const fn trainer(self, names: &'static [&'static str]) -> Self {
        Self { trainer: names, ..self }
    }

    /// It can be changed while games are played.
    pub(super) const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// The flag `long` sets it to the value that follows.
    pub(super) const fn flag(self, long: &'static str, value: &'static str, help: &'static str) -> Self {
        let flag = Flag { long, alias: None, argument: Argument::Value(value), help, scope: Scope::Play };
        Self { flag: Some(flag), ..self }
    }

    /// The flag `long` sets it to `value`.
    pub(super) const fn switch(self, long: &'static str, value: &'static str, help: &'static str) -> Self {
        let flag = Flag { long, alias: None, argument: Argument::Nothing(value), help, scope: Scope::Play };
        Self { flag: Some(flag), ..self }
    }

    /// Its flag has another name.
    pub(super) const fn alias(self, alias: &'static str) -> Self {
        let Some(flag) = self.flag else { return self };
        Self { flag: Some(Flag { alias: Some(alias), ..flag }), ..self }
    }

    /// Its flag is for these commands.
    pub(super) const fn of(self, scope: Scope) -> Self {
        let Some(flag) = self.flag else { return self };
        Self { flag: Some(Flag { scope, ..flag }), ..self }
    }

    /// The words that it may be, where these are few; for help.
    pub(crate) fn words(&self) -> &'static [&'static str] {
        self.kind.words()
    }

    /// The value in the form that [`super::Settings`] reads (`Nil` where it is left open), or nothing if it is not allowed.
    pub(super) fn accept(&self, value: &ValueKind) -> Option<ValueKind> {
        let left_open = match value {
            ValueKind::Nil => self.open.is_some(),
            ValueKind::String(word) => self.open == Some(word),
            ValueKind::I64(number) => self.open_number == Some(*number),
            _ => false,
        };
        if left_open { Some(ValueKind::Nil) } else { self.kind.accept(value) }
    }

    /// What is allowed, with the word that was most likely meant by a `value` that is not.
    pub(super) fn allowed_instead_of(&self, value: &ValueKind) -> String {
        let nearest = match value {
            ValueKind::String(text) => keys::most_like(text, self.words().iter().copied()),
            _ => None,
        };
        let hint = nearest.map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default();
        format!("{self}{hint}")
    }
}

impl fmt::Display for Key {
    /// What is allowed, to follow "must be".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(word) = self.open {
            write!(f, ", or {word:?}")?;
        }
        if let Some(number) = self.open_number {
            write!(f, ", or {number}")?;
        }
        Ok(())
    }
}
