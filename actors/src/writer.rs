//! The writer actor: turns finished games into files, on a thread of its own, and gives a credit for each game that is safe.
//!
//! Games are written in groups, so that they share what it costs to bring them to the disk. A game that cannot be written
//! stays queued and is tried again; credits bound the queue, because without them no new game starts.

#[cfg(test)]
mod tests;

mod queue;
mod rejects;
mod trainer_log;
mod variety;

use std::{
    io::ErrorKind,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::{
    Game,
    journal::{Journal, JournalNumber},
    replay::{GameRecord, ReplayStore, StemClock},
};
use tokio::time::Instant;

pub use self::rejects::{KeepRejected, Nonsense};
use self::{
    queue::{Failure, Files, Queue, Rescued, Written},
    rejects::Rejects,
    trainer_log::TrainerLog,
    variety::Variety,
};
use crate::{
    error_text::with_sources,
    stats::{Counter, Stats},
};

/// Longest time a finished game waits for others to share its synchronisations with.
const GROUP_WAIT: Duration = Duration::from_millis(200);
/// Wait before a failed write is tried again, and between two looks at the disk.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// How often the log repeats that writing fails, or that there is too little room.
const REMINDER: Duration = Duration::from_secs(30);

/// Write a game that is over. Sent by its game actor; answered by a [`Credit`] to the games' supervisor once the game is on disk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WriteGame<G: Game> {
    /// Its number in the journal.
    pub number: JournalNumber,
    /// The game.
    pub record: GameRecord<G>,
    /// Hash of the settings that it was played with.
    pub settings_hash: Arc<str>,
}

/// One game is safe on disk: another may start. Sent by the writer.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Credit;

/// Whether games may start: not while there is too little room on the disk, or where games go on to. Sent by the writer when that changes.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HoldStarts(pub bool);

/// Lay out positions in the files like this, as the network takes them. Sent by the loader before the first game starts.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UseEncoding<G: Game>(pub G::Encoding);

/// Write what is queued, then report [`WriterFlushed`]. Sent by the root when no more games will come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;

/// The queue is empty, or writing has failed for good. Sent to the root.
#[derive(Debug, Default, Message, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct WriterFlushed {
    /// Finished games that could not be written, and that the journal does not keep either.
    pub lost: u64,
    /// Finished games that could not be written but are kept by the journal: the next start writes them.
    pub kept: u64,
    /// Finished games in the spool directory: the next start brings them to the output directory.
    pub spooled: u64,
    /// Why; empty when all is written.
    pub reason: String,
}

/// Writing has failed for longer than it may: the process should end. Sent to the root, once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct WritingFails {
    /// For how long, and why.
    pub reason: String,
}

/// What the writer writes besides the games' own data.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// This process.
    pub pid: u32,
    /// Version of the daemon.
    pub daemon_version: String,
    /// Which game it plays, with its parameters; `None` for Quoridor, whose files do not say it.
    pub rules: Option<String>,
    /// Where records about searches go, one per model version; `None`: nowhere.
    pub metrics_dir: Option<PathBuf>,
}

/// Where games go, and what to do when they cannot.
#[derive(Debug)]
pub struct Output {
    /// The directory of the trainer.
    pub store: ReplayStore,
    /// Names of games.
    pub stems: StemClock,
    /// Holds games until they are written.
    pub journal: Journal,
    /// How often it is brought to the disk.
    pub sync: Duration,
    /// Where finished games go at the end if `store` does not take them.
    pub spool: Option<ReplayStore>,
    /// How long writing may fail.
    pub deadline: Duration,
    /// Free space below which no game starts, in bytes; `None`: 1 GiB or 2% of the file system, whichever is less.
    pub min_free: Option<u64>,
    /// Most files in `rejected/`.
    pub max_rejected: u64,
}

/// Whom the writer tells.
#[derive(Clone)]
pub struct WriterAddresses {
    /// Hears of every game that is safe.
    pub credits: Recipient<Credit>,
    /// Hears when there is too little room.
    pub holds: Recipient<HoldStarts>,
    /// Hears that all is written.
    pub flushed: Recipient<WriterFlushed>,
    /// Hears that writing has failed for too long.
    pub gave_up: Recipient<WritingFails>,
}

/// Since when something is wrong, and when that was last said.
#[derive(Debug)]
struct Reminder {
    since: Instant,
    said: Option<Instant>,
}

impl Reminder {
    fn new() -> Self {
        Self { since: Instant::now(), said: None }
    }

    /// Whether it is time to say it (again).
    fn is_due(&mut self) -> bool {
        let due = self.said.is_none_or(|said| said.elapsed() >= REMINDER);
        if due {
            self.said = Some(Instant::now());
        }
        due
    }
}

/// Queues finished games, writes them in groups, and tells the games' supervisor of each one that is safe on the disk.
pub struct WriterActor<G: Game> {
    files: Files<G>,
    output: Output,
    addresses: WriterAddresses,
    stats: Arc<Stats>,
    queue: Queue<G>,
    rejects: Rejects,
    trainer_log: TrainerLog,
    variety: Variety,
    /// A write is due: of a group, or again after a failure.
    scheduled: bool,
    flushing: bool,
    failing: Option<Reminder>,
    holding: Option<Reminder>,
    escalated: bool,
}

impl<G: Game> WriterActor<G> {
    /// A writer with an empty queue.
    pub fn new(game: G, output: Output, provenance: Provenance, addresses: WriterAddresses, stats: Arc<Stats>) -> Self {
        let trainer_log = TrainerLog::new(provenance.metrics_dir.clone(), provenance.pid);
        let rejects = Rejects::new(output.store.dir().join("rejected"), output.max_rejected);
        Self {
            files: Files { game, provenance, encoding: None },
            output,
            addresses,
            stats,
            queue: Queue::default(),
            rejects,
            trainer_log,
            variety: Variety::default(),
            scheduled: false,
            flushing: false,
            failing: None,
            holding: None,
            escalated: false,
        }
    }

    fn enqueue(&mut self, WriteGame { number, record, settings_hash }: WriteGame<G>) {
        self.trainer_log.add(&record);
        self.stats.lessons.add(&record);
        let actions: Vec<_> = record.plies.iter().map(|ply| ply.action).collect();
        self.variety.add(record.model_version, &actions, &self.stats);
        let stem = self.output.stems.next(unix_ms(), record.index);
        self.queue.push(number, stem, record, settings_hash);
        self.stats.writer_queue.set_count(self.queue.len());
    }

    fn schedule(&mut self, wait: Duration, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.scheduled, true) {
            ctx.run_later(wait, |writer, ctx| {
                writer.scheduled = false;
                writer.write(ctx);
            });
        }
    }

    /// Writes what is queued, up to the first failure, which it returns.
    fn write(&mut self, ctx: &mut Context<Self>) -> Option<String> {
        crate::faults::hit(crate::faults::Point::Writer);
        let (any, begun) = (!self.queue.is_empty(), Instant::now());
        let outcome = self.queue.commit(&self.files, &self.output);
        if any {
            self.stats.write_duration.record(begun.elapsed().as_secs_f64());
        }
        for (number, reason) in outcome.unfit {
            // Trying again cannot help, and the trainer must not see it.
            self.set_aside(number, &reason);
        }
        for _ in 0..outcome.without_targets {
            self.stats.games_without_targets.add(1);
            self.addresses.credits.do_send(Credit);
        }
        for game in &outcome.written {
            self.stats.count_written(game);
            self.addresses.credits.do_send(Credit);
        }
        self.stats.writer_queue.set_count(self.queue.len());
        match &outcome.failure {
            None => {
                if self.failing.take().is_some() {
                    tracing::info!("games can be written again");
                }
            }
            Some(failure) => self.note_failure(failure, ctx),
        }
        outcome.failure.map(|failure| failure.reason)
    }

    fn note_failure(&mut self, Failure { reason, kind }: &Failure, ctx: &mut Context<Self>) {
        self.stats.write_errors(*kind).add(1);
        let deadline = self.output.deadline;
        let failing = self.failing.get_or_insert_with(Reminder::new);
        if failing.is_due() {
            let left = deadline.saturating_sub(failing.since.elapsed());
            tracing::error!(waiting = self.queue.len(), reason, gives_up_in_s = left.as_secs(), "cannot write games");
        }
        if self.flushing {
            return; // The flush decides what becomes of them.
        }
        if failing.since.elapsed() >= deadline && !std::mem::replace(&mut self.escalated, true) {
            let reason = format!("games could not be written for {} s: {reason}", deadline.as_secs_f64());
            self.addresses.gave_up.do_send(WritingFails { reason });
        }
        self.schedule(RETRY_WAIT, ctx);
    }

    /// Writes what is queued for the last time, and reports what became of it.
    fn flush(&mut self, ctx: &mut Context<Self>) {
        self.flushing = true;
        self.trainer_log.write();
        let failure = self.write(ctx);
        let rescued = self.queue.rescue(&self.files, &self.output);
        self.stats.games_spooled.add(rescued.spooled);
        self.stats.writer_queue.set(0);
        let reason = [failure, rescued.failure].into_iter().flatten().collect::<Vec<_>>().join("; then ");
        let Rescued { lost, kept, spooled, .. } = rescued;
        self.addresses.flushed.do_send(WriterFlushed { lost, kept, spooled, reason });
    }

    /// A finished game that cannot be expressed in the trainer's format, or over which the writer panicked.
    fn set_aside(&mut self, number: JournalNumber, game: &queue::Unfit) {
        tracing::error!(
            seed = game.seed,
            game = game.index,
            reason = game.reason,
            "game set aside: it breaks the replay format"
        );
        self.rejects.keep(unix_ms(), game.seed, game.index, &game.to_json());
        self.output.journal.end(number);
        self.stats.games_unfit.add(1);
        self.addresses.credits.do_send(Credit);
    }

    /// Looks after the journal and the room on the disk.
    fn tend(&mut self) {
        self.stats.journal_bytes.set_count(self.output.journal.bytes());
        if let Err(error) = self.output.journal.tend() {
            tracing::warn!(
                reason = with_sources(&error),
                "the journal cannot be kept: a crash would lose games in play"
            );
        }
        let shortage = self.shortage();
        if shortage.is_some() != self.holding.is_some() {
            self.addresses.holds.do_send(HoldStarts(shortage.is_some()));
        }
        match shortage {
            None => {
                if self.holding.take().is_some() {
                    tracing::info!("games start again");
                }
            }
            Some(reason) => {
                if self.holding.get_or_insert_with(Reminder::new).is_due() {
                    tracing::warn!(reason, "no new games start");
                }
            }
        }
    }

    /// Why no game should start: there is too little room on the disk, or where games go on to.
    fn shortage(&self) -> Option<String> {
        self.shortage_here().or_else(|| self.stats.onward.reason())
    }

    fn shortage_here(&self) -> Option<String> {
        const GIB: u64 = 1 << 30;
        let space = match self.output.store.free_space() {
            Ok(space) => space,
            Err(error) => return Some(format!("failed to {}", with_sources(&error))),
        };
        let floor = self.output.min_free.unwrap_or((space.total / 50).min(GIB));
        self.stats.disk_free.set_count(space.free);
        self.stats.disk_floor.set_count(floor);
        let dir = self.output.store.dir().display();
        (space.free < floor)
            .then(|| format!("{} bytes are free for {dir}, less than output.min_free = {floor}", space.free))
    }
}

impl Stats {
    /// A game that the trainer can see now.
    fn count_written(&self, Written { bytes, versions }: &Written) {
        self.games_written.add(1);
        self.bytes_written.add(*bytes);
        self.positions_written.add(versions.len() as u64);
        let newest = self.model_version.get();
        for positions in versions.chunk_by(|one, other| one == other) {
            // A trainer may have gone back to an older version.
            let lag = newest.saturating_sub(positions[0]).max(0);
            self.model_lag.record_many(lag as f64, positions.len() as u64);
        }
    }

    /// Counts failures of this kind.
    fn write_errors(&self, kind: ErrorKind) -> &Counter {
        match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => &self.write_errors_no_space,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => &self.write_errors_permission,
            ErrorKind::NotFound | ErrorKind::NotADirectory => &self.write_errors_missing,
            _ => &self.write_errors_other,
        }
    }
}

fn unix_ms() -> u64 {
    // A clock before 1970 counts as 1970; the names stay in order all the same.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

impl<G: Game> Actor for WriterActor<G> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(self.output.sync, |writer, _| {
            // The journal says itself when it is in trouble, see `tend`.
            writer.output.journal.sync().ok();
        });
        ctx.run_interval(RETRY_WAIT, |writer, _| writer.tend());
        self.tend();
    }
}

impl<G: Game> Supervised for WriterActor<G> {
    /// The queue survives: only the game in hand may be unfit for whatever made the writer panic, so it is set aside.
    fn restarting(&mut self, ctx: &mut Self::Context) {
        if let Some((number, unfit)) = self.queue.drop_in_hand() {
            self.set_aside(number, &unfit);
        }
        self.scheduled = false;
        if self.flushing {
            self.flush(ctx);
        } else if !self.queue.is_empty() {
            self.schedule(GROUP_WAIT, ctx);
        }
    }
}

impl<G: Game> Handler<UseEncoding<G>> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, UseEncoding(encoding): UseEncoding<G>, _: &mut Self::Context) {
        self.files.encoding = Some(encoding);
    }
}

impl<G: Game> Handler<WriteGame<G>> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, game: WriteGame<G>, ctx: &mut Self::Context) {
        self.enqueue(game);
        crate::faults::hit(crate::faults::Point::Writer);
        self.schedule(GROUP_WAIT, ctx);
    }
}

impl<G: Game> Handler<KeepRejected<G>> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, game: KeepRejected<G>, _: &mut Self::Context) {
        let version = game.nonsense.generation.version;
        tracing::error!(
            seed = game.seed,
            game = game.index,
            version,
            "game set aside: the network's output for it is not finite"
        );
        let json = game.to_json(&self.files.game, self.files.encoding);
        self.rejects.keep(unix_ms(), game.seed, game.index, &json);
        self.output.journal.end(game.number);
        self.stats.games_rejected.add(1);
    }
}

impl<G: Game> Handler<Flush> for WriterActor<G> {
    type Result = ();

    fn handle(&mut self, Flush: Flush, ctx: &mut Self::Context) {
        self.flush(ctx);
    }
}
