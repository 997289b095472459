//! From a model's file to evaluators that the batcher is sent. What may block stands here.

use selfplay_engine::Game;
use tokio::time::Instant;

use super::{
    Candidate, Fatal, LoadFailure, ModelLoaderActor,
    feed::SeenFiles,
    service::{KeptModel, Why},
};
use crate::{
    batcher::SwapModel,
    findings::{Found, LookOutcome},
    games::StartGames,
    onnx::ModelFile,
    ticket::Generation,
    writer::UseEncoding,
};

impl<G: Game> ModelLoaderActor<G> {
    /// Reads a model and takes it into service.
    pub(super) fn look_into(&mut self, files: SeenFiles) -> Found {
        let version = files.candidate.version;
        let coming = Found::of(LookOutcome::Coming, version);
        self.answer(&coming);
        self.stats.findings.note(coming);
        let begun = self.candidates.begin(&files);
        match begun.and_then(|()| self.loading(|loader| loader.read_and_bring(&files))) {
            Ok(outcome) => {
                self.candidates.took(files);
                Found::of(outcome, version)
            }
            Err(failure) => {
                let found = self.candidates.failed(files, &failure, Instant::now());
                if found.outcome == LookOutcome::Refused {
                    self.refused(version, failure);
                }
                found
            }
        }
    }

    fn refused(&mut self, version: i64, failure: LoadFailure) {
        let reason = failure.reason();
        self.stats.rejections.note(version, false, reason);
        self.stats.models_refused.add(1);
        tracing::error!(version, reason, "model refused");
        // A device that was there is lost, or has no room for two models: play shows which.
        if let LoadFailure::Impossible(reason) = failure
            && self.service.never_served()
        {
            self.addresses.root.do_send(Fatal { reason });
        }
    }

    /// Loads the only model there ever is.
    pub(super) fn load_fixed(&mut self, candidate: Candidate) {
        let version = candidate.version;
        let brought =
            self.loading(|loader| loader.read(&candidate).and_then(|model| loader.bring(model, version, false)));
        if let Err(failure) = brought {
            self.addresses.root.do_send(Fatal { reason: failure.reason().to_owned() });
        }
    }

    /// Loads a model from memory that has served.
    pub(super) fn load_again(&mut self, KeptModel { generation, file, proven }: KeptModel, why: Why) {
        let version = generation.version;
        if why == Why::Lost {
            tracing::warn!(version, "a model was lost on its way into service: it is sent again");
        }
        match self.loading(|loader| loader.bring(file, version, proven)) {
            Ok(()) if why == Why::OtherWithdrawn => tracing::warn!(version, "play goes on with the model before it"),
            Ok(()) => {}
            Err(failure) => {
                let reason = failure.reason();
                match why {
                    Why::Lost => tracing::error!(version, reason, "model lost"),
                    Why::PauseOver => tracing::error!(version, reason, "the model cannot be brought back yet"),
                    Why::OtherWithdrawn => {
                        tracing::error!(version, reason, "the model before it cannot be used either");
                    }
                }
                let next = self.service.failed(why);
                self.carry_out(next);
            }
        }
    }

    /// Does something that counts as loading.
    fn loading<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let begun = Instant::now();
        self.stats.loading.set(1);
        let done = work(self);
        self.stats.loading.set(0);
        self.stats.loading_ns.add(begun.elapsed());
        done
    }

    fn read(&mut self, candidate: &Candidate) -> Result<ModelFile, LoadFailure> {
        let begun = Instant::now();
        let model = self.source.read(candidate);
        self.stats.reload_read_ns.add(begun.elapsed());
        model
    }

    /// Whether it came into service, or serves already.
    fn read_and_bring(&mut self, files: &SeenFiles) -> Result<LookOutcome, LoadFailure> {
        let read = self.read(&files.candidate);
        if !files.are_unchanged() {
            return Err(LoadFailure::Unreadable("its files changed while they were read".to_owned()));
        }
        let file = read?;
        let (content, version) = (file.content(), files.candidate.version);
        let before = self.service.model().map(|model| (model.generation.version, model.file.content()));
        if before == Some((version, content)) {
            return Ok(LookOutcome::Unchanged); // The file was only touched.
        }
        self.candidates.check(content)?;
        if let Some((before, _)) = before.filter(|&(before, _)| version < before) {
            tracing::warn!(version, before, "the trainer goes back to an older version, which is taken");
        }
        let brought = self.bring(file, version, false);
        if let Err(LoadFailure::Refused(reason)) = &brought {
            self.candidates.refusals.remember(content, reason);
        }
        brought.map(|()| LookOutcome::Served)
    }

    /// Checks a model and puts it into service.
    fn bring(&mut self, file: ModelFile, version: i64, proven: bool) -> Result<(), LoadFailure> {
        let begun = Instant::now();
        let loaded = self.source.load(&file);
        let warming = self.source.warming();
        self.stats.reload_check_ns.add(begun.elapsed().saturating_sub(warming));
        self.stats.reload_warm_ns.add(warming);
        let loaded = loaded?;
        if self.encoding.is_some_and(|encoding| encoding != loaded.encoding) {
            let path = file.path().display();
            return Err(LoadFailure::Refused(format!("use {path}: its input layout differs from the model before it")));
        }
        let (evaluators, threads) = (loaded.evaluators.len(), self.threads);
        if evaluators != threads {
            let reason = format!("share {evaluators} evaluators among {threads} inference threads");
            return Err(LoadFailure::Refused(reason));
        }
        let content = file.content();
        let generation @ Generation { number, .. } = self.service.brought(file, version, proven, Instant::now());
        tracing::info!(
            version,
            generation = number,
            from = loaded.description,
            %content,
            seconds = begun.elapsed().as_secs_f64(),
            "model in service"
        );
        if self.encoding.is_none() {
            self.encoding = Some(loaded.encoding);
            self.addresses.writer.do_send(UseEncoding(loaded.encoding));
        }
        self.addresses.batcher.do_send(SwapModel { generation, evaluators: loaded.evaluators });
        self.addresses.games.do_send(StartGames);
        Ok(())
    }
}
