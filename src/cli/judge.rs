//! Arguments of `judge`.

use std::path::PathBuf;

use clap::Args;

use super::{Flags, read::whole};

/// What the judge needs and says.
const GUIDE: &str = "\
Positions are random ones, solved here, or those of --positions: a JSON object a line, gzip or not, such as
  {\"moves\":[3,3,2],\"class\":{\"0\":-1,\"1\":1,...}}
with the moves from the start and, if it is known, what each legal move is worth to the mover: 1 wins, 0
draws, -1 loses. Connect Four is solved from about ply 12 on; small boards of the other games as a whole,
larger ones near the end.

A mistake is a move after which the position is worth less: of a win a draw or a loss, of a draw a loss.
Rates are of positions in which some moves are worse than others. A search of one simulation visits no move,
and plays what the network alone does. docs/strength.md tells how to read the rest.

With a directory as --model, models of it are judged one after the other, a line for each: how a run learned.
Minutes are those between the times of the files.

Examples:
  selfplayd judge --model model_40.onnx --game connect_four --seed 1
  selfplayd judge --model run/models --game connect_four --svg learning.svg
";

/// Arguments of `judge`.
#[derive(Clone, Debug, Args)]
#[command(after_help = GUIDE)]
pub(crate) struct JudgeArgs {
    /// Judge by the positions of this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "from_ply", "to_ply"])]
    pub positions: Option<PathBuf>,
    /// Random positions to judge by; --seed chooses others, which is 0 unless given
    #[arg(long, value_name = "N", default_value = "1000", value_parser = whole::<usize>(1, 1_000_000), allow_negative_numbers = true)]
    pub count: usize,
    /// Plies that are played before the earliest of them [default: 12 for connect_four, 0 for other games]
    #[arg(long, value_name = "PLY", value_parser = whole::<u32>(0, 1 << 31), allow_negative_numbers = true)]
    pub from_ply: Option<u32>,
    /// Plies that are played before the latest of them [default: 30 for connect_four]
    #[arg(long, value_name = "PLY", value_parser = whole::<u32>(0, 1 << 31), allow_negative_numbers = true)]
    pub to_ply: Option<u32>,
    /// Simulations of a move, for each of which all positions are searched
    #[arg(long, value_name = "N,N,...", default_value = "1,16,100,800", value_delimiter = ',', value_parser = whole::<u32>(1, 10_000_000), allow_negative_numbers = true)]
    pub simulations: Vec<u32>,
    /// Of a directory of models, how many are judged: the first, the last and others between
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = whole::<u32>(1, 10_000), allow_negative_numbers = true)]
    pub models: u32,
    /// Draw the mistakes of a directory's models over time into this file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
    /// The settings to judge with: the model (--model), the game and the search.
    #[command(flatten)]
    pub flags: Flags,
}
