//! A NATS server of the test's own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use selfplay_fleet::{
    name::Name,
    nats::{
        Dial,
        assets::{self, AssetError, Change, Plan},
        keys::Key,
        server::{ADMIN, HUB, Members, PUBLISHER, Server, Tls, configuration},
    },
};
use tempfile::TempDir;

use crate::sides::pause;

/// How long anything may take on a machine that is busy with other things.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// Small, and a broker that is soon tired of waiting for a collector that was killed.
pub(crate) const PLAN: Plan = Plan { games: 64 << 20, models: 64 << 20, replicas: 1, patience: Duration::from_secs(2) };

pub(crate) fn name(name: &str) -> Name {
    name.parse().unwrap()
}

/// The server that `cargo xtask fetch-nats` brings.
pub(crate) fn program() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.nats/bin/nats-server");
    if program.is_file() {
        return Some(program);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    assert!(!in_ci, "there is no NATS server in .nats: run `cargo xtask fetch-nats`");
    eprintln!("SKIPPED: no NATS server in .nats; see `cargo xtask fetch-nats`");
    None
}

/// See the module. Killed when it is dropped.
pub(crate) struct Broker {
    program: PathBuf,
    dir: TempDir,
    port: u16,
    tls: Option<Tls>,
    workers: Vec<String>,
    server: Option<Child>,
}

impl Broker {
    /// A server that knows these workers of run `run`, and has what a fleet needs. None, where there is no program.
    pub(crate) fn start(workers: &[&str]) -> Option<Self> {
        let broker = Self::bare(workers, |_| None)?;
        broker.prepare(PLAN);
        Some(broker)
    }

    /// One that has nothing yet.
    pub(crate) fn bare(workers: &[&str], tls: impl Fn(&Path) -> Option<Tls>) -> Option<Self> {
        let program = program()?;
        let dir = TempDir::new().unwrap();
        for who in [ADMIN, PUBLISHER, HUB, "system"].iter().chain(workers) {
            Key::create(&key_file(dir.path(), who)).unwrap();
        }
        let tls = tls(dir.path());
        let workers = workers.iter().map(|&worker| worker.to_owned()).collect();
        let mut broker = Self { program, dir, port: 0, tls, workers, server: None };
        let begun = Instant::now();
        loop {
            broker.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            broker.configure();
            // Another may have taken the port meanwhile.
            if broker.spawn() {
                return Some(broker);
            }
            assert!(begun.elapsed() < DEADLINE, "no server starts: {}", broker.log());
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls.is_some() { "tls" } else { "nats" }, self.port)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir().join("log")).unwrap_or_default()
    }

    pub(crate) fn key(&self, who: &str) -> Key {
        Key::read(&key_file(self.dir(), who)).unwrap()
    }

    /// Connects to it as somebody.
    pub(crate) fn dial(&self, who: &str) -> Dial {
        self.dial_with(who, self.key(who))
    }

    /// The same with another's key.
    pub(crate) fn dial_with(&self, who: &str, key: Key) -> Dial {
        let ca = self.tls.as_ref().map(|_| self.dir().join("ca.pem"));
        Dial::new(&[self.url()], ca, &name(who), key).unwrap()
    }

    pub(crate) fn prepare(&self, plan: Plan) -> Vec<Change> {
        let begun = Instant::now();
        loop {
            match assets::prepare(&self.dial(ADMIN), plan) {
                Ok(changes) => return changes,
                // The machine may be too busy for a moment.
                Err(AssetError::Connect { .. } | AssetError::Unanswered { .. }) if begun.elapsed() < DEADLINE => {
                    pause()
                }
                Err(error) => panic!("{error}: {}", self.log()),
            }
        }
    }

    pub(crate) fn members(&self) -> Members {
        let public = |who: &str| self.key(who).public().clone();
        Members {
            run: name("run"),
            admin: public(ADMIN),
            publisher: public(PUBLISHER),
            collector: public(HUB),
            system: public("system"),
            workers: self.workers.iter().map(|worker| (name(worker), public(worker))).collect(),
        }
    }

    /// Writes its configuration.
    fn configure(&self) {
        let server = Server {
            name: "n1".to_owned(),
            listen: format!("127.0.0.1:{}", self.port),
            monitor: None,
            store: self.dir().join("store"),
            max_store: 1 << 30,
            tls: self.tls.clone(),
            cluster: None,
        };
        fs::write(self.dir().join("conf"), configuration(&server, &self.members()).unwrap()).unwrap();
    }

    /// Starts it; whether it is there to be connected to.
    fn spawn(&mut self) -> bool {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.dir().join("log")).unwrap();
        let mut server = Command::new(&self.program);
        server.arg("-c").arg(self.dir().join("conf")).stdin(Stdio::null());
        let mut server = server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        while !self.answers() {
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begun.elapsed() < DEADLINE, "the server does not come: {}", self.log());
            pause();
        }
        self.server = Some(server);
        true
    }

    fn answers(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO ")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.server.as_ref().unwrap().id();
        kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
    }

    /// Kills it, as the system does: nothing is brought to an end.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts it again, with what it has kept.
    pub(crate) fn restart(&mut self) {
        let begun = Instant::now();
        // Somebody may use the port for a moment.
        while !self.spawn() {
            assert!(begun.elapsed() < DEADLINE, "the server does not come again: {}", self.log());
            pause();
        }
    }

    /// Its disk is lost.
    pub(crate) fn lose_store(&self) {
        fs::remove_dir_all(self.dir().join("store")).unwrap();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// From now on it knows these workers.
    pub(crate) fn know(&mut self, workers: &[&str]) {
        self.workers = workers.iter().map(|&worker| worker.to_owned()).collect();
        self.configure();
        self.signal(Signal::HUP);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.kill();
        }
    }
}

fn key_file(dir: &Path, who: &str) -> PathBuf {
    dir.join(format!("{who}.nk"))
}
