//! The model loader actor: brings the first model into service and, beside a trainer, every newer one; takes the one before
//! back when the serving one is withdrawn. It lives on a thread of its own, because loading blocks.
//!
//! What there is to be found goes through these states; each look ([`LookForModel`]) is one step:
//!
//! ```text
//! nothing ─▶ changing ─▶ still ─▶ read ─▶ checked ─▶ in service
//!               ▲          │        │        └─▶ refused: passed over until a file of it changes, or on request
//!               │          │        └─▶ incomplete: read again when a file of it changes, and now and then
//!               └──────────┴────────────┘ whenever any file of it is not as it was at the look before
//! ```
//!
//! - A model is *still* when two looks saw all of its files alike, those that its graph keeps weights in among them
//!   (`feed`). That also holds for the model in service: should a file of it change, it is looked at again.
//! - What was read counts only if all files are afterwards as they were before.
//! - A model of which a file is missing, too short or not to be read is *incomplete* for as long as it takes. One that is no
//!   ONNX file, is not what its checksum is of, or whose weights are nothing but zeros may be the begin of a copy: it is refused
//!   once it has been still for `unfinished::PATIENCE`. Neither counts as refused before; both are said once, after
//!   `unfinished::SAY_AFTER`.
//! - What names the model may be *unreadable*, such as a `latest.yaml` with a typing error. That is said once per reason.
//!
//! The last finding is in [`Stats::findings`]. The model in service is in `Serving` until another takes its place, it is
//! withdrawn, or, `released`, given up for a pause and brought back from memory.

mod consider;
mod feed;
mod latest;
mod pause;
mod refusals;
mod source;
#[cfg(test)]
mod tests;
mod unfinished;
mod withdrawal;

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

pub use self::feed::{Candidate, Followed, ModelOrigin, NewestBy};
#[doc(hidden)]
pub use self::latest::read_any_latest_yaml;
use self::refusals::Refusals;
pub use self::source::{
    LoadFailure, LoadedModel, ModelSource, OnnxSource, Placed, SyntheticEvaluator, SyntheticSource,
};
use self::{
    feed::{Feed, Seen, Sighting},
    unfinished::{Overdue, Unfinished},
};
use crate::{
    batcher::{ModelProven, ModelWithdrawn, SwapModel, UnloadModel},
    control::Control,
    findings::{Found, LookOutcome},
    games::StartGames,
    onnx::ModelFile,
    stats::Stats,
    ticket::Generation,
    writer::EncodingChosen,
};

/// How often the log says that there is still no model.
const REMINDER: Duration = Duration::from_secs(10);
/// How long a model may be on its way to the inference threads before it is taken for lost and sent again.
const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// How often a model that is the only one ever is looked at until it serves.
const FIXED_POLL: Duration = Duration::from_secs(1);
/// Times that the loader may panic over a file before it refuses it.
const PANICS: u32 = 2;
/// Niceness of the loader's thread: on a busy CPU it gets about a tenth of what an inference thread gets.
const NICENESS: i32 = 10;

/// Whom the loader tells of a new model.
#[derive(Clone)]
pub struct LoaderAddresses<G: Game> {
    /// Takes it into service.
    pub batcher: Recipient<SwapModel<G>>,
    /// Takes it out of service for a pause.
    pub unload: Recipient<UnloadModel>,
    /// Tells whether it did: the number of the generation that new batches go to, 0 before the first model.
    pub in_service: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Hears of its encoding.
    pub writer: Recipient<EncodingChosen<G>>,
    /// May start games.
    pub games: Recipient<StartGames>,
    /// Hears when there can never be a model.
    pub root: Recipient<Fatal>,
}

/// Look for a model. Sent by the loader's own timer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookForModel;

/// Look for a model now, and give what was refused or not to be had another chance. Sent by the root on request.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookNow {
    /// Hears that a model is on its way, if one is, and then what was found; closed after that.
    pub(crate) tell: Option<UnboundedSender<Found>>,
}

/// The inference threads are to drop the model until play is resumed, which brings a model back. Sent by the
/// root during pause number `pause`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReleaseModel {
    /// The pause: of no effect when it is over.
    pub(crate) pause: u64,
}

/// Nothing can ever be played. Sent by the loader.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Fatal {
    /// What to tell the user.
    pub reason: String,
}

/// Lets the calling thread run only where others leave time. To be called on the thread that a loader will live on; that
/// play then suffers more from loading is all that comes of a failure.
pub fn lower_priority() {
    // Without a process to name, Linux takes the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "models are loaded at normal priority");
    }
}

/// A model in memory, with the generation it serves or served as.
#[derive(Clone)]
struct Kept {
    generation: Generation,
    model: ModelFile,
}

/// The model that evaluates, or will as soon as the batcher hears of it.
struct Serving {
    kept: Kept,
    /// Its probation is over.
    proven: bool,
    /// When it was sent to the batcher; `None` once it serves.
    sent: Option<Instant>,
}

/// Finds, checks and serves models. Keeps the serving one and the last one proven before it.
pub struct ModelLoaderActor<G: Game> {
    source: Box<dyn ModelSource<G>>,
    origin: ModelOrigin,
    /// Inference threads: a model must bring an evaluator for each.
    threads: usize,
    addresses: LoaderAddresses<G>,
    control: Arc<Control>,
    stats: Arc<Stats>,
    feed: Option<Feed>,
    /// Number of the last generation there was.
    number: u64,
    serving: Option<Serving>,
    /// The serving model was taken from the threads for a pause.
    released: bool,
    /// When it was last tried to bring it back.
    tried: Option<Instant>,
    /// The last model before the serving one that passed its probation.
    proven: Option<Kept>,
    /// The file that the serving model was last seen in.
    taken: Option<Sighting>,
    /// The file that is being looked into, and how often that was begun.
    begun: Option<(Sighting, u32)>,
    refusals: Refusals,
    /// The newest model, while it is not complete.
    unfinished: Unfinished,
    /// What names the model could not be read at the last look.
    unreadable: bool,
    /// Waits for what is found.
    asked: Option<UnboundedSender<Found>>,
    encoding: Option<G::Encoding>,
    reminded: Option<Instant>,
}

impl<G: Game> ModelLoaderActor<G> {
    /// A loader for `threads` inference threads that starts to look when it starts.
    pub fn new(
        source: Box<dyn ModelSource<G>>,
        origin: ModelOrigin,
        threads: usize,
        addresses: LoaderAddresses<G>,
        control: Arc<Control>,
        stats: Arc<Stats>,
    ) -> Self {
        let feed = match &origin {
            ModelOrigin::Fixed { .. } => None,
            ModelOrigin::Follow { followed, .. } => Some(Feed::new(followed.clone())),
        };
        Self {
            source,
            origin,
            threads,
            addresses,
            control,
            stats,
            feed,
            number: 0,
            serving: None,
            released: false,
            tried: None,
            proven: None,
            taken: None,
            begun: None,
            refusals: Refusals::default(),
            unfinished: Unfinished::default(),
            unreadable: false,
            asked: None,
            encoding: None,
            reminded: None,
        }
    }

    /// Looks once. What was found, unless that takes another look.
    fn look(&mut self) -> Option<Found> {
        let seen = self.glance();
        let rests = self.control.is_paused(); // The device is for others now.
        if !rests {
            self.see_to_service();
        }
        let found = match (self.origin.clone(), seen) {
            (ModelOrigin::Fixed { path, version }, _) => {
                if self.number == 0 && !rests {
                    self.load_fixed(Candidate { path: path.unwrap_or_default(), version, sha256: None });
                }
                self.serving.is_some().then(|| Found::of(LookOutcome::Unchanged, version))
            }
            (ModelOrigin::Follow { followed, .. }, seen) => {
                let found = seen.and_then(|seen| self.understand(seen, &followed, rests));
                self.say(found.as_ref(), &followed);
                found
            }
        };
        if !rests {
            self.bring_back();
        }
        found
    }

    /// Looks, so that the next look may find that all is still.
    fn glance(&mut self) -> Option<Seen> {
        let Self { feed, source, .. } = self;
        feed.as_mut().map(|feed| feed.look(|path| source.weight_files(path)))
    }

    /// Finds out what it is that was seen, and takes it into service if it is a new model.
    fn understand(&mut self, seen: Seen, followed: &Followed, rests: bool) -> Option<Found> {
        match seen {
            Seen::Nothing => {
                self.unfinished.over();
                let reason = format!("there is no model {}", followed.describe());
                Some(Found::because(LookOutcome::Nothing, None, reason))
            }
            Seen::Unreadable(reason) => Some(Found::because(LookOutcome::Unreadable, None, reason)),
            Seen::Still(sighting) => Some(self.consider(sighting, rests)),
            Seen::Changing(Some(candidate)) => {
                self.unfinished.changes(&candidate);
                None
            }
            Seen::Changing(None) => None,
        }
    }

    /// Says what is worth a word, each once: what cannot be read, what is not complete after a while; and, now and then, that
    /// there is no model yet.
    fn say(&mut self, found: Option<&Found>, followed: &Followed) {
        let goes_on = || match &self.serving {
            Some(Serving { kept, .. }) => format!("play goes on with model {}", kept.generation.version),
            None => "play waits".to_owned(),
        };
        if let Some(found) = found {
            self.stats.found(found.outcome);
            let is_news = self.stats.findings.note(found.clone());
            let is_unreadable = found.outcome == LookOutcome::Unreadable;
            let was_unreadable = std::mem::replace(&mut self.unreadable, is_unreadable);
            if is_unreadable && is_news {
                tracing::warn!(reason = %found, "no newer model can be found: {}", goes_on());
            } else if was_unreadable && !is_unreadable {
                tracing::info!(now = %found, "models can be found again");
            }
        }
        if let Some(Overdue { version, reason }) = self.unfinished.overdue() {
            let goes_on = goes_on();
            tracing::warn!(version, reason, "the model is not complete yet: {goes_on}, and it is taken once it is");
        }
        if self.serving.is_none() && !self.control.is_paused() {
            let found = found.filter(|found| found.outcome != LookOutcome::Nothing);
            let found = found.map(|found| format!(": {found}")).unwrap_or_default();
            self.remind(&format!("waiting for a model {}{found}", followed.describe()));
        }
    }

    /// Sends the model again whose message was lost, as in a panic of the batcher.
    fn see_to_service(&mut self) {
        let Some(serving) = self.serving.as_mut().filter(|_| !self.released) else { return };
        if (self.addresses.in_service)() >= serving.kept.generation.number {
            serving.sent = None;
        } else if serving.sent.is_some_and(|sent| sent.elapsed() >= ON_ITS_WAY) {
            let (Kept { generation, model }, proven) = (serving.kept.clone(), serving.proven);
            tracing::warn!(version = generation.version, "a model was lost on its way into service: it is sent again");
            if let Err(failure) = self.loading(|loader| loader.bring(model, generation.version, proven)) {
                tracing::error!(version = generation.version, reason = failure.reason(), "model lost");
                self.serving = None;
                self.taken = None;
            }
        }
    }

    fn load_fixed(&mut self, candidate: Candidate) {
        let version = candidate.version;
        let brought =
            self.loading(|loader| loader.read(&candidate).and_then(|model| loader.bring(model, version, false)));
        if let Err(failure) = brought {
            self.addresses.root.do_send(Fatal { reason: failure.reason().to_owned() });
        }
    }

    /// Says why there is no model yet, now and then.
    fn remind(&mut self, reason: &str) {
        if self.reminded.is_none_or(|last| last.elapsed() >= REMINDER) {
            self.reminded = Some(Instant::now());
            tracing::info!("{reason}");
        }
    }

    /// Does something that counts as loading.
    fn loading<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begun = Instant::now();
        self.stats.loading.set(1);
        let done = work(self);
        self.stats.loading.set(0);
        self.stats.loading_ns.add(begun.elapsed().as_nanos() as u64);
        done
    }

    fn read(&mut self, candidate: &Candidate) -> Result<ModelFile, LoadFailure> {
        let begun = Instant::now();
        let model = self.source.read(candidate);
        self.stats.reload_read_ns.add_time(begun.elapsed());
        model
    }

    /// Checks a model and puts it into service.
    fn bring(&mut self, model: ModelFile, version: i64, proven: bool) -> Result<(), LoadFailure> {
        let begun = Instant::now();
        let loaded = self.source.load(&model);
        let warming = self.source.warming();
        self.stats.reload_check_ns.add_time(begun.elapsed().saturating_sub(warming));
        self.stats.reload_warm_ns.add_time(warming);
        let loaded = loaded?;
        if self.encoding.is_some_and(|encoding| encoding != loaded.encoding) {
            let path = model.path().display();
            return Err(LoadFailure::Refused(format!("use {path}: its input layout differs from the model before it")));
        }
        let (evaluators, threads) = (loaded.evaluators.len(), self.threads);
        if evaluators != threads {
            let reason = format!("share {evaluators} evaluators among {threads} inference threads");
            return Err(LoadFailure::Refused(reason));
        }
        self.number += 1;
        self.released = false;
        self.tried = None;
        let generation = Generation { number: self.number, version };
        tracing::info!(
            version,
            generation = generation.number,
            from = loaded.description,
            content = %model.content(),
            seconds = begun.elapsed().as_secs_f64(),
            "model in service"
        );
        if self.encoding.is_none() {
            self.encoding = Some(loaded.encoding);
            self.addresses.writer.do_send(EncodingChosen(loaded.encoding));
        }
        self.addresses.batcher.do_send(SwapModel { generation, evaluators: loaded.evaluators });
        self.addresses.games.do_send(StartGames);
        let content = model.content();
        let kept = Kept { generation, model };
        let before = self.serving.replace(Serving { kept, proven, sent: Some(Instant::now()) });
        if let Some(Serving { kept, proven: true, .. }) = before
            && kept.model.content() != content
        {
            self.proven = Some(kept); // The same model once more is no better.
        }
        Ok(())
    }
}

impl<G: Game> Actor for ModelLoaderActor<G> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.notify(LookForModel);
    }
}

impl<G: Game> Supervised for ModelLoaderActor<G> {
    /// Looks at its source again, as `started` runs after a restart too; what it serves is known to the threads, so the count
    /// of generations goes on.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.stats.loading.set(0);
        self.feed = self.feed.take().map(|feed| Feed::new(feed.followed().clone()));
    }
}

impl<G: Game> Handler<LookForModel> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, LookForModel: LookForModel, ctx: &mut Self::Context) {
        if let ModelOrigin::Follow { poll, .. } = self.origin {
            ctx.notify_later(LookForModel, poll);
        }
        crate::faults::hit(crate::faults::Point::Loader);
        self.look();
        let fixed = matches!(self.origin, ModelOrigin::Fixed { .. });
        let on_its_way = self.serving.as_ref().is_some_and(|serving| serving.sent.is_some());
        if fixed && (on_its_way || self.released && !self.control.is_paused()) {
            ctx.notify_later(LookForModel, FIXED_POLL);
        }
    }
}

impl<G: Game> Handler<ModelWithdrawn> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, ModelWithdrawn { generation, reason }: ModelWithdrawn, _: &mut Self::Context) {
        self.withdraw(generation, &reason);
    }
}

impl<G: Game> Handler<ModelProven> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, ModelProven { generation }: ModelProven, _: &mut Self::Context) {
        if let Some(serving) = self.serving.as_mut().filter(|serving| serving.kept.generation == generation) {
            serving.proven = true;
        }
    }
}

impl Stats {
    /// Counts a look for a model.
    pub(crate) fn found(&self, outcome: LookOutcome) {
        let counter = match outcome {
            LookOutcome::Nothing => &self.looks_nothing,
            LookOutcome::Unchanged => &self.looks_unchanged,
            LookOutcome::OnResume => &self.looks_on_resume,
            LookOutcome::Served => &self.looks_served,
            LookOutcome::Incomplete => &self.looks_incomplete,
            LookOutcome::Refused => &self.looks_refused,
            LookOutcome::Unreadable => &self.looks_unreadable,
            LookOutcome::Coming => return, // Not an end.
        };
        counter.add(1);
    }
}
