//! `cargo xtask bench --fleet`: what a fleet takes, with a real server, a real hub and games of 9x9 that are played before.
//!
//! - [`games`]: games on their way, beside what one daemon's writer does with them
//! - [`models`]: a model on its way
//! - [`speed`]: a daemon with a fleet, beside the same without

mod games;
mod models;
mod speed;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{crowd, demo};

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Games,
    Models,
    Speed,
}

/// Arguments of `cargo xtask bench --fleet`.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Measure a fleet instead: all of it, or some parts
    #[arg(long = "fleet", value_name = "PART,…", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    #[arg(default_missing_values = ["games", "models", "speed"], conflicts_with_all = ["engine", "daemon", "rest"])]
    parts: Vec<Part>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 3, requires = "parts", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Games of a round
    #[arg(long, value_name = "N", default_value_t = 2_000, requires = "parts", value_parser = clap::value_parser!(u64).range(100..))]
    games: u64,
    /// Folder of games that were played before [default: some of 9x9 are played first]
    #[arg(long, value_name = "DIR", requires = "parts")]
    games_from: Option<PathBuf>,
    /// Measure this daemon instead of a fresh release build
    #[arg(long, value_name = "PATH", requires = "parts")]
    program: Option<PathBuf>,
}

impl Args {
    /// Whether a fleet is to be measured.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.parts.is_empty()
    }
}

/// What is measured.
struct Setup {
    daemon: PathBuf,
    crowd: PathBuf,
    /// Games that were played before.
    pool: PathBuf,
    /// Games of a round.
    games: u64,
    rounds: u32,
}

/// Measures what `args` ask for.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let daemon = match &args.program {
        Some(daemon) => daemon.clone(),
        None => demo::build_daemon()?,
    };
    let crowd = crowd::build()?;
    let dir = tempfile::tempdir().context("cannot create a folder")?;
    let pool = match &args.games_from {
        Some(games) => std::path::absolute(games)?,
        None => {
            let pool = dir.path().join("before");
            crowd::play(&daemon, &pool)?;
            pool
        }
    };
    let setup = Setup { daemon, crowd, pool, games: args.games, rounds: args.rounds };
    for part in &args.parts {
        match part {
            Part::Games => games::run(&setup)?,
            Part::Models => models::run(&setup)?,
            Part::Speed => speed::run(&setup)?,
        }
    }
    Ok(())
}

/// The median, with the least and the most, as a cell of a table.
fn spread(values: impl IntoIterator<Item = f64>, digits: usize) -> String {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (Some(&least), Some(&most)) = (values.first(), values.last()) else { return "–".to_owned() };
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn a_median_stands_with_the_least_and_the_most() {
        assert_eq!(spread([3.0, 1.0, 2.25], 1), "2.2 (1.0–3.0)");
        assert_eq!(spread([4.0, 1.0, 2.0, 9.0], 0), "3 (1–9)");
        assert_eq!(spread([], 0), "–");
    }
}
