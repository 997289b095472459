//! The thread that takes what games taught, keeps it, and looks at the trainer's file. It may hang with a directory: nothing waits for it, but
//! for a moment at the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use selfplay_actors::stats::Stats;
use selfplay_engine::replay::SessionId;

use super::{
    Learning, Seen, Verdict, VerdictKind, VersionFigures,
    rows::Rows,
    store::{self, Store},
    trainer::{self, TrainerFile},
    verdict::{Played, judge},
};
use crate::settings::{Root, Settings};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often what was learned is written, and that of other daemons read.
const WRITE_EVERY: Duration = Duration::from_secs(10);
/// How long the end of play waits for it.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Games of the newest versions that are judged together. With fewer, chance would speak.
const RECENT_GAMES: u64 = 200;
/// A verdict that comes and goes is said so often at most.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// Where things are, and how games are played.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The trainer's own figures; `None` where there is no trainer.
    trainer: Option<PathBuf>,
    /// Where games go.
    output: PathBuf,
    /// What this daemon is called there.
    name: String,
    played: Played,
}

impl Places {
    /// Of a daemon with these settings, whose games go to `output`.
    pub(crate) fn of(settings: &Settings, output: &Path) -> Self {
        let model = &settings.model;
        Self {
            trainer: trainer::place(model.source.as_deref(), model.latest_yaml.as_deref()),
            output: output.to_owned(),
            name: SessionId::of_this_process().to_string(),
            played: Played {
                gumbel: matches!(settings.search.root, Root::Gumbel),
                opening_random_plies: settings.play.opening_random_plies,
                adjudicate: settings.play.adjudicate,
            },
        }
    }
}

/// Keeps a [`Learning`] up to date until it is dropped.
pub(crate) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Closed by the thread when it ends.
    ended: mpsc::Receiver<()>,
}

impl Keeper {
    /// Begins to look.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(places: Places, stats: Arc<Stats>, learning: Learning) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (running, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("learning".to_owned()).spawn(move || {
            let _running: mpsc::Sender<()> = running;
            let mut watch = Watch::new(places, stats);
            loop {
                learning.set(watch.look(Instant::now(), false));
                if stopped.recv_timeout(LOOK_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
            learning.set(watch.look(Instant::now(), true));
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread), ended })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.take();
        if self.ended.recv_timeout(END_WITHIN) == Err(mpsc::RecvTimeoutError::Timeout) {
            return; // It ends with the process.
        }
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that keeps figures of learning ended in a panic");
        }
    }
}

/// All that is watched.
struct Watch {
    places: Places,
    stats: Arc<Stats>,
    trainer: Option<TrainerFile>,
    store: Store,
    /// Of this daemon, and of those that ended before.
    own: Rows,
    /// Of other daemons that live.
    others: Rows,
    /// Something of our own is not written yet.
    changed: bool,
    written: Option<Instant>,
    trouble: Option<String>,
    said: BTreeMap<VerdictKind, Instant>,
}

impl Watch {
    fn new(places: Places, stats: Arc<Stats>) -> Self {
        let trainer = places.trainer.clone().map(TrainerFile::new);
        let store = Store::new(&places.output, &places.name);
        Self {
            places,
            stats,
            trainer,
            store,
            own: Rows::default(),
            others: Rows::default(),
            changed: false,
            written: None,
            trouble: None,
            said: BTreeMap::new(),
        }
    }

    /// Takes what there is; `last`: writes it whatever the time.
    fn look(&mut self, now: Instant, last: bool) -> Seen {
        let unix = unix();
        for (version, sums) in self.stats.lessons.take() {
            self.own.learn(version, &sums, unix);
            self.changed = true;
        }
        let standings = self.stats.standings.get();
        self.changed |= self.own.note(&self.stats.changes.all(), standings.as_deref(), unix);
        if last || self.written.is_none_or(|written| now.duration_since(written) >= WRITE_EVERY) {
            self.written = Some(now);
            let dir = self.places.output.join(store::NAME);
            let kept = self.keep();
            let trouble =
                kept.err().map(|error| format!("figures of learning are not kept in {}: {error}", dir.display()));
            self.trouble(trouble);
        }
        let mut all = self.own.clone();
        all.merge(&self.others);
        let serving = (self.stats.model_generation.get() > 0).then(|| self.stats.model_version.get());
        let recent = VersionFigures::recent(all.iter(), serving, RECENT_GAMES);
        let verdicts = recent.as_ref().map(|recent| judge(recent, self.places.played)).unwrap_or_default();
        self.say(&verdicts, now);
        Seen {
            versions: all.iter().map(VersionFigures::of).collect(),
            recent,
            verdicts,
            trouble: self.trouble.clone(),
            trainer: self.trainer.as_mut().and_then(|file| file.look(unix)),
        }
    }

    /// Reads what other daemons have, and writes what is new.
    fn keep(&mut self) -> std::io::Result<()> {
        self.others = self.store.look(&mut self.own)?;
        if self.changed {
            self.store.write(&self.own)?;
            self.changed = false;
        }
        Ok(())
    }

    /// Says what is wrong, once.
    fn trouble(&mut self, trouble: Option<String>) {
        if self.trouble != trouble {
            trouble.iter().for_each(|trouble| tracing::warn!("{trouble}"));
            self.trouble = trouble;
        }
    }

    /// Says what is new of the games.
    fn say(&mut self, verdicts: &[Verdict], now: Instant) {
        for Verdict { kind, statement, advice } in verdicts {
            let is_news = self.said.get(kind).is_none_or(|said| now.duration_since(*said) >= SAY_AGAIN);
            if is_news {
                tracing::warn!(verdict = kind.name(), "{statement}; {advice}");
            }
            // While it holds, it is not said again.
            self.said.insert(*kind, now);
        }
    }
}

/// Seconds since 1970.
fn unix() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::testing::played;

    fn places(dir: &TempDir, name: &str) -> Places {
        Places {
            trainer: None,
            output: dir.path().to_owned(),
            name: name.to_owned(),
            played: Played { gumbel: false, opening_random_plies: 0, adjudicate: false },
        }
    }

    fn watch(dir: &TempDir, name: &str) -> (Watch, Arc<Stats>) {
        let stats = Arc::new(Stats::default());
        (Watch::new(places(dir, name), stats.clone()), stats)
    }

    fn add(stats: &Stats, games: u64) {
        let game = played(0);
        (0..games).for_each(|_| stats.lessons.add(&game));
    }

    #[test]
    fn what_was_learned_outlives_the_process_and_is_seen_by_all_daemons_of_a_directory() {
        let dir = TempDir::new().unwrap();
        let (mut first, stats) = watch(&dir, "1-0000000a");
        add(&stats, 3);
        let seen = first.look(Instant::now(), false);
        assert_eq!((seen.versions.len(), seen.versions[0].games, seen.trouble), (1, 3, None));
        let (mut second, _) = watch(&dir, "2-0000000b");
        let empty = TempDir::new().unwrap();
        watch(&empty, "1-0000000a").0.look(Instant::now(), true);
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "there is nothing to keep");
        assert_eq!(second.look(Instant::now(), false).versions[0].games, 3);
        add(&stats, 2);
        assert_eq!(first.look(Instant::now(), true).versions[0].games, 5);
        drop((first, second));
        let (mut third, stats) = watch(&dir, "3-0000000c");
        add(&stats, 1);
        let seen = third.look(Instant::now(), false);
        assert_eq!((seen.versions.len(), seen.recent.unwrap().games), (1, 6));
    }

    #[test]
    fn games_that_repeat_each_other_are_told() {
        let dir = TempDir::new().unwrap();
        let (mut watch, stats) = watch(&dir, "1-0000000a");
        add(&stats, 150);
        let verdicts = watch.look(Instant::now(), false).verdicts;
        let kinds: Vec<_> = verdicts.iter().map(|verdict| verdict.kind).collect();
        assert!(kinds.starts_with(&[VerdictKind::RepeatedGames, VerdictKind::RepeatedOpenings]), "{verdicts:?}");
    }

    #[test]
    fn a_directory_that_takes_nothing_costs_no_figure_and_is_told() {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join(store::NAME), "in the way").unwrap();
        let (mut watch, stats) = watch(&dir, "1-0000000a");
        add(&stats, 3);
        let seen = watch.look(Instant::now(), false);
        assert!(seen.trouble.unwrap().starts_with("figures of learning are not kept in "));
        assert_eq!(seen.versions[0].games, 3);
        std::fs::remove_file(dir.path().join(store::NAME)).unwrap();
        assert_eq!(watch.look(Instant::now(), true).trouble, None);
        drop(watch);
        let (mut next, _) = self::watch(&dir, "2-0000000b");
        assert_eq!(next.look(Instant::now(), false).versions[0].games, 3);
    }
}
