//! The trainer's YAML (contract §7 and §11): its names for our keys.
//!
//! The trainer owns this file and refuses keys that it does not know, so it never holds settings made for us alone. Nulls
//! mean "not set", as they do for the trainer. Other sections are none of our business. A key of `self_play` that we do not
//! know is worth a warning, because the user expects something of it; so is a key or section that is nearly one of ours, which
//! a default would replace without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::extend::{self, Given};
use super::keys::{self, KEYS};
use super::kind::written;
use super::layer::{self, Layer};
use super::mistake::Mistake;

/// The trainer's names, each with ours. Where two names stand for one key, the later one wins: self-play's own section over the
/// common one, newer spellings over older ones.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().flat_map(|key| key.trainer.iter().map(|theirs| (*theirs, key.path)))
}

/// Keys in the sections that we read which are the trainer's own affair, or of no effect for its own producer either.
const ITS_OWN: &[&str] = &[
    "alphazero.max_steps",
    "alphazero.network.mask_training_predictions",
    "alphazero.network.num_blocks",
    "alphazero.network.num_channels",
    "self_play.enabled",
    "self_play.program",
    "self_play.rust_selfplay_binary",
];

/// What else stands at the top of the trainer's file.
const ITS_SECTIONS: &[&str] = &["ai_report", "benchmarks", "run_id", "training", "wandb"];

/// Our name for a name of the trainer.
pub(super) fn our_name(theirs: &str) -> Option<&'static str> {
    names().find(|(name, _)| *name == theirs).map(|(_, ours)| ours)
}

/// Reads the file of `--config`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<String>) -> Option<Layer> {
    let values = extend::read(path, mistakes)?;
    let mut unknown = BTreeSet::new();
    for (name, Given { value, file }) in &values {
        if layer::is_section(name, theirs()) {
            mistakes.extend(layer::not_a_section(name.clone(), value, file));
        } else {
            unknown.extend(unknown_to_us(name).map(|unknown| format!("{file}: {unknown}")));
        }
    }
    warnings.extend(unknown);
    warnings.extend(both_spellings(&values));

    let mut layer = Layer::default();
    for (theirs, ours) in names() {
        if let Some(Given { value, file }) = values.get(theirs) {
            layer.set(ours, value.clone(), format!("{file}: {theirs}"));
        }
    }
    Some(layer)
}

fn theirs() -> impl Iterator<Item = &'static str> {
    names().map(|(theirs, _)| theirs)
}

fn section(name: &str) -> &str {
    name.split_once('.').map_or(name, |(section, _)| section)
}

/// What to say about a key that has no effect here, if it was probably meant to have one.
fn unknown_to_us(name: &str) -> Option<String> {
    let known = || theirs().chain(ITS_OWN.iter().copied());
    let top = section(name);
    if known().any(|known| known == name) || ITS_SECTIONS.contains(&top) {
        return None;
    }
    let is_read = |wanted: &str| theirs().any(|known| section(known) == wanted);
    let (unknown, nearest) = if is_read(top) {
        let nearest = keys::nearest_of(name, known()).filter(|nearest| theirs().any(|known| known == *nearest));
        if nearest.is_none() && top != "self_play" {
            return None;
        }
        (name, nearest)
    } else {
        let key_alone = || theirs().find(|known| known.rsplit_once('.').is_some_and(|(_, key)| key == name));
        (top, Some(keys::most_like(top, theirs().map(section)).or_else(key_alone)?))
    };
    let hint = nearest.map(|nearest| format!("; did you mean {nearest}?")).unwrap_or_default();
    Some(format!("{unknown} is not known and has no effect{hint}"))
}

/// Warnings about a key of `self_play` that is given in its older and its newer spelling with two values.
fn both_spellings(values: &BTreeMap<String, Given>) -> Vec<String> {
    let spelt: Vec<_> = names()
        .filter(|(theirs, _)| theirs.starts_with("self_play."))
        .filter_map(|(theirs, ours)| Some((theirs, ours, values.get(theirs)?)))
        .collect();
    let differ = spelt.windows(2).filter(|pair| pair[0].1 == pair[1].1 && pair[0].2.value != pair[1].2.value);
    differ
        .map(|pair| {
            let ((older, _, Given { value: old, file }), (newer, _, new)) = (&pair[0], &pair[1]);
            format!("{file}: {older} = {} has no effect beside {newer} = {}", written(old), written(&new.value))
        })
        .collect()
}
