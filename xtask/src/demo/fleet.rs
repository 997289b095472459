//! `cargo xtask demo --fleet`: a trainer's machine and two workers, all on this one, with a real server between them.
//!
//! Everything listens on loopback alone. Keys are real, and so are the certificates, by the lines of `docs/fleet.md`; where openssl is not
//! installed there are none, and connections are not encrypted.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::{MODEL, SETTINGS};
use crate::{command, nats};

/// A network for the same board that has learned, as the second model.
const LEARNED: &str = "tests/data/models/b5w3_resnet_2x32_trained.onnx";
/// What tells how certificates are made, and for which name of this machine they serve here.
const GUIDE: &str = "docs/fleet.md";
const HOST: &str = "localhost";
const WORKERS: [&str; 2] = ["w1", "w2"];
/// How long anything may take, but games.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
        let server = nats::server(false)?;
        let broker = free_address()?;
        let mut init = self.fleet("init");
        init.args(["--run", "demo", "--listen", &broker]);
        let port = broker.rsplit_once(':').map_or("", |(_, port)| port);
        let url = if let Some(dir) = self.certificates()? {
            let files = [("--certificate", "server.pem"), ("--key", "server.key"), ("--authority", "authority.pem")];
            for (flag, file) in files {
                init.arg(flag).arg(dir.join(file));
            }
            init.args(["--host", HOST]);
            format!("tls://{HOST}:{port}")
        } else {
            println!("\nopenssl is not installed: there are no certificates, and connections are not encrypted");
            format!("nats://{broker}")
        };
        println!("\nThe fleet's keys and the server's configuration:");
        command::run(&mut init)?;
        let mut serve = command::command(server);
        let _server = self.start("nats-server", serve.arg("-c").arg(self.folder.join("fleet/nats.conf")))?;
        self.wait_for("nats-server", || Ok(TcpStream::connect(&broker).ok().map(drop)))?;
        command::run(&mut self.fleet("init"))?;
        command::run(self.fleet("add-worker").args(WORKERS))?;

        println!(
            "\nBeside the trainer: the hub, which collects games and publishes models. Of two workers, one gets a new model first:"
        );
        self.publish(1, MODEL)?;
        let page = format!("http://{}", free_address()?);
        let mut hub = self.fleet("hub");
        hub.arg("--models").arg(self.models()).arg("--ready").arg(self.ready());
        hub.args(["--config", SETTINGS, "--stages", "50,100", "--http-listen", &page["http://".len()..]]);
        let mut hub = self.start("hub", &mut hub)?;

        println!("\nOn other machines: the workers, each with its key:");
        let mut workers = Vec::new();
        for name in WORKERS {
            let mut worker = command::command(self.daemon);
            worker.args(["--fleet", &url, "--credentials"]);
            worker.arg(self.folder.join(format!("fleet/workers/{name}.worker")));
            worker.args(["--config", SETTINGS, "--http-listen", "127.0.0.1:0", "--grace-seconds", "5", "--fleet-dir"]);
            workers.push(self.start(name, worker.arg(self.folder.join(name)).env("ORT_DYLIB_PATH", self.library))?);
        }
        println!("\nThe page of the whole fleet is at {page}/");

        self.watch(&page, |status| Ok(status["games"].as_u64() >= Some(self.games.into())))?;
        println!("\nThe trainer makes a second model, which one worker proves before the other gets it:");
        self.publish(2, LEARNED)?;
        self.watch(&page, |status| {
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

    /// The folder with an authority and a certificate for this machine, made by the lines of the guide; nothing where openssl is not
    /// installed.
    fn certificates(&self) -> anyhow::Result<Option<PathBuf>> {
        if !command::succeeds(command::command("openssl").arg("version")) {
            return Ok(None);
        }
        let dir = self.folder.join("certificates");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        println!("\nAn authority, and a certificate for this machine, by the lines of {GUIDE}");
        command::stdout(command::command("sh").args(["-ec", &certificate_lines()?]).current_dir(&dir))?;
        Ok(Some(dir))
    }

    /// A command of `selfplayd fleet` on this demo's fleet.
    fn fleet(&self, what: &str) -> Command {
        let mut fleet = command::command(self.daemon);
        fleet.args(["fleet", what, "--dir"]).arg(self.folder.join("fleet"));
        fleet
    }

    /// Starts what runs beside us, with a log of its own.
    fn start(&self, name: &str, program: &mut Command) -> anyhow::Result<Running> {
        let path = self.folder.join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        println!("  {name}; its log: {}", path.display());
        program.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Running(program.spawn().with_context(|| format!("cannot start {name}"))?))
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
    fn watch(&self, page: &str, done: impl Fn(&Value) -> anyhow::Result<bool>) -> anyhow::Result<()> {
        let mut told = String::new();
        let status = || {
            let status = ["fleet", "status", "--json", "--address", page];
            let answer = command::stdout(command::command(self.daemon).args(status));
            answer.ok().and_then(|answer| serde_json::from_str::<Value>(&answer).ok())
        };
        self.wait_for("the fleet", || {
            let Some(status) = status() else { return Ok(None) };
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

    /// Asks again and again.
    fn wait_for<T>(&self, what: &str, mut answer: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
        // Games of a slow machine take longer.
        let patience = PATIENCE + Duration::from_secs(5) * self.games;
        let begun = Instant::now();
        // Nothing is ever sent: a receiver is a timer that lints allow.
        let (_sender, ticks) = mpsc::channel::<()>();
        loop {
            if let Some(answer) = answer()? {
                return Ok(answer);
            }
            if begun.elapsed() > patience {
                bail!("nothing came of {what} within {patience:?}: see the logs in {}", self.folder.display());
            }
            ticks.recv_timeout(LOOK_EVERY).ok();
        }
    }
}

/// How certificates are made, as the guide tells it.
fn certificate_lines() -> anyhow::Result<String> {
    let guide =
        fs::read_to_string(crate::workspace::root().join(GUIDE)).with_context(|| format!("cannot read {GUIDE}"))?;
    let block = guide.split("```\n").find(|block| block.starts_with("openssl "));
    block.map(str::to_owned).with_context(|| format!("{GUIDE} does not tell how certificates are made"))
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

/// An address on loopback that is free at this moment.
fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).context("no port is free")?.to_string())
}

/// What runs beside us. Dropped, it is killed.
struct Running(Child);

impl Running {
    /// Asks it to end, and waits.
    fn end(mut self) -> anyhow::Result<()> {
        let pid = self.0.id().to_string();
        if !command::succeeds(command::command("kill").arg(pid)) {
            bail!("cannot send a signal");
        }
        let status = self.0.wait().context("cannot wait")?;
        if status.success() { Ok(()) } else { bail!("a process did not end well ({status}): see its log") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{LEARNED, certificate_lines, free_address};
    use crate::workspace;

    #[test]
    fn what_it_takes_is_in_the_repository() {
        assert_eq!(certificate_lines().unwrap().matches("openssl ").count(), 3);

        assert!(workspace::root().join(LEARNED).is_file());
    }

    #[test]
    fn addresses_are_on_this_machine_alone() {
        let address: std::net::SocketAddr = free_address().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback() && address.port() > 0);
    }
}
