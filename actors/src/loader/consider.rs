//! From files that were seen to a model in service, or the reason why it is none.

use selfplay_engine::Game;

use super::{Fatal, LoadFailure, ModelLoaderActor, PANICS, Sighting};
use crate::findings::{Found, LookOutcome};

impl<G: Game> ModelLoaderActor<G> {
    /// Takes a model that is still into service, unless it is the one that serves, was refused, or is to wait for the end of
    /// a pause.
    pub(super) fn consider(&mut self, sighting: Sighting, rests: bool) -> Found {
        let version = sighting.candidate.version;
        if self.taken.as_ref().is_some_and(|taken| sighting.is_the_one(taken)) {
            self.unfinished.over();
            return Found::of(LookOutcome::Unchanged, version);
        }
        if let Some(reason) = self.refusals.skip(&sighting) {
            return Found::because(LookOutcome::Refused, Some(version), reason);
        }
        if let Some(reason) = self.unfinished.rests(&sighting) {
            return Found::because(LookOutcome::Incomplete, Some(version), reason);
        }
        if rests {
            return Found::of(LookOutcome::OnResume, version);
        }
        let coming = Found::of(LookOutcome::Coming, version);
        self.answer(&coming);
        self.stats.findings.note(coming);
        let failure = match self.look_into(&sighting) {
            Ok(outcome) => {
                self.taken = Some(sighting);
                self.unfinished.over();
                return Found::of(outcome, version);
            }
            Err(failure) => failure,
        };
        let waits = match &failure {
            LoadFailure::Unreadable(reason) => {
                self.unfinished.lacks(&sighting, reason);
                true
            }
            LoadFailure::Unfinished(reason) => self.unfinished.may_grow(&sighting, reason),
            LoadFailure::Refused(_) | LoadFailure::Impossible(_) => false,
        };
        if waits {
            return Found::because(LookOutcome::Incomplete, Some(version), failure.reason());
        }
        self.refuse(sighting, failure)
    }

    fn refuse(&mut self, sighting: Sighting, failure: LoadFailure) -> Found {
        let (version, reason) = (sighting.candidate.version, failure.reason());
        self.unfinished.over();
        self.stats.rejections.note(version, false, reason);
        self.stats.models_refused.add(1);
        tracing::error!(version, reason, "model refused");
        let found = Found::because(LookOutcome::Refused, Some(version), reason);
        if let LoadFailure::Impossible(reason) = failure {
            self.refusals.pass_over_for_now(sighting, &reason);
            // A device that was there is lost, or has no room for two models: play shows which.
            if self.number == 0 {
                self.addresses.root.do_send(Fatal { reason });
            }
        } else {
            self.refusals.pass_over(sighting, reason);
        }
        found
    }

    /// Whether it came into service, or serves already.
    fn look_into(&mut self, sighting: &Sighting) -> Result<LookOutcome, LoadFailure> {
        let times = match self.begun.take() {
            Some((last, times)) if last == *sighting => times,
            _ => 0,
        };
        if times == PANICS {
            return Err(LoadFailure::Refused(format!("the loader panicked over it {times} times")));
        }
        self.begun = Some((sighting.clone(), times + 1));
        let brought = self.loading(|loader| loader.read_and_bring(sighting));
        self.begun = None; // It did not panic.
        brought
    }

    fn read_and_bring(&mut self, sighting: &Sighting) -> Result<LookOutcome, LoadFailure> {
        let read = self.read(&sighting.candidate);
        if !sighting.still_holds() {
            return Err(LoadFailure::Unreadable("its files changed while they were read".to_owned()));
        }
        let model = read?;
        let (content, version) = (model.content(), sighting.candidate.version);
        let before = self.serving.as_ref().map(|serving| &serving.kept);
        if before.is_some_and(|before| before.generation.version == version && before.model.content() == content) {
            return Ok(LookOutcome::Unchanged); // The file was only touched.
        }
        if let Some(reason) = self.refusals.hold(content) {
            return Err(LoadFailure::Refused(format!("the same model was refused before: {reason}")));
        }
        if let Some(before) = before.filter(|before| version < before.generation.version) {
            let before = before.generation.version;
            tracing::warn!(version, before, "the trainer goes back to an older version, which is taken");
        }
        let brought = self.bring(model, version, false);
        if let Err(LoadFailure::Refused(reason)) = &brought {
            self.refusals.remember(content, reason);
        }
        brought.map(|()| LookOutcome::Served)
    }
}
