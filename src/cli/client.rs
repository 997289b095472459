//! Arguments of the commands that speak to a running daemon.

use std::path::PathBuf;

use clap::Args;

/// How a running daemon is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientArgs {
    /// Where the daemon serves HTTP, as its log says
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9466")]
    pub address: String,
    /// The daemon's Unix socket instead
    #[arg(long, value_name = "PATH", conflicts_with = "address")]
    pub socket: Option<PathBuf>,
    /// A file with the token that the daemon wants to see
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub json: bool,
}
