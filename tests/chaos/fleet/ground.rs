//! The machines of a fleet, as directories of one: the trainer's with server and hubs, and one for each worker. Between them are links.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use selfplay_fleet::folder::Folder;

use crate::{
    config::Config,
    link::Link,
    models::Models,
    nats::Server,
    session::{Launch, Session, Signal},
    site::{Disk, Site},
};

/// The workers. The last has a small disk.
pub(crate) const WORKERS: [&str; 3] = ["w1", "w2", "w3"];

/// The hub's link is the last one.
const LINKS: usize = WORKERS.len() + 1;

/// See the module.
pub(crate) struct Ground {
    // Dropped in this order: a disk after what uses it, the directory last.
    server: Option<Server>,
    pub(crate) links: Vec<Link>,
    pub(crate) store_disk: Option<Disk>,
    pub(crate) worker_disk: Option<Disk>,
    pub(crate) site: Site,
    folder: Folder,
}

impl Ground {
    /// A fleet that has keys, and of which nothing runs yet. `tls`: whether all connections are encrypted.
    pub(crate) fn new(config: Config, tls: bool) -> Self {
        let site = Site::new(config, true);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        for name in WORKERS.iter().chain(&["store", "hub"]) {
            fs::create_dir(site.path(name)).unwrap();
        }
        let mut init = fleet(&site, "init");
        init.args(["--run", "r1", "--max-games-bytes", "64MB", "--max-models-bytes", "64MB", "--listen"]);
        init.arg(format!("127.0.0.1:{port}")).arg("--store").arg(site.path("store"));
        if tls {
            certify(site.root());
            for (flag, file) in [("--certificate", "server.pem"), ("--key", "server.key"), ("--authority", "ca.pem")] {
                init.arg(flag).arg(site.path(file));
            }
        }
        succeeded(&init.output().unwrap());
        // What a hub had in hand that was killed comes to the next one sooner.
        let toml = site.path("fleet/fleet.toml");
        let text = fs::read_to_string(&toml).unwrap();
        let patient = text.replace("patience_seconds = 60", "patience_seconds = 3");
        assert_ne!(text, patient, "it says how long a collector is waited for");
        fs::write(&toml, patient).unwrap();
        succeeded(&fleet(&site, "add-worker").args(WORKERS).output().unwrap());
        // With a wrong file a hub refuses all games.
        fs::write(site.path("other.yaml"), Config { simulations: config.simulations + 1, ..config }.yaml()).unwrap();
        let store_disk = Disk::mount(&site.path("store"));
        let worker_disk = Disk::mount(&site.path(WORKERS[WORKERS.len() - 1]));
        let links = (0..LINKS).map(|_| Link::to(port)).collect();
        let folder = Folder::read(&site.path("fleet")).unwrap();
        let ground = Self { server: None, links, store_disk, worker_disk, site, folder };
        WORKERS.iter().for_each(|worker| ground.hand_over(worker));
        ground.make_hub_folder(port);
        ground
    }

    /// The worker's machine gets its file.
    fn hand_over(&self, worker: &str) {
        let file = self.site.path(worker).join("w.worker");
        fs::copy(self.folder.worker_file(&worker.parse().unwrap()), &file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The fleet's folder, as a hub sees it whose server is at the end of a link.
    fn make_hub_folder(&self, port: u16) {
        let (there, here) = (self.folder.dir(), self.site.path("hub"));
        for entry in fs::read_dir(there).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            if name != "fleet.toml" {
                symlink(&path, here.join(name)).unwrap();
            }
        }
        let text = fs::read_to_string(there.join("fleet.toml")).unwrap();
        let own = format!("127.0.0.1:{}", self.links[LINKS - 1].port());
        let linked = text.replace(&format!("127.0.0.1:{port}"), &own);
        assert_ne!(text, linked, "the server's address is in it");
        fs::write(here.join("fleet.toml"), linked).unwrap();
    }

    /// Starts the server.
    pub(crate) fn serve(&mut self) {
        let log = self.site.path("logs/nats.log");
        self.server = Some(Server::start(&self.folder.brokers()[0], &log));
    }

    pub(crate) fn signal_server(&self, signal: Signal) {
        self.server.as_ref().unwrap().signal(signal);
    }

    /// The server ends: by a signal that lets it finish, or at once.
    pub(crate) fn end_server(&mut self, in_peace: bool) {
        let server = self.server.take().unwrap();
        if in_peace {
            server.signal(Signal::TERM);
            server.wait();
        }
    }

    /// The server has nothing any more of what it kept.
    pub(crate) fn lose_store(&self) {
        for entry in fs::read_dir(self.site.path("store")).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }

    /// A worker's key opens nothing any more.
    pub(crate) fn remove_worker(&self, worker: usize) {
        self.change("remove-worker", WORKERS[worker]);
    }

    /// A worker that was removed gets another key.
    pub(crate) fn add_worker(&self, worker: usize) {
        self.change("add-worker", WORKERS[worker]);
        self.hand_over(WORKERS[worker]);
    }

    fn change(&self, what: &str, worker: &str) {
        let output = fleet(&self.site, what).arg(worker).output().unwrap();
        match output.status.code() {
            Some(0) => {}
            // The server was too busy to be told; the command says what is to be done.
            Some(1 | 69) => self.signal_server(Signal::HUP),
            _ => succeeded(&output),
        }
    }

    /// The directory of a worker.
    pub(crate) fn worker_dir(&self, worker: usize) -> PathBuf {
        self.site.path(WORKERS[worker]).join("fleet")
    }

    /// Starts a worker.
    pub(crate) fn start_worker(&mut self, worker: usize, launch: &Launch) -> Session {
        let mut command = launch.command();
        let url = self.folder.urls()[0].rsplit_once(':').unwrap().0.to_owned();
        command.arg("--config").arg(self.site.path("config.yaml")).arg("--fleet");
        command.arg(format!("{url}:{}", self.links[worker].port()));
        command.arg("--credentials").arg(self.site.path(WORKERS[worker]).join("w.worker"));
        command.arg("--fleet-dir").arg(self.worker_dir(worker)).args(["--device", "cpu", "--http-listen", "none"]);
        launch.spawn(command, self.site.new_log())
    }

    /// Starts a hub by these settings of the trainer.
    pub(crate) fn start_hub(&mut self, config: &str, models: &Models, launch: &Launch) -> Session {
        let mut command = launch.command();
        command.args(["fleet", "hub", "--http-listen", "127.0.0.1:0", "--stages", "30,100"]);
        command.arg("--dir").arg(self.site.path("hub")).arg("--config").arg(self.site.path(config));
        command.arg("--models").arg(models.latest_yaml()).arg("--ready").arg(self.site.ready());
        launch.spawn(command, self.site.new_log())
    }
}

fn fleet(site: &Site, what: &str) -> Command {
    let mut command = Launch::plain().command();
    command.args(["fleet", what, "--dir"]).arg(site.path("fleet"));
    command
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// Makes a server's certificate, its key, and the authority that signed it.
fn certify(dir: &Path) {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    fs::write(dir.join("server.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("server.key"), key.serialize_pem()).unwrap();
}
