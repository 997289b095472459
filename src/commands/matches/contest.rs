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
use selfplay_engine::{Evaluator, Game, evaluation::UniformEvaluator, replay::PlyKind};

use super::{
    contestant::{Contestant, Source},
    report::{self, Ending},
};
use crate::{
    daemon::{
        evaluation::{Prepared, encoding_of, prepare_onnx},
        signals::Signals,
    },
    matches::{
        files::{FiledPlayer, GameFiles},
        openings::{self, Openings},
        record::Record,
        score::Score,
        table::{self, Fixture, PlayedPair, Table},
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

/// Where the games of a match are kept, if anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept<'a> {
    /// The file of its pairs, where earlier ones may be.
    pub record: Option<&'a Path>,
    /// The directory of its games, as files.
    pub games: Option<&'a Path>,
}

/// The moves of a player that a search found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Searched {
    moves: u64,
    simulations: u64,
}

impl Searched {
    /// Those of A and B in a pair of games.
    fn count<G: Game>(both: &mut [Self; 2], pair: &PlayedPair<G>) {
        for (number, game) in pair.iter().enumerate() {
            for ply in game.plies.iter().filter(|ply| ply.notes.kind == PlyKind::Full) {
                let player = &mut both[(ply.player.index() + number) % 2];
                player.moves += 1;
                player.simulations += u64::from(ply.notes.simulations);
            }
        }
    }

    /// Simulations of a move.
    pub(super) fn simulations_per_move(self) -> Option<f64> {
        (self.moves > 0).then(|| self.simulations as f64 / self.moves as f64)
    }
}

/// What came of a match.
pub(super) struct MatchResult {
    pub score: Score,
    pub ending: Ending,
    /// What A and B had for a move, where that is how long they searched.
    pub move_times: [Option<Duration>; 2],
    /// What A and B searched, in games that were played now.
    pub searched: [Searched; 2],
    /// Positions that were evaluated.
    pub evaluations: u64,
    pub seconds: f64,
}

/// Where matches of a game are played.
pub(super) struct Arena<'a, G: PlayedGame> {
    game: &'a G,
    /// ONNX Runtime, where a model plays.
    prepared: Option<Prepared>,
    /// How positions are laid out in files, where no model says it.
    encoding: G::Encoding,
}

impl<'a, G: PlayedGame> Arena<'a, G> {
    /// With ONNX Runtime if one of `players` is a model.
    ///
    /// # Errors
    /// When it or the device cannot be used.
    pub(super) fn open(settings: &Settings, game: &'a G, players: &[Contestant]) -> anyhow::Result<Self> {
        let needs_onnx = players.iter().any(|player| matches!(player.source, Some(Source::Model(_))));
        let prepared = needs_onnx.then(|| prepare_onnx(settings, game)).transpose()?;
        Ok(Self { game, prepared, encoding: encoding_of(settings, game) })
    }

    /// Plays a match.
    ///
    /// # Errors
    /// When a player cannot play, or games cannot be kept.
    pub(super) fn play(
        &self,
        players: [&Contestant; 2],
        plan: &MatchPlan,
        kept: Kept<'_>,
        signals: &mut Signals,
        bar: &ProgressBar,
    ) -> anyhow::Result<MatchResult> {
        let begun = Instant::now();
        let move_times = players.map(|player| player.move_time);
        // Where time counts, neither gets anything for nothing that the other has asked.
        let alone = move_times.iter().any(Option::is_some);
        let mut sources: Vec<&Source> = Vec::new();
        let asks = players.map(|player| {
            let source = player.source.as_ref()?;
            let shared = sources.iter().position(|known| *known == source).filter(|_| !alone);
            Some(shared.unwrap_or_else(|| {
                sources.push(source);
                sources.len() - 1
            }))
        });
        let Loaded { evaluators, contents, encoding } = self.load(&sources)?;
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
        let mut record = kept.record.map(|path| Record::open(path, &identity)).transpose()?;
        let filed = players.map(|player| FiledPlayer {
            name: player.name.clone(),
            settings_hash: player.settings_hash.clone(),
            version: player.version,
        });
        let files = kept.games.map(|dir| GameFiles::open(dir, &identity, encoding, filed)).transpose()?;
        let sprt = sprt.map(report::sprt).transpose()?;
        let mut score = Score::default();
        let mut ending = None;
        let earlier = record.as_mut().map(Record::take_earlier).unwrap_or_default();
        for (results, plies) in earlier.into_iter().take(pairs as usize) {
            score.count(results, plies);
            ending = ending.or_else(|| report::verdict(sprt.as_ref(), &score));
        }
        if let (Some(dir), 1..) = (kept.games, score.pairs.total()) {
            let played = 2 * score.pairs.total();
            tracing::info!(
                games = played,
                "games of the record were written when they were played, not now, to {}",
                dir.display()
            );
        }
        let mut searched = [Searched::default(); 2];
        let fixture = Fixture {
            game: self.game.clone(),
            at_once: AT_ONCE,
            seats: players.map(|player| player.seat),
            move_times,
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
            let mut early: BTreeMap<u64, PlayedPair<G>> = BTreeMap::new();
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
                    score.count(Score::results(&games), table::plies(&games));
                    Searched::count(&mut searched, &games);
                    ending = report::verdict(sprt.as_ref(), &score);
                    if let Err(error) = self.keep(games, record.as_mut(), files.as_ref()) {
                        // What would follow on half a line could not be read.
                        broken = Some(error);
                        ending = Some(Ending::Interrupted);
                    }
                }
                if let Ok(signal) = signals.stop.try_recv() {
                    tracing::info!("stopping: {signal}");
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
            move_times,
            searched,
            evaluations: tables.iter().map(|table| table.evaluated).sum(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Files first: a pair that is not recorded is played again, and written in the same place.
    fn keep(
        &self,
        games: PlayedPair<G>,
        record: Option<&mut Record>,
        files: Option<&GameFiles<G>>,
    ) -> anyhow::Result<()> {
        let added = |games: &PlayedPair<G>| record.map_or(Ok(()), |record| record.add(self.game, games));
        match files {
            Some(files) => files.add(self.game, games.clone()).and_then(|()| added(&games)),
            None => added(&games),
        }
    }

    fn load(&self, sources: &[&Source]) -> anyhow::Result<Loaded<G>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.prepared.as_ref().map_or(cores, |prepared| prepared.load.threads);
        let mut evaluators: Vec<Vec<Box<dyn Evaluator<G>>>> = (0..threads).map(|_| Vec::new()).collect();
        let mut contents = Vec::new();
        let mut encoding = None;
        for source in sources {
            match (source, &self.prepared) {
                (Source::Model(path), Some(prepared)) => {
                    let (model, loaded) = prepared.load_model(self.game, path)?;
                    contents.push(model.content().to_string());
                    encoding = encoding.or(Some(loaded.encoding));
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
        Ok(Loaded { evaluators, contents, encoding: encoding.unwrap_or(self.encoding) })
    }
}

struct Loaded<G: Game> {
    /// For each thread, by number.
    evaluators: Vec<Vec<Box<dyn Evaluator<G>>>>,
    /// What models there are, by the checksum of their contents.
    contents: Vec<String>,
    /// That of the first model.
    encoding: G::Encoding,
}
