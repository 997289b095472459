//! Starts the program, reads what it says, and asks it as it plays.

use std::{
    io::{self, BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Far longer than anything takes on a busy machine, so that only a hang runs into it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program in an environment without settings but for small searches; arguments are separated by blanks.
fn program(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own_game"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SELFPLAYD__") {
            command.env_remove(name);
        }
    }
    command.env("SELFPLAYD__SEARCH__MCTS_N", "8").args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// What it prints, as it succeeds.
pub(crate) fn said(arguments: &str) -> String {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    assert!(status.success(), "{arguments}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// What it prints and complains about, as it fails.
pub(crate) fn refused(arguments: &str) -> String {
    let Output { status, stdout, stderr } = program(arguments).output().unwrap();
    assert!(!status.success(), "{arguments}");
    String::from_utf8([stdout, stderr].concat()).unwrap()
}

/// A daemon that plays. Dropped, it is killed.
pub(crate) struct Playing {
    process: Child,
    /// Where it serves HTTP.
    address: String,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Playing {
    /// Starts it on a free port.
    pub(crate) fn start(arguments: &str) -> Self {
        let mut command = program(&format!("{arguments} --http-listen 127.0.0.1:0"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut daemon = Self { process, address: String::new() };
        let mut log = BufReader::new(daemon.process.stderr.take().unwrap());
        let mut said = String::new();
        while daemon.address.is_empty() {
            let from = said.len();
            assert!(log.read_line(&mut said).unwrap() > 0, "it ended:\n{said}");
            daemon.address = said[from..].split_once("control url=").map_or("", |(_, url)| url.trim()).to_owned();
        }
        // The rest of the log is taken, so that it goes on.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        daemon
    }

    /// Asks until the answer is as it is waited for.
    pub(crate) fn says(&self, what: &str, awaited: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        // Nothing is ever sent: a receiver is a timer that lints allow.
        let (_sender, ticks) = mpsc::channel::<()>();
        loop {
            let answer = said(&format!("{what} --json --address {}", self.address));
            let answer = serde_json::from_str(&answer).unwrap();
            if awaited(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < DEADLINE, "{what} stays\n{answer:#}");
            ticks.recv_timeout(Duration::from_millis(10)).ok();
        }
    }

    /// Lets the games in play end, and with them the daemon.
    pub(crate) fn drain(mut self) {
        said(&format!("drain --address {}", self.address));
        assert!(self.process.wait().unwrap().success());
    }
}
