//! A game actor: plays one game after another in its slot, with at most one request for evaluations out.

#[cfg(test)]
mod tests;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::{
    Game, Leaf,
    replay::{GameRecord, PlyRecord},
    search::SpareTree,
    selfplay::{PlaySettings, Progress, SelfPlayGame},
};

use crate::{
    stats::Stats,
    ticket::{Evaluated, Lookup, Reply, Ticket, TicketError},
    writer::GameFinished,
};

/// How often a request is asked again before its game is given up, and how often a game may be resumed after a panic.
const MOST_RETRIES: u32 = 12;
const MOST_RESUMES: u32 = 3;
const FIRST_RETRY_WAIT: Duration = Duration::from_millis(5);
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(2);

/// Starts a game in a free slot. Sent by the games' supervisor, which hears [`SlotFree`] when the game is over.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct PlayGame {
    /// Number of the game: with the seed it fixes all its randomness.
    pub index: u64,
}

/// A slot has nothing to play. Sent by its game actor to the games' supervisor.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SlotFree {
    /// The slot.
    pub slot: usize,
    /// Number of the game that ended.
    pub index: u64,
    /// Whether it was finished and handed to the writer; else it was given up.
    pub finished: bool,
    /// Why it was given up; empty when it was finished.
    pub reason: String,
}

/// What every game of a process is played with.
pub struct GamePlan<G: Game> {
    /// The rules.
    pub game: G,
    /// The agents' settings.
    pub settings: Arc<PlaySettings>,
    /// The process's seed.
    pub seed: u64,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Whom to tell of every finished ply, for traces.
    pub on_ply: Option<PlyHook<G>>,
}

/// Called with the number of a game and all its plies so far, after each ply.
pub type PlyHook<G> = Arc<dyn Fn(u64, &[PlyRecord<G>]) + Send + Sync>;

impl<G: Game> Clone for GamePlan<G> {
    fn clone(&self) -> Self {
        Self {
            game: self.game.clone(),
            settings: self.settings.clone(),
            seed: self.seed,
            stats: self.stats.clone(),
            on_ply: self.on_ply.clone(),
        }
    }
}

/// Where a game actor sends its mail.
pub struct GameAddresses<G: Game> {
    /// Evaluations.
    pub cache: Recipient<Lookup<G>>,
    /// Finished games.
    pub writer: Recipient<GameFinished<G>>,
    /// Free slots.
    pub supervisor: Recipient<SlotFree>,
}

impl<G: Game> Clone for GameAddresses<G> {
    fn clone(&self) -> Self {
        Self { cache: self.cache.clone(), writer: self.writer.clone(), supervisor: self.supervisor.clone() }
    }
}

/// The game a slot was told to play; outlives panics, of its very first steps too.
#[derive(Default)]
struct Assigned {
    index: u64,
    resumes: u32,
    /// Plies already traced.
    traced: usize,
}

/// The game in play.
struct Playing<G: Game> {
    game: SelfPlayGame<G>,
    /// Leaves of the request that is out.
    asked: Vec<Leaf<G>>,
    retries: u32,
    /// Simulations already counted.
    counted: u64,
}

/// See the module.
pub struct GameActor<G: Game> {
    slot: usize,
    plan: GamePlan<G>,
    addresses: GameAddresses<G>,
    /// Shared by the games of a thread.
    spare: Rc<RefCell<SpareTree<G>>>,
    own: Recipient<Evaluated>,
    ticket: Ticket,
    assigned: Option<Assigned>,
    playing: Option<Playing<G>>,
}

impl<G: Game> GameActor<G> {
    /// A slot without a game. `own` is its own address; `spare` belongs to the thread it runs on.
    pub fn new(
        slot: usize,
        plan: GamePlan<G>,
        addresses: GameAddresses<G>,
        spare: Rc<RefCell<SpareTree<G>>>,
        own: &Addr<Self>,
    ) -> Self {
        Self { slot, plan, addresses, spare, own: own.clone().recipient(), ticket: 0, assigned: None, playing: None }
    }

    fn begin(&mut self, index: u64) {
        self.plan.stats.games_started.add(1);
        self.assigned = Some(Assigned { index, ..Assigned::default() });
        self.play_on_from(index, Vec::new(), None);
    }

    /// Plays game `index` on from its first `plies`.
    fn play_on_from(&mut self, index: u64, plies: Vec<PlyRecord<G>>, first_version: Option<i64>) {
        let GamePlan { game, settings, seed, .. } = &self.plan;
        let game = SelfPlayGame::resume(game.clone(), settings.clone(), *seed, index, plies, first_version);
        self.playing = Some(Playing { game, asked: Vec::new(), retries: 0, counted: 0 });
        self.go_on();
    }

    /// Plays until evaluations are needed or the game is over.
    fn go_on(&mut self) {
        crate::faults::hit(crate::faults::Point::Game);
        let Some(playing) = &mut self.playing else { return };
        playing.asked.clear();
        let progress = playing.game.advance(&mut playing.asked, &mut self.spare.borrow_mut());
        let total = playing.game.counts().total();
        self.plan.stats.simulations.add(total - playing.counted);
        playing.counted = total;
        if let (Some(hook), Some(assigned)) = (&self.plan.on_ply, &mut self.assigned) {
            assigned.trace(
                hook,
                match &progress {
                    Progress::Leaves => playing.game.plies(),
                    Progress::Finished(record) => &record.plies,
                },
            );
        }
        match progress {
            Progress::Leaves => self.ask(),
            Progress::Finished(record) => self.finish(record),
        }
    }

    fn ask(&mut self) {
        let Some(playing) = &self.playing else { return };
        self.ticket += 1;
        let reply = Reply::new(self.own.clone(), self.ticket);
        self.addresses.cache.do_send(Lookup { leaves: playing.asked.clone(), reply });
    }

    fn finish(&mut self, record: GameRecord<G>) {
        self.plan.stats.games_finished.add(1);
        self.plan.stats.plies.add(record.plies.len() as u64);
        self.addresses.writer.do_send(GameFinished(record));
        self.leave(true, String::new());
    }

    fn give_up(&mut self, reason: String) {
        self.plan.stats.games_abandoned.add(1);
        self.leave(false, reason);
    }

    fn leave(&mut self, finished: bool, reason: String) {
        self.playing = None;
        if let Some(Assigned { index, .. }) = self.assigned.take() {
            self.addresses.supervisor.do_send(SlotFree { slot: self.slot, index, finished, reason });
        }
    }

    /// Asks again after a wait that doubles, or gives the game up.
    fn retry(&mut self, error: &TicketError, ctx: &mut Context<Self>) {
        let Some(playing) = &mut self.playing else { return };
        if playing.retries == MOST_RETRIES {
            return self.give_up(format!("asked {MOST_RETRIES} times: failed to {error}"));
        }
        let wait = FIRST_RETRY_WAIT.saturating_mul(1 << playing.retries).min(LONGEST_RETRY_WAIT);
        playing.retries += 1;
        self.plan.stats.retries.add(1);
        ctx.run_later(wait, |actor, _| actor.ask());
    }

    /// Rebuilds the game of a panicked actor from its completed plies.
    fn resume(&mut self) {
        let Some(assigned) = &mut self.assigned else { return };
        assigned.resumes += 1;
        if assigned.resumes > MOST_RESUMES {
            return self.give_up(format!("panicked again after {MOST_RESUMES} resumptions"));
        }
        let index = assigned.index;
        let played = self.playing.as_ref().map(|playing| &playing.game);
        let plies = played.map(|game| game.plies().to_vec()).unwrap_or_default();
        let first_version = played.and_then(SelfPlayGame::first_version);
        self.play_on_from(index, plies, first_version);
    }
}

impl Assigned {
    /// Tells `hook` of every ply it has not heard of.
    fn trace<G: Game>(&mut self, hook: &PlyHook<G>, plies: &[PlyRecord<G>]) {
        while self.traced < plies.len() {
            self.traced += 1;
            hook(self.index, &plies[..self.traced]);
        }
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

impl<G: Game> Handler<PlayGame> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, PlayGame { index }: PlayGame, _: &mut Self::Context) {
        self.begin(index);
    }
}

impl<G: Game> Handler<Evaluated> for GameActor<G> {
    type Result = ();

    fn handle(&mut self, Evaluated { ticket, outcome }: Evaluated, ctx: &mut Self::Context) {
        if ticket != self.ticket {
            return; // Of a request asked before a restart.
        }
        match outcome {
            Ok(answer) => {
                if let Some(playing) = &mut self.playing {
                    playing.retries = 0;
                    let generation = answer.generation;
                    playing.game.apply(&answer.evaluations, generation.number, generation.version);
                }
                self.go_on();
            }
            Err(error) => self.retry(&error, ctx),
        }
    }
}
