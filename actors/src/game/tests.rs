//! A slot on paused time: what it does when evaluations fail, are late, or come twice.

use std::{cell::RefCell, rc::Rc, time::Duration};

use selfplay_engine::{
    Evaluations, Evaluator, evaluation::UniformEvaluator, games::tictactoe::TicTacToe, selfplay::Agent,
};
use tokio::time::Instant;

use super::*;
use crate::{
    testing::{Inbox, nth, play, play_settings},
    ticket::Answer,
};

struct Stage {
    slot: Addr<GameActor<TicTacToe>>,
    lookups: Inbox<Lookup<TicTacToe>>,
    finished: Inbox<GameFinished<TicTacToe>>,
    free: Inbox<SlotFree>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new() -> Self {
        let stats = Arc::new(Stats::default());
        let plan = GamePlan {
            game: TicTacToe,
            settings: Arc::new(play_settings(8, Agent::Search)),
            seed: 3,
            stats: stats.clone(),
            on_ply: None,
        };
        let (lookups, finished, free) = (Inbox::new(), Inbox::new(), Inbox::new());
        let addresses = GameAddresses {
            cache: lookups.address.clone(),
            writer: finished.address.clone(),
            supervisor: free.address.clone(),
        };
        let spare = Rc::new(RefCell::new(SpareTree::default()));
        let slot = GameActor::create(|ctx| GameActor::new(5, plan, addresses, spare, &ctx.address()));
        Self { slot, lookups, finished, free, stats }
    }
}

/// Answers as a healthy system would.
fn serve(Lookup { leaves, reply }: Lookup<TicTacToe>) {
    let mut evaluations = Evaluations::default();
    UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
    reply.answer(Ok(Answer { evaluations, generation: nth(1) }));
}

#[test]
fn a_game_is_played_with_one_request_out_at_a_time() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame { index: 9 });
        loop {
            let mut lookups = stage.lookups.take().await;
            match (lookups.pop(), lookups.len()) {
                (Some(lookup), 0) => serve(lookup),
                (None, _) => break,
                _ => panic!("two requests at once"),
            }
        }
        let finished = stage.finished.take().await;
        assert_eq!(finished.iter().map(|game| game.0.index).collect::<Vec<_>>(), [9]);
        let free = stage.free.take().await;
        assert_eq!((free.len(), free[0].slot, free[0].index, free[0].finished), (1, 5, 9, true));
        assert_eq!((stage.stats.games_started.get(), stage.stats.games_finished.get()), (1, 1));
    });
}

#[test]
fn failed_requests_are_asked_again_alike_after_growing_waits_and_in_the_end_given_up() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame { index: 0 });
        let mut asked = Vec::new();
        for retry in 0..=MOST_RETRIES {
            let before = Instant::now();
            let lookup = stage.lookups.next().await;
            let expected = if retry == 0 { Duration::ZERO } else { FIRST_RETRY_WAIT * (1 << (retry - 1)) };
            assert!(before.elapsed() >= expected.min(LONGEST_RETRY_WAIT), "retry {retry} after {:?}", before.elapsed());
            asked.push(format!("{:?}", lookup.leaves));
            // Half are refused, half are lost.
            if retry % 2 == 0 {
                lookup.reply.answer(Err(TicketError::Backend("run the network: no".to_owned())));
            }
        }
        assert!(asked.iter().all(|leaves| *leaves == asked[0]));
        let free = stage.free.next().await;
        assert!(
            !free.finished
                && free.reason.contains("12 times: failed to evaluate positions: failed to run the network: no")
        );
        assert!(stage.lookups.take().await.is_empty() && stage.finished.take().await.is_empty());
        assert_eq!((stage.stats.retries.get(), stage.stats.games_abandoned.get()), (12, 1));

        stage.slot.do_send(PlayGame { index: 1 });
        serve(stage.lookups.next().await);
        let _second = stage.lookups.next().await;
    });
}

#[test]
fn an_answer_lets_a_game_forget_its_failures() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame { index: 0 });
        for _ in 0..3 {
            for _ in 0..MOST_RETRIES {
                drop(stage.lookups.next().await);
            }
            serve(stage.lookups.next().await);
        }
        assert!(stage.free.take().await.is_empty());
    });
}

#[test]
fn answers_to_other_requests_are_ignored() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame { index: 0 });
        let lookup = stage.lookups.next().await;
        for ticket in [0, 2, 77] {
            stage.slot.do_send(Evaluated { ticket, outcome: Err(TicketError::Lost) });
        }
        assert!(stage.lookups.take().await.is_empty());
        serve(lookup);
        assert_eq!(stage.lookups.take().await.len(), 1);
        assert_eq!(stage.stats.retries.get(), 0);
    });
}

#[test]
fn a_slot_that_is_told_to_stop_forgets_its_game_and_says_whether_there_was_one() {
    play(async {
        let (mut stage, mut stopped) = (Stage::new(), Inbox::<SlotStopped>::new());
        let stop = || StopGame { reply: stopped.address.clone() };
        stage.slot.do_send(stop());
        stage.slot.do_send(PlayGame { index: 2 });
        stage.slot.do_send(stop());
        // The answer to what it had asked comes too late.
        serve(stage.lookups.next().await);
        stage.slot.do_send(stop());
        let unfinished: Vec<_> = stopped.take().await.iter().map(|report| (report.slot, report.unfinished)).collect();
        assert_eq!(unfinished, [(5, false), (5, true), (5, false)]);
        assert!(stage.lookups.take().await.is_empty() && stage.free.take().await.is_empty());
    });
}
