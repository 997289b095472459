//! What is played on where games are not kept.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use crate::{
    daemon::{
        agents::terms,
        evaluation::Evaluation,
        output::{self, Opened},
    },
    played::PlayedGame,
    settings::Settings,
};
use anyhow::{Context as _, bail};
use selfplay_actors::{
    game::{GameHook, GamePlan},
    loader::ModelOrigin,
    root::{Ending, Options},
    stats::Stats,
};

/// A directory, counters, and everything settled that does not depend on where models come from.
pub(crate) struct BenchDaemon<G: PlayedGame> {
    opened: Opened<G>,
    pub(crate) stats: Arc<Stats>,
    plan: GamePlan<G>,
    pub(crate) evaluation: Evaluation<G>,
}

impl<G: PlayedGame> BenchDaemon<G> {
    pub(crate) fn new(dir: &Path, settings: &Settings, game: G, games: Option<u64>) -> anyhow::Result<Self> {
        let stats = Arc::new(Stats::default());
        let seed = settings.play.seed.unwrap_or(0);
        let opened = output::open(settings, dir, &game, seed, games)?;
        let evaluation = Evaluation::prepare(settings, &game)?;
        let adjudicator = settings.play.adjudicate.then(|| game.adjudicator()).flatten();
        let plan = GamePlan {
            game,
            adjudicator,
            terms: terms(settings),
            seed,
            journal: opened.output.journal.clone(),
            stats: stats.clone(),
            hook: None,
            thrifty: Arc::default(),
        };
        Ok(Self { opened, stats, plan, evaluation })
    }

    /// Calls `hook` at every move of the games.
    pub(super) fn watch(&mut self, hook: GameHook<G>) {
        self.plan.hook = Some(hook);
    }

    pub(crate) fn options(self, settings: &Settings, origin: ModelOrigin) -> Options<G> {
        self.evaluation.options(settings, self.plan, self.opened, origin)
    }
}

/// A directory that is removed when this is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!("failed to remove {}: {error}", self.0.display());
        }
    }
}

/// Does something in a directory that is removed afterwards.
pub(super) fn in_temporary_dir<T>(work: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<T> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let name = format!("selfplayd-bench-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).with_context(|| format!("failed to create {}", dir.display()))?;
    let dir = Temporary(dir);
    work(&dir.0)
}

pub(super) fn check_ending(ending: Ending) -> anyhow::Result<()> {
    match ending {
        Ending::Clean => Ok(()),
        other => bail!("the daemon ended early: {other:?}"),
    }
}
