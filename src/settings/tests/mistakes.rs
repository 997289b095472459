//! What is said about wrong, missing and odd settings.

use super::*;

/// The only line of a message below its heading.
fn only(message: &str) -> &str {
    message.strip_prefix("1 mistake in the settings:\n  ").unwrap_or_else(|| panic!("not one mistake: {message}"))
}

#[test]
fn unknown_keys_of_self_play_are_warnings() {
    let yaml = TRAINER.replace("program: rust", "leaf_paralelism: 4").replace("mcts_noise_epsilon", "colour");
    let given = given().playable().trainer(yaml);
    given.settings();
    let expected = [
        "run/config.yaml: self_play.alphazero.colour is not known and has no effect",
        "run/config.yaml: self_play.leaf_paralelism is not known and has no effect; did you mean self_play.leaf_parallelism?",
    ];
    assert_eq!(given.warnings(), expected);
}

#[test]
fn all_mistakes_at_once() {
    let yaml = TRAINER
        .replace("max_walls: 3", "max_walls: many")
        .replace("mcts_n: 300", "mcts_n: 1")
        .replace("num_workers: 2", "num_workers: [1, 2]");
    let own = "
[search]
leaf_parallelsim = 4
temperature = -1
c_puct = nan
[cache]
max_bytes = '12 parsecs'
[play]
num_games = 0
threads = 2.5
[inference]
device = 'tpu'
";
    let given = given()
        .trainer(yaml)
        .own("mine.toml", own)
        .env("SELFPLAYD__INFERENCE__EVAL_BATCH_SIZE", "lots")
        .env("SELFPLAYD__LEAF_PARALLELISM", "4")
        .env("SELFPLAYD__LOG__LEVEL", "loud")
        .env("SELFPLAYD_HOME", "/somewhere")
        .flag("--grace-seconds", "daemon.grace_seconds", "inf")
        .flag("--continuous", "daemon.continuous", "true");
    insta::assert_snapshot!(given.message());
}

#[test]
fn what_is_missing_says_how_to_give_it() {
    insta::assert_snapshot!(given().message());
}

#[test]
fn continuous_mode_needs_the_latest_model() {
    let given = given().playable().trainer(TRAINER).flag("--continuous", "daemon.continuous", "true");
    assert_eq!(
        only(&given.message()),
        "model.latest_yaml is missing: continuous mode follows the trainer's latest.yaml: name it with --latest-model-yaml, or \
         what to follow instead with --model-source"
    );
    let given = given.flag("--latest-model-yaml", "model.latest_yaml", "latest.yaml");
    assert_eq!(given.settings().model.latest_yaml, Some("latest.yaml".into()));
    let warning = "model.path (flag --model-path) has no effect in continuous mode, which follows new models";
    assert_eq!(given.warnings(), [warning]);
}

#[test]
fn continuous_mode_follows_one_source() {
    let given = || given().playable().trainer(TRAINER).flag("--continuous", "daemon.continuous", "true");
    let source = |given: Given| given.flag("--model-source", "model.source", "models");
    assert_eq!(source(given()).settings().model.source, Some("models".into()));
    let both = source(given()).flag("--latest-model-yaml", "model.latest_yaml", "latest.yaml");
    assert_eq!(
        only(&both.message()),
        "model.source = \"models\" (flag --model-source): must be \"none\" beside model.latest_yaml, as only one of the two \
         can be followed"
    );
    let roots = source(given()).env("SELFPLAYD__MODEL__ALLOWED_ROOTS", ":");
    assert!(only(&roots.message()).ends_with("must be directories separated by colons, or \"none\" for any"));
}

#[test]
fn simulations_bound_the_parallel_leaves() {
    let few = TRAINER.replace("mcts_n: 300", "mcts_n: 4");
    let given = given().playable().trainer(few);
    assert_eq!(given.settings().search.leaf_parallelism, 4);
    assert_eq!(given.source("search.leaf_parallelism"), "default, lowered to search.mcts_n");

    let given = given.flag("--leaf-parallelism", "search.leaf_parallelism", "5");
    let message = "search.leaf_parallelism = 5 (flag --leaf-parallelism): must be at most search.mcts_n, which is 4";
    assert_eq!(only(&given.message()), message);
}

#[test]
fn the_raw_agent_needs_no_simulations() {
    let given = given().playable().trainer(TRAINER.replace("mcts_n: 300", "mcts_n: 0"));
    let message = "search.mcts_n = 0 (run/config.yaml: alphazero.mcts_n): must be at least 2, as with fewer simulations \
                   no move gets a visit";
    assert_eq!(only(&given.message()), message);
    assert_eq!(given.flag("--use-raw-onnx-agent", "play.agent", "raw").settings().play.agent, Agent::Raw);
}

#[cfg(unix)]
#[test]
fn an_environment_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;

    let mut given = given().playable().trainer(TRAINER);
    given.environment.insert("SELFPLAYD__LOG__LEVEL".into(), OsString::from_vec(b"in\xfffo".to_vec()));
    given.environment.insert(OsString::from_vec(b"OTHER\xff".to_vec()), "1".into());
    let message = "log.level = in\u{fffd}fo (env SELFPLAYD__LOG__LEVEL): must be UTF-8 text";
    assert_eq!(only(&given.message()), message);
}

#[test]
fn text_in_a_file_is_not_a_number() {
    let given = given().playable().trainer(TRAINER.replace("board_size: 5", "board_size: '5'"));
    let message = "game.board_size = \"5\" (run/config.yaml: quoridor.board_size): must be a whole number from 3 to 9";
    assert_eq!(only(&given.message()), message);
}

#[test]
fn unknown_keys_of_ours_name_the_nearest() {
    let nearest = [
        ("[search]\nleaf_paralelism = 1", "search.leaf_paralelism", "search.leaf_parallelism"),
        ("[play]\nleaf_parallelism = 1", "play.leaf_parallelism", "search.leaf_parallelism"),
        ("[self_play]\nparallel_games = 1", "self_play.parallel_games", "play.games_per_process"),
        ("[alphazero]\nmcts_c_puct = 1", "alphazero.mcts_c_puct", "search.c_puct"),
    ];
    for (toml, key, nearest) in nearest {
        let given = given().playable().trainer(TRAINER).own("mine.toml", toml);
        let expected = format!("{key} (run/mine.toml): unknown key, did you mean {nearest}?");
        assert_eq!(only(&given.message()), expected);
    }
    let given = given().playable().trainer(TRAINER).own("mine.toml", "colour = 'blue'");
    let expected = "colour (run/mine.toml): unknown key; `selfplayd config` lists all keys";
    assert_eq!(only(&given.message()), expected);
}

#[test]
fn unusable_files_give_one_clear_error_each() {
    let trainers: [(&str, &[u8]); 7] = [
        ("tabs", b"quoridor:\n\tboard_size: 5\n"),
        ("duplicate key", b"quoridor:\n  board_size: 5\n  board_size: 9\n"),
        ("binary", b"\x93NUMPY\x01\x00\xff\xfe"),
        ("not UTF-8", b"run_id: caf\xe9\n"),
        ("a list", b"- quoridor\n- alphazero\n"),
        ("two documents", b"a: 1\n---\nb: 2\n"),
        ("unclosed", b"quoridor: {board_size: 5\n"),
    ];
    let mut messages = String::new();
    for (what, content) in trainers {
        let given = given().trainer(content).playable();
        messages.push_str(&format!("{what}: {}\n", only(&given.message())));
    }
    let own = [("mine.toml", "[search]\nmcts_n = \n"), ("twice.toml", "[search]\na = 1\na = 2\n"), ("mine.ini", "a=1")];
    for (name, content) in own {
        let given = given().playable().own(name, content);
        messages.push_str(&format!("{name}: {}\n", only(&given.message())));
    }
    let mut absent = given();
    absent.trainer = Some(absent.dir.path().join("absent.yaml"));
    absent.own = Some(absent.dir.path().to_path_buf());
    messages.push_str(&format!("absent file and a directory: {}\n", absent.message()));
    insta::assert_snapshot!(messages);
}

#[test]
fn a_value_in_place_of_a_section() {
    let given = given()
        .playable()
        .trainer(format!("{TRAINER}\n").replace("  alphazero: {mcts_noise_epsilon: 0.3}", "  alphazero: 3"));
    let given = given.own("mine.yaml", "search: 5");
    insta::assert_snapshot!(given.message());
}

#[test]
fn warnings_about_what_was_probably_not_meant() {
    let own = "
[play]
seed = 3
num_games = 5
[search]
mcts_k = 4
[inference]
eval_batch_size = 2048
eval_max_wait_ms = 2
[metrics]
profile_counters = true
dir = 'm'
";
    let given = given()
        .playable()
        .trainer(TRAINER.replace("max_walls: 3", "max_walls: 17"))
        .own("mine.toml", own)
        .flag("--continuous", "daemon.continuous", "true")
        .flag("--latest-model-yaml", "model.latest_yaml", "latest.yaml");
    given.settings();
    insta::assert_snapshot!(given.warnings().join("\n"));
}
