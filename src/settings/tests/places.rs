//! What is said about directories and files that settings name.

use std::os::unix::fs::symlink;

use super::*;

/// Settings that could play, with `value` for `key`.
fn with(given: Given, key: &'static str, value: &str) -> Given {
    let value = value.replace("run/", &format!("{}/", given.dir.path().display()));
    given
        .trainer(TRAINER)
        .flag("--model-path", "model.path", "m.onnx")
        .flag("--output-dir", "output.dir", "out")
        .flag("--it", key, &value)
}

#[test]
fn directories_that_can_never_be_are_refused_and_nothing_is_created() {
    for key in ["output.dir", "output.spool_dir", "metrics.dir"] {
        let given = given();
        let file = given.file("file", "");
        symlink("nowhere", given.dir.path().join("link")).unwrap();
        let given = with(given, key, "run/file");
        let must = format!("{key} = \"run/file\" (flag --it): must be a directory or a name for a new one");
        assert!(given.message().contains(&format!("{must}, but run/file is no directory")), "{}", given.message());
        for (place, because) in [
            ("run/file/below/it", "run/file is no directory"),
            ("/dev/null/x", "/dev/null is no directory"),
            ("run/link", "run/link is a link to nothing"),
        ] {
            let given = with(Given { flags: Vec::new(), ..self::given() }, key, place);
            fs::write(given.dir.path().join("file"), "").unwrap();
            symlink("nowhere", given.dir.path().join("link")).unwrap();
            assert!(given.message().contains(because), "{}", given.message());
        }
        with(self::given(), key, "run/new/deep").settings();
        assert_eq!(fs::read(file).unwrap(), b"");
        assert!(!given.dir.path().join("new").exists(), "looking changes nothing");
    }
}

#[test]
fn the_spool_is_another_directory_than_the_one_that_fails() {
    for same in ["run/games", "run/games/tmp", "run/./x/../games/", "run/link"] {
        let given = given();
        fs::create_dir_all(given.dir.path().join("games")).unwrap();
        fs::create_dir_all(given.dir.path().join("x")).unwrap();
        symlink("games", given.dir.path().join("link")).unwrap();
        let games = given.dir.path().join("games").display().to_string();
        let given = with(given, "output.spool_dir", same).flag("--output-dir", "output.dir", &games);
        let message = given.message();
        assert!(message.contains("must be another directory than output.dir and its tmp"), "{same}: {message}");
    }
    let given = given();
    let games = given.dir.path().join("games").display().to_string();
    with(given, "output.spool_dir", "run/spool").flag("--output-dir", "output.dir", &games).settings();
}

#[test]
fn games_are_prepared_on_the_file_system_that_they_go_to() {
    use std::os::unix::fs::MetadataExt as _;

    let given = given();
    let elsewhere = std::path::Path::new("/dev/shm");
    let device = |path: &std::path::Path| fs::metadata(path).ok().map(|metadata| metadata.dev());
    if device(elsewhere).is_none() || device(elsewhere) == device(given.dir.path()) {
        return;
    }
    let games = given.dir.path().join("games");
    fs::create_dir(&games).unwrap();
    symlink(elsewhere, games.join("tmp")).unwrap();
    let given = with(given, "output.dir", "run/games");
    let message = given.message();
    assert!(message.contains("run/games/tmp is on another: remove that link or mount"), "{message}");
}

#[test]
fn the_shutdown_file_is_one_that_can_appear() {
    let key = "daemon.shutdown_file";
    let directory = with(given(), key, "run/.");
    assert!(directory.message().contains("a directory is there already"), "{}", directory.message());

    let present = given();
    present.file(".shutdown", "");
    let present = with(present, key, "run/.shutdown");
    present.settings();
    assert_eq!(present.warnings(), ["daemon.shutdown_file run/.shutdown exists: play ends before it begins"]);

    for usual in ["run/.shutdown", "run/later/.shutdown", ".shutdown-file-of-no-run"] {
        assert_eq!(with(given(), key, usual).warnings(), [""; 0]);
    }
}

#[test]
fn more_free_space_than_there_is_space_is_a_warning() {
    let given = with(given(), "output.min_free", "1000000TiB");
    given.settings();
    assert!(given.warnings()[0].contains("no game will ever start"), "{:?}", given.warnings());
    assert_eq!(with(self::given(), "output.min_free", "1").warnings(), [""; 0]);
}

#[test]
fn directories_beside_the_games_are_tried_before_play() {
    let mut settings = with(given(), "play.seed", "1").settings();
    let root = TempDir::new().unwrap();
    settings.output.spool_dir = Some(root.path().join("spool"));
    settings.metrics.dir = Some(root.path().join("metrics"));
    try_out(&settings).unwrap();
    assert!(root.path().join("spool").is_dir() && root.path().join("metrics").is_dir());

    settings.output.spool_dir = Some("/proc/selfplayd".into());
    settings.metrics.dir = Some("/dev/null/metrics".into());
    let message = try_out(&settings).unwrap_err().to_string();
    assert!(message.starts_with("2 mistakes in the settings:\n  output.spool_dir /proc/selfplayd: takes no files: "));
    assert!(message.contains("\n  metrics.dir /dev/null/metrics: takes no files: "), "{message}");
}
