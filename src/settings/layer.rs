//! One layer of settings: a flat map of keys to values, each with its source, read from a file, the environment or flags.

use config::{ConfigError, FileFormat, Format as _, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::LazyLock;

use super::file::{self, Language};
use super::keys::{self, KEYS};
use super::kind::written;
use super::mistake::Mistake;
use crate::played;

/// The source of values that were not set.
pub(super) const DEFAULT: &str = "default";

/// How environment variables of ours begin; sections and keys are separated by two underscores.
const ENV_PREFIX: &str = "SELFPLAYD__";

/// The commented defaults.
const DEFAULTS: &str = include_str!("../../configs/default.toml");

/// A flag that was given, and the key it sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FlagValue {
    /// The flag with its dashes.
    pub flag: &'static str,
    /// Our key.
    pub key: &'static str,
    /// The value as text.
    pub value: String,
}

/// Values by key; each value carries its source as its origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    /// Sets `key`, replacing what the layer had.
    pub(super) fn set(&mut self, key: &str, value: ValueKind, source: String) {
        self.0.insert(key.to_owned(), Value::new(Some(&source), value));
    }

    /// The layer with each value, which comes with its key, replaced.
    pub(super) fn map(mut self, replacement: impl Fn(&str, ValueKind) -> ValueKind) -> Self {
        for (key, value) in &mut self.0 {
            value.kind = replacement(key, std::mem::take(&mut value.kind));
        }
        self
    }

    /// The values by key.
    #[cfg(test)]
    pub(super) fn values(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// The compiled-in defaults; the game is the user's own where there is one.
pub(super) fn defaults() -> Layer {
    let mut layer = compiled_in(DEFAULTS, DEFAULT);
    if let Some(own) = played::own() {
        layer.set("game.name", own.name.into(), DEFAULT.to_owned());
    }
    layer
}

/// The default of `key`, as written in the default file; nothing where there is none.
pub(crate) fn default_of(key: &str) -> Option<String> {
    static PARSED: LazyLock<Layer> = LazyLock::new(defaults);
    Some(match &PARSED.0.get(key)?.kind {
        ValueKind::String(text) => text.clone(),
        other => written(other),
    })
}

/// A TOML text that is part of the program.
pub(super) fn compiled_in(toml: &str, source: &str) -> Layer {
    let mut mistakes = Vec::new();
    let table = FileFormat::Toml.parse(None, toml).expect("compiled-in settings parse");
    let layer = of_ours(table, source, &mut mistakes);
    assert!(mistakes.is_empty(), "compiled-in settings have known keys: {mistakes:?}");
    layer
}

/// The file of `--settings`: TOML or YAML by its ending.
pub(super) fn own_file(path: &Path, mistakes: &mut Vec<Mistake>) -> Option<Layer> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    let language = match extension.as_deref() {
        Some("toml") => Language::Toml,
        Some("yaml" | "yml") => Language::Yaml,
        _ => {
            let place = place("--settings", path);
            let reason = "the name of a settings file must end in .toml, .yaml or .yml".to_owned();
            mistakes.push(Mistake::File { place, reason });
            return None;
        }
    };
    let table = read("--settings", path, language, mistakes)?;
    Some(of_ours(table, &path.display().to_string(), mistakes))
}

/// Reads and parses a file that `flag` named; reports why that failed.
pub(super) fn read(
    flag: &str,
    path: &Path,
    language: Language,
    mistakes: &mut Vec<Mistake>,
) -> Option<Map<String, Value>> {
    let table = file::read(path, language);
    table.map_err(|reason| mistakes.push(Mistake::File { place: place(flag, path), reason })).ok()
}

/// Where a file was named, and its name.
pub(super) fn place(flag: &str, path: &Path) -> String {
    format!("{flag} {}", path.display())
}

/// A table of our own names, from a file.
fn of_ours(table: Map<String, Value>, source: &str, mistakes: &mut Vec<Mistake>) -> Layer {
    let mut layer = Layer::default();
    for (path, value) in flatten(table) {
        if keys::find(&path).is_some() {
            layer.set(&path, value, source.to_owned());
        } else if is_section(&path, KEYS.iter().map(|key| key.path)) {
            mistakes.extend(not_a_section(path, &value, source));
        } else {
            mistakes.push(unknown(path, source.to_owned()));
        }
    }
    layer
}

/// The mistake of a value where a section should be. An empty YAML section reads as null, which is fine.
pub(super) fn not_a_section(key: String, value: &ValueKind, source: &str) -> Option<Mistake> {
    let mistake =
        Mistake::Value { key, value: written(value), source: source.to_owned(), allowed: "a section".to_owned() };
    (*value != ValueKind::Nil).then_some(mistake)
}

/// Whether `path` is the beginning of some of these names.
pub(super) fn is_section<'a>(path: &str, mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| name.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The mistake of an unknown key.
pub(super) fn unknown(key: String, source: String) -> Mistake {
    let nearest = super::trainer::our_name(&key).or_else(|| keys::nearest(&key)).map(str::to_owned);
    Mistake::Unknown { key, source, nearest }
}

/// The leaves of a table by dotted path, in order.
pub(super) fn flatten(table: Map<String, Value>) -> BTreeMap<String, ValueKind> {
    let mut leaves = BTreeMap::new();
    for (key, value) in table {
        // A dot within one key is no path: "search.mcts_n" in quotes is not the key of that section.
        let key = if key.contains('.') { format!("{key:?}") } else { key };
        match value.kind {
            ValueKind::Table(inner) => {
                leaves.extend(flatten(inner).into_iter().map(|(rest, leaf)| (format!("{key}.{rest}"), leaf)));
            }
            leaf => drop(leaves.insert(key, leaf)),
        }
    }
    leaves
}

/// Variables named `SELFPLAYD__SECTION__KEY`.
pub(super) fn environment(
    variables: &BTreeMap<OsString, OsString>,
    mistakes: &mut Vec<Mistake>,
    warnings: &mut Vec<String>,
) -> Layer {
    let mut layer = Layer::default();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(ENV_PREFIX) else {
            warnings.extend(nearly_a_variable(&name));
            continue;
        };
        let source = format!("env {ENV_PREFIX}{rest}");
        let path = rest.to_ascii_lowercase().replace("__", ".");
        let Some(key) = keys::find(&path) else {
            mistakes.push(unknown(path, source));
            continue;
        };
        match value.to_str() {
            Some(text) => layer.set(key.path, key.kind.read(text), source),
            None => mistakes.push(Mistake::Value {
                key: path,
                value: value.to_string_lossy().into_owned(),
                source,
                allowed: "UTF-8 text".to_owned(),
            }),
        }
    }
    layer
}

/// What to say about a variable that was probably meant to be one of ours, such as `SELFPLAYD_PLAY_SEED`.
fn nearly_a_variable(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let rest = upper.strip_prefix(ENV_PREFIX.trim_end_matches('_'))?.strip_prefix('_')?;
    let words = rest.split('_').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_").to_ascii_lowercase();
    // A key of several words is known without its section.
    let alone = |key: &'static str| key.rsplit_once('.').map(|(_, key)| key.to_owned()).filter(|key| key.contains('_'));
    let names = |path: &'static str| [Some(path.replace('.', "_")), alone(path)].into_iter().flatten();
    let named: Vec<_> = KEYS.iter().flat_map(|key| names(key.path).map(|words| (words, key.path))).collect();
    let nearest = keys::most_like(&words, named.iter().map(|(words, _)| words.as_str()));
    let meant = named.iter().find(|(words, _)| Some(words.as_str()) == nearest);
    if let Some((_, path)) = meant {
        let variable = path.to_ascii_uppercase().replace('.', "__");
        return Some(format!("env {name} has no effect; did you mean {ENV_PREFIX}{variable}?"));
    }
    let section = words.split_once('_')?.0;
    is_section(section, KEYS.iter().map(|key| key.path)).then(|| {
        format!(
            "env {name} has no effect: variables are named {ENV_PREFIX}SECTION__KEY; `selfplayd config` lists all keys"
        )
    })
}

/// The flags that were given.
pub(super) fn flags(flags: &[FlagValue]) -> Layer {
    let mut layer = Layer::default();
    for FlagValue { flag, key, value } in flags {
        if let Some(key) = keys::find(key) {
            layer.set(key.path, key.kind.read(value), format!("flag {flag}"));
        }
    }
    layer
}
