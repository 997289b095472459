//! What is left to do when play is over: the journal is closed, the account of all games told, and the exit code found.

use std::path::{Path, PathBuf};

use selfplay_actors::{root::Ending, stats::Snapshot};
use selfplay_engine::journal::Journal;

use crate::{
    daemon::{report::Rates, siblings::DaemonFile},
    exit::{Exit, failed},
    http, streams,
};

/// A daemon whose play is over.
pub(super) struct Played {
    /// How it ended.
    pub ending: Ending,
    /// What was played.
    pub rates: Rates,
    /// Where games in play are kept.
    pub journal: Journal,
    /// Games that earlier processes left unfinished.
    pub left_behind: u64,
    /// Where the games of a batch went, of which a summary is printed.
    pub summary: Option<PathBuf>,
    /// Stopped last, so that the end can be watched.
    pub server: Option<http::Server>,
    /// Others see this daemon until then.
    pub _daemon_file: DaemonFile,
}

impl Played {
    /// Tells what came of all games.
    pub(super) fn close(self) -> Exit {
        let counts = &self.rates.counts;
        let any = counts.games_started > 0;
        if let Some(dir) = self.summary.as_deref().filter(|_| any) {
            streams::out().put(summary(&self.rates, dir));
        }
        let kept = close_journal(&self.journal, counts, self.left_behind);
        if any || self.left_behind > 0 || matches!(self.ending, Ending::Clean) {
            log_account(counts, self.left_behind);
        }
        drop(self.server);
        streams::finish();
        let exit = exit(self.ending, counts);
        if exit == Exit::Clean { kept.map_or_else(|exit| exit, |()| exit) } else { exit }
    }
}

/// What a batch run did.
fn summary(rates: &Rates, dir: &Path) -> String {
    let counts = &rates.counts;
    format!(
        "{} games written to {} in {:.1} s\n\
         {:.2} games/s, {:.1} positions/s, {:.0} simulations/s, {:.0} evaluations/s, mean batch {:.1}, cache hit rate {:.1}%\n",
        counts.games_written,
        dir.display(),
        rates.seconds,
        rates.per_second(counts.games_finished),
        rates.per_second(counts.plies()),
        rates.per_second(counts.simulations_total()),
        rates.per_second(counts.evaluations),
        rates.mean_batch(),
        100.0 * rates.hit_rate(),
    )
}

/// Closes the journal, which keeps the unfinished games and those of the `left_behind` that were not resumed.
///
/// # Errors
/// With how the process is to end, when it cannot be brought to the disk and so keeps nothing.
fn close_journal(journal: &Journal, counts: &Snapshot, left_behind: u64) -> Result<(), Exit> {
    let Err(error) = journal.close() else { return Ok(()) };
    let unfinished = counts.games_unfinished();
    let lost = unfinished + left_behind.saturating_sub(counts.games_resumed);
    tracing::error!(games = lost, "unfinished games are lost with the journal: {}", failed(error));
    if lost > 0 { Err(Exit::WriterIo) } else { Ok(()) }
}

/// What became of every game: started is finished, rejected, abandoned and unfinished together; finished is written, unfit, without
/// targets and spooled together with those that the next line reports as kept or lost. Of the `left_behind` games of earlier processes, those that were not
/// resumed wait on in the journal.
fn log_account(counts: &Snapshot, left_behind: u64) {
    let waiting = left_behind.saturating_sub(counts.games_resumed);
    if waiting > 0 {
        tracing::info!(games = waiting, "games of earlier processes were not resumed: they go on at the next start");
    }
    tracing::info!(
        games_started = counts.games_started,
        games_resumed = counts.games_resumed,
        games_waiting = waiting,
        games_finished = counts.games_finished,
        games_rejected = counts.games_rejected,
        games_abandoned = counts.games_abandoned,
        games_unfinished = counts.games_unfinished(),
        games_written = counts.games_written,
        games_unfit = counts.games_unfit,
        games_without_targets = counts.games_without_targets,
        games_spooled = counts.games_spooled,
        "account of all games"
    );
}

fn exit(ending: Ending, counts: &Snapshot) -> Exit {
    match ending {
        Ending::Clean if counts.games_abandoned + counts.games_unfit > 0 => {
            tracing::error!(
                given_up = counts.games_abandoned,
                unfit = counts.games_unfit,
                "games were given up or set aside"
            );
            Exit::Escalation
        }
        Ending::Clean => Exit::Clean,
        Ending::Unusable(reason) => {
            tracing::error!("cannot play: {reason}");
            Exit::Settings
        }
        Ending::Escalated(reason) => {
            tracing::error!(reason, "gave up");
            Exit::Escalation
        }
        Ending::DrainDeadline { given_up } => {
            tracing::error!(games = given_up, "the grace period was over before the games: they are lost");
            Exit::CutShort
        }
        Ending::WriterGaveUp(reason) => {
            tracing::error!(reason, "gave up writing games");
            Exit::WriterIo
        }
        Ending::Unwritten { lost, kept, spooled, reason } => {
            tracing::error!(
                lost,
                kept_for_the_next_start = kept,
                spooled,
                reason,
                "finished games could not be written"
            );
            Exit::WriterIo
        }
    }
}
