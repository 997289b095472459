//! The games' supervisor: as many game actors as games are played at once, spread over threads, and the order in which games
//! start. A game starts only against a credit of the writer, so that finished games never pile up.
//!
//! How many are played at once may change meanwhile: slots are added, or give their games back, which wait until there is room.

mod change;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;

use crate::{
    account::Starts,
    cache::GamesInPlay,
    control::Control,
    game::{GameActor, GameEnd, PlayGame, ResumedGame, Room, SlotFree, SlotParked, SlotStopped, StopGame, Terms},
    health::{Escalation, ExitReason},
    stats::Stats,
    supervision::ChildGaveUp,
    writer::{Credit, HoldStarts},
};

/// A model is in service: games may start. Sent by the loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartGames;

/// No new games from now on. Sent by the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct DrainGames;

/// The games in play are given up now. Sent by the root; answered by [`GamesStopped`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopGames;

/// No game is in play any more, and every game that was finished is on its way to the writer. Sent to the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GamesStopped {
    /// Games that were in play or parked.
    pub unfinished: u64,
}

/// Play is changed from now on. Sent by the root.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "()")]
pub struct ChangeGames {
    /// Games at once, from 1; `None`: as many as before. Where there are more now, the others are parked.
    pub at_once: Option<usize>,
    /// What new games are played with.
    pub terms: Option<Terms>,
}

/// No game is in play and none will start. Sent to the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GamesDone {
    /// Games that were given up.
    pub abandoned: u64,
    /// Games that were parked, and stay so.
    pub parked: u64,
}

/// Credits of the writer for each game that is played at once: as many games may be finished and wait for the disk.
pub(crate) const CREDITS_PER_SLOT: u64 = 2;

/// Which games to play, and who may play now. Plain state: no actor.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Games that wait for a slot: of earlier processes, parked ones, and new ones that were given back.
    waiting: usize,
    next_index: u64,
    /// New games still to start; `None` without end.
    left: Option<u64>,
    /// Below 0 while more games are in play than should be.
    credits: i64,
    /// Games at once: slots from this number on get no more games.
    at_once: usize,
    /// Free slots per thread that may get a game.
    free: Vec<BTreeSet<usize>>,
    /// Free slots that may not.
    idle: BTreeSet<usize>,
    active: u64,
    abandoned: u64,
    started: bool,
    held: bool,
    draining: bool,
}

/// What a slot is to play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
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
    pub(crate) fn new(slots: usize, threads: usize, credits: u64, quota: Quota, resumable: usize) -> Self {
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
    pub(crate) fn threads(&self) -> usize {
        self.free.len()
    }

    /// The next game to start and its slot: on the thread with the fewest games in play.
    pub(crate) fn next(&mut self) -> Option<(usize, Next)> {
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

    pub(crate) fn slot_free(&mut self, slot: usize, end: &GameEnd) {
        self.put(slot);
        self.active -= 1;
        self.abandoned += u64::from(matches!(end, GameEnd::GivenUp(_)));
        if *end != GameEnd::Finished {
            self.credits += 1; // The writer will give none for it.
        }
    }

    /// A game left its slot, to wait.
    pub(crate) fn slot_parked(&mut self, slot: usize) {
        self.put(slot);
        self.active -= 1;
        self.credits += 1;
        self.waiting += 1;
    }

    /// Whether the writer keeps slots free that would play.
    pub(crate) fn starts(&self) -> Starts {
        let wanted =
            self.started && !self.draining && !self.is_exhausted() && self.free.iter().any(|free| !free.is_empty());
        match (wanted, self.held, self.credits) {
            (true, true, _) => Starts::Held,
            (true, false, ..=0) => Starts::NoCredits,
            _ => Starts::Free,
        }
    }

    /// A slot without a game.
    fn put(&mut self, slot: usize) {
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
    pub(crate) fn is_done(&self) -> bool {
        self.active == 0 && (self.draining || self.is_exhausted())
    }
}

/// Whom the games' supervisor tells.
#[derive(Clone)]
pub struct GamesAddresses {
    /// Hears once that nothing is left to play.
    pub done: Recipient<GamesDone>,
    /// Hears that all games have stopped.
    pub stopped: Recipient<GamesStopped>,
    /// Hears that too many games are given up.
    pub escalate: Recipient<ChildGaveUp>,
    /// Hears how many games are in play.
    pub in_play: Recipient<GamesInPlay>,
}

/// Starts the game actor of a slot, on the thread of this number; answers with its address.
pub type NewSlot<G> = Box<dyn FnMut(usize, usize) -> Addr<GameActor<G>>>;

/// What is played, to begin with.
pub struct GamesToPlay<G: Game> {
    /// Games at once.
    pub at_once: usize,
    /// Threads that slots are spread over: slot i lives on thread i % `threads`.
    pub threads: usize,
    /// How many games.
    pub quota: Quota,
    /// Games of earlier processes, which come first.
    pub resumable: Vec<ResumedGame<G>>,
    /// What they are played with; new ones until that is changed.
    pub terms: Terms,
    /// Tells slots whether they may play; for `at_once` of them.
    pub room: Arc<Room>,
}

/// Starts games in its slots while the writer has credits for them, and hears of each game that ends.
pub struct GamesSupervisor<G: Game> {
    actors: Vec<Addr<GameActor<G>>>,
    new_slot: NewSlot<G>,
    room: Arc<Room>,
    /// What new games are played with.
    terms: Terms,
    control: Arc<Control>,
    schedule: Schedule,
    /// Games that wait for a slot, in the order in which they get one.
    waiting: VecDeque<PlayGame<G>>,
    /// How many of them this process has begun.
    parked: u64,
    addresses: GamesAddresses,
    stats: Arc<Stats>,
    told: bool,
    /// Games in play, as the cache was told.
    told_active: usize,
    /// Slots that have not said yet that they stopped.
    stopping: Option<BTreeSet<usize>>,
    /// Games that the other slots had in play.
    unfinished: u64,
}

impl<G: Game> GamesSupervisor<G> {
    /// Starts the slots' actors; games start once there is a model.
    pub fn new(
        games: GamesToPlay<G>,
        mut new_slot: NewSlot<G>,
        control: Arc<Control>,
        addresses: GamesAddresses,
        stats: Arc<Stats>,
    ) -> Self {
        let GamesToPlay { at_once, threads, quota, resumable, terms, room } = games;
        let credits = CREDITS_PER_SLOT * at_once as u64;
        let schedule = Schedule::new(at_once, threads, credits, quota, resumable.len());
        let resumed = |game| PlayGame::Resumed { game: Box::new(game), terms: terms.clone() };
        let waiting = resumable.into_iter().map(resumed).collect();
        let actors = (0..at_once).map(|slot| new_slot(slot, slot % threads)).collect();
        Self {
            actors,
            new_slot,
            room,
            terms,
            control,
            schedule,
            waiting,
            parked: 0,
            addresses,
            stats,
            told: false,
            told_active: 0,
            stopping: None,
            unfinished: 0,
        }
    }

    /// Tells the root once no slot is left to stop.
    fn report_stopped(&self) {
        if self.stopping.as_ref().is_some_and(BTreeSet::is_empty) {
            self.addresses.stopped.do_send(GamesStopped { unfinished: self.unfinished + self.parked });
        }
    }

    fn count(&mut self) {
        let active = self.schedule.active as usize;
        if std::mem::replace(&mut self.told_active, active) != active {
            self.addresses.in_play.do_send(GamesInPlay(active));
        }
        let (slots, active) = (self.schedule.at_once as u64, self.schedule.active);
        self.stats.games_target.set_count(slots);
        self.stats.games_active.set_count(active);
        self.stats.games_parked.set_count(self.parked);
        self.stats.games_waiting.set_count(slots.saturating_sub(active));
        self.stats.writer_credits.set_count(self.schedule.credits);
    }

    fn go_on(&mut self) {
        while !self.control.is_paused()
            && let Some((slot, next)) = self.schedule.next()
        {
            let game = match next {
                Next::New(index) => PlayGame::New { index, terms: self.terms.clone() },
                Next::Waiting => match self.waiting.pop_front() {
                    Some(PlayGame::New { index, .. }) => PlayGame::New { index, terms: self.terms.clone() },
                    Some(game) => game,
                    None => continue, // The schedule counts them.
                },
            };
            self.parked -= u64::from(matches!(game, PlayGame::Parked { .. }));
            tracing::debug!(?next, slot, "game starts");
            self.actors[slot].do_send(game);
        }
        self.count();
        self.stats.accounts.set_starts(self.schedule.starts());
        if self.schedule.is_done() && !self.told {
            self.told = true;
            self.addresses.done.do_send(GamesDone { abandoned: self.schedule.abandoned, parked: self.parked });
        }
    }
}

impl<G: Game> Actor for GamesSupervisor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for GamesSupervisor<G> {
    /// The message that it panicked over may have changed the number of games.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.make_room();
    }
}

impl<G: Game> Handler<StartGames> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, StartGames: StartGames, _: &mut Self::Context) {
        self.schedule.started = true;
        self.go_on();
    }
}

impl<G: Game> Handler<DrainGames> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, DrainGames: DrainGames, _: &mut Self::Context) {
        self.schedule.draining = true;
        self.make_room();
        self.go_on();
    }
}

impl<G: Game> Handler<HoldStarts> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, HoldStarts(held): HoldStarts, _: &mut Self::Context) {
        self.schedule.held = held;
        self.go_on();
    }
}

impl<G: Game> Handler<StopGames> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, StopGames: StopGames, ctx: &mut Self::Context) {
        self.schedule.draining = true;
        self.room.set(0, false);
        // A slot that is gone for good would never answer.
        let slots = self.actors.iter().enumerate().filter(|(_, actor)| actor.connected());
        self.stopping = Some(slots.clone().map(|(slot, _)| slot).collect());
        for (_, actor) in slots {
            actor.do_send(StopGame { reply: ctx.address().recipient() });
        }
        self.report_stopped();
    }
}

impl<G: Game> Handler<SlotStopped> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, SlotStopped { slot, unfinished }: SlotStopped, _: &mut Self::Context) {
        if self.stopping.as_mut().is_some_and(|slots| slots.remove(&slot)) {
            self.unfinished += u64::from(unfinished);
            self.report_stopped();
        }
    }
}

impl<G: Game> Handler<Credit> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, Credit: Credit, _: &mut Self::Context) {
        self.schedule.credits += 1;
        self.go_on();
    }
}

impl<G: Game> Handler<SlotParked<G>> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, SlotParked { slot, game }: SlotParked<G>, _: &mut Self::Context) {
        self.schedule.slot_parked(slot);
        self.parked += u64::from(matches!(game, PlayGame::Parked { .. }));
        self.waiting.push_back(game);
        self.go_on();
    }
}

impl<G: Game> Handler<SlotFree> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, free: SlotFree, _: &mut Self::Context) {
        self.schedule.slot_free(free.slot, &free.end);
        if let GameEnd::GivenUp(last) = free.end {
            // One lost game may be chance; when every game fails, only a restart of the process can help.
            if self.schedule.abandoned > self.actors.len() as u64 {
                let reason = format!("play: {} games given up, the last: {last}", self.schedule.abandoned);
                self.addresses.escalate.do_send(ChildGaveUp {
                    child: "games".into(),
                    escalation: Escalation::Ends,
                    reason: ExitReason::Failed(reason),
                });
            }
        }
        self.go_on();
    }
}

#[cfg(test)]
mod tests;
