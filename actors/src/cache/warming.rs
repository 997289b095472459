//! What is worth asking of a new model before games do: the positions that were asked most often of the one before. Plain
//! state: no actor, no thread.
//!
//! Hits are counted for a bounded number of positions; a newcomer that finds no room costs each of them one hit, and those that are
//! left with none are dropped (Misra and Gries 1982, "Finding repeated elements"): so a count is too small by no more than all
//! hits divided by that number. When the model changes, the hottest positions become a list, from which the cache takes a few
//! whenever an inference thread has nothing to do. What is known or in flight by then is passed over. Another change of the
//! model makes another list.

use hashbrown::HashMap;
use selfplay_engine::{Game, Leaf};

/// Positions counted for each that will be asked.
const COUNTED_PER_ASKED: usize = 4;

pub(super) struct Warming<G: Game> {
    /// Most positions asked after a change; 0: none, and none is counted.
    most: usize,
    hits: HashMap<G::Position, (Leaf<G>, u32)>,
    /// The hottest of the model before that no game has asked for yet, the hottest last.
    left: Vec<Leaf<G>>,
}

impl<G: Game> Warming<G> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, hits: HashMap::new(), left: Vec::new() }
    }

    /// An empty one by the same rules.
    pub(super) fn successor(&self) -> Self {
        Self::new(self.most)
    }

    /// A leaf was asked that the model in service has evaluated before.
    pub(super) fn note_hit(&mut self, leaf: &Leaf<G>) {
        if self.most == 0 {
            return;
        }
        if let Some((_, hits)) = self.hits.get_mut(&leaf.position) {
            *hits = hits.saturating_add(1);
            return;
        }
        if self.hits.len() < self.most.saturating_mul(COUNTED_PER_ASKED) {
            self.hits.insert(leaf.position, (*leaf, 1));
        } else {
            // Never more often than hits were counted, so that this costs no more than they did.
            self.hits.retain(|_, (_, hits)| {
                *hits -= 1;
                *hits > 0
            });
        }
    }

    /// Another model is in service: its list is made, and counting begins anew.
    pub(super) fn model_changed(&mut self) {
        let mut hottest: Vec<_> = self.hits.drain().map(|(_, counted)| counted).collect();
        hottest.sort_unstable_by_key(|&(leaf, hits)| (hits, leaf.position));
        hottest.drain(..hottest.len().saturating_sub(self.most));
        self.left = hottest.into_iter().map(|(leaf, _)| leaf).collect();
    }

    /// Takes the next of the list that is not `known`.
    pub(super) fn next(&mut self, known: impl Fn(&G::Position) -> bool) -> Option<Leaf<G>> {
        std::iter::from_fn(|| self.left.pop()).find(|leaf| !known(&leaf.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Numbers, leaf};

    fn counted(most: usize, hits: impl IntoIterator<Item = u16>) -> Warming<Numbers> {
        let mut warming = Warming::new(most);
        hits.into_iter().for_each(|position| warming.note_hit(&leaf(position)));
        warming
    }

    fn rest(warming: &mut Warming<Numbers>, known: &[u16]) -> Vec<u16> {
        std::iter::from_fn(|| warming.next(|position| known.contains(position))).map(|leaf| leaf.position).collect()
    }

    #[test]
    fn the_hottest_come_first_each_once_and_only_after_a_change() {
        let mut warming = counted(3, [1, 2, 3, 4, 2, 3, 3]);
        assert!(rest(&mut warming, &[]).is_empty());
        warming.model_changed();
        assert_eq!(rest(&mut warming, &[]), [3, 2, 4]);
        assert!(rest(&mut warming, &[]).is_empty());
        warming.note_hit(&leaf(7));
        warming.model_changed();
        assert_eq!(rest(&mut warming, &[]), [7], "of the model before, and not of the one before that");
    }

    #[test]
    fn what_is_known_by_then_is_passed_over() {
        let mut warming = counted(4, [1, 2, 2, 3, 3, 3]);
        warming.model_changed();
        assert_eq!(rest(&mut warming, &[2]), [3, 1]);
    }

    #[test]
    fn a_list_does_not_outlive_another_change() {
        let mut warming = counted(4, [1, 2]);
        warming.model_changed();
        warming.model_changed();
        assert!(rest(&mut warming, &[]).is_empty());
    }

    #[test]
    fn counting_is_bounded_and_keeps_what_is_hot() {
        let often = std::iter::repeat_n(9, 1000);
        let mut warming = counted(2, often.chain(0..500).filter(|&position| position != 8));
        assert!(warming.hits.len() <= 2 * COUNTED_PER_ASKED);
        warming.model_changed();
        assert_eq!(rest(&mut warming, &[]).first(), Some(&9));
    }

    #[test]
    fn without_a_number_nothing_is_counted() {
        let mut warming = counted(0, [1, 1, 1]);
        assert!(warming.hits.is_empty());
        warming.model_changed();
        assert!(rest(&mut warming, &[]).is_empty());
    }
}
