//! A broker in memory that does everything a broker may do to its clients, by dice.
//!
//! It loses messages and answers, stores a message twice, forgets what it knew of repetitions, delivers in any order and again, runs full,
//! loses the end of its stream, and starts again empty. Events of one client come in an order that is mostly theirs.

mod models;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

pub(crate) use self::models::PublisherSide;
use self::models::Shelf;
use crate::{
    disk::fake::Dice,
    ledger::Receipt,
    link::{
        Answer, CollectorLink, Lag, Link, LinkState, MessageId, Refusal, Report, Tag, ToCollector, ToWorker, WorkerLink,
    },
    name::Name,
};

/// Time within which a repeated message is known as one.
const WINDOW: Duration = Duration::from_secs(120);

/// Time after which a message that was delivered is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// How often workers ask for the pointer, in seconds.
const ASK_EVERY: u64 = 30;

/// How often things go wrong: once in so many times; 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// A message does not arrive, an answer does not, or an event is lost.
    pub(crate) loses: u64,
    /// A message is stored twice, an event comes twice, or a message is delivered though it was acknowledged.
    pub(crate) repeats: u64,
    /// An event overtakes others.
    pub(crate) reorders: u64,
    /// Most bytes of the stream; 0: any.
    pub(crate) room: usize,
}

#[derive(Debug)]
struct Message {
    from: Name,
    bytes: Vec<u8>,
    /// Delivered, and not to be delivered again before then.
    rests_until: Option<Duration>,
}

#[derive(Debug)]
struct State {
    now: Duration,
    created: u64,
    next: u64,
    stream: BTreeMap<u64, Message>,
    known: BTreeMap<MessageId, (u64, Duration)>,
    tags: BTreeMap<Tag, u64>,
    next_tag: u64,
    receipts: BTreeMap<Name, Vec<Receipt>>,
    report: Option<Report>,
    to_workers: BTreeMap<Name, Vec<ToWorker>>,
    to_collector: Vec<ToCollector>,
    wanted: usize,
    shelf: Shelf,
    faults: Faults,
    dice: Dice,
    seen: BTreeSet<&'static str>,
}

/// See the module. Clones are the same broker.
#[derive(Clone, Debug)]
pub(crate) struct Broker(Rc<RefCell<State>>);

impl Broker {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self(Rc::new(RefCell::new(State {
            now: Duration::ZERO,
            created: 1,
            next: 1,
            stream: BTreeMap::new(),
            known: BTreeMap::new(),
            tags: BTreeMap::new(),
            next_tag: 0,
            receipts: BTreeMap::new(),
            report: None,
            to_workers: BTreeMap::new(),
            to_collector: Vec::new(),
            wanted: 0,
            shelf: Shelf::default(),
            faults,
            dice: Dice::new(seed),
            seen: BTreeSet::new(),
        })))
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.0.borrow_mut().faults = faults;
    }

    pub(crate) fn set_now(&self, now: Duration) {
        let mut state = self.0.borrow_mut();
        // Once in so long workers ask for what they may have missed.
        if now.as_secs() / ASK_EVERY != state.now.as_secs() / ASK_EVERY {
            state.shelf.tell_again();
        }
        state.now = now;
    }

    /// What has happened, by name.
    pub(crate) fn seen(&self) -> BTreeSet<&'static str> {
        self.0.borrow().seen.clone()
    }

    /// Its disk is gone: stream, receipts and memory of repetitions.
    pub(crate) fn start_empty(&self) {
        let mut state = self.0.borrow_mut();
        state.seen.insert("broker: started empty");
        state.created += 1;
        state.next = 1;
        state.stream.clear();
        state.known.clear();
        state.tags.clear();
        state.receipts.clear();
        state.report = None;
        state.shelf.start_empty();
        state.to_collector.clear();
    }

    /// Its power was cut: the last messages of the stream are lost, and their places are given again.
    pub(crate) fn lose_tail(&self, most: u64) {
        let mut state = self.0.borrow_mut();
        let lost = state.dice.below(most + 1).min(state.next - 1);
        state.seen.insert("broker: lost its tail");
        state.next -= lost;
        let next = state.next;
        state.stream.retain(|&sequence, _| sequence < next);
        state.tags.retain(|_, sequence| *sequence < next);
        // What it knew of repetitions is made anew of what is still stored.
        let stored: BTreeSet<u64> = state.stream.keys().copied().collect();
        state.known.retain(|_, (sequence, _)| stored.contains(sequence));
        state.to_collector.clear();
    }

    /// It was restarted: nothing stored is lost, but it forgets repetitions of what was acknowledged, and what was on its way.
    pub(crate) fn restart(&self) {
        let mut state = self.0.borrow_mut();
        let stored: BTreeSet<u64> = state.stream.keys().copied().collect();
        state.known.retain(|_, (sequence, _)| stored.contains(sequence));
        state.to_collector.clear();
        state.stream.values_mut().for_each(|message| message.rests_until = None);
    }

    /// A worker's side, for a process that connects: it hears nothing of what came before, but its receipts and the last report.
    pub(crate) fn worker(&self, name: &Name) -> WorkerSide {
        let mut state = self.0.borrow_mut();
        let receipts = state.receipts.get(name).cloned().map(ToWorker::Receipts);
        let report = state.report.map(ToWorker::Report);
        state.shelf.connect(name);
        state.to_workers.insert(name.clone(), receipts.into_iter().chain(report).collect());
        drop(state);
        WorkerSide { broker: self.clone(), name: name.clone() }
    }

    /// The collector's side, for a process that connects.
    pub(crate) fn collector(&self) -> CollectorSide {
        let mut state = self.0.borrow_mut();
        state.to_collector.clear();
        state.wanted = 0;
        drop(state);
        CollectorSide { broker: self.clone(), calls_left: None }
    }

    /// Delivers a message, if one is due and the collector wants one. Whether there was one.
    pub(crate) fn deliver(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let now = state.now;
        let due: Vec<u64> = state
            .stream
            .iter()
            .filter(|(_, message)| message.rests_until.is_none_or(|until| until <= now))
            .map(|(&sequence, _)| sequence)
            .collect();
        if state.wanted == 0 || due.is_empty() {
            return false;
        }
        let place =
            if state.chance(|faults| faults.reorders) { state.dice.below(due.len() as u64) as usize } else { 0 };
        let sequence = due[place];
        state.wanted -= 1;
        state.next_tag += 1;
        let tag = Tag(state.next_tag);
        state.tags.insert(tag, sequence);
        let Some(message) = state.stream.get_mut(&sequence) else { return false };
        let again = message.rests_until.replace(now + ACK_WAIT).is_some();
        let event = ToCollector::Message { tag, from: message.from.clone(), bytes: message.bytes.clone() };
        if again {
            state.seen.insert("broker: delivered again");
        }
        if state.chance(|faults| faults.loses) {
            state.seen.insert("broker: delivery lost");
        } else {
            state.to_collector.push(event);
        }
        true
    }

    /// Number of messages in the stream.
    pub(crate) fn stored(&self) -> usize {
        self.0.borrow().stream.len()
    }
}

impl State {
    fn chance(&mut self, of: impl Fn(&Faults) -> u64) -> bool {
        let every = of(&self.faults);
        self.dice.once_in(every)
    }

    fn tell(&mut self, worker: &Name, event: ToWorker) {
        if self.chance(|faults| faults.loses) {
            self.seen.insert("broker: event lost");
            return;
        }
        let twice = self.chance(|faults| faults.repeats);
        let Some(events) = self.to_workers.get_mut(worker) else { return };
        events.push(event.clone());
        if twice {
            events.push(event);
        }
    }

    fn store(&mut self, from: &Name, bytes: Vec<u8>) -> u64 {
        let sequence = self.next;
        self.next += 1;
        self.stream.insert(sequence, Message { from: from.clone(), bytes, rests_until: None });
        sequence
    }

    fn report(&self) -> Report {
        let first = self.stream.keys().next().copied().unwrap_or(self.next);
        Report { created: self.created, floor: first - 1, last: self.next - 1 }
    }
}

/// The next of a client's events, mostly the oldest.
fn take_one<T>(events: &mut Vec<T>, dice: &mut Dice, reorders: u64) -> Option<T> {
    if events.is_empty() {
        return None;
    }
    let place = if dice.once_in(reorders) { dice.below(events.len() as u64) as usize } else { 0 };
    Some(events.remove(place))
}

/// A worker's side of the broker.
#[derive(Debug)]
pub(crate) struct WorkerSide {
    broker: Broker,
    name: Name,
}

impl Link for WorkerSide {
    fn state(&self) -> LinkState {
        up()
    }
}

/// There is always a connection; what it does is another matter.
fn up() -> LinkState {
    LinkState { up: true, words: "connected".to_owned(), ..LinkState::default() }
}

impl WorkerLink for WorkerSide {
    fn publish(&mut self, id: MessageId, frame: Vec<u8>) {
        let state = &mut *self.broker.0.borrow_mut();
        if state.chance(|faults| faults.loses) {
            state.seen.insert("broker: message lost");
            let refusal = Refusal::Unanswered("lost".to_owned());
            state.tell(&self.name, ToWorker::Refused { id, refusal });
            return;
        }
        let now = state.now;
        if let Some(&(sequence, at)) = state.known.get(&id)
            && now.saturating_sub(at) < WINDOW
        {
            state.seen.insert("broker: repetition known");
            return state.tell(&self.name, ToWorker::Stored { id, sequence, duplicate: true });
        }
        let used: usize = state.stream.values().map(|message| message.bytes.len()).sum();
        if state.faults.room > 0 && used + frame.len() > state.faults.room {
            state.seen.insert("broker: full");
            let refusal = Refusal::Full("maximum bytes exceeded".to_owned());
            return state.tell(&self.name, ToWorker::Refused { id, refusal });
        }
        let sequence = state.store(&self.name, frame.clone());
        if state.chance(|faults| faults.repeats) {
            state.seen.insert("broker: stored twice");
            state.store(&self.name, frame);
        }
        state.known.insert(id, (sequence, now));
        if state.chance(|faults| faults.loses) {
            state.seen.insert("broker: answer lost");
            let refusal = Refusal::Unanswered("timed out".to_owned());
            return state.tell(&self.name, ToWorker::Refused { id, refusal });
        }
        state.tell(&self.name, ToWorker::Stored { id, sequence, duplicate: false });
    }

    fn hear(&mut self) -> Option<ToWorker> {
        let State { to_workers, dice, faults, .. } = &mut *self.broker.0.borrow_mut();
        take_one(to_workers.get_mut(&self.name)?, dice, faults.reorders)
    }
}

/// The collector's side of the broker.
#[derive(Debug)]
pub(crate) struct CollectorSide {
    broker: Broker,
    /// After so many more calls the process dies: they are not heard.
    pub(crate) calls_left: Option<u64>,
}

impl CollectorSide {
    fn is_heard(&mut self) -> bool {
        match &mut self.calls_left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

impl Link for CollectorSide {
    fn state(&self) -> LinkState {
        up()
    }
}

impl CollectorLink for CollectorSide {
    fn want(&mut self, messages: usize, _bytes: usize) {
        self.broker.0.borrow_mut().wanted = messages;
    }

    fn answer(&mut self, tag: Tag, answer: Answer) {
        if !self.is_heard() {
            return;
        }
        let state = &mut *self.broker.0.borrow_mut();
        if state.chance(|faults| faults.loses) {
            state.seen.insert("broker: acknowledgement lost");
            return;
        }
        let Some(sequence) = state.tags.remove(&tag) else { return };
        match answer {
            Answer::Ack | Answer::Term => {
                if state.chance(|faults| faults.repeats) {
                    state.seen.insert("broker: delivered though acknowledged");
                    if let Some(message) = state.stream.get_mut(&sequence) {
                        message.rests_until = None;
                    }
                } else {
                    state.stream.remove(&sequence);
                }
            }
            Answer::Later(after) => {
                let until = state.now + after;
                if let Some(message) = state.stream.get_mut(&sequence) {
                    message.rests_until = Some(until);
                }
            }
        }
    }

    fn put_receipts(&mut self, worker: &Name, receipts: Vec<Receipt>) {
        if !self.is_heard() {
            return;
        }
        let state = &mut *self.broker.0.borrow_mut();
        if state.chance(|faults| faults.loses) {
            state.seen.insert("broker: receipts lost");
            return;
        }
        state.receipts.insert(worker.clone(), receipts.clone());
        state.tell(worker, ToWorker::Receipts(receipts));
    }

    fn ask_stream(&mut self) {
        let state = &mut *self.broker.0.borrow_mut();
        if !state.chance(|faults| faults.loses) {
            let report = state.report();
            state.to_collector.push(ToCollector::Stream(report));
            let in_hand = state.stream.values().filter(|message| message.rests_until.is_some()).count() as u64;
            let lag = Lag { waiting: state.stream.len() as u64 - in_hand, in_hand };
            state.to_collector.push(ToCollector::Lag(lag));
        }
    }

    fn put_report(&mut self, report: Report) {
        if !self.is_heard() {
            return;
        }
        let state = &mut *self.broker.0.borrow_mut();
        state.report = Some(report);
        let workers: Vec<_> = state.to_workers.keys().cloned().collect();
        for worker in workers {
            state.tell(&worker, ToWorker::Report(report));
        }
    }

    fn hear(&mut self) -> Option<ToCollector> {
        let State { to_collector, dice, faults, .. } = &mut *self.broker.0.borrow_mut();
        take_one(to_collector, dice, faults.reorders)
    }
}
