//! `selfplayd judge`: how often a network errs, alone and with search, in positions whose exact worth is known.
//!
//! - `positions`: what is judged by: random positions that are solved, or those of a file
//! - `search`: many searches side by side, so that batches are full
//! - `figures`: mistakes, errors of the value and its calibration, counted
//! - `report`: the same for people
//! - `picture`: mistakes of several models over time
//! - `progress`: how far it is

mod figures;
mod picture;
mod positions;
mod progress;
mod report;
mod search;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail, ensure};
use selfplay_actors::onnx::devices_name;
use selfplay_engine::{
    Evaluator, Game,
    evaluation::{HashEvaluator, HashPriors, UniformEvaluator},
    search::{SearchParams, Simulations},
    selfplay::PlaySettings,
};
use serde::Serialize;

use self::{
    figures::{Figures, Judgement, Mistakes},
    picture::picture,
    positions::{Solved, Source},
    progress::Progress,
    search::Questions,
};
use crate::{
    cli::JudgeArgs,
    commands::models::{models_of, short},
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
    let model = settings.model.path.as_deref().filter(|_| settings.inference.evaluator == EvaluatorKind::Onnx);
    if settings.inference.evaluator == EvaluatorKind::Onnx && model.is_none() {
        bail!("judge needs the network to judge: --model FILE (or --evaluator uniform, for search without one)");
    }
    let folder = model.filter(|path| path.is_dir());
    ensure!(
        folder.is_some() || args.svg.is_none(),
        "--svg draws what the models of a directory come to: --model DIRECTORY"
    );
    let models = folder.map(models_of).transpose()?.map(|models| spread(models, args.models as usize));
    let first = models.as_deref().map_or(model, |models| Some(&models[0]));
    // First what is quickly known to be wrong.
    let mut network = Network::load(settings, game, first)?;
    let progress = Progress::new();
    let source = Source::new(args, settings, game);
    let positions = source.positions(game, network.evaluators.len(), &progress)?;
    let judge = Judge { args, settings, game, source, positions, progress };
    let said = match models {
        None => {
            let figures = judge.figures(&mut network, "")?;
            if args.json { serde_json::to_string(&figures)? } else { report::text(&figures) }
        }
        Some(models) => {
            let judged = judge.all(&models)?;
            if let Some(file) = &args.svg {
                fs::write(file, picture(&judged)).with_context(|| format!("failed to write {}", file.display()))?;
            }
            if args.json { serde_json::to_string(&judged)? } else { report::many(&judged) }
        }
    };
    drop(judge);
    print(&said)?;
    Ok(Exit::Clean)
}

/// At most so many models, spread evenly over all, the first and the last among them.
fn spread(models: Vec<PathBuf>, most: usize) -> Vec<PathBuf> {
    let last = models.len() - 1;
    let steps = most.min(models.len()).saturating_sub(1);
    if steps == 0 {
        return models.into_iter().skip(last).collect();
    }
    (0..=steps).map(|step| models[step * last / steps].clone()).collect()
}

/// What is asked, and of which positions.
struct Judge<'a, G> {
    args: &'a JudgeArgs,
    settings: &'a Settings,
    game: &'a G,
    source: Source,
    positions: Vec<Solved>,
    progress: Progress,
}

/// One of several models.
#[derive(Debug, Serialize)]
struct Judged {
    /// From the time of the first one's file to that of its own.
    minutes: f64,
    #[serde(flatten)]
    figures: Figures,
}

impl<G: PlayedGame> Judge<'_, G> {
    fn all(&self, models: &[PathBuf]) -> anyhow::Result<Vec<Judged>> {
        let written = |model: &Path| {
            let time = fs::metadata(model).and_then(|metadata| metadata.modified());
            time.with_context(|| format!("failed to read {}", model.display()))
        };
        let begun = written(&models[0])?;
        let judged = models.iter().map(|model| {
            let seconds = written(model)?.duration_since(begun).map_or(0.0, |since| since.as_secs_f64());
            let name = short(model.to_str().unwrap_or_default());
            let mut network = Network::load(self.settings, self.game, Some(model))?;
            Ok(Judged { minutes: seconds / 60.0, figures: self.figures(&mut network, &format!("{name}, "))? })
        });
        judged.collect()
    }

    /// Asks the network about all positions, alone and by searches of every length. `name`: what it is called beside others.
    fn figures(&self, network: &mut Network<G>, name: &str) -> anyhow::Result<Figures> {
        let Self { args, settings, game, source, positions, progress } = self;
        let play = terms(settings).settings;
        let questions = Questions { game: *game, positions, symmetry: play.symmetry, seed: source.seed() };
        progress.stage(&format!("{name}the network alone"), positions.len() as u64);
        let alone = questions.alone(&mut network.evaluators, progress)?;
        let mut searches = Vec::new();
        for &simulations in &args.simulations {
            progress.stage(&format!("{name}n = {simulations}"), positions.len() as u64);
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
    fn load(settings: &Settings, game: &G, model: Option<&Path>) -> anyhow::Result<Self> {
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
                let path = model.context("no model")?;
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
