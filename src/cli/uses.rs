//! Which command has a use for which flags; the others are neither listed nor taken.

use super::{BenchWhat, Cli, Command, Flags, command};

/// Flags that only a daemon has a use for: where games go, what it follows, and who is told.
pub(super) const OF_A_DAEMON: [&str; 19] = [
    "--output-dir",
    "--continuous",
    "--latest-model-yaml",
    "--model-source",
    "--shutdown-file",
    "--grace-seconds",
    "--pause-unload-after",
    "--no-resume",
    "--spool-dir",
    "--writer-deadline",
    "--model-version",
    "--num-games",
    "--trace",
    "--profile-counters",
    "--metrics-dir",
    "--http-listen",
    "--http-metrics-listen",
    "--http-socket",
    "--http-token-file",
];

/// Flags that concern a model by itself.
pub(super) const OF_A_MODEL: [&str; 7] =
    ["--game", "--device", "--inference-threads", "--eval-batch-size", "--precision", "--log-format", "--log-level"];

/// Whether a command has a use for a flag.
pub(super) fn takes(command: &str, flag: &str) -> bool {
    match command {
        "check-model" | "convert-model" => OF_A_MODEL.contains(&flag),
        "bench" | "tune" => !OF_A_DAEMON.contains(&flag),
        _ => true,
    }
}

impl Cli {
    /// The command's name and the flags it was given.
    fn flags(&self) -> Option<(&'static str, &Flags)> {
        Some(match self.command.as_ref()? {
            Command::CheckModel(args) => ("check-model", &args.flags),
            Command::ConvertModel(args) => ("convert-model", &args.flags),
            Command::Tune(args) => ("tune", &args.flags),
            Command::Bench(args) => match &args.what {
                None => ("bench", &args.flags),
                Some(BenchWhat::Outside(args)) => ("bench", &args.flags),
                Some(BenchWhat::Swap(args)) => ("bench", &args.flags),
            },
            _ => return None,
        })
    }

    /// Refuses flags that the command has no use for.
    pub(super) fn checked(self) -> Result<Self, clap::Error> {
        let Some((name, flags)) = self.flags() else { return Ok(self) };
        let useless: Vec<_> =
            flags.values().into_iter().filter(|flag| flag.value.is_some() && !takes(name, flag.flag)).collect();
        if useless.is_empty() {
            return Ok(self);
        }
        let useless: Vec<_> = useless.iter().map(|flag| flag.flag).collect();
        let text = format!(
            "{} has no meaning for `selfplayd {name}`: leave it out, see `selfplayd {name} --help`",
            useless.join(", ")
        );
        Err(command().error(clap::error::ErrorKind::UnknownArgument, text))
    }
}
