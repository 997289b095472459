//! What is proven of the positions of a tree: bounds of their worth under perfect play (Winands et al. 2008, "Monte-Carlo tree
//! search solver").

use super::arena::Arena;
use crate::{game::Player, solve::Class};

/// What a position is worth under perfect play lies in here. It follows from the rules alone, whatever a network says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// The least, from the view of one side.
    pub(super) low: Class,
    /// The most.
    pub(super) high: Class,
    /// Plies to the end of a game that is proven won or lost, as far as known: of those who win the fewest, of those who lose the most.
    pub(super) plies: u16,
}

impl Bounds {
    /// Of a position of which nothing is proven.
    pub(super) const UNKNOWN: Self = Self { low: Class::Loss, high: Class::Win, plies: 0 };

    /// Of a finished game.
    pub(super) const fn ended(class: Class) -> Self {
        Self { low: class, high: class, plies: 0 }
    }

    /// Turns bounds between the first player's view and `player`'s.
    pub(super) fn seen_by(self, player: Player) -> Self {
        match player {
            Player::First => self,
            Player::Second => Self { low: -self.high, high: -self.low, ..self },
        }
    }

    /// The worth, once it is proven.
    pub(super) fn proven(self) -> Option<Class> {
        (self.low == self.high).then_some(self.low)
    }

    /// What follows for a position from what its mover may choose among; `all`: these are all its moves. From the mover's view.
    pub(super) fn of_choices(choices: impl Iterator<Item = Self>, all: bool) -> Self {
        let (mut low, mut high) = (Class::Loss, if all { Class::Loss } else { Class::Win });
        let (mut soonest, mut latest) = (u16::MAX, 0);
        for choice in choices {
            low = low.max(choice.low);
            high = high.max(choice.high);
            latest = latest.max(choice.plies);
            if choice.low == Class::Win {
                soonest = soonest.min(choice.plies);
            }
        }
        let plies = match (low, high) {
            (Class::Win, _) => soonest.saturating_add(1),
            (_, Class::Loss) => latest.saturating_add(1),
            _ => 0,
        };
        // Who has a won move need not look at the others.
        Self { low, high: high.max(low), plies }
    }
}

/// For each node of a tree, in the order of the nodes, what is proven of it, from the first player's view; nothing where proofs are
/// not asked for.
#[derive(Clone, Default)]
pub(super) struct Proofs {
    bounds: Arena<Bounds>,
    kept: bool,
}

impl Proofs {
    pub(super) fn new(kept: bool) -> Self {
        Self { kept, ..Self::default() }
    }

    /// Whether proofs are kept at all.
    pub(super) const fn are_kept(&self) -> bool {
        self.kept
    }

    /// One more node, of which nothing is proven.
    pub(super) fn add_node(&mut self) {
        if self.kept {
            self.bounds.push(Bounds::UNKNOWN);
        }
    }

    pub(super) fn of(&self, node: u32) -> Bounds {
        self.bounds.get(node as usize).copied().unwrap_or(Bounds::UNKNOWN)
    }

    pub(super) fn set(&mut self, node: u32, bounds: Bounds) {
        self.bounds[node as usize] = bounds;
    }

    /// One more node, with what is proven of a node of another tree.
    pub(super) fn copy_node(&mut self, from: &Self, node: u32) {
        self.kept = from.kept;
        if self.kept {
            self.bounds.push(from.bounds[node as usize]);
        }
    }

    /// Empties it and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bounds.clear();
    }

    /// Empties it and keeps of its memory what a search like the last one will need.
    pub(super) fn restart(&mut self) {
        self.bounds.refill(&[]);
        self.clear();
    }

    /// Becomes what `other` is, in its own memory.
    pub(super) fn refill(&mut self, other: &Self) {
        self.bounds.refill(&other.bounds);
    }

    /// Gives back memory beyond what is in use.
    pub(super) fn shrink(&mut self) {
        self.bounds.shrink_to_fit();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.bounds.len() * size_of::<Bounds>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(low: Class, high: Class, plies: u16) -> Bounds {
        Bounds { low, high, plies }
    }

    #[test]
    fn bounds_follow_from_choices() {
        use Class::{Draw, Loss, Win};
        let lost = |plies| bounds(Loss, Loss, plies);
        let (won, drawn, open) = (bounds(Win, Win, 4), bounds(Draw, Draw, 0), Bounds::UNKNOWN);
        for (choices, all, expected) in [
            (vec![], false, open),
            (vec![lost(2), lost(6)], true, lost(7)),
            (vec![lost(2), lost(6)], false, bounds(Loss, Win, 0)),
            (vec![lost(2), drawn], true, drawn),
            (vec![lost(2), drawn], false, bounds(Draw, Win, 0)),
            (vec![lost(9), won, bounds(Win, Win, 2), open], false, bounds(Win, Win, 3)),
            (vec![drawn, bounds(Loss, Draw, 0)], true, drawn),
            (vec![lost(2), bounds(Loss, Draw, 0)], true, bounds(Loss, Draw, 0)),
            (vec![drawn, open], true, bounds(Draw, Win, 0)),
        ] {
            assert_eq!(Bounds::of_choices(choices.iter().copied(), all), expected, "{choices:?} {all}");
        }
        assert_eq!(bounds(Draw, Win, 0).seen_by(Player::Second), bounds(Loss, Draw, 0));
        assert_eq!(bounds(Draw, Win, 0).seen_by(Player::First), bounds(Draw, Win, 0));
    }
}
