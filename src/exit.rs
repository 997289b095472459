//! The exit codes of the daemon: what a service manager or a script may conclude from them.

use std::process::ExitCode;

/// Why the process ended. The numbers 70 to 78 follow BSD's `sysexits.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done: all games played, or a shutdown that finished in time.
    Clean,
    /// The command line could not be understood. Also what clap exits with by itself.
    Usage,
    /// A part failed more often than its restart budget allows. Restarting the process may help.
    Escalation,
    /// Finished games could not be written: disk full, directory gone, permission denied.
    WriterIo,
    /// The time to drain ran out: finished games are written, but running ones were abandoned.
    DrainDeadline,
    /// The settings are wrong. Restarting does not help: the message names each mistake and where it came from.
    Settings,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub(crate) const ALL: [Self; 6] =
        [Self::Clean, Self::Usage, Self::Escalation, Self::WriterIo, Self::DrainDeadline, Self::Settings];

    /// The number the parent process sees.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Usage => 2,
            Self::Escalation => 70,
            Self::WriterIo => 74,
            Self::DrainDeadline => 75,
            Self::Settings => 78,
        }
    }

    /// One line for the user.
    const fn meaning(self) -> &'static str {
        match self {
            Self::Clean => "all games played, or shut down in time with every finished game written",
            Self::Usage => "the command line is wrong",
            Self::Escalation => "a part failed beyond its restart budget; restarting the process may help",
            Self::WriterIo => "finished games could not be written (disk, permissions)",
            Self::DrainDeadline => "the grace period ran out before the running games ended",
            Self::Settings => "the settings are wrong; all mistakes are listed with their sources",
        }
    }

    /// The table of codes for `--help`.
    pub(crate) fn table() -> String {
        Self::ALL.iter().map(|exit| format!("  {:<3} {}\n", exit.code(), exit.meaning())).collect()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
