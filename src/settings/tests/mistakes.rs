//! What is said about wrong, missing and odd settings.

use super::*;

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
fn what_is_nearly_a_key_or_section_of_the_trainers_is_a_warning() {
    let warnings = |yaml: String| given().playable().trainer(yaml).warnings();
    let with = |from: &str, to: &str| warnings(TRAINER.replace(from, to));
    let nothing_says = "nothing says how many simulations a move gets, so it gets 10 for each legal action: set \
                        alphazero.mcts_n in the trainer's file, or search.mcts_n";
    let near = |unknown: &str, meant: &str| {
        format!("run/config.yaml: {unknown} is not known and has no effect; did you mean {meant}?")
    };
    let mtcs = near("alphazero.mtcs_n", "alphazero.mcts_n");
    assert_eq!(with("mcts_n:", "mtcs_n:"), [mtcs, nothing_says.to_owned()]);
    // That games have no limit then is another warning.
    assert_eq!(with("max_steps", "max_step")[0], near("quoridor.max_step", "quoridor.max_steps"));
    for (from, to, unknown, meant) in [
        ("type: resnet", "typ: mlp", "alphazero.network.typ", "alphazero.network.type"),
        ("self_play:", "selfplay:", "selfplay", "self_play"),
        ("self_play:", "Self_Play:", "Self_Play", "self_play"),
        ("training:", "mcts_k: 3\ntraining:", "mcts_k", "alphazero.mcts_k"),
        ("mcts_noise_epsilon: 0.3", "mcts_n: 5", "self_play.alphazero.mcts_n", "alphazero.mcts_n"),
    ] {
        assert_eq!(with(from, to), [near(unknown, meant)], "{to}");
    }
    // Its own keys and sections, however they are spelt, and what is like none of ours.
    let own = "wandb: {project: x}\nai_report: {every: 5 models}\nbenchmarks: []\ntraning: {batch_size: 3}\n";
    assert_eq!(warnings(format!("{TRAINER}{own}")), [""; 0]);
    assert_eq!(with("num_blocks", "num_block"), [""; 0]);
    assert_eq!(with("mcts_c_puct: 1.2", "mcts_c_puct: 1.2\n  max_steps: 5\n  colour: red"), [""; 0]);
}

#[test]
fn what_is_nearly_a_variable_of_ours_is_a_warning() {
    let given = given()
        .playable()
        .trainer(TRAINER)
        .env("SELFPLAYD_PLAY_SEED", "5")
        .env("SELFPLAYD_PLAY__SEED", "5")
        .env("SELFPLAYD_LEAF_PARALLELISM", "5")
        .env("SELFPLAYD_PLAY_COLOUR", "red")
        .env("selfplayd__cache__max_bytes", "0")
        .env("SELFPLAYD_HOME", "/somewhere")
        .env("SELFPLAYDX", "1");
    assert_eq!(given.settings().play.seed, None);
    let expected = [
        "env SELFPLAYD_LEAF_PARALLELISM has no effect; did you mean SELFPLAYD__SEARCH__LEAF_PARALLELISM?",
        "env SELFPLAYD_PLAY_COLOUR has no effect: variables are named SELFPLAYD__SECTION__KEY; `selfplayd config` lists \
         all keys",
        "env SELFPLAYD_PLAY_SEED has no effect; did you mean SELFPLAYD__PLAY__SEED?",
        "env SELFPLAYD_PLAY__SEED has no effect; did you mean SELFPLAYD__PLAY__SEED?",
        "env selfplayd__cache__max_bytes has no effect; did you mean SELFPLAYD__CACHE__MAX_BYTES?",
    ];
    assert_eq!(given.warnings(), expected);
}

#[test]
fn files_that_cannot_be_extended_are_refused() {
    let given = given().playable().trainer("extend: base.yaml\nquoridor: {board_size: 5}\n");
    let message = given.message();
    assert!(only(&message).starts_with("run/config.yaml: extend run/base.yaml: "), "{message}");
    given.file("base.yaml", "extend: ./config.yaml\n");
    let message = given.message();
    assert!(only(&message).ends_with("files extend each other: does one extend itself?"), "{message}");
    given.file("base.yaml", "extend: [a, b]\n");
    let message = given.message();
    let expected = "run/config.yaml: extend run/base.yaml: extend must be the path of the file that this one extends";
    assert_eq!(only(&message), expected);
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
    assert_eq!(given.settings().leaf_parallelism(), 1);

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

#[test]
fn a_precision_is_one_that_the_device_can_have() {
    let given = |precision: &str, device: &str| {
        let given = given().playable().trainer(TRAINER).flag("--precision", "inference.precision", precision);
        given.flag("--device", "inference.device", device)
    };
    assert_eq!(given("int8", "auto").settings().inference.precision, Precision::Int8.into());
    assert_eq!(given("fp16", "cuda:1").settings().inference.precision, Precision::Fp16.into());
    assert_eq!(
        only(&given("int8", "cuda").message()),
        "inference.precision = \"int8\" (flag --precision): must be a precision that inference.device = \"cuda:0\" can \
         have: int8 is for CPUs: on a GPU it would only round numbers; fp16 is faster there"
    );
    let message = given("fp8", "cpu").message();
    assert!(only(&message).contains("\"fp32\" or \"int8\" or \"bf16\" or \"fp16\""), "{message}");
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

/// Calls `with` on a thread with as little stack as any the daemon has, so that unbounded recursion shows.
fn on_a_small_stack(with: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(1 << 20).spawn(with).unwrap().join().unwrap();
}

#[test]
fn files_made_to_exhaust_stack_or_memory_are_refused() {
    on_a_small_stack(|| {
        let laughs = (1..10).map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(",")));
        let laughter = format!("a0: &a0 [x,x,x,x,x,x,x,x,x]\n{}", laughs.collect::<String>());
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 10_000].join(","));
        let (nested, dots) = (|open: &str| format!("a: {}", open.repeat(100_000)), vec!["a"; 100_000].join("."));
        let trainers =
            [nested("["), nested("{a: "), nested("- ").replacen("a: ", "", 1), "? ".repeat(100_000), laughter, long];
        for yaml in trainers {
            let message = given().playable().trainer(&yaml).message();
            let only = only(&message);
            assert!(only.starts_with("--config run/config.yaml: is not valid YAML: "), "{only}");
            assert!(only.len() < 1_000, "{only}");
        }
        for toml in [
            format!("a = {}", "[".repeat(100_000)),
            "a = ".to_owned() + &"{a=".repeat(100_000),
            dots.clone() + " = 1",
            format!("[{dots}]"),
        ] {
            let message = given().playable().trainer(TRAINER).own("mine.toml", &toml).message();
            let only = only(&message);
            assert!(only.starts_with("--settings run/mine.toml: is not valid TOML: "), "{only}");
            assert!(only.len() < 1_000, "{only}");
        }
    });
}

#[test]
fn enormous_files_are_refused_unread() {
    let given = given().playable().trainer("");
    let file = fs::File::options().write(true).open(given.trainer.as_ref().unwrap()).unwrap();
    // A hole: the file has a terabyte, and the disk need not.
    file.set_len(1 << 40).unwrap();
    let message = "--config run/config.yaml: is larger than the 1024 KiB that settings may have";
    assert_eq!(only(&given.message()), message);

    let padded = |bytes: usize| format!("{TRAINER}#{}", " ".repeat(bytes - TRAINER.len() - 1));
    self::given().playable().trainer(padded(1 << 20)).settings();
    assert_eq!(only(&self::given().playable().trainer(padded((1 << 20) + 1)).message()), message);
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let mut given = given().playable();
    let pipe = given.dir.path().join("pipe.yaml");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for (path, name) in [(pipe, "run/pipe.yaml"), ("/dev/zero".into(), "/dev/zero")] {
        given.trainer = Some(path);
        let message = format!("--config {name}: is not a regular file, but a pipe, a socket or a device");
        assert_eq!(only(&given.message()), message);
    }
}

#[test]
fn half_written_and_odd_files_give_one_clear_error_each() {
    let trainers: [(&str, &[u8]); 12] = [
        ("empty", b""),
        ("blank", b"\xef\xbb\xbf# nothing\r\n"),
        ("null", b"~\n"),
        ("a word", b"quoridor\n"),
        ("half a key", b"quoridor:\n  board_size: 5\n  max_wal"),
        ("half a list", b"quoridor: {board_size: 5}\ntraining: [1, 2"),
        ("half a text", b"quoridor: {board_size: 5}\nrun_id: 'abc\n"),
        ("zeros", &[0; 4096]),
        ("UTF-16", b"\xff\xfeq\0u\0o\0r\0"),
        ("an unknown anchor", b"quoridor: *rules\n"),
        ("an alias of itself", b"quoridor: &a {board_size: *a}\n"),
        ("a section as key", b"{a: b}: 1\n"),
    ];
    let mut messages = String::new();
    for (what, content) in trainers {
        let given = given().trainer(content).playable();
        messages.push_str(&format!("{what}: {}\n", only(&given.message())));
    }
    insta::assert_snapshot!(messages);
}

#[test]
fn files_in_other_dress_are_read_alike() {
    let plain = given().playable().trainer(TRAINER).settings();
    let anchors = TRAINER.replace("board_size: 5", "board_size: &five 5") + "other: *five\nlast: !!python/tuple [1]\n";
    let merged = format!("rules: &rules {{board_size: 5, max_walls: 3}}\n{TRAINER}")
        .replace("quoridor: {board_size: 5, max_walls: 3,", "quoridor: {<<: *rules,");
    let large = format!("{TRAINER}large: [18446744073709551615, 99999999999999999999999, .nan]\n3: {{true: 1}}\n");
    for yaml in [format!("\u{feff}{TRAINER}"), TRAINER.replace('\n', "\r\n"), anchors, merged, large] {
        assert_eq!(given().playable().trainer(&yaml).settings(), plain, "{yaml}");
    }
}

#[test]
fn numbers_that_are_none_of_ours_are_refused_by_their_key() {
    let numbers = [
        ("mcts_n: 300", "mcts_n: 99999999999999999999999999", "search.mcts_n = 1e26"),
        ("mcts_n: 300", "mcts_n: 18446744073709551615", "search.mcts_n = 18446744073709551615"),
        ("mcts_n: 300", "mcts_n: 10000001", "search.mcts_n = 10000001"),
        ("mcts_n: 300", "mcts_n: '300'", "search.mcts_n = \"300\""),
        ("mcts_n: 300", "mcts_n: >-\n    300", "search.mcts_n = \"300\""),
        ("mcts_n: 300", "mcts_n: 3e2", "search.mcts_n = 300.0"),
        ("mcts_n: 300", "mcts_n: true", "search.mcts_n = true"),
        ("mcts_n: 300", "mcts_n: -0.0", "search.mcts_n = -0.0"),
        ("mcts_c_puct: 1.2", "mcts_c_puct: .nan", "search.c_puct = NaN"),
        ("mcts_c_puct: 1.2", "mcts_c_puct: -.inf", "search.c_puct = -inf"),
        ("mcts_c_puct: 1.2", "mcts_c_puct: 1e999", "search.c_puct = inf"),
        ("mcts_c_puct: 1.2", "mcts_c_puct: -0.0", "search.c_puct = -0.0"),
        ("mcts_c_puct: 1.2", "mcts_c_puct: 1e-60", "search.c_puct = 1e-60"),
        ("mcts_c_puct: 1.2", "temperature: .nan", "search.temperature = NaN"),
        ("board_size: 5", "board_size: 2", "game.board_size = 2"),
        ("board_size: 5", "board_size: 12", "game.board_size = 12"),
        ("max_walls: 3", "max_walls: 65", "game.max_walls = 65"),
        ("max_walls: 3", "max_walls: -1", "game.max_walls = -1"),
        ("max_steps: 200", "max_steps: 0", "game.max_steps = 0"),
        ("parallel_games: 16", "parallel_games: 0", "play.games_per_process = 0"),
        ("parallel_games: 16", "eval_batch_size: 0", "inference.eval_batch_size = 0"),
        ("parallel_games: 16", "eval_cache_max_size: -1", "cache.max_entries = -1"),
        ("mcts_n: 300", "mcts_k: 0", "search.mcts_k = 0"),
    ];
    for (good, bad, named) in numbers {
        let message = given().playable().trainer(TRAINER.replace(good, bad)).message();
        let only = only(&message);
        assert!(only.starts_with(&format!("{named} (run/config.yaml: ")) && only.contains(": must be "), "{only}");
    }
}

#[test]
fn a_cache_too_small_for_any_evaluation_is_refused() {
    let with = |bytes: &str| given().playable().trainer(TRAINER).env("SELFPLAYD__CACHE__MAX_BYTES", bytes);
    for small in ["1", "4095B"] {
        let message = with(small).message();
        assert!(only(&message).contains("must be 0, for no cache, or at least 4096 bytes"), "{message}");
    }
    assert!(!with("0").settings().cache.enabled());
    assert!(with("4KiB").settings().cache.enabled());
}

#[test]
fn names_with_dots_or_control_characters_are_no_keys() {
    let own = "\"search.mcts_n\" = 5\n\"a\\u001b[31m\" = 1\n";
    let message = given().playable().trainer(TRAINER).own("mine.toml", own).message();
    assert!(message.contains("\"search.mcts_n\" (run/mine.toml): unknown key"), "{message}");
    assert!(message.contains("a\\u{1b}[31m (run/mine.toml)"), "{message}");

    let yaml = TRAINER.replace("quoridor: {board_size: 5,", "quoridor.board_size: 7\nquoridor: {board_size: 5,");
    assert_eq!(given().playable().trainer(yaml).settings().game.board_size, 5);
}

#[test]
fn messages_stay_short_whatever_they_quote() {
    let long = |length: usize| "k".repeat(length);
    let own = format!("{} = 1\n[log]\nlevel = '{}'\n[search]\n{} = 1\n", long(300_000), long(300_000), long(99));
    let message = given().playable().trainer(TRAINER).own("mine.toml", &own).message();
    assert!(message.starts_with("3 mistakes in the settings:\n") && message.len() < 2_000, "{message}");

    let many: String = (0..10_000).map(|n| format!("k{n} = 1\n")).collect();
    let message = given().playable().trainer(TRAINER).own("mine.toml", &many).message();
    assert!(message.starts_with("10000 mistakes in the settings:\n"), "{message}");
    assert!(message.ends_with("\n  and 9950 more") && message.len() < 10_000, "{message}");
}

#[cfg(unix)]
#[test]
fn names_in_the_environment_that_are_not_utf8_are_unknown_keys() {
    use std::os::unix::ffi::OsStringExt as _;

    let mut given = given().playable().trainer(TRAINER);
    given.environment.insert(OsString::from_vec(b"SELFPLAYD__LOG__LEV\xff".to_vec()), "info".into());
    let message = given.message();
    assert!(only(&message).starts_with("log.lev\u{fffd} (env SELFPLAYD__LOG__LEV\u{fffd}): unknown key"), "{message}");
}
