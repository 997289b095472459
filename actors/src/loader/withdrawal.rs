//! Models that broke down in play, and what serves in their place.

use selfplay_engine::Game;

use super::{Fatal, Kept, ModelLoaderActor, ModelOrigin, Serving};
use crate::ticket::Generation;

impl<G: Game> ModelLoaderActor<G> {
    /// Goes back to the model before, if `generation` serves; it is not taken again.
    pub(super) fn withdraw(&mut self, generation: Generation, reason: &str) {
        let is_it = |kept: &Kept| kept.generation.number == generation.number;
        if let Some(kept) = self.proven.take_if(|kept| is_it(kept)) {
            self.refusals.remember_for_good(kept.model.content(), reason);
        }
        let Some(serving) = self.serving.take_if(|serving| is_it(&serving.kept)) else { return };
        let content = serving.kept.model.content();
        self.stats.rejections.note(generation.version, true, reason);
        self.stats.models_withdrawn.add(1);
        tracing::error!(version = generation.version, generation = generation.number, reason, "model withdrawn");
        self.refusals.remember_for_good(content, reason);
        if let Some(taken) = self.taken.take() {
            self.refusals.pass_over(taken, reason);
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
