//! The loader beside a trainer that writes good, bad and changing files.

mod gate;
mod incomplete;
mod origins;
mod pause;
mod withdrawn;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use actix::Addr;
use tempfile::TempDir;

use super::{service::ON_ITS_WAY, *};
use crate::{
    onnx::{Checksum, ModelFile},
    supervision,
    testing::{Inbox, Model, Numbers, play},
};

/// Its own timer never comes into play.
const NEVER: Duration = Duration::from_secs(1_000_000);

/// Says what the model file says: `good` and what follows it, `impossible`, `2 evaluators`, `panic`, `half` of a model; anything
/// else is a reason to refuse it. What follows a `+` is the name of a file of weights. Notes which files it reads and which
/// models it loads.
struct Scripted {
    reads: Arc<Mutex<Vec<String>>>,
    loads: Arc<Mutex<Vec<String>>>,
    /// Another program holds the device.
    held: Arc<Mutex<bool>>,
    /// What happens once while a file is read.
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    contents: std::collections::HashMap<Checksum, String>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl ModelSource<Numbers> for Scripted {
    fn read(&mut self, candidate: &Candidate) -> Result<ModelFile, LoadFailure> {
        self.reads.lock().unwrap().push(name(&candidate.path));
        let text = fs::read_to_string(&candidate.path)
            .map_err(|_| LoadFailure::Unreadable("there is no such file".to_owned()))?;
        if let Some(happens) = self.meanwhile.lock().unwrap().take() {
            happens();
        }
        if text == "half" {
            return Err(LoadFailure::Unfinished("half a model".to_owned()));
        }
        let mut bytes = text.clone().into_bytes();
        for weights in self.weight_files(&candidate.path) {
            let read = fs::read(&weights);
            bytes.extend(read.map_err(|_| LoadFailure::Unreadable(format!("no {}", name(&weights))))?);
        }
        let model = ModelFile::from_bytes(&candidate.path, bytes).unwrap();
        assert!(candidate.sha256.as_ref().is_none_or(|sum| *sum == model.checksum().to_string()));
        self.contents.insert(model.content(), text);
        Ok(model)
    }

    fn weight_files(&mut self, path: &Path) -> Vec<PathBuf> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split('+').skip(1).map(|weights| path.with_file_name(weights)).collect()
    }

    fn load(&mut self, model: &ModelFile) -> Result<LoadedModel<Numbers>, LoadFailure> {
        let name = name(model.path());
        self.loads.lock().unwrap().push(name.clone());
        if *self.held.lock().unwrap() {
            return Err(LoadFailure::Impossible("find room on the GPU".to_owned()));
        }
        let count = match self.contents[&model.content()].as_str() {
            good if good.starts_with("good") => 1,
            "2 evaluators" => 2,
            "panic" => panic!("as planned: {name}"),
            "impossible" => return Err(LoadFailure::Impossible("find a GPU".to_owned())),
            reason => return Err(LoadFailure::Refused(reason.to_owned())),
        };
        let evaluators = (0..count).map(|_| Box::new(Model(0)) as Box<dyn selfplay_engine::Evaluator<Numbers>>);
        Ok(LoadedModel { evaluators: evaluators.collect(), encoding: (), description: name })
    }
}

struct Stage {
    dir: TempDir,
    loader: Addr<ModelLoaderActor<Numbers>>,
    reads: Arc<Mutex<Vec<String>>>,
    loads: Arc<Mutex<Vec<String>>>,
    held: Arc<Mutex<bool>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
    /// The generation that the batcher has taken into service.
    in_service: Arc<AtomicU64>,
    batcher: Inbox<SwapModel<Numbers>>,
    unload: Inbox<UnloadModel>,
    control: Arc<Control>,
    writer: Inbox<UseEncoding<Numbers>>,
    games: Inbox<StartGames>,
    root: Inbox<Fatal>,
    stats: Arc<Stats>,
}

impl Stage {
    fn new(origin: impl FnOnce(&Path) -> ModelOrigin) -> Self {
        Self::with(origin, None, (None, None))
    }

    fn with(
        origin: impl FnOnce(&Path) -> ModelOrigin,
        first: Option<(i64, &str)>,
        (entered, examine): (Option<Recipient<Entered>>, Option<Recipient<Examine>>),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (reads, loads, held, meanwhile) = Default::default();
        let in_service = Arc::new(AtomicU64::new(u64::MAX));
        let served = in_service.clone();
        let (unload, control) = (Inbox::new(), Arc::new(Control::default()));
        let (batcher, writer, games, root) = (Inbox::new(), Inbox::new(), Inbox::new(), Inbox::new());
        let addresses = LoaderAddresses {
            batcher: batcher.address.clone(),
            unload: unload.address.clone(),
            in_service: Arc::new(move || served.load(Ordering::Relaxed)),
            writer: writer.address.clone(),
            games: games.address.clone(),
            root: root.address.clone(),
            entered,
            examine,
        };
        let stats = Arc::new(Stats::default());
        let source = Scripted {
            reads: Arc::clone(&reads),
            loads: Arc::clone(&loads),
            held: Arc::clone(&held),
            meanwhile: Arc::clone(&meanwhile),
            contents: first.iter().map(|&(_, text)| (Checksum::of(text.as_bytes()), text.to_owned())).collect(),
        };
        let first = first.map(|(version, text)| {
            let file = ModelFile::from_bytes(format!("model_{version}.onnx"), text.as_bytes().to_vec()).unwrap();
            Entrant { version, file }
        });
        let origin = (origin(dir.path()), first);
        let actor = ModelLoaderActor::new(Box::new(source), origin, 1, addresses, control.clone(), stats.clone());
        let (loader, mailbox) = supervision::mailbox();
        actix::spawn(mailbox.supervise(actor, crate::testing::supervised()));
        Self {
            dir,
            loader,
            reads,
            loads,
            held,
            meanwhile,
            in_service,
            batcher,
            unload,
            control,
            writer,
            games,
            root,
            stats,
        }
    }

    fn following() -> Self {
        Self::new(|dir| ModelOrigin::Follow { followed: Followed::LatestYaml(dir.join("latest.yaml")), poll: NEVER })
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

    /// Files read since the last call.
    fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.reads.lock().unwrap())
    }

    /// A model of these contents is published, and looked at until nothing more happens; returns what was loaded.
    async fn offer(&mut self, version: i64, contents: &str) -> Vec<String> {
        self.model(version, contents);
        self.publish(version);
        self.look(5).await
    }

    async fn withdraw(&mut self, number: u64, version: i64) {
        let generation = Generation { number, version };
        self.loader.send(ModelWithdrawn { generation, reason: "it answers NaN".to_owned() }).await.unwrap();
    }

    async fn prove(&mut self, number: u64, version: i64) {
        self.loader.send(ModelProven { generation: Generation { number, version } }).await.unwrap();
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
        assert!(stage.look(5).await.is_empty(), "its file is not there");
        assert_eq!(stage.read(), ["model_1.onnx"]);
        stage.model(1, "too small");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        stage.model(1, "far too small");
        assert_eq!(stage.look(5).await, ["model_1.onnx"]);
        assert_eq!(stage.stats.models_refused.get(), 2, "a file that is not there is no bad model");
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
        let mut stage =
            Stage::new(|dir| ModelOrigin::Follow { followed: Followed::LatestYaml(dir.join("latest.yaml")), poll });
        tokio::time::sleep(Duration::from_secs(25)).await;
        stage.model(1, "good");
        stage.publish(1);
        let before = Instant::now();
        assert_eq!(stage.batcher.next().await.generation.version, 1);
        assert!(before.elapsed() <= 3 * poll, "{:?}", before.elapsed());
    });
}

#[test]
fn a_refused_model_is_neither_read_nor_tried_again() {
    play(async {
        let mut stage = Stage::following();
        assert_eq!(stage.offer(1, "bad").await, ["model_1.onnx"]);
        assert_eq!(stage.read(), ["model_1.onnx"]);
        assert!(stage.look(20).await.is_empty() && stage.read().is_empty());
        // The same contents under another name and version: read, and known.
        assert!(stage.offer(2, "bad").await.is_empty());
        assert_eq!(stage.read(), ["model_2.onnx"]);
        assert!(stage.look(20).await.is_empty() && stage.read().is_empty());
        assert_eq!(stage.stats.models_refused.get(), 2);
        let noted = stage.stats.rejections.after(0);
        assert!(noted.iter().map(|rejection| (rejection.version, rejection.withdrawn)).eq([(1, false), (2, false)]));
        assert!(noted.iter().all(|rejection| !rejection.reason.is_empty()), "{noted:?}");
        assert_eq!(stage.offer(3, "good").await, ["model_3.onnx"]);
    });
}

#[test]
fn what_cannot_be_read_is_read_again_after_a_while() {
    play(async {
        let mut stage = Stage::following();
        fs::create_dir(stage.dir.path().join("model_1.onnx")).unwrap();
        stage.publish(1);
        assert!(stage.look(20).await.is_empty());
        assert_eq!(stage.read().len(), 1);
        tokio::time::sleep(Duration::from_secs(60)).await;
        stage.look(20).await;
        assert_eq!(stage.read().len(), 1);
    });
}

#[test]
fn a_model_lost_on_its_way_into_service_is_sent_again() {
    play(async {
        let mut stage = Stage::following();
        stage.in_service.store(0, Ordering::Relaxed);
        stage.offer(3, "good").await;
        fs::remove_file(stage.dir.path().join("model_3.onnx")).unwrap();
        assert_eq!((stage.look(5).await.len(), stage.swaps().await), (0, vec![(1, 3)]), "it may be on its way");
        tokio::time::sleep(ON_ITS_WAY).await;
        stage.look(5).await;
        assert_eq!(stage.swaps().await, [(2, 3)]);
        stage.in_service.store(2, Ordering::Relaxed);
        stage.look(1).await;
        tokio::time::sleep(2 * ON_ITS_WAY).await;
        stage.look(5).await;
        assert!(stage.swaps().await.is_empty(), "it arrived");
    });
}

#[test]
fn a_fixed_model_that_was_lost_is_sent_again_too() {
    play(async {
        let mut stage = Stage::new(|dir| {
            fs::write(dir.join("only.onnx"), "good").unwrap();
            ModelOrigin::Fixed { path: Some(dir.join("only.onnx")), version: 8 }
        });
        stage.in_service.store(0, Ordering::Relaxed);
        assert_eq!(stage.swaps().await, [(1, 8)]);
        let again = stage.batcher.next().await.generation;
        assert_eq!((again.number, again.version), (2, 8));
    });
}

#[test]
fn a_file_that_makes_the_loader_panic_is_refused_in_the_end() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.model(2, "panic");
        stage.publish(2);
        let mut loads = Vec::new();
        // A panic takes the rest of a round of looks with it.
        for _ in 0..30 {
            if stage.loader.send(LookForModel).await.is_ok() {
                loads.append(&mut stage.loads.lock().unwrap());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(loads.iter().filter(|name| *name == "model_2.onnx").count(), 2);
        assert_eq!(stage.stats.models_refused.get(), 1);
        assert_eq!(stage.offer(3, "good too").await, ["model_3.onnx"]);
        assert_eq!(stage.swaps().await, [(1, 1), (2, 3)]);
    });
}

#[test]
fn a_serving_model_survives_its_file_and_an_idle_touch() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.model(1, "good");
        stage.look(5).await;
        fs::remove_file(stage.dir.path().join("model_1.onnx")).unwrap();
        stage.look(5).await;
        assert_eq!((stage.swaps().await, stage.stats.models_refused.get()), (vec![(1, 1)], 0));
        stage.model(1, "good but new");
        stage.look(5).await;
        assert_eq!(stage.swaps().await, [(2, 1)], "the same version with other contents");
    });
}

#[test]
fn a_lost_device_is_not_fatal_once_a_model_serves() {
    play(async {
        let mut stage = Stage::following();
        stage.offer(1, "good").await;
        stage.offer(2, "impossible").await;
        assert!(stage.root.take().await.is_empty());
        assert_eq!((stage.swaps().await, stage.stats.models_refused.get()), (vec![(1, 1)], 1));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(stage.look(5).await, ["model_2.onnx"], "it is tried again after a while");
    });
}
