//! Changes while games are played: how many at once, with what, and the end of a pause.

use selfplay_engine::journal::Journal;

use super::*;
use crate::testing::settle;

/// Starts all games that may start; the threads they are on.
fn fill(schedule: &mut Schedule) -> Vec<usize> {
    let threads = schedule.free.len();
    std::iter::from_fn(|| schedule.next()).map(|(slot, _)| slot % threads).collect()
}

fn end(schedule: &mut Schedule, slot: usize) {
    schedule.slot_free(slot, &GameEnd::Finished);
    schedule.credits += 1; // It was written at once.
}

#[test]
fn more_games_at_once_fill_the_threads_evenly_and_get_credits() {
    let mut schedule = started(3, 2, 2 * 3, None);
    assert_eq!(fill(&mut schedule).len(), 3);
    schedule.set_at_once(6);
    (3..6).for_each(|slot| schedule.put(slot));
    fill(&mut schedule);
    let on_first = (0..6).filter(|slot| slot % 2 == 0).count();
    assert_eq!((schedule.active, on_first, schedule.credits), (6, 3, 2 * 6 - 6));
}

#[test]
fn fewer_games_at_once_let_the_others_end_and_are_not_refilled() {
    let mut schedule = started(4, 2, 2 * 4, None);
    fill(&mut schedule);
    schedule.set_at_once(1);
    for slot in [3, 1, 2] {
        end(&mut schedule, slot);
        assert_eq!(schedule.next(), None, "slot {slot} is one too many");
    }
    end(&mut schedule, 0);
    assert_eq!(schedule.next().map(|(slot, _)| slot), Some(0));
    assert_eq!((schedule.active, schedule.credits), (1, 1));

    // The slots are still there.
    schedule.set_at_once(3);
    assert_eq!(fill(&mut schedule).len(), 2);
    schedule.set_at_once(4);
    assert_eq!(fill(&mut schedule).len(), 1);
    assert_eq!((schedule.active, schedule.credits), (4, 2 * 4 - 4));
}

#[test]
fn lowered_while_the_disk_is_slow_no_game_starts_until_the_credits_are_back() {
    let mut schedule = started(4, 1, 2 * 4, None);
    fill(&mut schedule);
    (0..4).for_each(|slot| schedule.slot_free(slot, &GameEnd::Finished));
    assert_eq!(fill(&mut schedule).len(), 4, "as many as wait for the disk");
    schedule.set_at_once(1);
    assert_eq!(schedule.credits, -6);
    (0..4).for_each(|slot| schedule.slot_free(slot, &GameEnd::Finished));
    schedule.credits += 6;
    assert_eq!(schedule.next(), None);
    schedule.credits += 1;
    assert_eq!(schedule.next(), Some((0, Next::New(8))));
}

struct Stage {
    games: actix::Addr<GamesSupervisor<crate::testing::Numbers>>,
    control: Arc<Control>,
    slots: Slots,
    done: Inbox<GamesDone>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new(at_once: usize, limit: Option<u64>) -> Self {
        let (slots, control, done) = (Slots::default(), Arc::new(Control::default()), Inbox::new());
        let stats = Arc::<Stats>::default();
        let addresses = GamesAddresses {
            done: done.address.clone(),
            stopped: Inbox::new().address,
            escalate: Inbox::new().address,
            in_play: Inbox::new().address,
        };
        let games =
            GamesSupervisor::new(to_play(at_once, limit), slots.factory(), control.clone(), addresses, stats.clone())
                .start();
        Self { games, control, slots, done, stats }
    }

    /// Ends the game in a slot, which is written at once.
    async fn end(&self, slot: usize) {
        self.games.do_send(SlotFree { slot, index: 0, end: GameEnd::Finished, lowest_unbeaten: None });
        self.games.do_send(Credit);
        settle().await;
    }
}

#[test]
fn no_game_starts_in_a_pause_and_those_in_play_may_end() {
    play(async {
        let mut stage = Stage::new(2, Some(3));
        stage.control.pause(|_| {});
        stage.games.do_send(StartGames);
        stage.control.resume(|| stage.games.do_send(PlayResumed));
        settle().await; // Two games begin.
        stage.control.pause(|_| {});
        stage.end(0).await;
        stage.end(1).await;
        assert!(stage.done.take().await.is_empty(), "the third is still to come");
        stage.control.resume(|| stage.games.do_send(PlayResumed));
        settle().await;
        stage.end(0).await;
        assert_eq!(stage.done.take().await.len(), 1);
    });
}

#[test]
fn games_that_are_too_many_wait_and_come_first_when_there_is_room() {
    play(async {
        let stage = Stage::new(4, None);
        stage.games.do_send(StartGames);
        settle().await;
        let at_once = |slots| ChangeGames { at_once: Some(slots), terms: None };
        let counts = || {
            let counts = stage.stats.snapshot();
            (counts.games_active, counts.games_parked, counts.writer_credits)
        };
        assert_eq!(counts(), (4, 0, 4));
        stage.games.send(at_once(1)).await.unwrap();
        let park = |slot, game| stage.games.do_send(SlotParked { slot, game });
        park(3, PlayGame::New { index: 3, terms: terms("old") }); // It had not begun.
        for (slot, index) in [(1, 1), (2, 2)] {
            let number = Journal::disabled().begin(0, index);
            let game =
                ResumedGame { number, seed: 0, index, first_version: None, resign_below: None, plies: Vec::new() };
            park(slot, PlayGame::Parked { game: Box::new(game), terms: terms("old") });
        }
        settle().await;
        assert_eq!(counts(), (1, 2, 1));
        // The one that never began, and the first of the others.
        stage.games.send(at_once(3)).await.unwrap();
        assert_eq!(counts(), (3, 1, 3));
        stage.end(0).await;
        assert_eq!(counts(), (3, 0, 3), "before any new one");
    });
}

#[test]
fn slots_are_made_when_they_are_first_needed() {
    play(async {
        let stage = Stage::new(2, None);
        let at_once = |slots| ChangeGames { at_once: Some(slots), terms: None };
        for (slots, there) in [(5, 5), (1, 5), (4, 5), (0, 5), (6, 6)] {
            stage.games.send(at_once(slots)).await.unwrap();
            assert_eq!(stage.slots.0.borrow().len(), there);
        }
        assert!(stage.slots.0.borrow().iter().all(|(thread, _)| *thread == 0));
    });
}
