//! Models on their way to the daemon: what the pointer says, what is fetched, and the file that names what to play with.

use std::{collections::BTreeMap, io, path::PathBuf, time::Duration};

use selfplay_engine::latest::{self, Latest};
use serde::Serialize;

use super::{DISK_AGAIN, Troubles, words};
use crate::{
    disk::{Disk, DiskError, failed},
    link::{PlayerLink, ToPlayer},
    models::{Download, DownloadError, Hash, ModelFile, Pointer, cached, tidy},
    name::Name,
};

/// Name of the file that says which model to play with.
pub(super) const LATEST: &str = "latest.yaml";

/// Versions whose contents are remembered.
const MOST_KNOWN: usize = 64;

/// When a model is fetched again that came damaged.
const CONTENTS_AGAIN: Duration = Duration::from_secs(30);

/// How it stands with a worker's models.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelsState {
    /// The newest model of the run, as far as is known.
    pub newest: Option<i64>,
    /// For how many of a hundred workers it is.
    pub percent: f64,
    /// Whether this worker is among those who serve it first.
    pub is_canary: bool,
    /// Whether it was withdrawn.
    pub withdrawn: bool,
    /// The model that the daemon is told to play with.
    pub named: Option<i64>,
    /// The model that is being fetched, the chunks that have come, and how many there are.
    pub fetching: Option<(i64, u64, u64)>,
    /// Models that were fetched since the process began.
    pub fetched: u64,
    /// Bytes of them.
    pub fetched_bytes: u64,
    /// How long the last one took.
    pub fetch_seconds: f64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Models<D: Disk> {
    disk: D,
    dir: PathBuf,
    worker: Name,
    pointer: Option<(u64, Pointer)>,
    /// The revision of a pointer that came after a newer one.
    older: Option<u64>,
    /// What `latest.yaml` says.
    named: Option<(i64, Hash)>,
    download: Option<(Download<D>, Duration)>,
    /// When something that failed may be tried again.
    not_before: Duration,
    /// Nothing is to be done before another pointer comes.
    settled: bool,
    known: BTreeMap<i64, Hash>,
    fetched: u64,
    fetched_bytes: u64,
    fetch_time: Duration,
}

impl<D: Disk + Clone> Models<D> {
    /// The models in a folder that is there.
    pub(super) fn open(disk: D, dir: PathBuf, worker: Name) -> Result<Self, DiskError> {
        let path = dir.join(LATEST);
        let named = if disk.exists(&path).map_err(failed("look for", &path))? {
            let bytes = disk.read(&path, latest::MOST_BYTES).map_err(failed("read file", &path))?;
            // One that cannot be read is written anew.
            Latest::read(&bytes).ok().and_then(|latest| Some((latest.version, Hash::try_from(latest.sha256?).ok()?)))
        } else {
            None
        };
        Ok(Self {
            disk,
            dir,
            worker,
            pointer: None,
            older: None,
            named,
            download: None,
            not_before: Duration::ZERO,
            settled: false,
            known: named.into_iter().collect(),
            fetched: 0,
            fetched_bytes: 0,
            fetch_time: Duration::ZERO,
        })
    }

    /// Contents of a version, as far as they are known.
    pub(super) fn hash(&self, generation: i64) -> Option<Hash> {
        self.known.get(&generation).copied()
    }

    /// The same, for a frame.
    pub(super) fn sha256(&self, generation: i64) -> Option<[u8; 32]> {
        self.hash(generation).map(Hash::bytes)
    }

    /// The trainer's settings, where the publisher knows them.
    pub(super) fn settings_hash(&self) -> Option<&str> {
        self.pointer.as_ref().map(|(_, pointer)| pointer.settings_hash.as_str())
    }

    /// Takes up one thing heard.
    pub(super) fn heard(&mut self, event: ToPlayer, now: Duration, troubles: &mut Troubles) {
        match event {
            ToPlayer::Pointer { revision, bytes } => self.pointed(revision, &bytes, troubles),
            ToPlayer::Chunk { model, number, bytes } => {
                let Some((download, begun)) = self.download.as_mut().filter(|(it, _)| it.model().sha256 == model)
                else {
                    return;
                };
                match download.came(number, bytes, now) {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        self.fetched += 1;
                        self.fetched_bytes += download.model().size;
                        self.fetch_time = now.saturating_sub(*begun);
                        self.download = None;
                        self.settled = false;
                    }
                    Err(error) => {
                        let contents = matches!(error, DownloadError::Contents { .. });
                        self.not_before = now + if contents { CONTENTS_AGAIN } else { DISK_AGAIN };
                        self.download = None;
                        self.settled = false;
                        troubles.set("models", words(&error));
                    }
                }
            }
            ToPlayer::NoChunk { model, number, .. } => {
                if let Some((download, _)) = self.download.as_mut().filter(|(it, _)| it.model().sha256 == model) {
                    download.missed(number, now);
                }
            }
        }
    }

    fn pointed(&mut self, revision: u64, bytes: &[u8], troubles: &mut Troubles) {
        let pointer = match Pointer::read(bytes) {
            Ok(pointer) => pointer,
            // What is known goes on.
            Err(error) => return troubles.set("pointer", words(&error)),
        };
        troubles.clear("pointer");
        // One that was overtaken by a newer one; or the broker began anew, and then it comes again.
        let is_old = self.pointer.as_ref().is_some_and(|(known, _)| revision < *known);
        if is_old && self.older.replace(revision) != Some(revision) {
            return;
        }
        self.older = None;
        for model in [Some(pointer.model), pointer.previous].into_iter().flatten() {
            self.known.insert(model.generation, model.sha256);
        }
        while self.known.len() > MOST_KNOWN {
            self.known.pop_first();
        }
        self.pointer = Some((revision, pointer));
        // The same again may find that a file is gone.
        self.settled = false;
    }

    /// Does what is due; whether something is on its way.
    pub(super) fn step(&mut self, link: &mut impl PlayerLink, now: Duration, troubles: &mut Troubles) -> bool {
        if !self.settled && now >= self.not_before {
            match self.advance(now) {
                Ok(()) => troubles.clear("models"),
                Err(error) => {
                    self.not_before = now + DISK_AGAIN;
                    troubles.set("models", words(&error));
                }
            }
        }
        let Some((download, _)) = &mut self.download else { return false };
        while let Some(number) = download.next(now) {
            link.get_chunk(download.model().sha256, number);
        }
        true
    }

    /// Begins to fetch what lacks, and names what is there.
    fn advance(&mut self, now: Duration) -> Result<(), DiskError> {
        let Some((_, pointer)) = &self.pointer else {
            self.settled = true;
            return Ok(());
        };
        let target = pointer.model_of(&self.worker).copied();
        // What is for others first is fetched ahead, and serves at once when its turn comes.
        let ahead = (!pointer.withdrawn).then_some(pointer.model);
        let keep = [Some(pointer.model.sha256), pointer.previous.map(|model| model.sha256)];
        let mut lacks = None;
        for model in [target, ahead].into_iter().flatten() {
            match cached(&self.disk, &self.dir, &model)? {
                None => lacks = lacks.or(Some(model)),
                Some(path) if target == Some(model) => self.name(model, path)?,
                Some(_) => {}
            }
        }
        match lacks {
            Some(model) => {
                if self.download.as_ref().is_none_or(|(download, _)| *download.model() != model) {
                    self.download = Some((Download::new(self.disk.clone(), &self.dir, model), now));
                }
            }
            None => {
                self.download = None;
                let keep: Vec<_> = keep.into_iter().chain([self.named.map(|(_, hash)| hash)]).flatten().collect();
                tidy(&self.disk, &self.dir, &keep)?;
            }
        }
        self.settled = true;
        Ok(())
    }

    /// Has the daemon play with a model that is there.
    fn name(&mut self, model: ModelFile, path: PathBuf) -> Result<(), DiskError> {
        let named = (model.generation, model.sha256);
        let (from, to) = (self.dir.join(format!("{LATEST}.new")), self.dir.join(LATEST));
        if self.named == Some(named) && self.disk.exists(&to).map_err(failed("look for", &to))? {
            return Ok(());
        }
        // The daemon may have been started elsewhere than this path is from.
        let filename = std::path::absolute(&path).map_err(failed("find", &path))?;
        let latest = Latest { path: filename, version: model.generation, sha256: Some(model.sha256.to_string()) };
        let text = latest.to_yaml().map_err(|reason| failed("name", &path)(io::Error::other(reason)))?;
        self.named = None;
        self.disk.write(&from, text.as_bytes()).map_err(failed("write file", &from))?;
        self.disk.rename(&from, &to).map_err(failed("rename", &from))?;
        self.disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))?;
        self.named = Some(named);
        Ok(())
    }

    pub(super) fn state(&self) -> ModelsState {
        let pointer = self.pointer.as_ref().map(|(_, pointer)| pointer);
        let fetching = self.download.as_ref().map(|(download, _)| {
            let (come, of) = download.progress();
            (download.model().generation, come, of)
        });
        ModelsState {
            newest: pointer.map(|pointer| pointer.model.generation),
            percent: pointer.map_or(0.0, |pointer| pointer.percent),
            is_canary: pointer.is_some_and(|pointer| pointer.is_canary(&self.worker)),
            withdrawn: pointer.is_some_and(|pointer| pointer.withdrawn),
            named: self.named.map(|(generation, _)| generation),
            fetching,
            fetched: self.fetched,
            fetched_bytes: self.fetched_bytes,
            fetch_seconds: self.fetch_time.as_secs_f64(),
        }
    }
}
