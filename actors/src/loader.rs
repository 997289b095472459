//! The model loader actor: brings the first model into service and, beside a trainer, every newer one. It lives on a thread of
//! its own, because loading blocks.

mod latest;
mod source;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;
use tokio::time::Instant;

use self::latest::Watch;
pub use self::source::{LoadFailure, LoadedModel, ModelSource, OnnxSource, SyntheticEvaluator, SyntheticSource};
use crate::{
    batcher::SwapModel, games::StartGames, root::Fatal, stats::Stats, ticket::Generation, writer::EncodingChosen,
};

/// How often the log says that there is still no model.
const REMINDER: Duration = Duration::from_secs(10);

/// Where models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelOrigin {
    /// One model for the life of the process.
    Fixed {
        /// Its file; `None` for evaluators that need none.
        path: Option<PathBuf>,
        /// The version recorded with its games.
        version: i64,
    },
    /// Whatever the trainer's `latest.yaml` names, looked at every `poll`.
    Follow {
        /// The trainer's file.
        latest_yaml: PathBuf,
        /// Time between two looks.
        poll: Duration,
    },
}

/// Whom the loader tells of a new model.
#[derive(Clone)]
pub struct LoaderAddresses<G: Game> {
    /// Takes it into service.
    pub batcher: Recipient<SwapModel<G>>,
    /// Hears of its encoding.
    pub writer: Recipient<EncodingChosen<G>>,
    /// May start games.
    pub games: Recipient<StartGames>,
    /// Hears when there can never be a model.
    pub root: Recipient<Fatal>,
}

/// Look for a model now. Sent by the loader's own timer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookForModel;

/// The model answers well enough to go back to it, should the next one not. Sent by the batcher once per model.
#[derive(Clone, Debug, Message, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct ModelProven {
    /// The model.
    pub generation: Generation,
}

/// The serving model must not be used any more; until another comes, nothing is evaluated. Sent by the batcher once per model.
#[derive(Clone, Debug, Message, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct ModelWithdrawn {
    /// The model.
    pub generation: Generation,
    /// What it did.
    pub reason: String,
}

/// What identifies a model that was refused, so that it is not tried again until something about it changes.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    version: i64,
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: Option<u64>,
}

impl Fingerprint {
    fn of(version: i64, path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self {
            version,
            path: path.to_owned(),
            modified: metadata.as_ref().and_then(|metadata| metadata.modified().ok()),
            bytes: metadata.map(|metadata| metadata.len()),
        }
    }
}

/// See the module.
pub struct ModelLoaderActor<G: Game> {
    source: Box<dyn ModelSource<G>>,
    origin: ModelOrigin,
    /// Inference threads: a model must bring an evaluator for each.
    threads: usize,
    addresses: LoaderAddresses<G>,
    stats: std::sync::Arc<Stats>,
    watch: Watch,
    serving: Generation,
    encoding: Option<G::Encoding>,
    refused: Option<Fingerprint>,
    reminded: Option<Instant>,
}

impl<G: Game> ModelLoaderActor<G> {
    /// A loader for `threads` inference threads that starts to look when it starts.
    pub fn new(
        source: Box<dyn ModelSource<G>>,
        origin: ModelOrigin,
        threads: usize,
        addresses: LoaderAddresses<G>,
        stats: std::sync::Arc<Stats>,
    ) -> Self {
        Self {
            source,
            origin,
            threads,
            addresses,
            stats,
            watch: Watch::default(),
            serving: Generation::default(),
            encoding: None,
            refused: None,
            reminded: None,
        }
    }

    fn look(&mut self) {
        match self.origin.clone() {
            ModelOrigin::Fixed { path, version } => {
                if self.serving.number == 0
                    && let Err(reason) = self.load(path.as_deref().unwrap_or(Path::new("")), version)
                {
                    self.addresses.root.do_send(Fatal { reason });
                }
            }
            ModelOrigin::Follow { latest_yaml, .. } => self.follow(&latest_yaml),
        }
    }

    fn follow(&mut self, latest_yaml: &Path) {
        match self.watch.look(latest_yaml) {
            Ok(Some(latest)) => {
                let unseen = self.serving.number == 0 || latest.version != self.serving.version;
                let path = latest.onnx_path();
                let fingerprint = Fingerprint::of(latest.version, &path);
                if unseen && self.refused.as_ref() != Some(&fingerprint) {
                    match self.load(&path, latest.version) {
                        Ok(()) => self.refused = None,
                        Err(reason) => {
                            self.stats.models_refused.add(1);
                            tracing::error!(version = latest.version, reason, "model refused");
                            self.refused = Some(fingerprint);
                        }
                    }
                }
            }
            Ok(None) => {}
            Err(reason) => self.remind(&reason),
        }
        if self.serving.number == 0 {
            self.remind(&format!("waiting for a model named by {}", latest_yaml.display()));
        }
    }

    /// Says why there is no model yet, now and then; once one serves, only in debug logs.
    fn remind(&mut self, reason: &str) {
        if self.reminded.is_some_and(|last| last.elapsed() < REMINDER) {
            return;
        }
        self.reminded = Some(Instant::now());
        if self.serving.number == 0 {
            tracing::info!("{reason}");
        } else {
            tracing::debug!("{reason}");
        }
    }

    /// Loads a model and puts it into service.
    fn load(&mut self, path: &Path, version: i64) -> Result<(), String> {
        let begun = Instant::now();
        let model = match self.source.load(path) {
            Ok(model) => model,
            Err(LoadFailure::Refused(reason)) => return Err(reason),
            Err(LoadFailure::Impossible(reason)) => {
                self.addresses.root.do_send(Fatal { reason: reason.clone() });
                return Err(reason);
            }
        };
        if self.encoding.is_some_and(|encoding| encoding != model.encoding) {
            return Err(format!("use {}: its input layout differs from the model before it", path.display()));
        }
        let evaluators = model.evaluators.len();
        if evaluators != self.threads {
            return Err(format!("share {evaluators} evaluators among {} inference threads", self.threads));
        }
        self.serving = Generation { number: self.serving.number + 1, version };
        tracing::info!(
            version,
            generation = self.serving.number,
            from = model.description,
            seconds = begun.elapsed().as_secs_f64(),
            "model in service"
        );
        if self.encoding.is_none() {
            self.encoding = Some(model.encoding);
            self.addresses.writer.do_send(EncodingChosen(model.encoding));
        }
        self.addresses.batcher.do_send(SwapModel { generation: self.serving, evaluators: model.evaluators });
        self.addresses.games.do_send(StartGames);
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
        self.watch = Watch::default();
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
    }
}

impl<G: Game> Handler<ModelProven> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, _: ModelProven, _: &mut Self::Context) {}
}

impl<G: Game> Handler<ModelWithdrawn> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, _: ModelWithdrawn, _: &mut Self::Context) {}
}
