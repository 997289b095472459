//! Changes as they are asked for, and what is passed on of them.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use clap::FromArgMatches as _;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::cli::{self, Cli};

/// Settings from files in a directory, and what was passed on to the games.
struct Stage {
    dir: TempDir,
    live: LiveSettings,
    passed_on: Arc<Mutex<Vec<root::SettingsChange>>>,
}

impl Stage {
    fn new(own: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("config.yaml"), "quoridor:\n  board_size: 5\n  max_walls: 3\nalphazero:\n  mcts_n: 20\n")
            .unwrap();
        fs::write(path("own.toml"), own).unwrap();
        let args = ["selfplayd".into(), "--config".into(), path("config.yaml"), "--settings".into(), path("own.toml")];
        let flags = Cli::from_arg_matches(&cli::command().get_matches_from(args)).unwrap().flags;
        let resolved = flags.resolve(Purpose::Bench, None);
        let settings = resolved.clone().into_settings().unwrap();
        let passed_on = Arc::new(Mutex::new(Vec::new()));
        let set = {
            let passed_on = Arc::clone(&passed_on);
            move |settings| passed_on.lock().unwrap().push(settings)
        };
        Self { live: LiveSettings::new(Origin { flags, resolved, parent: 1 }, settings, set), dir, passed_on }
    }

    fn own(&self) -> PathBuf {
        self.dir.path().join("own.toml")
    }

    fn change(&self, wanted: Value) -> Changes {
        self.live.change(wanted.as_object().unwrap(), "request")
    }

    /// What was passed on since the last call.
    fn passed_on(&self) -> Vec<root::SettingsChange> {
        std::mem::take(&mut *self.passed_on.lock().unwrap())
    }

    /// What needs no output directory; as play itself would read it.
    fn read_again(&self) -> Changes {
        self.live.read_again().unwrap()
    }
}

fn change(key: &str, from: Value, to: Value) -> Change {
    Change { key: key.to_owned(), from, to }
}

#[test]
fn what_can_be_changed_is_changed_and_passed_on() {
    let stage = Stage::new("");
    let changes = stage.change(json!({
        "play.games_per_process": 48,
        "inference": { "eval_max_wait_ms": 1.5 },
        "search": { "temperature": 0.7, "noise_alpha": "0.3" },
        "search.noise_epsilon": 0,
        "log.level": "debug",
    }));
    let expected = [
        change("search.noise_epsilon", json!(0.25), json!(0.0)),
        change("search.noise_alpha", json!("auto"), json!(0.3)),
        change("search.temperature", json!(1.0), json!(0.7)),
        change("play.games_per_process", json!("auto"), json!(48)),
        change("inference.eval_max_wait_ms", json!(0.0), json!(1.5)),
        change("log.level", json!("info"), json!("debug")),
    ];
    assert_eq!(changes, Changes { changed: expected.to_vec(), refused: Vec::new() });
    let [root::SettingsChange { games_at_once: Some(48), max_wait: Some(wait), terms: Some(terms), cache_bytes: None }] =
        &stage.passed_on()[..]
    else {
        panic!("passed on in one piece");
    };
    assert_eq!(*wait, Duration::from_micros(1500));
    assert_eq!((terms.settings.temperature, terms.settings.search.noise), (0.7, None));

    let again = stage.change(json!({ "search.temperature": 0.7 }));
    assert_eq!(again, Changes::default(), "it is so already");
    let [nothing] = &stage.passed_on()[..] else { panic!() };
    assert!(nothing.terms.is_none() && nothing.games_at_once.is_none() && nothing.max_wait.is_none());

    // A value that was open is open again.
    let changes =
        stage.change(json!({ "search.noise_alpha": null, "search.noise_epsilon": 0.25, "search.temperature": 1 }));
    assert_eq!(changes.changed.len(), 3);
    let back = stage.passed_on().pop().unwrap().terms.unwrap();
    assert_ne!(back.hash, terms.hash);
    assert_eq!(*back.hash, *Stage::new("").live.present.lock().unwrap().settings.games_hash(), "as at the start");
}

#[test]
fn one_mistake_is_enough_for_nothing_to_change() {
    let stage = Stage::new("");
    let changes = stage.change(json!({
        "search.temperature": -1,
        "search.noise_alpha": [],
        "play.games_per_process": "many",
        "play.seed": 3,
        "serach.temperature": 0.5,
        "inference.eval_max_wait_ms": 2,
        "search": 5,
    }));
    assert_eq!(changes.changed, []);
    let reasons: Vec<_> =
        changes.refused.iter().map(|refused| (refused.key.as_str(), refused.reason.as_str())).collect();
    insta::assert_debug_snapshot!(reasons);
    assert!(stage.passed_on().is_empty());
    assert_eq!(stage.change(json!({})), Changes::default());
}

#[test]
fn files_read_again_change_what_can_be_changed_and_say_what_cannot() {
    let output = TempDir::new().unwrap();
    let base = |more: &str| {
        format!("[output]\ndir = {:?}\n[inference]\nevaluator = \"hash\"\n{more}", output.path().display().to_string())
    };
    let stage = Stage::new(&base("[search]\ntemperature = 0.5\n"));
    assert_eq!(stage.read_again(), Changes::default());

    stage.change(json!({ "search.temperature": 0.9, "play.games_per_process": 7 }));
    fs::write(stage.own(), base("[search]\ntemperature = 0.6\nc_puct = 2.0\n[play]\nseed = 3\n")).unwrap();
    let changes = stage.read_again();
    // What the files say wins over what was asked for meanwhile.
    let expected = [
        change("search.temperature", json!(0.9), json!(0.6)),
        change("play.games_per_process", json!(7), json!("auto")),
    ];
    assert_eq!(changes.changed, expected);
    let refused: Vec<_> = changes.refused.iter().map(|refused| refused.key.as_str()).collect();
    assert_eq!(refused, ["search.c_puct", "play.seed"]);
    assert!(changes.refused[0].reason.starts_with("it stays 1.4 and not 2.0: search.c_puct needs a restart"));
    let present = stage.live.present.lock().unwrap().settings.clone();
    assert_eq!((present.search.temperature, present.search.c_puct, present.play.seed), (0.6, 1.4, None));
}

#[test]
fn files_with_a_mistake_change_nothing() {
    let stage = Stage::new("");
    stage.passed_on();
    for bad in ["[search]\ntemperature = 0.5\nc_puct = -1\n", "[search\n", "[search]\ntemprature = 1\n"] {
        fs::write(stage.own(), bad).unwrap();
        stage.live.read_again().unwrap_err();
    }
    fs::remove_file(stage.own()).unwrap();
    let error = stage.live.read_again().unwrap_err();
    assert!(error.to_string().contains("own.toml"), "{error}");
    assert!(stage.passed_on().is_empty());
    assert_eq!(stage.live.present.lock().unwrap().settings.search.temperature, 1.0);
}

#[test]
fn more_games_than_memory_holds_are_refused_with_the_most_that_it_does() {
    let stage = Stage::new("[memory]\nmax_bytes = \"64MiB\"\n[inference]\nthreads = 1\n");
    let changes = stage.change(json!({ "play.games_per_process": 60_000, "search.temperature": 0.5 }));
    assert_eq!(changes.changed, []);
    let [Refused { key, reason }] = &changes.refused[..] else { panic!("{changes:?}") };
    assert_eq!(key, "play.games_per_process");
    let (before, most) = reason.split_once("at most ").unwrap();
    assert!(before.starts_with("60000 games may need more memory than the 64 MiB"), "{reason}");
    assert!(stage.passed_on().is_empty());

    let most: u32 = most.parse().unwrap();
    assert!((100..60_000).contains(&most), "{most}");
    assert_eq!(stage.change(json!({ "play.games_per_process": most + 1 })).refused.len(), 1);
    let changes = stage.change(json!({ "play.games_per_process": most }));
    assert!(changes.refused.is_empty(), "{changes:?}");
    assert_eq!(stage.passed_on()[0].games_at_once, Some(most as usize));
    // What was too much before can be taken back.
    assert!(stage.change(json!({ "play.games_per_process": 8 })).refused.is_empty());
    assert_eq!(stage.passed_on()[0].games_at_once, Some(8));
}

#[test]
fn what_was_cut_to_fit_into_memory_is_no_change_of_the_files_and_too_many_games_in_them_are_refused() {
    let output = TempDir::new().unwrap();
    let dir = output.path().display().to_string();
    let own = |games: u32, temperature: f64| {
        format!(
            "[output]\ndir = {dir:?}\n[memory]\nmax_bytes = \"64MiB\"\n[inference]\nevaluator = \"hash\"\nthreads = 1\n\
             [play]\ngames_per_process = {games}\n[search]\ntemperature = {temperature}\n"
        )
    };
    let stage = Stage::new(&own(32, 1.0));
    // As a start does where memory is short.
    stage.live.present.lock().unwrap().settings.cache.max_bytes = 16 << 20;
    assert_eq!(stage.read_again().refused, [], "nothing was written");

    fs::write(stage.own(), own(60_000, 0.5)).unwrap();
    let Changes { changed, refused } = stage.read_again();
    assert!(changed.contains(&change("search.temperature", json!(1.0), json!(0.5))), "{changed:?}");
    assert!(changed.iter().all(|change| change.key != "play.games_per_process"), "{changed:?}");
    let [Refused { key, reason }] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(key, "play.games_per_process");
    assert!(reason.starts_with("60000 games may need more memory than the 64 MiB"), "{reason}");
    assert_eq!(stage.live.present.lock().unwrap().settings.play.games(), 32);
}
