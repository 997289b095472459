//! The cache actor: answers what it knows, sends on what it does not know, each position once even while it is waited for.

mod bench;
mod nearby;
mod store;
mod table;

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use actix::{Actor, Context, Handler, Message, Recipient, Supervised};
use selfplay_engine::Game;

use self::table::Table;
pub use self::{bench::CacheBench, nearby::NearbyCache, store::CacheLimits};
use crate::{
    batcher::{AllGamesWait, Evaluate, ModelChanged},
    stats::{Sampler, Stats},
    ticket::{BatchDone, Lookup},
};

/// The cache is to hold no more than so many bytes from now on. Sent by the root.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SetCacheBytes(pub usize);

/// So many games are in play from now on. Sent by the games' supervisor, so that the cache knows when all of them wait.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct GamesInPlay(pub usize);

/// Answers games' requests from a table of evaluations, and asks the batcher for the positions that are not in it.
pub struct CacheActor<G: Game> {
    limits: CacheLimits,
    batcher: Recipient<Evaluate<G>>,
    waiting: Recipient<AllGamesWait>,
    stats: Arc<Stats>,
    sampler: Sampler,
    /// Games in play, as far as it was told.
    games: usize,
    /// Shared with the games of the same thread, if there are any.
    table: Rc<RefCell<Table<G>>>,
}

impl<G: Game> CacheActor<G> {
    /// An empty cache. `own` is its own address, where inference threads report the leaves it asks for; `batcher` and `waiting` are
    /// both the batcher's.
    pub fn new(
        limits: CacheLimits,
        batcher: Recipient<Evaluate<G>>,
        waiting: Recipient<AllGamesWait>,
        own: Recipient<BatchDone>,
        stats: Arc<Stats>,
    ) -> Self {
        stats.cache_capacity.set_count(limits.capacity());
        stats.cache_capacity_entries.set_count(limits.max_entries.unwrap_or(0));
        let table = Rc::new(RefCell::new(Table::new(limits, own)));
        Self { limits, batcher, waiting, stats, sampler: Sampler::default(), games: 0, table }
    }

    /// The cache for games of this thread.
    pub(crate) fn nearby(&self) -> NearbyCache<G> {
        NearbyCache::new(&self.table)
    }

    /// Lets the table do its work, sends on what it has collected for the network, and tells the batcher if every game waits.
    fn work(&self, work: impl FnOnce(&mut Table<G>)) {
        let mut table = self.table.borrow_mut();
        work(&mut table);
        if let Some(batch) = table.take_misses() {
            self.batcher.do_send(Evaluate(batch));
        }
        table.report(&self.stats);
        if table.open() > 0 && table.open() >= self.games {
            self.waiting.do_send(AllGamesWait);
        }
    }
}

impl<G: Game> Actor for CacheActor<G> {
    type Context = Context<Self>;
}

impl<G: Game> Supervised for CacheActor<G> {
    /// Starts empty; requests that were open are answered as lost when the old table is dropped.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.table.replace_with(|table| table.successor(self.limits));
    }
}

impl<G: Game> Handler<Lookup<G>> for CacheActor<G> {
    type Result = ();

    fn handle(&mut self, lookup: Lookup<G>, _: &mut Self::Context) {
        let begun = self.sampler.begin();
        crate::faults::hit(crate::faults::Point::Cache);
        self.work(|table| table.look_up(lookup));
        self.stats.lookup_ns.add_sampled(begun);
    }
}

impl<G: Game> Handler<BatchDone> for CacheActor<G> {
    type Result = ();

    fn handle(&mut self, mut done: BatchDone, _: &mut Self::Context) {
        done.freed.take(); // The thread's next batch comes first.
        let begun = Instant::now();
        crate::faults::hit(crate::faults::Point::Cache);
        self.work(|table| table.complete(done));
        self.stats.post_processing_ns.add(begun.elapsed());
    }
}

impl<G: Game> Handler<GamesInPlay> for CacheActor<G> {
    type Result = ();

    fn handle(&mut self, GamesInPlay(games): GamesInPlay, _: &mut Self::Context) {
        self.games = games;
        self.work(|_| {});
    }
}

impl<G: Game> Handler<SetCacheBytes> for CacheActor<G> {
    type Result = ();

    fn handle(&mut self, SetCacheBytes(max_bytes): SetCacheBytes, _: &mut Self::Context) {
        self.limits.max_bytes = max_bytes;
        self.stats.cache_capacity.set_count(self.limits.capacity());
        self.work(|table| table.set_limits(self.limits));
    }
}

impl<G: Game> Handler<ModelChanged> for CacheActor<G> {
    type Result = ();

    fn handle(&mut self, ModelChanged(generation): ModelChanged, _: &mut Self::Context) {
        self.work(|table| table.change_model(generation));
    }
}
