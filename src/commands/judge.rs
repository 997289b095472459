//! `selfplayd judge`: how often a network errs, alone and with search, in positions whose exact worth is known.
//!
//! - `positions`: what is judged by: random positions that are solved, or those of a file
//! - `search`: many searches side by side, so that batches are full
//! - `figures`: mistakes, errors of the value and its calibration, counted
//! - `report`: the same for people
//! - `progress`: how far it is

mod figures;
mod positions;
mod progress;
mod report;
mod search;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use selfplay_actors::onnx::devices_name;
use selfplay_engine::{
    Evaluator, Game,
    evaluation::{HashEvaluator, HashPriors, UniformEvaluator},
    search::{SearchParams, Simulations},
    selfplay::PlaySettings,
};

use self::{
    figures::{Figures, Judgement, Mistakes},
    positions::{Solved, Source},
    progress::Progress,
    search::Questions,
};
use crate::{
    cli::JudgeArgs,
    daemon::{agents::terms, evaluation::prepare_onnx, sizes::Sizes},
    exit::Exit,
    played::PlayedGame,
    settings::{EvaluatorKind, Settings},
    streams::print,
};

/// Judges and prints.
///
/// # Errors
/// When the network cannot be run, or positions cannot be read or solved.
pub(crate) fn judge<G: PlayedGame>(game: &G, args: &JudgeArgs, settings: &Settings) -> anyhow::Result<Exit> {
    if settings.inference.evaluator == EvaluatorKind::Onnx && settings.model.path.is_none() {
        bail!("judge needs the network to judge: --model FILE (or --evaluator uniform, for search without one)");
    }
    // First what is quickly known to be wrong.
    let mut network = Network::load(settings, game)?;
    let progress = Progress::new();
    let source = Source::new(args, settings, game);
    let positions = source.positions(game, network.evaluators.len(), &progress)?;
    let figures = figures(args, settings, game, &mut network, &source, &positions, &progress)?;
    drop(progress);
    print(&if args.json { serde_json::to_string(&figures)? } else { report::text(&figures) })?;
    Ok(Exit::Clean)
}

/// Asks the network about all positions, alone and by searches of every length.
fn figures<G: PlayedGame>(
    args: &JudgeArgs,
    settings: &Settings,
    game: &G,
    network: &mut Network<G>,
    source: &Source,
    positions: &[Solved],
    progress: &Progress,
) -> anyhow::Result<Figures> {
    let play = terms(settings).settings;
    let questions = Questions { game, positions, symmetry: play.symmetry, seed: source.seed() };
    progress.stage("the network alone", positions.len() as u64);
    let alone = questions.alone(&mut network.evaluators, progress)?;
    let mut searches = Vec::new();
    for &simulations in &args.simulations {
        progress.stage(&format!("n = {simulations}"), positions.len() as u64);
        let found = questions.search(&mut network.evaluators, params(&play, simulations), &alone, progress)?;
        searches.push(Judgement { simulations, mistakes: Mistakes::of(positions, &found) });
    }
    Ok(Figures {
        game: game.title(),
        model: network.name.clone(),
        device: network.device.clone(),
        positions: figures::Positions::of(positions, source.to_string()),
        settings: figures::SearchSettings::of(&params(&play, 1), play.symmetry),
        policy: Mistakes::of(positions, &alone),
        search: searches,
        value: figures::Value::of(positions, &alone),
    })
}

/// A search as it is played with, but for what makes games differ from each other.
fn params(play: &Arc<PlaySettings>, simulations: u32) -> SearchParams {
    SearchParams { simulations: Simulations::PerMove(simulations), ..play.search.without_chance() }
}

/// What evaluates positions: one evaluator a thread.
struct Network<G: Game> {
    evaluators: Vec<Box<dyn Evaluator<G>>>,
    name: String,
    device: String,
}

impl<G: PlayedGame> Network<G> {
    fn load(settings: &Settings, game: &G) -> anyhow::Result<Self> {
        let threads = Sizes::new(settings, &[]).inference_threads;
        let synthetic = |name: &str, make: &dyn Fn() -> Box<dyn Evaluator<G>>| Self {
            evaluators: (0..threads.max(1)).map(|_| make()).collect(),
            name: format!("none: the evaluator {name}"),
            device: "none".to_owned(),
        };
        Ok(match settings.inference.evaluator {
            EvaluatorKind::Uniform => synthetic("uniform", &|| Box::new(UniformEvaluator)),
            EvaluatorKind::Hash => synthetic("hash", &|| {
                Box::new(HashEvaluator::new(game.clone(), G::Encoding::default(), HashPriors::Ratio, 0))
            }),
            EvaluatorKind::Onnx => {
                let path = settings.model.path.as_ref().context("no model")?;
                let (_, loaded) = prepare_onnx(settings, game)?.load_model(game, path)?;
                Self {
                    device: format!("{} in {}", devices_name(&loaded.devices), loaded.precision),
                    evaluators: loaded
                        .evaluators
                        .into_iter()
                        .map(|one| Box::new(one) as Box<dyn Evaluator<G>>)
                        .collect(),
                    name: path.display().to_string(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
