//! The flags that set settings, made from the table of keys.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::{FileFlags, read::Words};
use crate::settings::{self, Argument, FlagValue, KEYS, Key, Preset, Purpose, Resolved, Scope, Sources, default_of};

/// Headings of the help, each with the sections of the settings below it.
const HEADINGS: [(&str, &[&str]); 7] = [
    ("Models, games and shutdown", &["model", "evaluation", "output", "journal", "daemon"]),
    ("A trainer elsewhere", &["fleet"]),
    ("Play", &["game", "play"]),
    ("Search", &["search"]),
    ("Inference and memory", &["inference", "cache", "memory"]),
    ("Logs and metrics", &["log", "metrics"]),
    ("Status and control", &["http"]),
];

/// The flags that were given. Each carries text: what is wrong with it is said with all other mistakes in the settings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    /// Files of settings.
    pub files: FileFlags,
    /// Single settings.
    pub values: Vec<FlagValue>,
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let below = |sections: &'static [&str]| {
            KEYS.iter().filter(|key| key.path.split('.').next().is_some_and(|section| sections.contains(&section)))
        };
        HEADINGS.into_iter().fold(FileFlags::augment_args(command), |command, (heading, sections)| {
            command.next_help_heading(heading).args(below(sections).filter_map(arg))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |key: &Key| {
            let flag = key.flag?;
            let value = match flag.argument {
                Argument::Value(_) => matches.get_one::<String>(flag.long)?.clone(),
                Argument::Nothing(value) => matches.get_flag(flag.long).then(|| value.to_owned())?,
            };
            Some(FlagValue { flag: flag.long, key: key.path, value })
        };
        Ok(Self { files: FileFlags::from_arg_matches(matches)?, values: KEYS.iter().filter_map(value).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a key, with the default of `configs/default.toml` in its help.
fn arg(key: &Key) -> Option<Arg> {
    let flag = key.flag?;
    let arg = Arg::new(flag.long).long(flag.long.trim_start_matches('-'));
    let arg = flag.alias.into_iter().fold(arg, Arg::visible_alias);
    Some(match flag.argument {
        Argument::Nothing(_) => arg.action(ArgAction::SetTrue).help(flag.help),
        Argument::Value(name) => {
            let default = default_of(key.path).map(|default| format!(" [default: {default}]")).unwrap_or_default();
            let arg = arg.value_name(name).allow_negative_numbers(true).help(format!("{}{default}", flag.help));
            if key.words().is_empty() { arg } else { arg.value_parser(Words(key.words())) }
        }
    })
}

/// `command` without the flags that it has no use for in its help.
pub(super) fn listing_its_own(command: Command, scope: Scope) -> Command {
    let others = KEYS.iter().filter_map(|key| key.flag).filter(|flag| flag.scope < scope);
    others.fold(command, |command, flag| command.mut_arg(flag.long, |arg| arg.hide(true)))
}

impl Flags {
    /// The settings that these flags, the files they name and the environment of this process lead to.
    pub(crate) fn resolve(&self, purpose: Purpose, preset: Option<Preset>) -> Resolved {
        let environment = std::env::vars_os().collect();
        let sources = Sources {
            preset,
            trainer: self.files.config.as_deref(),
            own: self.files.settings.as_deref(),
            environment: &environment,
            flags: &self.values,
        };
        settings::resolve(&sources, purpose)
    }

    /// Those that a command of this scope has no use for.
    pub(super) fn useless(&self, scope: Scope) -> Vec<&'static str> {
        let takes =
            |flag: &str| KEYS.iter().filter_map(|key| key.flag).any(|its| its.long == flag && its.scope >= scope);
        self.values.iter().map(|value| value.flag).filter(|flag| !takes(flag)).collect()
    }
}
