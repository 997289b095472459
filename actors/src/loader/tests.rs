//! The loader beside a trainer that writes good, bad and changing files.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use actix::Addr;
use tempfile::TempDir;

use super::*;
use crate::testing::{Inbox, Model, Numbers, play};

/// Says what the model file says: `good`, `impossible`, `2 evaluators`, anything else is a reason to refuse it.
struct Scripted(Arc<Mutex<Vec<String>>>);

impl ModelSource<Numbers> for Scripted {
    fn load(&mut self, path: &Path) -> Result<LoadedModel<Numbers>, LoadFailure> {
        let name = path.file_name().unwrap().to_str().unwrap();
        self.0.lock().unwrap().push(name.to_owned());
        let count = match fs::read_to_string(path).unwrap_or_else(|_| "there is no such file".to_owned()).as_str() {
            "good" => 1,
            "2 evaluators" => 2,
            "impossible" => return Err(LoadFailure::Impossible("find a GPU".to_owned())),
            reason => return Err(LoadFailure::Refused(reason.to_owned())),
        };
        let evaluators = (0..count).map(|_| Box::new(Model(0)) as Box<dyn selfplay_engine::Evaluator<Numbers>>);
        Ok(LoadedModel { evaluators: evaluators.collect(), encoding: (), description: name.to_owned() })
    }
}

struct Stage {
    dir: TempDir,
    loader: Addr<ModelLoaderActor<Numbers>>,
    loads: Arc<Mutex<Vec<String>>>,
    batcher: Inbox<SwapModel<Numbers>>,
    writer: Inbox<EncodingChosen<Numbers>>,
    games: Inbox<StartGames>,
    root: Inbox<Fatal>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new(origin: impl FnOnce(&Path) -> ModelOrigin) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let loads = Arc::default();
        let (batcher, writer, games, root) = (Inbox::new(), Inbox::new(), Inbox::new(), Inbox::new());
        let addresses = LoaderAddresses {
            batcher: batcher.address.clone(),
            writer: writer.address.clone(),
            games: games.address.clone(),
            root: root.address.clone(),
        };
        let stats = Arc::new(Stats::default());
        let source = Box::new(Scripted(Arc::clone(&loads)));
        let loader = ModelLoaderActor::new(source, origin(dir.path()), 1, addresses, stats.clone()).start();
        Self { dir, loader, loads, batcher, writer, games, root, stats }
    }

    /// Its own timer never comes into play.
    fn following() -> Self {
        Self::new(|dir| ModelOrigin::Follow {
            latest_yaml: dir.join("latest.yaml"),
            poll: Duration::from_secs(1_000_000),
        })
    }

    fn model(&self, version: i64, contents: &str) {
        fs::write(self.dir.path().join(format!("model_{version}.onnx")), contents).unwrap();
    }

    fn publish(&self, version: i64) {
        let checkpoint = self.dir.path().join(format!("model_{version}.pt"));
        let text = format!("filename: {}\nversion: {version}\n", checkpoint.display());
        fs::write(self.dir.path().join("latest.yaml"), text).unwrap();
    }

    /// Lets it look so many times; returns what it loaded.
    async fn look(&mut self, times: u32) -> Vec<String> {
        for _ in 0..times {
            self.loader.send(LookForModel).await.unwrap();
        }
        std::mem::take(&mut *self.loads.lock().unwrap())
    }

    /// Models taken into service since the last call.
    async fn swaps(&mut self) -> Vec<(u64, i64)> {
        let swaps = self.batcher.take().await;
        swaps.iter().map(|swap| (swap.generation.number, swap.generation.version)).collect()
    }
}

#[test]
fn each_new_version_is_taken_once_two_looks_agree() {
    play(async {
        let mut stage = Stage::following();
        assert!(stage.look(3).await.is_empty());
        stage.model(4, "good");
        stage.model(6, "good");
        stage.publish(4);
        assert!(stage.look(1).await.is_empty());
        assert_eq!(stage.look(3).await, ["model_4.onnx"]);
        assert_eq!((stage.writer.take().await.len(), stage.games.take().await.len()), (1, 1));
        stage.publish(6);
        assert!(stage.look(1).await.is_empty());
        assert_eq!(stage.look(3).await, ["model_6.onnx"]);
        stage.publish(4);
        assert_eq!(stage.look(3).await, ["model_4.onnx"], "the trainer may go back");
        assert_eq!(stage.swaps().await, [(1, 4), (2, 6), (3, 4)]);
        assert!(stage.writer.take().await.is_empty(), "the encoding is chosen once");
    });
}

#[test]
fn a_refused_model_is_left_alone_until_something_about_it_changes() {
    play(async {
        let mut stage = Stage::following();
        stage.publish(1);
        assert_eq!(stage.look(5).await, ["model_1.onnx"], "its file is not there");
        stage.model(1, "too small");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        stage.model(1, "far too small");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        assert_eq!(stage.stats.models_refused.get(), 3);
        assert!(stage.swaps().await.is_empty() && stage.games.take().await.is_empty());

        stage.model(1, "good");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        stage.model(2, "bad");
        stage.publish(2);
        assert_eq!(stage.look(5).await, ["model_2.onnx"]);
        stage.model(3, "good");
        stage.publish(3);
        assert_eq!(stage.look(5).await, ["model_3.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 3)], "the model before serves until a better one is there");
        assert!(stage.root.take().await.is_empty());
    });
}

#[test]
fn a_file_replaced_between_two_looks_is_not_mixed_up() {
    play(async {
        let mut stage = Stage::following();
        (1..=3).for_each(|version| stage.model(version, "good"));
        stage.look(1).await;
        for version in 1..=3 {
            stage.publish(version);
            assert!(stage.look(1).await.is_empty());
        }
        assert_eq!(stage.look(2).await, ["model_3.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 3)]);
    });
}

#[test]
fn broken_yaml_is_no_reason_to_stop() {
    play(async {
        let mut stage = Stage::following();
        fs::write(stage.dir.path().join("latest.yaml"), "filename: [").unwrap();
        assert!(stage.look(4).await.is_empty());
        stage.model(1, "good");
        stage.publish(1);
        assert_eq!(stage.look(2).await, ["model_1.onnx"]);
        assert!(stage.root.take().await.is_empty());
    });
}

#[test]
fn a_model_with_another_number_of_evaluators_than_threads_is_refused() {
    play(async {
        let mut stage = Stage::following();
        stage.model(1, "2 evaluators");
        stage.publish(1);
        assert_eq!(stage.look(4).await, ["model_1.onnx"]);
        assert!(stage.swaps().await.is_empty());
        assert_eq!(stage.stats.models_refused.get(), 1);
    });
}

#[test]
fn an_impossible_device_is_fatal() {
    play(async {
        let mut stage = Stage::following();
        stage.model(1, "impossible");
        stage.publish(1);
        stage.look(4).await;
        let reasons: Vec<_> = stage.root.take().await.into_iter().map(|fatal| fatal.reason).collect();
        assert_eq!(reasons, ["find a GPU"]);
    });
}

#[test]
fn a_fixed_model_is_loaded_once_by_itself_or_the_end() {
    play(async {
        let fixed = |name: &'static str| {
            move |dir: &Path| {
                fs::write(dir.join("good.onnx"), "good").unwrap();
                ModelOrigin::Fixed { path: Some(dir.join(name)), version: 8 }
            }
        };
        let mut stage = Stage::new(fixed("good.onnx"));
        assert_eq!(stage.swaps().await, [(1, 8)]);
        assert_eq!(stage.look(3).await, ["good.onnx"]);

        let mut stage = Stage::new(fixed("missing.onnx"));
        let fatal = stage.root.next().await;
        assert_eq!(fatal.reason, "there is no such file");
        assert!(stage.swaps().await.is_empty());
    });
}

#[test]
fn it_looks_by_itself_at_the_pace_of_its_poll() {
    play(async {
        let poll = Duration::from_millis(500);
        let mut stage = Stage::new(|dir| ModelOrigin::Follow { latest_yaml: dir.join("latest.yaml"), poll });
        tokio::time::sleep(Duration::from_secs(25)).await;
        stage.model(1, "good");
        stage.publish(1);
        let before = Instant::now();
        assert_eq!(stage.batcher.next().await.generation.version, 1);
        assert!(before.elapsed() <= 3 * poll, "{:?}", before.elapsed());
    });
}
