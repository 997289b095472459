//! Files of games that dead sessions left in `tmp/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use super::{
    JournalError,
    file::io_error,
    report::{RecoveryEvent, RecoveryReport},
};
use crate::replay::{
    ReplayStore, SessionId, Staged, Stem, StoreError,
    store::{rename, sync_directory},
};

const ENDINGS: [&str; 4] = ["yaml", "npz", "yaml.part", "npz.part"];

/// What there is, per game, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    games: BTreeMap<Stem, Leftover>,
    /// Names of probes that were never removed.
    probes: Vec<String>,
}

#[derive(Debug, Default)]
struct Leftover {
    /// Which of [`ENDINGS`] there are.
    files: BTreeSet<&'static str>,
    /// Both files are whole, and have their final names in `tmp` unless the YAML file is in place already.
    complete: bool,
}

impl Leftovers {
    /// Finds the files of sessions that do not live among `names`, those in `tmp`, and gives the files of complete games their
    /// final names. `staged`: games whose files are known to be whole.
    pub(super) fn find(
        store: &ReplayStore,
        names: &[String],
        live: &BTreeSet<SessionId>,
        staged: &BTreeSet<&Stem>,
    ) -> Result<Self, JournalError> {
        let mut leftovers = Self::default();
        for name in names {
            if let Some(session) = name.strip_prefix(".probe_") {
                // Under the lock no other process probes.
                leftovers.probes.extend(session.parse::<SessionId>().is_ok().then(|| name.clone()));
                continue;
            }
            // The longest ending that fits is found first, because a stem holds no dot.
            let Some((stem, ending)) = name.split_once('.') else { continue };
            let Some(ending) = ENDINGS.into_iter().find(|&known| known == ending) else { continue };
            let Ok(stem) = stem.parse::<Stem>() else { continue };
            if !live.contains(&stem.session()) {
                leftovers.games.entry(stem).or_default().files.insert(ending);
            }
        }
        let mut renamed = false;
        for (stem, game) in &mut leftovers.games {
            renamed |= game.complete(store, stem, staged.contains(stem))?;
        }
        if renamed {
            sync_directory(store.tmp()).map_err(|source| io_error("synchronise", store.tmp(), source))?;
        }
        Ok(leftovers)
    }

    /// Whether the game's files are whole and will be published.
    pub(super) fn is_complete(&self, stem: &Stem) -> bool {
        self.games.get(stem).is_some_and(|game| game.complete)
    }

    /// Whether there is an archive of the game, whole or not.
    pub(super) fn has_archive(&self, stem: &Stem) -> bool {
        self.games.get(stem).is_some_and(|game| game.files.contains("npz") || game.files.contains("npz.part"))
    }

    /// Puts complete games in place and removes all else.
    pub(super) fn finish(self, store: &ReplayStore, report: &mut RecoveryReport) -> Result<(), JournalError> {
        let mut complete = Vec::new();
        let mut useless: Vec<(String, bool)> = self.probes.into_iter().map(|name| (name, true)).collect();
        for (stem, game) in self.games {
            let visible = store.npz(&stem).exists();
            if visible {
                report.events.push(RecoveryEvent::AlreadyPublished(stem.clone()));
            }
            let publish = game.complete && !visible;
            let needed = |ending: &&&str| publish && matches!(**ending, "yaml" | "npz");
            useless.extend(
                game.files.iter().filter(|ending| !needed(ending)).map(|ending| (format!("{stem}.{ending}"), !visible)),
            );
            if publish {
                let size = |ending| fs::metadata(store.tmp_file(&stem, ending)).map_or(0, |file| file.len());
                let bytes = size("yaml") + size("npz");
                complete.push(Staged::found(stem, bytes, !game.files.contains("yaml")));
            }
        }
        publish(store, complete, report)?;
        for (name, tell) in useless {
            let path = store.tmp().join(&name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove", &path, source));
                }
                _ => {}
            }
            if tell {
                report.events.push(RecoveryEvent::Removed { file: name });
            }
        }
        Ok(())
    }
}

impl Leftover {
    /// Finds out whether the game is complete; returns whether files were renamed.
    fn complete(&mut self, store: &ReplayStore, stem: &Stem, staged: bool) -> Result<bool, JournalError> {
        let has = |ending| self.files.contains(ending);
        // Both parts are synchronised before the first is renamed: a YAML file vouches for the archive's part.
        let archive = has("npz") || has("npz.part") && (has("yaml") || staged && has("yaml.part"));
        let yaml = has("yaml") || store.yaml(stem).exists() || staged && has("yaml.part");
        self.complete = archive && yaml;
        if !self.complete {
            return Ok(false);
        }
        let yaml_missing = !has("yaml") && !store.yaml(stem).exists();
        let missing = [("yaml", "yaml.part", yaml_missing), ("npz", "npz.part", !has("npz"))];
        let missing: Vec<_> = missing.into_iter().filter(|&(.., missing)| missing).collect();
        for &(whole, part, _) in &missing {
            rename(&store.tmp_file(stem, part), &store.tmp_file(stem, whole))?;
            self.files.remove(part);
            self.files.insert(whole);
        }
        Ok(!missing.is_empty())
    }
}

/// Publishes all games, or fails.
fn publish(store: &ReplayStore, games: Vec<Staged>, report: &mut RecoveryReport) -> Result<(), JournalError> {
    let mut failure = None;
    for answer in store.publish(games) {
        match answer {
            Ok(written) => report.events.push(RecoveryEvent::Published(written.stem)),
            Err(unpublished) => failure = failure.or(Some(unpublished.error)),
        }
    }
    failure.map_or(Ok(()), |error: StoreError| Err(error.into()))
}
