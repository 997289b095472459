//! From a model's file to evaluators that the batcher is sent. What may block stands here.

use selfplay_engine::Game;
use tokio::time::Instant;

use super::{
    Candidate, Fatal, LoadFailure, ModelLoaderActor,
    feed::SeenFiles,
    gate::Held,
    service::{KeptModel, Why},
};
use crate::{
    batcher::SwapModel,
    changes::Alarm,
    findings::{Found, LookOutcome},
    games::StartGames,
    onnx::ModelFile,
    referee::{Entered, Entrant, Judged, Judgement},
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
            Ok(LookOutcome::Held) => {
                self.candidates.held();
                Found::of(LookOutcome::Held, version)
            }
            Ok(outcome) => {
                self.candidates.took(files);
                Found::of(outcome, version)
            }
            Err(failure) => self.failed(files, failure),
        }
    }

    fn failed(&mut self, files: SeenFiles, failure: LoadFailure) -> Found {
        let version = files.candidate.version;
        let found = self.candidates.failed(files, &failure, Instant::now());
        if found.outcome == LookOutcome::Refused {
            self.refused(version, failure);
        }
        found
    }

    /// Takes the model into service that served when an earlier process ended.
    pub(super) fn serve_first(&mut self) {
        let Some(Entrant { version, file }) = self.first.take() else { return };
        if let Err(failure) = self.loading(|loader| loader.bring(file, version, Arrival::New)) {
            let reason = failure.reason();
            tracing::warn!(version, reason, "the model that served last cannot be used: the newest serves");
        }
    }

    /// Does what was found out of a model that was held back, if anything was.
    pub(super) fn take_judged(&mut self) {
        let Some(Judged { candidate, verdict }) = self.judged.take() else { return };
        // Where this panics, the model is held back no longer and is read again.
        if let Some(held) = self.gate.judged(candidate) {
            let version = held.model.version;
            match verdict {
                Judgement::Promoted(how) => {
                    tracing::info!(version, "promoted: {how}");
                    self.stats.gate_promoted.add(1);
                    self.let_through(held);
                }
                Judgement::Unjudged(reason) => {
                    tracing::error!(
                        version,
                        reason,
                        "no match could show whether it is worse: it is taken all the same"
                    );
                    self.stats.gate_unjudged.add(1);
                    self.let_through(held);
                }
                Judgement::Refused(how) => {
                    tracing::warn!(version, "not promoted: {how}");
                    self.stats.gate_refused.add(1);
                    let reason = format!("not promoted: {how}");
                    self.stats.rejections.note(version, false, &reason);
                    self.candidates.refusals.remember(candidate, &reason);
                    self.candidates.refusals.pass_over(held.files, &reason);
                }
            }
        }
        self.examine_next();
    }

    /// Holds nothing back any more: the newest model that was, serves.
    pub(super) fn open_gate(&mut self, reason: &str) {
        if let Some(held) = self.gate.open() {
            let version = held.model.version;
            tracing::error!(version, reason, "no match could show whether it is worse: it is taken all the same");
            self.stats.gate_unjudged.add(1);
            self.let_through(held);
        }
        self.stats.gate_waiting.set_count(self.gate.count());
    }

    /// The trainer has gone back to the model that serves: none that is held back is to take its place.
    pub(super) fn no_longer_wanted(&mut self) {
        if let Some(held) = self.gate.open() {
            self.stats.gate_passed_over.add(1);
            tracing::info!(
                version = held.model.version,
                "held back no longer: the trainer names the model that serves"
            );
            self.stats.gate_waiting.set_count(0);
        }
    }

    /// A model that was held back comes into service, if it can.
    fn let_through(&mut self, Held { model, files }: Held) {
        let Entrant { version, file } = model;
        let content = file.content();
        let begun = self.candidates.begin(&files);
        match begun.and_then(|()| self.loading(|loader| loader.bring(file, version, Arrival::New))) {
            Ok(()) => self.candidates.took(files),
            Err(failure) => {
                if let LoadFailure::Refused(reason) = &failure {
                    self.candidates.refusals.remember(content, reason);
                }
                self.failed(files, failure);
            }
        }
    }

    /// Holds a model back until its match is over.
    fn hold(&mut self, file: ModelFile, files: &SeenFiles) {
        let version = files.candidate.version;
        let passed_over = self.gate.hold(Held { model: Entrant { version, file }, files: files.clone() });
        if let Some(passed_over) = passed_over {
            self.stats.gate_passed_over.add(1);
            tracing::info!(version = passed_over.model.version, newer = version, "passed over before its match began");
        }
        tracing::info!(version, "held back until it has played the model that serves");
        self.examine_next();
    }

    /// Has the model that waits examined, if one waits and none is examined.
    fn examine_next(&mut self) {
        let serving = self.service.model();
        let serving = serving.map(|model| Entrant { version: model.generation.version, file: model.file.clone() });
        match (&self.addresses.examine, serving) {
            (Some(referee), Some(serving)) => {
                if let Some(examine) = self.gate.next(&serving) {
                    referee.do_send(examine);
                }
            }
            _ => self.open_gate("there is nothing that it could play against"),
        }
        self.stats.gate_waiting.set_count(self.gate.count());
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
            self.loading(|loader| loader.read(&candidate).and_then(|model| loader.bring(model, version, Arrival::New)));
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
        match self.loading(|loader| loader.bring(file, version, Arrival::Again { proven })) {
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
        if self.addresses.examine.is_some() && self.service.model().is_some() {
            self.hold(file, files);
            return Ok(LookOutcome::Held);
        }
        let brought = self.bring(file, version, Arrival::New);
        if let Err(LoadFailure::Refused(reason)) = &brought {
            self.candidates.refusals.remember(content, reason);
        }
        brought.map(|()| LookOutcome::Served)
    }

    /// Checks a model and puts it into service.
    fn bring(&mut self, file: ModelFile, version: i64, arrival: Arrival) -> Result<(), LoadFailure> {
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
        let (content, kept) = (file.content(), file.clone());
        let proven = matches!(arrival, Arrival::Again { proven: true });
        let generation @ Generation { number, .. } = self.service.brought(file, version, proven, Instant::now());
        tracing::info!(
            version,
            generation = number,
            from = loaded.description,
            %content,
            seconds = begun.elapsed().as_secs_f64(),
            "model in service"
        );
        self.tell_what_changes(version, arrival);
        if self.encoding.is_none() {
            self.encoding = Some(loaded.encoding);
            self.addresses.writer.do_send(UseEncoding(loaded.encoding));
        }
        if let Some(entered) = &self.addresses.entered {
            entered.do_send(Entered(Entrant { version, file: kept }));
        }
        self.addresses.batcher.do_send(SwapModel { generation, evaluators: loaded.evaluators });
        self.addresses.games.do_send(StartGames);
        Ok(())
    }

    /// Says how far the answers of the model that was just loaded are from those of the one that served.
    fn tell_what_changes(&mut self, version: i64, arrival: Arrival) {
        let Some(answers) = self.source.answers() else { return };
        match arrival {
            Arrival::Again { .. } => self.stats.changes.comes_back(version, answers),
            Arrival::New => {
                let change = self.stats.changes.take_over(version, answers);
                tracing::info!("{change}");
                for Alarm { kind, words } in &change.alarms {
                    self.stats.model_alarms(*kind).add(1);
                    tracing::warn!(version, "{words}");
                }
            }
        }
    }
}

/// Why a model is brought into service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// It is the next one.
    New,
    /// It has served before.
    Again {
        /// It passed its probation then.
        proven: bool,
    },
}
