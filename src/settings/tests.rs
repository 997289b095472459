//! Tests of the settings as a whole, from files, an environment and flags to the typed settings or the message.

mod fleet;
mod games;
mod http;
mod mistakes;
mod places;
mod presets;
mod rows;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use config::{FileFormat, Format as _};
use selfplay_actors::onnx::Precision;
use tempfile::TempDir;

use super::keys::KEYS;
use super::*;

/// A configuration of the trainer as it writes it: only keys that were set, no nulls.
const TRAINER: &str = "\
run_id: ci
quoridor: {board_size: 5, max_walls: 3, max_steps: 200}
alphazero:
  mcts_n: 300
  mcts_c_puct: 1.2
  network: {type: resnet, num_blocks: 2, num_channels: 32, mask_training_predictions: true}
self_play:
  num_workers: 2
  parallel_games: 16
  program: rust
  alphazero: {mcts_noise_epsilon: 0.3}
training: {games_per_training_step: 9.5, learning_rate: 0.001}
";

/// Files, environment and flags of one test.
#[derive(Debug)]
struct Given {
    dir: TempDir,
    trainer: Option<PathBuf>,
    own: Option<PathBuf>,
    environment: BTreeMap<OsString, OsString>,
    flags: Vec<FlagValue>,
    preset: Option<Preset>,
}

fn given() -> Given {
    Given {
        dir: TempDir::new().unwrap(),
        trainer: None,
        own: None,
        environment: BTreeMap::new(),
        flags: Vec::new(),
        preset: None,
    }
}

impl Given {
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn trainer(mut self, yaml: impl AsRef<[u8]>) -> Self {
        self.trainer = Some(self.file("config.yaml", yaml));
        self
    }

    fn own(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.own = Some(self.file(name, content));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.flags.push(FlagValue { flag, key, value: value.to_owned() });
        self
    }

    /// What batch mode needs.
    fn playable(self) -> Self {
        self.flag("--output-dir", "output.dir", "out").flag("--model-path", "model.path", "m.onnx")
    }

    fn resolve(&self) -> Resolved {
        let sources = Sources {
            preset: self.preset,
            trainer: self.trainer.as_deref(),
            own: self.own.as_deref(),
            environment: &self.environment,
            flags: &self.flags,
        };
        resolve(&sources, Purpose::Play)
    }

    fn settings(&self) -> Settings {
        self.resolve().into_settings().unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// `text` without the name of this test's directory.
    fn plain(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), "run")
    }

    fn message(&self) -> String {
        self.plain(&self.resolve().into_settings().unwrap_err().to_string())
    }

    fn source(&self, key: &str) -> String {
        self.plain(self.resolve().source(key).unwrap())
    }

    fn warnings(&self) -> Vec<String> {
        self.resolve().warnings().iter().map(|warning| self.plain(warning)).collect()
    }
}

/// The only line of a message below its heading.
fn only(message: &str) -> &str {
    message.strip_prefix("1 mistake in the settings:\n  ").unwrap_or_else(|| panic!("not one mistake: {message}"))
}

#[test]
fn each_layer_replaces_the_one_before() {
    let key = "search.leaf_parallelism";
    let mut given = given().playable().trainer(TRAINER);
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (1, "default".to_owned()));

    given.preset = Some(Preset { name: "preset bench", toml: "[search]\nleaf_parallelism = 2" });
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (2, "preset bench".to_owned()));

    let given = given.trainer(format!("{TRAINER}\n").replace("program: rust", "leaf_parallelism: 3"));
    let source = "run/config.yaml: self_play.leaf_parallelism".to_owned();
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (3, source));

    let given = given.own("mine.toml", "[search]\nleaf_parallelism = 4");
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (4, "run/mine.toml".to_owned()));

    let given = given.env("SELFPLAYD__SEARCH__LEAF_PARALLELISM", "5");
    let source = "env SELFPLAYD__SEARCH__LEAF_PARALLELISM".to_owned();
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (5, source));

    let given = given.flag("--leaf-parallelism", key, "6");
    assert_eq!((given.settings().leaf_parallelism(), given.source(key)), (6, "flag --leaf-parallelism".to_owned()));
}

#[test]
fn the_trainers_file_as_of_the_snapshot() {
    let given = given().playable().trainer(TRAINER);
    let settings = given.settings();
    assert_eq!(
        settings.game,
        GameSettings { name: "quoridor".to_owned(), board_size: 5, max_walls: 3, max_steps: Some(200) }
    );
    assert_eq!(settings.network.kind, NetworkKind::Resnet);
    assert_eq!((settings.search.mcts_n, settings.search.c_puct), (Some(300), 1.2));
    assert_eq!((settings.search.noise_epsilon, settings.search.noise_alpha), (0.3, None));
    assert_eq!((settings.play.processes, settings.play.games()), (2, 16));
    assert_eq!(given.source("play.games_per_process"), "run/config.yaml: self_play.parallel_games");
    assert_eq!(given.warnings(), [""; 0]);
}

#[test]
fn the_trainers_file_in_its_newer_spelling() {
    let given = given().playable().trainer(
        "
quoridor: {board_size: 9, max_walls: 10, max_steps: -1}
alphazero: {mcts_n: 400, mcts_c_puct: 2, network: {type: mlp}}
self_play:
  enabled: true
  num_processes: 1
  games_per_process: 128
  mcts_worker_threads: null
  leaf_parallelism: 16
  virtual_loss: 1
  enable_tree_reuse: false
  eval_batch_size: 2048
  eval_max_wait_ms: 0.5
  eval_cache_max_size: 0
",
    );
    let settings = given.settings();
    assert_eq!((settings.game.max_steps, settings.network.kind), (None, NetworkKind::Mlp));
    assert_eq!((settings.play.processes, settings.play.games(), settings.play.threads), (1, 128, None));
    let search = &settings.search;
    assert_eq!((search.leaf_parallelism, search.virtual_loss, search.tree_reuse), (Some(16), 1, false));
    assert_eq!(search.in_flight, InFlight::Visits);
    assert_eq!((settings.inference.eval_batch_size, settings.inference.eval_max_wait_ms), (Some(2048), 0.5));
    assert_eq!((settings.cache.max_entries, settings.cache.enabled()), (Some(0), false));
    assert_eq!(search.c_puct, 2.0);
    let [unused, endless, leaves] = &given.warnings()[..] else { panic!("{:?}", given.warnings()) };
    assert!(
        unused.starts_with("search.virtual_loss (run/config.yaml: self_play.virtual_loss) has no effect"),
        "{unused}"
    );
    let source =
        "search.leaf_parallelism = 16 (run/config.yaml: self_play.leaf_parallelism) costs strength: of the 400";
    assert!(leaves.starts_with(source), "{leaves}");
    assert!(endless.starts_with("game.max_steps = \"none\": a game has no limit"), "{endless}");
}

#[test]
fn a_trainers_file_without_search_or_self_play() {
    let given = given().playable().trainer("quoridor: {board_size: 5, max_walls: 1, max_steps: 50}\nself_play:\n");
    let search = given.settings().search;
    assert_eq!((search.mcts_n, search.mcts_k, search.c_puct, search.noise_epsilon), (None, 10, 1.4, 0.25));
    assert_eq!((search.temperature, search.drop_t_on_step), (1.0, None));
}

#[test]
fn self_plays_search_wins_over_the_common_one() {
    let yaml = "
quoridor: {board_size: 5, max_walls: 1}
alphazero: {mcts_n: 50, mcts_noise_epsilon: 0.1, mcts_noise_alpha: 0.5, temperature: 0, drop_t_on_step: 4}
self_play: {alphazero: {mcts_noise_epsilon: 0, mcts_noise_alpha: null, drop_t_on_step: 8}}
";
    let given = given().playable().trainer(yaml);
    let search = given.settings().search;
    assert_eq!((search.noise_epsilon, search.noise_alpha), (0.0, Some(0.5)));
    assert_eq!((search.temperature, search.drop_t_on_step), (0.0, Some(8)));
    assert_eq!(given.source("search.noise_epsilon"), "run/config.yaml: self_play.alphazero.mcts_noise_epsilon");
    assert_eq!(given.source("search.temperature"), "run/config.yaml: alphazero.temperature");
}

#[test]
fn a_file_that_extends_others_is_read_with_them() {
    let given = given().playable().trainer(
        "extend: bases/b.yaml\nquoridor: {max_steps: 100}\nalphazero: {mcts_n: 200}\nself_play: {alphazero: null}\n",
    );
    fs::create_dir(given.dir.path().join("bases")).unwrap();
    given.file("bases/b.yaml", "extend: ../c.yaml\nalphazero: {mcts_n: 7, mcts_c_puct: 1.2}\n");
    given.file(
        "c.yaml",
        "quoridor: {board_size: 5, max_walls: 3, max_steps: 7}\nalphazero: {mcts_c_puct: 7}\n\
         self_play: {parallel_games: 64, alphazero: {mcts_noise_epsilon: 0.5}}\nextend: null\n",
    );
    let settings = given.settings();
    assert_eq!(
        settings.game,
        GameSettings { name: "quoridor".to_owned(), board_size: 5, max_walls: 3, max_steps: Some(100) }
    );
    assert_eq!((settings.search.mcts_n, settings.search.c_puct, settings.play.games()), (Some(200), 1.2, 64));
    assert_eq!(settings.search.noise_epsilon, 0.25, "what the file sets to null is not set");
    assert_eq!(given.source("search.c_puct"), "run/bases/b.yaml: alphazero.mcts_c_puct");
    assert_eq!(given.source("play.games_per_process"), "run/bases/../c.yaml: self_play.parallel_games");
    assert_eq!(given.warnings(), [""; 0]);
}

#[test]
fn the_newer_spelling_wins_and_a_difference_is_said() {
    let yaml = TRAINER.replace("program: rust", "games_per_process: 64");
    let given = given().playable().trainer(yaml);
    assert_eq!(given.settings().play.games(), 64);
    let warning =
        "run/config.yaml: self_play.parallel_games = 16 has no effect beside self_play.games_per_process = 64";
    assert_eq!(given.warnings(), [warning]);
}

#[test]
fn evaluators_without_a_model_need_none() {
    let given = given().trainer(TRAINER).flag("--output-dir", "output.dir", "out").flag(
        "--evaluator",
        "inference.evaluator",
        "hash",
    );
    assert_eq!(given.settings().inference.evaluator, EvaluatorKind::Hash);
}

#[test]
fn words_and_nulls_take_back_what_a_lower_layer_set() {
    let given = given().playable().trainer(TRAINER).own("mine.toml", "[search]\nmcts_n = 'none'\nmcts_k = 3");
    assert_eq!((given.settings().search.mcts_n, given.settings().search.mcts_k), (None, 3));
    assert_eq!(given.warnings(), [""; 0]);
    let given = given.own("mine.yaml", "search: {mcts_n: null}\ngame: {max_steps: -1}\ncache:\n");
    assert_eq!((given.settings().search.mcts_n, given.settings().game.max_steps), (None, None));
    let given = given.env("SELFPLAYD__SEARCH__MCTS_N", "20");
    assert_eq!(given.settings().search.mcts_n, Some(20));
}

#[test]
fn values_from_the_environment_are_read_by_their_key() {
    let given = given()
        .playable()
        .trainer(TRAINER)
        .env("SELFPLAYD__CACHE__MAX_BYTES", "2 GB")
        .env("SELFPLAYD__SEARCH__TREE_REUSE", "false")
        .env("SELFPLAYD__SEARCH__TEMPERATURE", "0")
        .env("SELFPLAYD__OUTPUT__DIR", "007")
        .env("SELFPLAYD__INFERENCE__DEVICE", "cuda:1")
        .env("SELFPLAYD__INFERENCE__THREADS", "auto")
        .env("SELFPLAYD__PLAY__SEED", "9223372036854775807");
    let mut settings = given.settings();
    assert_eq!((settings.cache.max_bytes, settings.search.tree_reuse), (2_000_000_000, false));
    assert_eq!((settings.search.temperature, settings.inference.device.to_string()), (0.0, "cuda:1".to_owned()));
    assert_eq!((settings.inference.threads, settings.play.seed), (None, Some(i64::MAX as u64)));
    // The flag of `playable` wins over the environment; without it the directory keeps its zeros.
    let given = Given { flags: given.flags[1..].to_vec(), ..given };
    settings = given.settings();
    assert_eq!(settings.output.dir, Some("007".into()));
}

#[test]
fn an_empty_file_sets_nothing() {
    let given = given().playable().trainer(TRAINER).own("mine.yaml", "\u{feff}# nothing\n");
    given.settings();
}

#[test]
fn the_printed_settings_can_be_read_again() {
    let given = given().playable().trainer(TRAINER).env("SELFPLAYD__CACHE__MAX_BYTES", "1MiB").flag(
        "--shutdown-file",
        "daemon.shutdown_file",
        "C:\\odd \"name\"\n\u{7f}#é",
    );
    let toml = given.resolve().to_toml();
    insta::assert_snapshot!(given.plain(&toml));

    let again = self::given().own("printed.toml", &toml);
    assert_eq!(again.settings(), given.settings());
}

#[test]
fn the_hash_changes_with_the_games_and_only_with_them() {
    let hash = |given: Given| given.playable().trainer(TRAINER).settings().games_hash();
    let plain = hash(given());
    assert!(plain.len() == 16 && plain.chars().all(|digit| digit.is_ascii_hexdigit()), "{plain}");
    let stored = "stored with games, so it must stay the same from version to version";
    assert_eq!(plain, "d105116b10705e98", "{stored}");
    let in_flight = |k: &str, what: &str| {
        hash(given().env("SELFPLAYD__SEARCH__LEAF_PARALLELISM", k).env("SELFPLAYD__SEARCH__IN_FLIGHT", what))
    };
    // Games in which nothing is selected while a path is in flight are the same, whatever such a path counts for.
    assert_eq!([in_flight("1", "visits"), in_flight("1", "loss")], [plain.clone(), plain.clone()]);
    assert_eq!(in_flight("8", "loss"), "c39347ecc0c7ea62", "{stored}");
    assert_eq!(in_flight("8", "visits"), "92068ba1f2d2e32b", "{stored}");
    let root =
        |root: &str, m: &str| hash(given().env("SELFPLAYD__SEARCH__ROOT", root).env("SELFPLAYD__SEARCH__GUMBEL_M", m));
    assert_eq!(root("puct", "4"), plain, "what is not searched by says nothing about the games");
    let gumbel = root("gumbel", "16");
    assert!(gumbel != plain && gumbel != root("gumbel", "4"), "{gumbel}");
    for (name, value) in [
        ("PLAY__SEED", "3"),
        ("CACHE__MAX_BYTES", "0"),
        ("CACHE__SYMMETRY", "false"),
        ("INFERENCE__PRECISION", "fp32"),
        ("PLAY__THREADS", "2"),
        ("SEARCH__LEAF_PARALLELISM", "1"),
        ("SEARCH__SOLVER", "false"),
        ("PLAY__GAMES_PER_PROCESS", "1"),
        ("LOG__LEVEL", "off"),
    ] {
        assert_eq!(hash(given().env(&format!("SELFPLAYD__{name}"), value)), plain, "{name}");
    }
    for (name, value) in [
        ("GAME__MAX_STEPS", "3"),
        ("SEARCH__MCTS_N", "9"),
        ("SEARCH__SOLVER", "true"),
        ("CACHE__SYMMETRY", "true"),
        ("INFERENCE__PRECISION", "int8"),
        ("PLAY__P2", "random"),
        ("INFERENCE__EVALUATOR", "hash"),
    ] {
        assert_ne!(hash(given().env(&format!("SELFPLAYD__{name}"), value)), plain, "{name}");
    }
}

/// Options that searches had not at first are in the hash where they make a difference, and only there: hashes stored before stay.
#[test]
fn options_of_the_search_change_the_hash_where_they_are_in_use() {
    let hash = |pairs: &[(&str, &str)]| {
        let given = given().playable().trainer(TRAINER);
        let set = |given: Given, &(name, value): &(&str, &str)| given.env(&format!("SELFPLAYD__SEARCH__{name}"), value);
        pairs.iter().fold(given, set).settings().games_hash()
    };
    let plain = hash(&[]);
    for idle in [
        &[("C_PUCT_BASE", "500")][..],
        &[("FPU_ROOT_VALUE", "0.5")],
        &[("TEMPERATURE_END", "0.5")],
        &[("NOISE_SHAPE", "shaped"), ("NOISE_EPSILON", "0")],
        &[("N_COUNTS", "visits"), ("TREE_REUSE", "false")],
    ] {
        let without: Vec<_> =
            idle.iter().copied().filter(|(name, _)| ["NOISE_EPSILON", "TREE_REUSE"].contains(name)).collect();
        assert_eq!(hash(idle), hash(&without), "{idle:?}");
    }
    let mut hashes = vec![plain];
    for used in [
        &[("C_PUCT_GROWTH", "1")][..],
        &[("C_PUCT_GROWTH", "1"), ("C_PUCT_BASE", "500")],
        &[("FPU_VALUE", "0.2")],
        &[("FPU", "reduction")],
        &[("FPU_ROOT", "reduction")],
        &[("FPU_ROOT", "reduction"), ("FPU_ROOT_VALUE", "0.2")],
        &[("ROOT_POLICY_TEMPERATURE", "1.25")],
        &[("NOISE_SHAPE", "shaped")],
        &[("TEMPERATURE_HALFLIFE", "9")],
        &[("TEMPERATURE_HALFLIFE", "9"), ("TEMPERATURE_END", "0.5")],
        &[("N_COUNTS", "visits")],
    ] {
        hashes.push(hash(used));
        assert!(!hashes[..hashes.len() - 1].contains(&hashes[hashes.len() - 1]), "{used:?}");
        let gumbel = [&[("ROOT", "gumbel")], used].concat();
        let decays = used[0].0 == "TEMPERATURE_HALFLIFE";
        assert_eq!(hash(&gumbel) != hash(&[("ROOT", "gumbel")]), decays, "{used:?}");
    }
}

#[test]
fn what_many_leaves_cost_is_said_of_what_they_count_for() {
    let said = |what: &str| {
        let given = given().playable().trainer(TRAINER).env("SELFPLAYD__SEARCH__LEAF_PARALLELISM", "8");
        let given = given.env("SELFPLAYD__SEARCH__IN_FLIGHT", what);
        let [warning] = &given.warnings()[..] else { panic!("{:?}", given.warnings()) };
        warning.clone()
    };
    let (visits, losses) = (said("visits"), said("loss"));
    assert!(visits.contains("8 lost 15 Elo to 1") && !visits.contains("search.in_flight"), "{visits}");
    assert!(
        losses.contains("8 lost 102 Elo to 1") && losses.contains("set search.in_flight to \"visits\""),
        "{losses}"
    );
}

#[test]
fn what_gumbels_rule_has_no_use_for_is_said_only_where_it_is_stated() {
    let yaml = "quoridor: {board_size: 5, max_walls: 1, max_steps: 50}\nalphazero: {mcts_n: 300}";
    let gumbel = || given().playable().trainer(yaml).flag("--root", "search.root", "gumbel");
    assert_eq!(gumbel().warnings(), [""; 0]);
    let stated = gumbel()
        .env("SELFPLAYD__SEARCH__TREE_REUSE", "true")
        .env("SELFPLAYD__SEARCH__NOISE_EPSILON", "0.25")
        .env("SELFPLAYD__SEARCH__MCTS_N", "20");
    let [tree, noise, halving] = &stated.warnings()[..] else { panic!("{:?}", stated.warnings()) };
    assert!(tree.starts_with("search.tree_reuse (env SELFPLAYD__SEARCH__TREE_REUSE) has no effect with"), "{tree}");
    assert!(noise.starts_with("search.noise_epsilon (env"), "{noise}");
    assert!(halving.contains("search.gumbel_m = 16 leaves little to halve of 20 simulations"), "{halving}");
    for (name, value) in [
        ("FPU", "reduction"),
        ("FPU_VALUE", "0.2"),
        ("FPU_ROOT", "absolute"),
        ("C_PUCT_GROWTH", "1"),
        ("ROOT_POLICY_TEMPERATURE", "1.25"),
        ("NOISE_SHAPE", "shaped"),
        ("N_COUNTS", "visits"),
    ] {
        let warnings = gumbel().env(&format!("SELFPLAYD__SEARCH__{name}"), value).warnings();
        let key = format!("search.{} (env", name.to_ascii_lowercase());
        assert!(warnings.iter().any(|warning| warning.starts_with(&key)), "{name}: {warnings:?}");
    }
    let without = gumbel().env("SELFPLAYD__SEARCH__TREE_REUSE", "false").env("SELFPLAYD__SEARCH__NOISE_EPSILON", "0");
    assert_eq!(without.warnings(), [""; 0]);
    let leaves = gumbel().env("SELFPLAYD__SEARCH__LEAF_PARALLELISM", "8");
    assert_eq!(leaves.warnings(), [""; 0], "the actions of a round do not depend on each other");
}

/// Names of the keys of a TOML text, also of those that are commented out.
fn documented_keys(toml: &str) -> BTreeSet<String> {
    let (mut keys, mut section, mut documented) = (BTreeSet::new(), "", false);
    for line in toml.lines() {
        let key = line.trim_start_matches("# ").split_once(" = ").map(|(key, _)| key);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some(key) =
            key.filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        {
            assert!(documented, "{section}.{key} has no comment");
            keys.insert(format!("{section}.{key}"));
        }
        documented = line.starts_with('#');
    }
    keys
}

#[test]
fn the_default_file_documents_exactly_the_keys_of_the_settings() {
    let table: BTreeSet<_> = KEYS.iter().map(|key| key.path.to_owned()).collect();
    assert_eq!(documented_keys(include_str!("../../configs/default.toml")), table);

    let settings = serde_json::to_value(given().playable().trainer(TRAINER).settings()).unwrap();
    let mut fields = BTreeSet::new();
    for (section, inner) in settings.as_object().unwrap() {
        fields.extend(inner.as_object().unwrap().keys().map(|key| format!("{section}.{key}")));
    }
    assert_eq!(fields, table);

    let set: BTreeSet<_> = layer::defaults().values().keys().cloned().collect();
    let unset: Vec<_> = table.difference(&set).collect();
    assert_eq!(unset, ["game.board_size", "game.max_walls"]);
}
