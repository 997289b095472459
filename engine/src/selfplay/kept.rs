//! What the network said of positions that the last two searches of a game met, so that the next one need not ask again.
//!
//! Evaluations used in the search at hand are on one shelf, those that only the one before used on another. A position found
//! on the older shelf moves to the newer one; what was not wanted for a whole search is dropped at its end. So a position stays
//! as long as the searches of successive moves meet it, and no more is kept than two searches evaluate.

use hashbrown::HashMap;

use crate::{evaluation::Evaluation, game::Game};

/// A model, as answers name it: the number it has in this process, and the trainer's version.
pub(super) type Model = (u64, i64);

/// Where an evaluation stands on the newer shelf; of use until the next change of shelves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    value: f32,
    start: u32,
    len: u32,
}

/// Evaluations of one search.
struct Shelf<G: Game> {
    places: HashMap<G::Position, Place>,
    priors: Vec<f32>,
}

/// Evaluations of the last two searches of a game, by position. All are of one model.
pub(super) struct Kept<G: Game> {
    newer: Shelf<G>,
    older: Shelf<G>,
    /// Who made them; `None` before the first.
    model: Option<Model>,
}

impl<G: Game> Shelf<G> {
    fn new() -> Self {
        Self { places: HashMap::new(), priors: Vec::new() }
    }

    fn clear(&mut self) {
        self.places.clear();
        self.priors.clear();
    }

    fn get(&self, Place { value, start, len }: Place) -> Evaluation<'_> {
        Evaluation { value, priors: &self.priors[start as usize..(start + len) as usize] }
    }

    /// Adds an evaluation, unless there is one.
    fn put(&mut self, position: G::Position, evaluation: Evaluation<'_>) -> Place {
        *self.places.entry(position).or_insert_with(|| {
            let start = self.priors.len() as u32;
            self.priors.extend_from_slice(evaluation.priors);
            Place { value: evaluation.value, start, len: evaluation.priors.len() as u32 }
        })
    }

    fn bytes(&self) -> usize {
        self.priors.capacity() * size_of::<f32>()
            + self.places.capacity() * (size_of::<(G::Position, Place)>() + size_of::<u8>())
    }
}

impl<G: Game> Kept<G> {
    pub(super) fn new() -> Self {
        Self { newer: Shelf::new(), older: Shelf::new(), model: None }
    }

    /// Who made the evaluations; `None` when there are none.
    pub(super) const fn model(&self) -> Option<Model> {
        self.model
    }

    /// Forgets what another model than this said. True when there was such a model.
    pub(super) fn renew(&mut self, model: Model) -> bool {
        let before = self.model.replace(model);
        let other = before.is_some_and(|before| before != model);
        if other {
            self.newer.clear();
            self.older.clear();
        }
        other
    }

    /// Forgets everything if it was not said by the model with this number.
    pub(super) fn forget_unless(&mut self, generation: u64) {
        if self.model.is_some_and(|(number, _)| number != generation) {
            self.newer.clear();
            self.older.clear();
            self.model = None;
        }
    }

    /// Keeps an evaluation by the model that [`Kept::renew`] was told of.
    pub(super) fn put(&mut self, position: G::Position, evaluation: Evaluation<'_>) {
        self.newer.put(position, evaluation);
    }

    /// What is known of a position.
    pub(super) fn find(&mut self, position: &G::Position) -> Option<Place> {
        if let Some(&place) = self.newer.places.get(position) {
            return Some(place);
        }
        let place = *self.older.places.get(position)?;
        Some(self.newer.put(*position, self.older.get(place)))
    }

    /// What was found at `place` since the last change of shelves.
    pub(super) fn get(&self, place: Place) -> Evaluation<'_> {
        self.newer.get(place)
    }

    /// A search is over: what it did not use is dropped.
    pub(super) fn next_search(&mut self) {
        std::mem::swap(&mut self.newer, &mut self.older);
        self.newer.clear();
    }

    /// Bytes that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.newer.bytes() + self.older.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::games::tictactoe::{Marks, TicTacToe};

    fn position(cell: crate::game::Action) -> Marks {
        let mut state = TicTacToe.start();
        TicTacToe.play(&mut state, cell);
        TicTacToe.position(&state)
    }

    /// Value and priors found for the position after `cell`.
    fn found(kept: &mut Kept<TicTacToe>, cell: crate::game::Action) -> Option<(f32, Vec<f32>)> {
        let place = kept.find(&position(cell))?;
        let Evaluation { value, priors } = kept.get(place);
        Some((value, priors.to_vec()))
    }

    fn put(kept: &mut Kept<TicTacToe>, cell: crate::game::Action, value: f32) {
        kept.put(position(cell), Evaluation { value, priors: &[value; 3] });
    }

    #[test]
    fn what_a_whole_search_did_not_use_is_dropped() {
        let mut kept = Kept::new();
        kept.renew((1, 10));
        put(&mut kept, 0, 0.5);
        put(&mut kept, 1, 0.25);
        kept.next_search();
        assert_eq!(found(&mut kept, 0), Some((0.5, vec![0.5; 3])));
        put(&mut kept, 2, 0.125);
        kept.next_search();
        assert_eq!(found(&mut kept, 0), Some((0.5, vec![0.5; 3])));
        assert_eq!(found(&mut kept, 1), None);
        kept.next_search();
        kept.next_search();
        assert_eq!((found(&mut kept, 0), found(&mut kept, 2)), (None, None));
    }

    #[test]
    fn an_evaluation_put_twice_is_kept_once() {
        let mut kept = Kept::new();
        kept.renew((1, 10));
        put(&mut kept, 0, 0.5);
        put(&mut kept, 0, 0.5);
        assert_eq!((kept.newer.places.len(), kept.newer.priors.len()), (1, 3));
    }

    #[test]
    fn nothing_of_another_model_is_kept() {
        let mut kept = Kept::new();
        assert!(!kept.renew((1, 10)));
        put(&mut kept, 0, 0.5);
        kept.next_search();
        put(&mut kept, 1, 0.5);
        assert!(!kept.renew((1, 10)));
        kept.forget_unless(1);
        assert!(found(&mut kept, 0).is_some() && found(&mut kept, 1).is_some());
        assert!(kept.renew((2, 20)));
        assert_eq!((found(&mut kept, 0), found(&mut kept, 1)), (None, None));
        put(&mut kept, 0, 0.5);
        kept.forget_unless(3);
        assert_eq!((found(&mut kept, 0), kept.model()), (None, None));
    }
}
