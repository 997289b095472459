//! Where games go, and which games of earlier processes go on: what is settled before play begins.

use std::{path::Path, time::Duration};

use selfplay_actors::{game::ResumedGame, games::Quota, writer::Output};
use selfplay_engine::{
    games::quoridor::Quoridor,
    journal::{Recovered, SessionOptions, open_session, restore_plies},
    replay::{ReplayStore, SessionId, StemClock},
};

use crate::{exit::failed, settings::Settings};

/// How long to wait for other processes that are looking after the same directory.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The output directory, opened, with what earlier processes left there.
pub(crate) struct Opened {
    /// For the writer.
    pub output: Output,
    /// Games to go on with.
    pub resumable: Vec<ResumedGame<Quoridor>>,
    /// Which games to play.
    pub quota: Quota,
}

/// Opens `dir` for a process that plays up to `limit` games with `seed`, finishes what crashed processes left half-done
/// there, and brings games from the spool directory.
///
/// # Errors
/// When a directory cannot be used.
pub(crate) fn open(
    settings: &Settings,
    dir: &Path,
    game: Quoridor,
    seed: u64,
    limit: Option<u64>,
) -> anyhow::Result<Opened> {
    let session = SessionId::of_this_process();
    let store = ReplayStore::open(dir, session).map_err(failed)?;
    let Recovered { journal, unfinished, next_index: first_index, not_before_ms, report } = open_session(
        dir,
        &SessionOptions {
            session,
            seed,
            settings_hash: settings.games_hash(),
            daemon_version: env!("CARGO_PKG_VERSION").to_owned(),
            journal: settings.journal.enabled,
            resume: settings.journal.resume,
            spool: settings.output.spool_dir.clone(),
            lock_wait: LOCK_WAIT,
        },
    )
    .map_err(failed)?;
    report.to_string().lines().for_each(|line| tracing::info!("{line}"));
    let spool = settings.output.spool_dir.as_deref().map(|dir| open_spool(dir, session, &store)).transpose()?;

    let mut resumable = Vec::with_capacity(unfinished.len());
    for left in unfinished {
        match restore_plies(&game, &left.plies) {
            Ok(plies) => resumable.push(ResumedGame {
                number: left.number,
                seed: left.seed,
                index: left.index,
                first_version: left.first_version,
                plies,
            }),
            Err(error) => {
                tracing::error!(game = left.index, reason = %failed(error), "an unfinished game cannot go on");
                journal.end(left.number);
            }
        }
    }
    if !resumable.is_empty() {
        tracing::info!(games = resumable.len(), "going on with the games of earlier processes");
    }
    let output = Output {
        store,
        stems: StemClock::new(session, not_before_ms),
        journal,
        sync: Duration::from_millis(settings.journal.sync_ms),
        spool,
        deadline: Duration::from_secs_f64(settings.output.writer_deadline_seconds),
        min_free: settings.output.min_free,
        max_rejected: settings.output.max_rejected,
    };
    Ok(Opened { output, resumable, quota: Quota { first_index, limit } })
}

/// Opens the spool directory and brings what it holds to where the trainer looks.
fn open_spool(dir: &Path, session: SessionId, store: &ReplayStore) -> anyhow::Result<ReplayStore> {
    let spool = ReplayStore::open(dir, session).map_err(failed)?;
    let brought = store.import_from(dir).map_err(failed)?;
    if !brought.games.is_empty() {
        tracing::info!(games = brought.games.len(), from = %dir.display(), "brought spooled games to the output directory");
    }
    Ok(spool)
}
