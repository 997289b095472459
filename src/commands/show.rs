//! `selfplayd show`: finished games, as text, as a picture, and many of them as a table.
//!
//! - [`text`]: a game in the terminal
//! - [`summary`]: a table of many games

mod summary;
mod text;

use std::{
    fs,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};

use selfplay_engine::{game::Notation, replay::ReadGame};

use self::summary::Opening;
pub(crate) use self::summary::opening;
use crate::{
    boards::{game::ShownGame, shapes::picture},
    cli::ShowArgs,
    exit::Exit,
    streams::Printer,
};

/// Prints a table of the newest `most` games of `dir`; `opening`: the first moves of a game, by its own rules.
///
/// # Errors
/// When the directory cannot be listed, or holds no game that can be read.
pub(crate) fn summarise(dir: &Path, most: usize, opening: Opening<'_>) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(Printer);
    summary::summarise(dir, most, opening, &mut out, &mut io::stderr())?;
    out.flush()?;
    Ok(Exit::Clean)
}

/// The game that `args` name, and where it is.
///
/// # Errors
/// When it is not there or cannot be read.
pub(crate) fn open(args: &ShowArgs) -> anyhow::Result<(PathBuf, ReadGame)> {
    let path = args.path.as_deref().context("name a game, or a directory of games")?;
    let path = game_file(path)?;
    let read = ReadGame::open(&path).with_context(|| format!("failed to show {}", path.display()))?;
    Ok((path, read))
}

/// Shows what `args` ask for of the game at `path`, which is of `rules`.
///
/// # Errors
/// When it does not keep the rules, or the picture cannot be written.
pub(crate) fn show_game(rules: &impl Notation, args: &ShowArgs, path: &Path, read: &ReadGame) -> anyhow::Result<Exit> {
    let game = ShownGame::new(read, rules.clone()).with_context(|| format!("failed to show {}", path.display()))?;
    let positions = game.plies.len();
    let ply = args.ply.map(|ply| ply as usize);
    if let Some(ply) = ply {
        ensure!(ply <= positions, "--ply {ply}: the game has {positions} plies");
    }
    if let Some(file) = &args.svg {
        let picture = picture(&game, args.all, ply);
        fs::write(file, picture).with_context(|| format!("failed to write {}", file.display()))?;
        return Ok(Exit::Clean);
    }
    let shown = if args.all { 0..=positions } else { ply.unwrap_or(positions)..=ply.unwrap_or(positions) };
    let mut out = BufWriter::new(Printer);
    writeln!(out, "{}", path.display())?;
    text::print(&game, shown, &mut out)?;
    out.flush()?;
    Ok(Exit::Clean)
}

/// The game a path names: an archive, the archive of a YAML file, or the newest archive of a directory.
fn game_file(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        let (archive, metadata) = (path.with_extension("npz"), path.with_extension("yaml"));
        if !path.exists() && !archive.exists() {
            bail!("failed to show {}: no such file or directory", path.display());
        }
        ensure!(
            path.extension().is_none_or(|extension| extension == "npz" || extension == "yaml"),
            "failed to show {}: it is not a game; name its .npz or .yaml, or a directory of games",
            path.display()
        );
        for half in [&archive, &metadata] {
            ensure!(
                half.exists(),
                "failed to show {}: a game is two files, and {} is missing",
                path.display(),
                half.display()
            );
        }
        return Ok(archive);
    }
    let newest = archives(path)?.max();
    newest.with_context(|| format!("failed to find a game in {}: it holds no .npz file", path.display()))
}

/// The archives of a directory, in no order.
fn archives(dir: &Path) -> anyhow::Result<impl Iterator<Item = PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("failed to list {}", dir.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "npz")))
}
