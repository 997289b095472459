//! Where a worker keeps its finished games until a receipt says that the trainer has them.
//!
//! A directory of frames, one file each, and one file with what must outlive them all:
//!
//! | | |
//! |---|---|
//! | `00000000000000000042.frame` | frame 42, whole and synchronised since it has this name |
//! | `00000000000000000043.new` | a frame that was being written; removed at the next start |
//! | `state` | origin, run, worker, and up to which number there are receipts; replaced as a whole |
//! | `.lock` | locked while a process uses the outbox |
//!
//! Whoever brings games: [`Outbox::write`], then removes them from where they were, and synchronises that, then [`Outbox::release`], which
//! lets the frames be sent. A process that starts asks [`Outbox::newest`] which games are in frames already, removes those, and releases
//! all. `intake` does so.

mod error;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use selfplay_engine::replay::Stem;

pub use self::error::OutboxError;
use self::state::State;
use crate::{
    disk::{Disk, DiskError, failed},
    frame::{Frame, Header, MOST_BYTES, Packed, frames, void},
    name::{Name, Origin},
};

/// Ending of frames that count.
const FRAME: &str = "frame";

/// Ending of frames that are being written.
const NEW: &str = "new";

/// Whose outbox it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The run that its games are for.
    pub run: Name,
    /// The worker.
    pub worker: Name,
}

/// A frame that was lost to the disk, and is an empty one now, so that receipts for the others go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its number.
    pub number: u64,
    /// Why.
    pub reason: String,
}

/// The outbox of one worker. See the module.
#[derive(Debug)]
pub struct Outbox<D: Disk> {
    disk: D,
    dir: PathBuf,
    state: State,
    /// Every frame that has its name, with its length.
    frames: BTreeMap<u64, u64>,
    /// Frames up to this number may be sent.
    released: u64,
    /// Highest number in use, or receipted.
    last: u64,
    /// Frames of a write that failed and are still to be taken back.
    undo: Option<RangeInclusive<u64>>,
    /// Up to which number the trainer has frames of another copy of this outbox: nothing may come out of this one any more.
    ahead: Option<u64>,
    most_bytes: u64,
    lost: Vec<Lost>,
    _lock: D::Lock,
}

impl<D: Disk> Outbox<D> {
    /// Opens the outbox in `dir`, which is made as needed, for frames of at most `most_bytes` in all. `fresh`: the origin that it
    /// gets if it is a new one.
    ///
    /// # Errors
    /// When the directory cannot be used, another process uses it, or it holds frames of another run or worker.
    pub fn open(
        disk: D,
        dir: impl Into<PathBuf>,
        owner: &Owner,
        most_bytes: u64,
        fresh: Origin,
    ) -> Result<Self, OutboxError> {
        let dir = dir.into();
        disk.create_dir(&dir).map_err(failed("create directory", &dir))?;
        let lock_file = dir.join(".lock");
        let lock = disk.lock(&lock_file).map_err(failed("lock", &lock_file))?;
        let lock = lock.ok_or_else(|| OutboxError::Busy { dir: dir.clone() })?;
        let mut frames = BTreeMap::new();
        for (name, bytes) in disk.list(&dir).map_err(failed("list directory", &dir))? {
            let Some((number, ending)) = name.split_once('.') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            let path = dir.join(&name);
            // What has no name that is given here is none of ours.
            if number == 0 || path != frame_path(&dir, number, ending) {
                continue;
            }
            match ending {
                FRAME => drop(frames.insert(number, bytes)),
                NEW => disk.remove(&path).map_err(failed("remove", &path))?,
                _ => {}
            }
        }
        // A process that was killed leaves names that can be read and are not on the disk. Games are about to be removed elsewhere
        // because of them.
        disk.sync_dir(&dir).map_err(failed("synchronise", &dir))?;
        let state = match State::read(&disk, &dir)? {
            Some(state) if state.owner == *owner => state,
            Some(state) if frames.keys().any(|&number| number > state.receipted) => {
                return Err(OutboxError::Other { dir, found: state.owner, wanted: owner.clone() });
            }
            // None, or one that holds nothing: a new one begins.
            found => {
                if found.is_some() {
                    // Frames with receipts, whose deletion a power cut has undone.
                    for number in std::mem::take(&mut frames).into_keys() {
                        let path = frame_path(&dir, number, FRAME);
                        disk.remove(&path).map_err(failed("remove", &path))?;
                    }
                    disk.sync_dir(&dir).map_err(failed("synchronise", &dir))?;
                }
                let state = match recover(&disk, &dir, &frames, owner)? {
                    Some(state) => state,
                    None => State { origin: fresh, owner: owner.clone(), receipted: 0 },
                };
                state.write(&disk, &dir)?;
                state
            }
        };
        let last = frames.keys().next_back().map_or(state.receipted, |&last| last.max(state.receipted));
        let released = state.receipted;
        let mut outbox = Self {
            disk,
            dir,
            state,
            frames,
            released,
            last,
            undo: None,
            ahead: None,
            most_bytes,
            lost: Vec::new(),
            _lock: lock,
        };
        outbox.delete_receipted();
        outbox.mend()?;
        Ok(outbox)
    }

    /// Which outbox it is.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.state.origin
    }

    /// Up to this number there are receipts for all frames.
    #[must_use]
    pub const fn receipted(&self) -> u64 {
        self.state.receipted
    }

    /// Frames that may be sent: released, and without a receipt.
    #[must_use]
    pub const fn sendable(&self) -> RangeInclusive<u64> {
        let last = if self.ahead.is_some() { self.state.receipted } else { self.released };
        self.state.receipted + 1..=last
    }

    /// Number of the newest frame; of the newest receipted where there is none.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.frames.values().sum()
    }

    /// Number of frames without a receipt.
    #[must_use]
    pub const fn waiting(&self) -> u64 {
        self.last - self.state.receipted
    }

    /// Whether no game should begin before receipts have come: nine tenths of the room are taken.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.most_bytes / 10 * 9
    }

    /// Frames lost to the disk since this was asked last.
    pub fn take_lost(&mut self) -> Vec<Lost> {
        std::mem::take(&mut self.lost)
    }

    /// Keeps games: when it returns, they are on the disk, in frames of the numbers returned. They are not sent before
    /// [`Outbox::release`].
    ///
    /// # Errors
    /// When there is no room, the disk fails, or this is an older copy. Then none of the games is in the outbox and the call may be made
    /// again; but should the process end before another call succeeds, the next one has to ask [`Outbox::newest`].
    pub fn write(&mut self, settings_hash: &str, games: &[Packed]) -> Result<RangeInclusive<u64>, OutboxError> {
        self.usable()?;
        self.take_back()?;
        let first = self.header(self.last + 1, settings_hash);
        let made = frames(&first, games);
        let bytes: u64 = made.iter().map(|frame| frame.bytes.len() as u64).sum();
        if self.bytes() + bytes > self.most_bytes {
            return Err(OutboxError::Full { dir: self.dir.clone(), bytes: self.bytes(), most: self.most_bytes });
        }
        let numbers = first.number..=self.last + made.len() as u64;
        self.undo = Some(numbers.clone());
        let placed = made.iter().try_for_each(|frame| {
            let path = self.path(frame.number, NEW);
            self.disk.write(&path, &frame.bytes).map_err(failed("write file", &path))
        });
        let placed = placed.and_then(|()| {
            made.iter().try_for_each(|frame| {
                let (from, to) = (self.path(frame.number, NEW), self.path(frame.number, FRAME));
                self.disk.rename(&from, &to).map_err(failed("rename", &from))
            })
        });
        let placed = placed.and_then(|()| self.sync());
        if let Err(error) = placed {
            // Should this fail too, the next call begins with it.
            drop(self.take_back());
            return Err(error.into());
        }
        self.undo = None;
        self.frames.extend(made.iter().map(|frame| (frame.number, frame.bytes.len() as u64)));
        self.last = *numbers.end();
        Ok(numbers)
    }

    /// Lets frames up to `number` be sent: their games are nowhere else, and that is on the disk. From here on a receipt may delete them.
    pub fn release(&mut self, number: u64) {
        self.released = self.released.max(number.min(self.last));
    }

    /// The games of the newest frames without a receipt: so many, or a few more, or all there are. Any that was written and not released is
    /// among them, if no more were written at once.
    ///
    /// # Errors
    /// When a frame cannot be read.
    pub fn newest(&mut self, games: usize) -> Result<Vec<Stem>, OutboxError> {
        let mut newest: Vec<Stem> = Vec::new();
        for number in (self.state.receipted + 1..=self.last).rev() {
            if newest.len() >= games {
                break;
            }
            let bytes = self.frame(number)?;
            let Ok(frame) = Frame::read(&bytes) else { continue };
            for game in frame.header().games.iter().rev() {
                // The parts of one game have frames of their own.
                if newest.last() != Some(&game.stem) {
                    newest.push(game.stem.clone());
                }
            }
        }
        Ok(newest)
    }

    /// The message of a frame without a receipt. One that the disk has damaged is replaced by an empty one first.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn frame(&mut self, number: u64) -> Result<Vec<u8>, OutboxError> {
        match self.load(number)? {
            Ok(bytes) => Ok(bytes),
            Err(reason) => {
                self.give_up(number, &reason)?;
                self.load(number)?.map_err(|reason| OutboxError::Damaged { path: self.path(number, FRAME), reason })
            }
        }
    }

    /// All frames of `origin` up to `done` are where they belong: those of this outbox are deleted. Others are none of ours.
    ///
    /// # Errors
    /// When the disk fails, and then the receipt counts as not heard; or the receipt speaks of frames that were never written. Then this
    /// is an older copy of the outbox, whose next numbers the trainer takes for frames that it has: nothing is sent or written any more.
    pub fn receipt(&mut self, origin: Origin, done: u64) -> Result<(), OutboxError> {
        if origin != self.state.origin {
            return Ok(());
        }
        if done > self.last {
            self.ahead = Some(done);
        }
        self.usable()?;
        // What may be elsewhere too stays. A process before sent it; this one will too, and has another receipt then.
        let done = done.min(self.released);
        if done <= self.state.receipted {
            return Ok(());
        }
        let state = State { receipted: done, ..self.state.clone() };
        state.write(&self.disk, &self.dir)?;
        self.state = state;
        self.delete_receipted();
        Ok(())
    }

    /// Whether frames may be kept and sent.
    ///
    /// # Errors
    /// When a receipt has shown that this is an older copy.
    pub fn usable(&self) -> Result<(), OutboxError> {
        match self.ahead {
            Some(done) => Err(OutboxError::Ahead { dir: self.dir.clone(), done, last: self.last }),
            None => Ok(()),
        }
    }

    fn path(&self, number: u64, ending: &str) -> PathBuf {
        frame_path(&self.dir, number, ending)
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.disk.sync_dir(&self.dir).map_err(failed("synchronise", &self.dir))
    }

    fn header(&self, number: u64, settings_hash: &str) -> Header {
        Header {
            origin: self.state.origin,
            number,
            receipted: self.state.receipted,
            run: self.state.owner.run.clone(),
            worker: self.state.owner.worker.clone(),
            settings_hash: settings_hash.to_owned(),
            part: None,
            games: Vec::new(),
        }
    }

    /// Takes back what a write that failed may have left. Nothing of it was sent.
    fn take_back(&mut self) -> Result<(), DiskError> {
        let Some(numbers) = self.undo.clone() else { return Ok(()) };
        // From the last to the first, so that a process that ends meanwhile leaves no gap.
        for number in numbers.rev() {
            for ending in [FRAME, NEW] {
                let path = self.path(number, ending);
                self.disk.remove(&path).map_err(failed("remove", &path))?;
            }
        }
        self.sync()?;
        self.undo = None;
        Ok(())
    }

    /// Deletes frames that have a receipt. What cannot be deleted is tried again with the next receipt, or at the next start.
    fn delete_receipted(&mut self) {
        let done: Vec<_> = self.frames.range(..=self.state.receipted).map(|(&number, _)| number).collect();
        for number in done {
            if self.disk.remove(&self.path(number, FRAME)).is_ok() {
                self.frames.remove(&number);
            }
        }
    }

    /// Fills gaps, and gives up a game whose parts are not all there: the process ended while they got their names.
    fn mend(&mut self) -> Result<(), OutboxError> {
        let missing: Vec<_> =
            (self.state.receipted + 1..=self.last).filter(|number| !self.frames.contains_key(number)).collect();
        for number in missing {
            self.give_up(number, "its file is missing")?;
        }
        if self.last > self.state.receipted {
            let bytes = self.frame(self.last)?;
            let header = Frame::read(&bytes).ok().map(|frame| frame.header().clone());
            if let Some(header) = header.filter(|header| header.first_number() + header.parts() - 1 > self.last) {
                self.give_up(header.number, "not all parts of its game were written")?;
            }
        }
        Ok(())
    }

    /// A frame's bytes; why not, where it is there no more or damaged.
    fn load(&self, number: u64) -> Result<Result<Vec<u8>, String>, DiskError> {
        let path = self.path(number, FRAME);
        let bytes = match self.disk.read(&path, MOST_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("its file is missing".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Ok(Err("its file is too large".to_owned()));
            }
            read => read.map_err(failed("read file", &path))?,
        };
        let wrong = match Frame::read(&bytes) {
            Ok(frame) if (frame.header().origin, frame.header().number) == (self.state.origin, number) => None,
            Ok(_) => Some("its file holds another frame".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        Ok(wrong.map_or(Ok(bytes), Err))
    }

    /// Puts an empty frame in the place of one that was lost, and of the others of the same game where it was part of one. It comes last:
    /// until then the next attempt, or the next process, finds it lost and goes on.
    fn give_up(&mut self, number: u64, reason: &str) -> Result<(), DiskError> {
        let mut numbers = vec![number];
        let header = |number: u64| -> Result<Option<Header>, DiskError> {
            let bytes = self.load(number)?.ok();
            Ok(bytes.and_then(|bytes| Frame::read(&bytes).ok().map(|frame| frame.header().clone())))
        };
        for below in (self.state.receipted + 1..number).rev() {
            match header(below)? {
                Some(header) if header.part.is_some() && header.first_number() + header.parts() > number => {
                    numbers.push(below);
                }
                _ => break,
            }
        }
        for above in number + 1..=self.last {
            match header(above)? {
                Some(header) if header.part.is_some() && header.first_number() <= number => numbers.push(above),
                _ => break,
            }
        }
        for number in numbers.into_iter().rev() {
            let bytes = void(&self.header(number, "none"));
            let (from, to) = (self.path(number, NEW), self.path(number, FRAME));
            self.disk.write(&from, &bytes).map_err(failed("write file", &from))?;
            self.disk.rename(&from, &to).map_err(failed("rename", &from))?;
            self.sync()?;
            self.frames.insert(number, bytes.len() as u64);
            self.lost.push(Lost { number, reason: reason.to_owned() });
        }
        Ok(())
    }
}

fn frame_path(dir: &Path, number: u64, ending: &str) -> PathBuf {
    dir.join(format!("{number:020}.{ending}"))
}

/// What the state must have been, where its file is lost and frames are left: they name their origin, and all before the first of
/// them had receipts.
fn recover<D: Disk>(
    disk: &D,
    dir: &Path,
    frames: &BTreeMap<u64, u64>,
    owner: &Owner,
) -> Result<Option<State>, OutboxError> {
    let Some((&first, _)) = frames.first_key_value() else { return Ok(None) };
    for &number in frames.keys() {
        let path = frame_path(dir, number, FRAME);
        let bytes = match disk.read(&path, MOST_BYTES as u64) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => continue,
            read => read.map_err(failed("read file", &path))?,
        };
        let Ok(frame) = Frame::read(&bytes) else { continue };
        let Header { origin, run, worker, .. } = frame.header();
        let found = Owner { run: run.clone(), worker: worker.clone() };
        if found != *owner {
            return Err(OutboxError::Other { dir: dir.to_owned(), found, wanted: owner.clone() });
        }
        return Ok(Some(State { origin: *origin, owner: found, receipted: first - 1 }));
    }
    Ok(None)
}
