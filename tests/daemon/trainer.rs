//! A stand-in for the trainer: its directories, how it hands models over, and how it takes games away (contract, sections 5,
//! 6 and 8).

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use selfplay_engine::replay::GameMetadata;
use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::Daemon,
    games::{Written, archives, names, strict_metadata},
    numpy::{Loaded, Numpy},
    wait,
};

const LOCK_FILE: &str = ".recovery.lock";

/// How `latest.yaml` writes a file name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar {
    /// On the line of its key.
    Plain,
    /// On the next line, as PyYAML writes long ones.
    Folded,
}

/// A game that the trainer has taken.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) metadata: GameMetadata,
    pub(crate) loaded: Loaded,
}

/// A training run.
pub(crate) struct Trainer {
    run: TempDir,
    config: Config,
    numpy: Numpy,
    /// Games taken so far, in order.
    pub(crate) games: Vec<Ingested>,
}

impl Trainer {
    /// Makes the directories of a run and writes its configuration.
    pub(crate) fn new(config: Config) -> Self {
        let run = TempDir::new().unwrap();
        for dir in ["models/checkpoints", "replay_buffers/ready/tmp", "reports"] {
            fs::create_dir_all(run.path().join(dir)).unwrap();
        }
        config.write(run.path());
        Self { run, config, numpy: Numpy::start(), games: Vec::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.run.path().join(name)
    }

    pub(crate) fn ready(&self) -> PathBuf {
        self.path("replay_buffers/ready")
    }

    /// The daemon as `train_v2.py` launches it.
    pub(crate) fn daemon(&self) -> Daemon {
        Daemon::playing(&self.path("config.yaml"), &self.ready())
            .flag("--continuous")
            .option("--latest-model-yaml", self.path("models/latest.yaml"))
            .option("--shutdown-file", self.path(".shutdown"))
    }

    /// Hands over a version of the network: the ONNX file first, then `latest.yaml`, which names a checkpoint.
    pub(crate) fn publish(&self, version: i64, onnx: &Path, scalar: Scalar) {
        let checkpoint = self.path("models/checkpoints").join(format!("model_{version}.pt"));
        fs::write(&checkpoint, "weights").unwrap();
        fs::copy(onnx, checkpoint.with_extension("onnx")).unwrap();
        let filename = match scalar {
            Scalar::Plain => format!("filename: {}\n", checkpoint.display()),
            Scalar::Folded => format!("filename:\n  {}\n", checkpoint.display()),
        };
        let models = self.path("models");
        let mut latest = tempfile::NamedTempFile::new_in(&models).unwrap();
        writeln!(latest, "{filename}version: {version}").unwrap();
        assert_eq!(latest.as_file().metadata().unwrap().permissions().mode() & 0o777, 0o600, "as mkstemp makes it");
        latest.persist(models.join("latest.yaml")).unwrap();
    }

    /// Removes the network of a version, as trainers do with what they have handed over.
    pub(crate) fn remove_model(&self, version: i64) {
        fs::remove_file(self.path(&format!("models/checkpoints/model_{version}.onnx"))).unwrap();
    }

    /// Says how the training goes.
    pub(crate) fn tell(&self, figures: &str) {
        let new = self.path("models/new");
        fs::write(&new, figures).unwrap();
        fs::rename(new, self.path("models/trainer.json")).unwrap();
    }

    /// Publishes the network of these tests.
    pub(crate) fn publish_network(&self, version: i64, scalar: Scalar) {
        self.publish(version, &model("b5w3_resnet_2x32.onnx"), scalar);
    }

    /// One round of the ingest loop: takes all games that are there. Panics where the trainer would die, and at any game that
    /// is not what it says.
    pub(crate) fn ingest(&mut self) {
        for npz in archives(&self.ready()) {
            let taken = self.path("replay_buffers").join(format!("game_{:07}.npz", self.games.len() + 1));
            let yaml = taken.with_extension("yaml");
            fs::rename(npz.with_extension("yaml"), &yaml).expect("the YAML file is there before the archive");
            let metadata = strict_metadata(&yaml);
            fs::rename(&npz, &taken).unwrap();
            let loaded = self.numpy.load(&taken, &metadata, self.config);
            loaded.is_in_order(&taken);
            Written::read(&taken, self.config);
            self.games.push(Ingested { metadata, loaded });
        }
    }

    /// Takes games until `enough` of them are of `version`.
    pub(crate) fn ingest_games_of(&mut self, version: i64, enough: usize) {
        wait::until(&format!("{enough} games of model {version}"), || {
            self.ingest();
            let found = self.games.iter().filter(|game| game.metadata.model_version == version).count();
            (found >= enough).then_some(())
        });
    }

    /// Tells all daemons to stop.
    pub(crate) fn shut_down(&self) {
        fs::write(self.path(".shutdown"), "").unwrap();
    }

    /// Takes the last games after the daemons have ended; nothing may be left behind.
    pub(crate) fn ingest_the_rest(&mut self) {
        self.ingest();
        self.is_tidy();
    }

    /// No file is left in the directory of finished games or in its `tmp/`.
    pub(crate) fn is_tidy(&self) {
        assert_eq!(names(&self.ready()), ["tmp"]);
        assert_eq!(names(&self.lock_file().with_file_name("")), [LOCK_FILE]);
    }

    /// No game is finished, and a journal keeps those in play.
    pub(crate) fn keeps_games(&self) {
        assert_eq!(names(&self.ready()), ["tmp"]);
        // A process that ends at once takes nothing away.
        let mut tmp = names(&self.lock_file().with_file_name(""));
        tmp.retain(|name| !name.starts_with("daemon_"));
        assert!(matches!(&tmp[..], [lock, journal] if lock == LOCK_FILE && journal.ends_with(".journal")), "{tmp:?}");
    }

    /// What a daemon locks while it looks after what others left.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.ready().join("tmp").join(LOCK_FILE)
    }
}
