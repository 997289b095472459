//! The games' supervisor: as many game actors as games are played at once, spread over threads, and the order in which games
//! start. A game starts only against a credit of the writer, so that finished games never pile up.
//!
//! How many are played at once may change meanwhile: slots are added, or give their games back, which wait until there is room.

mod resigning;
mod schedule;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::{Game, selfplay::NEVER_RESIGNS};

use self::resigning::Resigning;
pub use self::schedule::Quota;
use self::schedule::{CREDITS_PER_SLOT, Next, Schedule};
use crate::{
    cache::GamesInPlay,
    control::{Control, PlayResumed},
    game::{
        GameActor, GameEnd, ParkGame, PlayGame, ResumedGame, Room, SlotFree, SlotParked, SlotStopped, StopGame, Terms,
    },
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
    resigning: Resigning,
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
        let resumed = |game: ResumedGame<G>| {
            let resign_below = game.resign_below.unwrap_or(NEVER_RESIGNS);
            PlayGame::Resumed { game: Box::new(game), terms: Terms { resign_below, ..terms.clone() } }
        };
        let waiting = resumable.into_iter().map(resumed).collect();
        let actors = (0..at_once).map(|slot| new_slot(slot, slot % threads)).collect();
        Self {
            actors,
            new_slot,
            room,
            terms,
            control,
            schedule,
            resigning: Resigning::default(),
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
                Next::New(index) => PlayGame::New { index, terms: self.terms_now() },
                Next::Waiting => match self.waiting.pop_front() {
                    Some(PlayGame::New { index, .. }) => PlayGame::New { index, terms: self.terms_now() },
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

    /// What a game is played with that begins now.
    fn terms_now(&self) -> Terms {
        let resign = self.terms.settings.resign;
        let resign_below = resign.map_or(NEVER_RESIGNS, |resign| self.resigning.threshold(resign.most_wrong));
        Terms { resign_below, ..self.terms.clone() }
    }

    fn set_at_once(&mut self, slots: usize) {
        let threads = self.schedule.threads();
        self.schedule.set_at_once(slots);
        for slot in self.actors.len()..slots {
            self.actors.push((self.new_slot)(slot, slot % threads));
            self.schedule.put(slot);
        }
        self.make_room();
    }

    /// Has slots give back what there is no room for: games that have not begun where none may, and games in play of which
    /// there are too many.
    fn make_room(&self) {
        if self.stopping.is_none() {
            self.room.set(self.schedule.at_once, !self.schedule.draining);
            self.schedule.crowded(self.actors.len()).for_each(|slot| self.actors[slot].do_send(ParkGame));
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
        free.lowest_unbeaten.into_iter().for_each(|lowest| self.resigning.learn(lowest));
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

impl<G: Game> Handler<PlayResumed> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, PlayResumed: PlayResumed, _: &mut Self::Context) {
        self.go_on();
    }
}

impl<G: Game> Handler<ChangeGames> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, ChangeGames { at_once, terms }: ChangeGames, _: &mut Self::Context) {
        if let Some(terms) = terms {
            self.terms = terms;
        }
        // While it stops, a new slot would not be told to.
        if let Some(slots) = at_once.filter(|_| self.stopping.is_none()) {
            self.set_at_once(slots.max(1));
        }
        self.go_on();
    }
}
