//! What must be true of everything that is sent, whatever the order of things.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    mail::Mail,
    toy::{Toy, prior},
};
use crate::{
    cache::CacheActor,
    testing::value,
    ticket::{Evaluated, LeafBatch, LeafId, Ticket, TicketError},
};

/// A request that is out.
struct Asked {
    game: usize,
    positions: Vec<u16>,
}

/// How often things happened, by name.
pub(super) type Seen = BTreeMap<&'static str, u64>;

/// Keeps account of requests and leaves.
#[derive(Default)]
pub(super) struct Books {
    asked: HashMap<Ticket, Asked>,
    next_ticket: Ticket,
    /// The newest model that the cache has heard of.
    heard: u64,
    /// Leaves on their way to the network and back: the model and position asked for. Those that the cache has given up stay
    /// until it restarts or hears of them.
    under_way: HashMap<LeafId, (u64, u16)>,
    newest_leaf: Option<LeafId>,
    /// Nothing but models' changes happens: every request must be answered with evaluations.
    calm: bool,
    proven: HashSet<u64>,
    withdrawn: HashSet<u64>,
    pub(super) seen: Seen,
}

impl Books {
    pub(super) fn new(calm: bool) -> Self {
        Self { calm, ..Self::default() }
    }

    pub(super) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// A game asks for `positions`.
    pub(super) fn open(&mut self, game: usize, positions: Vec<u16>) -> Ticket {
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket, Asked { game, positions });
        self.next_ticket
    }

    /// Requests without an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// The cache hears of a model, by its name or by an answer it made.
    pub(super) fn heard(&mut self, generation: u64) {
        self.heard = self.heard.max(generation);
    }

    /// The cache has taken up a report on leaves.
    pub(super) fn returned(&mut self, ids: &[LeafId]) {
        for id in ids {
            self.under_way.remove(id);
        }
    }

    /// The cache starts empty; leaves under way are no longer its own.
    pub(super) fn cache_restarted(&mut self) {
        self.under_way.clear();
    }

    /// Checks a message where it was sent. An answer frees its game.
    pub(super) fn sent(&mut self, mail: &Mail) -> Option<usize> {
        match mail {
            Mail::Evaluated(evaluated) => return Some(self.answered(evaluated)),
            Mail::Evaluate(evaluate) => self.asked_of_network(&evaluate.0),
            Mail::ModelProven(proven) => {
                let generation = proven.generation.number;
                assert!(self.proven.insert(generation) && !self.withdrawn.contains(&generation));
            }
            Mail::ModelWithdrawn(withdrawn) => assert!(self.withdrawn.insert(withdrawn.generation.number)),
            _ => {}
        }
        None
    }

    fn answered(&mut self, Evaluated { ticket, outcome, .. }: &Evaluated) -> usize {
        let Asked { game, positions } = self.asked.remove(ticket).expect("a request is answered once");
        assert!(outcome.is_ok() || !self.calm, "without a fault nothing fails: {outcome:?}");
        match outcome {
            Ok(answer) => {
                self.count("answered: evaluations");
                let generation = answer.generation.number;
                assert!(generation >= self.heard, "answered by model {generation}, having heard of {}", self.heard);
                assert_eq!(answer.evaluations.len(), positions.len());
                for (evaluation, &position) in answer.evaluations.iter().zip(&positions) {
                    let found = (evaluation.value, evaluation.priors);
                    let expected = (value(generation, position), &[prior(generation, position)][..]);
                    assert_eq!(found, expected, "position {position} by model {generation}");
                }
            }
            Err(TicketError::NonFinite(flaw)) => {
                self.count("answered: not finite");
                let generation = flaw.generation.number;
                assert!(generation >= self.heard, "failed by model {generation}, having heard of {}", self.heard);
                let names = [f32::from(positions[flaw.leaf]), generation as f32];
                assert_eq!(*flaw.output.logits, names, "the output of another position or model");
            }
            Err(TicketError::Lost) => self.count("answered: lost"),
            Err(TicketError::Backend(_)) => self.count("answered: batch failed"),
        }
        game
    }

    fn asked_of_network(&mut self, batch: &LeafBatch<Toy>) {
        for (&id, leaf) in batch.ids().iter().zip(batch.leaves()) {
            assert!(self.newest_leaf < Some(id), "leaf number {id} is used twice");
            self.newest_leaf = Some(id);
            let question = (batch.generation(), leaf.position.0);
            let twice = self.under_way.values().any(|&other| other == question);
            assert!(!twice, "(model, position) {question:?} is in flight already");
            self.under_way.insert(id, question);
        }
    }

    /// Checks what the cache holds. `served`: the newest model in service.
    pub(super) fn check(&self, cache: &CacheActor<Toy>, served: u64) {
        cache.check_books();
        assert!(self.heard <= cache.generation() && cache.generation() <= served);
        cache.for_each_known(|generation, position, known, priors| {
            let expected = (value(generation, position.0), &[prior(generation, position.0)][..]);
            assert_eq!((known, priors), expected, "kept for position {} by model {generation}", position.0);
        });
        for (id, position) in cache.flying() {
            let question = (cache.generation(), position.0);
            assert_eq!(self.under_way.get(&id), Some(&question), "the cache waits for leaf {id} in vain");
        }
    }
}
