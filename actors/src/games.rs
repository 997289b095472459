//! The games' supervisor: as many game actors as games are played at once, spread over threads, and the order in which games
//! start. A game starts only against a credit of the writer, so that finished games never pile up.

use std::collections::BTreeSet;

use actix::{Actor, Addr, AsyncContext as _, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;

use crate::{
    game::{GameActor, PlayGame, SlotFree, SlotStopped, StopGame},
    health::ExitReason,
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

/// No game is in play and none will start. Sent to the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GamesDone {
    /// Games that were given up.
    pub abandoned: u64,
}

/// Which games to play, and who may play now. Plain state: no actor.
#[derive(Debug)]
pub(crate) struct Schedule {
    next_index: u64,
    /// Games to start in all; `None` without end.
    limit: Option<u64>,
    credits: u64,
    /// Free slots per thread.
    free: Vec<BTreeSet<usize>>,
    active: u64,
    abandoned: u64,
    started: bool,
    draining: bool,
}

impl Schedule {
    /// `slots` games at once, spread evenly over `threads`; the writer may have `credits` games in play or in its queue.
    pub(crate) fn new(slots: usize, threads: usize, credits: u64, limit: Option<u64>) -> Self {
        let mut free = vec![BTreeSet::new(); threads];
        for slot in 0..slots {
            free[slot % threads].insert(slot);
        }
        Self { next_index: 0, limit, credits, free, active: 0, abandoned: 0, started: false, draining: false }
    }

    /// The next game to start and its slot: on the thread with the fewest games in play.
    pub(crate) fn next(&mut self) -> Option<(usize, u64)> {
        let exhausted = self.limit.is_some_and(|limit| self.next_index >= limit);
        if !self.started || self.draining || exhausted || self.credits == 0 {
            return None;
        }
        let thread = self.free.iter_mut().max_by_key(|free| free.len())?;
        let slot = thread.pop_first()?;
        self.credits -= 1;
        self.active += 1;
        self.next_index += 1;
        Some((slot, self.next_index - 1))
    }

    pub(crate) fn slot_free(&mut self, slot: usize, finished: bool) {
        let threads = self.free.len();
        self.free[slot % threads].insert(slot);
        self.active -= 1;
        if !finished {
            self.abandoned += 1;
            self.credits += 1; // The writer will never hear of it.
        }
    }

    /// Whether nothing is in play and nothing will be.
    pub(crate) fn is_done(&self) -> bool {
        let exhausted = self.limit.is_some_and(|limit| self.next_index >= limit);
        self.active == 0 && (self.draining || exhausted)
    }
}

/// See the module.
pub struct GamesSupervisor<G: Game> {
    actors: Vec<Addr<GameActor<G>>>,
    schedule: Schedule,
    root: Recipient<GamesDone>,
    stopped: Recipient<GamesStopped>,
    escalate: Recipient<ChildGaveUp>,
    told: bool,
    /// Slots that have not said yet that they stopped.
    stopping: Option<BTreeSet<usize>>,
    /// Games that the other slots had in play.
    unfinished: u64,
}

impl<G: Game> GamesSupervisor<G> {
    /// Plays `limit` games (`None`: without end) on `actors`, of which number i lives on thread i % `threads`.
    pub fn new(
        actors: Vec<Addr<GameActor<G>>>,
        threads: usize,
        credits: u64,
        limit: Option<u64>,
        root: Recipient<GamesDone>,
        stopped: Recipient<GamesStopped>,
        escalate: Recipient<ChildGaveUp>,
    ) -> Self {
        let schedule = Schedule::new(actors.len(), threads, credits, limit);
        Self { actors, schedule, root, stopped, escalate, told: false, stopping: None, unfinished: 0 }
    }

    /// Tells the root once no slot is left to stop.
    fn report_stopped(&self) {
        if self.stopping.as_ref().is_some_and(BTreeSet::is_empty) {
            self.stopped.do_send(GamesStopped { unfinished: self.unfinished });
        }
    }

    fn go_on(&mut self) {
        while let Some((slot, index)) = self.schedule.next() {
            tracing::debug!(game = index, slot, "game starts");
            self.actors[slot].do_send(PlayGame { index });
        }
        if self.schedule.is_done() && !self.told {
            self.told = true;
            self.root.do_send(GamesDone { abandoned: self.schedule.abandoned });
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
        self.schedule.slot_free(free.slot, free.finished);
        if !free.finished {
            tracing::error!(game = free.index, reason = free.reason, "game given up");
            // One lost game may be chance; when every game fails, only a restart of the process can help.
            if self.schedule.abandoned > self.actors.len() as u64 {
                let reason = format!("play: {} games given up, the last: {}", self.schedule.abandoned, free.reason);
                self.escalate.do_send(ChildGaveUp { child: "games".into(), reason: ExitReason::Failed(reason) });
            }
        }
        self.go_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        supervision::mailbox,
        testing::{Inbox, Numbers, play},
    };

    fn started(slots: usize, threads: usize, credits: u64, limit: Option<u64>) -> Schedule {
        Schedule { started: true, ..Schedule::new(slots, threads, credits, limit) }
    }

    #[test]
    fn games_start_in_order_on_the_emptiest_thread() {
        let mut schedule = started(4, 2, 10, None);
        let begun: Vec<_> = std::iter::from_fn(|| schedule.next()).collect();
        let games: Vec<_> = begun.iter().map(|&(_, game)| game).collect();
        let threads: Vec<_> = begun.iter().map(|&(slot, _)| slot % 2).collect();
        assert_eq!(games, [0, 1, 2, 3]);
        assert_eq!(threads.iter().filter(|&&thread| thread == 0).count(), 2);
        schedule.slot_free(3, true);
        schedule.slot_free(1, true);
        schedule.slot_free(2, true);
        assert_eq!(schedule.next().map(|(slot, game)| (slot % 2, game)), Some((1, 4)));
    }

    #[test]
    fn without_credit_nothing_starts_and_a_lost_game_gives_its_credit_back() {
        let mut schedule = started(4, 1, 1, None);
        assert_eq!(schedule.next(), Some((0, 0)));
        assert_eq!(schedule.next(), None);
        schedule.slot_free(0, true);
        assert_eq!(schedule.next(), None, "the game waits in the writer's queue");
        schedule.credits += 1;
        assert_eq!(schedule.next(), Some((0, 1)));
        schedule.slot_free(0, false);
        assert_eq!(schedule.next(), Some((0, 2)));
    }

    #[test]
    fn it_is_done_after_the_last_game_or_when_drained() {
        let mut schedule = started(2, 1, 10, Some(1));
        assert!(!schedule.is_done());
        assert_eq!(schedule.next(), Some((0, 0)));
        assert_eq!(schedule.next(), None);
        assert!(!schedule.is_done());
        schedule.slot_free(0, true);
        assert!(schedule.is_done());

        let mut endless = started(2, 1, 10, None);
        assert_eq!(endless.next(), Some((0, 0)));
        endless.draining = true;
        assert_eq!(endless.next(), None);
        assert!(!endless.is_done());
        endless.slot_free(0, true);
        assert!(endless.is_done());
    }

    #[test]
    fn nothing_starts_before_a_model_is_there() {
        assert_eq!(Schedule::new(2, 1, 10, None).next(), None);
    }

    #[test]
    fn when_one_game_after_the_other_is_given_up_it_escalates() {
        play(async {
            let (mut root, mut escalations) = (Inbox::new(), Inbox::new());
            let (slots, _mailboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox::<GameActor<Numbers>>()).unzip();
            let (done, escalate) = (root.address.clone(), escalations.address.clone());
            let stopped = Inbox::new().address;
            let games = GamesSupervisor::new(slots, 1, 4, Some(10), done, stopped, escalate).start();
            games.do_send(StartGames);
            for (index, slot) in [0, 1, 0].into_iter().enumerate() {
                assert!(escalations.take().await.is_empty());
                let reason = "no luck".to_owned();
                games.do_send(SlotFree { slot, index: index as u64, finished: false, reason });
            }
            let reasons: Vec<_> = escalations.take().await.into_iter().map(|report| report.reason).collect();
            assert_eq!(reasons, [ExitReason::Failed("play: 3 games given up, the last: no luck".to_owned())]);
            assert!(root.take().await.is_empty());
            games.do_send(DrainGames);
            games.do_send(SlotFree { slot: 0, index: 3, finished: true, reason: String::new() });
            assert!(root.take().await.is_empty(), "slot 1 is still playing");
            games.do_send(SlotFree { slot: 1, index: 4, finished: true, reason: String::new() });
            games.do_send(Credit);
            assert_eq!(root.take().await.iter().map(|done| done.abandoned).collect::<Vec<_>>(), [3], "told once");
        });
    }

    #[test]
    fn it_has_stopped_when_all_slots_that_are_left_say_so() {
        play(async {
            let (done, mut stopped, escalate) = (Inbox::new(), Inbox::<GamesStopped>::new(), Inbox::new());
            let (slots, mut mailboxes): (Vec<_>, Vec<_>) = (0..3).map(|_| mailbox::<GameActor<Numbers>>()).unzip();
            mailboxes.remove(1); // Gone for good.
            let (root, to) = (done.address.clone(), stopped.address.clone());
            let games = GamesSupervisor::new(slots, 1, 4, None, root, to, escalate.address.clone()).start();
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
