//! Settings that change while games are played, on request or because their files did.

use std::sync::{Mutex, PoisonError};

use selfplay_actors::root;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    cli::Flags,
    daemon::{agents::terms, sizes},
    settings::{Change, Purpose, Refused, Resolved, Settings, differences, is_live, needs_a_restart},
    telemetry,
};

/// What a daemon was started with.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Its flags, which name the files to read again.
    pub flags: Flags,
    /// What they led to.
    pub resolved: Resolved,
    /// The process that started this one.
    pub parent: u32,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// What is different now. Empty if a request holds anything to refuse: then nothing of it is done.
    pub changed: Vec<Change>,
    /// What stays as it is.
    pub refused: Vec<Refused>,
}

/// The settings that hold at the moment. All methods may be called from any thread.
pub(crate) struct LiveSettings {
    flags: Flags,
    /// Held while something changes, so that changes are passed on in their order.
    present: Mutex<Present>,
    /// Passes on what concerns games and batches.
    set: Box<dyn Fn(root::SettingsChange) + Send + Sync>,
}

struct Present {
    resolved: Resolved,
    settings: Settings,
}

impl LiveSettings {
    /// Those of the start. `set` passes changes on to the games.
    pub(crate) fn new(
        Origin { flags, resolved, parent: _ }: Origin,
        settings: Settings,
        set: impl Fn(root::SettingsChange) + Send + Sync + 'static,
    ) -> Self {
        Self { flags, present: Mutex::new(Present { resolved, settings }), set: Box::new(set) }
    }

    /// Hash of those that determine games which start now.
    pub(crate) fn games_hash(&self) -> String {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).settings.games_hash()
    }

    /// Whether the number of games in play is left to the daemon ("auto").
    pub(crate) fn games_are_automatic(&self) -> bool {
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.settings.play.games_per_process.is_none()
    }

    /// Changes settings, given by key (`{"search.temperature": 0.5}`) or by section; all of them or none. The same values again
    /// change nothing. `source`: who wants it, for messages.
    pub(crate) fn change(&self, wanted: &Map<String, Value>, source: &str) -> Changes {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let resolved = present.resolved.changed(wanted, source);
        let resolved = resolved.and_then(|resolved| refuse_too_many_games(&present, resolved));
        match resolved.and_then(|resolved| self.apply(&mut present, resolved)) {
            Ok(changed) => Changes { changed, refused: Vec::new() },
            Err(refused) => Changes { changed: Vec::new(), refused },
        }
    }

    /// Reads all settings again, from the same files as at the start, and takes what can be changed now; the rest is refused
    /// until the next start. So is a number of games that memory cannot hold.
    ///
    /// # Errors
    /// When they hold any mistake: then nothing is changed.
    pub(crate) fn read_again(&self) -> anyhow::Result<Changes> {
        let read = self.flags.resolve(Purpose::Play, None);
        read.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        let wanted = read.clone().into_settings()?;
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        // With what was asked for before: what was cut to fit into memory is no change of the files.
        let others =
            differences(present.resolved.settings(), &wanted).into_iter().filter(|change| !is_live(&change.key));
        let mut refused: Vec<_> = others.map(|change| restart(&change)).collect();
        let resolved = refuse_too_many_games(&present, present.resolved.with_live_values_of(&read, &[]));
        let resolved = resolved.unwrap_or_else(|too_many| {
            let others = present.resolved.with_live_values_of(&read, &too_many);
            refused.extend(too_many);
            others
        });
        let changed = self.apply(&mut present, resolved).unwrap_or_else(|more| {
            refused.extend(more);
            Vec::new()
        });
        Ok(Changes { changed, refused })
    }

    /// Lets `resolved` hold from now on.
    fn apply(&self, present: &mut Present, resolved: Resolved) -> Result<Vec<Change>, Vec<Refused>> {
        let mut settings = resolved.settings().clone();
        let fitted = sizes::memory_limit(&settings).and_then(|limit| sizes::fit(&mut settings, limit));
        let changed = differences(&present.settings, &settings);
        let is_changed = |prefix: &str| changed.iter().any(|change| change.key.starts_with(prefix));
        if is_changed("log.level")
            && let Err(error) = telemetry::set_level(&settings.log.level)
        {
            return Err(vec![Refused { key: "log.level".to_owned(), reason: format!("{error:#}") }]);
        }
        for Change { key, from, to } in &changed {
            tracing::info!(key, %from, %to, "setting changed");
        }
        if is_changed("play.games_per_process") {
            fitted.iter().for_each(|warning| tracing::warn!("{warning}"));
        }
        (self.set)(root::SettingsChange {
            games_at_once: is_changed("play.games_per_process").then_some(settings.play.games() as usize),
            max_wait: is_changed("inference.eval_max_wait_ms").then(|| sizes::max_wait(&settings)),
            terms: (present.settings.games_hash() != settings.games_hash()).then(|| terms(&settings)),
            cache_bytes: is_changed("cache.max_bytes")
                .then(|| usize::try_from(settings.cache.max_bytes).unwrap_or(usize::MAX)),
        });
        *present = Present { resolved, settings };
        Ok(changed)
    }
}

/// Refuses a new number of games that memory cannot hold, also with the least cache. At a start such a number is cut; but who
/// gives one now hears what would do.
fn refuse_too_many_games(present: &Present, resolved: Resolved) -> Result<Resolved, Vec<Refused>> {
    let wanted = resolved.settings();
    let games = wanted.play.games();
    let Some(limit) = sizes::memory_limit(wanted).filter(|_| games != present.resolved.settings().play.games()) else {
        return Ok(resolved);
    };
    let mut fitting = wanted.clone();
    sizes::fit(&mut fitting, limit);
    let most = fitting.play.games();
    if most >= games {
        return Ok(resolved);
    }
    let reason = format!(
        "{games} games may need more memory than the {} MiB that this process may have (memory.max_bytes): at most {most}",
        limit >> 20
    );
    Err(vec![Refused { key: "play.games_per_process".to_owned(), reason }])
}

fn restart(Change { key, from, to }: &Change) -> Refused {
    let reason = format!("it stays {from} and not {to}: {}", needs_a_restart(key));
    Refused { key: key.clone(), reason }
}

#[cfg(test)]
mod tests;
