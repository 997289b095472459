//! A fleet's folder on the trainer's machine: keys, the server's configuration, and a file for each worker.
//!
//! | | |
//! |---|---|
//! | `fleet.toml` | the truth: run, server, sizes, public keys. To be edited, too |
//! | `nats.conf` | the server's configuration, made from it |
//! | `brokers/{1,2,3}/` | instead, where the server is a cluster: for each the same, with all else that its machine must have |
//! | `keys/{admin,publisher,collector,system}.nk` | secrets of the fleet's own parts |
//! | `keys/routes.nk` | the secret of a cluster's servers among each other |
//! | `workers/NAME.worker` | all that a worker's machine must have, its secret included |
//!
//! [`init`], [`add`] and [`remove`] may be called as often as one likes: they say what they did, and put right what a process left that was
//! killed. Each file is replaced at once. A key is never lost by them: what is in the way is told.

mod brokers;
mod certificate;
mod config;
mod error;
mod files;
mod hosts;
#[cfg(test)]
mod tests;
mod wanted;
mod worker_file;

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    path::{self, Path, PathBuf},
};

pub use self::{
    brokers::Broker,
    error::FolderError,
    wanted::Wanted,
    worker_file::{WorkerFile, WorkerFileError},
};
use self::{
    brokers::{BROKERS, BrokerFile},
    config::{Config, MembersPart},
    files::{OPEN, put},
    wanted::{server_part, sizes},
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
const KEYS: &str = "keys";
const WORKERS: &str = "workers";

/// The key by which servers of a cluster know each other. Its seed is their password.
const ROUTES: &str = "routes";

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

    /// Brings `fleet.toml` and the servers' files to what they must be; says what was done.
    fn write(&self, before: Option<&Config>, config: &Config) -> Result<Vec<Change>, FolderError> {
        // First whether it can be.
        let of_brokers = config.broker_files(&self.dir)?;
        let file = |BrokerFile { path, text, mode }: BrokerFile, changes: Vec<_>| -> Result<Change, FolderError> {
            let (asset, path) = (path.display().to_string(), self.dir.join(path));
            let found = files::text(&path)?;
            let done = match found {
                Some(found) if found == text => Done::Nothing,
                found => {
                    put(&path, &text, mode)?;
                    found.map_or(Done::Made, |_| Done::Changed(changes))
                }
            };
            Ok(Change { asset, done })
        };
        let differences = before.map(|before| before.changes(config)).unwrap_or_default();
        let truth = BrokerFile { path: CONFIG.into(), text: config.text(), mode: OPEN };
        let mut changes = vec![file(truth, differences)?];
        for of_broker in of_brokers {
            if of_broker.path.starts_with(BROKERS) {
                let dirs = of_broker.path.ancestors().skip(1).map(|dir| self.dir.join(dir)).take(2).collect::<Vec<_>>();
                dirs.iter().rev().try_for_each(|dir| files::secret_dir(dir))?;
            }
            changes.push(file(of_broker, Vec::new())?);
        }
        Ok(changes)
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
    let members = members(dir, before.as_ref(), server.host.is_cluster(), &mut changes)?;
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
    folder.config.broker_files(&folder.dir)?;
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

/// Keys of the fleet's own parts, made where there are none.
fn members(
    dir: &Path,
    before: Option<&Config>,
    of_cluster: bool,
    changes: &mut Vec<Change>,
) -> Result<MembersPart, FolderError> {
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
    if of_cluster {
        public(ROUTES, None)?;
    }
    let known = before.map(|before| &before.members);
    Ok(MembersPart {
        admin: public(ADMIN, known.map(|known| &known.admin))?,
        publisher: public(PUBLISHER, known.map(|known| &known.publisher))?,
        collector: public(HUB, known.map(|known| &known.collector))?,
        system: public(SYSTEM, known.map(|known| &known.system))?,
    })
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

    /// The servers: one, or those of a cluster.
    #[must_use]
    pub fn brokers(&self) -> Vec<Broker> {
        self.config.brokers(&self.dir)
    }

    /// Configurations of servers that were the fleet's once, and are not any more.
    #[must_use]
    pub fn left(&self) -> Vec<PathBuf> {
        brokers::left(&self.dir, &self.brokers())
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
        self.brokers().into_iter().map(|broker| broker.url).collect()
    }

    /// Connects to the servers as one of the fleet's own parts: [`ADMIN`], [`PUBLISHER`], [`HUB`] or [`SYSTEM`].
    ///
    /// # Errors
    /// When the part's key is not here or cannot be used.
    pub fn dial(&self, who: &str) -> Result<Dial, FolderError> {
        self.dial_to(who, &self.brokers())
    }

    /// The same for one of the servers, or some.
    ///
    /// # Errors
    /// When the part's key is not here or cannot be used.
    pub fn dial_to(&self, who: &str, brokers: &[Broker]) -> Result<Dial, FolderError> {
        let key = Key::read(&key_file(&self.dir, who))?;
        let name: Name = who.parse().expect("the fleet's own parts have names");
        let server = &self.config.server;
        let mut urls: Vec<_> = brokers.iter().map(|broker| broker.url.clone()).collect();
        if let [Broker { at: (address, port), .. }] = brokers
            && !server.host.is_cluster()
        {
            // This machine may not reach itself by the name that others have for it.
            let here = if Dial::is_here(address) { "localhost" } else { address };
            urls.push(server.url(here, *port));
        }
        urls.dedup();
        let authority = server.authority.as_ref().map(|authority| self.dir.join(authority));
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
