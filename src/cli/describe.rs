//! Arguments of `describe`.

use clap::Args;

use super::Flags;

/// What is told, and how the permutations are meant.
const GUIDE: &str = "\
With --json symmetries are data, as two lists for each, the first of which changes nothing. For a position x as
network input in C order, and a policy (or a mask of legal actions) p, those of its image are
  x'[i] = x[input[i]]    p'[a] = p[policy[a]]
Planes, policies and values are in the network's frame, from the mover's side: docs/formats.md.

Examples:
  selfplayd describe --game connect_four
  SELFPLAYD__HEX__SIZE=7 selfplayd describe --game hex --json
";

/// Arguments of `describe`.
#[derive(Clone, Debug, Args)]
#[command(after_help = GUIDE)]
pub(crate) struct DescribeArgs {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// The settings that choose the game (--game) and its rules.
    #[command(flatten)]
    pub flags: Flags,
}
