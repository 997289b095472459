//! The table by itself: what it asks, whom it answers, and that models are never mixed.

use std::collections::{BTreeMap, HashSet};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::testing::{FLAWED, Inbox, Numbers, answer, leaf, nth, play, settle, value};

const ROOMY: CacheLimits = CacheLimits { max_bytes: 1 << 30, max_entries: None };

/// A table, the mail of those who ask it, and its own mail.
struct Stage {
    table: Table<Numbers>,
    limits: CacheLimits,
    answers: Inbox<crate::ticket::Evaluated>,
    done: Inbox<BatchDone>,
}

impl Stage {
    fn new(limits: CacheLimits) -> Self {
        let done = Inbox::new();
        let table = Table::new(limits, done.address.clone());
        Self { table, limits, answers: Inbox::new(), done }
    }

    /// With model 1 in service.
    fn serving(limits: CacheLimits) -> Self {
        let mut stage = Self::new(limits);
        stage.table.change_model(nth(1));
        stage
    }

    fn ask(&mut self, ticket: u64, positions: &[u16]) {
        let reply = Reply::new(self.answers.address.clone(), ticket);
        self.table.look_up(Lookup { leaves: positions.iter().map(|&position| leaf(position)).collect(), reply });
    }

    /// Positions that go to the network.
    fn misses(&mut self) -> LeafBatch<Numbers> {
        let generation = self.table.generation.number;
        self.table.take_misses().unwrap_or_else(|| LeafBatch::new(generation, self.done.address.clone()))
    }

    /// Lets model number `generation` evaluate a batch.
    async fn run(&mut self, batch: LeafBatch<Numbers>, generation: u64) {
        let answer = answer(generation, positions(&batch));
        batch.finish(Ok(answer), None);
        self.deliver().await;
    }

    async fn deliver(&mut self) {
        for done in self.done.take().await {
            self.table.complete(done);
        }
    }

    /// Tickets answered since the last call: model number and values, or the error.
    async fn answered(&mut self) -> BTreeMap<u64, Result<(u64, Vec<f32>), TicketError>> {
        let mut answered = BTreeMap::new();
        for evaluated in self.answers.take().await {
            let outcome = evaluated.outcome.map(|answer| {
                for evaluation in answer.evaluations.iter() {
                    assert_eq!(evaluation.priors, [evaluation.value + 0.5], "value and priors belong together");
                }
                (answer.generation.number, answer.evaluations.iter().map(|evaluation| evaluation.value).collect())
            });
            assert!(answered.insert(evaluated.ticket, outcome).is_none(), "answered twice");
        }
        answered
    }

    fn restart(&mut self) {
        self.table = self.table.successor(self.limits);
    }
}

fn positions(batch: &LeafBatch<Numbers>) -> Vec<u16> {
    batch.leaves().iter().map(|leaf| leaf.position).collect()
}

fn values(generation: u64, positions: &[u16]) -> Result<(u64, Vec<f32>), TicketError> {
    Ok((generation, positions.iter().map(|&position| value(generation, position)).collect()))
}

#[test]
fn each_position_is_asked_once_and_every_request_answered_in_its_own_order() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[5, 6, 5]);
        stage.ask(2, &[6, 7]);
        let batch = stage.misses();
        assert_eq!(positions(&batch), [5, 6, 7]);
        assert!(stage.table.take_misses().is_none());
        stage.ask(3, &[7, 5]);
        assert!(stage.table.take_misses().is_none(), "all of it is in flight");
        assert!(stage.answered().await.is_empty());

        stage.run(batch, 1).await;
        let expected = [(1, values(1, &[5, 6, 5])), (2, values(1, &[6, 7])), (3, values(1, &[7, 5]))];
        assert_eq!(stage.answered().await, BTreeMap::from(expected));

        stage.ask(4, &[7, 6, 5, 7]);
        assert_eq!(stage.answered().await, BTreeMap::from([(4, values(1, &[7, 6, 5, 7]))]), "a hit answers at once");
        assert!(stage.table.take_misses().is_none());

        let stats = Stats::default();
        stage.table.report(&stats);
        stage.table.report(&stats);
        assert_eq!((stats.cache_misses.get(), stats.cache_hits.get(), stats.cache_in_flight_hits.get()), (3, 4, 4));
        assert_eq!(stats.cache_entries.get(), 3);
    });
}

#[test]
fn a_request_is_answered_when_its_last_leaf_lands() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1]);
        let first = stage.misses();
        stage.ask(2, &[2, 1, 3]);
        let second = stage.misses();
        assert_eq!(positions(&second), [2, 3]);
        stage.run(second, 1).await;
        assert!(stage.answered().await.is_empty());
        stage.run(first, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(1, &[1])), (2, values(1, &[2, 1, 3]))]));
    });
}

#[test]
fn a_leaf_asked_again_under_another_model_counts_once() {
    play(async {
        let mut stage = Stage::new(ROOMY);
        stage.ask(1, &[1, 2, 1]);
        stage.misses();
        stage.table.change_model(nth(1));
        let batch = stage.misses();
        stage.run(batch, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(1, &[1, 2, 1]))]));
        let stats = Stats::default();
        stage.table.report(&stats);
        assert_eq!((stats.cache_misses.get(), stats.cache_hits.get(), stats.cache_in_flight_hits.get()), (2, 0, 1));
    });
}

#[test]
fn a_request_without_leaves_is_answered_too() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[]);
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(1, &[]))]));
    });
}

#[test]
fn a_failed_leaf_fails_those_who_wait_for_it_and_is_asked_again_later() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1, 2]);
        let first = stage.misses();
        stage.ask(2, &[2, 3, 2]);
        stage.ask(3, &[3]);
        let second = stage.misses();
        let error = TicketError::Backend("run the network: broken".to_owned());
        first.finish(Err(error.clone()), None);
        stage.deliver().await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, Err(error.clone())), (2, Err(error))]));

        stage.ask(4, &[1, 3]);
        let third = stage.misses();
        assert_eq!(positions(&third), [1], "leaf 3 is still on its way");
        stage.run(second, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(3, values(1, &[3]))]));
        drop(third);
        stage.deliver().await;
        assert_eq!(stage.answered().await, BTreeMap::from([(4, Err(TicketError::Lost))]));
        stage.ask(5, &[2, 3]);
        assert_eq!(positions(&stage.misses()), [2], "what landed is kept, what failed is not");
    });
}

#[test]
fn a_flawed_leaf_fails_the_requests_that_hold_it_and_no_other_and_is_not_kept() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1, FLAWED, 2]);
        stage.ask(2, &[FLAWED, FLAWED]);
        stage.ask(3, &[2, 1]);
        let batch = stage.misses();
        stage.run(batch, 1).await;
        let answered = stage.answered().await;
        assert_eq!(answered[&3], values(1, &[2, 1]));
        let flaw = |ticket| match &answered[&ticket] {
            Err(TicketError::NonFinite(flaw)) => (flaw.leaf, flaw.generation, flaw.output.value.is_nan()),
            other => panic!("{other:?}"),
        };
        assert_eq!((flaw(1), flaw(2)), ((1, nth(1), true), (0, nth(1), true)));
        stage.ask(4, &[1, 2, FLAWED]);
        assert_eq!(positions(&stage.misses()), [FLAWED], "the sound ones are kept, this one is asked again");
    });
}

#[test]
fn a_new_model_answers_open_requests_wholly_and_forgets_the_old_answers() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1]);
        let known = stage.misses();
        stage.run(known, 1).await;
        stage.ask(2, &[1, 2, 3]);
        stage.ask(3, &[3, 2]);
        let old = stage.misses();
        stage.ask(4, &[4]);
        stage.answered().await;

        stage.table.change_model(nth(2));
        let new = stage.misses();
        assert_eq!(
            (new.generation(), positions(&new)),
            (2, vec![1, 2, 3, 4]),
            "each once, in the order of the requests"
        );
        stage.run(old, 1).await;
        assert!(stage.answered().await.is_empty(), "late answers of the old model are ignored");
        stage.table.change_model(nth(2));
        stage.table.change_model(nth(1));
        assert!(stage.table.take_misses().is_none(), "no new model, nothing to ask again");
        stage.run(new, 2).await;
        let expected = [(2, values(2, &[1, 2, 3])), (3, values(2, &[3, 2])), (4, values(2, &[4]))];
        assert_eq!(stage.answered().await, BTreeMap::from(expected));
    });
}

#[test]
fn requests_from_before_the_first_model_are_answered_by_it() {
    play(async {
        let mut stage = Stage::new(ROOMY);
        stage.ask(1, &[1, 2]);
        let unanswerable = stage.misses();
        assert_eq!(unanswerable.generation(), 0);
        stage.table.change_model(nth(1));
        unanswerable.discard();
        let batch = stage.misses();
        stage.run(batch, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(1, &[1, 2]))]));
    });
}

#[test]
fn a_batch_of_a_newer_model_than_known_changes_the_model() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1, 2]);
        let batch = stage.misses();
        stage.run(batch, 3).await;
        assert!(stage.answered().await.is_empty());
        let again = stage.misses();
        assert_eq!((again.generation(), positions(&again)), (3, vec![1, 2]));
        stage.run(again, 3).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(3, &[1, 2]))]));
    });
}

#[test]
fn leaves_asked_of_the_new_model_and_answered_by_the_old_one_are_lost_not_forgotten() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.table.change_model(nth(2));
        stage.ask(1, &[1]);
        let batch = stage.misses();
        stage.run(batch, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, Err(TicketError::Lost))]));
        stage.ask(2, &[1]);
        let batch = stage.misses();
        stage.run(batch, 2).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(2, values(2, &[1]))]));
    });
}

#[test]
fn a_successor_is_empty_loses_what_was_open_and_takes_no_batch_for_its_own() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1]);
        let known = stage.misses();
        stage.run(known, 1).await;
        stage.ask(2, &[2, 3]);
        let old = stage.misses();
        stage.ask(3, &[4]);
        stage.answered().await;
        stage.restart();
        let lost = [(2, Err(TicketError::Lost)), (3, Err(TicketError::Lost))];
        assert_eq!(stage.answered().await, BTreeMap::from(lost));
        stage.ask(4, &[1, 2]);
        let new = stage.misses();
        assert_eq!((new.generation(), positions(&new)), (1, vec![1, 2]));
        stage.deliver().await;
        stage.run(old, 1).await;
        assert!(stage.answered().await.is_empty());
        stage.run(new, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(4, values(1, &[1, 2]))]));
    });
}

#[test]
fn switched_off_it_keeps_nothing_but_still_asks_what_is_in_flight_once() {
    play(async {
        let mut stage = Stage::serving(CacheLimits { max_entries: Some(0), ..ROOMY });
        stage.ask(1, &[1, 1]);
        stage.ask(2, &[1]);
        let batch = stage.misses();
        assert_eq!(positions(&batch), [1]);
        stage.run(batch, 1).await;
        assert_eq!(stage.answered().await, BTreeMap::from([(1, values(1, &[1, 1])), (2, values(1, &[1]))]));
        stage.ask(3, &[1]);
        assert_eq!(positions(&stage.misses()), [1]);
        assert_eq!((stage.table.store.len(), stage.table.store.bytes()), (0, 0));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Vec<u16>),
    /// The inference threads get a new model; the table hears of it now, or not yet.
    Swap {
        heard: bool,
    },
    /// Some batch comes back; `lag`: 1 when run on the model before the one it should have run on.
    Run {
        batch: usize,
        lag: u64,
    },
    Fail(usize),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => vec(0..6u16, 0..5).prop_map(Step::Ask),
        5 => (any::<usize>(), prop_oneof![9 => Just(0u64), 1 => Just(1)]).prop_map(|(batch, lag)| Step::Run { batch, lag }),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<bool>().prop_map(|heard| Step::Swap { heard }),
        1 => Just(Step::Restart),
    ]
}

/// What must be true of the table, by the simplest means.
struct Oracle {
    /// Positions asked for by ticket, and when they were asked: the model known then.
    open: BTreeMap<u64, (Vec<u16>, u64)>,
    /// Positions at the network, by the table's present generation and life.
    flying: HashSet<u16>,
    /// Positions evaluated by the present model in the present life.
    known: HashSet<u16>,
    generation: u64,
}

impl Oracle {
    /// The table's generation may have moved on.
    fn observe(&mut self, generation: u64) {
        if generation != self.generation {
            assert!(generation > self.generation, "back to an older model");
            self.generation = generation;
            self.flying.clear();
            self.known.clear();
        }
    }

    /// Takes the answers given in one step.
    fn answered(&mut self, answered: BTreeMap<u64, Result<(u64, Vec<f32>), TicketError>>, may_fail: bool) {
        for (ticket, outcome) in answered {
            let (positions, asked) = self.open.remove(&ticket).expect("a ticket that is open");
            match outcome {
                Ok((generation, found)) => {
                    assert_eq!(generation, self.generation, "answered by the newest model known");
                    assert!(generation >= asked);
                    assert_eq!(Ok((generation, found)), values(generation, &positions));
                }
                Err(_) => assert!(may_fail, "ticket {ticket} failed for no reason"),
            }
        }
    }
}

async fn check(steps: Vec<Step>, limits: CacheLimits) {
    let mut stage = Stage::serving(limits);
    let mut oracle = Oracle { open: BTreeMap::new(), flying: HashSet::new(), known: HashSet::new(), generation: 1 };
    let mut network: Vec<(LeafBatch<Numbers>, u64)> = Vec::new();
    let (mut serving, mut life) = (1, 0u64);
    // At the end everything comes back, until nothing is left.
    let finish = std::iter::repeat_n(Step::Run { batch: 0, lag: 0 }, 2 * steps.len() + 10);
    for (ticket, step) in steps.into_iter().chain(finish).enumerate() {
        let mut may_fail = false;
        match step {
            Step::Ask(positions) => {
                stage.ask(ticket as u64, &positions);
                let hit = limits == ROOMY && positions.iter().all(|position| oracle.known.contains(position));
                oracle.open.insert(ticket as u64, (positions, oracle.generation));
                if hit {
                    settle().await;
                    let answered = stage.answered().await;
                    assert!(answered.contains_key(&(ticket as u64)), "a hit waits for nothing");
                    oracle.answered(answered, false);
                }
            }
            Step::Swap { heard } => {
                serving += 1;
                if heard {
                    stage.table.change_model(nth(serving));
                }
            }
            Step::Run { batch, lag } if !network.is_empty() => {
                let (batch, born) = network.remove(batch % network.len());
                let asked = positions(&batch);
                let model = if lag == 0 { serving } else { batch.generation() - 1 };
                let current = born == life && batch.generation() == oracle.generation;
                may_fail = current && model < oracle.generation;
                if current && model == oracle.generation && limits.max_entries != Some(0) {
                    oracle.known.extend(&asked);
                }
                if current {
                    asked.iter().for_each(|position| assert!(oracle.flying.remove(position)));
                }
                stage.run(batch, model).await;
            }
            Step::Fail(batch) if !network.is_empty() => {
                let (batch, born) = network.remove(batch % network.len());
                may_fail = born == life && batch.generation() == oracle.generation;
                if may_fail {
                    positions(&batch).iter().for_each(|position| assert!(oracle.flying.remove(position)));
                }
                drop(batch);
                stage.deliver().await;
            }
            Step::Run { .. } | Step::Fail(_) => {}
            Step::Restart => {
                stage.restart();
                life += 1;
                oracle.flying.clear();
                oracle.known.clear();
                may_fail = true;
                oracle.answered(stage.answered().await, true);
                assert!(oracle.open.is_empty(), "a restart answers everything that was open");
            }
        }
        oracle.observe(stage.table.generation.number);
        oracle.answered(stage.answered().await, may_fail);
        if let Some(batch) = stage.table.take_misses() {
            assert_eq!(batch.generation(), oracle.generation);
            for position in positions(&batch) {
                assert!(oracle.flying.insert(position), "{position} is in flight already");
                assert!(limits != ROOMY || !oracle.known.contains(&position), "{position} is known already");
            }
            network.push((batch, life));
        }
    }
    assert!(network.is_empty() && oracle.open.is_empty(), "never answered: {:?}", oracle.open);
    assert!(stage.table.flying.is_empty() && stage.table.flying_by_position.is_empty() && stage.table.open.is_empty());
}

proptest! {
    #[test]
    fn whatever_happens_every_ticket_is_answered_once_by_one_model(
        steps in vec(step(), 1..80),
        max_entries in prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(2))],
    ) {
        play(check(steps, CacheLimits { max_entries, ..ROOMY }));
    }
}
