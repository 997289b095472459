//! Which daemon is which: names, addresses, and daemons beside each other.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::{Pid, kill_process};
use tempfile::TempDir;

use crate::{
    ask::{get, status},
    config::Config,
    daemon::{Daemon, Running, Signal},
    http::{listening, trainer},
    wait,
};

fn end(daemon: Running) {
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn a_daemon_says_what_it_plays_for() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    daemon.says("run=\"e2e\"");
    let run = get(address, "/v1/status").json()["run"].clone();
    let models = trainer.ready().with_file_name("").with_file_name("models").join("latest.yaml");
    assert_eq!((&run["name"], &run["output_dir"]), (&"e2e".into(), &trainer.ready().to_str().unwrap().into()));
    assert_eq!(run["model_source"], models.to_str().unwrap());
    let metrics = get(address, "/metrics").body;
    let info = metrics.lines().find(|line| line.starts_with("selfplayd_run_info{")).unwrap();
    for label in ["name=\"e2e\"".to_owned(), format!("output_dir=\"{}\"", trainer.ready().display())] {
        assert!(info.contains(&label), "{info}");
    }
    end(daemon);

    let mut named = listening(&trainer).env("SELFPLAYD__RUN__NAME", "night shift").start();
    let address = named.serves("status and control");
    assert_eq!(get(address, "/v1/status").json()["run"]["name"], "night shift");
    end(named);
}

#[test]
fn daemons_of_one_directory_know_of_each_other() {
    let trainer = trainer();
    let mut first = listening(&trainer).start();
    let address = first.serves("status and control");
    let mut second = listening(&trainer).env("SELFPLAYD__RUN__NAME", "another").start();
    let other = second.serves("status and control");
    second.says(&format!("another daemon plays into the same output directory, for another run pid={}", first.id()));
    let seen = |address, what: &str, pid: u32| {
        let status = status(address, what, |status| status["siblings"][0]["pid"] == pid);
        assert_eq!(status["siblings"].as_array().unwrap().len(), 1, "{status}");
        status["siblings"][0].clone()
    };
    let sibling = seen(address, "the second daemon", second.id());
    assert_eq!((&sibling["run"], &sibling["url"]), (&"another".into(), &format!("http://{other}/").into()));
    assert_eq!(seen(other, "the first daemon", first.id())["run"], "e2e");
    // Who is killed takes nothing away, and is not there all the same.
    second.signal(Signal::KILL);
    second.wait();
    status(address, "the end of the second", |status| status["siblings"] == serde_json::json!([]));
    end(first);
}

/// Processes that are started alike, as a trainer starts several, all play.
#[test]
fn a_metrics_address_that_a_sibling_has_is_no_reason_not_to_play() {
    let dir = TempDir::new().unwrap();
    let (config, out) = (Config::QUICK.write(dir.path()), dir.path().join("games"));
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let daemon = || {
        let daemon = Daemon::playing(&config, &out).args("--evaluator hash --num-games 4 --http-listen none");
        daemon.env("SELFPLAYD__HTTP__METRICS_LISTEN", &taken.to_string())
    };
    let started: Vec<_> = (0..3).map(|_| daemon().start()).collect();
    for daemon in started {
        let ended = daemon.wait().succeeded();
        assert!(
            ended.log.contains("http.metrics_listen") && ended.log.contains("using the next free one"),
            "{}",
            ended.log
        );
        assert!(ended.log.contains("metrics url=http://127.0.0.1:"), "{}", ended.log);
    }
}

#[test]
fn a_daemon_may_end_with_its_parent() {
    let trainer = trainer();
    let log = trainer.ready().with_file_name("log");
    let mut command = Command::new("sh");
    // The shell waits, so that it is the parent until it is killed.
    command.args(["-c", "\"$0\" \"$@\" 2>log & echo $! >pid; wait"]).current_dir(trainer.ready().with_file_name(""));
    command.arg(env!("CARGO_BIN_EXE_selfplayd"));
    command.arg("--config").arg(trainer.ready().with_file_name("").with_file_name("config.yaml"));
    command.arg("--output-dir").arg(trainer.ready()).arg("--latest-model-yaml");
    command.arg(trainer.ready().with_file_name("").with_file_name("models").join("latest.yaml"));
    command.args(["--continuous", "--evaluator", "hash", "--http-listen", "none", "--grace-seconds", "5"]);
    command.env("SELFPLAYD__DAEMON__EXIT_WITH_PARENT", "true");
    let mut shell = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let orphan = Orphan(log.with_file_name("pid"));
    let says = |text: &str| wait::until(text, || fs::read_to_string(&log).ok().filter(|log| log.contains(text)));
    says("model in service");
    shell.kill().unwrap();
    shell.wait().unwrap();
    says(&format!("process {}, which started this one, is gone", shell.id()));
    says("account of all games");
    drop(orphan);
}

/// A process that may outlive a test that fails.
struct Orphan(std::path::PathBuf);

impl Drop for Orphan {
    fn drop(&mut self) {
        let pid = fs::read_to_string(&self.0).ok().and_then(|pid| pid.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).and_then(Pid::from_raw) {
            // It may have ended in this moment.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}
