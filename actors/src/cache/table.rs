//! What the cache knows, what it waits for, and who waits for it. Plain state: no actor, no thread.
//!
//! Invariants: a position is in flight at most once; every open request is answered once; every request is answered by one
//! model, the newest it knew of when it was answered.

#[cfg(test)]
mod inspect;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix::Recipient;
use hashbrown::HashMap;
use selfplay_engine::{ActionSet as _, Evaluation, Evaluations, Game, Leaf};

use super::store::{CacheLimits, Evictions, Known, Store};
use crate::{
    stats::Stats,
    ticket::{Answer, BatchDone, Flaw, Generation, LeafBatch, LeafId, Lookup, Origins, Reply, TicketError},
};

/// A request with leaves still in flight.
struct Open<G: Game> {
    leaves: Vec<Leaf<G>>,
    /// Vacant for leaves in flight.
    answers: Evaluations,
    missing: usize,
    origins: Origins,
    reply: Reply,
}

/// A leaf asked of the network, and the places in open requests that wait for it: (request, leaf within it).
struct InFlight<G: Game> {
    position: G::Position,
    waiters: Vec<(u64, usize)>,
}

/// Leaves answered, each once and as what its answer came from; what was looked up under a model that another replaced first,
/// or in vain, does not count.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    hits: u64,
    misses: u64,
    in_flight_hits: u64,
    /// Positions reported lost by the part that held them.
    lost: u64,
    evictions: Evictions,
    entries: usize,
    bytes: usize,
}

pub(super) struct Table<G: Game> {
    generation: Generation,
    store: Store<G>,
    flying: HashMap<LeafId, InFlight<G>>,
    flying_by_position: HashMap<G::Position, LeafId>,
    open: HashMap<u64, Open<G>>,
    next_leaf: LeafId,
    next_open: u64,
    misses: LeafBatch<G>,
    own: Recipient<BatchDone>,
    counts: Counts,
}

impl<G: Game> Table<G> {
    /// Knows nothing. `own`: where what becomes of batches is reported.
    pub(super) fn new(limits: CacheLimits, own: Recipient<BatchDone>) -> Self {
        Self {
            generation: Generation::default(),
            store: Store::new(limits),
            flying: HashMap::new(),
            flying_by_position: HashMap::new(),
            open: HashMap::new(),
            next_leaf: 0,
            next_open: 0,
            misses: LeafBatch::new(0, own.clone()),
            own,
            counts: Counts::default(),
        }
    }

    /// An empty table that takes this one's place: it knows the same model and numbers leaves where this one stopped, so that
    /// batches still under way cannot be mistaken for its own.
    pub(super) fn successor(&self, limits: CacheLimits) -> Self {
        let mut table = Self::new(limits, self.own.clone());
        table.next_leaf = self.next_leaf + 1;
        table.next_open = self.next_open + 1;
        table.change_model(self.generation);
        table
    }

    /// Holds no more than this from now on.
    pub(super) fn set_limits(&mut self, limits: CacheLimits) {
        self.store.set_limits(limits, self.generation.number);
    }

    /// The leaves to ask of the network since the last call; `None` when there are none.
    pub(super) fn take_misses(&mut self) -> Option<LeafBatch<G>> {
        let empty = LeafBatch::new(self.generation.number, self.own.clone());
        (!self.misses.is_empty()).then(|| std::mem::replace(&mut self.misses, empty))
    }

    pub(super) fn look_up(&mut self, Lookup { leaves, reply }: Lookup<G>) {
        let priors = leaves.iter().map(|leaf| leaf.legal.len()).sum();
        let answers = Evaluations::vacant(leaves.len(), priors);
        self.ask(Open { missing: 0, origins: Origins::default(), leaves, answers, reply });
    }

    /// Writes the evaluations of `leaves` into `answer` if all are known, and says by which model.
    pub(super) fn known(&mut self, leaves: &[Leaf<G>], answer: &mut Evaluations) -> Option<Generation> {
        answer.clear();
        for leaf in leaves {
            let known = self.store.get(&(self.generation.number, leaf.position))?;
            answer.push(known.worth, known.priors.iter().copied());
        }
        self.counts.hits += leaves.len() as u64;
        Some(self.generation)
    }

    /// Answers a request from the store, or opens it and puts what is missing on the way. Nothing of it is answered yet.
    fn ask(&mut self, mut request: Open<G>) {
        let number = self.next_open;
        self.next_open += 1;
        for (place, leaf) in request.leaves.iter().enumerate() {
            if let Some(known) = self.store.get(&(self.generation.number, leaf.position)) {
                request.origins.cached += 1;
                request.answers.place(place, known.worth, &known.priors);
                continue;
            }
            request.missing += 1;
            let id = *self.flying_by_position.entry(leaf.position).or_insert(self.next_leaf);
            let in_flight = self.flying.entry(id).or_insert_with(|| {
                self.misses.push(id, *leaf);
                InFlight { position: leaf.position, waiters: Vec::with_capacity(1) }
            });
            if id == self.next_leaf {
                self.next_leaf += 1;
            } else {
                request.origins.joined += 1;
            }
            in_flight.waiters.push((number, place));
        }
        if request.missing == 0 {
            self.answer(request);
        } else {
            self.open.insert(number, request);
        }
    }

    /// Requests that wait for an answer.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    fn answer(&mut self, request: Open<G>) {
        let Origins { cached, joined } = request.origins;
        self.counts.hits += cached;
        self.counts.in_flight_hits += joined;
        self.counts.misses += request.leaves.len() as u64 - cached - joined;
        let answer = Answer { evaluations: request.answers, generation: self.generation };
        request.reply.answer_from(Ok(answer), request.origins);
    }

    /// Takes what became of a batch. Leaves given up since are ignored, and answers of another model are not used.
    pub(super) fn complete(&mut self, done: BatchDone) {
        match done.outcome {
            // The batcher's notice got lost in a restart; what is open is asked again, and with it these leaves.
            Ok(answer) if answer.generation.number > self.generation.number => self.change_model(answer.generation),
            Ok(answer) if answer.generation.number == self.generation.number => {
                let mut flaws = answer.evaluations.flaws().iter().peekable();
                for (index, (id, evaluation)) in done.ids.into_iter().zip(answer.evaluations.iter()).enumerate() {
                    match flaws.next_if(|(flawed, _)| *flawed == index) {
                        None => self.land(id, evaluation),
                        Some((_, output)) => {
                            let output = Arc::new(output.clone());
                            self.fail(id, |leaf| {
                                TicketError::NonFinite(Flaw {
                                    leaf,
                                    generation: answer.generation,
                                    output: output.clone(),
                                })
                            });
                        }
                    }
                }
            }
            // Most of an old model's leaves were given up when the model changed. One that is still in flight was asked of the
            // new model and answered by the old one all the same: no request may wait for it for ever.
            Ok(_) => done.ids.into_iter().for_each(|id| self.fail(id, |_| TicketError::Lost)),
            Err(error) => {
                if error == TicketError::Lost {
                    self.counts.lost += done.ids.len() as u64;
                }
                done.ids.into_iter().for_each(|id| self.fail(id, |_| error.clone()));
            }
        }
    }

    fn land(&mut self, id: LeafId, evaluation: Evaluation<'_>) {
        let Some(in_flight) = self.flying.remove(&id) else { return };
        self.flying_by_position.remove(&in_flight.position);
        for (number, place) in in_flight.waiters {
            let Some(request) = self.open.get_mut(&number) else { continue };
            request.answers.place(place, evaluation.worth(), evaluation.priors);
            request.missing -= 1;
            if request.missing == 0
                && let Some(request) = self.open.remove(&number)
            {
                self.answer(request);
            }
        }
        let known = Known { worth: evaluation.worth(), priors: evaluation.priors.into() };
        self.store.insert((self.generation.number, in_flight.position), known);
    }

    /// Fails every request that waits for the leaf, with the `error` for its place there; their other leaves may still land
    /// and are kept.
    fn fail(&mut self, id: LeafId, error: impl Fn(usize) -> TicketError) {
        let Some(in_flight) = self.flying.remove(&id) else { return };
        self.flying_by_position.remove(&in_flight.position);
        for (number, place) in in_flight.waiters {
            if let Some(request) = self.open.remove(&number) {
                request.reply.answer(Err(error(place)));
            }
        }
    }

    /// Moves on to a newer model: nothing of the old one is used from here on, and open requests are asked again from scratch.
    pub(super) fn change_model(&mut self, generation: Generation) {
        if generation.number <= self.generation.number {
            return;
        }
        self.generation = generation;
        self.flying.clear();
        self.flying_by_position.clear();
        std::mem::replace(&mut self.misses, LeafBatch::new(generation.number, self.own.clone())).discard();
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|&(number, _)| number);
        for (_, mut request) in open {
            request.missing = 0;
            request.origins = Origins::default();
            request.answers.vacate();
            self.ask(request);
        }
    }

    /// Adds what was counted since the last call.
    pub(super) fn report(&mut self, stats: &Stats) {
        let (evictions, entries, bytes) = (self.store.take_evictions(), self.store.len(), self.store.bytes());
        stats.count_lookups(&Counts { evictions, entries, bytes, ..std::mem::take(&mut self.counts) });
    }
}

impl Stats {
    /// What the cache has done since it last said so.
    pub(crate) fn count_lookups(&self, counts: &Counts) {
        self.cache_hits.add(counts.hits);
        self.cache_misses.add(counts.misses);
        self.cache_in_flight_hits.add(counts.in_flight_hits);
        self.evaluations_lost.add(counts.lost);
        self.cache_evicted_full.add(counts.evictions.full);
        self.cache_evicted_stale.add(counts.evictions.stale);
        self.cache_entries.set_count(counts.entries);
        self.cache_bytes.set_count(counts.bytes);
    }
}
