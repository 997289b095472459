//! The exit codes of the daemon, what a service manager or a script may conclude from them, and which code an error leads to.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::streams::NotPrinted;

/// Why the process ended. The numbers 69 to 78 follow BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done: all games played, or a shutdown that finished in time.
    Clean,
    /// `check-model` found that the model must not serve, the machine was too restless for `tune`, the test of `match` was rejected, or
    /// a running daemon or a fleet's server would not do as it was told.
    Refused,
    /// The command line could not be understood. Also what clap exits with by itself.
    Usage,
    /// No running daemon answers, or a fleet's server does not let us in.
    Unreachable,
    /// A part failed more often than its restart budget allows, or hangs. Restarting the process may help.
    Escalation,
    /// Finished games could not be written, or the journal of unfinished ones: disk full, directory gone, permission denied. Or
    /// standard output does not take what a command prints.
    WriterIo,
    /// The shutdown was cut short, by the end of the grace period, which left games that nothing keeps, or by a second signal,
    /// which left games that were not written too. Or a match was stopped before its end.
    CutShort,
    /// What the daemon was given cannot be used: the settings, or the model, device, directory or file that they name.
    /// Restarting does not help: the message names each mistake and where it came from.
    Settings,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub(crate) const ALL: [Self; 8] = [
        Self::Clean,
        Self::Refused,
        Self::Usage,
        Self::Unreachable,
        Self::Escalation,
        Self::WriterIo,
        Self::CutShort,
        Self::Settings,
    ];

    /// The number the parent process sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::Escalation => 70,
            Self::WriterIo => 74,
            Self::CutShort => 75,
            Self::Settings => 78,
        }
    }

    /// What it means, in lines short enough for the width that clap wraps at.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Clean => "all games played, or told to stop and every finished game written",
            Self::Refused => {
                "check-model, convert-model: the model must not serve; tune: this machine is too restless;\n\
                 match --sprt: A is not stronger; status, drain and the like: the daemon would not do it;\n\
                 fleet: the server would not do it"
            }
            Self::Usage => "the command line is wrong",
            Self::Unreachable => "status, drain and the like: no running daemon answers; fleet: the server does not",
            Self::Escalation => "a part hangs or failed beyond its restart budget; restarting the process may help",
            Self::WriterIo => {
                "finished games could not be written, unfinished ones not be kept, or a result not be printed\n\
                 (disk, permissions)"
            }
            Self::CutShort => {
                "a stop was cut short: by a second signal, or by the end of the grace period where there is no\n\
                 journal, without which games in play are lost; match: it was stopped before its end"
            }
            Self::Settings => "the settings, or the model, device or directory that they name, cannot be used",
        }
    }

    /// The code for an error that kept the process from its work: something that it was given cannot be used.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        match NotPrinted::of(error) {
            None => Self::Settings,
            Some(error) if error.is_unwanted() => Self::Clean,
            Some(_) => Self::WriterIo,
        }
    }

    /// The table of codes for `--help`.
    pub(crate) fn table() -> String {
        Self::ALL
            .iter()
            .map(|exit| format!("  {:<3} {}\n", exit.code(), exit.meaning().replace('\n', "\n      ")))
            .collect()
    }
}

/// An error of the crates below, whose texts are fragments that go on after "failed to", for people.
pub(crate) fn failed(error: impl Into<anyhow::Error>) -> anyhow::Error {
    anyhow!("failed to {:#}", error.into())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
