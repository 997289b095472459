//! Arguments of `bench` and what is below it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    Flags,
    read::{above_zero, whole},
};

/// How results are given.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Compare with what the same command printed earlier with --json
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
}

/// Arguments of `bench`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    /// What to measure instead.
    #[command(subcommand)]
    pub what: Option<BenchWhat>,
    /// How results are given.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Seconds for each measurement
    #[arg(long, value_name = "S", default_value_t = 10.0, value_parser = above_zero(3600.0), allow_negative_numbers = true)]
    pub seconds: f64,
    /// Play N whole games in each round instead of stopping after --seconds
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, 1 << 32), allow_negative_numbers = true)]
    pub games: Option<u64>,
    /// Rounds; medians and spreads are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<usize>(1, 100), allow_negative_numbers = true)]
    pub rounds: usize,
    /// The settings to measure.
    #[command(flatten)]
    pub flags: Flags,
}

/// What `bench` can measure besides speed.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum BenchWhat {
    /// Measure all but the network: whole games, and openings only, with a network that costs nothing
    Outside(Box<OutsideArgs>),
    /// Measure what play loses while models are swapped
    Swap(Box<SwapArgs>),
}

/// Arguments of `bench outside`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OutsideArgs {
    /// How results are given.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Whole games of each round [default: twice as many as are in play at once]
    #[arg(long, value_name = "N", value_parser = whole::<u64>(1, 1 << 32), allow_negative_numbers = true)]
    pub games: Option<u64>,
    /// Plies that count as the opening: all games begin at once and stop when they have played so many on average
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = whole::<u64>(1, 1000), allow_negative_numbers = true)]
    pub plies: u64,
    /// Rounds; medians and spreads are printed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<usize>(1, 100), allow_negative_numbers = true)]
    pub rounds: usize,
    /// The settings to measure; --model-path names a constant network, or --evaluator uniform is given.
    #[command(flatten)]
    pub flags: Flags,
}

/// Arguments of `bench swap`.
#[derive(Clone, Debug, Args)]
pub(crate) struct SwapArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Seconds between two models
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = above_zero(3600.0), allow_negative_numbers = true)]
    pub every: f64,
    /// Models to swap in after the first
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole::<u64>(1, 10_000), allow_negative_numbers = true)]
    pub swaps: u64,
    /// The settings to measure; --model-path names the model, which is published again and again.
    #[command(flatten)]
    pub flags: Flags,
}
