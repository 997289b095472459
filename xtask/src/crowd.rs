//! The workers of a measurement: `fleet/examples/crowd`, and games for it that are played before.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    command::{self, Running},
    ort, workspace,
};

/// Games that are played before, of `configs/bench.toml`: 9x9. Those of a network that was never trained would go to the limit of steps.
const GAMES: u32 = 32;
const MOST_STEPS: u32 = 60;
const MODEL: &str = "tests/data/models/b9w10_resnet_6x32.onnx";

/// Builds it as it is meant to run.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let example = ["build", "--release", "--locked", "--package", "selfplay-fleet", "--example", "crowd"];
    command::run(command::cargo().args(example))?;
    Ok(workspace::target_dir().join("release/examples/crowd"))
}

/// Plays games into a folder.
pub(crate) fn play(daemon: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut play = command::command(daemon);
    play.args(["--settings", "configs/bench.toml", "--model-path", MODEL, "--http-listen", "none"]);
    play.args(["--num-games", &GAMES.to_string(), "--output-dir"]).arg(folder);
    play.env("ORT_DYLIB_PATH", ort::library()?).env("SELFPLAYD__GAME__MAX_STEPS", MOST_STEPS.to_string());
    command::run(&mut play)
}

/// A crowd that runs. Dropped, it is killed.
pub(crate) struct Crowd {
    process: Running,
    lines: Receiver<Value>,
}

impl Crowd {
    /// Starts it on games that were played before.
    pub(crate) fn start(program: &Path, games: &Path, args: impl FnOnce(&mut Command)) -> anyhow::Result<Self> {
        let mut crowd = command::command(program);
        crowd.arg("--games").arg(games);
        args(&mut crowd);
        // It ends when this end of the pipe is closed, however this process ends.
        crowd.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Running::start(&mut crowd).context("cannot start the crowd")?;
        let output = process.0.stdout.take().context("the crowd has no output")?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str(&line) else { continue };
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, lines })
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it tells next; nothing within so long.
    pub(crate) fn next(&mut self, patience: Duration) -> anyhow::Result<Option<Value>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the crowd has ended: its words are above"),
        }
    }

    /// The next that it tells of something; what else it tells goes to `other`.
    pub(crate) fn wait(
        &mut self,
        about: &str,
        patience: Duration,
        mut other: impl FnMut(&Value),
    ) -> anyhow::Result<Value> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            let Some(mut line) = self.next(patience.saturating_sub(begun.elapsed()))? else { break };
            match line.get_mut(about) {
                Some(told) => return Ok(told.take()),
                None => other(&line),
            }
        }
        bail!("the crowd tells nothing of \"{about}\" within {patience:?}")
    }
}
