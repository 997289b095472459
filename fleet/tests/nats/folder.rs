//! A fleet's folder with a real server: all that `selfplayd fleet` does.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use selfplay_fleet::{
    folder::{self, Folder, SYSTEM, Wanted, WorkerFile},
    nats::{
        Bell, NatsWorker,
        assets::{self, AssetError, Done},
        reload::{ReloadError, Reloaded, reload},
        server::{ADMIN, HUB, Tls},
    },
};

use crate::{
    broker::{DEADLINE, name, program},
    setup::certificates,
    sides::{HubSide, Side, Trainer, names, pause, settle, until},
};

/// A server of a folder. Killed when it is dropped.
struct Running(Child);

impl Running {
    fn start(folder: &Folder) -> Self {
        let log = fs::File::create(folder.dir().join("log")).unwrap();
        let mut server = Command::new(program().unwrap());
        let broker = &folder.brokers()[0];
        server.arg("-c").arg(&broker.conf).stdin(Stdio::null());
        let server = Self(server.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        until("the server comes", || TcpStream::connect(&broker.at).is_ok());
        server
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn wanted(dir: &Path) -> Wanted {
    let Tls { certificate, key } = certificates(dir).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    Wanted {
        run: Some(name("run")),
        listen: Some(format!("0.0.0.0:{port}")),
        certificate: Some(certificate),
        key: Some(key),
        authority: Some(dir.join("ca.pem")),
        max_games_bytes: Some(64 << 20),
        max_models_bytes: Some(64 << 20),
        ..Wanted::default()
    }
}

/// The machine may be too busy for a moment.
fn prepare(folder: &Folder) -> Vec<assets::Change> {
    let begun = Instant::now();
    loop {
        match assets::prepare(&folder.dial(ADMIN).unwrap(), folder.plan()) {
            Err(AssetError::Connect { .. } | AssetError::Unanswered { .. }) if begun.elapsed() < DEADLINE => pause(),
            prepared => return prepared.unwrap(),
        }
    }
}

fn conf(folder: &Folder) -> PathBuf {
    folder.brokers()[0].conf.clone()
}

/// Has the server read what stands in the folder.
fn told(folder: &Folder) -> Result<Reloaded, ReloadError> {
    reload(&folder.dial(SYSTEM).unwrap(), &fs::read_to_string(conf(folder)).unwrap())
}

fn tell(folder: &Folder) {
    let mut said = told(folder);
    let begun = Instant::now();
    while let (Err(_), true) = (&said, begun.elapsed() < DEADLINE) {
        pause();
        said = told(folder);
    }
    let Reloaded { server, is_current } = said.unwrap();
    assert!(server.starts_with("run (nats-server 2.") && is_current, "{server}");
}

#[test]
fn a_fleet_is_made_workers_come_play_and_are_shut_out() {
    if program().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("odd \"fleet\" {#");
    let (folder, _) = folder::init(&dir, &wanted(place.path())).unwrap();
    let _server = Running::start(&folder);
    assert!(prepare(&folder).iter().all(|change| change.done == Done::Made));
    assert!(prepare(&folder).iter().all(|change| change.done == Done::Nothing));
    // A worker that the server does not know yet; then it does, while it runs.
    let (folder, _) = folder::add(&dir, &[name("w1"), name("w2")]).unwrap();
    // On machines of their own, where the files stay.
    let file = |worker: &str| {
        let (made, copy) = (folder.worker_file(&name(worker)), place.path().join(format!("{worker}.worker")));
        if !copy.exists() {
            fs::copy(made, &copy).unwrap();
        }
        WorkerFile::read(&copy).unwrap()
    };
    let dial = |worker: &str| file(worker).dial(&folder.urls()).unwrap();
    let mut sides = ["w1", "w2"].map(|worker| Side::open(place.path(), worker, dial(worker)));
    until("the key is refused", || sides[0].link.health().refused > 0);
    tell(&folder);
    let ready = place.path().join("ready");
    let mut hub = HubSide::open(&ready, folder.dial(HUB).unwrap());
    let mut trainer = Trainer::new(&ready);
    let mut played = vec![sides[0].play(5, 2, 1_000), sides[1].play(5, 2, 1_000)];
    let [one, two] = &mut sides;
    settle(&mut [one, two], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&played));
    // One is shut out; the other plays on.
    let kept = file("w1");
    let (folder, _) = folder::remove(&dir, &[name("w1")]).unwrap();
    tell(&folder);
    until("it is shut out", || !one.link.health().is_up() && one.link.health().refused > 1);
    played.push(two.play(3, 1, 500));
    settle(&mut [two], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&played));
    let link =
        NatsWorker::connect(kept.dial(&folder.urls()).unwrap(), kept.run(), kept.worker(), Bell::silent()).unwrap();
    until("its key opens nothing", || link.health().refused > 0);
    assert_eq!(link.health().connects, 0);
}

#[test]
fn a_server_that_cannot_take_its_configuration_says_so_and_goes_on() {
    if program().is_none() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("fleet");
    let (folder, _) = folder::init(&dir, &wanted(place.path())).unwrap();
    let nowhere = told(&folder).unwrap_err().to_string();
    assert!(nowhere.starts_with("connect to tls://localhost:"), "{nowhere}");
    let _server = Running::start(&folder);
    tell(&folder);
    let text = fs::read_to_string(conf(&folder)).unwrap();
    fs::write(conf(&folder), format!("{text}\nnothing that it knows {{")).unwrap();
    let refusal = told(&folder).unwrap_err().to_string();
    assert!(refusal.contains("have server run (nats-server 2.") && refusal.contains("again: "), "{refusal}");
    let other = reload(&folder.dial(HUB).unwrap(), &text).unwrap_err().to_string();
    assert!(other.contains("have server run"), "{other}");
    prepare(&folder);
    // One that has another configuration than the folder, which is on another machine, say.
    fs::write(conf(&folder), &text).unwrap();
    folder::add(&dir, &[name("w1")]).unwrap();
    let newer = fs::read_to_string(conf(&folder)).unwrap();
    fs::write(conf(&folder), &text).unwrap();
    let said = reload(&folder.dial(SYSTEM).unwrap(), &newer).unwrap();
    assert!(!said.is_current, "{said:?}");
    fs::write(conf(&folder), &newer).unwrap();
    tell(&folder);
}
