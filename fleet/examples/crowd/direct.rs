//! What one daemon's writer does with finished games: the same calls of store and journal, in its largest groups. What it has beside, to
//! make the files' bytes, was done before.

use std::{
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use selfplay_engine::{
    journal::{Journal, SessionOptions, open_session},
    replay::{ReplayStore, SessionId, StemClock},
};
use serde_json::json;

use crate::pool::{Pool, unix_ms};

/// Games of a group, as `actors/src/writer/queue.rs` has it.
const GROUP: u64 = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The trainer's folder
    #[arg(long, value_name = "DIR")]
    ready: PathBuf,
    /// How many games
    #[arg(long, value_name = "N")]
    number: u64,
}

/// Writes them on a thread of the writer's name, which stays to be looked at.
pub(crate) fn run(args: &Args, pool: &Pool) -> anyhow::Result<()> {
    let session = SessionId::of_this_process();
    let store = ReplayStore::open(&args.ready, session)?;
    let options = SessionOptions {
        session,
        seed: 1,
        settings_hash: pool.settings_hash().to_owned(),
        daemon_version: "crowd".to_owned(),
        journal: true,
        resume: true,
        spool: None,
        lock_wait: Duration::from_secs(10),
    };
    let journal = open_session(&args.ready, &options)?.journal;
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let writer = std::thread::Builder::new().name("writer".to_owned());
        writer.spawn_scoped(scope, || {
            let written = write(&store, &journal, pool, args.number, session);
            let is_written = written.is_ok();
            tell.send(written).ok();
            if is_written {
                stay();
            }
        })?;
        let seconds = told.recv().context("the writer panicked")??;
        let bytes = pool.bytes(args.number);
        println!("{}", json!({"done": {"games": args.number, "seconds": seconds, "bytes": bytes}}));
        // The writer is parked until the process ends.
        Ok(())
    })
}

/// Until the process ends.
fn stay() -> ! {
    loop {
        std::thread::park();
    }
}

fn write(store: &ReplayStore, journal: &Journal, pool: &Pool, games: u64, session: SessionId) -> anyhow::Result<f64> {
    let mut stems = StemClock::new(session, 0);
    let numbers: Vec<_> = (0..games).map(|game| journal.begin(1, game)).collect();
    let begun = Instant::now();
    for first in (0..games).step_by(GROUP as usize) {
        journal.tend()?;
        let mut group = Vec::new();
        for game in first..(first + GROUP).min(games) {
            let (stem, number) = (stems.next(unix_ms(), game), numbers[game as usize]);
            journal.staging(number, &stem);
            let files = pool.game(game);
            group.push((number, store.stage(&stem, &files.yaml, &files.npz)?));
        }
        journal.sync()?;
        let (numbers, mut staged): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        store.complete(&mut staged)?;
        journal.staged(numbers.iter().copied().zip(staged.iter().map(|game| game.stem())));
        journal.sync()?;
        for published in store.publish(staged) {
            published.map_err(|unpublished| unpublished.error)?;
        }
        numbers.into_iter().for_each(|number| journal.end(number));
    }
    Ok(begun.elapsed().as_secs_f64())
}
