//! One daemon process: its start, signals, log and end.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, kill_process};
use serde_json::Value;

pub(crate) use rustix::process::Signal;

use crate::{models::Models, site::Site, wait};

/// A daemon to be started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    faults: String,
    grace: f64,
    env: Vec<(String, String)>,
}

impl Launch {
    /// Without faults, and with time for its games to end.
    pub(crate) const fn plain() -> Self {
        Self { faults: String::new(), grace: 600.0, env: Vec::new() }
    }

    /// Seconds for games to end after SIGTERM.
    pub(crate) const fn grace(mut self, seconds: f64) -> Self {
        self.grace = seconds;
        self
    }

    /// As `SELFPLAYD_FAULTS` takes them.
    pub(crate) fn faults(mut self, faults: &str) -> Self {
        faults.clone_into(&mut self.faults);
        self
    }

    /// A setting: `section.key`.
    pub(crate) fn setting(mut self, key: &str, value: &str) -> Self {
        let name = format!("SELFPLAYD__{}", key.to_uppercase().replace('.', "__"));
        self.env.push((name, value.to_owned()));
        self
    }

    /// Starts it as the trainer does.
    pub(crate) fn start(&self, site: &mut Site, models: &Models) -> Session {
        let mut command = self.command();
        command
            .arg("--config")
            .arg(site.path("config.yaml"))
            .arg("--output-dir")
            .arg(site.ready())
            .arg("--continuous")
            .arg("--latest-model-yaml")
            .arg(models.latest_yaml());
        self.spawn(command, site.new_log())
    }

    /// `selfplayd` without arguments yet, in an environment with nothing but what was set here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfplayd"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SELFPLAYD_")) {
                command.env_remove(name);
            }
        }
        command
            .env("SELFPLAYD_FAULTS", &self.faults)
            .env("SELFPLAYD__LOG__FORMAT", "json")
            .env("SELFPLAYD__LOG__LEVEL", "info,selfplay_actors=debug")
            .env("SELFPLAYD__DAEMON__GRACE_SECONDS", self.grace.to_string())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts a command that logs to this file.
    pub(crate) fn spawn(&self, mut command: Command, log: PathBuf) -> Session {
        let child = command.stderr(File::create(&log).unwrap()).spawn().expect("the daemon was built with this test");
        Session { child, log, launch: self.clone(), told: Told::default() }
    }
}

/// What was done to a daemon.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    pub(crate) killed: bool,
    pub(crate) terminated: bool,
    /// Its disk or directories were not there for a while.
    pub(crate) starved: bool,
}

/// A daemon that was started. Dropped, it is killed.
pub(crate) struct Session {
    child: Child,
    log: PathBuf,
    pub(crate) launch: Launch,
    pub(crate) told: Told,
}

impl Session {
    /// Sends a signal; a process that has just ended does not mind.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.told.killed |= signal == Signal::KILL;
        self.told.terminated |= signal == Signal::TERM;
        // It fails only where the process was waited for, and we are the ones who do.
        kill_process(Pid::from_child(&self.child), signal).ok();
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> Log {
        Log::read(&fs::read(&self.log).unwrap())
    }

    /// Waits until the log holds `text`.
    pub(crate) fn says(&mut self, text: &str) {
        self.says_for_the(1, text);
    }

    /// Waits until `count` lines of the log hold `text`.
    pub(crate) fn says_for_the(&mut self, count: usize, text: &str) {
        wait::until(&format!("{text:?} in {}", self.log.display()), || {
            let log = fs::read(&self.log).unwrap();
            let found = String::from_utf8_lossy(&log).lines().filter(|line| line.contains(text)).count() >= count;
            assert!(found || self.child.try_wait().unwrap().is_none(), "it ended before it said {text:?}");
            found.then_some(())
        });
    }

    /// Waits until a model serves and every game that earlier processes left is in play or over.
    pub(crate) fn resumes_all(&mut self) {
        self.says("model in service");
        wait::until("all games of earlier processes in play", || {
            let log = self.log();
            let left =
                log.saying("going on with the games of earlier processes").filter_map(|line| line["games"].as_u64());
            let resumed = log.saying("game resumed").count() as u64;
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", log.tail());
            (resumed >= left.sum()).then_some(())
        });
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> Option<Ended> {
        let status = self.child.try_wait().unwrap()?;
        Some(Ended { status, log: self.log(), told: self.told, launch: self.launch.clone() })
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ended {
        wait::until(&format!("the end of the daemon of {}", self.log.display()), || self.ended())
    }

    /// Kills it as a machine does that runs out of memory.
    pub(crate) fn kill(mut self) -> Ended {
        self.signal(Signal::KILL);
        self.wait()
    }

    /// Asks it to end, and waits.
    pub(crate) fn terminate(mut self) -> Ended {
        self.signal(Signal::TERM);
        self.wait()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Both fail where the process has ended, which is what they are for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How a daemon ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) log: Log,
    pub(crate) told: Told,
    pub(crate) launch: Launch,
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Ended with `code`.
    pub(crate) fn exited_with(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{}:\n{}", self.status, self.log.tail());
        self
    }
}

/// The lines of a log: JSON objects, and what panics write between them.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) lines: Vec<Value>,
    pub(crate) others: Vec<String>,
}

impl Log {
    fn read(bytes: &[u8]) -> Self {
        let mut log = Self { lines: Vec::new(), others: Vec::new() };
        for line in String::from_utf8_lossy(bytes).lines() {
            match serde_json::from_str(line) {
                Ok(value @ Value::Object(_)) => log.lines.push(value),
                // The last line of a killed process may be torn.
                _ => log.others.push(line.to_owned()),
            }
        }
        log
    }

    /// All lines with this message.
    pub(crate) fn saying<'a>(&'a self, message: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["message"] == message)
    }

    /// The last lines, for people.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lines.iter().filter(|line| line["level"] != "DEBUG").map(Value::to_string);
        let lines: Vec<_> = lines.chain(self.others.iter().cloned()).collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}
