//! The cache as games of its own thread have it: what is known they take without a message.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use selfplay_engine::{Evaluations, Game, Leaf};

use super::table::Table;
use crate::ticket::Generation;

/// Takes from the cache what it knows, for games that live on its thread. What it does not know is asked by a
/// [`Lookup`](crate::ticket::Lookup), as from any other thread.
///
/// Between two messages of the cache its table is at rest, so that such a look is as good as a message that the cache takes up now.
pub struct NearbyCache<G: Game> {
    table: Rc<RefCell<Table<G>>>,
    /// Memory for the next answer.
    answer: Cell<Evaluations>,
}

impl<G: Game> NearbyCache<G> {
    pub(super) fn new(table: &Rc<RefCell<Table<G>>>) -> Self {
        Self { table: table.clone(), answer: Cell::default() }
    }

    /// Calls `take` with the evaluations of `leaves` and the model that made them, if all of them are known. Says whether they are.
    pub(crate) fn take_known(&self, leaves: &[Leaf<G>], take: impl FnOnce(&Evaluations, Generation)) -> bool {
        let mut answer = self.answer.take();
        let generation = self.table.borrow_mut().known(leaves, &mut answer);
        if let Some(generation) = generation {
            take(&answer, generation);
        }
        self.answer.set(answer);
        generation.is_some()
    }
}
