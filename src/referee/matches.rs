//! All matches of a process, one after the other.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use selfplay_actors::{
    loader::ModelSource,
    onnx::ModelFile,
    referee::{Entrant, Examine, Judged, Judgement, Referee, Worked},
    standings::{Decided, Newest, Standings},
    stats::Stats,
};
use selfplay_engine::{Evaluator, evaluation::UniformEvaluator, rating::Pairs};

use super::{
    bout::{Bout, Owned},
    folder::Folder,
    history::{Anchor, Fixed, History, Line, Model, Player},
    plan::{Due, Plan},
};
use crate::played::PlayedGame;

/// Panics over one match after which it is given up.
const PANICS: u32 = 2;
/// Owner of the evaluator that knows nothing of any position.
const NO_MODEL: &str = "uniform";

/// All matches of a process.
pub(super) struct Matches<G: PlayedGame> {
    game: G,
    source: Box<dyn ModelSource<G>>,
    plan: Plan,
    pub(super) stats: Arc<Stats>,
    /// `None`: it could not be opened, or not yet.
    folder: Option<Folder>,
    history: History,
    due: Due,
    /// To be rated next.
    pending: Option<(Model, ModelFile)>,
    /// Models that are rated, as far as they are in memory.
    files: Vec<(String, ModelFile)>,
    /// Candidates to be judged.
    gate: VecDeque<Examine>,
    /// The last match was one of the gate.
    gate_was_last: bool,
    pub(super) bout: Option<Bout<G>>,
    /// What is being played or made ready, and how often that panicked.
    doing: Option<(Fixed, u32)>,
    /// Matches that cannot be played.
    given_up: Vec<Fixed>,
    /// Of the last match, for the next one.
    spare: Vec<Owned<G>>,
    standings: Standings,
}

impl<G: PlayedGame> Matches<G> {
    /// Nothing was played yet.
    pub(super) fn new(game: G, source: Box<dyn ModelSource<G>>, plan: Plan, stats: Arc<Stats>) -> Self {
        let history = History::new(plan.terms.name.clone());
        stats.standings.set(Standings::default());
        Self {
            game,
            source,
            plan,
            stats,
            folder: None,
            history,
            due: Due::default(),
            pending: None,
            files: Vec::new(),
            gate: VecDeque::new(),
            gate_was_last: false,
            bout: None,
            doing: None,
            given_up: Vec::new(),
            spare: Vec::new(),
            standings: Standings::default(),
        }
    }

    /// Opens the folder, if that was not done. Whether models are rated here: not where another process does.
    fn has_folder(&mut self) -> bool {
        if self.folder.is_some() {
            return true;
        }
        match Folder::open(&self.plan.dir) {
            Ok(Some((folder, contents))) => {
                if contents.unreadable > 0 {
                    let lines = contents.unreadable;
                    tracing::warn!(lines, folder = %self.plan.dir.display(), "lines of results.jsonl cannot be read");
                }
                contents.lines.into_iter().for_each(|line| self.history.take(line));
                if let Some((model, _)) = self.history.last() {
                    self.due.last = self.due.last.or(Some(model.version));
                    if self.due.newest.is_empty() {
                        self.due.newest.clone_from(&model.content);
                    }
                }
                self.folder = Some(folder);
                self.trouble(None);
                self.rate();
                true
            }
            Ok(None) => {
                self.trouble(Some(
                    "another daemon of this output directory keeps the results: models are not rated here".to_owned(),
                ));
                false
            }
            Err(error) => {
                let dir = self.plan.dir.display();
                self.trouble(Some(format!("results of matches are not kept: {dir}: {error}")));
                true
            }
        }
    }

    /// The model that served when an earlier process ended, with which play goes on: the newest may be one that was refused.
    pub(super) fn served_last(&mut self) -> Option<Entrant> {
        if !self.has_folder() {
            return None;
        }
        let (Model { version, content }, folder) = (self.history.serving.clone()?, self.folder.as_ref()?);
        let kept = folder.kept(&content);
        let file =
            kept.inspect_err(|error| tracing::warn!(version, "the model that served last is not there: {error:#}"));
        Some(Entrant { version, file: file.ok()? })
    }

    /// A model came into service by the gate.
    fn serves(&mut self, model: &Model, file: &ModelFile) {
        if self.history.serving.as_ref() == Some(model) {
            return;
        }
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| folder.keep(&model.content, file)) {
            self.trouble(Some(format!("after a restart play would begin with another model: {error:#}")));
        }
        self.add(Line::Serves { unix: unix(), model: model.clone() });
        self.forget_others();
    }

    /// Of the copies of models those stay that may be needed.
    fn forget_others(&self) {
        let rated = self.history.last().into_iter().flat_map(|(model, before)| [Some(model), before.as_ref()]);
        let needed = rated.chain([self.history.serving.as_ref()]).flatten();
        let names: Vec<_> = needed.map(|model| &*model.content).collect();
        self.folder.iter().for_each(|folder| folder.forget_others(&names));
    }

    /// Says what is wrong, once.
    fn trouble(&mut self, trouble: Option<String>) {
        if self.standings.trouble == trouble {
            return;
        }
        if let Some(trouble) = &trouble {
            tracing::warn!("matches beside play: {trouble}");
        }
        self.standings.trouble = trouble;
        self.publish();
    }

    fn publish(&mut self) {
        self.standings.playing = self.bout.as_ref().map(Bout::progress);
        self.stats.standings.set(self.standings.clone());
    }

    fn rate(&mut self) {
        (self.standings.rated, self.standings.newest) = self.history.ratings();
        self.publish();
    }

    fn add(&mut self, line: Line) {
        let added = self.folder.as_mut().map_or(Ok(()), |folder| folder.add(&line));
        self.history.take(line);
        if let Err(error) = added {
            self.trouble(Some(format!("results of matches are not kept: {error:#}")));
        }
    }

    /// Takes the model that waits to be rated.
    fn enter(&mut self) -> bool {
        let Some((model, file)) = self.pending.take() else { return false };
        let before = self.history.last().map(|(before, _)| before.clone());
        if let Some(Err(error)) = self.folder.as_ref().map(|folder| folder.keep(&model.content, &file)) {
            self.trouble(Some(format!("after a restart model {} cannot play: {error:#}", model.version)));
        }
        let needed: Vec<_> =
            [Some(&model), before.as_ref()].into_iter().flatten().map(|model| model.content.clone()).collect();
        self.files.push((model.content.clone(), file));
        self.files.retain(|(content, _)| needed.contains(content));
        self.add(self.history.entered(unix(), model, before));
        self.forget_others();
        true
    }

    /// What is to be played next: a candidate's match, or one of a model that is rated.
    fn next(&mut self) -> Option<Fixed> {
        let candidate = self.gate.front().map(|Examine { candidate, serving }| Fixed {
            gate: true,
            a: Model::of(candidate.version, &candidate.file),
            b: Player::Model(Model::of(serving.version, &serving.file)),
        });
        if candidate.is_some() && !self.gate_was_last {
            return candidate;
        }
        let Self { history, given_up, .. } = self;
        let rating = self.plan.every.and_then(|_| history.next(|fixed| given_up.contains(fixed)));
        if rating.is_none() && self.plan.every.is_some() && self.enter() {
            return self.next();
        }
        rating.or(candidate)
    }

    /// Begins a match.
    ///
    /// # Errors
    /// When one of its players cannot be had.
    fn begin(&mut self, fixed: Fixed) -> anyhow::Result<()> {
        let wanted = match &fixed.b {
            Player::Model(model) => vec![fixed.a.content.clone(), model.content.clone()],
            Player::Anchor(Anchor::Uniform) => vec![fixed.a.content.clone(), NO_MODEL.to_owned()],
            Player::Anchor(Anchor::Random) => vec![fixed.a.content.clone()],
        };
        // What is not needed any more goes before others come: memory.
        self.spare.retain(|(owner, _)| wanted.contains(owner));
        let mut ready = Vec::new();
        for owner in wanted {
            let evaluator = self.evaluator(&owner)?;
            ready.push((owner, evaluator));
        }
        let of = if fixed.gate { self.plan.gate_pairs } else { self.plan.pairs };
        let record = self.folder.as_ref().map(|folder| folder.record(fixed.gate));
        self.bout = Some(Bout::new(&self.game, &self.plan.terms, fixed, of, ready, record.as_deref()));
        self.publish();
        Ok(())
    }

    fn evaluator(&mut self, owner: &str) -> anyhow::Result<Box<dyn Evaluator<G>>> {
        if owner == NO_MODEL {
            return Ok(Box::new(UniformEvaluator));
        }
        if let Some(place) = self.spare.iter().position(|(its, _)| its == owner) {
            return Ok(self.spare.swap_remove(place).1);
        }
        let file = self.file(owner)?;
        let loaded = self.source.load(&file).map_err(|failure| anyhow!("{}", failure.reason()))?;
        loaded.evaluators.into_iter().next().context("a model came without an evaluator")
    }

    /// The model of these contents.
    fn file(&self, content: &str) -> anyhow::Result<ModelFile> {
        let of_gate = self.gate.iter().flat_map(|examine| [&examine.candidate.file, &examine.serving.file]);
        let known = self.files.iter().map(|(_, file)| file).chain(of_gate);
        let file = known.into_iter().find(|file| file.content().to_string() == content);
        match (file, &self.folder) {
            (Some(file), _) => Ok(file.clone()),
            (None, Some(folder)) => folder.kept(content),
            (None, None) => Err(anyhow!("the model is not there any more")),
        }
    }

    /// A match is over: what it came to is kept and told.
    fn over(&mut self, bout: Bout<G>) -> Worked {
        let (fixed, pairs) = (bout.fixed.clone(), bout.score.pairs);
        tracing::info!(
            model = fixed.a.version,
            against = fixed.b.name(),
            purpose = if fixed.gate { "gate" } else { "rating" },
            "a match is over: {}",
            bout.score.words()
        );
        self.spare = bout.into_evaluators();
        self.add(self.history.over(unix(), fixed.clone(), pairs));
        if let Some(folder) = &self.folder {
            std::fs::remove_file(folder.record(fixed.gate)).ok(); // Else it is taken for that of another match.
            self.trouble(None);
        }
        if fixed.gate {
            return Worked::Judged(self.judge(&fixed, pairs));
        }
        self.rate();
        self.tell();
        Worked::On
    }

    /// Says what rating a model has, once it has played all its matches.
    fn tell(&self) {
        let Self { history, given_up, .. } = self;
        let Some(newest) =
            self.standings.newest.as_ref().filter(|_| history.next(|fixed| given_up.contains(fixed)).is_none())
        else {
            return;
        };
        let Newest { version, elo, margin, against, score, .. } = newest;
        let score =
            against.zip(*score).map(|(against, score)| format!(", {:.1}% against model {against}", 100.0 * score));
        let score = score.unwrap_or_default();
        tracing::info!(version, "a model is rated: {elo:+.0} ± {margin:.0} Elo above search without a network{score}");
    }

    /// What a match means for a candidate, which is the first in the queue.
    fn judge(&mut self, fixed: &Fixed, pairs: Pairs) -> Judged {
        let (score, against) = (pairs.score().unwrap_or(0.5), fixed.b.name());
        let promoted = score >= 0.5;
        if let Player::Model(serving) = &fixed.b {
            let (version, against) = (fixed.a.version, serving.version);
            self.standings.gate = Some(Decided { version, against, score, pairs: pairs.total(), promoted });
        }
        let games = 2 * pairs.total();
        let how = format!("it scored {:.1}% of {games} games against model {against}", 100.0 * score);
        self.judged(if promoted { Judgement::Promoted(how) } else { Judgement::Refused(how) })
    }

    /// The first candidate of the queue is judged.
    fn judged(&mut self, verdict: Judgement) -> Judged {
        let candidate = self.gate.pop_front().map(|examine| examine.candidate.file.content());
        self.publish();
        Judged { candidate: candidate.unwrap_or_else(|| ModelFile::named("").content()), verdict }
    }

    /// A match cannot be played.
    fn give_up(&mut self, fixed: Fixed, reason: &str) -> Worked {
        (self.bout, self.doing) = (None, None);
        let players = format!("model {} against {}", fixed.a.version, fixed.b.name());
        self.trouble(Some(format!("{players} cannot be played: {reason}")));
        if fixed.gate {
            return Worked::Judged(self.judged(Judgement::Unjudged(reason.to_owned())));
        }
        self.given_up.push(fixed);
        self.publish();
        Worked::On
    }

    fn play(&mut self, fixed: Fixed) -> Worked {
        let panics = self.doing.take().filter(|(doing, _)| *doing == fixed).map_or(0, |(_, panics)| panics);
        if panics >= PANICS {
            return self.give_up(fixed, &format!("it panicked {panics} times"));
        }
        self.doing = Some((fixed.clone(), panics));
        let (begun, before) = (self.bout.is_none(), self.bout.as_ref().map_or(0, |bout| bout.score.pairs.total()));
        if begun {
            return match self.begin(fixed.clone()) {
                Ok(()) => Worked::On,
                Err(error) => self.give_up(fixed, &format!("{error:#}")),
            };
        }
        let Some(mut bout) = self.bout.take() else { return Worked::On };
        let goes_on = bout.play(self.plan.moment);
        let pairs = bout.score.pairs.total();
        let counter = if fixed.gate { &self.stats.match_games_gate } else { &self.stats.match_games_rating };
        counter.add(2 * (pairs - before));
        match goes_on {
            Err(error) => self.give_up(fixed, &format!("{error:#}")),
            Ok(false) if pairs == 0 => {
                self.give_up(fixed, "no opening leaves a game that both see as open: change evaluation.opening_plies")
            }
            Ok(false) => {
                self.doing = None;
                self.over(bout)
            }
            Ok(true) => {
                self.bout = Some(bout);
                if pairs > before {
                    self.publish();
                }
                Worked::On
            }
        }
    }
}

impl<G: PlayedGame> Referee for Matches<G> {
    fn entered(&mut self, Entrant { version, file }: Entrant) {
        if !self.has_folder() {
            return;
        }
        let model = Model::of(version, &file);
        if self.plan.gate {
            self.serves(&model, &file);
        }
        let Some(every) = self.plan.every else { return };
        if self.due.is(&model, every)
            && !self.history.knows(&model.content)
            && let Some((passed_over, _)) = self.pending.replace((model, file))
        {
            tracing::info!(
                version = passed_over.version,
                newer = version,
                "not rated: matches take longer than models"
            );
        }
    }

    fn examine(&mut self, examine: Examine) {
        self.has_folder();
        self.gate.push_back(examine);
    }

    fn is_urgent(&self) -> bool {
        !self.gate.is_empty()
    }

    fn work(&mut self) -> Worked {
        if let Some(fixed) = self.bout.as_ref().map(|bout| bout.fixed.clone()) {
            return self.play(fixed);
        }
        let Some(fixed) = self.next() else {
            self.spare.clear();
            return Worked::Idle;
        };
        self.gate_was_last = fixed.gate;
        let wanted = if fixed.gate { self.plan.gate_pairs } else { self.plan.pairs };
        match self.history.pairs(&fixed).filter(|pairs| fixed.gate && pairs.total() >= wanted) {
            Some(known) => Worked::Judged(self.judge(&fixed, known)),
            None => self.play(fixed),
        }
    }

    fn release(&mut self) {
        (self.bout, self.doing) = (None, None);
        self.spare.clear();
        self.publish();
    }

    fn recover(&mut self) {
        self.bout = None;
        self.spare.clear();
        if let Some((fixed, panics)) = &mut self.doing {
            *panics += 1;
            self.gate_was_last = !fixed.gate; // It is its turn still.
        }
        self.publish();
    }
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
