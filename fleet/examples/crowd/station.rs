//! A worker as a daemon has it, on a thread of the same name, but for the play: games come from the pool, and a model that has come is
//! said to be proven.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use selfplay_engine::replay::{SessionId, StemClock};
use selfplay_fleet::{
    disk::RealDisk,
    folder::WorkerFile,
    frame::{Model, OutGame, Packer},
    models::Standing,
    name::{Name, Origin},
    nats::{Bell, NatsWorker},
    outbox::{Outbox, Owner},
    service::{DaemonWord, Found, WorkerConfig, WorkerService, WorkerState},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::pool::{Pool, unix_ms};

/// Longest time between two steps, as in a daemon.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes that an outbox may hold.
const MOST_OUTBOX_BYTES: u64 = 10 << 30;

/// See the module.
pub(crate) struct Station {
    file: WorkerFile,
    config: WorkerConfig,
    stems: StemClock,
    finished: u64,
    /// Games up to each frame that was filled in advance.
    filled: Vec<u64>,
    state: Arc<Mutex<Option<WorkerState>>>,
}

impl Station {
    /// The worker of this file, with a folder of its own in `dir`. It does nothing yet.
    pub(crate) fn new(file: &Path, dir: &Path, settings_hash: &str) -> anyhow::Result<Self> {
        let file = WorkerFile::read(file)?;
        let session = SessionId::of_this_process();
        let mut fresh = [0; 16];
        fresh.copy_from_slice(&Sha256::digest(format!("{session} {} {}", file.worker(), unix_ms()))[..16]);
        let config = WorkerConfig {
            run: file.run().clone(),
            worker: file.worker().clone(),
            dir: dir.join(file.worker().as_str()),
            most_outbox_bytes: MOST_OUTBOX_BYTES,
            settings_hash: settings_hash.to_owned(),
            fresh: Origin::new(fresh),
        };
        let stems = StemClock::new(session, 0);
        Ok(Self { file, config, stems, finished: 0, filled: vec![0], state: Arc::default() })
    }

    pub(crate) fn name(&self) -> &Name {
        &self.config.worker
    }

    /// Fills the outbox before anything is sent; bytes of the frames.
    pub(crate) fn fill(&mut self, games: u64, pool: &Pool) -> anyhow::Result<u64> {
        let WorkerConfig { run, worker, dir, most_outbox_bytes, fresh, .. } = &self.config;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let owner = Owner { run: run.clone(), worker: worker.clone() };
        let mut outbox = Outbox::open(RealDisk, dir.join("outbox"), &owner, *most_outbox_bytes, *fresh)?;
        let mut packer = Packer::new()?;
        let mut packed = Vec::new();
        for number in 0..games {
            let game = pool.game(number);
            let model = Model { version: 0, sha256: [0; 32] };
            let stem = self.stems.next(unix_ms(), number);
            let (yaml, npz) = (game.yaml.clone(), game.npz.clone());
            packed.push(packer.pack(&OutGame { stem, model, yaml, npz })?);
            // As many as a frame takes: packed games are of about the same size.
            let bytes: usize = packed.iter().map(|game| game.bytes.len()).sum();
            let is_full = bytes + bytes / packed.len() > selfplay_fleet::frame::TARGET_BYTES;
            if is_full || packed.len() == selfplay_fleet::frame::MOST_GAMES || number + 1 == games {
                outbox.write(pool.settings_hash(), &packed)?;
                // Should they have taken two frames, the first has most of them.
                let sum = self.filled.last().copied().unwrap_or_default() + packed.len() as u64;
                self.filled.resize(outbox.last() as usize + 1, sum);
                packed.clear();
            }
        }
        Ok(outbox.bytes())
    }

    /// Connects, and goes on until the process ends. `begun`: the time that all of the crowd begin to count from.
    pub(crate) fn start(&self, servers: &[String], begun: Instant) -> anyhow::Result<()> {
        let (ring, rung) = mpsc::sync_channel(1);
        let bell = Bell::new(move || {
            // One that has rung already is enough.
            ring.try_send(()).ok();
        });
        let config = self.config.clone();
        let link = NatsWorker::connect(self.file.dial(servers)?, &config.run, &config.worker, bell)?;
        let mut service = WorkerService::new(config, link, RealDisk);
        service.open()?;
        let state = self.state.clone();
        thread::Builder::new().name("fleet".to_owned()).spawn(move || live(service, &rung, begun, &state))?;
        Ok(())
    }

    /// Finishes a game, as the writer of a daemon leaves it.
    pub(crate) fn finish(&mut self, pool: &Pool, number: u64) -> anyhow::Result<()> {
        let game = pool.game(number);
        let stem = self.stems.next(unix_ms(), self.finished);
        let path = |ending: &str| self.config.games().join(format!("{stem}.{ending}"));
        fs::write(path("yaml"), &game.yaml)
            .and_then(|()| fs::write(path("part"), &game.npz))
            .and_then(|()| fs::rename(path("part"), path("npz")))
            .with_context(|| format!("cannot write a game of {}", self.name()))?;
        self.finished += 1;
        Ok(())
    }

    /// How it was last; nothing before its first step.
    pub(crate) fn state(&self) -> Option<WorkerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Games, of those that were filled in, that the trainer has, where so many frames wait.
    pub(crate) fn done(&self, waiting: u64) -> u64 {
        let frames = self.filled.len() as u64 - 1;
        self.filled[frames.saturating_sub(waiting) as usize]
    }
}

fn live(
    mut service: WorkerService<NatsWorker, RealDisk>,
    rung: &Receiver<()>,
    begun: Instant,
    told: &Mutex<Option<WorkerState>>,
) {
    let mut word = DaemonWord { version: "crowd".to_owned(), playing: "playing".to_owned(), ..DaemonWord::default() };
    let mut newest = (None, 0.0);
    loop {
        let wait = service.step(begun.elapsed(), &word);
        let state = service.state();
        let models = &state.models;
        if models.newest != newest.0 {
            newest = (models.newest, seconds_since_1970());
        }
        let named = models.named.filter(|named| word.serving != Some(*named));
        if let Some(generation) = named {
            let model = json!({"version": generation, "told": newest.1, "named": seconds_since_1970()});
            println!("{}", json!({"model": model, "worker": state.worker}));
            let found = Found { generation, sha256: None, standing: Standing::Proven };
            (word.serving, word.newest) = (named, Some(found));
        }
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        if named.is_none() {
            rung.recv_timeout(wait.min(LOOK_EVERY)).ok();
        }
    }
}

fn seconds_since_1970() -> f64 {
    unix_ms() as f64 / 1e3
}

/// Files of workers in a folder, in the order of their names.
pub(crate) fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut files: Vec<_> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "worker"))
        .collect();
    files.sort();
    Ok(files)
}
