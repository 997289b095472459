//! Three servers of one fleet's folder, each with its files in a directory of its own, as on its machine.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use selfplay_fleet::{
    folder::{self, Folder, Wanted, WorkerFile},
    nats::{
        Dial,
        assets::{self, Change, Done, Plan},
        server::ADMIN,
    },
};
use tempfile::TempDir;

use crate::{
    broker::{PLAN, name, program},
    sides::{pause, until},
};

/// What three servers keep.
pub(crate) const ON_THREE: Plan = Plan { replicas: 3, ..PLAN };

/// See the module. Its servers are killed when it is dropped.
pub(crate) struct Cluster {
    program: PathBuf,
    dir: TempDir,
    pub(crate) folder: Folder,
    servers: Vec<Option<Child>>,
}

/// Three ports that nobody uses, nor those at which their servers would listen for each other.
fn ports() -> [u16; 3] {
    loop {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = [free(), free(), free()];
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let routes = ports.map(|port| TcpListener::bind(("127.0.0.1", port.checked_add(2000)?)).ok());
        if routes.iter().all(Option::is_some) {
            return ports;
        }
    }
}

impl Cluster {
    /// Servers that know these workers of run `run`, and have nothing yet. None, where there is no program.
    pub(crate) fn start(workers: &[&str], more: impl Fn(&Path) -> Wanted) -> Option<Self> {
        let program = program()?;
        loop {
            let dir = TempDir::new().unwrap();
            let hosts = ports().map(|port| format!("127.0.0.1:{port}")).join(",");
            let size = Some(64 << 20);
            let run = Some(name("run"));
            let wanted =
                Wanted { run, host: Some(hosts), max_games_bytes: size, max_models_bytes: size, ..more(dir.path()) };
            let made = dir.path().join("fleet");
            folder::init(&made, &wanted).unwrap();
            let workers: Vec<_> = workers.iter().map(|&worker| name(worker)).collect();
            let (folder, _) = folder::add(&made, &workers).unwrap();
            let mut cluster = Self { program: program.clone(), dir, folder, servers: vec![None, None, None] };
            (0..3).for_each(|server| cluster.copy(server));
            // Another may have taken a port meanwhile.
            if (0..3).all(|server| cluster.spawn(server)) {
                return Some(cluster);
            }
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The machine of a server.
    pub(crate) fn machine(&self, server: usize) -> PathBuf {
        self.dir().join(format!("machine-{server}"))
    }

    /// Copies the files of a server to its machine.
    pub(crate) fn copy(&self, server: usize) {
        let brokers = self.folder.brokers();
        let from = brokers[server].conf.parent().unwrap();
        fs::create_dir_all(self.machine(server)).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let file = entry.unwrap();
            fs::copy(file.path(), self.machine(server).join(file.file_name())).unwrap();
        }
    }

    pub(crate) fn log(&self, server: usize) -> String {
        fs::read_to_string(self.machine(server).join("log")).unwrap_or_default()
    }

    /// Connects to all of them as one of the hub's parts.
    pub(crate) fn dial(&self, who: &str) -> Dial {
        self.folder.dial(who).unwrap()
    }

    /// The same as a worker, with a copy of its file: the folder's goes with the worker.
    pub(crate) fn worker(&self, worker: &str) -> Dial {
        let copy = self.dir().join(format!("{worker}.worker"));
        fs::copy(self.folder.worker_file(&name(worker)), &copy).unwrap();
        WorkerFile::read(&copy).unwrap().dial(&self.folder.urls()).unwrap()
    }

    /// Prepares the servers, as soon as they can be; what was made or changed.
    pub(crate) fn prepare(&self, plan: Plan) -> Vec<Change> {
        let mut prepared = None;
        until("the servers are prepared", || {
            let done = assets::prepare(&self.dial(ADMIN), plan).inspect_err(|error| eprintln!("{error}"));
            prepared = done.ok();
            prepared.is_some()
        });
        prepared.unwrap().into_iter().filter(|change| change.done != Done::Nothing).collect()
    }

    /// The server that leads the stream of games.
    pub(crate) fn leader(&self) -> usize {
        let mut leader = None;
        until("there is a leader", || {
            let kept = assets::kept(&self.dial(ADMIN)).unwrap_or_default();
            let name = kept.into_iter().find(|kept| kept.asset == "stream GAMES").and_then(|kept| kept.leader);
            leader = name.map(|name| name.strip_prefix("run-").unwrap().parse::<usize>().unwrap() - 1);
            leader.is_some()
        });
        leader.unwrap()
    }

    /// Waits until each server has all: then one may be lost.
    pub(crate) fn whole(&self) {
        until("every server has all", || {
            let kept = assets::kept(&self.dial(ADMIN)).unwrap_or_default();
            kept.len() == 6 && kept.iter().all(assets::Kept::is_whole)
        });
    }

    /// Starts one; whether it is there to be connected to.
    fn spawn(&mut self, server: usize) -> bool {
        let machine = self.machine(server);
        let log = fs::OpenOptions::new().append(true).create(true).open(machine.join("log")).unwrap();
        let mut child = Command::new(&self.program);
        child.args(["-c", "nats.conf"]).current_dir(machine).stdin(Stdio::null());
        let mut child = child.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let at = self.folder.brokers()[server].at.clone();
        let mut is_there = false;
        until("the server comes or ends", || {
            is_there = TcpStream::connect(&at).is_ok();
            is_there || child.try_wait().unwrap().is_some()
        });
        self.servers[server] = Some(child);
        is_there
    }

    /// Starts one again, with what it has kept.
    pub(crate) fn restart(&mut self, server: usize) {
        // Somebody may use the port for a moment.
        while !self.spawn(server) {
            pause();
        }
    }

    pub(crate) fn kill(&mut self, server: usize) {
        let mut child = self.servers[server].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The disk of one that was killed is lost.
    pub(crate) fn lose_store(&self, server: usize) {
        fs::remove_dir_all(self.machine(server).join("store")).unwrap();
    }

    pub(crate) fn freeze(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    pub(crate) fn thaw(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    fn signal(&self, server: usize, signal: Signal) {
        let pid = self.servers[server].as_ref().unwrap().id();
        kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
    }

    /// Servers that run.
    pub(crate) fn running(&self) -> BTreeSet<usize> {
        (0..3).filter(|&server| self.servers[server].is_some()).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.running() {
            self.kill(server);
        }
    }
}
