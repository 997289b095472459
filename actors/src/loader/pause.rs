//! The model during a pause: dropped when the pause is long, and brought back from the bytes that are kept. And looks for a
//! model that is asked for.

use std::time::Duration;

use actix::{AsyncContext as _, Context, Handler};
use selfplay_engine::Game;
use tokio::time::Instant;

use super::{Kept, LookForModel, LookNow, ModelLoaderActor, ModelOrigin, ReleaseModel, Serving};
use crate::{batcher::UnloadModel, control::PlayResumed, findings::Found, ticket::Generation};

/// How often it is tried to bring the model back after a pause, should that fail.
pub(super) const BRING_BACK: Duration = Duration::from_secs(5);
/// Time between the two looks that must agree when a look is asked for or a pause is over.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Looks that it takes to find a new model whose weights are in other files: at its own file, again, and at all.
const MOST_LOOKS: u32 = 3;
const STILL_CHANGING: &str = "what is there is changing at the moment";

impl<G: Game> ModelLoaderActor<G> {
    /// Brings back the model that was released for a pause, unless a newer one has just taken its place.
    pub(super) fn bring_back(&mut self) {
        if !self.released || self.tried.is_some_and(|last| last.elapsed() < BRING_BACK) {
            return;
        }
        let Some(Serving { kept, proven, .. }) = &self.serving else { return };
        let (Kept { generation: Generation { version, .. }, model }, proven) = (kept.clone(), *proven);
        self.tried = Some(Instant::now());
        if let Err(failure) = self.loading(|loader| loader.bring(model, version, proven)) {
            // The program that had the device meanwhile may still hold it.
            tracing::error!(version, reason = failure.reason(), "the model cannot be brought back yet");
        }
    }

    /// Looks until something is found, at most `left` times.
    fn look_until_still(&mut self, ctx: &mut Context<Self>, left: u32) {
        match self.look() {
            None if left > 1 => {
                ctx.run_later(LOOK_AGAIN, move |loader, ctx| loader.look_until_still(ctx, left - 1));
            }
            found => {
                let found = found.or_else(|| self.unfinished.found());
                tracing::info!(
                    "looked for a model: {}",
                    found.as_ref().map_or(STILL_CHANGING.to_owned(), Found::to_string)
                );
                found.iter().for_each(|found| self.answer(found));
                self.asked = None;
            }
        }
    }

    /// Tells who asked for the present look what it finds.
    pub(super) fn answer(&self, found: &Found) {
        if let Some(asked) = &self.asked {
            asked.send(found.clone()).ok(); // Who asked may have gone.
        }
    }

    /// Takes the model from the threads for as long as pause number `pause` lasts.
    fn release(&mut self, pause: u64) {
        if self.control.lasts(pause) {
            self.released = self.serving.is_some();
            self.addresses.unload.do_send(UnloadModel { pause });
        }
    }
}

impl<G: Game> Handler<LookNow> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, LookNow { tell }: LookNow, ctx: &mut Self::Context) {
        self.asked = tell;
        self.refusals.forget();
        self.unfinished.read_again();
        self.tried = None;
        self.look_until_still(ctx, MOST_LOOKS);
    }
}

impl<G: Game> Handler<ReleaseModel> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, ReleaseModel { pause }: ReleaseModel, _: &mut Self::Context) {
        self.release(pause);
    }
}

impl<G: Game> Handler<PlayResumed> for ModelLoaderActor<G> {
    type Result = ();

    fn handle(&mut self, PlayResumed: PlayResumed, ctx: &mut Self::Context) {
        self.tried = None;
        match self.origin {
            ModelOrigin::Fixed { .. } => ctx.notify(LookForModel), // Which looks again until the model serves.
            ModelOrigin::Follow { .. } => {
                // What came a moment ago is to be taken as well, rather than the old model and then this one.
                self.glance();
                ctx.run_later(LOOK_AGAIN, |loader, ctx| {
                    loader.glance();
                    ctx.run_later(LOOK_AGAIN, |loader, _| drop(loader.look()));
                });
            }
        }
    }
}
