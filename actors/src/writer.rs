//! The writer actor: turns finished games into files, on a thread of its own, and gives a credit for each game that is safe.
//!
//! A game that cannot be written stays queued and is tried again; credits bound the queue, because without them no new game
//! starts.

#[cfg(test)]
mod tests;

mod metrics;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::{
    Game,
    replay::{GameArrays, GameMetadata, GameRecord, ReplayStore, Stem, StemClock, StoreError},
};

use self::metrics::Metrics;
use crate::{games::Credit, stats::Stats};

/// Wait before a failed write is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// A game is over. Sent by its game actor; answered by a [`Credit`] to the games' supervisor once the game is on disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GameFinished<G: Game>(pub GameRecord<G>);

/// How positions are laid out in the files: as the network takes them. Sent by the loader before the first game starts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct EncodingChosen<G: Game>(pub G::Encoding);

/// Write what is queued, then report [`WriterFlushed`]. Sent by the root when no more games will come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;

/// The queue is empty, or writing has failed for good. Sent to the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriterFlushed {
    /// Games that could not be written.
    pub lost: u64,
    /// Why not; empty when none was lost.
    pub reason: String,
}

/// What the writer writes besides the games' own data.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// This process.
    pub pid: u32,
    /// Hash of the settings that determine games.
    pub settings_hash: String,
    /// Version of the daemon.
    pub daemon_version: String,
    /// Where records about searches go, one per model version; `None`: nowhere.
    pub metrics_dir: Option<PathBuf>,
}

struct Queued<G: Game> {
    stem: Stem,
    record: GameRecord<G>,
}

/// See the module.
pub struct WriterActor<G: Game> {
    game: G,
    store: ReplayStore,
    provenance: Provenance,
    credits: Recipient<Credit>,
    root: Recipient<WriterFlushed>,
    stats: Arc<Stats>,
    encoding: Option<G::Encoding>,
    stems: StemClock,
    queue: VecDeque<Queued<G>>,
    retrying: bool,
    flushing: bool,
    metrics: Metrics,
}

impl<G: Game> WriterActor<G> {
    /// A writer with an empty queue.
    pub fn new(
        game: G,
        store: ReplayStore,
        provenance: Provenance,
        credits: Recipient<Credit>,
        root: Recipient<WriterFlushed>,
        stats: Arc<Stats>,
    ) -> Self {
        let stems = StemClock::new(provenance.pid);
        let metrics = Metrics::new(provenance.metrics_dir.clone(), provenance.pid);
        Self {
            game,
            store,
            provenance,
            credits,
            root,
            stats,
            encoding: None,
            stems,
            queue: VecDeque::new(),
            retrying: false,
            flushing: false,
            metrics,
        }
    }

    fn enqueue(&mut self, record: GameRecord<G>) {
        // A clock before 1970 counts as 1970; the names stay in order all the same.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stem = self.stems.next(now.as_millis() as u64, record.index);
        self.queue.push_back(Queued { stem, record });
    }

    /// Writes what is queued, up to the first failure.
    fn write_queued(&mut self, ctx: &mut Context<Self>) {
        let mut failure = None;
        while let Some(queued) = self.queue.front() {
            match self.write(queued) {
                Ok(()) => {}
                Err(WriteFailure::Unfit(reason)) => {
                    // Trying again cannot help, and the trainer must not see it.
                    tracing::error!(game = queued.record.index, reason, "game set aside: it breaks the replay format");
                    self.stats.games_abandoned.add(1);
                }
                Err(WriteFailure::Store(reason)) => {
                    self.stats.write_errors.add(1);
                    tracing::error!(
                        game = queued.record.index,
                        waiting = self.queue.len(),
                        reason,
                        "cannot write game"
                    );
                    failure = Some(reason);
                    break;
                }
            }
            self.queue.pop_front();
            self.credits.do_send(Credit);
        }
        if self.flushing {
            let lost = self.queue.len() as u64;
            self.root.do_send(WriterFlushed { lost, reason: failure.unwrap_or_default() });
        } else if failure.is_some() && !self.retrying {
            self.retrying = true;
            ctx.run_later(RETRY_WAIT, |writer, ctx| {
                writer.retrying = false;
                writer.write_queued(ctx);
            });
        }
    }

    fn write(&self, Queued { stem, record }: &Queued<G>) -> Result<(), WriteFailure> {
        let unfit = |error: &dyn std::error::Error| WriteFailure::Unfit(with_sources(error));
        let encoding = self.encoding.ok_or_else(|| WriteFailure::Unfit("no model was ever loaded".to_owned()))?;
        let npz = GameArrays::new(record, &self.game, encoding).and_then(|arrays| arrays.to_npz());
        let npz = npz.map_err(|error| unfit(&error))?;
        let Provenance { pid, settings_hash, daemon_version, .. } = &self.provenance;
        let metadata = GameMetadata::new(record, *pid, settings_hash, daemon_version);
        let yaml = metadata.to_yaml().map_err(|error| unfit(&error))?;
        let bytes = match self.store.write(stem, yaml.as_bytes(), &npz) {
            Ok(written) => written.bytes,
            // The game is visible and complete: writing it again would show it twice.
            Err(error @ (StoreError::NotDurable { .. } | StoreError::Exists { .. })) => {
                tracing::warn!(game = record.index, reason = with_sources(&error), "game may not survive a power loss");
                0
            }
            Err(error) => return Err(WriteFailure::Store(with_sources(&error))),
        };
        self.stats.bytes_written.add(bytes);
        self.stats.games_written.add(1);
        tracing::debug!(
            game = record.index,
            file = stem.as_str(),
            plies = record.plies.len(),
            outcome = ?record.outcome,
            model = record.model_version,
            "game written"
        );
        Ok(())
    }
}

enum WriteFailure {
    /// The game itself cannot be expressed.
    Unfit(String),
    /// The disk refused it.
    Store(String),
}

/// An error's text with those of its sources.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

impl<G: Game> Actor for WriterActor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for WriterActor<G> {
    /// The queue survives: only the game in hand may be unfit for whatever made the writer panic, so it is set aside.
    fn restarting(&mut self, ctx: &mut Self::Context) {
        if let Some(queued) = self.queue.pop_front() {
            tracing::error!(game = queued.record.index, "game set aside: the writer panicked over it");
            self.stats.games_abandoned.add(1);
            self.credits.do_send(Credit);
        }
        self.retrying = false;
        self.write_queued(ctx);
    }
}

impl<G: Game> Handler<EncodingChosen<G>> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, EncodingChosen(encoding): EncodingChosen<G>, _: &mut Self::Context) {
        self.encoding = Some(encoding);
    }
}

impl<G: Game> Handler<GameFinished<G>> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, GameFinished(record): GameFinished<G>, ctx: &mut Self::Context) {
        self.metrics.add(&record);
        self.enqueue(record);
        crate::faults::hit(crate::faults::Point::Writer);
        if !self.retrying {
            self.write_queued(ctx);
        }
    }
}

impl<G: Game> Handler<Flush> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, Flush: Flush, ctx: &mut Self::Context) {
        self.flushing = true;
        self.metrics.write();
        self.write_queued(ctx);
    }
}
