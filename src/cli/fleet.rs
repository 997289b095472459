//! Arguments of `fleet`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use selfplay_fleet::{folder::Wanted, name::Name};

use super::{ClientArgs, HubArgs, WithdrawArgs};
use crate::settings;

/// What comes after `--help` of `fleet`.
pub(super) const GUIDE: &str = "\
A fleet plays for one trainer on many machines. Games come into the trainer's folder, each once, and models reach the
machines by a NATS server (version 2.11 or newer), which runs beside the trainer.

Beside the trainer:
  selfplayd fleet init --run r1 --host trainer.example.org --certificate server.pem --key server.key
  selfplayd fleet add-worker w1 w2
  nats-server -c fleet/nats.conf
  selfplayd fleet hub --models RUN/models --ready RUN/replay_buffers/ready --config RUN/config.yaml
On another machine, with a copy of fleet/workers/w1.worker and of the trainer's config.yaml:
  selfplayd --fleet tls://trainer.example.org:4222 --credentials w1.worker --config config.yaml";

/// Arguments of `fleet`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FleetArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: FleetWhat,
}

/// What to do with a fleet.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum FleetWhat {
    /// Make a fleet's folder with keys and the server's configuration, or change one, and prepare the server if it runs
    Init(Box<InitArgs>),
    /// Add workers: a key for each, in a file that is copied to its machine
    AddWorker(WorkersArgs),
    /// Remove workers: their keys open nothing any more
    RemoveWorker(WorkersArgs),
    /// Have servers that run read their configuration again, once it was copied to their machines, and see whether it is this folder's
    Reload(FolderArgs),
    /// Collect the fleet's games into the trainer's folder and publish its models, beside the trainer
    #[command(after_help = super::hub::GUIDE)]
    Hub(Box<HubArgs>),
    /// Say how a running hub and all its workers are doing
    Status(ClientArgs),
    /// Have all workers serve the newest model now
    Promote(ClientArgs),
    /// Have all workers go back to the model before the newest
    Withdraw(WithdrawArgs),
    /// Hold the roll-out where it is: no further workers, and no newer model
    Hold(ClientArgs),
    /// Let a roll-out that is held go on
    Resume(ClientArgs),
}

/// Arguments of `fleet init`. What is not said stays as it is.
#[derive(Clone, Debug, Args)]
pub(crate) struct InitArgs {
    /// The fleet's folder
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    pub dir: PathBuf,
    /// The run that all play for; a new fleet needs it
    #[arg(long, value_name = "NAME")]
    pub run: Option<Name>,
    /// How workers call this machine, as the certificate has it; three machines, separated by commas, are a cluster. Each may have a port
    /// of its own (NAME:PORT) [default: where the server listens, or localhost]
    #[arg(long, value_name = "NAME[,NAME,NAME]")]
    pub host: Option<String>,
    /// Where the server listens [default: 0.0.0.0:4222 with a certificate, else 127.0.0.1:4222]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// The server's certificate in PEM, with those between it and its authority; without one, all workers are on this machine
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Who signs it, in PEM, where workers' systems do not know them; goes into workers' files
    #[arg(long, value_name = "FILE")]
    pub authority: Option<PathBuf>,
    /// Where the server keeps games and models on their way [default: store in the folder]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,
    /// Most bytes of games that wait there for the trainer [default: 50GB, or two fifths of the free space]
    #[arg(long, value_name = "SIZE", value_parser = settings::parse_bytes)]
    pub max_games_bytes: Option<u64>,
    /// Most bytes of models there [default: 10GB, or a tenth of the free space]
    #[arg(long, value_name = "SIZE", value_parser = settings::parse_bytes)]
    pub max_models_bytes: Option<u64>,
    /// Where the server tells how it is, to all who reach this address, such as 127.0.0.1:8222 [default: nowhere]
    #[arg(long, value_name = "ADDRESS")]
    pub monitor: Option<String>,
}

impl InitArgs {
    /// What the fleet is to be.
    pub(crate) fn wanted(&self) -> Wanted {
        let Self { dir: _, run, host, listen, certificate, key, authority, store, .. } = self.clone();
        let (max_games_bytes, max_models_bytes) = (self.max_games_bytes, self.max_models_bytes);
        let monitor = self.monitor.clone();
        Wanted { run, host, listen, monitor, certificate, key, authority, store, max_games_bytes, max_models_bytes }
    }
}

/// Arguments of `fleet reload`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FolderArgs {
    /// The fleet's folder
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    pub dir: PathBuf,
}

/// Arguments of `fleet add-worker` and `fleet remove-worker`.
#[derive(Clone, Debug, Args)]
pub(crate) struct WorkersArgs {
    /// Names of the workers: letters a to z, digits, _ and -
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<Name>,
    /// The fleet's folder
    #[arg(long, value_name = "DIR", default_value = "fleet")]
    pub dir: PathBuf,
}
