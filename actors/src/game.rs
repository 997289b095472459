//! A game actor: plays one game after another in its slot, with at most one request for evaluations out.

mod asking_again;
mod assigned;
mod hook;
mod meter;
mod parking;
mod room;
#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use actix::{Actor, Addr, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::{
    Game, Leaf, Outcome,
    journal::{Journal, JournalNumber},
    replay::{GameRecord, PlyRecord},
    search::SpareTree,
    selfplay::{EarlyEnds, PlaySettings, Progress, SelfPlayGame},
    solve::Adjudicator,
};

use self::assigned::Assigned;
pub use self::hook::{GameHook, GameKey, GameNews, both, each_ply};
pub(crate) use self::meter::{ENDLESS_PLIES, Meter};
pub use self::parking::{ParkGame, SlotParked};
pub use self::room::Room;
use crate::{
    account,
    cache::NearbyCache,
    stats::Stats,
    ticket::{Evaluated, Lookup, Reply, Ticket, TicketError},
    writer::{KeepRejected, WriteGame},
};

/// How often a game may be resumed after a panic.
const MOST_RESUMES: u32 = 3;

/// Starts a game in a free slot. Sent by the games' supervisor, which hears [`SlotFree`] when the game is over, or
/// [`SlotParked`] where there is no room for it (any more).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum PlayGame<G: Game> {
    /// A new game with this number: with the seed it fixes all its randomness.
    New {
        /// The number.
        index: u64,
        /// What it is played with.
        terms: Terms,
    },
    /// A game that an earlier process began.
    Resumed {
        /// The game.
        game: Box<ResumedGame<G>>,
        /// What it was begun with and goes on with.
        terms: Terms,
    },
    /// A game that this process began and then parked.
    Parked {
        /// The game.
        game: Box<ResumedGame<G>>,
        /// What it was begun with and goes on with.
        terms: Terms,
    },
}

/// What a game is played with, from its first ply to its last.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The agents' settings.
    pub settings: Arc<PlaySettings>,
    /// Hash of the settings that determine games, recorded with the game.
    pub hash: Arc<str>,
    /// Where the settings let players resign: the value below which they do. The games' supervisor finds it for each new game.
    pub resign_below: f32,
}

/// A game that was begun earlier, up to its last completed ply.
#[derive(Debug)]
pub struct ResumedGame<G: Game> {
    /// Its number in our journal, which holds it already.
    pub number: JournalNumber,
    /// The seed of the process that began it.
    pub seed: u64,
    /// Its number under that seed.
    pub index: u64,
    /// Version of the model that served when it began; `None` before its first evaluation.
    pub first_version: Option<i64>,
    /// The value below which its players resign, where that was fixed when it began.
    pub resign_below: Option<f32>,
    /// What was played.
    pub plies: Vec<PlyRecord<G>>,
}

/// A slot has nothing to play. Sent by its game actor to the games' supervisor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SlotFree {
    /// The slot.
    pub slot: usize,
    /// Number of the game that ended.
    pub index: u64,
    /// How it ended.
    pub end: GameEnd,
    /// Of a finished game in which no player could resign: the least that one saw who did not lose.
    pub lowest_unbeaten: Option<f32>,
}

/// How a game left its slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GameEnd {
    /// Over, and handed to the writer.
    Finished,
    /// Set aside: the network answered one of its positions with nonsense twice.
    Rejected,
    /// Given up after repeated failures, for this reason.
    GivenUp(String),
}

/// Leave the game in play as it is. Sent by the games' supervisor; answered by [`SlotStopped`], which follows the game's
/// [`WriteGame`] if it was over by then.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopGame {
    /// Where the answer goes.
    pub reply: Recipient<SlotStopped>,
}

/// A slot plays nothing any more. Sent by its game actor to the games' supervisor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SlotStopped {
    /// The slot.
    pub slot: usize,
    /// Whether a game was in play.
    pub unfinished: bool,
}

/// What every game of a process is played with.
pub struct GamePlan<G: Game> {
    /// The rules.
    pub game: G,
    /// Ends games where it knows the result.
    pub adjudicator: Option<Arc<dyn Adjudicator<G>>>,
    /// What games are played with, unless that is changed while they are.
    pub terms: Terms,
    /// The process's seed.
    pub seed: u64,
    /// Keeps every ply, so that games outlive the process.
    pub journal: Journal,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Who watches the games.
    pub hook: Option<GameHook<G>>,
    /// Set where memory is scarce: games then give back after each move what their trees do not need.
    pub thrifty: Arc<AtomicBool>,
}

impl<G: Game> Clone for GamePlan<G> {
    fn clone(&self) -> Self {
        Self {
            game: self.game.clone(),
            adjudicator: self.adjudicator.clone(),
            terms: self.terms.clone(),
            seed: self.seed,
            journal: self.journal.clone(),
            stats: self.stats.clone(),
            hook: self.hook.clone(),
            thrifty: self.thrifty.clone(),
        }
    }
}

/// Where a game actor sends its mail.
pub struct GameAddresses<G: Game> {
    /// Evaluations.
    pub cache: Recipient<Lookup<G>>,
    /// Finished games.
    pub writer: Recipient<WriteGame<G>>,
    /// Games set aside.
    pub rejects: Recipient<KeepRejected<G>>,
    /// Free slots.
    pub supervisor: Recipient<SlotFree>,
    /// Games given back.
    pub parked: Recipient<SlotParked<G>>,
    /// Which slots may play.
    pub room: Arc<Room>,
}

impl<G: Game> Clone for GameAddresses<G> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            writer: self.writer.clone(),
            rejects: self.rejects.clone(),
            supervisor: self.supervisor.clone(),
            parked: self.parked.clone(),
            room: self.room.clone(),
        }
    }
}

/// What the games of one thread share.
pub struct GameThread<G: Game> {
    /// Through it a game copies the subtree that it keeps.
    pub spare: RefCell<SpareTree<G>>,
    /// The cache, where it lives on this thread.
    pub cache: Option<NearbyCache<G>>,
    /// Requests in a row that a game takes from that cache before the other games have their turn.
    pub most_at_hand: usize,
}

impl<G: Game> GameThread<G> {
    /// `cache`: that of this thread, if it has one.
    #[must_use]
    pub fn new(cache: Option<NearbyCache<G>>) -> Self {
        /// About a millisecond.
        const MOST_AT_HAND: usize = 256;
        Self { spare: RefCell::default(), cache, most_at_hand: MOST_AT_HAND }
    }
}

/// The game in play.
struct Playing<G: Game> {
    game: SelfPlayGame<G>,
    /// Leaves of the request that is out.
    asked: Vec<Leaf<G>>,
    retries: u32,
    /// The model that answered this request with nonsense once already.
    nonsense: Option<u64>,
    meter: Meter,
}

/// Plays one game after another: searches, asks for evaluations, chooses moves, and hands finished games to the writer.
pub struct GameActor<G: Game> {
    slot: usize,
    plan: GamePlan<G>,
    addresses: GameAddresses<G>,
    thread: Rc<GameThread<G>>,
    own: Recipient<Evaluated>,
    ticket: Ticket,
    assigned: Option<Assigned<G>>,
    playing: Option<Playing<G>>,
}

impl<G: Game> GameActor<G> {
    /// A slot without a game. `own` is its own address; `thread` belongs to the thread it runs on.
    pub fn new(
        slot: usize,
        plan: GamePlan<G>,
        addresses: GameAddresses<G>,
        thread: Rc<GameThread<G>>,
        own: &Addr<Self>,
    ) -> Self {
        Self { slot, plan, addresses, thread, own: own.clone().recipient(), ticket: 0, assigned: None, playing: None }
    }

    fn begin(&mut self, game: PlayGame<G>) {
        let GamePlan { seed, journal, stats, .. } = &self.plan;
        stats.games_started.add(u64::from(!matches!(game, PlayGame::Parked { .. })));
        stats.games_resumed.add(u64::from(matches!(game, PlayGame::Resumed { .. })));
        let begun = Instant::now();
        let assigned = match game {
            PlayGame::New { index, terms } => {
                let (seed, number) = (*seed, journal.begin_with(*seed, index, &terms.hash));
                if terms.settings.resign.is_some() {
                    journal.resigning(number, terms.resign_below);
                }
                tracing::debug!(seed, game = index, "game begun");
                Assigned {
                    number,
                    seed,
                    index,
                    terms,
                    plies: Vec::new(),
                    first_version: None,
                    resumes: 0,
                    noted: 0,
                    begun,
                }
            }
            PlayGame::Resumed { game, terms } | PlayGame::Parked { game, terms } => {
                let ResumedGame { number, seed, index, first_version, plies, .. } = *game;
                tracing::debug!(seed, game = index, plies = plies.len(), "game resumed");
                Assigned { number, seed, index, terms, noted: plies.len(), plies, first_version, resumes: 0, begun }
            }
        };
        let (plies, first_version) = (assigned.plies.clone(), assigned.first_version);
        self.assigned.insert(assigned).tell(&self.plan, self.slot, GameNews::Begun(&plies));
        account::game_begins();
        self.play_on_from(plies, first_version);
    }

    /// Plays the assigned game on from its first `plies`.
    fn play_on_from(&mut self, plies: Vec<PlyRecord<G>>, first_version: Option<i64>) {
        let Some(&Assigned { seed, index, ref terms, .. }) = self.assigned.as_ref() else { return };
        let game = self.plan.game.clone();
        let game = SelfPlayGame::resume(game, terms.settings.clone(), seed, index, plies, first_version);
        let ends = EarlyEnds { adjudicator: self.plan.adjudicator.clone(), resign_below: terms.resign_below };
        let (game, meter) = (game.ending_by(ends), Meter::new(&self.plan.stats));
        self.playing = Some(Playing { game, asked: Vec::new(), retries: 0, nonsense: None, meter });
        self.go_on();
    }

    /// Plays until evaluations are needed that the cache does not have at hand, or the game is over.
    fn go_on(&mut self) {
        let mut left = self.thread.most_at_hand;
        loop {
            match self.advance() {
                // Else the other games of this thread come first: it goes on when the cache answers.
                Some(Progress::Leaves) if left > 0 && self.take_known() => left -= 1,
                Some(Progress::Leaves) => return self.ask(),
                Some(Progress::Finished(record)) => return self.finish(record),
                None => return,
            }
        }
    }

    /// Goes on with the evaluations of the leaves at hand if the cache lives on this thread and knows all of them.
    fn take_known(&mut self) -> bool {
        let (Some(playing), Some(cache)) = (&mut self.playing, &self.thread.cache) else { return false };
        let Playing { game, asked, meter, .. } = playing;
        cache.take_known(asked, |evaluations, generation| {
            meter.found(asked.len());
            game.apply(evaluations, generation.number, generation.version);
            meter.applied();
        })
    }

    /// Plays until evaluations are needed, which [`Playing::asked`] then holds, or the game is over.
    fn advance(&mut self) -> Option<Progress<G>> {
        crate::faults::hit(crate::faults::Point::Game);
        let playing = self.playing.as_mut()?;
        playing.asked.clear();
        let progress = playing.game.advance(&mut playing.asked, &mut self.thread.spare.borrow_mut());
        if let Some(assigned) = &mut self.assigned {
            if self.plan.thrifty.load(Relaxed) && playing.game.plies().len() > assigned.noted {
                playing.game.shrink();
            }
            playing.count(&progress, assigned.noted);
            match &progress {
                Progress::Leaves => {
                    assigned.note(&self.plan, self.slot, playing.game.plies(), playing.game.first_version())
                }
                Progress::Finished(record) => {
                    assigned.note(&self.plan, self.slot, &record.plies, Some(record.model_version))
                }
            }
        }
        Some(progress)
    }

    fn ask(&mut self) {
        let Some(playing) = &mut self.playing else { return };
        playing.meter.asked();
        self.ticket += 1;
        let reply = Reply::new(self.own.clone(), self.ticket);
        self.addresses.cache.do_send(Lookup { leaves: playing.asked.clone(), reply });
    }

    fn finish(&mut self, record: GameRecord<G>) {
        let outcome = record.outcome;
        let played_on = record.resign.is_some_and(|resign| resign.no_resign);
        let lowest_unbeaten = played_on.then(|| record.lowest_unbeaten());
        if let Some(Assigned { number, begun, terms, .. }) = &self.assigned {
            self.plan.stats.count_finished(&record, *begun);
            let (number, settings_hash) = (*number, terms.hash.clone());
            self.addresses.writer.do_send(WriteGame { number, record, settings_hash });
        }
        self.leave(GameEnd::Finished, Some(outcome), lowest_unbeaten);
    }

    fn give_up(&mut self, reason: String) {
        self.plan.stats.games_abandoned.add(1);
        if let Some(&Assigned { number, seed, index, .. }) = self.assigned.as_ref() {
            self.plan.journal.end(number);
            tracing::error!(seed, game = index, reason, "game given up");
        }
        self.leave(GameEnd::GivenUp(reason), None, None);
    }

    fn leave(&mut self, end: GameEnd, outcome: Option<Outcome>, lowest_unbeaten: Option<f32>) {
        self.playing = None;
        if let Some(assigned) = self.assigned.take() {
            account::game_ends();
            let (slot, index) = (self.slot, assigned.index);
            self.addresses.supervisor.do_send(SlotFree { slot, index, end, lowest_unbeaten });
            assigned.tell(&self.plan, self.slot, GameNews::Over(outcome));
        }
    }

    /// Rebuilds the game of a panicked actor from its completed plies.
    fn resume(&mut self) {
        let Some(assigned) = &mut self.assigned else { return };
        assigned.resumes += 1;
        if assigned.resumes > MOST_RESUMES {
            return self.give_up(format!("panicked again after {MOST_RESUMES} resumptions"));
        }
        let (plies, first_version) = match &self.playing {
            Some(Playing { game, .. }) => (game.plies().to_vec(), game.first_version()),
            None => (assigned.plies.clone(), assigned.first_version), // It panicked in its very first steps.
        };
        self.play_on_from(plies, first_version);
    }
}

impl<G: Game> Playing<G> {
    /// Counts what its last step did; `before` plies were counted by then.
    fn count(&mut self, progress: &Progress<G>, before: usize) {
        self.meter.advanced(&mut self.game, self.asked.len());
        let plies = match progress {
            Progress::Leaves => self.game.plies(),
            Progress::Finished(record) => &record.plies,
        };
        (before + 1..).zip(plies.iter().skip(before)).for_each(|(number, ply)| self.meter.played(number, ply));
    }
}

impl<G: Game> Actor for GameActor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for GameActor<G> {
    /// Goes on from the last completed ply; the answer to a request that was out is ignored when it comes.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.ticket += 1;
        self.resume();
    }
}

impl<G: Game> Handler<PlayGame<G>> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, game: PlayGame<G>, _: &mut Self::Context) {
        if self.addresses.room.starts(self.slot) { self.begin(game) } else { self.give_back(game) }
    }
}

impl<G: Game> Handler<StopGame> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, StopGame { reply }: StopGame, _: &mut Self::Context) {
        self.playing = None;
        let assigned = self.assigned.take();
        reply.do_send(SlotStopped { slot: self.slot, unfinished: assigned.is_some() });
        if let Some(assigned) = assigned {
            account::game_ends();
            assigned.tell(&self.plan, self.slot, GameNews::Over(None));
        }
    }
}

impl<G: Game> Handler<Evaluated> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, Evaluated { ticket, outcome, origins }: Evaluated, ctx: &mut Self::Context) {
        // Of a request asked before a restart, or for a game that is about to leave.
        if ticket != self.ticket || !self.addresses.room.plays(self.slot) {
            return;
        }
        if let Some(playing) = &mut self.playing {
            playing.meter.answered();
        }
        match outcome {
            Ok(answer) => {
                if let Some(playing) = &mut self.playing {
                    playing.retries = 0;
                    playing.nonsense = None;
                    playing.meter.evaluated(origins);
                    let generation = answer.generation;
                    playing.game.apply(&answer.evaluations, generation.number, generation.version);
                    playing.meter.applied();
                }
                self.go_on();
            }
            Err(TicketError::NonFinite(flaw)) => self.doubt(flaw, ctx),
            Err(error) => self.retry(&error, ctx),
        }
    }
}
