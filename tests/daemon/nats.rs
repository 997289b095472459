//! A NATS server as a process.
//!
//! It comes from `cargo xtask fetch-nats`. Without it the tests that need one are skipped, but not under continuous integration.

use std::{
    fs::File,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use selfplay_fleet::folder::Broker;

use crate::wait;

/// The server that `cargo xtask fetch-nats` brings.
pub(crate) fn program() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".nats/bin/nats-server");
    if program.is_file() {
        return Some(program);
    }
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    assert!(!in_ci, "there is no NATS server in .nats: run `cargo xtask fetch-nats`");
    eprintln!("SKIPPED: no NATS server in .nats; see `cargo xtask fetch-nats`");
    None
}

/// Whether there is one.
pub(crate) fn has_server() -> bool {
    program().is_some()
}

/// A server that runs. Killed when it is dropped.
pub(crate) struct Server(Child);

impl Server {
    /// Starts one where its files are, and waits until it listens. What it logs is added to `log`.
    pub(crate) fn start(broker: &Broker, log: &Path) -> Self {
        let log = File::options().append(true).create(true).open(log).unwrap();
        let mut server = Command::new(program().unwrap());
        let (dir, conf) = (broker.conf.parent().unwrap(), broker.conf.file_name().unwrap());
        server.arg("-c").arg(conf).current_dir(dir).stdin(Stdio::null());
        let mut server = Self(server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        wait::until("the server", || {
            assert_eq!(server.0.try_wait().unwrap(), None, "the server does not start");
            TcpStream::connect(&broker.at).ok()
        });
        server
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits until it has ended after a signal.
    pub(crate) fn wait(mut self) {
        wait::until("the end of the server", || self.0.try_wait().unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail where the process has ended, which is what they are for.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
