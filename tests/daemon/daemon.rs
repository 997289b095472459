//! Starts a daemon, reads along, and sees how it ends.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use rustix::process::{Pid, kill_process};

pub(crate) use rustix::process::Signal;

use crate::wait::{self, DEADLINE};

/// A daemon to be started.
pub(crate) struct Daemon(Command);

impl Daemon {
    /// With no arguments, in an environment without settings.
    pub(crate) fn new() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_selfplayd"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SELFPLAYD__")) {
                command.env_remove(name);
            }
        }
        // Usage errors are wrapped to the terminal's width.
        command.env("COLUMNS", "120").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command)
    }

    /// A daemon that plays games into `games`, by the settings in the trainer's format at `config`.
    pub(crate) fn playing(config: &Path, games: &Path) -> Self {
        Self::new().option("--config", config).option("--output-dir", games)
    }

    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.0.arg(flag);
        self
    }

    pub(crate) fn option(mut self, flag: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.arg(flag).arg(value);
        self
    }

    /// Space-separated arguments.
    pub(crate) fn args(mut self, args: &str) -> Self {
        self.0.args(args.split_whitespace());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Its standard output goes there, and is not read along.
    pub(crate) fn stdout(mut self, to: Stdio) -> Self {
        self.0.stdout(to);
        self
    }

    /// Its log goes there, and is not read along.
    pub(crate) fn stderr(mut self, to: Stdio) -> Self {
        self.0.stderr(to);
        self
    }

    /// The same daemon, started by a shell after these words, such as `ulimit`.
    pub(crate) fn under(self, words: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{words}; exec \"$0\" \"$@\"")).arg(self.0.get_program()).args(self.0.get_args());
        for (name, value) in self.0.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(shell)
    }

    pub(crate) fn start(mut self) -> Running {
        let mut child = self.0.spawn().expect("the daemon was built with this test");
        drop(self); // It holds streams, which would count as open.
        let (sender, lines) = mpsc::channel();
        child.stdout.take().into_iter().for_each(|out| follow(out, sender.clone(), Line::Out));
        child.stderr.take().into_iter().for_each(|log| follow(log, sender.clone(), Line::Log));
        Running { child, lines, out: String::new(), log: String::new() }
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Ended {
        self.start().wait()
    }
}

enum Line {
    Out(String),
    Log(String),
}

fn follow(from: impl Read + Send + 'static, to: mpsc::Sender<Line>, kind: fn(String) -> Line) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(kind(line)).is_err() {
                break;
            }
        }
    });
}

/// A daemon that was started. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<Line>,
    out: String,
    log: String,
}

impl Running {
    /// Waits until the log holds `text`.
    pub(crate) fn says(&mut self, text: &str) {
        let begun = Instant::now();
        while !self.log.contains(text) {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.note(line),
                Err(error) => panic!("the daemon never said {text:?} ({error}), but:\n{}", self.log),
            }
        }
    }

    /// What it has logged so far, as far as it was waited for.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// Waits until it has said where it serves `what` ("status and control", "metrics"), and returns the address.
    pub(crate) fn serves(&mut self, what: &str) -> SocketAddr {
        let words = format!("{what} url=http://");
        self.says(&words);
        let place = self.log.split_once(&words).map(|(_, rest)| rest.split_whitespace().next().unwrap());
        place.unwrap().parse().unwrap()
    }

    /// Waits until `count` lines of the log hold `text`; the last of them.
    pub(crate) fn says_for_the(&mut self, count: usize, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let said: Vec<_> = self.log.lines().filter(|line| line.contains(text)).collect();
            if said.len() >= count {
                return said[count - 1].to_owned();
            }
            match self.lines.recv_timeout(DEADLINE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.note(line),
                Err(error) => panic!("the daemon never said {text:?} {count} times ({error}), but:\n{}", self.log),
            }
        }
    }

    /// Lines of the log so far that hold `text`.
    pub(crate) fn said(&mut self, text: &str) -> usize {
        while let Ok(line) = self.lines.try_recv() {
            self.note(line);
        }
        self.log.lines().filter(|line| line.contains(text)).count()
    }

    /// What it logs when it is asked how it is; needs the log in JSON.
    pub(crate) fn status(&mut self) -> Status {
        const LINE: &str = r#""message":"status","#;
        let before = self.said(LINE);
        self.signal(Signal::USR2);
        let line: serde_json::Value = serde_json::from_str(&self.says_for_the(before + 1, LINE)).unwrap();
        let counts = serde_json::from_str(line["counts"].as_str().unwrap()).unwrap();
        Status { line, counts }
    }

    fn note(&mut self, line: Line) {
        let (place, line) = match line {
            Line::Out(line) => (&mut self.out, line),
            Line::Log(line) => (&mut self.log, line),
        };
        place.push_str(&line);
        place.push('\n');
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the daemon still runs");
    }

    /// Whether it has this file open.
    pub(crate) fn has_open(&self, file: &Path) -> bool {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id())).unwrap();
        files.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).any(|open| open == file)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself, which must be within [`DEADLINE`]: far less than what tests let it wait for otherwise.
    pub(crate) fn wait(mut self) -> Ended {
        let begun = Instant::now();
        // Both streams close when the process ends.
        loop {
            match self.lines.recv_timeout(DEADLINE.saturating_sub(begun.elapsed())) {
                Ok(line) => self.note(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("the daemon does not end:\n{}{}", self.out, self.log),
            }
        }
        let status = wait::until("the daemon's exit", || self.child.try_wait().unwrap());
        let (out, log) = (std::mem::take(&mut self.out), std::mem::take(&mut self.log));
        Ended { status, out, log }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where the process has ended, which is what they are for.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How a daemon says it is.
pub(crate) struct Status {
    /// The line of the log.
    pub(crate) line: serde_json::Value,
    /// Its counters by name.
    pub(crate) counts: serde_json::Value,
}

/// How a daemon ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    /// What it wrote to standard output.
    pub(crate) out: String,
    /// What it wrote to standard error.
    pub(crate) log: String,
}

impl Ended {
    /// Exit code 0, and not one word of alarm.
    pub(crate) fn succeeded(self) -> Self {
        let alarmed = self.log.contains("ERROR") || self.log.contains("panicked");
        assert!(self.status.success() && !alarmed, "{}\n{}\n{}", self.status, self.out, self.log);
        self
    }

    pub(crate) fn exited_with(self, code: i32) -> Self {
        let panicked = self.log.contains("panicked");
        assert!(self.status.code() == Some(code) && !panicked, "{}\n{}\n{}", self.status, self.out, self.log);
        self
    }

    /// The log holds all of `texts`.
    pub(crate) fn said(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.log.contains(text), "{text:?} is missing in:\n{}", self.log);
        }
        self
    }
}
