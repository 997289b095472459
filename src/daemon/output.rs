//! Where games go, and which games of earlier processes go on: what is settled before play begins.

use std::{error::Error as _, fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use selfplay_actors::{game::ResumedGame, games::Quota, writer::Output};
use selfplay_engine::{
    Game,
    journal::{Recovered, SessionOptions, open_session, restore_plies},
    replay::{ReplayStore, SessionId, StemClock, StoreError},
};

use crate::{exit::failed, settings::Settings};

/// How long to wait for other processes that are looking after the same directory.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// The output directory, opened, with what earlier processes left there.
pub(crate) struct Opened<G: Game> {
    /// For the writer.
    pub output: Output,
    /// Games to go on with.
    pub resumable: Vec<ResumedGame<G>>,
    /// Which games to play.
    pub quota: Quota,
}

/// Opens `dir` for a process that plays up to `limit` games with `seed`, finishes what crashed processes left half-done
/// there, and brings games from the spool directory.
///
/// # Errors
/// When a directory cannot be used.
pub(crate) fn open<G: Game>(
    settings: &Settings,
    dir: &Path,
    game: &G,
    seed: u64,
    limit: Option<u64>,
) -> anyhow::Result<Opened<G>> {
    let session = SessionId::of_this_process();
    let store = ReplayStore::open(dir, session).map_err(|error| explained(dir, error))?;
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
        match restore_plies(game, &left.plies) {
            Ok(plies) => resumable.push(ResumedGame {
                number: left.number,
                seed: left.seed,
                index: left.index,
                first_version: left.first_version,
                resign_below: left.resign_below,
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
    let spool = ReplayStore::open(dir, session).map_err(|error| explained(dir, error))?;
    let brought = store.import_from(dir).map_err(failed)?;
    if !brought.games.is_empty() {
        tracing::info!(games = brought.games.len(), from = %dir.display(), "brought spooled games to the output directory");
    }
    Ok(spool)
}

/// Why `dir` cannot be used. Where this user may not write there, that is said with whose it is and what helps.
fn explained(dir: &Path, error: StoreError) -> anyhow::Error {
    let sources = std::iter::successors(error.source(), |&error| error.source());
    let denied = sources.filter_map(|error| error.downcast_ref::<io::Error>());
    let denied = denied.map(io::Error::kind).any(|kind| kind == io::ErrorKind::PermissionDenied);
    let error = failed(error);
    if !denied {
        return error;
    }
    let process = Identity { user: rustix::process::geteuid().as_raw(), group: rustix::process::getegid().as_raw() };
    // The first that another user owns; else the one that is to hold the games, or where it was to be created.
    let tmp = dir.join("tmp");
    let looked_at = std::iter::once(tmp.as_path()).chain(dir.ancestors());
    let looked_at = looked_at.map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let found: Vec<_> = looked_at.filter_map(|path| Some((path, fs::metadata(path).ok()?))).collect();
    let foreign = found.iter().take(2).find(|(_, metadata)| metadata.uid() != process.user);
    match foreign.or_else(|| found.first()) {
        Some((path, metadata)) => {
            let owner = Identity { user: metadata.uid(), group: metadata.gid() };
            let reason = refusal(path, owner, metadata.mode() & 0o777, process);
            error.context(format!("games cannot be written to {}: {reason}", dir.display()))
        }
        None => error,
    }
}

/// Numbers of a user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    user: u32,
    group: u32,
}

/// Why `process` may not write to `path`, and what helps.
fn refusal(path: &Path, owner: Identity, mode: u32, process: Identity) -> String {
    let path = path.display();
    if owner.user == process.user {
        return format!("{path} belongs to this user ({}), but its mode is {mode:03o}: chmod u+rwx", owner.user);
    }
    let Identity { user, group } = process;
    format!(
        "{path} belongs to user {}, mode {mode:03o}, and this process runs as user {user}: chown {user}:{group} it, or run as its \
         owner; in a container by --user {}:{}, with rootless podman by --userns keep-id:uid={user},gid={group}",
        owner.user, owner.user, owner.group
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: Identity = Identity { user: 10001, group: 10002 };

    #[test]
    fn a_directory_of_another_user_is_named_with_what_helps() {
        let owner = Identity { user: 1000, group: 100 };
        let text = refusal(Path::new("/games"), owner, 0o755, PROCESS);
        let expected = "/games belongs to user 1000, mode 755, and this process runs as user 10001: chown 10001:10002 it, or run as \
                        its owner; in a container by --user 1000:100, with rootless podman by --userns \
                        keep-id:uid=10001,gid=10002";
        assert_eq!(text, expected);
        let own = refusal(Path::new("/games"), PROCESS, 0o555, PROCESS);
        assert_eq!(own, "/games belongs to this user (10001), but its mode is 555: chmod u+rwx");
    }

    #[test]
    fn only_a_denied_permission_is_explained() {
        let dir = tempfile::tempdir().unwrap();
        let said = |kind: io::ErrorKind| {
            let error = StoreError::CreateDirectory { path: "tmp".into(), source: kind.into() };
            format!("{:#}", explained(&dir.path().join("not/there"), error))
        };
        let denied = said(io::ErrorKind::PermissionDenied);
        let begin = format!("games cannot be written to {}/not/there: {} ", dir.path().display(), dir.path().display());
        assert!(denied.starts_with(&begin) && denied.contains(": failed to create directory tmp: "), "{denied}");
        assert_eq!(said(io::ErrorKind::StorageFull), "failed to create directory tmp: no storage space");
    }
}
