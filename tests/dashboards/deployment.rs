//! Units of systemd, the container, and what starts with it: they name files, settings and exit codes that exist.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    files::{self, list, text},
    programs::{installed, said, succeed},
    prometheus::{free_address, get},
    site::Site,
    wait,
};

const UNITS: [&str; 2] = ["configs/systemd/selfplayd.service", "configs/systemd/selfplayd-hardened.service"];
const CONTAINERFILE: &str = "configs/container/Containerfile";

/// `KEY=VALUE` lines of a unit, in order.
fn settings(unit: &str) -> Vec<(String, String)> {
    let text = files::read(unit).replace("\\\n", "");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn value(unit: &str, key: &str) -> String {
    let found = settings(unit).into_iter().find(|(name, _)| name == key);
    found.unwrap_or_else(|| panic!("{unit} has no {key}")).1
}

/// The daemon's answer to `args`.
fn daemon(args: &[&str]) -> String {
    said(&succeed(Command::new(env!("CARGO_BIN_EXE_selfplayd")).env("COLUMNS", "200").args(args), ""))
}

/// A unit with this build of the daemon in the place of an installed one.
fn installed_unit(unit: &str, dir: &TempDir) -> std::path::PathBuf {
    let path = dir.path().join(unit.rsplit('/').next().unwrap());
    let text = files::read(unit).replace("/usr/local/bin/selfplayd", env!("CARGO_BIN_EXE_selfplayd"));
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn systemd_accepts_the_units() {
    let Some(_) = installed("systemd-analyze", "the units of systemd") else { return };
    let dir = TempDir::new().unwrap();
    for unit in UNITS {
        let mut verify = Command::new("systemd-analyze");
        let output = succeed(verify.arg("verify").arg(installed_unit(unit, &dir)), "");
        assert_eq!(said(&output), "", "{unit}");
    }
    // In tenths of systemd's exposure level: below 20 it says OK.
    let mut security = Command::new("systemd-analyze");
    let security = security.args(["security", "--offline=true", "--no-pager", "--threshold=20"]);
    succeed(security.arg(installed_unit(UNITS[1], &dir)), "");
}

#[test]
fn the_hardened_unit_is_the_plain_one_with_more() {
    let hardened = settings(UNITS[1]);
    let missing: Vec<_> = settings(UNITS[0]).into_iter().filter(|line| !hardened.contains(line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_units_restart_what_a_restart_may_help() {
    let help = daemon(&["--help"]);
    let table = help.split_once("Exit codes:").unwrap().1;
    let code = |line: &str| line.split_whitespace().next()?.parse::<u8>().ok();
    let of = |words: &str| table.lines().find(|line| line.contains(words)).and_then(code).expect(words);
    let useless = [of("the command line is wrong"), of("the settings, or the model")];
    let helpful = [of("restart budget"), of("could not be written")];
    assert_eq!((useless, helpful), ([2, 78], [70, 74]));
    for unit in UNITS {
        assert_eq!(value(unit, "Restart"), "on-failure");
        assert_eq!(value(unit, "RestartPreventExitStatus"), "2 78");
        assert_eq!((value(unit, "Type"), value(unit, "KillSignal")), ("notify".to_owned(), "SIGTERM".to_owned()));
    }
}

#[test]
fn the_units_leave_games_time_to_end_and_set_what_can_be_set() {
    let defaults = daemon(&["config"]);
    let grace = defaults.lines().find_map(|line| line.strip_prefix("grace_seconds = ")).unwrap();
    let grace: f64 = grace.split_whitespace().next().unwrap().parse().unwrap();
    for unit in UNITS {
        let stop: f64 = value(unit, "TimeoutStopSec").parse().unwrap();
        assert!(stop >= grace + 30.0, "{unit}: {stop} against {grace}");
        let start = value(unit, "ExecStart");
        let flags = start.split_whitespace().filter(|word| word.starts_with("--"));
        let help = daemon(&["--help"]);
        flags.for_each(|flag| assert!(help.contains(flag), "{unit}: {flag}"));
        let variables = settings(unit).into_iter().filter(|(key, _)| key == "Environment").map(|(_, value)| value);
        known_settings(variables.map(|variable| variable.split('=').next().unwrap().to_owned()), unit);
    }
}

/// `SELFPLAYD__SECTION__KEY` in `names` are settings.
fn known_settings(names: impl Iterator<Item = String>, place: &str) {
    let defaults = files::read("configs/default.toml");
    for name in names.filter(|name| name.starts_with("SELFPLAYD__")) {
        let lower = name.to_lowercase();
        let [_, section, key] = lower.split("__").collect::<Vec<_>>()[..] else { panic!("{place}: {name}") };
        let (_, rest) = defaults.split_once(&format!("\n[{section}]\n")).unwrap_or_else(|| panic!("{place}: {name}"));
        let section = rest.split("\n[").next().unwrap();
        let known = section.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
        assert!(known, "{place}: {name} is no setting");
    }
}

/// Instructions of the container file, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = files::read(CONTAINERFILE).replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(word, rest)| (word.to_owned(), rest.to_owned())).collect()
}

#[test]
fn the_container_is_built_from_files_that_exist_and_are_not_ignored() {
    let ignored = files::read(".dockerignore");
    let ignored: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('/')).collect();
    let mut copied = Vec::new();
    for (_, rest) in instructions().iter().filter(|(word, _)| word == "COPY") {
        let words: Vec<_> = rest.split_whitespace().collect();
        if !words[0].starts_with("--from") {
            copied.extend(words[..words.len() - 1].iter().map(|&word| word.to_owned()));
        }
    }
    for source in &copied {
        assert!(files::path(source).exists(), "{source}");
        assert!(!ignored.contains(&source.as_str()), "{source} is in .dockerignore");
    }
    // Cargo reads the manifests of all members, and those the tests and benches they name.
    let manifest = files::read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    for needed in members.iter().map(String::as_str).chain(["src", "configs", ".cargo", "Cargo.lock", "tests"]) {
        assert!(copied.iter().any(|source| source == needed), "{needed} is not copied");
    }
}

#[test]
fn the_container_has_the_pinned_toolchain_no_privileges_and_a_health_check() {
    let instructions = instructions();
    let all = |word: &str| {
        instructions.iter().filter(|(it, _)| it == word).map(|(_, rest)| rest.as_str()).collect::<Vec<_>>()
    };
    let toolchain = files::read("rust-toolchain.toml");
    let channel = toolchain.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let [build, last] = all("FROM")[..] else { panic!("two stages") };
    assert!(build.contains(&format!("rust:{channel}-")), "{build}");
    assert!(last.contains(':') && !last.contains("latest"), "pinned: {last}");
    // What is built on one release of Debian runs on the same.
    assert!(build.contains("bookworm") && last.contains("bookworm"), "{build}, {last}");
    let user = all("USER");
    assert!(user.len() == 1 && user[0] != "root", "{user:?}");
    // User and group, as the comments and the compose file name them.
    let adds = |run: &&str| run.contains("--gid 10001 ") && run.contains("--uid 10001 ") && run.contains(user[0]);
    assert!(all("RUN").iter().any(adds));
    assert_eq!((all("HEALTHCHECK").len(), all("ENTRYPOINT").len()), (1, 1));
    known_settings(all("ENV").iter().map(|env| env.split('=').next().unwrap().to_owned()), CONTAINERFILE);
}

#[test]
fn the_health_check_of_the_container_tells_a_daemon_that_is_well_from_none() {
    let instructions = instructions();
    let (_, check) = instructions.iter().find(|(word, _)| word == "HEALTHCHECK").unwrap();
    let site = Site::start(&["cpu"]);
    let run = |address: String| {
        let asked = format!("{} status --address http://{address}", env!("CARGO_BIN_EXE_selfplayd"));
        let check = check.split("CMD ").nth(1).unwrap().replace("selfplayd status", &asked);
        Command::new("sh").args(["-c", &check]).stderr(Stdio::null()).status().unwrap()
    };
    wait::until("the daemon to be well", || run(site.addresses()[0].to_string()).success().then_some(()));
    assert!(!run(free_address().to_string()).success());
}

#[test]
fn what_starts_with_the_container_is_pinned_and_mounts_files_that_exist() {
    const COMPOSE: &str = "dashboards/compose.yml";
    let compose = files::yaml(COMPOSE);
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.keys().map(String::as_str).collect::<Vec<_>>(), ["grafana", "prometheus", "selfplayd"]);
    for (name, service) in services {
        if let Some(image) = service["image"].as_str() {
            let tag = image.rsplit(':').next().unwrap();
            assert!(tag.contains('.') && image.contains('/'), "{image}: a pinned version");
        }
        for volume in list(service, "volumes") {
            mounted(volume.as_str().unwrap(), &compose);
        }
        for port in list(service, "ports") {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
        let environment = service["environment"].as_object().into_iter().flatten();
        known_settings(environment.map(|(variable, _)| variable.clone()), COMPOSE);
    }
    let build = &services["selfplayd"]["build"];
    assert_eq!((text(build, "context"), text(build, "dockerfile")), ("..", CONTAINERFILE));
    let help = daemon(&["--help"]);
    for flag in list(&services["selfplayd"], "command") {
        assert!(help.contains(flag.as_str().unwrap().split('=').next().unwrap()), "{flag}");
    }
    // A restart mends no mistake in the settings, and here exit codes cannot be told apart: there is a limit.
    let restart = text(&services["selfplayd"], "restart");
    assert!(restart.strip_prefix("on-failure:").is_some_and(|most| most.parse::<u8>().is_ok()), "{restart}");
    // The health check is that of the container file, which images in the OCI format lack.
    let instructions = instructions();
    let (_, check) = instructions.iter().find(|(word, _)| word == "HEALTHCHECK").unwrap();
    assert_eq!(services["selfplayd"]["healthcheck"]["test"][1], check.split("CMD ").nth(1).unwrap());
    // The page is published from where it is served.
    let environment = &services["selfplayd"]["environment"];
    let port = text(environment, "SELFPLAYD__HTTP__LISTEN").rsplit(':').next().unwrap();
    assert_eq!(list(&services["selfplayd"], "ports"), [Value::from(format!("127.0.0.1:{port}:{port}"))]);
    // Prometheus finds the daemon where it serves metrics.
    let targets = files::yaml("dashboards/compose/targets.yml");
    let listen = text(&services["selfplayd"]["environment"], "SELFPLAYD__HTTP__METRICS_LISTEN");
    let port = listen.rsplit(':').next().unwrap();
    assert_eq!(targets[0]["targets"][0], Value::from(format!("selfplayd:{port}")));
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn what_compose_starts_shows_its_page_and_is_steered_by_a_token_of_its_own() {
    let compose = files::yaml("dashboards/compose.yml");
    let service = &compose["services"]["selfplayd"];
    // As compose reads it: $$ is a dollar.
    let script: Vec<_> =
        list(service, "entrypoint").iter().map(|word| word.as_str().unwrap().replace("$$", "$")).collect();
    let dir = TempDir::new().unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_selfplayd"), dir.path().join("selfplayd")).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let places = [
        ("/etc/selfplayd/config.yaml", files::path("configs/demo/demo.yaml")),
        ("/models", files::path("configs/demo")),
        ("/games", dir.path().join("games")),
    ];
    let here = |word: &Value| {
        let word = word.as_str().unwrap();
        let place = places.iter().find(|(inside, _)| word.ends_with(inside));
        place.map_or_else(|| word.to_owned(), |(inside, here)| word.replace(inside, here.to_str().unwrap()))
    };
    let (address, token) = (free_address(), dir.path().join("token"));
    let mut daemon = Command::new(&script[0]);
    daemon.args(&script[1..]).args(list(service, "command").iter().map(here)).env("PATH", path);
    // All addresses, as in the container; the port is another.
    daemon.env("SELFPLAYD__HTTP__LISTEN", format!("0.0.0.0:{}", address.port()));
    daemon.env("SELFPLAYD__HTTP__TOKEN_FILE", &token).env("SELFPLAYD__PLAY__GAMES_PER_PROCESS", "2");
    let _daemon = Ended(daemon.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    wait::until("the page", || get(address, "/").ok().filter(|page| page.contains("<html")));
    let mut pause = Command::new(env!("CARGO_BIN_EXE_selfplayd"));
    let pause = pause.args(["pause", "--address", &format!("http://{address}")]).stdin(Stdio::null());
    let refused = pause.output().unwrap();
    assert!(!refused.status.success() && said(&refused).contains("token"), "{}", said(&refused));
    succeed(pause.arg("--token-file").arg(&token), "");
}

/// A volume is a file of the repository, or a declared one.
fn mounted(volume: &str, compose: &Value) {
    let source = match volume.strip_prefix("${") {
        // ${VARIABLE:-default}
        Some(variable) => variable.split_once(":-").unwrap().1.split('}').next().unwrap(),
        None => volume.split(':').next().unwrap(),
    };
    let exists = if source.starts_with('.') {
        files::path("dashboards").join(source).exists()
    } else {
        compose["volumes"].as_object().unwrap().contains_key(source)
    };
    assert!(exists, "{volume}");
}

#[test]
fn grafana_is_provisioned_with_the_dashboards() {
    let source = files::yaml("dashboards/grafana/provisioning/datasources/prometheus.yml");
    let scraped = files::yaml("dashboards/prometheus.yml");
    assert_eq!(source["datasources"][0]["jsonData"]["timeInterval"], scraped["global"]["scrape_interval"]);
    let provider = files::yaml("dashboards/grafana/provisioning/dashboards/selfplayd.yml");
    let directory = text(&provider["providers"][0]["options"], "path");
    let mounts = files::read("dashboards/compose.yml");
    for board in files::BOARDS {
        let name = board.rsplit('/').next().unwrap();
        assert!(mounts.contains(&format!("./{name}:{directory}/{name}:ro")), "{directory}");
    }
}
