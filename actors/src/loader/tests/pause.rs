//! The loader in and after pauses.

use super::*;
use crate::loader::service::BRING_BACK;

impl Stage {
    pub(super) async fn pause(&self) -> u64 {
        let mut pause = 0;
        self.control.pause(|number| pause = number);
        pause
    }

    /// Pauses for long; returns whether the batcher was told to let the model go.
    async fn pause_for_long(&mut self) -> bool {
        let pause = self.pause().await;
        self.loader.send(ReleaseModel { pause }).await.unwrap();
        self.unload.take().await.iter().map(|unload| unload.pause).eq([pause])
    }

    /// Play goes on; returns what was loaded then.
    async fn resume(&mut self) -> Vec<String> {
        let loader = self.loader.clone();
        self.control.resume(move || loader.do_send(PlayResumed));
        tokio::time::sleep(3 * LOOK_AGAIN).await;
        std::mem::take(&mut *self.loads.lock().unwrap())
    }
}

fn fixed(dir: &Path) -> ModelOrigin {
    fs::write(dir.join("good.onnx"), "good").unwrap();
    ModelOrigin::Fixed { path: Some(dir.join("good.onnx")), version: 8 }
}

#[test]
fn nothing_is_loaded_in_a_pause_and_the_newest_model_at_its_end() {
    play(async {
        let mut stage = Stage::following();
        assert_eq!(stage.offer(1, "good").await, ["model_1.onnx"]);
        stage.pause().await;
        assert!(stage.offer(2, "good").await.is_empty());
        assert!(stage.offer(3, "good").await.is_empty());
        assert_eq!(stage.resume().await, ["model_3.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 3)]);
        stage.pause().await;
        assert!(stage.resume().await.is_empty(), "the model was never gone");
    });
}

#[test]
fn a_released_model_comes_back_from_memory_as_a_new_generation() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.read();
        assert!(stage.pause_for_long().await);
        fs::remove_file(stage.dir.path().join("model_1.onnx")).unwrap();
        assert!(stage.look(5).await.is_empty());
        assert_eq!(stage.resume().await, ["model_1.onnx"]);
        assert_eq!((stage.swaps().await, stage.read().len()), (vec![(1, 1), (2, 1)], 0));
        assert!(stage.look(5).await.is_empty());
        assert!(stage.root.take().await.is_empty());
    });
}

#[test]
fn a_newer_model_takes_the_place_of_the_released_one_if_it_is_good() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.pause_for_long().await;
        stage.offer(2, "good too").await;
        assert_eq!(stage.resume().await, ["model_2.onnx"], "and not the old one first");
        stage.pause_for_long().await;
        assert_eq!(stage.resume().await, ["model_2.onnx"]);
        stage.pause_for_long().await;
        stage.model(4, "good at the last moment");
        stage.publish(4);
        assert_eq!(stage.resume().await, ["model_4.onnx"]);
        stage.pause_for_long().await;
        stage.offer(3, "bad").await;
        assert_eq!(stage.resume().await, ["model_3.onnx", "model_4.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2), (3, 2), (4, 4), (5, 4)]);
    });
}

#[test]
fn a_model_that_came_a_moment_ago_is_taken_also_where_the_loader_happens_to_look_before_it_hears_of_the_end_of_the_pause()
 {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.pause_for_long().await;
        stage.model(2, "good too");
        stage.publish(2);
        let loader = stage.loader.clone();
        stage.control.resume(move || loader.do_send(LookForModel));
        stage.loader.do_send(PlayResumed);
        tokio::time::sleep(3 * LOOK_AGAIN).await;
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2)]);
    });
}

#[test]
fn a_touched_file_of_the_released_model_is_no_reason_not_to_bring_it_back() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.pause_for_long().await;
        assert!(stage.offer(1, "good").await.is_empty());
        assert_eq!(stage.resume().await, ["model_1.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 1)]);
    });
}

#[test]
fn a_fixed_model_is_released_and_brought_back_too() {
    play(async {
        let mut stage = Stage::new(fixed);
        assert_eq!(stage.look(1).await, ["good.onnx"]);
        assert!(stage.pause_for_long().await);
        assert_eq!(stage.resume().await, ["good.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 8), (2, 8)]);
    });
}

#[test]
fn a_pause_before_the_first_model_only_delays_it() {
    play(async {
        for follow in [true, false] {
            let mut stage = if follow { Stage::following() } else { Stage::new(fixed) };
            assert!(stage.pause_for_long().await, "threads that hold nothing let go of it at once");
            if follow {
                assert!(stage.offer(8, "good").await.is_empty());
            }
            assert!(stage.look(2).await.is_empty());
            assert_eq!(stage.resume().await.len(), 1);
            assert_eq!(stage.swaps().await, [(1, 8)]);
        }
    });
}

#[test]
fn a_release_that_comes_after_the_pause_has_no_effect() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        let pause = stage.pause().await;
        assert!(stage.resume().await.is_empty());
        stage.loader.send(ReleaseModel { pause }).await.unwrap();
        stage.pause().await;
        stage.loader.send(ReleaseModel { pause }).await.unwrap();
        assert!(stage.unload.take().await.is_empty());
    });
}

#[test]
fn a_device_that_somebody_still_holds_is_asked_for_again_and_again() {
    play(async {
        for follow in [true, false] {
            let mut stage = if follow { Stage::following() } else { Stage::new(fixed) };
            if follow {
                stage.offer(8, "good").await;
            } else {
                stage.look(1).await;
            }
            stage.pause_for_long().await;
            *stage.held.lock().unwrap() = true;
            assert_eq!(stage.resume().await.len(), 1);
            assert!(stage.look(20).await.is_empty(), "not at every look");
            tokio::time::sleep(BRING_BACK).await;
            stage.look(1).await;
            assert_eq!(stage.swaps().await, [(1, 8)]);
            *stage.held.lock().unwrap() = false;
            tokio::time::sleep(BRING_BACK).await;
            stage.look(1).await;
            assert_eq!(stage.swaps().await, [(2, 8)]);
            assert!(stage.root.take().await.is_empty(), "this may pass");
        }
    });
}

#[test]
fn a_model_withdrawn_in_a_pause_gives_way_at_its_end() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.prove(1, 1).await;
        stage.offer(2, "good too").await;
        stage.pause().await;
        stage.withdraw(2, 2).await;
        assert!(stage.look(1).await.is_empty());
        assert_eq!(stage.resume().await, ["model_1.onnx"]);

        stage.offer(3, "good at first").await;
        stage.pause_for_long().await;
        stage.withdraw(4, 3).await;
        stage.look(1).await;
        assert_eq!(stage.resume().await, ["model_1.onnx"], "it had proved itself before");
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2), (3, 1), (4, 3), (5, 1)]);
    });
}

#[test]
fn what_was_proven_stays_so_and_the_one_before_is_not_forgotten() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.prove(1, 1).await;
        stage.offer(2, "good too").await;
        stage.prove(2, 2).await;
        stage.pause_for_long().await;
        stage.resume().await;
        // It goes bad later: the one before it is not itself under its former number.
        stage.withdraw(3, 2).await;
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2), (3, 2), (4, 1)]);
    });
}

#[test]
fn whoever_asks_for_a_look_is_served_at_once_also_where_reading_had_failed() {
    play(async {
        let mut stage = Stage::following();
        stage.model(1, "good");
        stage.publish(1);
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert_eq!(stage.batcher.next().await.generation.version, 1);

        stage.model(2, "impossible");
        stage.publish(2);
        assert_eq!(stage.look(9).await, ["model_1.onnx", "model_2.onnx"]);
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert_eq!(stage.look(9).await, ["model_2.onnx"], "another chance at once");
        stage.pause().await;
        stage.offer(3, "good").await;
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert!(stage.look(9).await.is_empty(), "but not in a pause");
    });
}

#[test]
fn whoever_asks_for_a_look_has_what_was_refused_checked_afresh_but_not_what_was_withdrawn() {
    play(async {
        let mut stage = Stage::following();
        assert_eq!(stage.offer(1, "bad").await, ["model_1.onnx"]);
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert_eq!(stage.look(9).await, ["model_1.onnx"], "perhaps what was wrong is not so any more");
        assert_eq!(stage.stats.models_refused.get(), 2);

        stage.offer(2, "good, it seems").await;
        stage.withdraw(1, 2).await;
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert!(stage.look(9).await.is_empty());
        let found = stage.stats.findings.last().unwrap();
        assert_eq!(found.to_string(), "model 2 is refused: the same model was refused before: it answers NaN");
    });
}
