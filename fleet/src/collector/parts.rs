//! Parts of games that wait for the others.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::frame_name;
use crate::{
    disk::{Disk, DiskError, failed},
    frame::{Frame, FrameError, GameFiles, MOST_BYTES, join},
    name::Origin,
};

/// Most bytes that may wait. Beyond it all but those of the game at hand are thrown away: they have no receipts, so they come again.
const MOST_WAITING: u64 = 512 << 20;

/// What waits.
#[derive(Debug)]
pub(super) struct Parts {
    dir: PathBuf,
    /// File name and length, by outbox and number.
    waiting: BTreeMap<(Origin, u64), (String, u64)>,
}

impl Parts {
    pub(super) fn dir(fleet: &Path) -> PathBuf {
        fleet.join("parts")
    }

    /// Finds what the last process left.
    pub(super) fn open<D: Disk>(disk: &D, fleet: &Path) -> Result<Self, DiskError> {
        let dir = Self::dir(fleet);
        let mut waiting = BTreeMap::new();
        for (name, _) in disk.list(&dir).map_err(failed("list directory", &dir))? {
            let path = dir.join(&name);
            let bytes = disk.read(&path, MOST_BYTES as u64).map_err(failed("read file", &path))?;
            match Frame::read(&bytes) {
                Ok(frame) => {
                    let key = (frame.header().origin, frame.header().number);
                    waiting.insert(key, (name, bytes.len() as u64));
                }
                // It was being written.
                Err(_) => disk.remove(&path).map_err(failed("remove", &path))?,
            }
        }
        Ok(Self { dir, waiting })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Keeps a part; the game when it is the last that was missing. Its parts stay until [`Parts::forget`].
    pub(super) fn take<D: Disk>(
        &mut self,
        disk: &D,
        frame: &Frame<'_>,
        message: &[u8],
    ) -> Result<Option<Result<GameFiles, FrameError>>, DiskError> {
        let header = frame.header();
        let (origin, first) = (header.origin, header.first_number());
        let numbers = first..=first + header.parts() - 1;
        let others: u64 = self.waiting.values().map(|(_, bytes)| bytes).sum();
        if others + message.len() as u64 > MOST_WAITING {
            self.forget(disk, |other, number| (other, numbers.contains(&number)) != (origin, true))?;
        }
        // One that waits already is whole: to write it again could only harm it.
        if !self.waiting.contains_key(&(origin, header.number)) {
            let name = frame_name(origin, header.number);
            let path = self.dir.join(&name);
            disk.write(&path, message).map_err(failed("write file", &path))?;
            self.waiting.insert((origin, header.number), (name, message.len() as u64));
        }
        if !numbers.clone().all(|number| self.waiting.contains_key(&(origin, number))) {
            return Ok(None);
        }
        let mut messages = Vec::new();
        for number in numbers {
            let path = self.dir.join(&self.waiting[&(origin, number)].0);
            let bytes = disk.read(&path, MOST_BYTES as u64).map_err(failed("read file", &path))?;
            if Frame::read(&bytes).is_err() {
                // This disk has damaged it, so it is not the worker's fault: it is to come again.
                self.forget(disk, |found, at| (found, at) == (origin, number))?;
                return Ok(None);
            }
            messages.push(bytes);
        }
        let frames: Result<Vec<_>, _> = messages.iter().map(|message| Frame::read(message)).collect();
        Ok(Some(frames.and_then(|frames| join(&frames))))
    }

    /// Throws away parts that are not needed.
    pub(super) fn forget<D: Disk>(
        &mut self,
        disk: &D,
        needless: impl Fn(Origin, u64) -> bool,
    ) -> Result<(), DiskError> {
        let found: Vec<_> = self.waiting.keys().copied().filter(|&(origin, number)| needless(origin, number)).collect();
        for key in found {
            let path = self.dir.join(&self.waiting[&key].0);
            disk.remove(&path).map_err(failed("remove", &path))?;
            self.waiting.remove(&key);
        }
        Ok(())
    }
}
