//! A worker: finished games out of the daemon's folder to the collector, models from the publisher to where the daemon finds them.
//!
//! In its folder:
//!
//! | | |
//! |---|---|
//! | `games/` | the daemon's folder of finished games, which are taken out of it |
//! | `outbox/` | what waits for the trainer |
//! | `models/` | models that were fetched, and `latest.yaml`, which the daemon follows |

mod models;

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use self::models::Models;
pub use self::models::ModelsState;
use super::troubles::{Troubles, words};
use crate::{
    disk::{Disk, failed},
    frame::MOST_GAMES,
    intake::{Intake, IntakeError},
    link::{LinkState, PlayerLink, ToPlayer, WorkerLink},
    models::{Hash, Standing},
    name::{Name, Origin},
    outbox::{Outbox, OutboxError, Owner},
    presence::{self, Block, Blocked, Judged, OutboxState, Said},
    worker::{Counts, WINDOW, Worker},
};

/// How often the folder of finished games is looked into: those of a while share a frame, and the waits for the disk.
const TAKE_EVERY: Duration = Duration::from_secs(1);

/// Frames that are made in one step.
const MOST_TAKES: usize = 8;

/// When what a disk or an outbox had no room for, or refused, is tried again.
const DISK_AGAIN: Duration = Duration::from_secs(5);

/// How soon a step comes after one that left something on its way.
const SOON: Duration = Duration::from_millis(100);

/// Which worker, and where it keeps what.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// The run that its games are for.
    pub run: Name,
    /// Its name.
    pub worker: Name,
    /// Its folder, which is made as needed within one that is there.
    pub dir: PathBuf,
    /// Most bytes of games that wait for the trainer.
    pub most_outbox_bytes: u64,
    /// Fingerprint of the settings that its games are played with.
    pub settings_hash: String,
    /// What a new outbox is known by: 128 random bits, drawn by the caller for each process.
    pub fresh: Origin,
}

impl WorkerConfig {
    /// The folder that the daemon writes finished games to.
    #[must_use]
    pub fn games(&self) -> PathBuf {
        self.dir.join("games")
    }

    /// The folder of games that wait for the trainer.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.dir.join("outbox")
    }

    /// The folder of models.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.dir.join("models")
    }

    /// The file that names the model to play with, for the daemon to follow.
    #[must_use]
    pub fn latest(&self) -> PathBuf {
        self.models().join(models::LATEST)
    }
}

/// What a daemon found of the newest model that it looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its version.
    pub generation: i64,
    /// Its contents, where they are known. Without them another model of the same version could be taken for it.
    pub sha256: Option<Hash>,
    /// What was found: it is on probation, has stood it, or was refused or withdrawn.
    pub standing: Standing,
}

/// What the daemon says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DaemonWord {
    /// The version of selfplayd.
    pub version: String,
    /// Which process it is, in words.
    pub process: String,
    /// The version of the model that it plays with.
    pub serving: Option<i64>,
    /// The newest model that it has looked into.
    pub newest: Option<Found>,
    /// What it does, in a word.
    pub playing: String,
    /// Games that it has finished since its process began.
    pub games: u64,
    /// How fast it is.
    pub simulations_per_second: f64,
    /// What keeps it from being faster.
    pub bottleneck: String,
}

/// How a worker is.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerState {
    /// The run that its games are for.
    pub run: Name,
    /// Its name.
    pub worker: Name,
    /// Its folder.
    pub dir: PathBuf,
    /// How the connection is.
    pub link: LinkState,
    /// What waits to be sent.
    pub outbox: OutboxState,
    /// What was sent since the process began.
    pub counts: Counts,
    /// Games that were taken into the outbox.
    pub games_taken: u64,
    /// Games that cannot be sent, and were moved aside.
    pub games_aside: u64,
    /// Why the last one was.
    pub aside: Option<String>,
    /// Frames of the outbox that were lost to the disk.
    pub frames_lost: u64,
    /// Why the last one was.
    pub lost: Option<String>,
    /// Models.
    pub models: ModelsState,
    /// Why no new games start, if they do not.
    pub blocked: Option<Blocked>,
    /// What goes wrong.
    pub troubles: Troubles,
}

/// All that is open.
#[derive(Debug)]
struct Open<D: Disk> {
    worker: Worker<D>,
    intake: Intake<D>,
    models: Models<D>,
}

/// See the module.
#[derive(Debug)]
pub struct WorkerService<L, D: Disk> {
    config: WorkerConfig,
    link: L,
    disk: D,
    open: Option<Open<D>>,
    now: Duration,
    /// When the folders are to be opened, if they are not.
    open_at: Duration,
    /// When the folder of games is to be looked into.
    take_at: Duration,
    /// When this worker is to say how it is.
    say_at: Duration,
    /// What it said last that others wait for.
    said: Option<(Option<Judged>, Option<i64>, Option<Block>)>,
    /// The oldest frame that waits, and since when it is that.
    oldest: Option<(u64, Duration)>,
    /// How many bytes were in the outbox when games did not fit, which still wait.
    full_at: Option<u64>,
    games_taken: u64,
    games_aside: u64,
    aside: Option<String>,
    frames_lost: u64,
    lost: Option<String>,
    troubles: Troubles,
}

impl<L: WorkerLink + PlayerLink, D: Disk + Clone> WorkerService<L, D> {
    /// A worker. Its folders are opened by the first step, or before by [`WorkerService::open`].
    #[must_use]
    pub fn new(config: WorkerConfig, link: L, disk: D) -> Self {
        Self {
            config,
            link,
            disk,
            open: None,
            now: Duration::ZERO,
            open_at: Duration::ZERO,
            take_at: Duration::ZERO,
            say_at: Duration::ZERO,
            said: None,
            oldest: None,
            full_at: None,
            games_taken: 0,
            games_aside: 0,
            aside: None,
            frames_lost: 0,
            lost: None,
            troubles: Troubles::default(),
        }
    }

    /// The link, for whoever made it.
    #[must_use]
    pub const fn link(&self) -> &L {
        &self.link
    }

    /// Opens the folders; to be called before the daemon starts, so that what a person must mend is said then.
    ///
    /// # Errors
    /// When a folder cannot be used, another process uses the outbox, or it holds games of another run or worker.
    pub fn open(&mut self) -> Result<(), IntakeError> {
        if self.open.is_some() {
            return Ok(());
        }
        let Self { config, disk, .. } = self;
        for dir in [&config.dir, &config.games(), &config.models()] {
            disk.create_dir(dir).map_err(failed("create directory", dir))?;
        }
        let owner = Owner { run: config.run.clone(), worker: config.worker.clone() };
        let mut outbox = Outbox::open(disk.clone(), config.outbox(), &owner, config.most_outbox_bytes, config.fresh)?;
        let intake = Intake::open(disk.clone(), config.games(), &mut outbox)?;
        let models = Models::open(disk.clone(), config.models(), config.worker.clone())?;
        self.open = Some(Open { worker: Worker::new(outbox), intake, models });
        Ok(())
    }

    /// Does what is due. `word`: what the daemon says of itself. In how long the next step should come.
    pub fn step(&mut self, now: Duration, word: &DaemonWord) -> Duration {
        self.now = now;
        if self.open.is_none() && now >= self.open_at {
            match self.open() {
                Ok(()) => self.troubles.clear("outbox"),
                Err(error) => {
                    self.open_at = now + DISK_AGAIN;
                    self.troubles.set("outbox", words(&error));
                }
            }
        }
        let mut next = self.open_at;
        if self.open.is_some() {
            self.hear();
            self.take();
            self.send();
            let is_busy = self.fetch();
            next = if is_busy { self.take_at.min(now + SOON) } else { self.take_at };
            self.note();
        }
        self.say(word);
        next.min(self.say_at).saturating_sub(now).clamp(Duration::from_millis(1), presence::EVERY)
    }

    /// Takes up all that was heard.
    fn hear(&mut self) {
        let Some(open) = &mut self.open else { return };
        let mut wrong = None;
        let mut heard = false;
        while let Some(event) = self.link.hear() {
            heard = true;
            if let Err(error) = open.worker.heard(event, self.now) {
                wrong = Some(words(&error));
            }
        }
        let wrong = open.worker.outbox().usable().err().map(|error| words(&error)).or(wrong);
        match wrong {
            Some(wrong) => self.troubles.set("outbox", wrong),
            None if heard => self.troubles.clear("outbox"),
            None => {}
        }
        while let Some(event) = self.link.hear_of_models() {
            match &event {
                ToPlayer::NoChunk { reason, .. } => {
                    self.troubles.set("model", format!("a part of a model does not come: {reason}"));
                }
                ToPlayer::Chunk { .. } => self.troubles.clear("model"),
                ToPlayer::Pointer { .. } => {}
            }
            open.models.heard(event, self.now, &mut self.troubles);
        }
    }

    /// Takes finished games into the outbox.
    fn take(&mut self) {
        let (is_due, full_at) = (self.now >= self.take_at, self.full_at);
        // Any room that there is since then may be enough.
        let has_more_room = |open: &Open<D>| full_at.is_some_and(|full_at| open.worker.outbox().bytes() < full_at);
        let Some(open) = self.open.as_mut().filter(|open| is_due || has_more_room(open)) else { return };
        self.take_at = self.now + TAKE_EVERY;
        for round in 1..=MOST_TAKES {
            let models = &open.models;
            match open.intake.take(open.worker.outbox_mut(), |version| models.sha256(version)) {
                Ok(0) => {
                    self.full_at = None;
                    self.troubles.clear("games");
                    break;
                }
                Ok(games) => {
                    self.games_taken += games as u64;
                    self.full_at = None;
                    self.troubles.clear("games");
                    if round == MOST_TAKES || games == MOST_GAMES {
                        self.take_at = self.now;
                    }
                }
                // They wait where they are, which is told as what keeps new games from being started.
                Err(IntakeError::Outbox(OutboxError::Full { .. })) => {
                    self.full_at = Some(open.worker.outbox().bytes());
                    self.take_at = self.now + DISK_AGAIN;
                    self.troubles.clear("games");
                    break;
                }
                Err(error) => {
                    self.take_at = self.now + DISK_AGAIN;
                    self.troubles.set("games", format!("finished games cannot be kept: {}", words(&error)));
                    break;
                }
            }
        }
        for aside in open.intake.take_aside() {
            self.games_aside += 1;
            self.aside = Some(format!("game {}: {}", aside.stem, aside.reason));
        }
    }

    /// Sends frames that are due.
    fn send(&mut self) {
        let Some(open) = &mut self.open else { return };
        for _ in 0..2 * WINDOW {
            match open.worker.send(&mut self.link, self.now) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.troubles.set("outbox", words(&error));
                    break;
                }
            }
        }
        for lost in open.worker.outbox_mut().take_lost() {
            self.frames_lost += 1;
            self.lost = Some(format!("frame {}: {}", lost.number, lost.reason));
        }
    }

    /// Fetches models, and says to the daemon which to play with. Whether something is on its way.
    fn fetch(&mut self) -> bool {
        let Some(open) = &mut self.open else { return false };
        let fetches = open.models.step(&mut self.link, self.now, &mut self.troubles);
        if !fetches {
            self.troubles.clear("model");
        }
        fetches || open.worker.is_sending()
    }

    /// Notes since when the oldest frame waits.
    fn note(&mut self) {
        let Some(open) = &self.open else { return };
        let outbox = open.worker.outbox();
        let oldest = (outbox.waiting() > 0).then(|| outbox.receipted() + 1);
        self.oldest = match (oldest, self.oldest) {
            (Some(number), Some((known, since))) if known == number => Some((number, since)),
            (Some(number), _) => Some((number, self.now)),
            (None, _) => None,
        };
    }

    /// Says how this worker is, where it is time or there is something new.
    fn say(&mut self, word: &DaemonWord) {
        let model = self.judged(word);
        let blocked = self.blocked();
        let news = Some((model.clone(), word.serving, blocked.as_ref().map(|blocked| blocked.why)));
        if self.now < self.say_at && self.said == news {
            return;
        }
        self.say_at = self.now + presence::EVERY;
        if !self.link.state().up {
            // It is said as soon as there is a connection.
            self.say_at = self.now + TAKE_EVERY;
            self.said = None;
            return;
        }
        let said = Said {
            version: word.version.clone(),
            process: word.process.clone(),
            model,
            serving: word.serving,
            playing: word.playing.clone(),
            games: word.games,
            simulations_per_second: word.simulations_per_second,
            bottleneck: word.bottleneck.clone(),
            outbox: self.outbox(),
            blocked,
            trouble: self.troubles.words(),
            ..Said::default()
        };
        self.link.say(said.to_json().into_bytes());
        self.said = news;
    }

    /// What the daemon found, of a model that is known by its contents.
    fn judged(&self, word: &DaemonWord) -> Option<Judged> {
        let Found { generation, sha256, standing } = word.newest.clone()?;
        let known = || self.open.as_ref().and_then(|open| open.models.hash(generation));
        Some(Judged { sha256: sha256.or_else(known)?, generation, standing })
    }

    /// Why no new games are to be started, if they are not; to be asked after each step.
    #[must_use]
    pub fn blocked(&self) -> Option<Blocked> {
        let blocked = |why, words: String| Some(Blocked { why, words });
        let Some(open) = &self.open else {
            return self
                .troubles
                .get("outbox")
                .and_then(|words| blocked(Block::OutboxUnusable, format!("games cannot be kept: {words}")));
        };
        if let Some(words) = self.troubles.get("games") {
            return blocked(Block::OutboxUnusable, words.to_owned());
        }
        let outbox = open.worker.outbox();
        if let Err(error) = outbox.usable() {
            return blocked(Block::OutboxUnusable, words(&error));
        }
        let OutboxState { bytes, most_bytes, .. } = self.outbox();
        if outbox.is_full() || self.full_at.is_some() {
            let link = self.link.state();
            let why = if link.up { "the collector is behind or away".to_owned() } else { link.words };
            let dir = self.config.outbox();
            let words = format!("outbox full: {bytes} of at most {most_bytes} bytes wait in {}: {why}", dir.display());
            return blocked(Block::OutboxFull, words);
        }
        let theirs = open.models.settings_hash()?;
        let ours = &self.config.settings_hash;
        if !theirs.is_empty() && !ours.is_empty() && theirs != ours {
            let words = format!(
                "settings differ from the trainer's: games of settings {ours} are none of this run's, which are of {theirs}; copy its config.yaml here"
            );
            return blocked(Block::SettingsDiffer, words);
        }
        None
    }

    fn outbox(&self) -> OutboxState {
        let most_bytes = self.config.most_outbox_bytes;
        let Some(open) = &self.open else { return OutboxState { most_bytes, ..OutboxState::default() } };
        let outbox = open.worker.outbox();
        let oldest_seconds = self.oldest.map_or(0, |(_, since)| self.now.saturating_sub(since).as_secs());
        OutboxState { frames: outbox.waiting(), bytes: outbox.bytes(), most_bytes, oldest_seconds }
    }

    /// How it is, as of the last step.
    #[must_use]
    pub fn state(&self) -> WorkerState {
        let open = self.open.as_ref();
        WorkerState {
            run: self.config.run.clone(),
            worker: self.config.worker.clone(),
            dir: self.config.dir.clone(),
            link: self.link.state(),
            outbox: self.outbox(),
            counts: open.map(|open| open.worker.counts().clone()).unwrap_or_default(),
            games_taken: self.games_taken,
            games_aside: self.games_aside,
            aside: self.aside.clone(),
            frames_lost: self.frames_lost,
            lost: self.lost.clone(),
            models: open.map(|open| open.models.state()).unwrap_or_default(),
            blocked: self.blocked(),
            troubles: self.troubles.clone(),
        }
    }
}
