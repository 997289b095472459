//! The games' supervisor: as many game actors as games are played at once, spread over threads, and the order in which games
//! start. A game starts only against a credit of the writer, so that finished games never pile up.
//!
//! How many are played at once may change meanwhile: slots are added, or are left empty once their game is over.

mod change;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;

use crate::{
    account::Starts,
    control::Control,
    game::{GameActor, GameEnd, PlayGame, ResumedGame, SlotFree, SlotStopped, StopGame, Terms},
    health::ExitReason,
    stats::Stats,
    supervision::ChildGaveUp,
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
    /// Games that were in play.
    pub unfinished: u64,
}

/// One game is safe on disk: another may start. Sent by the writer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Credit;

/// Whether games may start: not while the disk has too little room. Sent by the writer when that changes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HoldStarts(pub bool);

/// Play is changed from now on. Sent by the root.
#[derive(Clone, Debug, Default, Message)]
#[rtype(result = "()")]
pub struct ChangeGames {
    /// Games at once, from 1; `None`: as many as before. Where there are more now, they are played to their end.
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
}

/// Credits of the writer for each game that is played at once: as many games may be finished and wait for the disk.
pub(crate) const CREDITS_PER_SLOT: u64 = 2;

/// Which games to play, and who may play now. Plain state: no actor.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Games of earlier processes that wait for a slot.
    resumable: usize,
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
    Resumed,
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
            resumable,
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
        if self.resumable > 0 {
            self.resumable -= 1;
            return Some((slot, Next::Resumed));
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
        self.resumable == 0 && self.left == Some(0)
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
}

/// See the module.
pub struct GamesSupervisor<G: Game> {
    actors: Vec<Addr<GameActor<G>>>,
    new_slot: NewSlot<G>,
    /// What games of earlier processes go on with.
    first_terms: Terms,
    /// What new games are played with.
    terms: Terms,
    control: Arc<Control>,
    schedule: Schedule,
    resumable: VecDeque<ResumedGame<G>>,
    addresses: GamesAddresses,
    stats: Arc<Stats>,
    told: bool,
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
        let GamesToPlay { at_once, threads, quota, resumable, terms } = games;
        let credits = CREDITS_PER_SLOT * at_once as u64;
        let schedule = Schedule::new(at_once, threads, credits, quota, resumable.len());
        let actors = (0..at_once).map(|slot| new_slot(slot, slot % threads)).collect();
        Self {
            actors,
            new_slot,
            first_terms: terms.clone(),
            terms,
            control,
            schedule,
            resumable: resumable.into(),
            addresses,
            stats,
            told: false,
            stopping: None,
            unfinished: 0,
        }
    }

    /// Tells the root once no slot is left to stop.
    fn report_stopped(&self) {
        if self.stopping.as_ref().is_some_and(BTreeSet::is_empty) {
            self.addresses.stopped.do_send(GamesStopped { unfinished: self.unfinished });
        }
    }

    fn count(&self) {
        let (slots, active) = (self.schedule.at_once as u64, self.schedule.active);
        self.stats.games_target.set_count(slots);
        self.stats.games_active.set_count(active);
        self.stats.games_waiting.set_count(slots.saturating_sub(active));
        self.stats.writer_credits.set_count(self.schedule.credits);
    }

    fn go_on(&mut self) {
        while !self.control.is_paused()
            && let Some((slot, next)) = self.schedule.next()
        {
            let game = match next {
                Next::New(index) => PlayGame::New { index, terms: self.terms.clone() },
                Next::Resumed => match self.resumable.pop_front() {
                    Some(game) => PlayGame::Resumed { game: Box::new(game), terms: self.first_terms.clone() },
                    None => continue, // The schedule counts them.
                },
            };
            tracing::debug!(?next, slot, "game starts");
            self.actors[slot].do_send(game);
        }
        self.count();
        self.stats.accounts.set_starts(self.schedule.starts());
        if self.schedule.is_done() && !self.told {
            self.told = true;
            self.addresses.done.do_send(GamesDone { abandoned: self.schedule.abandoned });
        }
    }
}

impl<G: Game> Actor for GamesSupervisor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for GamesSupervisor<G> {}

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

impl<G: Game> Handler<SlotFree> for GamesSupervisor<G> {
    type Result = ();

    fn handle(&mut self, free: SlotFree, _: &mut Self::Context) {
        self.schedule.slot_free(free.slot, &free.end);
        if let GameEnd::GivenUp(last) = free.end {
            // One lost game may be chance; when every game fails, only a restart of the process can help.
            if self.schedule.abandoned > self.actors.len() as u64 {
                let reason = format!("play: {} games given up, the last: {last}", self.schedule.abandoned);
                self.addresses
                    .escalate
                    .do_send(ChildGaveUp { child: "games".into(), reason: ExitReason::Failed(reason) });
            }
        }
        self.go_on();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use selfplay_engine::selfplay::Agent;

    use super::*;
    use crate::{
        supervision::{Mailbox, mailbox},
        testing::{Inbox, Numbers, play, play_settings},
    };

    pub(super) fn started(slots: usize, threads: usize, credits: u64, limit: Option<u64>) -> Schedule {
        let quota = Quota { first_index: 0, limit };
        Schedule { started: true, ..Schedule::new(slots, threads, credits, quota, 0) }
    }

    /// `at_once` games at once on one thread, up to `limit`.
    pub(super) fn to_play(at_once: usize, limit: Option<u64>) -> GamesToPlay<Numbers> {
        let quota = Quota { first_index: 0, limit };
        GamesToPlay { at_once, threads: 1, quota, resumable: Vec::new(), terms: terms("first") }
    }

    pub(super) fn terms(hash: &str) -> Terms {
        Terms { settings: Arc::new(play_settings(2, Agent::Search)), hash: hash.into() }
    }

    /// The mail of slots whose actors are played by the test, and the threads they were put on.
    #[derive(Clone, Default)]
    pub(super) struct Slots(pub(super) Rc<RefCell<Vec<Slot>>>);

    /// The thread that it is on, and its mail.
    type Slot = (usize, Mailbox<GameActor<Numbers>>);

    impl Slots {
        pub(super) fn factory(&self) -> NewSlot<Numbers> {
            let slots = self.0.clone();
            Box::new(move |slot, thread| {
                let (address, mailbox) = mailbox();
                let mut slots = slots.borrow_mut();
                assert_eq!(slots.len(), slot, "slots are numbered as they come");
                slots.push((thread, mailbox));
                address
            })
        }
    }

    const OVER: GameEnd = GameEnd::Finished;

    fn lost() -> GameEnd {
        GameEnd::GivenUp("no luck".to_owned())
    }

    #[test]
    fn games_start_in_order_on_the_emptiest_thread() {
        let mut schedule = started(4, 2, 10, None);
        let begun: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        let games: Vec<_> = begun.iter().map(|&(_, game)| game).collect();
        let threads: Vec<_> = begun.iter().map(|&(slot, _)| slot % 2).collect();
        assert_eq!(games, [0, 1, 2, 3].map(Next::New));
        assert_eq!(threads.iter().filter(|&&thread| thread == 0).count(), 2);
        schedule.slot_free(3, &OVER);
        schedule.slot_free(1, &OVER);
        schedule.slot_free(2, &OVER);
        assert_eq!(schedule.next().map(|(slot, game)| (slot % 2, game)), Some((1, Next::New(4))));
    }

    #[test]
    fn without_credit_nothing_starts_and_a_lost_game_gives_its_credit_back() {
        let mut schedule = started(4, 1, 1, None);
        assert_eq!(schedule.next(), Some((0, Next::New(0))));
        assert_eq!(schedule.next(), None);
        schedule.slot_free(0, &OVER);
        assert_eq!(schedule.next(), None, "the game waits in the writer's queue");
        assert_eq!(schedule.starts(), Starts::NoCredits);
        schedule.credits += 1;
        assert_eq!(schedule.starts(), Starts::Free);
        assert_eq!(schedule.next(), Some((0, Next::New(1))));
        schedule.slot_free(0, &lost());
        assert_eq!(schedule.next(), Some((0, Next::New(2))));
    }

    #[test]
    fn it_is_done_after_the_last_game_or_when_drained() {
        let mut schedule = started(2, 1, 10, Some(1));
        assert!(!schedule.is_done());
        assert_eq!(schedule.next(), Some((0, Next::New(0))));
        assert_eq!(schedule.next(), None);
        assert!(!schedule.is_done());
        schedule.slot_free(0, &OVER);
        assert!(schedule.is_done());

        let mut endless = started(2, 1, 10, None);
        assert_eq!(endless.next(), Some((0, Next::New(0))));
        endless.draining = true;
        assert_eq!(endless.next(), None);
        assert!(!endless.is_done());
        endless.slot_free(0, &OVER);
        endless.credits = 0;
        assert_eq!(endless.starts(), Starts::Free, "nothing wants to start");
        assert!(endless.is_done());
    }

    #[test]
    fn nothing_starts_before_a_model_is_there() {
        let quota = Quota { first_index: 0, limit: None };
        assert_eq!(Schedule::new(2, 1, 10, quota, 1).next(), None);
    }

    #[test]
    fn nothing_starts_while_it_is_held() {
        let mut schedule = Schedule { held: true, ..started(1, 1, 1, None) };
        assert_eq!((schedule.next(), schedule.starts()), (None, Starts::Held));
        schedule.held = false;
        assert_eq!(schedule.next(), Some((0, Next::New(0))));
    }

    #[test]
    fn games_of_earlier_processes_come_first_all_of_them_and_count() {
        let play = |limit| {
            let quota = Quota { first_index: 7, limit: Some(limit) };
            let mut schedule = Schedule { started: true, ..Schedule::new(9, 1, 9, quota, 2) };
            let games: Vec<_> = std::iter::from_fn(|| schedule.next()).map(|(_, next)| next).collect();
            (0..games.len()).for_each(|slot| schedule.slot_free(slot, &OVER));
            assert!(schedule.is_done());
            games
        };
        assert_eq!(play(4), [Next::Resumed, Next::Resumed, Next::New(7), Next::New(8)]);
        assert_eq!(play(1), [Next::Resumed; 2]);
    }

    #[test]
    fn when_one_game_after_the_other_is_given_up_it_escalates() {
        play(async {
            let (mut root, mut escalations) = (Inbox::new(), Inbox::new());
            let stats = Arc::new(Stats::default());
            let stage = Slots::default();
            let games = {
                let addresses = GamesAddresses {
                    done: root.address.clone(),
                    stopped: Inbox::new().address,
                    escalate: escalations.address.clone(),
                };
                GamesSupervisor::new(to_play(2, Some(10)), stage.factory(), Arc::default(), addresses, stats.clone())
                    .start()
            };
            games.do_send(StartGames);
            for (index, slot) in [0, 1, 0].into_iter().enumerate() {
                assert!(escalations.take().await.is_empty());
                games.do_send(SlotFree { slot, index: index as u64, end: lost() });
            }
            let reasons: Vec<_> = escalations.take().await.into_iter().map(|report| report.reason).collect();
            assert_eq!(reasons, [ExitReason::Failed("play: 3 games given up, the last: no luck".to_owned())]);
            assert!(root.take().await.is_empty());
            let counts = stats.snapshot();
            assert_eq!((counts.games_target, counts.games_active, counts.games_waiting), (2, 2, 0));
            assert_eq!(counts.writer_credits, 2, "a game that is given up gives its credit back");
            games.do_send(DrainGames);
            games.do_send(SlotFree { slot: 0, index: 3, end: OVER });
            assert!(root.take().await.is_empty(), "slot 1 is still playing");
            games.do_send(SlotFree { slot: 1, index: 4, end: OVER });
            games.do_send(Credit);
            assert_eq!(root.take().await.iter().map(|done| done.abandoned).collect::<Vec<_>>(), [3], "told once");
        });
    }

    #[test]
    fn it_has_stopped_when_all_slots_that_are_left_say_so() {
        play(async {
            let mut stopped = Inbox::<GamesStopped>::new();
            let stage = Slots::default();
            let games = {
                let addresses = GamesAddresses {
                    done: Inbox::new().address,
                    stopped: stopped.address.clone(),
                    escalate: Inbox::new().address,
                };
                GamesSupervisor::new(to_play(3, None), stage.factory(), Arc::default(), addresses, Arc::default())
                    .start()
            };
            stage.0.borrow_mut().remove(1); // Gone for good.
            games.do_send(StopGames);
            games.do_send(SlotStopped { slot: 0, unfinished: true });
            games.do_send(SlotStopped { slot: 0, unfinished: true });
            assert!(stopped.take().await.is_empty());
            games.do_send(SlotStopped { slot: 2, unfinished: false });
            let reports: Vec<_> = stopped.take().await.iter().map(|report| report.unfinished).collect();
            assert_eq!(reports, [1]);
        });
    }
}
