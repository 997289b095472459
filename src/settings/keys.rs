//! The table of keys: what each may be. Meaning and default of a key are told in `configs/default.toml`.

use config::ValueKind;
use std::fmt;

use super::kind::Kind;

/// No name of a key, ours or the trainer's, has as many bytes.
const LONGEST_NAME: usize = 100;

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// `section.key`.
    pub path: &'static str,
    /// Its values.
    pub kind: Kind,
    /// The word that leaves it open, if it may be left open.
    pub open: Option<&'static str>,
    /// A number that means the same as the word.
    open_number: Option<i64>,
}

/// A key that always has a value.
const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, open: None, open_number: None }
}

/// A key that `word` leaves open.
const fn open(path: &'static str, kind: Kind, word: &'static str) -> Key {
    Key { path, kind, open: Some(word), open_number: None }
}

/// The games, and what else has a section of rules by its name.
pub(super) const GAMES: &[&str] = &["quoridor", "tic_tac_toe", "mnk", "connect_four", "othello", "hex", "breakthrough"];

/// Every key, in the order of `configs/default.toml`.
pub(super) const KEYS: &[Key] = &[
    open("run.name", Kind::Name, "auto"),
    key("game.name", Kind::Choice(GAMES)),
    key("game.board_size", Kind::Int(3, 9)),
    key("game.max_walls", Kind::Int(0, 64)),
    Key { open_number: Some(-1), ..open("game.max_steps", Kind::Int(1, u32::MAX as i64), "none") },
    key("mnk.m", Kind::Int(2, 19)),
    key("mnk.n", Kind::Int(2, 19)),
    key("mnk.k", Kind::Int(2, 19)),
    key("connect_four.rows", Kind::Int(2, 8)),
    key("connect_four.columns", Kind::Int(2, 8)),
    key("connect_four.length", Kind::Int(2, 8)),
    key("othello.size", Kind::Int(4, 8)),
    key("hex.size", Kind::Int(3, 13)),
    key("hex.swap", Kind::Flag),
    key("breakthrough.rows", Kind::Int(4, 8)),
    key("breakthrough.columns", Kind::Int(4, 8)),
    key("network.type", Kind::Choice(&["resnet", "mlp"])),
    // More simulations than these would overflow the indices of a search tree.
    open("search.mcts_n", Kind::Int(0, 10_000_000), "none"),
    key("search.mcts_k", Kind::Int(1, 40_000)),
    key("search.c_puct", Kind::Positive(1000.0)),
    key("search.noise_epsilon", Kind::Real(0.0, 1.0)),
    open("search.noise_alpha", Kind::Positive(1000.0), "auto"),
    key("search.temperature", Kind::Real(0.0, 100.0)),
    open("search.drop_t_on_step", Kind::Int(0, u32::MAX as i64), "none"),
    key("search.penalize_visited_states", Kind::Flag),
    open("search.leaf_parallelism", Kind::Int(1, 1024), "auto"),
    key("search.virtual_loss", Kind::Int(0, 1000)),
    key("search.tree_reuse", Kind::Flag),
    open("play.games_per_process", Kind::Int(1, 65_536), "auto"),
    key("play.num_games", Kind::Int(1, i64::MAX)),
    key("play.processes", Kind::Int(1, 1024)),
    open("play.threads", Kind::Int(1, 1024), "auto"),
    open("play.seed", Kind::Int(0, i64::MAX), "random"),
    key("play.p2", Kind::Choice(&["same", "random"])),
    key("play.agent", Kind::Choice(&["search", "raw"])),
    key("play.trace", Kind::Flag),
    key("inference.evaluator", Kind::Choice(&["onnx", "uniform", "hash"])),
    key("inference.device", Kind::Device),
    open("inference.threads", Kind::Int(1, 256), "auto"),
    open("inference.eval_batch_size", Kind::Int(1, 65_536), "auto"),
    key("inference.eval_max_wait_ms", Kind::Real(0.0, 60_000.0)),
    open("inference.ort_library", Kind::Path, "none"),
    key("inference.precision", Kind::Choice(&["auto", "fp32", "int8", "bf16", "fp16"])),
    key("inference.precision_max_kl", Kind::Real(0.0, 10.0)),
    key("inference.precision_max_value_error", Kind::Real(0.0, 2.0)),
    open("inference.hang_seconds", Kind::Positive(86_400.0), "none"),
    open("inference.batch_buckets", Kind::Buckets, "auto"),
    key("inference.input", Kind::Choice(&["auto", "planes", "packed"])),
    open("inference.gpu_memory", Kind::Bytes, "none"),
    key("inference.tf32", Kind::Flag),
    key("inference.channels_last", Kind::Flag),
    open("inference.cuda_graphs", Kind::Flag, "auto"),
    open("inference.tensorrt_cache_dir", Kind::Path, "none"),
    key("cache.max_bytes", Kind::Bytes),
    open("cache.max_entries", Kind::Int(0, i64::MAX), "none"),
    key("cache.symmetry", Kind::Flag),
    open("memory.max_bytes", Kind::Bytes, "auto"),
    open("model.path", Kind::Path, "none"),
    key("model.version", Kind::Int(0, u32::MAX as i64)),
    open("model.latest_yaml", Kind::Path, "none"),
    open("model.source", Kind::Path, "none"),
    key("model.newest_by", Kind::Choice(&["name", "time"])),
    key("model.poll_ms", Kind::Int(10, 500)),
    open("model.allowed_roots", Kind::Path, "none"),
    key("model.max_bytes", Kind::Bytes),
    key("model.agreement_tolerance", Kind::Positive(2.0)),
    key("model.strict", Kind::Flag),
    key("model.probation_evaluations", Kind::Int(0, i64::MAX)),
    key("model.max_nonfinite_rate", Kind::Real(0.0, 1.0)),
    open("model.load_seconds", Kind::Positive(86_400.0), "none"),
    open("output.dir", Kind::Path, "none"),
    open("output.spool_dir", Kind::Path, "none"),
    open("output.min_free", Kind::Bytes, "auto"),
    key("output.writer_deadline_seconds", Kind::Real(0.0, 31_536_000.0)),
    key("output.max_rejected", Kind::Int(0, 1_000_000)),
    key("journal.enabled", Kind::Flag),
    key("journal.resume", Kind::Flag),
    key("journal.sync_ms", Kind::Int(1, 60_000)),
    key("daemon.continuous", Kind::Flag),
    open("daemon.shutdown_file", Kind::Path, "none"),
    key("daemon.grace_seconds", Kind::Real(0.0, 86_400.0)),
    open("daemon.pause_unload_after_seconds", Kind::Real(0.0, 31_536_000.0), "none"),
    key("daemon.exit_with_parent", Kind::Flag),
    key("metrics.profile_counters", Kind::Flag),
    open("metrics.dir", Kind::Path, "none"),
    open("http.listen", Kind::Addresses, "none"),
    open("http.metrics_listen", Kind::Addresses, "none"),
    open("http.socket", Kind::Path, "none"),
    open("http.token_file", Kind::Path, "none"),
    key("http.token_for_reads", Kind::Flag),
    open("http.allowed_hosts", Kind::HostNames, "none"),
    key("log.format", Kind::Choice(&["human", "json"])),
    key("log.level", Kind::LogLevel),
];

impl Key {
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
}

impl Key {
    /// What is allowed, with the word that was most likely meant by a `value` that is not.
    pub(super) fn allowed_instead_of(&self, value: &ValueKind) -> String {
        let nearest = match (self.kind, value) {
            (Kind::Choice(words), ValueKind::String(text)) => most_like(text, words.iter().copied()),
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

/// The key of this name.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key that was most likely meant by `path`, if any is near.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    nearest_of(path, KEYS.iter().map(|key| key.path))
}

/// The name that is nearly `wanted`, if any is.
pub(super) fn most_like<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEARLY: f64 = 0.75;
    if wanted.len() > LONGEST_NAME {
        return None;
    }
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&wanted.to_ascii_lowercase(), name);
    let best = names.map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= NEARLY).then_some(best.1)
}

/// The name most like `wanted`. A name that is right but in the wrong section counts as near.
pub(super) fn nearest_of<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing takes time and memory in proportion to the length, and nothing is near to a text like that.
    if wanted.len() > LONGEST_NAME {
        return None;
    }
    let parts = |name: &'_ str| name.rsplit_once('.').map(|(section, key)| (section.to_owned(), key.to_owned()));
    let (section, key) = parts(wanted).unwrap_or_default();
    let likeness = |name: &str| match parts(name) {
        Some((_, its_key)) if its_key == key => 0.9,
        Some((its_section, its_key)) if its_section == section => {
            strsim::normalized_damerau_levenshtein(&key, &its_key)
        }
        _ => strsim::normalized_damerau_levenshtein(wanted, name),
    };
    names
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The words that a key of a few words may be; empty for other keys. Lets the command line offer the same words.
pub(crate) fn choices(path: &str) -> &'static [&'static str] {
    match find(path).map(|key| key.kind) {
        Some(Kind::Choice(words)) => words,
        _ => &[],
    }
}
