//! The model loader actor: brings the first model into service and, beside a trainer, every newer one; takes the one before
//! back when the serving one is withdrawn. It lives on a thread of its own, because loading blocks.

mod feed;
mod latest;
mod pause;
mod refusals;
mod source;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;
use tokio::time::Instant;

pub use self::feed::{Candidate, Followed, ModelOrigin, NewestBy};
use self::feed::{Feed, Sighting};
#[doc(hidden)]
pub use self::latest::read_any_latest_yaml;
use self::refusals::Refusals;
pub use self::source::{LoadFailure, LoadedModel, ModelSource, OnnxSource, SyntheticEvaluator, SyntheticSource};
use crate::{
    batcher::{SwapModel, UnloadModel},
    control::Control,
    games::StartGames,
    onnx::ModelFile,
    root::Fatal,
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

/// Tells the number of the generation that new batches go to, 0 before the first model. May be asked from any thread.
pub type InService = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Whom the loader tells of a new model.
#[derive(Clone)]
pub struct LoaderAddresses<G: Game> {
    /// Takes it into service.
    pub batcher: Recipient<SwapModel<G>>,
    /// Takes it out of service for a pause.
    pub unload: Recipient<UnloadModel>,
    /// Tells whether it did.
    pub in_service: InService,
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

/// Look for a model now, and give what was not to be had another chance. Sent by the root when somebody asks for it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookNow;

/// The inference threads are to drop the model until play is resumed, which brings a model back. Sent by the
/// root during pause number `pause`.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReleaseModel {
    /// The pause: of no effect when it is over.
    pub(crate) pause: u64,
}

/// A model must not be used any more, as its evaluations are not finite: it is never tried again, and the last one that proved
/// itself takes over as a new generation. Sent by the batcher; of no effect when a newer model serves already.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ModelWithdrawn {
    /// The model.
    pub generation: Generation,
    /// What is wrong with it, for people.
    pub reason: String,
}

/// A model has passed its probation: should a later one fail, play goes on with this one. Sent by the batcher, once per
/// generation.
#[derive(Clone, Debug, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct ModelProven {
    /// The model.
    pub generation: Generation,
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

/// See the module.
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
            encoding: None,
            reminded: None,
        }
    }

    fn look(&mut self) {
        let seen = self.feed.as_mut().map(Feed::look);
        if self.control.is_paused() {
            return; // The device is somebody else's. What is there by then is taken when play is resumed.
        }
        self.see_to_service();
        match (self.origin.clone(), seen) {
            (ModelOrigin::Fixed { path, version }, _) => {
                if self.number == 0 {
                    self.load_fixed(Candidate { path: path.unwrap_or_default(), version, sha256: None });
                }
            }
            (ModelOrigin::Follow { followed, .. }, seen) => {
                match seen {
                    Some(Ok(Some(sighting))) => self.consider(sighting),
                    Some(Err(reason)) => self.remind(&reason),
                    Some(Ok(None)) | None => {}
                }
                if self.serving.is_none() {
                    self.remind(&format!("waiting for a model {}", followed.describe()));
                }
            }
        }
        self.bring_back();
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

    /// Takes a file for a new model, unless it is none.
    fn consider(&mut self, sighting: Sighting) {
        let Candidate { version, path, .. } = &sighting.candidate;
        let same = self.taken.as_ref().is_some_and(|taken| {
            // Trainers may remove what they have handed over.
            let unchanged = sighting.fingerprint.is_none()
                || (taken.candidate.path == *path && taken.fingerprint == sighting.fingerprint);
            taken.candidate.version == *version && unchanged
        });
        if same || self.refusals.skip(&sighting) {
            return;
        }
        let version = *version;
        match self.look_into(&sighting) {
            Ok(()) => self.taken = Some(sighting),
            Err(failure) => {
                self.stats.rejections.note(version, false, failure.reason());
                self.stats.models_refused.add(1);
                tracing::error!(version, reason = failure.reason(), "model refused");
                match failure {
                    LoadFailure::Refused(_) => self.refusals.pass_over(sighting),
                    LoadFailure::Unreadable(_) => self.refusals.pass_over_for_now(sighting),
                    LoadFailure::Impossible(reason) => {
                        self.refusals.pass_over_for_now(sighting);
                        // A device that was there is lost, or has no room for two models: play shows which.
                        if self.number == 0 {
                            self.addresses.root.do_send(Fatal { reason });
                        }
                    }
                }
            }
        }
    }

    fn look_into(&mut self, sighting: &Sighting) -> Result<(), LoadFailure> {
        let times = match self.begun.take() {
            Some((last, times)) if last == *sighting => times,
            _ => 0,
        };
        if times == PANICS {
            return Err(LoadFailure::Refused(format!("the loader panicked over it {times} times")));
        }
        self.begun = Some((sighting.clone(), times + 1));
        let brought = self.loading(|loader| loader.read_and_bring(&sighting.candidate));
        self.begun = None; // It did not panic.
        brought
    }

    fn read_and_bring(&mut self, candidate: &Candidate) -> Result<(), LoadFailure> {
        let model = self.read(candidate)?;
        let (content, version) = (model.content(), candidate.version);
        let before = self.serving.as_ref().map(|serving| &serving.kept);
        if before.is_some_and(|before| before.generation.version == version && before.model.content() == content) {
            return Ok(()); // The file was only touched.
        }
        if self.refusals.hold(content) {
            return Err(LoadFailure::Refused("the same model was refused before".to_owned()));
        }
        if let Some(before) = before.filter(|before| version < before.generation.version) {
            let before = before.generation.version;
            tracing::warn!(version, before, "the trainer goes back to an older version, which is taken");
        }
        let brought = self.bring(model, version, false);
        if let Err(LoadFailure::Refused(_)) = &brought {
            self.refusals.remember(content);
        }
        brought
    }

    /// Says why there is no model yet, now and then; once one serves, only in debug logs.
    fn remind(&mut self, reason: &str) {
        if self.reminded.is_some_and(|last| last.elapsed() < REMINDER) {
            return;
        }
        self.reminded = Some(Instant::now());
        if self.serving.is_none() {
            tracing::info!("{reason}");
        } else {
            tracing::debug!("{reason}");
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

    fn withdraw(&mut self, generation: Generation, reason: &str) {
        let is_it = |kept: &Kept| kept.generation.number == generation.number;
        if let Some(kept) = self.proven.take_if(|kept| is_it(kept)) {
            self.refusals.remember(kept.model.content());
        }
        let Some(serving) = self.serving.take_if(|serving| is_it(&serving.kept)) else { return };
        let content = serving.kept.model.content();
        self.stats.rejections.note(generation.version, true, reason);
        self.stats.models_withdrawn.add(1);
        tracing::error!(version = generation.version, generation = generation.number, reason, "model withdrawn");
        self.refusals.remember(content);
        if let Some(taken) = self.taken.take() {
            self.refusals.pass_over(taken);
        }
        // The same model under another version is no better.
        let before = self.proven.take().filter(|kept| kept.model.content() != content);
        if self.released || self.control.is_paused() {
            // It comes into service when play is resumed.
            self.serving = before.map(|kept| Serving { kept, proven: true, sent: None });
            self.released = self.serving.is_some();
            if !self.released {
                self.without_a_model();
            }
            return;
        }
        let back = before.map(|Kept { generation: Generation { version, .. }, model }| {
            (version, self.loading(|loader| loader.bring(model, version, true)))
        });
        match back {
            Some((version, Ok(()))) => tracing::warn!(version, "play goes on with the model before it"),
            Some((version, Err(failure))) => {
                tracing::error!(version, reason = failure.reason(), "the model before it cannot be used either");
                self.without_a_model();
            }
            None => self.without_a_model(),
        }
    }

    fn without_a_model(&self) {
        const NONE: &str = "the model was withdrawn, and there is none that proved itself before it";
        match &self.origin {
            ModelOrigin::Fixed { .. } => self.addresses.root.do_send(Fatal { reason: NONE.to_owned() }),
            ModelOrigin::Follow { .. } => tracing::error!("{NONE}: play waits for another"),
        }
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
