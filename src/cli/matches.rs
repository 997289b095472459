//! Arguments of `match` and `ladder`.

use std::path::PathBuf;

use clap::Args;

use super::{Flags, read::whole};

/// Arguments of `match`.
#[derive(Clone, Debug, Args)]
pub(crate) struct MatchArgs {
    /// A player: MODEL.onnx, raw:MODEL.onnx (its policy without search), uniform (search without a network), random, or
    /// solver, where the game can be solved. Settings of its own follow a colon: new.onnx:mcts_n=200,c_puct=1.4, or with
    /// a time for each move in place of a number of simulations: new.onnx:move_ms=50
    pub a: String,
    /// The other
    pub b: String,
    /// Most games, an even number: each opening is played twice, with sides exchanged
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = whole::<u64>(2, 1 << 32), allow_negative_numbers = true)]
    pub games: u64,
    /// Plies at the start that are drawn at random
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole::<u32>(0, 1000), allow_negative_numbers = true)]
    pub opening_plies: u32,
    /// Openings instead: a file of positions, as judge takes them
    #[arg(long, value_name = "FILE", conflicts_with = "opening_plies")]
    pub openings: Option<PathBuf>,
    /// Stop as soon as it is clear whether A is stronger than B by ELO1 rather than by ELO0, such as 0,20
    #[arg(long, value_name = "ELO0,ELO1", allow_negative_numbers = true, value_parser = two)]
    pub sprt: Option<[f64; 2]>,
    /// Write every pair of games here as it ends, and go on after those that it has
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Write every game into this directory as the daemon writes games, for show
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// What both players have in common: the game, the search, the device.
    #[command(flatten)]
    pub flags: Flags,
}

/// Arguments of `ladder`.
#[derive(Clone, Debug, Args)]
pub(crate) struct LadderArgs {
    /// Where the models are: files named by their versions, such as model_12.onnx
    pub dir: PathBuf,
    /// How many of them play, the newest
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = whole::<u32>(1, 200), allow_negative_numbers = true)]
    pub models: u32,
    /// Games of each match, an even number
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = whole::<u64>(2, 1 << 32), allow_negative_numbers = true)]
    pub games: u64,
    /// Plies at the start that are drawn at random
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = whole::<u32>(0, 1000), allow_negative_numbers = true)]
    pub opening_plies: u32,
    /// Openings instead: a file of positions, as judge takes them
    #[arg(long, value_name = "FILE", conflicts_with = "opening_plies")]
    pub openings: Option<PathBuf>,
    /// Draw the ratings by version into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Keep the games of every match in this directory, and go on after those that it has
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
    /// Write every game as the daemon writes games, for show, into a directory for each match in this one
    #[arg(long, value_name = "DIR")]
    pub games_dir: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// What all players have in common: the game, the search, the device.
    #[command(flatten)]
    pub flags: Flags,
}

/// Reads two numbers.
fn two(text: &str) -> Result<[f64; 2], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|number| number.trim().parse().ok()).collect();
    let numbers =
        numbers.and_then(|numbers| numbers.try_into().ok()).filter(|two: &[f64; 2]| two.iter().all(|n| n.is_finite()));
    numbers.ok_or_else(|| "must be two numbers, such as 0,20".to_owned())
}
