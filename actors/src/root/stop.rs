//! The end of all threads.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use actix::{Addr, Arbiter};
use selfplay_engine::Game;

use crate::{health::Health, inference::InferencePool, loader::ModelLoaderActor, watchdog::Watchdog};

/// How long arbiters and inference threads may take to end once everything is written.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// The same when one of them is known not to end.
const JOIN_TIMEOUT_OF_HUNG: Duration = Duration::from_secs(1);

/// What must be joined after the system has stopped.
pub(super) struct Tree<G: Game> {
    pub(super) pool: Arc<InferencePool<G>>,
    pub(super) arbiters: Vec<Arbiter>,
    pub(super) health: Arc<Health>,
    pub(super) watchdog: Watchdog,
    /// An actor without an address ends and is not restarted; nothing else holds this one's.
    pub(super) loader: Addr<ModelLoaderActor<G>>,
}

impl<G: Game> Tree<G> {
    /// Stops and joins all threads, but does not wait for long.
    pub(super) fn stop(self) {
        let Self { pool, arbiters, health, watchdog, loader: _until_joined } = self;
        let timeout = if health.hangs() { JOIN_TIMEOUT_OF_HUNG } else { JOIN_TIMEOUT };
        drop(watchdog); // A thread that has ended gives no sign of life.
        let (done, joined) = mpsc::channel();
        let joiner = std::thread::Builder::new().name("joiner".to_owned()).spawn(move || {
            pool.close();
            for arbiter in arbiters {
                arbiter.stop();
                if arbiter.join().is_err() {
                    tracing::error!("an arbiter ended in a panic");
                }
            }
            done.send(()).ok();
        });
        if joiner.is_err() || joined.recv_timeout(timeout).is_err() {
            tracing::warn!("some threads did not end in time");
        }
    }
}
