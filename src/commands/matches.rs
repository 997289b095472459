//! `selfplayd match`: which of two players is stronger, found out by games.
//!
//! - [`player`]: who plays
//! - [`table`]: many games side by side, on each thread
//! - [`record`]: pairs on the disk, so that a match goes on where it was stopped
//! - [`report`]: what came of it

mod player;
mod record;
mod report;
mod table;

use std::{
    collections::{BTreeMap, HashSet},
    io::IsTerminal as _,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use selfplay_actors::onnx::{ModelFile, load_evaluators};
use selfplay_engine::{Action, Evaluator, Leaf, evaluation::UniformEvaluator, matches::opening};

use self::{
    player::{Player, Source},
    record::Record,
    report::{Ending, Report, Score, Setup},
    table::{Fixture, PlayedPair, Table},
};
use crate::{
    cli::MatchArgs,
    daemon::{
        evaluation::{Prepared, prepare_onnx},
        signals::Signals,
    },
    exit::{Exit, failed},
    settings::{Resolved, Settings},
    shipped::{AnyGame, Shipped, with_game},
    streams,
};

/// Openings in which a model sees one side this far ahead are drawn anew: they say nothing of the players.
const DECIDED: f32 = 0.8;
/// Times that an opening is drawn before there is taken to be none.
const ATTEMPTS: u32 = 100;

/// Plays and prints: [`Exit::Refused`] where a test was asked for and rejected.
///
/// # Errors
/// When a player cannot play.
pub(crate) fn play_match(args: &MatchArgs, settings: &Settings, resolved: &Resolved) -> anyhow::Result<Exit> {
    let signals = Signals::catch()?;
    with_game!(AnyGame::of(settings)?, game => Match::prepare(args, settings, resolved, &game)?.play(args, signals))
}

/// Players with what they ask, and the openings of their games.
struct Match<'a, G: Shipped> {
    game: &'a G,
    players: [Player; 2],
    /// The evaluator that each of them asks, by number.
    asks: [Option<usize>; 2],
    tables: Vec<Table<G>>,
    openings: Vec<Vec<Action>>,
    seed: u64,
    setup: Setup,
    record: Option<Record>,
}

impl<'a, G: Shipped> Match<'a, G> {
    fn prepare(args: &MatchArgs, settings: &Settings, resolved: &Resolved, game: &'a G) -> anyhow::Result<Self> {
        let players = [Player::parse(&args.a, resolved)?, Player::parse(&args.b, resolved)?];
        let mut sources: Vec<&Source> = Vec::new();
        let asks = [0, 1].map(|player| {
            let source = players[player].source.as_ref()?;
            Some(sources.iter().position(|known| *known == source).unwrap_or_else(|| {
                sources.push(source);
                sources.len() - 1
            }))
        });
        let (evaluators, contents) = load(settings, game, &sources)?;
        let mut tables: Vec<_> = evaluators.into_iter().map(Table::new).collect();
        let seed = settings.play.seed.unwrap_or(0);
        let openings = openings(game, &mut tables[0], args.games.div_ceil(2), seed, args.opening_plies)?;
        let setup = Setup {
            players: [args.a.clone(), args.b.clone()],
            game: game.title(),
            seed,
            opening_plies: args.opening_plies,
            sprt: args.sprt,
        };
        let identity = serde_json::json!({
            "players": players.each_ref().map(|player| &player.name),
            "settings": players.each_ref().map(|player| &player.settings_hash),
            "models": contents,
            "game": setup.game,
            "seed": seed,
            "opening_plies": args.opening_plies,
        });
        let record = args.record.as_deref().map(|path| Record::open(path, &identity)).transpose()?;
        Ok(Self { game, players, asks, tables, openings, seed, setup, record })
    }

    fn play(self, args: &MatchArgs, mut signals: Signals) -> anyhow::Result<Exit> {
        let Self { game, players, asks, mut tables, openings, seed, setup, mut record } = self;
        let begun = Instant::now();
        let sprt = args.sprt.map(report::sprt).transpose()?;
        let mut score = Score::default();
        let mut ending = None;
        let earlier = record.as_mut().map(Record::take_earlier).unwrap_or_default();
        for (results, plies) in earlier.into_iter().take(openings.len()) {
            score.count(results, plies);
            ending = ending.or_else(|| report::verdict(sprt.as_ref(), &score));
        }
        let fixture = Fixture {
            game,
            seats: players.each_ref().map(|player| player.seat),
            asks,
            openings: &openings,
            seed,
            next: AtomicU64::new(score.pairs.total()),
            stop: AtomicBool::new(ending.is_some()),
        };
        let bar = progress_bar(2 * openings.len() as u64);
        let (tell, told) = mpsc::channel();
        let failure = std::thread::scope(|scope| {
            let playing: Vec<_> = tables
                .iter_mut()
                .map(|table| {
                    let tell = tell.clone();
                    let fixture = &fixture;
                    scope.spawn(move || table.play(fixture, |pair, games| drop(tell.send((pair, games)))))
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
                    if let Some(Err(error)) = record.as_mut().map(|record| record.add(game, &games)) {
                        broken.get_or_insert(error);
                        fixture.stop.store(true, Ordering::Relaxed);
                    }
                    ending = report::verdict(sprt.as_ref(), &score);
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
        bar.finish_and_clear();
        if let Some(error) = failure {
            return Err(failed(error));
        }
        let complete = if openings.len() as u64 * 2 < args.games { Ending::OutOfOpenings } else { Ending::Complete };
        let ending = ending.unwrap_or(complete);
        let evaluations = tables.iter().map(|table| table.evaluated).sum();
        let report = Report::new(setup, &score, ending, evaluations, begun.elapsed().as_secs_f64())?;
        streams::print(&if args.json { serde_json::to_string(&report)? } else { report.text() })?;
        Ok(match ending {
            Ending::Rejected => Exit::Refused,
            Ending::Interrupted => Exit::CutShort,
            Ending::Complete | Ending::OutOfOpenings | Ending::Accepted => Exit::Clean,
        })
    }
}

fn progress_bar(games: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:20} {pos}/{len} games, {elapsed}, {eta} left: {msg}");
    let bar = ProgressBar::new(games).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    crate::telemetry::share_terminal_with(bar.clone());
    bar
}

/// For each thread its evaluators, by number, and what models there are, by the checksum of their contents.
type Evaluators<G> = (Vec<Vec<Box<dyn Evaluator<G>>>>, Vec<String>);

fn load<G: Shipped>(settings: &Settings, game: &G, sources: &[&Source]) -> anyhow::Result<Evaluators<G>> {
    let needs_onnx = sources.iter().any(|source| matches!(source, Source::Model(_)));
    let prepared = needs_onnx.then(|| prepare_onnx(settings, game)).transpose()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = prepared.as_ref().map_or(cores, |prepared| prepared.load.threads);
    let mut evaluators: Vec<Vec<Box<dyn Evaluator<G>>>> = (0..threads).map(|_| Vec::new()).collect();
    let mut contents = Vec::new();
    for source in sources {
        match (source, &prepared) {
            (Source::Model(path), Some(Prepared { runtime, load, .. })) => {
                let model = ModelFile::read(path).map_err(failed)?;
                contents.push(model.content().to_string());
                let loaded = load_evaluators(runtime, game, &model, load).map_err(failed)?;
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

/// As many openings as there are pairs to play, no two of which lead to the same position; fewer where there are no more.
fn openings<G: Shipped>(
    game: &G,
    table: &mut Table<G>,
    pairs: u64,
    seed: u64,
    plies: u32,
) -> anyhow::Result<Vec<Vec<Action>>> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for pair in 0..pairs {
        let mut chosen = None;
        for attempt in 0..ATTEMPTS {
            let Some(actions) = opening(game, seed, pair, attempt, plies) else { continue };
            let mut state = game.start();
            actions.iter().for_each(|&action| game.play(&mut state, action));
            let leaf = Leaf::new(game, &state, &game.legal_actions(&state));
            let decided = table.values(&[leaf])?.iter().flatten().any(|value| value.abs() > DECIDED);
            if !decided && seen.insert(leaf.position) {
                chosen = Some(actions);
                break;
            }
        }
        match chosen {
            Some(actions) => found.push(actions),
            None => break,
        }
    }
    if found.is_empty() {
        bail!("no opening of {plies} plies leaves a game that both players see as open: change --opening-plies");
    }
    Ok(found)
}
