//! A trainer that makes a model every few seconds and takes games away.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;

use crate::workspace;

const MODEL: &str = "configs/demo/b5w3_resnet_2x32.onnx";

/// Models kept; a daemon is never further behind.
const KEPT: u64 = 20;

/// Writes a model every few seconds, names it in `latest.yaml`, and removes finished games.
pub(crate) struct Trainer {
    dir: TempDir,
    model: Vec<u8>,
    version: u64,
    games: u64,
}

impl Trainer {
    /// An empty run.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a folder for the run")?;
        for part in ["ready/tmp", "models"] {
            fs::create_dir_all(dir.path().join(part)).context("cannot create a folder of the run")?;
        }
        let model = fs::read(workspace::root().join(MODEL)).with_context(|| format!("cannot read {MODEL}"))?;
        Ok(Self { dir, model, version: 0, games: 0 })
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn ready(&self) -> PathBuf {
        self.path("ready")
    }

    pub(crate) fn latest_yaml(&self) -> PathBuf {
        self.path("models/latest.yaml")
    }

    /// Versions published.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Games taken.
    pub(crate) const fn games(&self) -> u64 {
        self.games
    }

    /// Hands over the next version, whose bytes differ from all before.
    pub(crate) fn publish(&mut self) -> anyhow::Result<()> {
        self.version += 1;
        let onnx = |version: u64| self.path(&format!("models/model_{version}.onnx"));
        let text = format!("version {}", self.version);
        // Field 6 of a model is a text about it. Of a field that is there twice the last counts.
        let model = [&self.model[..], &[0x32, text.len() as u8], text.as_bytes()].concat();
        fs::write(onnx(self.version), model).context("cannot write a model")?;
        let latest = format!("filename: {}\nversion: {}\n", onnx(self.version).display(), self.version);
        let new = self.path("models/new.yaml");
        fs::write(&new, latest).and_then(|()| fs::rename(new, self.latest_yaml())).context("cannot name a model")?;
        if self.version > KEPT {
            fs::remove_file(onnx(self.version - KEPT)).context("cannot remove an old model")?;
        }
        Ok(())
    }

    /// Takes all games that are there, and forgets them.
    pub(crate) fn take_games(&mut self) -> anyhow::Result<()> {
        let listed = fs::read_dir(self.ready()).context("cannot list the games")?;
        for path in listed.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension().is_some_and(|ending| ending == "npz") {
                fs::remove_file(path.with_extension("yaml")).context("a game without metadata")?;
                fs::remove_file(&path).context("cannot take a game")?;
                self.games += 1;
            }
        }
        Ok(())
    }
}
