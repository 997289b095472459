//! Arguments of `fleet hub`, and of the commands that speak to one.

use std::path::PathBuf;

use clap::Args;

use super::{ClientArgs, FileFlags, Flags};
use crate::settings::FlagValue;

/// What comes after `--help` of `fleet hub`.
pub(super) const GUIDE: &str = "\
Beside a trainer whose run is RUN:
  selfplayd fleet hub --models RUN/models --ready RUN/replay_buffers/ready --config RUN/config.yaml

It may be killed at any moment; a second one on the same folder waits for its turn. Settings of HTTP, logs and the shutdown
file are those of a daemon (--settings). SIGUSR1 holds a roll-out where it is or lets it go on; SIGUSR2 logs how everything is.";

/// Arguments of `fleet hub`.
#[derive(Clone, Debug, Args)]
pub(crate) struct HubArgs {
    /// The fleet's folder
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    pub dir: PathBuf,
    /// Publish the models of this directory of the trainer, as its latest.yaml names them
    #[arg(long, value_name = "DIR", required_unless_present = "ready")]
    pub models: Option<PathBuf>,
    /// Collect games into this directory, where the trainer takes them from
    #[arg(long, value_name = "DIR")]
    pub ready: Option<PathBuf>,
    /// Percentages of the workers that a new model goes through, each proven before the next
    #[arg(long, value_name = "P,P,...", default_value = "5,25,100", value_delimiter = ',', value_parser = percentage)]
    pub stages: Vec<f64>,
    /// Where the page, status and metrics are served: IP:PORT, or none [default: 127.0.0.1:9466, or the next free port]
    #[arg(long, value_name = "IP:PORT")]
    pub http_listen: Option<String>,
    /// Files of settings. With --config, games of workers with other settings are refused, and those are told.
    #[command(flatten)]
    pub files: FileFlags,
}

impl HubArgs {
    /// As flags of settings.
    pub(crate) fn flags(&self) -> Flags {
        let listen = self.http_listen.iter();
        let value = |value: &String| FlagValue { flag: "--http-listen", key: "http.listen", value: value.clone() };
        Flags { files: self.files.clone(), values: listen.map(value).collect() }
    }
}

/// Arguments of `fleet withdraw`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// Why, for those who look at the fleet
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
    /// How the hub is reached.
    #[command(flatten)]
    pub client: ClientArgs,
}

fn percentage(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number <= 100.0 => Ok(number),
        _ => Err("must be above 0 and at most 100".to_owned()),
    }
}
