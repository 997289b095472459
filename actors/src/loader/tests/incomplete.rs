//! Models whose files come one after the other, or bit by bit.

use super::*;
use crate::loader::unfinished::PATIENCE;

impl Stage {
    fn weights(&self, name: &str, contents: &str) {
        fs::write(self.dir.path().join(name), contents).unwrap();
    }

    fn found(&self) -> String {
        self.stats.findings.last().unwrap().to_string()
    }

    /// Nothing was counted or noted as a bad model.
    fn nothing_is_refused(&self) -> bool {
        self.stats.models_refused.get() == 0 && self.stats.rejections.after(0).is_empty()
    }
}

#[test]
fn weights_that_come_after_the_graph_are_waited_for_as_long_as_it_takes() {
    play(async {
        let mut stage = Stage::following();
        assert!(stage.offer(1, "good+w.bin").await.is_empty());
        assert_eq!(stage.found(), "model 1 is not complete yet: no w.bin");
        tokio::time::sleep(100 * PATIENCE).await;
        assert!(stage.look(5).await.is_empty() && stage.nothing_is_refused());
        stage.weights("w.bin", "1234");
        assert!(stage.look(1).await.is_empty(), "they may still be growing");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        assert_eq!((stage.swaps().await, stage.found().as_str()), (vec![(1, 1)], "nothing changed: model 1 serves"));
        assert!(stage.nothing_is_refused());
    });
}

#[test]
fn weights_that_are_filled_when_the_model_serves_already_are_loaded() {
    play(async {
        let mut stage = Stage::following();
        stage.weights("w.bin", "0000");
        assert_eq!(stage.offer(1, "good+w.bin").await, ["model_1.onnx"]);
        stage.weights("w.bin", "1234");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 1)]);
        fs::remove_file(stage.dir.path().join("w.bin")).unwrap();
        assert!(stage.look(5).await.is_empty(), "what serves needs its files no more");
        assert_eq!(stage.found(), "nothing changed: model 1 serves");
    });
}

#[test]
fn weights_that_grow_are_not_read() {
    play(async {
        let mut stage = Stage::following();
        stage.look(1).await;
        stage.model(1, "good+w.bin");
        stage.publish(1);
        for length in 1..20 {
            stage.weights("w.bin", &"x".repeat(length));
            assert!(stage.look(1).await.is_empty() && stage.read().is_empty());
        }
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
    });
}

#[test]
fn a_file_that_is_copied_slowly_is_no_bad_model_until_it_has_been_still_for_long() {
    play(async {
        let mut stage = Stage::following();
        assert!(stage.offer(1, "half").await.is_empty());
        assert_eq!(stage.read().len(), 1);
        assert_eq!(stage.found(), "model 1 is not complete yet: half a model");
        tokio::time::sleep(PATIENCE - Duration::from_secs(1)).await;
        stage.look(5).await;
        assert!(stage.read().is_empty() && stage.nothing_is_refused());
        stage.model(1, "good, and whole");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);

        stage.offer(2, "half").await;
        tokio::time::sleep(PATIENCE).await;
        stage.look(5).await;
        assert_eq!(
            (stage.stats.models_refused.get(), stage.found()),
            (1, "model 2 is refused: half a model".to_owned())
        );
        stage.look(5).await;
        assert_eq!(stage.stats.models_refused.get(), 1);
        stage.model(2, "good after all");
        assert_eq!(stage.look(5).await, ["model_2.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2)]);
    });
}

#[test]
fn what_changes_while_it_is_read_is_not_used_and_is_looked_at_again() {
    play(async {
        let mut stage = Stage::following();
        stage.weights("w.bin", "0000");
        for (version, file, contents) in [(1, "w.bin", "1234"), (2, "model_2.onnx", "good again+w.bin")] {
            let path = stage.dir.path().join(file);
            *stage.meanwhile.lock().unwrap() = Some(Box::new(move || fs::write(path, contents).unwrap()));
            stage.model(version, "good+w.bin");
            stage.publish(version);
            assert_eq!(stage.look(3).await.len(), 0);
            assert!(stage.found().ends_with("its files changed while they were read"), "{}", stage.found());
            assert_eq!(stage.look(5).await.len(), 1);
        }
        assert_eq!(stage.swaps().await, [(1, 1), (2, 2)]);
        assert!(stage.nothing_is_refused());
    });
}

#[test]
fn whoever_asks_for_a_look_finds_a_model_of_several_files_at_once() {
    play(async {
        let mut stage = Stage::following();
        stage.weights("w.bin", "1234");
        stage.model(1, "good+w.bin");
        stage.publish(1);
        stage.loader.send(LookNow { tell: None }).await.unwrap();
        assert_eq!(stage.batcher.next().await.generation.version, 1);
    });
}

#[test]
fn whoever_asks_for_a_look_hears_what_it_finds() {
    play(async {
        let mut stage = Stage::following();
        let latest = stage.dir.path().join("latest.yaml");
        stage.look(2).await;
        for (prepare, heard) in [
            ("", vec!["there is no model named by LATEST"]),
            ("good", vec!["model 1 is on its way", "model 1 serves now"]),
            ("", vec!["nothing changed: model 1 serves"]),
            ("good", vec!["model 1 is on its way", "nothing changed: model 1 serves"]),
            ("bad", vec!["model 1 is on its way", "model 1 is refused: bad"]),
            ("bad", vec!["model 1 is on its way", "model 1 is refused: bad"]),
            ("half", vec!["model 1 is on its way", "model 1 is not complete yet: half a model"]),
            ("typo", vec!["LATEST cannot be read: line 2 column 1: missing field `version`"]),
        ] {
            match prepare {
                "" => {}
                "typo" => fs::write(&latest, "filename: m.pt\nversoin: 1\n").unwrap(),
                contents => {
                    stage.model(1, contents);
                    stage.publish(1);
                }
            }
            let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
            stage.loader.send(LookNow { tell: Some(tell) }).await.unwrap();
            let mut words = Vec::new();
            while let Some(found) = told.recv().await {
                words.push(found.to_string().replace(latest.to_str().unwrap(), "LATEST"));
            }
            assert_eq!(words, heard);
        }
        stage.pause().await;
        stage.model(2, "good");
        stage.publish(2);
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        stage.loader.send(LookNow { tell: Some(tell) }).await.unwrap();
        assert_eq!(told.recv().await.unwrap().to_string(), "model 2 is read when play is resumed");
        assert_eq!(told.recv().await, None);
    });
}

#[test]
fn what_cannot_be_read_is_found_at_every_look_and_is_news_once() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        let latest = stage.dir.path().join("latest.yaml");
        let stats = stage.stats.clone();
        fs::write(&latest, "filename: [").unwrap();
        stage.look(1).await;
        assert_eq!(stage.found(), "nothing changed: model 1 serves", "it may only be half written");
        stage.look(4).await;
        assert!(stage.found().starts_with(&format!("{} cannot be read: ", latest.display())), "{}", stage.found());
        assert_eq!(stats.looks_unreadable.get(), 4);
        fs::remove_file(&latest).unwrap();
        fs::create_dir(&latest).unwrap();
        stage.look(4).await;
        assert_eq!(stage.found(), format!("{} cannot be read: it is no regular file", latest.display()));
        fs::remove_dir(&latest).unwrap();
        stage.publish(1);
        stage.look(4).await;
        assert_eq!(stage.found(), "nothing changed: model 1 serves");
        assert!(stage.nothing_is_refused());
    });
}
