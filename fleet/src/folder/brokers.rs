//! A fleet's servers, and the files that each of them is started with.
//!
//! One alone is started on this machine, with `nats.conf` in the folder. Those of a cluster are on machines of their own: each has a
//! directory with all that it needs, to be copied there.

use std::path::{Path, PathBuf};

use super::{
    FolderError, ROUTES,
    config::Config,
    files::{self, OPEN, SECRET},
    hosts::{listening, with_port},
    key_file,
};
use crate::nats::{
    keys::Key,
    server::{self, Cluster, Members, Server, Tls},
};

/// A server's configuration.
const NATS: &str = "nats.conf";
/// Directories of the servers of a cluster, which are numbered from 1.
pub(super) const BROKERS: &str = "brokers";
/// Copies in such a directory.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
const AUTHORITY: &str = "authority.pem";

/// A server listens for the others of its cluster at its port and so much.
const TO_ROUTES: u16 = 2000;

/// Beside games and models the server keeps pointers and receipts.
const OTHER_BYTES: u64 = 1_000_000_000;

/// One of a fleet's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// How it is called by those who connect.
    pub host: String,
    /// Its configuration, in a directory with all else that is to be copied to its machine if that is another.
    pub conf: PathBuf,
    /// Where workers connect to.
    pub url: String,
    /// An address and a port to look whether it is there.
    pub at: (String, u16),
}

/// A file that a server is started with.
pub(super) struct BrokerFile {
    /// Within the folder.
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) mode: u32,
}

/// The port at which a server listens for the others of its cluster.
pub(super) fn routes_port(port: u16) -> Option<u16> {
    port.checked_add(TO_ROUTES)
}

/// Where the server of this number has its files, within the folder.
fn place(number: usize) -> PathBuf {
    Path::new(BROKERS).join(number.to_string())
}

/// Configurations in a folder that are none of these servers'.
pub(super) fn left(dir: &Path, brokers: &[Broker]) -> Vec<PathBuf> {
    let numbered = (1..).map(|number| dir.join(place(number)).join(NATS)).take_while(|conf| conf.exists());
    let alone = Some(dir.join(NATS)).filter(|conf| conf.exists());
    let is_theirs = |conf: &PathBuf| brokers.iter().any(|broker| broker.conf == *conf);
    alone.into_iter().chain(numbered).filter(|conf| !is_theirs(conf)).collect()
}

impl Config {
    /// The servers, of which the folder has the files.
    pub(super) fn brokers(&self, dir: &Path) -> Vec<Broker> {
        let listens_at = listening(&self.server.listen).map_or(4222, |(_, port)| port);
        let of_cluster = self.server.host.is_cluster();
        let brokers = (1..).zip(self.server.host.iter()).map(|(number, host)| {
            let port = host.port.unwrap_or(listens_at);
            let conf = if of_cluster { place(number).join(NATS) } else { NATS.into() };
            let at = if of_cluster { host.name.clone() } else { self.server.here() };
            Broker {
                host: host.name.clone(),
                conf: dir.join(conf),
                url: self.server.url(&host.name, port),
                at: (at, port),
            }
        });
        brokers.collect()
    }

    /// The files of the servers.
    pub(super) fn broker_files(&self, dir: &Path) -> Result<Vec<BrokerFile>, FolderError> {
        let mut files = Vec::new();
        let of_cluster = self.server.host.is_cluster();
        let brokers = self.brokers(dir);
        let members = self.of_members();
        for (number, broker) in (1..).zip(&brokers) {
            let (server, mode) =
                if of_cluster { (self.one_of(dir, number, &brokers)?, SECRET) } else { (self.alone(dir)?, OPEN) };
            let text = server::configuration(&server, &members)?;
            let path = broker.conf.strip_prefix(dir).unwrap_or(&broker.conf).to_owned();
            files.push(BrokerFile { path, text, mode });
            let own =
                [(CERTIFICATE, &self.server.certificate), (KEY, &self.server.key), (AUTHORITY, &self.server.authority)];
            for (name, from) in own.into_iter().filter_map(|(name, from)| Some((name, from.as_ref()?))) {
                if of_cluster {
                    files.push(BrokerFile {
                        path: place(number).join(name),
                        text: files::needed(&dir.join(from))?,
                        mode,
                    });
                }
            }
        }
        Ok(files)
    }

    fn of_members(&self) -> Members {
        let (members, workers) = (self.members.clone(), self.workers.clone());
        Members {
            run: self.run.clone(),
            admin: members.admin,
            publisher: members.publisher,
            collector: members.collector,
            system: members.system,
            workers: workers.into_iter().collect(),
        }
    }

    /// The one server, with paths from the root.
    fn alone(&self, dir: &Path) -> Result<Server, FolderError> {
        let tls = self.server.certificate.as_ref().zip(self.server.key.as_ref());
        let tls = tls.map(|(certificate, key)| Tls { certificate: dir.join(certificate), key: dir.join(key) });
        let (address, port) = listening(&self.server.listen)?;
        let port = self.server.host.iter().next().and_then(|host| host.port).unwrap_or(port);
        Ok(Server {
            name: self.server.name.to_string(),
            listen: format!("{address}:{port}"),
            monitor: self.server.monitor.clone(),
            store: dir.join(&self.server.store),
            max_store: self.max_store(),
            tls,
            cluster: None,
        })
    }

    /// One of a cluster, with paths from its own directory.
    fn one_of(&self, dir: &Path, number: usize, brokers: &[Broker]) -> Result<Server, FolderError> {
        let (address, _) = listening(&self.server.listen)?;
        let to_routes = |port: u16| routes_port(port).ok_or(FolderError::Port(port));
        let mut reached = Vec::new();
        for Broker { at: (name, port), .. } in brokers {
            reached.push(with_port(name, to_routes(*port)?));
        }
        let own = reached.remove(number - 1);
        let (_, port) = brokers[number - 1].at;
        let tls = self.server.certificate.as_ref().map(|_| Tls { certificate: CERTIFICATE.into(), key: KEY.into() });
        let cluster = Cluster {
            name: self.server.name.clone(),
            listen: format!("{address}:{}", to_routes(port)?),
            own,
            others: reached,
            authority: self.server.authority.as_ref().map(|_| AUTHORITY.into()),
            secret: Key::read(&key_file(dir, ROUTES))?,
        };
        Ok(Server {
            name: format!("{}-{number}", self.server.name),
            listen: format!("{address}:{port}"),
            monitor: self.server.monitor.clone(),
            store: self.server.store.clone(),
            max_store: self.max_store(),
            tls,
            cluster: Some(cluster),
        })
    }

    fn max_store(&self) -> u64 {
        self.sizes.max_games_bytes.saturating_add(self.sizes.max_models_bytes).saturating_add(OTHER_BYTES)
    }
}
