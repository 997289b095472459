//! All layers put together.

use config::{Config, Source as _, ValueKind};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::Settings;
use super::check::{self, Found};
use super::fleet;
use super::keys::{self, KEYS};
use super::kind::written;
use super::layer::{self, DEFAULT, FlagValue, Layer};
use super::mistake::{Mistake, Mistakes};
use super::trainer;

/// Stand-ins for what has no default, so that the rest can be checked although something is missing. They never leave
/// this module in settings that are used.
const STAND_INS: [(&str, i64); 2] = [("game.board_size", 9), ("game.max_walls", 0)];

/// What the settings are for, which decides what must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To play games and write them: needs a model and an output directory.
    Play,
    /// To play games that are not kept, with whatever model the caller finds.
    Bench,
}

/// How sources that are presets begin.
pub(super) const PRESET: &str = "preset ";

/// Settings of a subcommand, between the defaults and the trainer's file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preset {
    /// What the source is called, such as `preset bench`.
    pub name: &'static str,
    /// The settings. Must hold known keys only.
    pub toml: &'static str,
}

/// The search that matches say is best: where no trainer's file asks for another.
const BEST: Preset = Preset { name: "preset search/best", toml: include_str!("../../configs/search/best.toml") };

/// Where settings are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Sources<'a> {
    /// Settings of the subcommand.
    pub preset: Option<Preset>,
    /// The trainer's YAML.
    pub trainer: Option<&'a Path>,
    /// The user's own file.
    pub own: Option<&'a Path>,
    /// The environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The flags, given or not.
    pub flags: &'a [FlagValue],
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// The value as written.
    pub value: ValueKind,
    /// Its source.
    pub source: String,
}

/// Values by key, as merged and not yet checked.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(BTreeMap<String, Entry>);

impl Entries {
    /// The value of `key`, if any layer has it.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.get(key)
    }

    /// Whether the value of `key` was chosen, rather than the default.
    pub(super) fn is_chosen(&self, key: &str) -> bool {
        self.get(key).is_some_and(|entry| entry.source != DEFAULT)
    }

    /// Sets `key`, which then came from `source`.
    pub(super) fn set(&mut self, key: &str, value: ValueKind, source: &str) {
        self.0.insert(key.to_owned(), Entry { value, source: source.to_owned() });
    }

    /// The mistake that the value of `key` is not `allowed`.
    pub(super) fn refuse(&self, key: &str, allowed: impl Into<String>) -> Mistake {
        let entry = self.get(key).cloned().unwrap_or(Entry { value: ValueKind::Nil, source: DEFAULT.to_owned() });
        Mistake::Value {
            key: key.to_owned(),
            value: written(&entry.value),
            source: entry.source,
            allowed: allowed.into(),
        }
    }
}

/// The outcome of [`resolve`].
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The values by key.
    pub(super) entries: Entries,
    /// The settings; stand-ins are among them if something is wrong or missing.
    settings: Settings,
    /// What is wrong.
    mistakes: Vec<Mistake>,
    /// What is missing for the purpose.
    missing: Vec<Mistake>,
    /// What is allowed but was probably not meant.
    warnings: Vec<String>,
    /// How many of them, the first, are of what was read, whatever the settings are for.
    of_sources: usize,
}

impl Resolved {
    /// What is allowed but was probably not meant; for the log.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Those of files and of the environment alone: where the settings are but what others begin with, which are looked at by themselves.
    pub(crate) fn warnings_of_sources(&self) -> &[String] {
        &self.warnings[..self.of_sources]
    }

    /// Where the value of `key` came from; nothing if it has none.
    #[cfg(test)]
    pub(crate) fn source(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|entry| entry.source.as_str())
    }

    /// What is missing for the purpose.
    pub(crate) fn missing(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(Mistake::to_string)
    }

    /// Whether the value of `key` was chosen, rather than the default.
    pub(crate) fn is_chosen(&self, key: &str) -> bool {
        self.entries.is_chosen(key)
    }

    /// Fails if anything is wrong. Missing values are not wrong.
    pub(crate) fn refuse_mistakes(&self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(Mistakes(self.mistakes.clone())) }
    }

    /// What is wrong.
    pub(super) fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The settings; with stand-ins where something is wrong or missing.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same with other values for some keys, from `source`; what they are for has been checked before.
    pub(super) fn with(&self, values: impl IntoIterator<Item = (&'static str, ValueKind)>, source: &str) -> Self {
        self.with_entries(values.into_iter().map(|(key, value)| (key, Entry { value, source: source.to_owned() })))
    }

    /// The same with other entries.
    pub(super) fn with_entries(&self, changed: impl IntoIterator<Item = (&'static str, Entry)>) -> Self {
        let mut entries = self.entries.clone();
        entries.0.extend(changed.into_iter().map(|(key, entry)| (key.to_owned(), entry)));
        // Of what playing needs besides nothing changes.
        checked(entries, Vec::new(), Vec::new(), Purpose::Bench)
    }

    /// The settings, or everything that is wrong or missing.
    pub(crate) fn into_settings(self) -> Result<Settings, Mistakes> {
        let mut mistakes = self.mistakes;
        mistakes.extend(self.missing);
        if mistakes.is_empty() { Ok(self.settings) } else { Err(Mistakes(mistakes)) }
    }
}

/// Reads all layers and checks what comes out of them.
pub(crate) fn resolve(sources: &Sources<'_>, purpose: Purpose) -> Resolved {
    let mut mistakes = Vec::new();
    let mut warnings = Vec::new();
    let layers = layers(sources, &mut mistakes, &mut warnings);
    let mut entries = merge(layers);
    let mut found = Found::default();
    if purpose == Purpose::Play {
        fleet::follow(&mut entries, &mut found);
    }
    mistakes.extend(found.mistakes);
    let mut resolved = checked(entries, mistakes, warnings, purpose);
    resolved.missing.extend(found.missing);
    resolved
}

/// The settings that `entries` stand for, with what is wrong with them besides `mistakes`.
fn checked(entries: Entries, mut mistakes: Vec<Mistake>, mut warnings: Vec<String>, purpose: Purpose) -> Resolved {
    let unreadable = mistakes.iter().any(|mistake| matches!(mistake, Mistake::File { .. }));
    let settings = typed(&entries, &mut mistakes);
    let of_sources = warnings.len();
    let found = check::check(&settings, &entries, purpose);
    warnings.extend(found.warnings);
    let blamed: Vec<String> = mistakes.iter().filter_map(|mistake| mistake.key().map(str::to_owned)).collect();
    let is_new = |mistake: &Mistake| !mistake.key().is_some_and(|key| blamed.iter().any(|other| other == key));
    mistakes.extend(found.mistakes.into_iter().filter(is_new));
    // What a file that could not be read would have given is not missing.
    let missing = if unreadable { Vec::new() } else { found.missing.into_iter().filter(is_new).collect() };
    Resolved { entries, settings, mistakes, missing, warnings, of_sources }
}

/// The layers, low to high.
fn layers(sources: &Sources<'_>, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<String>) -> Vec<Layer> {
    let mut layers = vec![layer::defaults()];
    if sources.trainer.is_none() {
        layers.push(layer::compiled_in(BEST.toml, BEST.name));
    }
    layers.extend(sources.preset.map(|preset| layer::compiled_in(preset.toml, preset.name)));
    layers.extend(sources.trainer.and_then(|path| trainer::read(path, mistakes, warnings)));
    layers.extend(sources.own.and_then(|path| layer::own_file(path, mistakes)));
    layers.push(layer::environment(sources.environment, mistakes, warnings));
    layers.push(layer::flags(sources.flags));
    layers
}

/// Each key's value from the highest layer that has it.
fn merge(layers: Vec<Layer>) -> Entries {
    let merged = layers.into_iter().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    let merged = merged.build().and_then(|config| config.collect()).expect("layers in memory can be collected");
    let mut entries = BTreeMap::new();
    for (section, table) in merged {
        for (key, value) in table.into_table().expect("layers hold keys of two parts") {
            let source = value.origin().unwrap_or(DEFAULT).to_owned();
            entries.insert(format!("{section}.{key}"), Entry { value: value.kind, source });
        }
    }
    Entries(entries)
}

/// The typed settings. A value that is not allowed is reported and replaced by its default or a stand-in.
fn typed(entries: &Entries, mistakes: &mut Vec<Mistake>) -> Settings {
    let mut accepted = layer::defaults();
    for (key, stand_in) in STAND_INS {
        accepted.set(key, stand_in.into(), DEFAULT.to_owned());
    }
    for key in KEYS {
        if let Some(entry) = entries.get(key.path) {
            match key.accept(&entry.value) {
                Some(value) => accepted.set(key.path, value, entry.source.clone()),
                None => mistakes.push(entries.refuse(key.path, key.allowed_instead_of(&entry.value))),
            }
        }
    }
    // Defaults left in place of refused values still say "auto" or "none".
    let accepted = accepted.map(|path, value| keys::find(path).and_then(|key| key.accept(&value)).unwrap_or(value));
    let typed = Config::builder().add_source(accepted).build().and_then(Config::try_deserialize);
    typed.expect("what the table of keys accepts, the settings can hold")
}
