//! A fleet's commands, and a daemon that is one of its workers, with a real server between.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::PathBuf};

use selfplay_fleet::{
    folder::Folder,
    nats::{assets, server::ADMIN},
};
use tempfile::TempDir;

use crate::{
    ask,
    config::{Config, model},
    daemon::{Daemon, Ended, Running, Signal},
    games::{self, Written},
    nats::{Server, has_server},
    wait,
};

const UNUSABLE: i32 = 78;

/// The model that is published.
const MODEL: &str = "b5w3_resnet_2x32.onnx";

/// A directory with a fleet's folder and the trainer's settings.
pub(crate) struct Place(TempDir);

impl Place {
    /// Without a fleet yet.
    pub(crate) fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        Config::QUICK.write(place.0.path());
        place
    }

    /// With a fleet of run r1, whose server is to listen at a free port, and a worker.
    pub(crate) fn with_fleet(worker: &str) -> Self {
        let place = Self::new();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let sizes = "--max-games-bytes 64MB --max-models-bytes 64MB";
        place.fleet(&format!("init --run r1 --listen 127.0.0.1:{port} {sizes}")).succeeded();
        place.fleet(&format!("add-worker {worker}")).succeeded();
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn fleet(&self, args: &str) -> Ended {
        Daemon::new().flag("fleet").args(args).option("--dir", self.path("fleet")).run()
    }

    fn folder(&self) -> Folder {
        Folder::read(&self.path("fleet")).unwrap()
    }

    fn worker_file(&self, name: &str) -> PathBuf {
        self.folder().worker_file(&name.parse().unwrap())
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_one(0)
    }

    /// One of a fleet's servers, started where its files are.
    fn serve_one(&self, number: usize) -> Server {
        Server::start(&self.folder().brokers()[number], &self.path(&format!("log-{number}")))
    }

    /// A hub, which serves HTTP at a port of its own; what it is to do is said beside this.
    pub(crate) fn hub(&self) -> Daemon {
        Daemon::new().args("fleet hub --http-listen 127.0.0.1:0").option("--dir", self.path("fleet"))
    }

    /// The trainer writes a model.
    pub(crate) fn publish(&self, version: u32, file: &str) {
        let models = self.path("models");
        fs::create_dir_all(&models).unwrap();
        let onnx = models.join(format!("model_{version}.onnx"));
        fs::copy(model(file), &onnx).unwrap();
        let yaml = format!("filename: {}\nversion: {version}\n", onnx.display());
        fs::write(models.join("new"), yaml).unwrap();
        fs::rename(models.join("new"), models.join("latest.yaml")).unwrap();
    }

    /// Takes games away as the trainer does, until there are so many of a model; all that were taken.
    pub(crate) fn take(&self, version: i64, count: usize) -> Vec<Written> {
        let mut taken = Vec::new();
        wait::until("games of this model", || {
            for npz in games::archives(&self.path("ready")) {
                taken.push(Written::read(&npz, Config::QUICK));
                fs::remove_file(npz.with_extension("yaml")).unwrap();
                fs::remove_file(npz).unwrap();
            }
            let of_it = taken.iter().filter(|game| game.game.metadata.model_version == version).count();
            (of_it >= count).then_some(())
        });
        taken
    }

    /// A daemon that is a worker, which serves HTTP at a port of its own.
    pub(crate) fn worker(&self, name: &str) -> Daemon {
        self.worker_in(name, name)
    }

    /// The same, whose folder is another.
    pub(crate) fn worker_in(&self, name: &str, dir: &str) -> Daemon {
        Daemon::new()
            .option("--config", self.path("config.yaml"))
            .option("--fleet", self.folder().urls().join(","))
            .option("--credentials", self.worker_file(name))
            .option("--fleet-dir", self.path(dir))
            .args("--device cpu --http-listen 127.0.0.1:0 --grace-seconds 20")
    }
}

/// What a worker's status says of its fleet.
fn status(daemon: &mut Running) -> serde_json::Value {
    let address = daemon.serves("status and control");
    ask::get(address, "/v1/status").json()
}

#[test]
fn a_worker_plays_for_a_trainer_elsewhere_and_is_shut_out() {
    if !has_server() {
        return;
    }
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let init = format!("init --run r1 --listen 127.0.0.1:{port} --max-games-bytes 64MB --max-models-bytes 64MB");
    let made = place.fleet(&init).succeeded();
    for words in ["keys/admin.nk: made", "fleet.toml: made", "nats-server -c ", "fleet hub --dir"] {
        assert!(made.out.contains(words), "{}", made.out);
    }
    let _server = place.serve();
    let prepared = place.fleet("init").succeeded();
    assert!(prepared.out.contains("fleet.toml: as it must be") && prepared.out.contains("stream GAMES: made"));
    let added = place.fleet("add-worker w1").succeeded();
    for words in ["workers/w1.worker: made", "server r1 (nats-server 2.", "--credentials w1.worker"] {
        assert!(added.out.contains(words), "{}", added.out);
    }
    let mut daemon = place.worker("w1").start();
    daemon.says("waiting for a model");
    fs::create_dir_all(place.path("ready")).unwrap();
    let _hub = place.hub().option("--models", place.path("models")).option("--ready", place.path("ready")).start();
    place.publish(1, MODEL);
    let mut taken = place.take(1, 3);
    // The next model comes to it as well, and to its games.
    place.publish(2, MODEL);
    taken.extend(place.take(2, 3));
    let said = status(&mut daemon);
    let fleet = &said["fleet"];
    assert_eq!(
        (&fleet["worker"], &fleet["link"]["up"], &fleet["models"]["named"]),
        (&"w1".into(), &true.into(), &2.into())
    );
    let shown =
        Daemon::new().args("status --address").flag(&format!("http://{}", daemon.serves("status and control"))).run();
    assert!(shown.out.contains("fleet") && shown.out.contains("worker w1 of r1"), "{}", shown.out);
    let metrics = ask::get(daemon.serves("status and control"), "/metrics").body;
    assert!(metrics.contains("selfplayd_fleet_connected 1") && metrics.contains("selfplayd_fleet_model_named 2"));
    // Shut out, it plays on and says so.
    place.fleet("remove-worker w1").succeeded();
    daemon.says("the fleet's server is not connected: play goes on");
    let finished = said["games"]["finished"].as_u64().unwrap();
    let more = |daemon: &mut Running| status(daemon)["games"]["finished"].as_u64().unwrap() > finished + 2;
    wait::until("more games", || more(&mut daemon).then_some(()));
    daemon.signal(Signal::TERM);
    let ended = daemon.wait().exited_with(0);
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
    let names: std::collections::BTreeSet<_> = taken.iter().map(|game| game.npz.clone()).collect();
    assert_eq!(names.len(), taken.len(), "none twice");
    // What it could not send waits for the next start.
    assert!(fs::read_dir(place.path("w1/outbox")).unwrap().count() > 1);
}

#[test]
fn an_outbox_that_is_full_lets_no_new_games_start_until_there_is_room() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let _server = place.serve();
    place.fleet("init").succeeded();
    let mut daemon = place.worker("w1").env("SELFPLAYD__FLEET__MAX_OUTBOX_BYTES", "20000").start();
    // One that collects nothing.
    let _publisher = place.hub().option("--models", place.path("models")).start();
    place.publish(1, MODEL);
    daemon.says("no new games start");
    let said = wait::until("the word", || {
        let said = status(&mut daemon);
        (said["state"] == "writer_blocked").then_some(said)
    });
    let reasons = said["ready"]["reasons"].to_string();
    assert!(
        reasons.contains("no new games start: outbox full") && reasons.contains("the collector is behind or away"),
        "{reasons}"
    );
    fs::create_dir_all(place.path("ready")).unwrap();
    let _collector = place.hub().option("--ready", place.path("ready")).start();
    place.take(1, 3);
    daemon.says("games start again");
    daemon.signal(Signal::TERM);
    daemon.wait().exited_with(0);
}

/// Three addresses for a cluster, with room for the ports that its servers have for each other.
fn three_hosts() -> String {
    wait::until("free ports", || {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
        let free = |port: &u16| TcpListener::bind(("127.0.0.1", port.checked_add(2000)?)).ok();
        ports.iter().all(|port| free(port).is_some()).then(|| ports.map(|port| format!("127.0.0.1:{port}")).join(","))
    })
}

#[test]
fn a_cluster_whose_leader_is_killed_gets_every_game_and_play_never_pauses() {
    if !has_server() {
        return;
    }
    let place = Place::new();
    let sizes = "--max-games-bytes 64MB --max-models-bytes 64MB";
    let made = place.fleet(&format!("init --run r1 --host {} {sizes}", three_hosts())).succeeded();
    for words in ["brokers/3/nats.conf: made", "brokers/1 to 127.0.0.1, and start there, in the copy: nats-server -c"] {
        assert!(made.out.contains(words), "{words} is not in {}", made.out);
    }
    let mut servers: Vec<_> = (0..3).map(|number| Some(place.serve_one(number))).collect();
    place.fleet("add-worker w1").succeeded();
    // Its servers may still choose their leader.
    wait::until("a prepared cluster", || {
        place.fleet("init").out.contains("every server of the cluster has all: one may be stopped").then_some(())
    });
    let reloaded = place.fleet("reload").succeeded();
    assert!(
        (1..=3).all(|number| reloaded.out.contains(&format!("server r1-{number} (nats-server 2."))),
        "{}",
        reloaded.out
    );
    fs::create_dir_all(place.path("ready")).unwrap();
    let mut hub = place.hub().option("--models", place.path("models")).option("--ready", place.path("ready")).start();
    let mut daemon = place.worker("w1").start();
    place.publish(1, MODEL);
    let mut taken = place.take(1, 3);
    let kept = assets::kept(&place.folder().dial(ADMIN).unwrap()).unwrap();
    let leader = kept.iter().find(|kept| kept.asset == "stream GAMES").and_then(|kept| kept.leader.clone()).unwrap();
    let leader: usize = leader.strip_prefix("r1-").unwrap().parse().unwrap();
    servers[leader - 1] = None;
    // From here on until a frame is stored again.
    let finished = |daemon: &mut Running| {
        let said = status(daemon);
        assert_ne!(said["state"], "writer_blocked", "{said}");
        said["games"]["finished"].as_u64().unwrap()
    };
    let at_death = finished(&mut daemon);
    wait::until("games that are finished meanwhile", || (finished(&mut daemon) >= at_death + 5).then_some(()));
    taken.extend(place.take(1, 10));
    hub.says("these servers of the cluster are away or do not have all yet");
    // The next model comes as well, and the server may come back.
    place.publish(2, MODEL);
    taken.extend(place.take(2, 3));
    servers[leader - 1] = Some(place.serve_one(leader - 1));
    taken.extend(place.take(2, 3));
    daemon.signal(Signal::TERM);
    let ended = daemon.wait().exited_with(0);
    let finished: usize =
        ended.log.rsplit("games_finished=").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    wait::until("every game that was finished", || {
        taken.extend(place.take(2, 0));
        (taken.len() == finished).then_some(())
    });
    let names: std::collections::BTreeSet<_> = taken.iter().map(|game| game.npz.clone()).collect();
    assert_eq!(names.len(), taken.len(), "none twice");
}

#[test]
fn what_a_worker_lacks_or_must_not_have_is_said() {
    let place = Place::new();
    place.fleet("init --run r1").succeeded();
    place.fleet("add-worker w1").succeeded();
    let worker = |args: &str| {
        let daemon = Daemon::new().option("--config", place.path("config.yaml")).args(args);
        daemon.option("--fleet-dir", place.path("w1")).run().exited_with(UNUSABLE)
    };
    let credentials = place.worker_file("w1");
    let with = |args: &str| worker(&format!("--credentials {} {args}", credentials.display()));
    worker("--fleet nats://127.0.0.1:1").said(&["fleet.credentials is missing", "--credentials"]);
    with("--fleet nats://trainer:4222").said(&["fleet.servers", "must be an address such as \"tls://"]);
    with("--fleet nats://127.0.0.1:1 --output-dir out")
        .said(&["output.dir", "games go to the trainer through fleet.dir"]);
    with("--fleet nats://127.0.0.1:1 --model-source out").said(&["model.source", "models come from the trainer"]);
    with("--fleet nats://127.0.0.1:1 --model-path m.onnx --num-games 3").said(&[
        "model.path",
        "play.num_games",
        "a worker plays until it is told to stop",
    ]);
    with("--fleet nats://127.0.0.1:1 --promote gate").said(&["evaluation.promote", "the trainer's side decides"]);
    worker("--fleet nats://127.0.0.1:1 --credentials /none").said(&["fleet.credentials", "No such file"]);
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o644)).unwrap();
    with("--fleet nats://127.0.0.1:1").said(&["others than its owner may read it (mode 644)"]);
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!place.path("w1").exists(), "nothing is made before all is well");
}

#[test]
fn commands_for_a_fleet_that_is_none_or_is_another_say_so() {
    let place = Place::new();
    place.fleet("init").exited_with(UNUSABLE).said(&["name it with --run"]);
    place.fleet("add-worker w1").exited_with(UNUSABLE).said(&["fleet init --run NAME"]);
    place.fleet("init --run R1").exited_with(2).said(&["all of them a to z"]);
    place.fleet("init --run r1 --listen 0.0.0.0:4222").exited_with(UNUSABLE).said(&["without a certificate"]);
    place.fleet("init --run r1 --listen 127.0.0.1:1").succeeded();
    place.fleet("init --run r2").exited_with(UNUSABLE).said(&["that is the fleet of run r1"]);
    let added = place.fleet("add-worker w1 w2").succeeded();
    assert!(added.out.contains("no server listens on 127.0.0.1:1"), "{}", added.out);
    let cluster = Place::new();
    cluster.fleet("init --run r1 --host 127.0.0.1:1,127.0.0.1:2,127.0.0.1:3").succeeded();
    let added = cluster.fleet("add-worker w1").succeeded();
    assert!(
        added.out.contains("listens on 127.0.0.1:2: it learns of this when it is started with a copy of"),
        "{}",
        added.out
    );
    place.fleet("add-worker collector").exited_with(UNUSABLE).said(&["no worker can be named collector"]);
    place.fleet("init --host 127.0.0.1:1,127.0.0.1:2").exited_with(UNUSABLE).said(&["use 2 servers", "--host"]);
    place.fleet("remove-worker w3").exited_with(UNUSABLE).said(&["it has w1, w2"]);
    place.fleet("remove-worker w1").succeeded();
    // Something else listens there.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    std::thread::spawn(move || other.incoming().map_while(Result::ok).for_each(drop));
    place.fleet(&format!("init --listen 127.0.0.1:{port}")).exited_with(69).said(&["connect to nats://127.0.0.1:"]);
}
