//! Pauses, during which no batch leaves, and how long a batch waits for more, changed while it plays.

use super::*;
use crate::testing::settle;

fn resume(stage: &Stage) {
    let batcher = stage.batcher.clone();
    stage.control.resume(move || batcher.do_send(PlayResumed));
}

#[test]
fn no_batch_leaves_in_a_pause_and_all_leave_after_it() {
    crate::testing::play(async {
        let mut stage = Stage::new(2, POLICY);
        stage.swap(1);
        settle().await;
        stage.control.pause(|_| {});
        stage.ask(1, 0..3);
        stage.ask(1, 3..4);
        assert!(stage.done.take().await.is_empty());
        assert_eq!(stage.pool.least_busy(), Some((0, 0)), "no thread has anything to do");
        resume(&stage);
        let mut ids = Vec::new();
        while ids.len() < 4 {
            let (batch, outcome) = stage.next().await;
            assert_eq!(outcome, Ok(answer(1, batch.iter().map(|&id| id as u16))));
            ids.extend(batch);
        }
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3]);
        stage.pool.close();
    });
}

#[test]
fn a_released_model_leaves_the_threads_and_another_takes_over() {
    crate::testing::play(async {
        let mut stage = Stage::new(2, POLICY);
        stage.swap(1);
        settle().await;
        assert!(stage.control.is_serving());
        let mut pause = 0;
        stage.control.pause(|number| pause = number);
        stage.batcher.send(UnloadModel { pause }).await.unwrap();
        until_unloaded(&stage.control).await;
        assert!(!stage.control.is_serving() && !stage.pool.is_loaded());
        stage.ask(1, 0..2);
        resume(&stage);
        assert!(stage.done.take().await.is_empty(), "there is no model to run them on");
        stage.swap(2);
        stage.ask(2, 5..6);
        assert_eq!(stage.next().await, (vec![5], Ok(answer(2, [5]))));
        assert!(stage.control.is_serving());
        stage.pool.close();
    });
}

/// Threads let go of their models in their own time.
async fn until_unloaded(control: &Control) {
    while !control.state().unloaded {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_batch_that_waits_for_more_waits_for_as_long_as_was_said_last() {
    crate::testing::play(async {
        let policy = BatchPolicy { max_wait: Duration::from_secs(3600), ..POLICY };
        let mut stage = Stage::new(1, policy);
        stage.swap(1);
        stage.ask(1, 0..2);
        settle().await;
        let before = Instant::now();
        stage.batcher.do_send(SetMaxWait(Duration::from_millis(20)));
        assert_eq!(stage.next().await, (vec![0, 1], Ok(answer(1, [0, 1]))));
        assert!(before.elapsed() < Duration::from_secs(3600), "the timer was set for the old wait");
        stage.batcher.do_send(SetMaxWait(Duration::ZERO));
        stage.ask(1, 2..3);
        assert_eq!(stage.next().await, (vec![2], Ok(answer(1, [2]))));
        stage.pool.close();
    });
}
