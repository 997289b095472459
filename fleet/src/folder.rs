//! A fleet's folder on the trainer's machine: keys, the server's configuration, and a file for each worker.
//!
//! | | |
//! |---|---|
//! | `fleet.toml` | the truth: run, server, sizes, public keys. To be edited, too |
//! | `nats.conf` | the server's configuration, made from it |
//! | `keys/{admin,publisher,collector,system}.nk` | secrets of the fleet's own parts |
//! | `workers/NAME.worker` | all that a worker's machine must have, its secret included |
//!
//! [`init`], [`add`] and [`remove`] may be called as often as one likes: they say what they did, and put right what a process left that was
//! killed. Each file is replaced at once. A key is never lost by them: what is in the way is told.

mod certificate;
mod config;
mod error;
mod files;
#[cfg(test)]
mod tests;
mod worker_file;

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    net::SocketAddr,
    path::{self, Path, PathBuf},
    str::FromStr as _,
};

use self::{
    config::{Config, MembersPart, ServerPart, Sizes},
    files::{OPEN, put},
};
pub use self::{
    error::FolderError,
    worker_file::{WorkerFile, WorkerFileError},
};
use crate::{
    disk::failed,
    name::Name,
    nats::{
        Dial,
        assets::{Change, Done, Plan},
        keys::{Key, KeyError, PublicKey},
        server::{ADMIN, HUB, PUBLISHER},
    },
};

/// Who looks after the server itself, as [`Folder::dial`] knows it.
pub const SYSTEM: &str = "system";

const CONFIG: &str = "fleet.toml";
const NATS: &str = "nats.conf";
const KEYS: &str = "keys";
const WORKERS: &str = "workers";

/// What a fleet is to be. What is not said stays as it is, and is chosen for a new one.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The run that all play for. A new fleet needs it.
    pub run: Option<Name>,
    /// How those who connect call this machine.
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

/// A fleet, as its folder says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    dir: PathBuf,
    config: Config,
}

/// A folder that none but this process changes.
struct Locked {
    dir: PathBuf,
    _lock: File,
}

impl Locked {
    fn lock(dir: &Path) -> Result<Self, FolderError> {
        let lock = File::open(dir).map_err(failed("open directory", dir))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed("lock directory", dir)(error).into()),
        }
    }

    /// Brings `fleet.toml` and `nats.conf` to what they must be; says what was done.
    fn write(&self, before: Option<&Config>, config: &Config) -> Result<Vec<Change>, FolderError> {
        // First whether it can be.
        let nats = config.of_server(&self.dir)?;
        let file = |name: &str, text: &str, changes: Vec<_>| -> Result<Change, FolderError> {
            let path = self.dir.join(name);
            let found = files::text(&path)?;
            let done = match found {
                Some(found) if found == text => Done::Nothing,
                found => {
                    put(&path, text, OPEN)?;
                    found.map_or(Done::Made, |_| Done::Changed(changes))
                }
            };
            Ok(Change { asset: name.to_owned(), done })
        };
        let changes = before.map(|before| before.changes(config)).unwrap_or_default();
        Ok(vec![file(CONFIG, &config.text(), changes)?, file(NATS, &nats, Vec::new())?])
    }
}

/// Makes a fleet, or changes one; says what was done to each file.
///
/// # Errors
/// When what is wanted cannot be, or a file is in the way.
pub fn init(dir: &Path, wanted: &Wanted) -> Result<(Folder, Vec<Change>), FolderError> {
    let dir = &root(dir)?;
    let before = Config::read(&dir.join(CONFIG))?;
    let run = match (&before, &wanted.run) {
        (None, None) => return Err(FolderError::NoRun(dir.clone())),
        (Some(before), Some(run)) if before.run != *run => {
            return Err(FolderError::Run { dir: dir.clone(), found: before.run.clone(), wanted: run.clone() });
        }
        (Some(Config { run, .. }), _) | (None, Some(run)) => run.clone(),
    };
    let server = server_part(dir, before.as_ref(), wanted, &run)?;
    fs::create_dir_all(dir).map_err(failed("create directory", dir))?;
    let locked = Locked::lock(dir)?;
    if Config::read(&dir.join(CONFIG))? != before {
        return Err(FolderError::Busy(dir.clone()));
    }
    let mut changes = Vec::new();
    let members = members(dir, before.as_ref(), &mut changes)?;
    let sizes = sizes(&dir.join(&server.store), before.as_ref(), wanted);
    let workers = before.as_ref().map(|before| before.workers.clone()).unwrap_or_default();
    let config = Config { run, server, sizes, members, workers };
    changes.extend(locked.write(before.as_ref(), &config)?);
    let folder = Folder { dir: dir.clone(), config };
    files::secret_dir(&folder.dir.join(WORKERS))?;
    changes.extend(folder.renew_authority()?);
    Ok((folder, changes))
}

/// Adds workers to a fleet, each with a new key in a file of its own; says what was done.
///
/// # Errors
/// When a name is taken or a file is in the way. Then none is added.
pub fn add(dir: &Path, names: &[Name]) -> Result<(Folder, Vec<Change>), FolderError> {
    let (locked, before) = change(dir)?;
    let mut folder = Folder { dir: locked.dir.clone(), config: before.clone() };
    let (authority, urls) = (folder.authority()?, folder.urls().join(","));
    let mut changes = Vec::new();
    let mut made = Vec::new();
    for name in names.iter().collect::<BTreeSet<_>>() {
        let path = folder.worker_file(name);
        let (file, done) = match (files::text(&path)?, before.workers.get(name)) {
            (None, Some(_)) => return Err(FolderError::Known { name: name.clone(), path }),
            (None, None) => {
                let key = Key::generate()?;
                (WorkerFile::new(path, folder.config.run.clone(), name.clone(), key, authority.clone()), Done::Made)
            }
            // One may have been killed before it told the fleet of this key.
            (Some(_), known) => (folder.found(name, path, known)?, Done::Nothing),
        };
        folder.config.workers.insert(name.clone(), file.public().clone());
        changes.push(Change { asset: folder.shown(file.path()), done });
        made.push(file);
    }
    // Whether the server can have them, before there is any file.
    folder.config.of_server(&folder.dir)?;
    files::secret_dir(&folder.dir.join(WORKERS))?;
    for (file, change) in made.iter().zip(&changes) {
        if change.done == Done::Made {
            file.write(&urls)?;
        }
    }
    changes.extend(locked.write(Some(&before), &folder.config)?);
    Ok((folder, changes))
}

/// Removes workers from a fleet, with their files; says what was done. A server that runs must be told: see [`reload`](crate::nats::reload::reload).
///
/// # Errors
/// When one is none of the fleet's. Then none is removed.
pub fn remove(dir: &Path, names: &[Name]) -> Result<(Folder, Vec<Change>), FolderError> {
    let (locked, before) = change(dir)?;
    let mut folder = Folder { dir: locked.dir.clone(), config: before.clone() };
    for name in names {
        if folder.config.workers.remove(name).is_none() && !before.workers.contains_key(name) {
            let known: Vec<_> = before.workers.keys().map(Name::as_str).collect();
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            return Err(FolderError::Unknown { name: name.clone(), known });
        }
    }
    // First the files: one that stayed behind would be taken for that of a worker of this name that is added later.
    for name in names {
        let path = folder.worker_file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove file", &path)(error).into());
            }
            _ => {}
        }
    }
    let changes = locked.write(Some(&before), &folder.config)?;
    Ok((folder, changes))
}

/// The folder's path from the root, as the server has it.
fn root(dir: &Path) -> Result<PathBuf, FolderError> {
    path::absolute(dir).map_err(|error| failed("use directory", dir)(error).into())
}

/// A folder that is to be changed, and what it says.
fn change(dir: &Path) -> Result<(Locked, Config), FolderError> {
    let dir = &root(dir)?;
    let none = || FolderError::None(dir.clone());
    if Config::read(&dir.join(CONFIG))?.is_none() {
        return Err(none());
    }
    let locked = Locked::lock(dir)?;
    // Another may have changed it until then.
    let config = Config::read(&dir.join(CONFIG))?.ok_or_else(none)?;
    Ok((locked, config))
}

/// The server as it was or is wanted, if it can be.
fn server_part(dir: &Path, before: Option<&Config>, wanted: &Wanted, run: &Name) -> Result<ServerPart, FolderError> {
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
    let (address, _) = listening(&listen)?;
    if tls.is_none() && !Dial::is_here(address) {
        return Err(FolderError::Plain(listen));
    }
    // A name that followed from the address goes with it; one that was said stays.
    let old = before.as_ref().filter(|before| before.host != usual_host(&before.listen));
    let old = old.map(|before| before.host.clone());
    let host = wanted.host.clone().or(old).unwrap_or_else(|| usual_host(&listen).to_owned());
    if host.is_empty()
        || host.contains(|letter: char| letter.is_whitespace() || letter.is_control() || "/@,\"".contains(letter))
    {
        return Err(FolderError::Host(host));
    }
    if tls.is_none() && !Dial::is_here(&host) {
        return Err(FolderError::Plain(host));
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
    let monitor = wanted.monitor.clone().or_else(|| before.and_then(|before| before.monitor));
    Ok(ServerPart { name, host, listen, monitor, store, certificate, key, authority })
}

/// How a machine is called, where nothing is said, whose server listens there.
fn usual_host(listen: &str) -> &str {
    match listening(listen).map(|(address, _)| address) {
        Ok("0.0.0.0" | "[::]") | Err(_) => "localhost",
        Ok(address) => address,
    }
}

/// Address and port where a server listens.
fn listening(listen: &str) -> Result<(&str, u16), FolderError> {
    let parts = listen.rsplit_once(':').and_then(|(address, port)| Some((address, u16::from_str(port).ok()?)));
    let is_name = |address: &str| {
        !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    match parts {
        Some((address, port)) if port > 0 && (is_name(address) || listen.parse::<SocketAddr>().is_ok()) => {
            Ok((address, port))
        }
        _ => Err(FolderError::Listen(listen.to_owned())),
    }
}

/// Keys of the fleet's own parts, made where there are none.
fn members(dir: &Path, before: Option<&Config>, changes: &mut Vec<Change>) -> Result<MembersPart, FolderError> {
    files::secret_dir(&dir.join(KEYS))?;
    let mut public = |name: &str, known: Option<&PublicKey>| -> Result<PublicKey, FolderError> {
        let path = key_file(dir, name);
        // One that is not here may be on another machine, which goes on with it.
        if let (Some(known), false) = (known, path.exists()) {
            return Ok(known.clone());
        }
        let (key, done) = match Key::create(&path) {
            Err(KeyError::Exists { .. }) => (Key::read(&path)?, Done::Nothing),
            made => (made?, Done::Made),
        };
        changes.push(Change { asset: format!("{KEYS}/{name}.nk"), done });
        Ok(key.public().clone())
    };
    let known = before.map(|before| &before.members);
    Ok(MembersPart {
        admin: public(ADMIN, known.map(|known| &known.admin))?,
        publisher: public(PUBLISHER, known.map(|known| &known.publisher))?,
        collector: public(HUB, known.map(|known| &known.collector))?,
        system: public(SYSTEM, known.map(|known| &known.system))?,
    })
}

/// How much the server keeps. A new one no more than half of what its disk has.
fn sizes(store: &Path, before: Option<&Config>, wanted: &Wanted) -> Sizes {
    let usual = || {
        let plan = Plan::default();
        let free = store.ancestors().find_map(|dir| rustix::fs::statvfs(dir).ok());
        let free = free.map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        Sizes {
            max_games_bytes: plan.games.min(free / 5 * 2),
            max_models_bytes: plan.models.min(free / 10),
            replicas: plan.replicas,
            patience_seconds: plan.patience.as_secs(),
        }
    };
    let sizes = before.map_or_else(usual, |before| before.sizes);
    Sizes {
        max_games_bytes: wanted.max_games_bytes.unwrap_or(sizes.max_games_bytes),
        max_models_bytes: wanted.max_models_bytes.unwrap_or(sizes.max_models_bytes),
        ..sizes
    }
}

fn key_file(dir: &Path, name: &str) -> PathBuf {
    dir.join(KEYS).join(format!("{name}.nk"))
}

impl Folder {
    /// The fleet of a folder.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn read(dir: &Path) -> Result<Self, FolderError> {
        let dir = root(dir)?;
        let config = Config::read(&dir.join(CONFIG))?;
        config.map(|config| Self { dir: dir.clone(), config }).ok_or(FolderError::None(dir))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The server's configuration.
    #[must_use]
    pub fn nats_conf(&self) -> PathBuf {
        self.dir.join(NATS)
    }

    /// The run that all play for.
    #[must_use]
    pub const fn run(&self) -> &Name {
        &self.config.run
    }

    /// The workers, by name.
    pub fn workers(&self) -> impl Iterator<Item = &Name> {
        self.config.workers.keys()
    }

    /// The file of a worker, as long as it is here.
    #[must_use]
    pub fn worker_file(&self, name: &Name) -> PathBuf {
        self.dir.join(WORKERS).join(format!("{name}.worker"))
    }

    /// What the server must have.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.config.plan()
    }

    /// Where workers connect to.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        vec![self.url(&self.config.server.host)]
    }

    fn url(&self, host: &str) -> String {
        let scheme = if self.config.server.certificate.is_some() { "tls" } else { "nats" };
        let port = self.port();
        // An address of six has colons of its own.
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        format!("{scheme}://{host}:{port}")
    }

    /// Where the server listens on this machine: an address and a port to look whether it is there.
    #[must_use]
    pub fn local(&self) -> (String, u16) {
        let listen = &self.config.server.listen;
        let address = listen.rsplit_once(':').map_or("", |(address, _)| address);
        let address = match address {
            "0.0.0.0" | "" => "127.0.0.1",
            "[::]" => "::1",
            address => address.trim_start_matches('[').trim_end_matches(']'),
        };
        (address.to_owned(), self.port())
    }

    fn port(&self) -> u16 {
        listening(&self.config.server.listen).map_or(4222, |(_, port)| port)
    }

    /// Connects to the server as one of the fleet's own parts: [`ADMIN`], [`PUBLISHER`], [`HUB`] or [`SYSTEM`].
    ///
    /// # Errors
    /// When the part's key is not here or cannot be used.
    pub fn dial(&self, who: &str) -> Result<Dial, FolderError> {
        let key = Key::read(&key_file(&self.dir, who))?;
        let name: Name = who.parse().expect("the fleet's own parts have names");
        let mut urls = self.urls();
        // This machine may not reach itself by the name that others have for it.
        let (address, _) = self.local();
        let here = if Dial::is_here(&address) { "localhost".to_owned() } else { address };
        urls.push(self.url(&here));
        urls.dedup();
        let authority = self.config.server.authority.as_ref().map(|authority| self.dir.join(authority));
        Ok(Dial::new(&urls, authority, &name, key)?)
    }

    /// Whom workers trust beside those that their systems know.
    fn authority(&self) -> Result<Option<String>, FolderError> {
        let Some(path) = &self.config.server.authority else { return Ok(None) };
        let path = self.dir.join(path);
        certificate::authority(&path).map(Some)
    }

    /// Writes another authority into workers' files that are here; says into which.
    fn renew_authority(&self) -> Result<Vec<Change>, FolderError> {
        let (authority, urls) = (self.authority()?, self.urls().join(","));
        let trimmed = |authority: Option<&str>| authority.map(str::trim).map(str::to_owned);
        let mut changes = Vec::new();
        for name in self.workers() {
            let path = self.worker_file(name);
            if files::text(&path)?.is_none() {
                continue;
            }
            let file = WorkerFile::read(&path)?;
            if trimmed(file.authority()) != trimmed(authority.as_deref()) {
                file.with_authority(authority.clone()).write(&urls)?;
                let what = ("authority".to_owned(), "another".to_owned(), "copy it to the worker again".to_owned());
                changes.push(Change { asset: self.shown(&path), done: Done::Changed(vec![what]) });
            }
        }
        Ok(changes)
    }

    /// A worker's file that is there, if it is this worker's.
    fn found(&self, name: &Name, path: PathBuf, known: Option<&PublicKey>) -> Result<WorkerFile, FolderError> {
        let file = WorkerFile::read(&path)?;
        let reason = if *file.run() != self.config.run {
            format!("it is for run {}", file.run())
        } else if file.worker() != name {
            format!("it is worker {}'s", file.worker())
        } else if known.is_some_and(|known| known != file.public()) {
            "its key is not the one that the fleet knows".to_owned()
        } else {
            return Ok(file);
        };
        Err(FolderError::InTheWay { name: name.clone(), path, reason })
    }

    /// A path within the folder, as people read it.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.dir).unwrap_or(path).display().to_string()
    }
}
