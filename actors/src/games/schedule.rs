//! Which games to play, and which slot may play now. Plain state: no actor.

use std::collections::BTreeSet;

use crate::{account::Starts, game::GameEnd};

/// Credits of the writer for each game that is played at once: as many games may be finished and wait for the disk.
pub(super) const CREDITS_PER_SLOT: u64 = 2;

/// Which games to play, and who may play now. Plain state: no actor.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Games that wait for a slot: of earlier processes, parked ones, and new ones that were given back.
    pub(super) waiting: usize,
    pub(super) next_index: u64,
    /// New games still to start; `None` without end.
    pub(super) left: Option<u64>,
    /// Below 0 while more games are in play than should be.
    pub(super) credits: i64,
    /// Games at once: slots from this number on get no more games.
    pub(super) at_once: usize,
    /// Free slots per thread that may get a game.
    pub(super) free: Vec<BTreeSet<usize>>,
    /// Free slots that may not.
    pub(super) idle: BTreeSet<usize>,
    pub(super) active: u64,
    pub(super) abandoned: u64,
    pub(super) started: bool,
    pub(super) held: bool,
    pub(super) draining: bool,
}

/// What a slot is to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The first of the games that wait.
    Waiting,
    /// The new game of this number.
    New(u64),
}

/// How many games to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Number of the first new game: those below have been begun under this seed before.
    pub first_index: u64,
    /// Games in all, those of earlier processes among them, which are always played; `None` without end.
    pub limit: Option<u64>,
}

impl Schedule {
    /// `slots` games at once, spread evenly over `threads`; the writer may have `credits` games in play or in its queue. The
    /// `resumable` games come first.
    pub(super) fn new(slots: usize, threads: usize, credits: u64, quota: Quota, resumable: usize) -> Self {
        let mut free = vec![BTreeSet::new(); threads];
        for slot in 0..slots {
            free[slot % threads].insert(slot);
        }
        Self {
            waiting: resumable,
            next_index: quota.first_index,
            left: quota.limit.map(|limit| limit.saturating_sub(resumable as u64)),
            credits: credits.cast_signed(),
            at_once: slots,
            free,
            idle: BTreeSet::new(),
            active: 0,
            abandoned: 0,
            started: false,
            held: false,
            draining: false,
        }
    }

    /// Threads that games are played on.
    pub(super) fn threads(&self) -> usize {
        self.free.len()
    }

    /// The next game to start and its slot: on the thread with the fewest games in play.
    pub(super) fn next(&mut self) -> Option<(usize, Next)> {
        if !self.started || self.held || self.draining || self.is_exhausted() || self.credits <= 0 {
            return None;
        }
        let thread = self.free.iter_mut().max_by_key(|free| free.len())?;
        let slot = thread.pop_first()?;
        self.credits -= 1;
        self.active += 1;
        if self.waiting > 0 {
            self.waiting -= 1;
            return Some((slot, Next::Waiting));
        }
        self.left = self.left.map(|left| left - 1);
        self.next_index += 1;
        Some((slot, Next::New(self.next_index - 1)))
    }

    pub(super) fn slot_free(&mut self, slot: usize, end: &GameEnd) {
        self.put(slot);
        self.active -= 1;
        self.abandoned += u64::from(matches!(end, GameEnd::GivenUp(_)));
        if *end != GameEnd::Finished {
            self.credits += 1; // The writer will give none for it.
        }
    }

    /// A game left its slot, to wait.
    pub(super) fn slot_parked(&mut self, slot: usize) {
        self.put(slot);
        self.active -= 1;
        self.credits += 1;
        self.waiting += 1;
    }

    /// Lets so many games be played at once from now on; the writer's credits follow. New slots are on the threads with the
    /// fewest, as slots go round the threads.
    pub(super) fn set_at_once(&mut self, slots: usize) {
        let before = std::mem::replace(&mut self.at_once, slots);
        let change = slots as i64 - before as i64;
        self.credits += CREDITS_PER_SLOT.cast_signed() * change;
        for free in &mut self.free {
            self.idle.append(&mut free.split_off(&slots));
        }
        // Those that were there before, and those that are new.
        let waiting = std::mem::take(&mut self.idle);
        waiting.into_iter().for_each(|slot| self.put(slot));
    }

    /// Slots below `slots` that should have no game, but have one.
    pub(super) fn crowded(&self, slots: usize) -> impl Iterator<Item = usize> {
        (self.at_once..slots).filter(|slot| !self.idle.contains(slot))
    }

    /// Whether the writer keeps slots free that would play.
    pub(super) fn starts(&self) -> Starts {
        let wanted =
            self.started && !self.draining && !self.is_exhausted() && self.free.iter().any(|free| !free.is_empty());
        match (wanted, self.held, self.credits) {
            (true, true, _) => Starts::Held,
            (true, false, ..=0) => Starts::NoCredits,
            _ => Starts::Free,
        }
    }

    /// A slot without a game.
    pub(super) fn put(&mut self, slot: usize) {
        let threads = self.free.len();
        if slot < self.at_once {
            self.free[slot % threads].insert(slot)
        } else {
            self.idle.insert(slot)
        };
    }

    fn is_exhausted(&self) -> bool {
        self.waiting == 0 && self.left == Some(0)
    }

    /// Whether nothing is in play and nothing will be.
    pub(super) fn is_done(&self) -> bool {
        self.active == 0 && (self.draining || self.is_exhausted())
    }
}
