//! `selfplayd bench outside`: what everything but the network costs, measured with a network that costs nothing.
//!
//! Two workloads, because they stress different things. *Whole games* from the first ply to the end of the last game: late in a
//! game there are few legal moves, and caches answer much. *Openings only*: all games begin at once and stop when they have
//! played some plies on average, with all walls in hand and hence the most legal moves, and with an empty cache. The rules are
//! those of whole games: a limit of steps would end searches early.

use anyhow::ensure;

use super::{
    figures::Figures,
    measure::{Until, measure},
    progress::Progress,
    report::{Report, Setup, earlier},
    speed::{check_span, has_network},
    text::{short, table},
};
use crate::{cli::OutsideArgs, exit::Exit, played::PlayedGame, settings::Settings};

const NAME: &str = "outside";
/// What a round of either is expected to take, in seconds; the first round corrects it.
const EXPECTED: f64 = 10.0;
/// The two workloads: in names of figures, and for people.
const WORKLOADS: [(&str, &str); 2] = [("whole.", "whole games"), ("openings.", "openings")];

/// Measures and prints.
pub(crate) fn outside(game: &impl PlayedGame, args: &OutsideArgs, settings: &Settings) -> anyhow::Result<Exit> {
    check_span(1.0, args.rounds)?;
    ensure!((1..=1000).contains(&args.plies), "--plies {}: 1 to 1000", args.plies);
    let earlier = earlier(&args.output, NAME)?;
    has_network(settings)?;
    let setup = Setup::new(game, settings)?;
    let at_once = u64::from(settings.play.games());
    let games = args.games.unwrap_or(2 * at_once).max(1);
    let untils = [Until::Games(games), Until::Moves(at_once * args.plies)];
    let mut progress = Progress::new(EXPECTED * 1.25 * args.rounds as f64);
    let mut windows = [Vec::new(), Vec::new()];
    for round in 1..=args.rounds {
        progress.step(&format!("round {round} of {}: {games} whole games", args.rounds), EXPECTED);
        windows[0].push(measure(game, settings, untils[0])?);
        let openings = format!("round {round} of {}: {} plies of {at_once} games", args.rounds, args.plies);
        progress.step(&openings, EXPECTED / 4.0);
        windows[1].push(measure(game, settings, untils[1])?);
    }
    drop(progress);
    let mut figures = Figures::default();
    for ((prefix, _), windows) in WORKLOADS.iter().zip(&windows) {
        figures.read(prefix, windows, |_| true);
    }
    Report::new(NAME, setup, args.rounds, figures).print(&args.output, earlier.as_ref(), text)
}

fn text(report: &Report) -> String {
    let mut rows = vec![vec![String::new()]];
    for (_, workload) in WORKLOADS {
        rows[0].extend([workload.to_owned(), "least–most".to_owned()]);
    }
    for measure in super::figures::MEASURES {
        let cells = WORKLOADS.map(|(prefix, _)| report.figures.get(&format!("{prefix}{}", measure.name)));
        if cells.iter().any(Option::is_some) {
            let texts = cells.into_iter().flat_map(|figure| {
                figure.map_or_else(<[String; 2]>::default, |figure| {
                    let spread = figure.spread();
                    [short(spread.median), format!("{}–{}", short(spread.min), short(spread.max))]
                })
            });
            rows.push(std::iter::once(measure.label.to_owned()).chain(texts).collect());
        }
    }
    format!("{}\nrounds: {}\n\n{}", report.setup.text(), report.rounds, table(&rows))
}
