//! The schedule by itself, and the supervisor with slots whose mail the tests read.

mod change;

use std::{cell::RefCell, rc::Rc};

use selfplay_engine::selfplay::Agent;

use super::*;
use crate::{
    account::Starts,
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
    GamesToPlay {
        at_once,
        threads: 1,
        quota,
        resumable: Vec::new(),
        terms: terms("first"),
        room: Arc::new(Room::new(at_once)),
    }
}

pub(super) fn terms(hash: &str) -> Terms {
    Terms { settings: Arc::new(play_settings(2, Agent::Search)), hash: hash.into(), resign_below: NEVER_RESIGNS }
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
    assert_eq!(play(4), [Next::Waiting, Next::Waiting, Next::New(7), Next::New(8)]);
    assert_eq!(play(1), [Next::Waiting; 2]);
}

#[test]
fn when_one_game_after_the_other_is_given_up_it_escalates() {
    play(async {
        let (mut root, mut escalations, mut in_play) = (Inbox::new(), Inbox::new(), Inbox::new());
        let stats = Arc::new(Stats::default());
        let stage = Slots::default();
        let games = {
            let addresses = GamesAddresses {
                done: root.address.clone(),
                stopped: Inbox::new().address,
                escalate: escalations.address.clone(),
                in_play: in_play.address.clone(),
            };
            GamesSupervisor::new(to_play(2, Some(10)), stage.factory(), Arc::default(), addresses, stats.clone())
                .start()
        };
        games.do_send(StartGames);
        for (index, slot) in [0, 1, 0].into_iter().enumerate() {
            assert!(escalations.take().await.is_empty());
            games.do_send(SlotFree { slot, index: index as u64, end: lost(), lowest_unbeaten: None });
        }
        let reasons: Vec<_> = escalations.take().await.into_iter().map(|report| report.reason).collect();
        assert_eq!(reasons, [ExitReason::Failed("play: 3 games given up, the last: no luck".to_owned())]);
        assert!(root.take().await.is_empty());
        let counts = stats.snapshot();
        assert_eq!((counts.games_target, counts.games_active, counts.games_waiting), (2, 2, 0));
        assert_eq!(counts.writer_credits, 2, "a game that is given up gives its credit back");
        games.do_send(DrainGames);
        games.do_send(SlotFree { slot: 0, index: 3, end: OVER, lowest_unbeaten: None });
        assert!(root.take().await.is_empty(), "slot 1 is still playing");
        games.do_send(SlotFree { slot: 1, index: 4, end: OVER, lowest_unbeaten: None });
        games.do_send(Credit);
        assert_eq!(root.take().await.iter().map(|done| done.abandoned).collect::<Vec<_>>(), [3], "told once");
        let told: Vec<_> = in_play.take().await.into_iter().map(|GamesInPlay(games)| games).collect();
        assert_eq!((told.first(), told.last()), (Some(&2), Some(&0)), "the cache hears of every change");
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
                in_play: Inbox::new().address,
            };
            GamesSupervisor::new(to_play(3, None), stage.factory(), Arc::default(), addresses, Arc::default()).start()
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
