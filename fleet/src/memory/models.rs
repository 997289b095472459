//! Models, the pointer to them, and what workers say of themselves.

use std::collections::BTreeMap;

use super::{Broker, State, WorkerSide, take_one, up};
use crate::{
    link::{Link, LinkState, PlayerLink, PublisherLink, Refusal, ToPlayer, ToPublisher},
    models::Hash,
    name::Name,
};

/// What is kept, and what is to be heard.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    revision: u64,
    pointer: Option<Vec<u8>>,
    chunks: BTreeMap<(Hash, u64), Vec<u8>>,
    to_players: BTreeMap<Name, Vec<ToPlayer>>,
    to_publishers: BTreeMap<u64, Vec<ToPublisher>>,
    publishers: u64,
}

impl Shelf {
    pub(super) fn start_empty(&mut self) {
        (self.revision, self.pointer) = (0, None);
        self.chunks.clear();
    }

    fn told(&self) -> Option<ToPlayer> {
        Some(ToPlayer::Pointer { revision: self.revision, bytes: self.pointer.clone()? })
    }

    /// A worker connects, and asks for the pointer.
    pub(super) fn connect(&mut self, name: &Name) {
        let told = self.told();
        self.to_players.insert(name.clone(), told.into_iter().collect());
    }

    /// All workers have asked for the pointer.
    pub(super) fn tell_again(&mut self) {
        let told = self.told();
        self.to_players.values_mut().for_each(|events| events.extend(told.clone()));
    }
}

impl State {
    fn tell_player(&mut self, name: &Name, event: ToPlayer) {
        if self.chance(|faults| faults.loses) {
            return;
        }
        if let Some(events) = self.shelf.to_players.get_mut(name) {
            events.push(event);
        }
    }

    fn tell_publisher(&mut self, number: u64, event: ToPublisher) {
        if self.chance(|faults| faults.loses) {
            return;
        }
        if let Some(events) = self.shelf.to_publishers.get_mut(&number) {
            events.push(event);
        }
    }
}

impl Broker {
    /// A publisher's side, for a process that connects.
    pub(crate) fn publisher(&self) -> PublisherSide {
        let shelf = &mut self.0.borrow_mut().shelf;
        shelf.publishers += 1;
        shelf.to_publishers.insert(shelf.publishers, Vec::new());
        PublisherSide { broker: self.clone(), number: shelf.publishers }
    }

    /// The pointer that is there.
    pub(crate) fn pointer(&self) -> Option<Vec<u8>> {
        self.0.borrow().shelf.pointer.clone()
    }

    /// Somebody else puts a pointer.
    pub(crate) fn put_pointer(&self, bytes: Vec<u8>) {
        let shelf = &mut self.0.borrow_mut().shelf;
        (shelf.revision, shelf.pointer) = (shelf.revision + 1, Some(bytes));
        shelf.tell_again();
    }

    /// A worker hears something, whatever it is.
    pub(crate) fn tell(&self, name: &Name, event: ToPlayer) {
        if let Some(events) = self.0.borrow_mut().shelf.to_players.get_mut(name) {
            events.push(event);
        }
    }

    /// Models of which it has something.
    pub(crate) fn models(&self) -> Vec<Hash> {
        let mut models: Vec<_> = self.0.borrow().shelf.chunks.keys().map(|(model, _)| *model).collect();
        models.dedup();
        models
    }
}

impl PlayerLink for WorkerSide {
    fn get_chunk(&mut self, model: Hash, number: u64) {
        let state = &mut *self.broker.0.borrow_mut();
        let event = match state.shelf.chunks.get(&(model, number)) {
            Some(bytes) => ToPlayer::Chunk { model, number, bytes: bytes.clone() },
            None => ToPlayer::NoChunk { model, number, reason: "the broker does not have it".to_owned() },
        };
        state.tell_player(&self.name, event);
    }

    fn hear_of_models(&mut self) -> Option<ToPlayer> {
        let State { shelf, dice, faults, .. } = &mut *self.broker.0.borrow_mut();
        take_one(shelf.to_players.get_mut(&self.name)?, dice, faults.reorders)
    }

    fn say(&mut self, said: Vec<u8>) {
        let state = &mut *self.broker.0.borrow_mut();
        let numbers: Vec<_> = state.shelf.to_publishers.keys().copied().collect();
        for number in numbers {
            state.tell_publisher(number, ToPublisher::Said { worker: self.name.clone(), bytes: said.clone() });
        }
    }
}

/// A publisher's side of the broker.
#[derive(Debug)]
pub(crate) struct PublisherSide {
    broker: Broker,
    number: u64,
}

impl Link for PublisherSide {
    fn state(&self) -> LinkState {
        up()
    }
}

impl PublisherLink for PublisherSide {
    fn put_chunk(&mut self, model: Hash, number: u64, bytes: Vec<u8>) {
        let state = &mut *self.broker.0.borrow_mut();
        if state.chance(|faults| faults.loses) {
            let refusal = Refusal::Unanswered("lost".to_owned());
            return state.tell_publisher(self.number, ToPublisher::Refused { model, number, refusal });
        }
        state.shelf.chunks.entry((model, number)).or_insert(bytes);
        state.tell_publisher(self.number, ToPublisher::Stored { model, number });
    }

    fn forget(&mut self, model: Hash) {
        let state = &mut *self.broker.0.borrow_mut();
        if !state.chance(|faults| faults.loses) {
            state.shelf.chunks.retain(|(of, _), _| *of != model);
        }
    }

    fn ask_pointer(&mut self) {
        let state = &mut *self.broker.0.borrow_mut();
        let found = state.shelf.pointer.clone().map(|bytes| (state.shelf.revision, bytes));
        state.tell_publisher(self.number, ToPublisher::Pointer(found));
    }

    fn put_pointer(&mut self, after: u64, bytes: Vec<u8>) {
        let state = &mut *self.broker.0.borrow_mut();
        let unanswered = || ToPublisher::NotPut(Refusal::Unanswered("timed out".to_owned()));
        if state.chance(|faults| faults.loses) {
            return state.tell_publisher(self.number, unanswered());
        }
        let revision = if state.shelf.pointer.is_some() { state.shelf.revision } else { 0 };
        if revision != after {
            return state.tell_publisher(self.number, ToPublisher::Changed);
        }
        state.shelf.revision += 1;
        state.shelf.pointer = Some(bytes);
        let told = state.shelf.told();
        let names: Vec<_> = state.shelf.to_players.keys().cloned().collect();
        for (name, event) in names.iter().zip(std::iter::repeat(told)) {
            event.into_iter().for_each(|event| state.tell_player(name, event));
        }
        // It is there, whatever is said of it.
        let event =
            if state.chance(|faults| faults.loses) { unanswered() } else { ToPublisher::Put(state.shelf.revision) };
        state.tell_publisher(self.number, event);
    }

    fn hear(&mut self) -> Option<ToPublisher> {
        let State { shelf, dice, faults, .. } = &mut *self.broker.0.borrow_mut();
        take_one(shelf.to_publishers.get_mut(&self.number)?, dice, faults.reorders)
    }
}

impl Drop for PublisherSide {
    fn drop(&mut self) {
        self.broker.0.borrow_mut().shelf.to_publishers.remove(&self.number);
    }
}
