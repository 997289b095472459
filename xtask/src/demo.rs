//! `cargo xtask demo`: real games with a real model, from a fresh clone, in one command.

mod fleet;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{command, ort, workspace};

const SETTINGS: &str = "configs/demo/demo.yaml";
const MODEL: &str = "configs/demo/b5w3_resnet_2x32.onnx";
const PRESETS: &str = "configs/games";
const MODELS: &str = "tests/data/models/games";
const DEFAULTS: &str = include_str!("../../configs/default.toml");
const GAMES_FOLDER: &str = "demo-games";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which game to play, by its preset in configs/games; all but Quoridor with a network that was never trained
    #[arg(long, value_name = "NAME")]
    game: Option<String>,
    /// How many games to play
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    games: u32,
    /// With a fleet on this machine: a server, a hub and two workers, and a second model that is rolled out
    #[arg(long, conflicts_with = "game")]
    fleet: bool,
    /// Then play on until Ctrl-C, to be watched in a browser
    #[arg(long)]
    keep: bool,
}

/// Sets up, builds, plays and shows one of the games.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let library = ort::library()?;
    let daemon = build_daemon()?;
    let games = fresh_folder(&workspace::root().join(GAMES_FOLDER))?;
    let games = games.strip_prefix(workspace::root()).unwrap_or(&games);
    if args.fleet {
        let folder = workspace::root().join(games);
        let Args { games, keep, .. } = *args;
        return fleet::Demo { daemon: &daemon, library: &library, folder: &folder, games, keep }.run();
    }

    let (settings, model) = plan(args.game.as_deref())?;
    let [flag, settings] = &settings;
    let mut play = command::command(&daemon);
    play.args([flag, settings, "--model-path", &model, "--num-games", &args.games.to_string(), "--output-dir"]);
    if let Err(error) = command::run(play.arg(games).env("ORT_DYLIB_PATH", &library)) {
        // Only where nothing was written: `remove_dir` refuses a folder that holds anything.
        std::fs::remove_dir(workspace::root().join(games)).ok();
        return Err(error);
    }
    command::run(command::command(&daemon).arg("show").arg(games))?;
    let page = format!("http://{}/", default_address(DEFAULTS)?);
    if !args.keep {
        println!("\nTo see games while they are played: `cargo xtask demo --keep`, and {page} in a browser");
        return Ok(());
    }
    println!("\nPlaying on until Ctrl-C: see {page} in a browser (the log names another address if that one is taken)");
    let mut play = command::command(&daemon);
    play.args([flag, settings, "--continuous", "--model-source", &model, "--grace-seconds", "5", "--output-dir"]);
    command::run(play.arg(games).env("ORT_DYLIB_PATH", &library))
}

/// How the settings are given, and the model.
fn plan(game: Option<&str>) -> anyhow::Result<([String; 2], String)> {
    let Some(game) = game.filter(|game| *game != "quoridor") else {
        return Ok((["--config".to_owned(), SETTINGS.to_owned()], MODEL.to_owned()));
    };
    let (settings, model) = (format!("{PRESETS}/{game}.toml"), format!("{MODELS}/{game}.onnx"));
    if ![&settings, &model].iter().all(|file| workspace::root().join(file).is_file()) {
        let mut games: Vec<_> = std::fs::read_dir(workspace::root().join(PRESETS))?
            .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
            .collect();
        games.sort();
        anyhow::bail!("--game {game}: no such game; there are {}", games.join(", "));
    }
    Ok((["--settings".to_owned(), settings], model))
}

/// Where a daemon listens unless it is told otherwise.
fn default_address(defaults: &str) -> anyhow::Result<&str> {
    let value = defaults.lines().find_map(|line| line.strip_prefix("listen = "));
    value.map(|value| value.trim_matches('"')).context("configs/default.toml says nothing of http.listen")
}

/// Builds the daemon as it is meant to run and returns its path.
pub(crate) fn build_daemon() -> anyhow::Result<PathBuf> {
    command::run(command::cargo().args(["build", "--release", "--locked", "--package", "selfplayd"]))?;
    Ok(workspace::target_dir().join("release/selfplayd"))
}

/// The first of `parent/001`, `parent/002`, … that does not exist yet, created.
fn fresh_folder(parent: &Path) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    for number in 1_u32.. {
        let folder = parent.join(format!("{number:03}"));
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", folder.display())),
        }
    }
    anyhow::bail!("{} is full: remove old games", parent.display())
}

#[cfg(test)]
mod tests {
    use super::{DEFAULTS, MODEL, SETTINGS, default_address, fresh_folder, plan};
    use crate::workspace;

    #[test]
    fn every_demo_gets_a_folder_of_its_own() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let parent = dir.path().join("demo-games");
        assert_eq!(fresh_folder(&parent).unwrap(), parent.join("001"));
        assert_eq!(fresh_folder(&parent).unwrap(), parent.join("002"));
        std::fs::remove_dir(parent.join("001")).unwrap();
        assert_eq!(fresh_folder(&parent).unwrap(), parent.join("001"));
    }

    #[test]
    fn the_page_is_where_the_settings_say() {
        let address: std::net::SocketAddr = default_address(DEFAULTS).unwrap().parse().unwrap();
        assert!(address.ip().is_loopback() && address.port() > 0, "{address}");
        assert!(default_address("[http]").is_err());
    }

    #[test]
    fn every_preset_can_be_played() {
        for entry in std::fs::read_dir(workspace::root().join("configs/games")).unwrap() {
            let path = entry.unwrap().path();
            let game = path.file_stem().unwrap().to_str().unwrap();
            let (_, model) = plan(Some(game)).unwrap();
            assert!(workspace::root().join(model).is_file());
        }
        assert_eq!(plan(None).unwrap(), plan(Some("quoridor")).unwrap());
        let error = plan(Some("chess")).unwrap_err().to_string();
        assert!(
            error.starts_with("--game chess: no such game; there are breakthrough, connect_four, hex, "),
            "{error}"
        );
    }

    #[test]
    fn what_the_demo_needs_is_in_the_repository() {
        for file in [SETTINGS, MODEL] {
            assert!(workspace::root().join(file).is_file(), "{file}");
        }
    }
}
