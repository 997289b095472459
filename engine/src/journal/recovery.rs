//! The start of a session: what dead ones left is finished, taken over or removed.
//!
//! Everything happens under one lock per directory, in an order in which a crash after any step loses nothing and does nothing
//! twice: files whose game is complete get their final name within `tmp/`; what is unfinished is copied into the new journal,
//! which names the sessions it has taken over; complete games are put in place; leftovers and the old journals are removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufReader},
    path::Path,
    sync::Arc,
};

use super::{
    Journal, JournalError, JournalNumber, Recovered, SessionOptions, UnfinishedGame,
    entry::{Entry, Header, ReadTargets, encode},
    file::{JournalFile, io_error, is_at, journal_path},
    leftovers::Leftovers,
    read::{Contents, KnownGame, note_begun, read, read_header},
    report::{RecoveryEvent, RecoveryReport},
};
use crate::replay::{
    Open, ReplayStore, SessionId, Stem, lock::DirectoryLock, open_in_place, stem::ms_of_file, store::sync_directory,
};

/// The journals in a directory.
#[derive(Default)]
struct Sessions {
    /// Of processes that live.
    live: BTreeSet<SessionId>,
    /// Of processes that do not, with their files, which stay locked by us.
    dead: BTreeMap<SessionId, Option<File>>,
}

/// Looks after what dead sessions left in `dir`, the directory of a [`ReplayStore`], and begins a new one. Nothing of a live
/// session is touched.
///
/// # Errors
/// When the directory cannot be locked, read or written; it may be called again.
pub fn open_session(dir: &Path, options: &SessionOptions) -> Result<Recovered, JournalError> {
    let store = ReplayStore::at(dir.to_owned());
    let tmp = store.tmp();
    match fs::create_dir(tmp) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io_error("create directory", tmp, source));
        }
        _ => {}
    }
    let _lock = DirectoryLock::take(tmp, options.lock_wait)?;
    let mut report = RecoveryReport::default();

    let names = list(tmp)?;
    let sessions = Sessions::find(tmp, &names)?;
    report.events.extend(sessions.live.iter().map(|&session| RecoveryEvent::Live { session }));
    let journals = sessions.read(tmp, &mut report)?;
    let mut header = Header {
        session: options.session,
        settings_hash: options.settings_hash.clone(),
        seed: options.seed,
        daemon_version: options.daemon_version.clone(),
        adopted: sessions.dead.keys().copied().filter(|&session| session != options.session).collect(),
        highest_ms: highest_ms(dir, &names)?,
        next_index: Vec::new(),
    };
    for contents in journals.read.values() {
        header.highest_ms = header.highest_ms.max(contents.header.highest_ms);
        for &(seed, next) in contents.header.next_index.iter().filter(|(_, next)| *next > 0) {
            note_begun(&mut header.next_index, seed, next - 1);
        }
    }

    let adoptable = || journals.read.iter().filter(|(session, _)| !journals.adopted.contains(session));
    let staged = adoptable().flat_map(|(_, contents)| contents.games.values());
    let staged: BTreeSet<&Stem> = staged.filter(|game| game.staged).filter_map(|game| game.stem.as_ref()).collect();
    let leftovers = Leftovers::find(&store, &names, &sessions.live, &staged)?;

    let mut taken = Taken { games: BTreeMap::new(), unfinished: Vec::new() };
    for (&session, contents) in adoptable() {
        let over = |game: &KnownGame| is_over(game, &store, &leftovers, options.spool.as_deref());
        // Settings may have been changed while it lived.
        let settings = |game: &KnownGame| game.settings_hash.clone().unwrap_or(contents.header.settings_hash.clone());
        let games = contents.games.values().filter(|game| !over(game));
        let (games, others): (Vec<_>, Vec<_>) = games.partition(|game| settings(game) == options.settings_hash);
        if !others.is_empty() {
            report.events.push(RecoveryEvent::Discarded { session, games: others.len(), other_settings: true });
        }
        if games.is_empty() {
        } else if !options.resume {
            report.events.push(RecoveryEvent::Discarded { session, games: games.len(), other_settings: false });
        } else {
            let plies = games.iter().map(|game| game.plies.len()).sum();
            report.events.push(RecoveryEvent::Adopted { session, games: games.len(), plies });
            games.into_iter().for_each(|game| taken.take(game));
        }
    }
    let next_index = header.next_index.iter().find(|(seed, _)| *seed == options.seed).map_or(0, |&(_, next)| next);
    let not_before_ms = header.highest_ms.saturating_add(1);
    let numbers = taken.unfinished.len() as u64;
    let file = JournalFile::create(tmp, header, taken.games, options.journal)?;

    leftovers.finish(&store, &mut report)?;
    sessions.remove(tmp, &journals, options.session, &mut report)?;
    Ok(Recovered {
        journal: Journal::new(Some(Arc::new(file)), numbers),
        unfinished: taken.unfinished,
        next_index,
        not_before_ms,
        report,
    })
}

/// The sessions whose processes live. To be asked under the directory's lock.
pub(super) fn live_sessions(tmp: &Path) -> Result<BTreeSet<SessionId>, JournalError> {
    Ok(Sessions::find(tmp, &list(tmp)?)?.live)
}

/// The session, dead or alive, that has taken over the games of `session`, if one has.
pub(super) fn taken_over_by(tmp: &Path, session: SessionId) -> Option<SessionId> {
    let names = list(tmp).unwrap_or_default();
    let mut others = names.iter().filter_map(|name| session_of(name)).filter(|&other| other != session);
    others.find(|&other| adopted_by(tmp, other).contains(&session))
}

/// Whether the trainer has or will have the game without our playing it.
fn is_over(game: &KnownGame, store: &ReplayStore, leftovers: &Leftovers, spool: Option<&Path>) -> bool {
    let Some(stem) = &game.stem else { return false };
    let in_spool = || {
        spool.is_some_and(|spool| {
            let spool = ReplayStore::at(spool.to_owned());
            spool.npz(stem).exists() || spool.tmp_file(stem, "npz").exists()
        })
    };
    // Where an archive lies in `tmp` that cannot be published, the game never reached the trainer.
    let published = game.staged && !leftovers.has_archive(stem);
    published || leftovers.is_complete(stem) || store.npz(stem).exists() || in_spool()
}

/// Games taken over: as entries of the new journal, and as told to the caller.
struct Taken {
    games: BTreeMap<u64, Vec<u8>>,
    unfinished: Vec<UnfinishedGame>,
}

impl Taken {
    fn take(&mut self, game: &KnownGame) {
        let number = self.unfinished.len() as u64;
        let mut frames = Vec::new();
        let &KnownGame { seed, index, first_version, resign_below, .. } = game;
        encode(&Entry::<ReadTargets>::Begun { number, seed, index }, &mut frames);
        if let Some(below) = resign_below {
            encode(&Entry::<ReadTargets>::Resigning { number, below }, &mut frames);
        }
        for (index, ply) in game.plies.iter().enumerate() {
            encode(&Entry::taken((number, index, first_version), ply), &mut frames);
        }
        self.games.insert(number, frames);
        let (number, plies) = (JournalNumber(number), game.plies.clone());
        self.unfinished.push(UnfinishedGame { number, seed, index, first_version, resign_below, plies });
    }
}

/// What the dead sessions' journals say.
struct Journals {
    read: BTreeMap<SessionId, Contents>,
    /// Sessions whose games some other session has taken over.
    adopted: BTreeSet<SessionId>,
    unreadable: BTreeSet<SessionId>,
}

impl Sessions {
    fn find(tmp: &Path, names: &[String]) -> Result<Self, JournalError> {
        let mut sessions = Self::default();
        for name in names {
            let Some(session) = session_of(name) else { continue };
            if sessions.live.contains(&session) {
                continue;
            }
            match lock(&tmp.join(name))? {
                Locked::Alive => {
                    sessions.live.insert(session);
                    sessions.dead.remove(&session);
                }
                Locked::Dead(file) if name.ends_with(".journal") => {
                    sessions.dead.insert(session, Some(file));
                }
                Locked::Dead(_) => {
                    sessions.dead.entry(session).or_default();
                }
                Locked::Gone => {}
            }
        }
        Ok(sessions)
    }

    fn read(&self, tmp: &Path, report: &mut RecoveryReport) -> Result<Journals, JournalError> {
        let mut journals = Journals { read: BTreeMap::new(), adopted: BTreeSet::new(), unreadable: BTreeSet::new() };
        for (&session, file) in &self.dead {
            let Some(file) = file else { continue };
            match read(file) {
                Ok(contents) => {
                    journals.adopted.extend(contents.header.adopted.iter().filter(|&&other| other != session));
                    if let Some(cut) = &contents.cut {
                        let (offset, reason) = (cut.offset, cut.reason.clone());
                        report.events.push(RecoveryEvent::Cut { session, offset, reason });
                    }
                    journals.read.insert(session, contents);
                }
                Err(reason) => {
                    report.events.push(RecoveryEvent::Unreadable { session, reason });
                    journals.unreadable.insert(session);
                }
            }
        }
        for &session in &self.live {
            journals.adopted.extend(adopted_by(tmp, session));
        }
        Ok(journals)
    }

    /// Removes the dead sessions' journals, which are not needed any more.
    fn remove(
        self,
        tmp: &Path,
        journals: &Journals,
        own: SessionId,
        report: &mut RecoveryReport,
    ) -> Result<(), JournalError> {
        for &session in self.dead.keys().filter(|&&session| session != own) {
            let path = journal_path(tmp, session);
            if journals.unreadable.contains(&session) {
                let aside = path.with_extension("journal.unreadable");
                fs::rename(&path, &aside).map_err(|source| io_error("rename", &path, source))?;
            }
            for path in [path.clone(), path.with_extension("journal.new")] {
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("remove", &path, source));
                    }
                    _ => {}
                }
            }
            if journals.adopted.contains(&session) {
                report.events.push(RecoveryEvent::AlreadyAdopted { session });
            }
        }
        sync_directory(tmp).map_err(|source| io_error("synchronise", tmp, source))
    }
}

enum Locked {
    Alive,
    Dead(File),
    /// Removed or replaced meanwhile.
    Gone,
}

/// Locks a journal, unless its process lives.
fn lock(path: &Path) -> Result<Locked, JournalError> {
    // A process that writes its journal afresh replaces the file: then look at the new one.
    for _ in 0..16 {
        let file = match open_in_place(path, Open::Read) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Locked::Gone),
            Err(source) => return Err(io_error("open file", path, source)),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(Locked::Dead(file)),
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(Locked::Alive),
            Err(fs::TryLockError::Error(source)) => return Err(io_error("lock", path, source)),
        }
    }
    // Only a process that lives replaces it again and again.
    Ok(Locked::Alive)
}

/// The session whose journal, or new journal, has this name.
fn session_of(name: &str) -> Option<SessionId> {
    let name = name.strip_suffix(".new").unwrap_or(name);
    name.strip_prefix("session_")?.strip_suffix(".journal")?.parse().ok()
}

/// The sessions that a journal, which may be in use, says it has taken over.
fn adopted_by(tmp: &Path, session: SessionId) -> Vec<SessionId> {
    let Ok(file) = open_in_place(&journal_path(tmp, session), Open::Read) else { return Vec::new() };
    let header = read_header(&mut BufReader::new(file), &mut Vec::new());
    header.map_or_else(|_| Vec::new(), |(header, _)| header.adopted)
}

/// Names of the files in a directory, sorted. Names that are not text are none of ours.
pub(super) fn list(dir: &Path) -> Result<Vec<String>, JournalError> {
    let failed = |source| io_error("list directory", dir, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// The latest time in the name of any game's file in `dir` and among `names`, those in its `tmp`.
fn highest_ms(dir: &Path, names: &[String]) -> Result<u64, JournalError> {
    let visible = list(dir)?;
    Ok(visible.iter().chain(names).filter_map(|name| ms_of_file(name)).max().unwrap_or(0))
}
