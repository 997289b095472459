//! What a service manager is told.

use std::{os::unix::net::UnixDatagram, path::PathBuf, sync::mpsc, thread, time::Instant};

use tempfile::TempDir;

use crate::{
    config::Config,
    daemon::{Daemon, Signal},
    fleet::Place,
    trainer::{Scalar, Trainer},
    wait::DEADLINE,
};

/// A stand-in for systemd: a real socket.
struct Manager {
    dir: TempDir,
    messages: mpsc::Receiver<String>,
    /// Everything that was told so far, line by line.
    told: Vec<String>,
}

impl Manager {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = [0; 4096];
            while let Ok(length) = socket.recv(&mut message) {
                if sender.send(String::from_utf8(message[..length].to_vec()).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { dir, messages, told: Vec::new() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("notify")
    }

    /// A daemon that tells it things; it wants to hear from it every ten seconds.
    fn starts(&self, daemon: Daemon) -> Daemon {
        daemon.env("NOTIFY_SOCKET", self.path().to_str().unwrap()).env("WATCHDOG_USEC", "10000000")
    }

    /// Waits until a line that begins so is told, from here on.
    fn hears(&mut self, beginning: &str) -> String {
        let begun = Instant::now();
        loop {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            let message = self.messages.recv_timeout(left);
            let message = message.unwrap_or_else(|_| panic!("never told {beginning:?}, but {:#?}", self.told));
            self.told.extend(message.lines().map(str::to_owned));
            if let Some(line) = message.lines().find(|line| line.starts_with(beginning)) {
                return line.to_owned();
            }
        }
    }

    /// How often a line that begins so was told up to now.
    fn heard(&self, beginning: &str) -> usize {
        self.told.iter().filter(|line| line.starts_with(beginning)).count()
    }
}

#[test]
fn from_the_wait_for_a_model_to_the_end() {
    let trainer = Trainer::new(Config::SLOW);
    let mut manager = Manager::new();
    let daemon = trainer.daemon().args("--evaluator hash --grace-seconds 600 --pause-unload-after 0");
    let mut daemon = manager.starts(daemon).start();
    manager.hears("STATUS=waiting for a model");
    manager.hears("EXTEND_TIMEOUT_USEC=");
    manager.hears("WATCHDOG=1");
    assert_eq!(manager.heard("READY=1"), 0, "there is no model yet");

    trainer.publish_network(0, Scalar::Plain);
    manager.hears("READY=1");
    daemon.says("model in service");
    manager.hears("WATCHDOG=1");
    assert_eq!(manager.heard("READY=1"), 1);

    daemon.signal(Signal::HUP);
    manager.hears("RELOADING=1");
    let time = manager.told.last().unwrap().strip_prefix("MONOTONIC_USEC=").unwrap();
    assert!(time.parse::<u64>().unwrap() > 0, "{time}");
    manager.hears("READY=1");
    daemon.says("settings read again");

    daemon.signal(Signal::USR1);
    manager.hears("STATUS=paused");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    daemon.says("model unloaded");
    daemon.signal(Signal::USR1);
    manager.hears("STATUS=playing");
    manager.hears("WATCHDOG=1");

    assert_eq!((manager.heard("STOPPING=1"), manager.heard("READY=1")), (0, 2));
    daemon.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    manager.hears("EXTEND_TIMEOUT_USEC=");
    manager.hears("WATCHDOG=1");
    // A second SIGTERM within a second would count as the first.
    daemon.signal(Signal::INT);
    daemon.wait().exited_with(75);
    assert_eq!((manager.heard("STOPPING=1"), manager.heard("READY=1")), (1, 2));
}

#[test]
fn an_end_by_itself_is_told_and_a_manager_that_does_not_listen_is_no_harm() {
    let dir = TempDir::new().unwrap();
    let daemon = || {
        Daemon::playing(&Config::QUICK.write(dir.path()), &dir.path().join("games"))
            .args("--evaluator hash --num-games 8")
    };
    let mut manager = Manager::new();
    manager.starts(daemon()).run().succeeded();
    manager.hears("STOPPING=1");
    let order: Vec<_> = manager.told.iter().filter(|line| ["READY=1", "STOPPING=1"].contains(&line.as_str())).collect();
    assert!(order == ["READY=1", "STOPPING=1"] || order == ["STOPPING=1"], "it may be over before it is looked at");

    let nowhere = dir.path().join("nowhere");
    let ended = daemon().env("NOTIFY_SOCKET", nowhere.to_str().unwrap()).run().succeeded();
    assert_eq!(ended.log.matches("the service manager is told nothing").count(), 1, "{}", ended.log);
}

#[test]
fn a_hub_tells_how_it_is_too() {
    let place = Place::with_fleet("w1");
    let mut manager = Manager::new();
    let hub = place.hub().option("--models", place.path("models")).option("--ready", place.path("ready"));
    let hub = manager.starts(hub).start();
    manager.hears("READY=1");
    // There is no server.
    assert!(manager.hears("STATUS=").contains("0 workers"));
    manager.hears("WATCHDOG=1");
    hub.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    hub.wait().exited_with(0);
}
