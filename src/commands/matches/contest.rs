//! One match: two players, the openings of their games, and the threads that play them.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use indicatif::ProgressBar;
use selfplay_engine::{Evaluator, evaluation::UniformEvaluator};

use super::{
    contestant::{Contestant, Source},
    report::{self, Ending},
};
use crate::{
    daemon::{
        evaluation::{Prepared, prepare_onnx},
        signals::Signals,
    },
    matches::{
        openings::{self, Openings},
        record::Record,
        score::Score,
        table::{Fixture, PlayedPair, Table},
    },
    played::PlayedGame,
    settings::Settings,
};

/// Games in play at once on one thread.
const AT_ONCE: usize = 128;
/// Evaluations that one thread knows of one evaluator at most; then it begins anew.
const KNOWN: usize = 50_000;

/// How much is played, and from where.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MatchPlan {
    pub pairs: u64,
    pub openings: openings::Source,
    pub seed: u64,
    /// A sequential test that may end the match.
    pub sprt: Option<[f64; 2]>,
}

/// What came of a match.
pub(super) struct MatchResult {
    pub score: Score,
    pub ending: Ending,
    /// Positions that were evaluated.
    pub evaluations: u64,
    pub seconds: f64,
}

/// Where matches of a game are played.
pub(super) struct Arena<'a, G: PlayedGame> {
    game: &'a G,
    /// ONNX Runtime, where a model plays.
    prepared: Option<Prepared>,
}

impl<'a, G: PlayedGame> Arena<'a, G> {
    /// With ONNX Runtime if one of `players` is a model.
    ///
    /// # Errors
    /// When it or the device cannot be used.
    pub(super) fn open(settings: &Settings, game: &'a G, players: &[Contestant]) -> anyhow::Result<Self> {
        let needs_onnx = players.iter().any(|player| matches!(player.source, Some(Source::Model(_))));
        Ok(Self { game, prepared: needs_onnx.then(|| prepare_onnx(settings, game)).transpose()? })
    }

    /// Plays a match; `record`: where its games go, and where earlier ones may be.
    ///
    /// # Errors
    /// When a player cannot play, or the record not be read and written.
    pub(super) fn play(
        &self,
        players: [&Contestant; 2],
        plan: &MatchPlan,
        record: Option<&Path>,
        signals: &mut Signals,
        bar: &ProgressBar,
    ) -> anyhow::Result<MatchResult> {
        let begun = Instant::now();
        let mut sources: Vec<&Source> = Vec::new();
        let asks = players.map(|player| {
            let source = player.source.as_ref()?;
            Some(sources.iter().position(|known| *known == source).unwrap_or_else(|| {
                sources.push(source);
                sources.len() - 1
            }))
        });
        let (evaluators, contents) = self.load(&sources)?;
        let mut tables: Vec<_> = evaluators.into_iter().map(|own| Table::new(own, KNOWN)).collect();
        let &MatchPlan { pairs, ref openings, seed, sprt } = plan;
        let identity = serde_json::json!({
            "players": players.map(|player| &player.name),
            "settings": players.map(|player| &player.settings_hash),
            "models": contents,
            "game": self.game.title(),
            "seed": seed,
            "openings": openings.identity(),
        });
        let mut record = record.map(|path| Record::open(path, &identity)).transpose()?;
        let sprt = sprt.map(report::sprt).transpose()?;
        let mut score = Score::default();
        let mut ending = None;
        let earlier = record.as_mut().map(Record::take_earlier).unwrap_or_default();
        for (results, plies) in earlier.into_iter().take(pairs as usize) {
            score.count(results, plies);
            ending = ending.or_else(|| report::verdict(sprt.as_ref(), &score));
        }
        let fixture = Fixture {
            game: self.game.clone(),
            at_once: AT_ONCE,
            seats: players.map(|player| player.seat),
            asks,
            pairs,
            openings: Mutex::new(Openings::new(seed, openings.clone())),
            seed,
            next: AtomicU64::new(score.pairs.total()),
            stop: AtomicBool::new(ending.is_some()),
        };
        bar.set_length(2 * pairs);
        bar.set_position(0);
        let (tell, told) = mpsc::channel();
        let failure = std::thread::scope(|scope| {
            let playing: Vec<_> = tables
                .iter_mut()
                .map(|table| {
                    let tell = tell.clone();
                    let fixture = &fixture;
                    scope.spawn(move || {
                        let ended = table.play(fixture, |pair, games| drop(tell.send((pair, games))));
                        // Where one player fails on one thread, the others need not go on.
                        ended.inspect_err(|_| fixture.stop.store(true, Ordering::Relaxed))
                    })
                })
                .collect();
            drop(tell);
            // Pairs count in the order of their openings, so that a test ends after the same one however many threads play.
            let mut early: BTreeMap<u64, PlayedPair> = BTreeMap::new();
            let mut broken = None;
            loop {
                match told.recv_timeout(Duration::from_millis(200)) {
                    Ok((pair, games)) => drop(early.insert(pair, games)),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                while ending.is_none()
                    && let Some(games) = early.remove(&score.pairs.total())
                {
                    let plies = games.iter().map(|game| game.actions.len() as u64).sum();
                    score.count(Score::results(&games), plies);
                    ending = report::verdict(sprt.as_ref(), &score);
                    if let Some(Err(error)) = record.as_mut().map(|record| record.add(self.game, &games)) {
                        // What would follow on half a line could not be read.
                        broken = Some(error);
                        ending = Some(Ending::Interrupted);
                    }
                }
                if let Ok(signal) = signals.stop.try_recv() {
                    tracing::info!("stopping: {signal} received");
                    ending = ending.or(Some(Ending::Interrupted));
                }
                if ending.is_some() {
                    fixture.stop.store(true, Ordering::Relaxed);
                }
                bar.set_position(2 * score.pairs.total());
                bar.set_message(score.line());
            }
            let ends =
                playing.into_iter().map(|table| table.join().map_err(|_| anyhow::anyhow!("a table panicked"))?);
            broken.or_else(|| ends.filter_map(Result::err).next())
        });
        if let Some(error) = failure {
            return Err(error);
        }
        let played = score.pairs.total();
        if played == 0 && ending.is_none() {
            bail!("there are no {openings} that leave a game which both players see as open: change --opening-plies");
        }
        let complete = if played < pairs { Ending::OutOfOpenings } else { Ending::Complete };
        Ok(MatchResult {
            score,
            ending: ending.unwrap_or(complete),
            evaluations: tables.iter().map(|table| table.evaluated).sum(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// For each thread its evaluators, by number, and what models there are, by the checksum of their contents.
    fn load(&self, sources: &[&Source]) -> anyhow::Result<Evaluators<G>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.prepared.as_ref().map_or(cores, |prepared| prepared.load.threads);
        let mut evaluators: Vec<Vec<Box<dyn Evaluator<G>>>> = (0..threads).map(|_| Vec::new()).collect();
        let mut contents = Vec::new();
        for source in sources {
            match (source, &self.prepared) {
                (Source::Model(path), Some(prepared)) => {
                    let (model, loaded) = prepared.load_model(self.game, path)?;
                    contents.push(model.content().to_string());
                    for (own, evaluator) in evaluators.iter_mut().zip(loaded.evaluators) {
                        own.push(Box::new(evaluator));
                    }
                }
                _ => {
                    contents.push("uniform".to_owned());
                    evaluators.iter_mut().for_each(|own| own.push(Box::new(UniformEvaluator)));
                }
            }
        }
        Ok((evaluators, contents))
    }
}

type Evaluators<G> = (Vec<Vec<Box<dyn Evaluator<G>>>>, Vec<String>);
