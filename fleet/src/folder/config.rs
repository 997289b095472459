//! `fleet.toml`: the run, the server, how much it keeps, and who belongs to the fleet.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    FolderError,
    files::{self, quoted},
    hosts::{Hosts, listening, with_port},
};
use crate::{
    name::Name,
    nats::{assets::Plan, keys::PublicKey},
};

/// All of it. Paths that do not begin at the root begin at the folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) run: Name,
    pub(super) server: ServerPart,
    pub(super) sizes: Sizes,
    pub(super) members: MembersPart,
    #[serde(default)]
    pub(super) workers: BTreeMap<Name, PublicKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerPart {
    pub(super) name: Name,
    /// How this machine is called by those who connect, or the machines of a cluster.
    pub(super) host: Hosts,
    /// Where it listens; the port is that of all servers that have none of their own.
    pub(super) listen: String,
    pub(super) monitor: Option<String>,
    pub(super) store: PathBuf,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) authority: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    pub(super) max_games_bytes: u64,
    pub(super) max_models_bytes: u64,
    pub(super) patience_seconds: u64,
    /// It follows from the number of servers, and was said by older files.
    #[serde(default, rename = "replicas")]
    pub(super) _replicas: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MembersPart {
    pub(super) admin: PublicKey,
    pub(super) publisher: PublicKey,
    pub(super) collector: PublicKey,
    pub(super) system: PublicKey,
}

impl ServerPart {
    /// Where a server of this host and port is connected to.
    pub(super) fn url(&self, host: &str, port: u16) -> String {
        format!("{}://{}", if self.certificate.is_some() { "tls" } else { "nats" }, with_port(host, port))
    }

    /// An address of this machine at which its server listens.
    pub(super) fn here(&self) -> String {
        let address = match listening(&self.listen).map_or("", |(address, _)| address) {
            "0.0.0.0" | "" => "127.0.0.1",
            "[::]" => "::1",
            address => address.trim_start_matches('[').trim_end_matches(']'),
        };
        address.to_owned()
    }
}

impl Config {
    /// What the file says; nothing where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, FolderError> {
        let Some(text) = files::text(path)? else { return Ok(None) };
        let broken = |reason| FolderError::Broken { path: path.to_owned(), reason };
        let config: Self = toml::from_str(&text).map_err(|error| broken(files::told(&text, &error)))?;
        if config.server.certificate.is_some() != config.server.key.is_some() {
            return Err(broken("server.certificate and server.key belong together".to_owned()));
        }
        Ok(Some(config))
    }

    /// The file.
    pub(super) fn text(&self) -> String {
        let Self { run, server, sizes, members, workers } = self;
        let path = |path: &Path| quoted(&path.to_string_lossy());
        let mut lines = vec![
            "# A fleet, as `selfplayd fleet` keeps it. The servers' configuration is made from it: after a change here run `selfplayd fleet init`.".to_owned(),
            "# It holds no secret: those are in keys/ and in workers/.".to_owned(),
            format!("run = {}", quoted(run.as_str())),
            String::new(),
            "[server]".to_owned(),
            format!("name = {}", quoted(server.name.as_str())),
            "# How workers call this machine; the certificate must be for this name. Three names, separated by commas, are a cluster."
                .to_owned(),
            format!("host = {}", quoted(&server.host.to_string())),
            format!("listen = {}", quoted(&server.listen)),
        ];
        lines.extend(server.monitor.as_ref().map(|monitor| format!("monitor = {}", quoted(monitor))));
        lines.push(format!("store = {}", path(&server.store)));
        let files = [("certificate", &server.certificate), ("key", &server.key), ("authority", &server.authority)];
        let files = files.into_iter().filter_map(|(name, file)| Some((name, file.as_deref()?)));
        lines.extend(files.map(|(name, file)| format!("{name} = {}", path(file))));
        let Sizes { max_games_bytes, max_models_bytes, patience_seconds, .. } = sizes;
        lines.extend([
            String::new(),
            "# What a server keeps at most, and when a game that the collector did not answer for comes again."
                .to_owned(),
            "[sizes]".to_owned(),
            format!("max_games_bytes = {max_games_bytes}"),
            format!("max_models_bytes = {max_models_bytes}"),
            format!("patience_seconds = {patience_seconds}"),
            String::new(),
            "# Public keys.".to_owned(),
            "[members]".to_owned(),
        ]);
        let MembersPart { admin, publisher, collector, system } = members;
        let members = [("admin", admin), ("publisher", publisher), ("collector", collector), ("system", system)];
        lines.extend(members.map(|(name, key)| format!("{name} = \"{key}\"")));
        lines.extend([String::new(), "[workers]".to_owned()]);
        lines.extend(workers.iter().map(|(name, key)| format!("{name} = \"{key}\"")));
        lines.join("\n") + "\n"
    }

    /// What differs between two: setting, what it was, what it is.
    pub(super) fn changes(&self, to: &Self) -> Vec<(String, String, String)> {
        let pairs = |config: &Self| {
            let mut section = String::new();
            let mut pairs = BTreeMap::new();
            for line in config.text().lines() {
                if let Some(name) = line.strip_prefix('[') {
                    section = name.replace(']', ".");
                } else if let Some((name, value)) = line.split_once(" = ") {
                    pairs.insert(format!("{section}{name}"), value.to_owned());
                }
            }
            pairs
        };
        let (before, after) = (pairs(self), pairs(to));
        let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let of =
            |pairs: &BTreeMap<String, String>, name: &str| pairs.get(name).map_or("none", String::as_str).to_owned();
        let changes = names.into_iter().map(|name| (name.clone(), of(&before, name), of(&after, name)));
        changes.filter(|(_, from, to)| from != to).collect()
    }

    /// What the server is to keep.
    pub(super) fn plan(&self) -> Plan {
        Plan {
            games: self.sizes.max_games_bytes,
            models: self.sizes.max_models_bytes,
            replicas: if self.server.host.is_cluster() { 3 } else { 1 },
            patience: Duration::from_secs(self.sizes.patience_seconds),
        }
    }
}
