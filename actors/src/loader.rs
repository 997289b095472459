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
//! Where a referee is asked, a model that was read is held back until its match against the one that serves is over (`gate`).
//!
//! The last finding is in [`Stats::findings`]. Decisions are made by plain state, which the actor carries out: `candidates` says
//! what is read, `service` what serves.

mod candidates;
mod feed;
mod gate;
mod latest;
mod loading;
mod refusals;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod unfinished;

use std::{sync::Arc, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;
use tokio::{sync::mpsc::UnboundedSender, time::Instant};

pub use self::feed::{Candidate, Followed, ModelOrigin, NewestBy};
#[doc(hidden)]
pub use self::source::{
    LoadFailure, LoadedModel, ModelSource, OnnxSource, Placed, SyntheticEvaluator, SyntheticSource,
};
use self::{
    candidates::{Candidates, Next},
    feed::{Feed, Seen},
    gate::Gate,
    service::{Service, Task, Withdrawn},
    unfinished::Overdue,
};
use crate::{
    batcher::{ModelProven, ModelWithdrawn, SwapModel, UnloadModel},
    changes::AlarmKind,
    control::{Control, PlayResumed},
    findings::{Found, LookOutcome},
    games::StartGames,
    referee::{Entered, Entrant, Examine, Judged, RefereeGone},
    standings::Standings,
    stats::{Counter, Stats},
    ticket::Generation,
    writer::UseEncoding,
};

/// How often the log says that there is still no model.
const REMINDER: Duration = Duration::from_secs(10);
/// How often a model that is the only one ever is looked at until it serves.
const FIXED_POLL: Duration = Duration::from_secs(1);
/// Time between the two looks that must agree when a look is asked for or a pause is over.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Looks that it takes to find a new model whose weights are in other files: at its own file, again, and at all.
const MOST_LOOKS: u32 = 3;
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
    pub writer: Recipient<UseEncoding<G>>,
    /// May start games.
    pub games: Recipient<StartGames>,
    /// Hears when there can never be a model.
    pub root: Recipient<Fatal>,
    /// Hears of every model that serves, if matches are played.
    pub entered: Option<Recipient<Entered>>,
    /// Finds out whether a newer model may serve, if that is asked.
    pub examine: Option<Recipient<Examine>>,
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

/// Lets the calling thread run only where others leave time. To be called on the thread that a loader will live on. If it
/// fails, models are loaded at normal priority, which may slow down play.
pub fn lower_priority() {
    // Without a process to name, Linux takes the calling thread.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "models are loaded at normal priority");
    }
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
    candidates: Candidates,
    service: Service,
    /// Newer models that are held back.
    gate: Gate,
    /// To be served before any other is looked for.
    first: Option<Entrant>,
    /// What was found out of one of them, until play is not paused.
    judged: Option<Judged>,
    /// Whether a released model stays away while what names the models changes: a newer one may be about to come. Until a moment after
    /// the pause.
    stays_away: bool,
    /// What names the model could not be read at the last look.
    unreadable: bool,
    /// Waits for what is found.
    asked: Option<UnboundedSender<Found>>,
    encoding: Option<G::Encoding>,
    reminded: Option<Instant>,
}

impl<G: Game> ModelLoaderActor<G> {
    /// A loader for `threads` inference threads that starts to look when it starts. The first model to serve is `first`, if there is
    /// one and it can.
    pub fn new(
        source: Box<dyn ModelSource<G>>,
        (origin, first): (ModelOrigin, Option<Entrant>),
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
            candidates: Candidates::default(),
            service: Service::default(),
            gate: Gate::default(),
            first,
            judged: None,
            stays_away: false,
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
            let task = self.service.taken_up((self.addresses.in_service)(), Instant::now());
            self.carry_out(task);
            self.serve_first();
            self.take_judged();
        }
        let found = match (self.origin.clone(), seen) {
            (ModelOrigin::Fixed { path, version }, _) => {
                if self.service.never_served() && !rests {
                    self.load_fixed(Candidate { path: path.unwrap_or_default(), version, sha256: None });
                }
                self.service.model().is_some().then(|| Found::of(LookOutcome::Unchanged, version))
            }
            (ModelOrigin::Follow { followed, .. }, seen) => {
                let found = seen.and_then(|seen| self.understand(seen, &followed, rests));
                self.say(found.as_ref(), &followed);
                found
            }
        };
        if !rests && (found.is_some() || !self.stays_away) {
            let task = self.service.bring_back(Instant::now());
            self.carry_out(task);
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
        if let Seen::Still(files) = &seen
            && self.gate.holds(files)
        {
            return Some(Found::of(LookOutcome::Held, files.candidate.version));
        }
        match self.candidates.seen(seen, followed, rests, Instant::now()) {
            Next::LookAgain => None,
            Next::Found(found) if found.outcome == LookOutcome::Unchanged => {
                self.no_longer_wanted();
                Some(found)
            }
            Next::Found(found) => Some(found),
            Next::Read(files) => Some(self.look_into(files)),
        }
    }

    /// Looks until something is found, at most `left` times.
    fn look_until_still(&mut self, ctx: &mut Context<Self>, left: u32) {
        match self.look() {
            None if left > 1 => {
                ctx.run_later(LOOK_AGAIN, move |loader, ctx| loader.look_until_still(ctx, left - 1));
            }
            found => {
                let found = found.or_else(|| self.candidates.unfinished.found());
                let changing = || "what is there is changing at the moment".to_owned();
                tracing::info!("looked for a model: {}", found.as_ref().map_or_else(changing, Found::to_string));
                found.iter().for_each(|found| self.answer(found));
                self.asked = None;
            }
        }
    }

    /// Looks after a pause until something is found, at most `left` times: what came a moment ago is to be taken, rather than the model
    /// that was released and then this one.
    fn come_back(&mut self, ctx: &mut Context<Self>, left: u32) {
        self.stays_away = left > 1;
        if self.look().is_none() && left > 1 {
            ctx.run_later(LOOK_AGAIN, move |loader, ctx| loader.come_back(ctx, left - 1));
        }
    }

    /// Tells who asked for the present look what it finds.
    fn answer(&self, found: &Found) {
        if let Some(asked) = &self.asked {
            asked.send(found.clone()).ok(); // Who asked may have gone.
        }
    }

    /// Says what is worth a word, each once: what cannot be read, what is not complete after a while; and, now and then, that
    /// there is no model yet.
    fn say(&mut self, found: Option<&Found>, followed: &Followed) {
        let goes_on = || match self.service.model() {
            Some(model) => format!("play goes on with model {}", model.generation.version),
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
        if let Some(Overdue { version, reason }) = self.candidates.unfinished.overdue(Instant::now()) {
            let goes_on = goes_on();
            tracing::warn!(version, reason, "the model is not complete yet: {goes_on}, and it is taken once it is");
        }
        if self.service.model().is_none()
            && !self.control.is_paused()
            && self.reminded.is_none_or(|last| last.elapsed() >= REMINDER)
        {
            self.reminded = Some(Instant::now());
            let found = found.filter(|found| found.outcome != LookOutcome::Nothing);
            let found = found.map(|found| format!(": {found}")).unwrap_or_default();
            tracing::info!("waiting for a model {}{found}", followed.describe());
        }
    }

    /// A model broke down in play: it is not taken again, and if it serves, the one before it is.
    fn withdraw(&mut self, generation: Generation, reason: &str) {
        match self.service.withdrawn(generation, self.control.is_paused()) {
            None => {}
            Some(Withdrawn::Fallback(content)) => self.candidates.refusals.remember_for_good(content, reason),
            Some(Withdrawn::InService(content, next)) => {
                let Generation { number, version } = generation;
                self.stats.rejections.note(version, true, reason);
                self.stats.models_withdrawn.add(1);
                tracing::error!(version, generation = number, reason, "model withdrawn");
                self.candidates.withdrawn(content, reason);
                self.carry_out(next);
            }
        }
    }

    fn carry_out(&mut self, task: Option<Task>) {
        const NONE: &str = "the model was withdrawn, and there is none that proved itself before it";
        match (task, &self.origin) {
            (None, _) => {}
            (Some(Task::Load(model, why)), _) => self.load_again(model, why),
            (Some(Task::ReadAgain), _) => self.candidates.lost(),
            (Some(Task::GoWithout), ModelOrigin::Fixed { .. }) => {
                self.addresses.root.do_send(Fatal { reason: NONE.to_owned() });
            }
            (Some(Task::GoWithout), ModelOrigin::Follow { .. }) => {
                tracing::error!("{NONE}: play waits for another");
                self.open_gate("no model serves that it could play against");
            }
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
        self.stays_away = false;
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
        if fixed && self.service.is_unsettled(self.control.is_paused()) {
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

impl<G: Game> Handler<Judged> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, judged: Judged, _: &mut Self::Context) {
        self.judged = Some(judged);
        if !self.control.is_paused() {
            self.take_judged();
        }
    }
}

impl<G: Game> Handler<RefereeGone> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, RefereeGone: RefereeGone, _: &mut Self::Context) {
        (self.addresses.entered, self.addresses.examine) = (None, None);
        let last = self.stats.standings.get().map(|standings| Standings::clone(&standings)).unwrap_or_default();
        let trouble =
            "matches can no longer be played: the referee failed again and again (see its restarts)".to_owned();
        self.stats.standings.set(Standings { playing: None, trouble: Some(trouble), ..last });
        tracing::error!(
            "no more matches are played beside play: every new model serves, as without evaluation.promote"
        );
        self.open_gate("matches can no longer be played");
    }
}

impl<G: Game> Handler<ModelProven> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, ModelProven { generation }: ModelProven, _: &mut Self::Context) {
        self.service.proven(generation);
    }
}

impl<G: Game> Handler<LookNow> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, LookNow { tell }: LookNow, ctx: &mut Self::Context) {
        self.asked = tell;
        self.candidates.try_again(Instant::now());
        self.service.hurry();
        self.look_until_still(ctx, MOST_LOOKS);
    }
}

impl<G: Game> Handler<ReleaseModel> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, ReleaseModel { pause }: ReleaseModel, _: &mut Self::Context) {
        if self.control.lasts(pause) {
            self.service.released();
            self.stays_away = true;
            self.addresses.unload.do_send(UnloadModel { pause });
        }
    }
}

impl<G: Game> Handler<PlayResumed> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, PlayResumed: PlayResumed, ctx: &mut Self::Context) {
        self.service.hurry();
        match self.origin {
            ModelOrigin::Fixed { .. } => ctx.notify(LookForModel), // Which looks again until the model serves.
            ModelOrigin::Follow { .. } => self.come_back(ctx, MOST_LOOKS),
        }
    }
}

impl Stats {
    /// Counts alarms of this kind.
    pub(crate) fn model_alarms(&self, kind: AlarmKind) -> &Counter {
        match kind {
            AlarmKind::PolicyJump => &self.alarms_policy_jump,
            AlarmKind::ValueJump => &self.alarms_value_jump,
            AlarmKind::LogitJump => &self.alarms_logit_jump,
            AlarmKind::OneHot => &self.alarms_one_hot,
        }
    }

    /// Counts a look for a model.
    pub(crate) fn found(&self, outcome: LookOutcome) {
        let counter = match outcome {
            LookOutcome::Nothing => &self.looks_nothing,
            LookOutcome::Unchanged => &self.looks_unchanged,
            LookOutcome::OnResume => &self.looks_on_resume,
            LookOutcome::Served => &self.looks_served,
            LookOutcome::Held => &self.looks_held,
            LookOutcome::Incomplete => &self.looks_incomplete,
            LookOutcome::Refused => &self.looks_refused,
            LookOutcome::Unreadable => &self.looks_unreadable,
            LookOutcome::Coming => return, // Not an end.
        };
        counter.add(1);
    }
}
