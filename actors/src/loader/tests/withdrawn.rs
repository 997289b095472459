//! Models that are withdrawn from service, and what serves after them.

use super::*;

#[test]
fn a_withdrawn_model_gives_way_to_the_last_proven_one_for_good() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(4, "good").await;
        stage.prove(1, 4).await;
        stage.offer(5, "good, it seems").await;
        stage.offer(6, "good, or so").await;
        // Neither may be needed any more as a file.
        for version in 4..=6 {
            fs::remove_file(stage.dir.path().join(format!("model_{version}.onnx"))).unwrap();
        }
        stage.withdraw(3, 6).await;
        assert_eq!(stage.swaps().await, [(1, 4), (2, 5), (3, 6), (4, 4)], "model 5 never proved itself");
        assert_eq!((stage.stats.models_withdrawn.get(), stage.stats.models_refused.get()), (1, 0));
        stage.look(5).await;
        stage.model(6, "good, or so");
        stage.look(5).await;
        assert!(stage.swaps().await.is_empty(), "it is known to be bad");
        assert!(stage.offer(7, "good, or so").await.is_empty(), "by any name");
        assert_eq!(stage.offer(8, "good again").await, ["model_8.onnx"]);
        assert_eq!(stage.swaps().await, [(5, 8)]);
        stage.withdraw(5, 8).await;
        assert_eq!(stage.swaps().await, [(6, 4)], "what proved itself is proven still");
    });
}

#[test]
fn a_withdrawal_that_comes_late_changes_nothing_but_what_may_come_back() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.prove(1, 1).await;
        stage.offer(2, "good too").await;
        stage.withdraw(1, 1).await;
        stage.withdraw(1, 1).await;
        assert_eq!((stage.swaps().await, stage.stats.models_withdrawn.get()), (vec![(1, 1), (2, 2)], 0));
        stage.withdraw(2, 2).await;
        assert!(stage.swaps().await.is_empty(), "the one before was withdrawn as well");
        assert!(stage.offer(3, "good").await.is_empty());
    });
}

#[test]
fn without_a_proven_model_play_waits_for_a_newer_one() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.withdraw(1, 1).await;
        stage.look(5).await;
        assert_eq!(stage.swaps().await, [(1, 1)]);
        stage.offer(2, "good too").await;
        stage.prove(2, 2).await;
        // The same network under a newer version is no way back.
        stage.offer(3, "good too").await;
        stage.withdraw(3, 3).await;
        assert_eq!(stage.swaps().await, [(2, 2), (3, 3)]);
        assert!(stage.root.take().await.is_empty());
    });
}

#[test]
fn without_a_proven_model_a_fixed_one_was_the_last() {
    play(async {
        let mut stage = Stage::new(|dir| {
            fs::write(dir.join("only.onnx"), "good").unwrap();
            ModelOrigin::Fixed { path: Some(dir.join("only.onnx")), version: 8 }
        });
        assert_eq!(stage.swaps().await, [(1, 8)]);
        stage.withdraw(1, 8).await;
        let reasons: Vec<_> = stage.root.take().await.into_iter().map(|fatal| fatal.reason).collect();
        assert_eq!(reasons, ["the model was withdrawn, and there is none that proved itself before it"]);
        assert!(stage.look(3).await.len() == 1 && stage.swaps().await.is_empty());
    });
}
