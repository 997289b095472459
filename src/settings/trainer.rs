//! The trainer's YAML (contract §7 and §11): its names for our keys.
//!
//! The trainer owns this file and refuses keys that it does not know, so it never holds settings made for us alone. Nulls
//! mean "not set", as they do for the trainer. Sections that are not about self-play are none of our business; a key of
//! `self_play` that we do not know is worth a warning, because the user expects something of it.

use config::ValueKind;
use std::collections::BTreeMap;
use std::path::Path;

use super::file::Language;
use super::keys;
use super::kind::written;
use super::layer::{self, Layer};
use super::mistake::Mistake;

/// The trainer's name and ours. Where two names stand for one key, the later one wins: self-play's own section over the
/// common one, newer spellings over older ones.
pub(super) const NAMES: &[(&str, &str)] = &[
    ("quoridor.board_size", "game.board_size"),
    ("quoridor.max_walls", "game.max_walls"),
    ("quoridor.max_steps", "game.max_steps"),
    ("alphazero.network.type", "network.type"),
    ("alphazero.mcts_n", "search.mcts_n"),
    ("alphazero.mcts_k", "search.mcts_k"),
    ("alphazero.mcts_c_puct", "search.c_puct"),
    ("alphazero.mcts_noise_epsilon", "search.noise_epsilon"),
    ("alphazero.mcts_noise_alpha", "search.noise_alpha"),
    ("alphazero.temperature", "search.temperature"),
    ("alphazero.drop_t_on_step", "search.drop_t_on_step"),
    ("alphazero.penalize_visited_states", "search.penalize_visited_states"),
    ("self_play.alphazero.mcts_noise_epsilon", "search.noise_epsilon"),
    ("self_play.alphazero.mcts_noise_alpha", "search.noise_alpha"),
    ("self_play.alphazero.temperature", "search.temperature"),
    ("self_play.alphazero.drop_t_on_step", "search.drop_t_on_step"),
    ("self_play.num_workers", "play.processes"),
    ("self_play.num_processes", "play.processes"),
    ("self_play.parallel_games", "play.games_per_process"),
    ("self_play.games_per_process", "play.games_per_process"),
    ("self_play.mcts_worker_threads", "play.threads"),
    ("self_play.leaf_parallelism", "search.leaf_parallelism"),
    ("self_play.virtual_loss", "search.virtual_loss"),
    ("self_play.enable_tree_reuse", "search.tree_reuse"),
    ("self_play.eval_batch_size", "inference.eval_batch_size"),
    ("self_play.eval_max_wait_ms", "inference.eval_max_wait_ms"),
    ("self_play.eval_cache_max_size", "cache.max_entries"),
];

/// Keys of `self_play` that are the trainer's own affair.
const ITS_OWN: &[&str] = &["self_play.enabled", "self_play.program", "self_play.rust_selfplay_binary"];

/// Our name for a name of the trainer.
pub(super) fn our_name(theirs: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, _)| *name == theirs).map(|(_, ours)| *ours)
}

/// Reads the file of `--config`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<String>) -> Option<Layer> {
    let table = layer::read("--config", path, Language::Yaml, mistakes)?;
    if table.is_empty() {
        let reason = "is empty; the trainer writes quoridor, alphazero and self_play there".to_owned();
        mistakes.push(Mistake::File { place: layer::place("--config", path), reason });
        return None;
    }
    let mut values = layer::flatten(table);
    values.retain(|_, value| *value != ValueKind::Nil);
    let file = path.display().to_string();
    for (name, value) in &values {
        if layer::is_section(name, NAMES.iter().map(|(theirs, _)| *theirs)) {
            mistakes.extend(layer::not_a_section(name.clone(), value, &file));
        } else if let Some(unknown) = unknown_to_us(name) {
            warnings.push(format!("{file}: {unknown}"));
        }
    }
    warnings.extend(both_spellings(&values).map(|warning| format!("{file}: {warning}")));

    let mut layer = Layer::default();
    for (theirs, ours) in NAMES {
        if let Some(value) = values.get(*theirs) {
            layer.set(ours, value.clone(), format!("{file}: {theirs}"));
        }
    }
    Some(layer)
}

/// What to say about a key of `self_play` that has no effect here.
fn unknown_to_us(name: &str) -> Option<String> {
    let known = NAMES.iter().map(|(theirs, _)| *theirs).chain(ITS_OWN.iter().copied());
    if !name.starts_with("self_play.") || known.clone().any(|theirs| theirs == name) {
        return None;
    }
    let hint = keys::nearest_of(name, known.filter(|theirs| theirs.starts_with("self_play.")))
        .map(|nearest| format!("; did you mean {nearest}?"));
    Some(format!("{name} is not known and has no effect{}", hint.unwrap_or_default()))
}

/// Warnings about a key of `self_play` that is given in its older and its newer spelling with two values.
fn both_spellings(values: &BTreeMap<String, ValueKind>) -> impl Iterator<Item = String> {
    let spelt: Vec<_> = NAMES
        .iter()
        .filter(|(theirs, _)| theirs.starts_with("self_play."))
        .filter_map(|(theirs, ours)| Some((*theirs, *ours, values.get(*theirs)?)))
        .collect();
    spelt
        .windows(2)
        .filter(|pair| pair[0].1 == pair[1].1 && pair[0].2 != pair[1].2)
        .map(|pair| {
            let ((older, _, old), (newer, _, new)) = (pair[0], pair[1]);
            format!("{older} = {} has no effect beside {newer} = {}", written(old), written(new))
        })
        .collect::<Vec<_>>()
        .into_iter()
}
