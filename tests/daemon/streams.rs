//! Standard error and standard output that are gone, full, or read by nobody.

use std::{
    fs::File,
    io::{PipeReader, Write as _, pipe},
    path::PathBuf,
    process::Stdio,
};

use serde_json::Value;

use crate::{
    config::Config,
    daemon::{Daemon, Ended},
    games,
    trainer::Trainer,
    wait,
};

const GAMES: usize = 4;

/// A stream that takes nothing.
enum Gone {
    /// On a full disk.
    Full,
    /// Its reader has left.
    Closed,
    /// Its reader does not read: what is held here keeps it open.
    Unread(PipeReader),
}

impl Gone {
    fn all() -> [Self; 3] {
        [Self::Full, Self::Closed, Self::Unread(pipe().unwrap().0)]
    }

    fn stream(&mut self) -> Stdio {
        match self {
            Self::Full => File::options().write(true).open("/dev/full").unwrap().into(),
            Self::Closed => pipe().unwrap().1.into(),
            Self::Unread(reader) => {
                let (unread, mut full) = pipe().unwrap();
                // As much as Linux lets a pipe hold, and not a byte more, for which it would wait.
                full.write_all(&[b'.'; 1 << 16]).unwrap();
                *reader = unread;
                full.into()
            }
        }
    }
}

struct Site {
    trainer: Trainer,
    config: PathBuf,
}

impl Site {
    fn new() -> Self {
        let trainer = Trainer::new(Config::QUICK);
        let config = Config::QUICK.write(trainer.ready().parent().unwrap());
        Self { trainer, config }
    }

    fn daemon(&self) -> Daemon {
        Daemon::playing(&self.config, &self.trainer.ready()).args("--evaluator uniform --http-listen none")
    }

    /// A daemon that plays some games.
    fn batch(&self) -> Daemon {
        self.daemon().option("--num-games", GAMES.to_string())
    }

    fn holds_all_games(&self) {
        assert_eq!(games::archives(&self.trainer.ready()).len(), GAMES);
    }
}

#[test]
fn a_log_that_cannot_be_written_costs_no_game() {
    for mut gone in Gone::all() {
        let site = Site::new();
        let ended = site.batch().args("--log-level debug").stderr(gone.stream()).run().succeeded();
        assert!(ended.out.starts_with(&format!("{GAMES} games written to ")), "{}", ended.out);
        site.holds_all_games();
    }
}

#[test]
fn a_standard_output_that_takes_nothing_costs_no_game() {
    for mut gone in Gone::all() {
        let site = Site::new();
        site.batch()
            .args("--trace")
            .stdout(gone.stream())
            .run()
            .succeeded()
            .said(&[&format!("account of all games games_started={GAMES}")]);
        site.holds_all_games();
    }
}

#[test]
fn lines_of_the_log_that_were_lost_are_counted() {
    let site = Site::new();
    let socket = site.config.with_file_name("socket");
    let daemon = site.daemon().option("--http-socket", &socket).args("--num-games 1000000");
    let daemon = daemon.stderr(Gone::Full.stream()).start();
    wait::until("the socket", || socket.exists().then_some(()));
    let ask = |command: &str| Daemon::new().args(command).option("--socket", &socket).run().succeeded().out;
    let status: Value = serde_json::from_str(&ask("status --json")).unwrap();
    assert!(status["lost_lines"]["stderr"].as_u64() > Some(0), "{status}");
    assert!(ask("status").contains("lines of the log were lost"), "people are told");
    drop(daemon);
}

#[test]
fn commands_end_in_peace_when_nobody_reads_what_they_print() {
    let site = Site::new();
    let config = || Daemon::new().args("config").option("--config", &site.config);
    config().stdout(Gone::Closed.stream()).run().exited_with(0);
    Daemon::new().args("--help").stdout(Gone::Closed.stream()).run().exited_with(0);
    config().stdout(Gone::Full.stream()).run().exited_with(74).said(&["failed to write to standard output: No space"]);
    for command in ["config --settings missing.toml", "show missing.npz", "--config missing.yaml"] {
        Daemon::new().args(command).stderr(Gone::Full.stream()).run().exited_with(78);
        Daemon::new().args(command).stderr(Gone::Closed.stream()).run().exited_with(78);
    }
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    let site = Site::new();
    let daemon = site.batch().env("SELFPLAYD__OUTPUT__WRITER_DEADLINE_SECONDS", "0.5");
    let ended: Ended = daemon.under("ulimit -f 4; ulimit -c 0").run().exited_with(74);
    assert!(ended.log.contains("File too large"), "{}", ended.log);
}
