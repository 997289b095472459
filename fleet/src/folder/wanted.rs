//! What a fleet is to be: as it was, but for what is said, and as is usual where it is new.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    FolderError,
    brokers::routes_port,
    certificate,
    config::{Config, ServerPart, Sizes},
    hosts::{Hosts, listening, usual_host},
    root,
};
use crate::{
    name::Name,
    nats::{Dial, assets::Plan},
};

/// What a fleet is to be. What is not said stays as it is, and is chosen for a new one.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The run that all play for. A new fleet needs it.
    pub run: Option<Name>,
    /// How those who connect call this machine; separated by commas the machines of a cluster. Each may have a port of its own.
    pub host: Option<String>,
    /// Where the server listens, such as `0.0.0.0:4222`.
    pub listen: Option<String>,
    /// Where it tells how it is, such as `127.0.0.1:8222`.
    pub monitor: Option<String>,
    /// Its certificate in PEM, with those between it and its authority.
    pub certificate: Option<PathBuf>,
    /// The certificate's key in PEM.
    pub key: Option<PathBuf>,
    /// Certificates in PEM of those who sign the server's, where workers' systems do not know them.
    pub authority: Option<PathBuf>,
    /// Directory of what the server keeps.
    pub store: Option<PathBuf>,
    /// Most bytes of games that wait for the collector.
    pub max_games_bytes: Option<u64>,
    /// Most bytes of models.
    pub max_models_bytes: Option<u64>,
}

/// The server as it was or is wanted, if it can be.
pub(super) fn server_part(
    dir: &Path,
    before: Option<&Config>,
    wanted: &Wanted,
    run: &Name,
) -> Result<ServerPart, FolderError> {
    let before = before.map(|before| before.server.clone());
    let from_root = |path: &Option<PathBuf>| path.as_deref().map(root).transpose();
    let old = |part: fn(ServerPart) -> Option<PathBuf>| before.clone().and_then(part);
    let certificate = from_root(&wanted.certificate)?.or_else(|| old(|server| server.certificate));
    let key = from_root(&wanted.key)?.or_else(|| old(|server| server.key));
    let authority = from_root(&wanted.authority)?.or_else(|| old(|server| server.authority));
    let store =
        from_root(&wanted.store)?.or_else(|| Some(before.as_ref()?.store.clone())).unwrap_or_else(|| "store".into());
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(FolderError::Half),
    };
    let usual = if tls.is_some() { "0.0.0.0:4222" } else { "127.0.0.1:4222" };
    let old = |part: fn(&ServerPart) -> String| before.as_ref().map(part);
    let listen =
        wanted.listen.clone().or_else(|| old(|server| server.listen.clone())).unwrap_or_else(|| usual.to_owned());
    let (address, port) = listening(&listen)?;
    if tls.is_none() && !Dial::is_here(address) {
        return Err(FolderError::Plain(listen));
    }
    // A name that followed from the address goes with it; one that was said stays.
    let old = before.as_ref().filter(|before| before.host.to_string() != usual_host(&before.listen));
    let host: Hosts = match (&wanted.host, old) {
        (Some(host), _) => host.parse()?,
        (None, Some(old)) => old.host.clone(),
        (None, None) => usual_host(&listen).parse()?,
    };
    if let (None, Some(elsewhere)) = (&tls, host.iter().find(|host| !Dial::is_here(&host.name))) {
        return Err(FolderError::Plain(elsewhere.to_string()));
    }
    let monitor = wanted.monitor.clone().or_else(|| before.as_ref()?.monitor.clone());
    if host.is_cluster() {
        places(&host, port, monitor.is_some() || store.is_absolute())?;
    }
    if let Some((certificate, key)) = &tls {
        let at = |path: &Path| dir.join(path);
        certificate::check(&at(certificate), &at(key), authority.as_deref().map(at).as_deref(), &host)?;
    }
    let (certificate, key) = tls.unzip();
    let paths = [certificate.as_ref(), key.as_ref(), authority.as_ref(), Some(&store)];
    if let Some(path) = paths.into_iter().flatten().find(|path| path.to_str().is_none()) {
        return Err(FolderError::Path(path.clone()));
    }
    let name = before.as_ref().map_or_else(|| run.clone(), |before| before.name.clone());
    Ok(ServerPart { name, host, listen, monitor, store, certificate, key, authority })
}

/// Refuses servers of a cluster that would get into each other's way. `shared`: whether there is something that each machine has once.
fn places(hosts: &Hosts, usual_port: u16, shared: bool) -> Result<(), FolderError> {
    let mut taken = BTreeSet::new();
    for host in hosts.iter() {
        let machine = if Dial::is_here(&host.name) { "localhost" } else { &host.name };
        let port = host.port.unwrap_or(usual_port);
        let routes = routes_port(port).ok_or(FolderError::Port(port))?;
        for port in [port, routes] {
            if !taken.insert((machine, port)) {
                return Err(FolderError::Taken { host: host.name.clone(), port });
            }
        }
        if shared && taken.iter().filter(|(name, _)| *name == machine).count() > 2 {
            return Err(FolderError::Shared(host.name.clone()));
        }
    }
    Ok(())
}

/// How much the server keeps. A new one no more than half of what its disk has.
pub(super) fn sizes(store: &Path, before: Option<&Config>, wanted: &Wanted) -> Sizes {
    let usual = || {
        let plan = Plan::default();
        let free = store.ancestors().find_map(|dir| rustix::fs::statvfs(dir).ok());
        let free = free.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        Sizes {
            max_games_bytes: plan.games.min(free / 5 * 2),
            max_models_bytes: plan.models.min(free / 10),
            patience_seconds: plan.patience.as_secs(),
            _replicas: None,
        }
    };
    let sizes = before.map_or_else(usual, |before| before.sizes);
    Sizes {
        max_games_bytes: wanted.max_games_bytes.unwrap_or(sizes.max_games_bytes),
        max_models_bytes: wanted.max_models_bytes.unwrap_or(sizes.max_models_bytes),
        ..sizes
    }
}
