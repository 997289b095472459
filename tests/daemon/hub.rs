//! A hub as a process: beside a trainer, with a real server and a worker.

use std::{fs, net::SocketAddr};

use serde_json::Value;

use crate::{
    ask,
    config::Config,
    daemon::{Daemon, Running, Signal},
    fleet::Place,
    games::{self, Written},
    nats::has_server,
    wait,
};

const UNUSABLE: i32 = 78;
const UNREACHABLE: i32 = 69;
const REFUSED: i32 = 1;

/// A hub of a place's fleet, with both parts.
fn hub(place: &Place) -> Daemon {
    place
        .hub()
        .option("--models", place.path("models"))
        .option("--ready", place.path("ready"))
        .option("--config", place.path("config.yaml"))
}

/// What a hub tells, once it is so.
fn told(address: SocketAddr, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, || Some(ask::get(address, "/v1/fleet").json()).filter(|told| is(told)))
}

/// A command that speaks to a hub.
fn command(address: SocketAddr, args: &str) -> crate::daemon::Ended {
    Daemon::new().args("fleet").args(args).option("--address", format!("http://{address}")).run()
}

fn serves(hub: &mut Running) -> SocketAddr {
    hub.serves("status and control")
}

#[test]
fn a_hub_collects_publishes_is_steered_and_may_be_killed() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let _server = place.serve();
    place.publish(1, "b5w3_resnet_2x32.onnx");
    let mut first = hub(&place).start();
    let address = serves(&mut first);
    // It prepares the server by itself.
    first.says("stream GAMES: made");
    let worker = place.worker("w1").start();
    let ready = place.path("ready");
    let mut taken = place.take(1, 3);
    let seen = told(address, "the worker", |told| {
        let worker = &told["workers"][0];
        worker["standing"] == "proven" && worker["games"].as_u64() > Some(0) && told["ready"]["ok"] == true
    });
    assert_eq!((&seen["workers"][0]["name"], &seen["publisher"]["stage"]), (&"w1".into(), &"everywhere".into()));
    assert_eq!(seen["control"], true);
    // Frames that are on their way are told too.
    let words = ["hub of run r1", "model 1 for all workers", "nothing waits at the broker", "1 proven"];
    wait::until("all that a status tells", || {
        let shown = command(address, "status").succeeded();
        words.iter().all(|words| shown.out.contains(words)).then_some(())
    });
    let metrics = ask::get(address, "/metrics").body;
    assert!(metrics.contains("selfplayd_hub_model_version 1\n") && metrics.contains("worker=\"w1\""), "{metrics}");
    assert!(ask::get(address, "/").body.contains("selfplayd fleet"), "there is a page");

    command(address, "promote").exited_with(REFUSED).said(&["the hub refused", "all workers are to serve it already"]);
    // Held, a new model comes to no worker.
    command(address, "hold").succeeded();
    place.publish(2, "b5w3_resnet_2x32_trained.onnx");
    let held = told(address, "a model that is held", |told| told["publisher"]["newest"] == 2);
    assert_eq!((&held["publisher"]["held"], &held["publisher"]["model"]), (&true.into(), &1.into()));
    command(address, "resume").succeeded();
    taken.extend(place.take(2, 3));
    let withdraw = Daemon::new().args("fleet withdraw").option("--address", format!("http://{address}"));
    withdraw.option("--why", "it plays badly").run().succeeded();
    let withdrawn = told(address, "a model that is withdrawn", |told| {
        told["publisher"]["stage"] == "withdrawn" && told["workers"][0]["model"] == 1
    });
    assert!(withdrawn["warnings"].to_string().contains("it plays badly"), "{withdrawn}");
    command(address, "withdraw").exited_with(REFUSED).said(&["the hub refused", "was withdrawn"]);

    // Killed at any moment, the next one goes on; while one collects another waits.
    first.signal(Signal::KILL);
    drop(first.wait());
    let mut second = hub(&place).start();
    let address = serves(&mut second);
    let mut third = hub(&place).start();
    let stands_by = serves(&mut third);
    let idle = told(stands_by, "a hub that waits", |told| {
        told["ready"]["reasons"].to_string().contains("another process collects there")
    });
    assert_eq!(idle["collector"]["collects"], false);
    assert_eq!(idle["health"]["ok"], true, "to wait is no fault: {idle}");
    place.publish(3, "b5w3_resnet_2x32.onnx");
    taken.extend(place.take(3, 3));
    second.signal(Signal::TERM);
    second.wait().exited_with(0);
    told(stands_by, "the turn of the one that waits", |told| told["collector"]["collects"] == true);
    taken.extend(place.take(3, 1));
    command(address, "status").exited_with(UNREACHABLE).said(&["no hub answers"]);

    worker.signal(Signal::TERM);
    let books = worker.wait().exited_with(0);
    assert!(!books.log.contains("panicked"), "{}", books.log);
    third.signal(Signal::TERM);
    third.wait().exited_with(0);
    // What came after the last look is in the folder.
    taken.extend(games::archives(&ready).iter().map(|npz| Written::read(npz, Config::QUICK)));
    let names: std::collections::BTreeSet<_> = taken.iter().map(|game| game.npz.clone()).collect();
    assert_eq!(names.len(), taken.len(), "none twice");
}

#[test]
fn a_server_that_lost_all_that_it_kept_is_prepared_again_and_no_game_is_lost() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let server = place.serve();
    place.publish(1, "b5w3_resnet_2x32.onnx");
    let mut hub = hub(&place).start();
    let address = serves(&mut hub);
    let worker = place.worker("w1").start();
    let mut taken = place.take(1, 3);
    drop(server);
    fs::remove_dir_all(place.path("fleet/store")).unwrap();
    let _server = place.serve();
    hub.says_for_the(2, "stream GAMES: made");
    // Models and the pointer to them are there again, and what workers say of themselves.
    place.publish(2, "b5w3_resnet_2x32.onnx");
    taken.extend(place.take(2, 3));
    told(address, "the worker", |told| told["workers"][0]["model"] == 2 && told["workers"][0]["standing"] == "proven");
    worker.signal(Signal::TERM);
    let ended = worker.wait().exited_with(0);
    let finished: u64 = ended.log.rsplit("games_finished=").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    wait::until("every game that was finished", || {
        taken.extend(place.take(2, 0));
        (taken.len() as u64 == finished).then_some(())
    });
    let names: std::collections::BTreeSet<_> = taken.iter().map(|game| game.npz.clone()).collect();
    assert_eq!(names.len(), taken.len(), "none twice");
    hub.signal(Signal::TERM);
    hub.wait().exited_with(0);
}

#[test]
fn two_daemons_under_one_name_are_told() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let _server = place.serve();
    let mut hub = hub(&place).start();
    let address = serves(&mut hub);
    let both = ["a", "b"].map(|dir| place.worker_in("w1", dir).start());
    told(address, "the two", |told| told["warnings"].to_string().contains("worker w1: two daemons speak under this"));
    for daemon in both.into_iter().chain([hub]) {
        daemon.signal(Signal::TERM);
        daemon.wait().exited_with(0);
    }
}

#[test]
fn what_is_no_model_is_told_to_no_worker() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let _server = place.serve();
    place.publish(1, "b5w3_resnet_2x32.onnx");
    let mut hub = hub(&place).start();
    let address = serves(&mut hub);
    hub.says("was not there and has been made");
    told(address, "the first model", |told| told["publisher"]["model"] == 1);
    let onnx = place.path("models/model_2.onnx");
    fs::write(&onnx, "PK").unwrap();
    fs::write(place.path("models/latest.yaml"), format!("filename: {}\nversion: 2\n", onnx.display())).unwrap();
    let troubles = |told: &Value| told["publisher"]["troubles"].to_string();
    let seen = told(address, "the refusal", |told| troubles(told).contains("not a complete ONNX model"));
    assert_eq!(seen["publisher"]["model"], 1);
    place.publish(3, "b5w3_resnet_2x32.onnx");
    let seen = told(address, "the next model", |told| told["publisher"]["model"] == 3);
    assert!(!troubles(&seen).contains("ONNX"), "{seen}");
    hub.signal(Signal::TERM);
    hub.wait().exited_with(0);
}

#[test]
fn two_hubs_that_collect_into_two_folders_say_so() {
    if !has_server() {
        return;
    }
    let place = Place::with_fleet("w1");
    let _server = place.serve();
    let mut hubs = ["ready", "elsewhere"].map(|ready| place.hub().option("--ready", place.path(ready)).start());
    for hub in &mut hubs {
        hub.says("another hub of this fleet collects too, into another folder");
    }
    let [mut left, ended] = hubs;
    ended.signal(Signal::TERM);
    ended.wait().exited_with(0);
    told(serves(&mut left), "a hub that is alone", |told| told["health"]["ok"] == true);
    left.signal(Signal::TERM);
    left.wait().exited_with(0);
}

#[test]
fn what_a_hub_lacks_is_said() {
    let place = Place::new();
    let lacks = |daemon: Daemon| daemon.run().exited_with(UNUSABLE);
    lacks(hub(&place)).said(&["fleet init --run NAME"]);
    let place = Place::with_fleet("w1");
    Daemon::new().args("fleet hub").run().exited_with(2).said(&["--models"]);
    fs::remove_file(place.path("fleet/keys/publisher.nk")).unwrap();
    lacks(hub(&place)).said(&["publisher.nk", "No such file"]);
    hub(&place).option("--stages", "0").run().exited_with(2).said(&["must be above 0"]);
}

#[test]
fn a_hub_refuses_a_folder_that_a_daemon_plays_into() {
    let place = Place::with_fleet("w1");
    let mut daemon = Daemon::playing(&place.path("config.yaml"), &place.path("ready"))
        .args("--evaluator uniform --num-games 100000 --http-listen none")
        .start();
    daemon.says("selfplayd starts");
    wait::until("its file", || {
        fs::read_dir(place.path("ready/tmp"))
            .ok()?
            .flatten()
            .find(|entry| entry.file_name().to_string_lossy().starts_with("daemon_"))
    });
    hub(&place).run().exited_with(UNUSABLE).said(&["a daemon plays into it by itself", "--fleet"]);
    daemon.signal(Signal::TERM);
    drop(daemon.wait());
}
