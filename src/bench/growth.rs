//! `selfplayd bench growth`: how speed, latency and memory grow with games in play, leaves per game and inference threads.

use anyhow::ensure;

use super::{
    figures::{Better, Figures},
    measure::{Until, Window, measure},
    progress::Progress,
    report::{Report, Setup, earlier},
    speed::{check_span, has_network},
    text::{short, table},
};
use crate::{cli::GrowthArgs, exit::Exit, settings::Settings};

const NAME: &str = "growth";
/// What is shown of each point.
const SHOWN: [(&str, &str); 9] = [
    ("evaluations_per_s", "evaluations/s"),
    ("simulations_per_s", "simulations/s"),
    ("simulations_per_cpu_s", "per CPU-s"),
    ("cores_used", "cores"),
    ("mean_batch", "batch"),
    ("ticket_ms_mean", "wait, ms"),
    ("ticket_ms_p95", "95%, ms"),
    ("memory_mib", "MiB"),
    ("tree_kib_per_game", "tree KiB/game"),
];

/// What is varied, and what to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// Games in play, and leaves gathered at a time.
    Load { games: u32, leaves: u32 },
    /// Inference threads.
    Threads(u32),
}

impl Point {
    /// Before the names of its figures.
    fn prefix(self) -> String {
        match self {
            Self::Load { games, leaves } => format!("games_{games}_k_{leaves}."),
            Self::Threads(threads) => format!("threads_{threads}."),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Load { games, leaves } => format!("{games} games, K = {leaves}"),
            Self::Threads(threads) => format!("{threads} inference threads"),
        }
    }

    /// What is measured there.
    fn settings(self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        match self {
            Self::Load { games, leaves } => {
                settings.play.games_per_process = Some(games);
                settings.search.leaf_parallelism = Some(leaves);
            }
            Self::Threads(threads) => settings.inference.threads = Some(threads),
        }
        settings
    }
}

/// All points, fewest games first: memory that was given back is not always seen to be.
fn points(args: &GrowthArgs, settings: &Settings, cores: usize) -> Vec<Point> {
    let most = settings.search.mcts_n.unwrap_or(u32::MAX);
    let threads = if args.threads.is_empty() { (1..=cores as u32).collect() } else { args.threads.clone() };
    let mut games = args.games.clone();
    games.sort_unstable();
    let loads = games.into_iter().flat_map(|games| {
        let leaves = args.leaves.iter().filter(move |&&leaves| leaves <= most);
        leaves.map(move |&leaves| Point::Load { games, leaves })
    });
    let threads: Vec<_> = threads.into_iter().map(Point::Threads).collect();
    threads.into_iter().chain(loads).collect()
}

/// Measures and prints.
pub(crate) fn growth(args: &GrowthArgs, settings: &Settings) -> anyhow::Result<Exit> {
    check_span(args.seconds, args.rounds)?;
    ensure!(args.games.iter().all(|games| (1..=65_536).contains(games)), "--games: 1 to 65536 each");
    ensure!(args.leaves.iter().all(|leaves| (1..=1024).contains(leaves)), "--leaves: 1 to 1024 each");
    ensure!(args.threads.iter().all(|threads| (1..=256).contains(threads)), "--threads: 1 to 256 each");
    let earlier = earlier(&args.output, NAME)?;
    has_network(settings)?;
    let setup = Setup::new(settings)?;
    let points = points(args, settings, setup.cores());
    let mut windows: Vec<Vec<Window>> = vec![Vec::new(); points.len()];
    let mut progress = Progress::new(args.seconds * (points.len() * args.rounds) as f64);
    for round in 1..=args.rounds {
        for (&point, windows) in points.iter().zip(&mut windows) {
            progress.step(&format!("round {round} of {}: {}", args.rounds, point.text()), args.seconds);
            let settings = point.settings(settings);
            // Every game must have been answered, or nothing is known of how long that takes.
            let answers = 2 * u64::from(settings.play.games());
            windows.push(measure(&settings, Until::Answers(args.seconds, answers))?);
        }
    }
    drop(progress);
    let mut figures = Figures::default();
    for (point, windows) in points.iter().zip(&windows) {
        figures.read(&point.prefix(), windows, |_| true);
    }
    let summary = summary(&points, &figures);
    for (name, label, value) in &summary {
        figures.add(name, label, Better::Neither, [*value]);
    }
    let table = |report: &Report| text(report, &points, &summary);
    Report::new(NAME, setup, args.rounds, figures).print(&args.output, earlier.as_ref(), table)
}

/// Name, label and value of what most games in play are beside 64, by the K next to 16.
fn summary(points: &[Point], figures: &Figures) -> Vec<(String, String, f64)> {
    let loads = || {
        points
            .iter()
            .filter_map(|&point| if let Point::Load { games, leaves } = point { Some((games, leaves)) } else { None })
    };
    let Some(most) = loads().map(|load| load.0).max().filter(|&most| most > 64) else { return Vec::new() };
    let Some((_, leaves)) = loads().filter(|&(games, _)| games == 64).min_by_key(|&(_, leaves)| leaves.abs_diff(16))
    else {
        return Vec::new();
    };
    let median = |games, name: &str| figures.median(&format!("{}{name}", Point::Load { games, leaves }.prefix()));
    let ratio = median(most, "evaluations_per_s").zip(median(64, "evaluations_per_s")).map(|(most, base)| most / base);
    let grown = median(most, "memory_mib").zip(median(64, "memory_mib")).map(|(most, base)| most - base);
    let each = grown.map(|grown| grown / f64::from(most - 64));
    let of = |name: &str, label: String, value: Option<f64>| Some((name.to_owned(), label, value?));
    let ratio_label = format!("evaluations per s with {most} games ÷ with 64, K = {leaves}");
    let each_label = format!("MiB for each game from 64 to {most}, K = {leaves}");
    [of("most_games_by_64", ratio_label, ratio), of("mib_per_game", each_label, each)].into_iter().flatten().collect()
}

fn text(report: &Report, points: &[Point], summary: &[(String, String, f64)]) -> String {
    let mut rows =
        vec![std::iter::once(String::new()).chain(SHOWN.map(|shown| shown.1.to_owned())).collect::<Vec<_>>()];
    for point in points {
        let median = |name: &str| report.figures.median(&format!("{}{name}", point.prefix()));
        let cells = SHOWN.map(|(name, _)| median(name).map_or_else(String::new, short));
        rows.push(std::iter::once(point.text()).chain(cells).collect());
    }
    let lines: String = summary.iter().map(|(_, label, value)| format!("\n{label}: {}", short(*value))).collect();
    format!("{}\nrounds: {} (medians)\n\n{}{lines}", report.setup.text(), report.rounds, table(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{BenchWhat, Cli, Command, command};
    use crate::settings::Purpose;

    fn args(line: &str) -> Box<GrowthArgs> {
        let words = ["selfplayd", "bench", "growth"].into_iter().chain(line.split_whitespace());
        let matches = command().try_get_matches_from(words).unwrap();
        let cli = <Cli as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        let Some(Command::Bench(bench)) = cli.command else { panic!("not bench") };
        let Some(BenchWhat::Growth(args)) = bench.what else { panic!("not growth") };
        args
    }

    fn settings(args: &GrowthArgs) -> Settings {
        let preset = crate::settings::Preset { name: "test", toml: "[game]\nboard_size = 5\nmax_walls = 3" };
        args.flags.resolve(Purpose::Bench, Some(preset)).into_settings().unwrap()
    }

    #[test]
    fn points_are_all_numbers_of_threads_and_all_pairs_of_games_and_leaves() {
        let args = args("--games 16,1 --leaves 1,8");
        let points = points(&args, &settings(&args), 2);
        let load = |games, leaves| Point::Load { games, leaves };
        let threads = [Point::Threads(1), Point::Threads(2)];
        assert_eq!(points, [&threads[..], &[load(1, 1), load(1, 8), load(16, 1), load(16, 8)]].concat());
        let there = points[5].settings(&settings(&args));
        assert_eq!((there.play.games(), there.leaf_parallelism()), (16, 8));
        assert_eq!(points[1].settings(&settings(&args)).inference.threads, Some(2));
    }

    #[test]
    fn what_most_games_give_is_set_beside_what_64_give() {
        let load = |games, leaves| Point::Load { games, leaves };
        let points = [load(1, 16), load(64, 4), load(64, 16), load(64, 32), load(1024, 16)];
        let mut figures = Figures::default();
        for (games, rate, memory) in [(64, 1000.0, 100.0), (1024, 950.0, 1060.0)] {
            figures.add(&format!("games_{games}_k_16.evaluations_per_s"), "", Better::More, [rate]);
            figures.add(&format!("games_{games}_k_16.memory_mib"), "", Better::Less, [memory]);
        }
        let values: Vec<_> = summary(&points, &figures).into_iter().map(|(name, _, value)| (name, value)).collect();
        assert_eq!(values, [("most_games_by_64".to_owned(), 0.95), ("mib_per_game".to_owned(), 1.0)]);
        assert_eq!(summary(&points[..4], &figures), []);
    }
}
