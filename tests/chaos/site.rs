//! The directories of a training run, and what can happen to them.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{config::Config, games::names};

/// Size of a disk of their own: some seconds of games, so that it is filled in an instant.
const DISK_MIB: usize = 48;

/// A small file system, which can be filled. It is gone when this is dropped.
pub(crate) struct Disk {
    at: PathBuf,
    filler: Option<PathBuf>,
}

impl Disk {
    /// One at this directory, if this user may mount one.
    pub(crate) fn mount(at: &Path) -> Option<Self> {
        let size = format!("size={DISK_MIB}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("NOTE: no file system can be mounted here (that takes root): no disk will be filled in this run");
        }
        mounted.then(|| Self { at: at.to_owned(), filler: None })
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&mut self) {
        let path = self.at.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        self.filler = Some(path);
    }

    pub(crate) fn empty(&mut self) {
        if let Some(path) = self.filler.take() {
            fs::remove_file(path).unwrap();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Fails where a process still holds it, which `-l` forgives.
        Command::new("umount").arg("-l").arg(&self.at).status().ok();
    }
}

/// A training run.
pub(crate) struct Site {
    // Dropped before the directory that it is in.
    disk: Option<Disk>,
    dir: TempDir,
    pub(crate) config: Config,
    logs: usize,
}

impl Site {
    /// Makes the directories that the trainer makes. With `disk`, games go to a small file system of their own, if this user
    /// may mount one.
    pub(crate) fn new(config: Config, disk: bool) -> Self {
        let dir = TempDir::new().unwrap();
        let games = dir.path().join("replay_buffers");
        fs::create_dir(&games).unwrap();
        let disk = disk.then(|| Disk::mount(&games)).flatten();
        for part in ["replay_buffers/ready/tmp", "models/checkpoints", "logs"] {
            fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        config.write(dir.path());
        Self { dir, config, disk, logs: 0 }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Where the daemons put finished games.
    pub(crate) fn ready(&self) -> PathBuf {
        self.path("replay_buffers/ready")
    }

    /// A new file for a daemon's log.
    pub(crate) fn new_log(&mut self) -> PathBuf {
        self.logs += 1;
        self.path(&format!("logs/{:04}.jsonl", self.logs))
    }

    /// The disk that games have for themselves, if there is one.
    pub(crate) const fn disk(&mut self) -> Option<&mut Disk> {
        self.disk.as_mut()
    }

    /// Puts a file where the directory of finished games was, so that it cannot be made anew.
    pub(crate) fn take_directory(&self) {
        fs::rename(self.ready(), self.path("replay_buffers/away")).unwrap();
        fs::write(self.ready(), "not a directory").unwrap();
    }

    pub(crate) fn give_directory_back(&self) {
        fs::remove_file(self.ready()).unwrap();
        fs::rename(self.path("replay_buffers/away"), self.ready()).unwrap();
    }

    /// What is in the directory of finished games and its `tmp`, but for what daemons keep there for good.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let ready = names(&self.ready()).into_iter().filter(|name| !matches!(name.as_str(), "tmp" | "rejected"));
        let tmp = names(&self.ready().join("tmp")).into_iter().filter(|name| !is_bookkeeping(name));
        ready.chain(tmp.map(|name| format!("tmp/{name}"))).collect()
    }

    /// Ids of processes that have to do with this run.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let root = self.root().to_str().unwrap();
        let ours = |pid: &u32| {
            let cmdline = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&cmdline).contains(root)
        };
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        pids.filter(ours).collect()
    }
}

/// Journals and the lock beside them.
fn is_bookkeeping(name: &str) -> bool {
    name.ends_with(".journal") || name.ends_with(".lock")
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.disable_cleanup(true);
            eprintln!("the logs of this run are in {}", self.path("logs").display());
        }
    }
}
