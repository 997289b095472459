//! `cargo xtask demo --fleet`: a trainer's machine and two workers, all on this one, with a real server between them.
//!
//! Everything listens on loopback alone. Keys are real, and so are the certificates, by the lines of `docs/fleet.md`; where openssl is not
//! installed there are none, and connections are not encrypted.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{MODEL, SETTINGS};
use crate::{
    command::{self, Running},
    site::{self, PATIENCE, Site, wait_for},
};

/// A network for the same board that has learned, as the second model.
const LEARNED: &str = "tests/data/models/b5w3_resnet_2x32_trained.onnx";
const WORKERS: [&str; 2] = ["w1", "w2"];

/// What is run, and where.
pub(super) struct Demo<'a> {
    /// The program.
    pub daemon: &'a Path,
    /// ONNX Runtime.
    pub library: &'a Path,
    /// A folder of this demo's own.
    pub folder: &'a Path,
    /// How many games are to come.
    pub games: u32,
    /// Whether to play on until Ctrl-C.
    pub keep: bool,
}

impl Demo<'_> {
    /// Brings up server, hub and workers, plays, rolls out a second model, and shows where the games are.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        println!("\nAn authority, and a certificate for this machine, by the lines of {}", site::GUIDE);
        let certificates = site::certificates(self.folder)?;
        if certificates.is_none() {
            println!("  openssl is not installed: there are none, and connections are not encrypted");
        }
        println!("\nThe fleet's keys, the server and its configuration:");
        let site = Site::start(self.daemon, self.folder, &WORKERS, certificates.as_deref(), command::run)?;

        println!(
            "\nBeside the trainer: the hub, which collects games and publishes models. Of two workers, one gets a new model first:"
        );
        self.publish(1, MODEL)?;
        let folders = [("--models", self.models()), ("--ready", self.ready())];
        let mut args: Vec<_> =
            folders.into_iter().flat_map(|(flag, path)| [flag.into(), path.into_os_string()]).collect();
        args.extend(["--config", SETTINGS, "--stages", "50,100"].map(Into::into));
        let (mut hub, page) = site.hub(&args)?;

        println!("\nOn other machines: the workers, each with its key:");
        let mut workers = Vec::new();
        for name in WORKERS {
            let mut worker = command::command(self.daemon);
            worker.args(["--fleet", site.url(), "--credentials"]).arg(site.worker_file(name));
            worker.args(["--config", SETTINGS, "--http-listen", "127.0.0.1:0", "--grace-seconds", "5", "--fleet-dir"]);
            worker.arg(self.folder.join(name)).env("ORT_DYLIB_PATH", self.library);
            workers.push(site.start_beside(name, &mut worker)?);
        }
        println!("\nThe page of the whole fleet is at {page}/");

        self.watch(&site, &page, |status| Ok(status["games"].as_u64() >= Some(self.games.into())))?;
        println!("\nThe trainer makes a second model, which one worker proves before the other gets it:");
        self.publish(2, LEARNED)?;
        self.watch(&site, &page, |status| {
            let part = &status["publisher"];
            if part["stage"] == "withdrawn" {
                bail!("{}", part["rollout"].as_str().unwrap_or("the model was withdrawn"));
            }
            let serve = |worker: &Value| worker["model"] == 2;
            let all = status["workers"].as_array().is_some_and(|workers| workers.iter().all(serve));
            Ok(part["stage"] == "everywhere" && part["model"] == 2 && all)
        })?;
        command::run(command::command(self.daemon).args(["fleet", "status", "--address", &page]))?;
        if self.keep {
            println!("\nPlaying on until Ctrl-C: see {page}/ in a browser");
            hub.0.wait().context("cannot wait for the hub")?;
            return Ok(());
        }
        println!("\nEnding: workers send what they have finished, then the hub.");
        workers.into_iter().try_for_each(Running::end)?;
        hub.end()?;
        command::run(command::command(self.daemon).arg("show").arg(self.ready()))?;
        println!(
            "\nThe games lie in {}, each once, as a daemon of that machine would have written them.",
            self.ready().display()
        );
        println!("Logs lie in {}.", self.folder.display());
        println!("\n{}", second_machine());
        Ok(())
    }

    fn models(&self) -> PathBuf {
        self.folder.join("run/models")
    }

    fn ready(&self) -> PathBuf {
        self.folder.join("run/ready")
    }

    /// What a trainer does with a new model.
    fn publish(&self, version: u32, network: &str) -> anyhow::Result<()> {
        let models = self.models();
        fs::create_dir_all(&models)?;
        let file = std::path::absolute(models.join(format!("model_{version}.onnx")))?;
        fs::copy(crate::workspace::root().join(network), &file).with_context(|| format!("cannot copy {network}"))?;
        let hidden = models.join("latest.yaml.new");
        fs::write(&hidden, format!("filename: {}\nversion: {version}\n", file.display()))?;
        fs::rename(hidden, models.join("latest.yaml")).context("cannot put latest.yaml")
    }

    /// Tells what changes in the fleet until it is `done`.
    fn watch(&self, site: &Site, page: &str, done: impl Fn(&Value) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        // Games of a slow machine take longer.
        let patience = PATIENCE + Duration::from_secs(5) * self.games;
        let mut told = String::new();
        wait_for("the fleet", self.folder, patience, || {
            let Some(status) = site.status(page) else { return Ok(None) };
            let there =
                status["workers"].as_array().map_or(0, |all| all.iter().filter(|it| it["present"] == true).count());
            let rollout = status["publisher"]["rollout"].as_str().unwrap_or("no roll-out yet");
            let line = format!("{there} workers are there; {rollout}");
            if line != told {
                println!("  {line} ({} games so far)", status["games"]);
                told = line;
            }
            Ok(done(&status)?.then_some(()))
        })
    }
}

/// What is to be done for a second machine.
fn second_machine() -> &'static str {
    "A real second machine takes a certificate for this one (docs/fleet.md, Certificates), then here
  selfplayd fleet init --run r1 --host THIS.MACHINE --certificate server.pem --key server.key
  selfplayd fleet add-worker w1
  nats-server -c fleet/nats.conf
  selfplayd fleet hub --models RUN/models --ready RUN/replay_buffers/ready --config RUN/config.yaml
and there, with copies of fleet/workers/w1.worker and of the trainer's config.yaml
  selfplayd --fleet tls://THIS.MACHINE:4222 --credentials w1.worker --config config.yaml"
}

#[cfg(test)]
mod tests {
    use super::LEARNED;
    use crate::workspace;

    #[test]
    fn the_second_model_is_in_the_repository() {
        assert!(workspace::root().join(LEARNED).is_file());
    }
}
