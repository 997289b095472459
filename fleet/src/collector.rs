//! Games out of frames into the trainer's folder, each exactly once.
//!
//! One process at a time, by a lock in the folder. What a group of frames goes through, the waits for the disk shared:
//!
//! 1. each frame is checked, and the ledger asked: one that it knows is a duplicate and needs a receipt only;
//! 2. its games are unpacked, read as the trainer reads them, and written to `tmp/fleet/` under the names that they will have;
//!    those that are refused are kept in `tmp/fleet/rejected/` with the reason;
//! 3. `tmp/fleet/` is synchronised, and the ledger told [`Entry::Publishing`];
//! 4. YAML files are renamed into the folder, which is synchronised; then archives, and again;
//! 5. the ledger is told [`Entry::Done`].
//!
//! Whatever ends the process or fails between two steps, [`Collector::settle`] goes on from what the ledger says, at the next start or
//! the next call: after step 3 an archive that is no longer in `tmp/fleet/` is published, and before it nothing was shown.
//!
//! Of a game in several frames the parts wait in `tmp/fleet/parts/` until all are there. They have no receipt meanwhile, so that one
//! that is lost comes again.

mod check;
mod parts;
mod rejects;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use selfplay_engine::replay::Stem;
use serde::Serialize;
use thiserror::Error;

pub use self::check::check_game;
use self::{parts::Parts, rejects::Rejects};
use crate::{
    disk::{Disk, DiskError, failed},
    frame::{Entry as GameEntry, Frame, FrameError, GameFiles, Header},
    ledger::{Entry, Ledger, LedgerError, Publishing, Receipt},
    name::{Name, Origin},
};

/// Outboxes that one worker may have had: it gets another only when it has lost one.
const MOST_ORIGINS: usize = 1_000;

/// Frames of an outbox may come out of order by this much.
const MOST_AHEAD: u64 = 10_000_000;

/// Gaps that an outbox may have in the ledger.
const MOST_GAPS: usize = 100_000;

/// Bytes of games that are written at once, unless one game alone has more.
const MOST_UNWRITTEN: u64 = 16 << 20;

/// Letters of the reason for which a game is refused.
const MOST_REASON: usize = 500;

/// Why games cannot be collected, or not now.
#[derive(Debug, Error)]
pub enum CollectorError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Says why a game is unfit for the trainer.
pub type Check = fn(&GameEntry, &GameFiles) -> Result<(), String>;

/// What is taken.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The run.
    pub run: Name,
    /// Fingerprints of settings whose games belong to the run; any, where nothing is said.
    pub settings: Option<BTreeSet<String>>,
    /// How games are read: [`check_game`].
    pub check: Check,
}

/// A message from the broker.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Who may have sent it: the broker lets no other use this worker's subject.
    pub from: &'a Name,
    /// The frame, so it says.
    pub bytes: &'a [u8],
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the ledger now: its sender gets a receipt, the broker may forget it.
    Done {
        /// Games that the trainer sees.
        games: u64,
        /// Games that were refused.
        refused: u64,
    },
    /// It was in the ledger already: the same.
    Duplicate,
    /// A part of a game that waits for the others: no receipt, the broker may forget it.
    Part,
    /// It is not for this collector, or none that could be named in a ledger: no receipt, the broker may forget it. It is kept with the
    /// reason. If its sender still has it, it comes again.
    Refused(String),
}

/// What the collector has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Frames that came to the ledger.
    pub frames: u64,
    /// Games published.
    pub games: u64,
    /// Frames that were there already.
    pub duplicates: u64,
    /// Games refused.
    pub refused: u64,
    /// Messages refused whole.
    pub messages_refused: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Collector<D: Disk> {
    disk: D,
    /// The trainer's folder.
    ready: PathBuf,
    /// `tmp/fleet` in it.
    fleet: PathBuf,
    rules: Rules,
    ledger: Ledger<D>,
    parts: Parts,
    rejects: Rejects,
    /// Files that are to be written to `tmp/fleet`.
    unwritten: Vec<(PathBuf, Vec<u8>)>,
    /// Files of games that no entry speaks of may lie in `tmp/fleet`.
    untidy: bool,
    counts: Counts,
    _lock: D::Lock,
}

/// A frame, or the frames of one game, on their way into the ledger.
#[derive(Debug)]
struct Staged {
    games: Publishing,
    /// The message that it came with, or the last of them.
    message: usize,
}

impl<D: Disk + Clone> Collector<D> {
    /// Opens the trainer's folder `ready`, which must be there, and finishes what the last process left. Nothing when another process
    /// collects there.
    ///
    /// # Errors
    /// When the folder cannot be used, or the ledger is damaged.
    pub fn open(disk: D, ready: impl Into<PathBuf>, rules: Rules) -> Result<Option<Self>, CollectorError> {
        let ready = ready.into();
        let fleet = ready.join("tmp/fleet");
        for dir in [&ready.join("tmp"), &fleet, &Parts::dir(&fleet), &Rejects::dir(&fleet)] {
            disk.create_dir(dir).map_err(failed("create directory", dir))?;
        }
        let lock_file = fleet.join(".lock");
        let Some(lock) = disk.lock(&lock_file).map_err(failed("lock", &lock_file))? else { return Ok(None) };
        let ledger = Ledger::open(disk.clone(), &fleet)?;
        let parts = Parts::open(&disk, &fleet)?;
        let rejects = Rejects::open(&disk, &fleet)?;
        let counts = Counts::default();
        let unwritten = Vec::new();
        let mut collector =
            Self { disk, ready, fleet, rules, ledger, parts, rejects, unwritten, untidy: true, counts, _lock: lock };
        collector.settle()?;
        Ok(Some(collector))
    }

    /// What was done since it was opened.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What the ledger says.
    #[must_use]
    pub const fn book(&self) -> &crate::ledger::Book {
        self.ledger.book()
    }

    /// Receipts for a worker.
    #[must_use]
    pub fn receipts(&self, worker: &Name) -> Vec<Receipt> {
        self.ledger.receipts(worker)
    }

    /// All workers that ever sent something.
    #[must_use]
    pub fn workers(&self) -> BTreeSet<Name> {
        self.ledger.book().origins().map(|(_, known)| known.worker.clone()).collect()
    }

    /// Takes a group of messages; one verdict per message, in order. All waits for the disk are shared, so a group should be some ten
    /// frames.
    ///
    /// # Errors
    /// When the disk fails. Then nothing is known of any of them, none may be acknowledged, and all are to be given again; what was begun
    /// is finished by the next call, or the next start.
    pub fn take(&mut self, messages: &[Delivery<'_>]) -> Result<Vec<Verdict>, CollectorError> {
        self.settle()?;
        let mut verdicts = Vec::with_capacity(messages.len());
        let mut staged: Vec<Staged> = Vec::new();
        self.untidy = true;
        self.unwritten.clear();
        for (place, message) in messages.iter().enumerate() {
            verdicts.push(self.stage(place, *message, &mut staged)?);
        }
        self.write()?;
        if !staged.is_empty() {
            self.sync(&self.fleet)?;
            self.ledger.take(staged.iter().map(|staged| Entry::Publishing(staged.games.clone())).collect())?;
        }
        self.publish()?;
        self.untidy = !self.parts.is_empty();
        for staged in &staged {
            let (games, refused) = (staged.games.files.len() as u64, staged.games.refused);
            self.counts.frames += staged.games.last - staged.games.first + 1;
            self.counts.games += games;
            self.counts.refused += refused;
            verdicts[staged.message] = Verdict::Done { games, refused };
        }
        // Only for counting, and only now that nothing can fail any more.
        self.counts.duplicates += verdicts.iter().filter(|verdict| **verdict == Verdict::Duplicate).count() as u64;
        let refused = |verdict: &&Verdict| matches!(verdict, Verdict::Refused(_));
        self.counts.messages_refused += verdicts.iter().filter(refused).count() as u64;
        Ok(verdicts)
    }

    /// Finishes what an earlier call, or the process before, has begun.
    ///
    /// # Errors
    /// When the disk fails; to be called again.
    pub fn settle(&mut self) -> Result<(), CollectorError> {
        // What an entry that may be in the file speaks of must not be touched before it is known not to be there.
        self.ledger.tend()?;
        self.publish()?;
        if self.untidy {
            for (name, _) in self.disk.list(&self.fleet).map_err(failed("list directory", &self.fleet))? {
                if name
                    .strip_suffix(".yaml")
                    .or(name.strip_suffix(".npz"))
                    .is_some_and(|stem| stem.parse::<Stem>().is_ok())
                {
                    let path = self.fleet.join(&name);
                    self.disk.remove(&path).map_err(failed("remove", &path))?;
                }
            }
            let book = self.ledger.book();
            self.parts.forget(&self.disk, |origin, number| book.contains(origin, number))?;
            self.untidy = false;
        }
        Ok(())
    }

    /// Shows the trainer all that the ledger says is to be shown.
    fn publish(&mut self) -> Result<(), CollectorError> {
        let book = self.ledger.book();
        let stems: Vec<_> = book.publishing().flat_map(|games| games.files.iter()).cloned().collect();
        let done: Vec<_> =
            book.publishing().map(|games| Entry::Done { origin: games.origin, first: games.first }).collect();
        if done.is_empty() {
            return Ok(());
        }
        for ending in ["yaml", "npz"] {
            for stem in &stems {
                let name = format!("{stem}.{ending}");
                let from = self.fleet.join(&name);
                // Where it is no longer here, it was moved already; the trainer may have taken it since.
                if self.disk.exists(&from).map_err(failed("look for", &from))? {
                    self.disk.rename(&from, &self.ready.join(&name)).map_err(failed("rename", &from))?;
                }
            }
            if !stems.is_empty() {
                self.sync(&self.ready)?;
            }
        }
        Ok(self.ledger.take(done)?)
    }

    fn sync(&self, dir: &Path) -> Result<(), DiskError> {
        self.disk.sync_dir(dir).map_err(failed("synchronise", dir))
    }

    /// Brings a message's games to `tmp/fleet`; returns what can be said already, which is final for all but what is staged.
    fn stage(
        &mut self,
        message: usize,
        delivery: Delivery<'_>,
        staged: &mut Vec<Staged>,
    ) -> Result<Verdict, CollectorError> {
        let frame = match Frame::read(delivery.bytes) {
            Ok(frame) => frame,
            Err(error) => return self.refuse(delivery, &error.to_string()),
        };
        let header = frame.header();
        let (origin, number) = (header.origin, header.number);
        if let Err(reason) = self.admit(header, delivery.from, staged) {
            return self.refuse(delivery, &reason);
        }
        let in_hand = |staged: &Staged| {
            staged.games.origin == origin && (staged.games.first..=staged.games.last).contains(&number)
        };
        if self.ledger.book().contains(origin, number) || staged.iter().any(in_hand) {
            return Ok(Verdict::Duplicate);
        }
        let mut games = Publishing {
            origin,
            worker: header.worker.clone(),
            first: number,
            last: number,
            receipted: header.receipted,
            files: Vec::new(),
            refused: 0,
            reason: None,
        };
        let mut reasons = Vec::new();
        if let Some(reason) = self.foreign(header) {
            // Of a game in parts each part is refused by itself.
            let last_part = u64::from(header.part.unwrap_or(0)) + 1 == header.parts();
            games.refused = if last_part { header.games.len() as u64 } else { 0 };
            reasons.push(reason);
        } else if header.part.is_some() {
            let Some(whole) = self.parts.take(&self.disk, &frame, delivery.bytes)? else { return Ok(Verdict::Part) };
            (games.first, games.last) = (header.first_number(), header.first_number() + header.parts() - 1);
            reasons.extend(self.stage_game(&mut games, header, 0, whole)?);
        } else {
            for (place, files) in frame.games().enumerate() {
                reasons.extend(self.stage_game(&mut games, header, place, files)?);
            }
        }
        if !reasons.is_empty() {
            self.rejects.keep(&self.disk, &frame_name(origin, number), delivery.bytes, &reasons.join("\n"))?;
            games.reason = reasons.pop();
        }
        staged.push(Staged { games, message });
        // What it is in the end is known when all is done.
        Ok(Verdict::Done { games: 0, refused: 0 })
    }

    /// Writes the files that are to be written.
    fn write(&mut self) -> Result<(), DiskError> {
        self.disk.write_many(&std::mem::take(&mut self.unwritten))
    }

    /// Brings a game to `tmp/fleet`, now or with others, or says why not.
    fn stage_game(
        &mut self,
        games: &mut Publishing,
        header: &Header,
        place: usize,
        files: Result<GameFiles, FrameError>,
    ) -> Result<Option<String>, DiskError> {
        let checked = files
            .map_err(|error| error.to_string())
            .and_then(|files| (self.rules.check)(&header.games[place], &files).map(|()| files));
        let GameFiles { yaml, npz } = match checked {
            Ok(files) => files,
            Err(reason) => {
                games.refused += 1;
                // It may tell what a stranger wrote, however long, and the ledger and every receipt hold it.
                let reason = format!("game {}: {reason}", header.games[place].stem);
                return Ok(Some(reason.chars().take(MOST_REASON).collect()));
            }
        };
        let stem = header.stem(place);
        for (ending, bytes) in [("yaml", yaml), ("npz", npz)] {
            self.unwritten.push((self.fleet.join(format!("{stem}.{ending}")), bytes));
        }
        games.files.push(stem);
        if self.unwritten.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>() >= MOST_UNWRITTEN {
            self.write()?;
        }
        Ok(None)
    }

    /// Keeps a message that no ledger can name.
    fn refuse(&mut self, delivery: Delivery<'_>, reason: &str) -> Result<Verdict, CollectorError> {
        let name = format!("{}-{:08x}", delivery.from, crc32fast::hash(delivery.bytes));
        self.rejects.keep(&self.disk, &name, delivery.bytes, reason)?;
        Ok(Verdict::Refused(reason.to_owned()))
    }

    /// Whether a frame is what it says, as far as can be told: who sent it, and whose outbox it is from.
    fn admit(&self, header: &Header, from: &Name, staged: &[Staged]) -> Result<(), String> {
        let Header { origin, number, worker, .. } = header;
        if worker != from {
            return Err(format!("worker {from} sent a frame of worker {worker}"));
        }
        let book = self.ledger.book();
        let staged = staged.iter().map(|staged| (staged.games.origin, &staged.games.worker));
        let known = book.origins().map(|(&origin, known)| (origin, &known.worker)).chain(staged);
        let mut own = BTreeSet::new();
        for (known, owner) in known {
            // Names of files hold half of an origin.
            if known.short() == origin.short() && (known, owner) != (*origin, worker) {
                return Err(format!(
                    "outbox {origin} of worker {worker} has the number of outbox {known} of worker {owner}"
                ));
            }
            if owner == worker {
                own.insert(known);
            }
        }
        if own.len() >= MOST_ORIGINS && !own.contains(origin) {
            return Err(format!("worker {worker} has had {MOST_ORIGINS} outboxes; give it another name"));
        }
        let done = book.known(*origin).map_or(0, |known| known.done.contiguous());
        let gaps = book.known(*origin).map_or(0, |known| known.done.len());
        // What comes next closes a gap, however many there are.
        let is_next = header.first_number() == done + 1;
        if *number > done.max(header.receipted) + MOST_AHEAD || gaps > MOST_GAPS && !is_next {
            return Err(format!("frame {number} of worker {worker} is too far from {done}, up to which all have come"));
        }
        Ok(())
    }

    /// Why the games of a frame are none of this run's.
    fn foreign(&self, header: &Header) -> Option<String> {
        let Rules { run, settings, .. } = &self.rules;
        if header.run != *run {
            return Some(format!("its games are for run {}, and this is run {run}", header.run));
        }
        if let Some(settings) =
            settings.as_ref().filter(|settings| !header.games.is_empty() && !settings.contains(&header.settings_hash))
        {
            let known: Vec<_> = settings.iter().map(String::as_str).collect();
            return Some(format!(
                "its games were played with settings {}, and those of this run are {}: start the worker with the same settings",
                header.settings_hash,
                known.join(", "),
            ));
        }
        None
    }
}

/// Name of a file for a frame.
fn frame_name(origin: Origin, number: u64) -> String {
    format!("{origin}-{number:020}")
}
