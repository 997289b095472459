//! Other daemons that play into the same output directory. Each keeps a file locked in the directory's `tmp` while it lives,
//! `daemon_PID-RANDOM.lock`, that says who it is and where it can be asked. A file that is not locked is that of a dead process.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use selfplay_engine::replay::{Open, SessionId, open_in_place};
use serde::{Deserialize, Serialize};

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Largest file of a daemon, in bytes.
const MOST_BYTES: u64 = 8 << 10;
/// Daemons that are listed.
const MOST_SIBLINGS: usize = 64;

/// Another daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sibling {
    /// Its process.
    pub pid: u32,
    /// The machine that it runs on.
    pub host: String,
    /// What its run is called.
    pub run: String,
    /// When it started, in seconds since 1970.
    pub started_unix: f64,
    /// Its page; `null` where it has none that can be reached from this machine.
    pub url: Option<String>,
}

/// What a daemon says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    /// Its process.
    pub pid: u32,
    /// The machine that it runs on.
    pub host: String,
    /// What its run is called.
    pub run: String,
    /// When it started, in seconds since 1970.
    pub started_unix: f64,
    /// Where it serves its page.
    pub address: Option<SocketAddr>,
}

impl Card {
    /// Of this daemon, as one on `host` sees it.
    fn seen_from(self, host: &str) -> Sibling {
        let Self { pid, host: its, run, started_unix, address } = self;
        let reachable = address.filter(|address| its == host || !address.ip().to_canonical().is_loopback());
        let url = reachable.map(|address| {
            let elsewhere = its != host && address.ip().is_unspecified() && is_name(&its);
            if elsewhere { format!("http://{its}:{}/", address.port()) } else { format!("http://{address}/") }
        });
        Sibling { pid, host: its, run, started_unix, url }
    }
}

/// Whether a host's name can stand in an address.
fn is_name(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

/// The other daemons as they were at the last look, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Siblings(Arc<Mutex<Vec<Sibling>>>);

impl Siblings {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<Sibling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, siblings: Vec<Sibling>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = siblings;
    }
}

/// This daemon's file, and the look at those of others. Dropped, it ends and takes the file away.
pub(crate) struct DaemonFile {
    place: Arc<Place>,
    /// Ends the thread when it is dropped; the thread may hang with the directory, and is not waited for.
    _stop: Option<mpsc::Sender<()>>,
}

struct Place {
    tmp: PathBuf,
    name: String,
    card: Card,
    own: Mutex<Own>,
    siblings: Siblings,
}

enum Own {
    /// There is no file, or none any more.
    Missing,
    /// Locked while it is open.
    Kept(File),
    /// It is not to come back.
    Ended,
}

impl DaemonFile {
    /// Leaves `card` in the `tmp` directory of `dir`, which must be there, and begins to look at those of others.
    pub(crate) fn begin(dir: &Path, card: Card) -> Self {
        let place = Place {
            tmp: dir.join("tmp"),
            name: format!("daemon_{}.lock", SessionId::of_this_process()),
            card,
            own: Mutex::new(Own::Missing),
            siblings: Siblings::default(),
        };
        let place = Arc::new(place);
        if let Err(error) = place.look() {
            tracing::warn!("other daemons of this output directory and this one will not know of each other: {error}");
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let looking = place.clone();
        let thread = std::thread::Builder::new().name("siblings".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                if let Err(error) = looking.look() {
                    tracing::debug!(%error, "failed to look for other daemons of this output directory");
                }
            }
        });
        // Without a thread the list stays as it is.
        Self { place, _stop: thread.is_ok().then_some(stop) }
    }

    /// The other daemons, kept up to date.
    pub(crate) fn siblings(&self) -> Siblings {
        self.place.siblings.clone()
    }

    /// Says once which other daemons live.
    pub(crate) fn log(&self) {
        for Sibling { pid, host, run, url, .. } in self.place.siblings.all() {
            let message = "another daemon plays into the same output directory";
            let url = url.unwrap_or_else(|| "none".to_owned());
            if run == self.place.card.run {
                tracing::info!(pid, host, url, "{message}");
            } else {
                // The trainer of one run would learn from games of another.
                tracing::warn!(
                    pid,
                    host,
                    url,
                    its_run = run,
                    our_run = self.place.card.run,
                    "{message}, for another run"
                );
            }
        }
    }
}

impl Drop for DaemonFile {
    fn drop(&mut self) {
        if let Own::Kept(file) = std::mem::replace(&mut *self.place.own(), Own::Ended)
            && is_at(&file, &self.place.path())
        {
            // Where it cannot be removed, others see that it is not locked.
            drop(fs::remove_file(self.place.path()));
        }
    }
}

impl Place {
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self) -> PathBuf {
        self.tmp.join(&self.name)
    }

    /// Sees to it that our file is there, and brings the list of others up to date.
    fn look(&self) -> io::Result<()> {
        let kept = self.keep();
        let mut siblings = Vec::new();
        for entry in fs::read_dir(&self.tmp)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| is_ours(name) && *name != self.name) else { continue };
            siblings.extend(card(&self.tmp.join(name)).map(|card| card.seen_from(&self.card.host)));
        }
        siblings.sort_by(|a, b| a.started_unix.total_cmp(&b.started_unix).then(a.pid.cmp(&b.pid)));
        siblings.truncate(MOST_SIBLINGS);
        self.siblings.set(siblings);
        kept
    }

    fn keep(&self) -> io::Result<()> {
        let mut own = self.own();
        match &*own {
            Own::Ended => return Ok(()),
            Own::Kept(file) if is_at(file, &self.path()) => return Ok(()),
            Own::Kept(_) | Own::Missing => *own = Own::Missing,
        }
        let path = self.path();
        let mut file = open_in_place(&path, Open::Keep)?;
        // Another daemon may take it for that of a dead one in this moment: then the next look makes it afresh.
        file.try_lock()?;
        if !is_at(&file, &path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        file.write_all(&serde_json::to_vec(&self.card)?)?;
        *own = Own::Kept(file);
        Ok(())
    }
}

/// Daemons that play into `dir`, as one that does not sees them.
pub(crate) fn daemons_of(dir: &Path, host: &str) -> Vec<Sibling> {
    let entries = fs::read_dir(dir.join("tmp")).into_iter().flatten().flatten();
    let cards = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_ours));
    cards.filter_map(|entry| card(&entry.path())).map(|card| card.seen_from(host)).collect()
}

/// Whether a file has the name of a daemon's.
fn is_ours(name: &str) -> bool {
    let session = name.strip_prefix("daemon_").and_then(|name| name.strip_suffix(".lock"));
    session.is_some_and(|session| session.parse::<SessionId>().is_ok())
}

/// What a daemon that lives says of itself. The file of a dead one is removed.
fn card(path: &Path) -> Option<Card> {
    let file = open_in_place(path, Open::Read).ok()?;
    match file.try_lock() {
        Ok(()) if is_at(&file, path) => {
            drop(fs::remove_file(path));
            None
        }
        Err(TryLockError::WouldBlock) => {
            let mut bytes = Vec::new();
            (&file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
            // One that only begins has said nothing yet.
            serde_json::from_slice(&bytes).ok()
        }
        _ => None,
    }
}

/// Whether `path` names the file that is open.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// The name of this machine, which no page on the web has.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn card_of(pid: u32) -> Card {
        let address = Some(([127, 0, 0, 1], 9466).into());
        Card { pid, host: "here".to_owned(), run: "r".to_owned(), started_unix: f64::from(pid), address }
    }

    fn directory() -> TempDir {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("tmp")).unwrap();
        dir
    }

    fn files(dir: &TempDir) -> usize {
        fs::read_dir(dir.path().join("tmp")).unwrap().count()
    }

    fn pids(daemon_file: &DaemonFile) -> Vec<u32> {
        daemon_file.place.look().unwrap();
        daemon_file.siblings().all().iter().map(|sibling| sibling.pid).collect()
    }

    #[test]
    fn daemons_of_a_directory_see_each_other_while_they_live() {
        let dir = directory();
        let first = DaemonFile::begin(dir.path(), card_of(1));
        assert_eq!(pids(&first), [0; 0]);
        let (third, second) = (DaemonFile::begin(dir.path(), card_of(3)), DaemonFile::begin(dir.path(), card_of(2)));
        assert_eq!((pids(&first), pids(&second), pids(&third)), (vec![2, 3], vec![1, 3], vec![1, 2]));
        assert_eq!(first.siblings().all()[0].url.as_deref(), Some("http://127.0.0.1:9466/"));
        drop(second);
        assert_eq!((pids(&first), files(&dir)), (vec![3], 2));
        drop((first, third));
        assert_eq!(files(&dir), 0);
    }

    #[test]
    fn what_the_dead_left_is_removed_and_what_is_not_ours_is_left() {
        let dir = directory();
        let tmp = dir.path().join("tmp");
        fs::write(tmp.join("daemon_7-0000002a.lock"), serde_json::to_vec(&card_of(7)).unwrap()).unwrap();
        for other in ["daemon_x.lock", "session_7-0000002a.journal"] {
            fs::write(tmp.join(other), "").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", tmp.join("daemon_8-0000002a.lock")).unwrap();
        let daemon_file = DaemonFile::begin(dir.path(), card_of(1));
        assert_eq!(pids(&daemon_file), [0; 0]);
        assert!(!tmp.join("daemon_7-0000002a.lock").exists());
        assert_eq!(files(&dir), 4, "our own, and what is not ours");
    }

    #[test]
    fn a_file_that_was_removed_comes_back() {
        let dir = directory();
        let (first, second) = (DaemonFile::begin(dir.path(), card_of(1)), DaemonFile::begin(dir.path(), card_of(2)));
        fs::remove_dir_all(dir.path().join("tmp")).unwrap();
        assert!(second.place.look().is_err(), "there is no directory");
        fs::create_dir(dir.path().join("tmp")).unwrap();
        assert_eq!(pids(&second), [0; 0]);
        assert_eq!((pids(&first), pids(&second)), (vec![2], vec![1]));
    }

    #[test]
    fn a_page_is_named_where_it_can_be_reached() {
        let url = |host: &str, address: &str| {
            let address = Some(address.parse().unwrap());
            Card { host: host.to_owned(), address, ..card_of(1) }.seen_from("here").url
        };
        assert_eq!(
            url("here", "0.0.0.0:80").as_deref(),
            Some("http://0.0.0.0:80/"),
            "the page knows the machine's name"
        );
        assert_eq!(url("there", "127.0.0.1:80"), None);
        assert_eq!(url("there", "0.0.0.0:80").as_deref(), Some("http://there:80/"));
        assert_eq!(url("there", "10.0.0.7:80").as_deref(), Some("http://10.0.0.7:80/"));
        assert_eq!(Card { address: None, ..card_of(1) }.seen_from("here").url, None);
    }
}
