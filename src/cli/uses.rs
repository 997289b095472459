//! Which command has a use for which flags; the others are neither listed nor taken.

use super::{BenchWhat, Cli, Command, Flags, command};
use crate::settings::Scope;

/// Whose flags a command takes.
pub(super) fn scope(command: &str) -> Scope {
    match command {
        "describe" => Scope::Game,
        "check-model" | "convert-model" => Scope::Model,
        "judge" | "ladder" | "match" => Scope::Search,
        "bench" | "tune" => Scope::Play,
        _ => Scope::Daemon,
    }
}

impl Cli {
    /// The command's name and the flags it was given.
    fn flags(&self) -> Option<(&'static str, &Flags)> {
        Some(match self.command.as_ref()? {
            Command::Describe(args) => ("describe", &args.flags),
            Command::CheckModel(args) => ("check-model", &args.flags),
            Command::ConvertModel(args) => ("convert-model", &args.flags),
            Command::Match(args) => ("match", &args.flags),
            Command::Ladder(args) => ("ladder", &args.flags),
            Command::Judge(args) => ("judge", &args.flags),
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
        let useless = flags.useless(scope(name));
        if useless.is_empty() {
            return Ok(self);
        }
        let text = format!(
            "{} has no meaning for `selfplayd {name}`: leave it out, see `selfplayd {name} --help`",
            useless.join(", ")
        );
        Err(command().error(clap::error::ErrorKind::UnknownArgument, text))
    }
}
