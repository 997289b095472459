//! Sets of actions.

use std::{fmt::Debug, hash::Hash};

use super::Action;

/// A set of actions, iterated in ascending order.
///
/// The *rank* of a member is the number of smaller members: the place of its prior in a vector that holds priors of legal
/// actions only.
pub trait ActionSet: Copy + Eq + Hash + Debug + Default + Send + Sync + Unpin + 'static {
    /// Adds `action`.
    fn insert(&mut self, action: Action);
    /// Whether `action` is a member.
    fn contains(&self, action: Action) -> bool;
    /// Number of members.
    fn len(&self) -> usize;
    /// The member with `rank` smaller members. Panics when there is none.
    fn nth(&self, rank: usize) -> Action;
    /// The members in ascending order.
    fn iter(&self) -> impl Iterator<Item = Action>;

    /// Appends the entries of `all`, one per action, that stand at members. Panics when there is none for a member.
    fn compress<T: Copy>(&self, all: &[T], into: &mut Vec<T>) {
        into.extend(self.iter().map(|action| all[usize::from(action)]));
    }

    /// Whether the set has no members.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of members smaller than `action`.
    fn rank(&self, action: Action) -> usize {
        self.iter().take_while(|&member| member < action).count()
    }

    /// The set of the images of all members.
    #[must_use]
    fn map(&self, image: impl Fn(Action) -> Action) -> Self {
        let mut images = Self::default();
        self.iter().for_each(|action| images.insert(image(action)));
        images
    }
}

/// Reorders `priors` in place, which stand in ascending order of the images of `actions`, to the ascending order of `actions`
/// themselves. No two actions have one image.
pub(super) fn reorder<A: ActionSet>(actions: &A, priors: &mut [f32], image: impl Fn(Action) -> Action) {
    const FEW: usize = 256;
    if actions.iter().all(|action| image(action) == action) {
        return;
    }
    let (mut few, mut many) = ([0.0; FEW], Vec::new());
    let before = if let Some(before) = few.get_mut(..priors.len()) {
        before.copy_from_slice(priors);
        &*before
    } else {
        many.extend_from_slice(priors);
        &many
    };
    let images = actions.map(&image);
    for (prior, action) in priors.iter_mut().zip(actions.iter()) {
        *prior = before[images.rank(image(action))];
    }
}

/// An [`ActionSet`] of `64 * WORDS` bits: action `a` is bit `a % 64` of word `a / 64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ActionBits<const WORDS: usize>(pub [u64; WORDS]);

impl<const WORDS: usize> Default for ActionBits<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> ActionSet for ActionBits<WORDS> {
    fn insert(&mut self, action: Action) {
        self.0[usize::from(action / 64)] |= 1 << (action % 64);
    }

    fn contains(&self, action: Action) -> bool {
        self.0[usize::from(action / 64)] >> (action % 64) & 1 == 1
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    fn nth(&self, rank: usize) -> Action {
        let mut left = rank;
        for (index, &word) in self.0.iter().enumerate() {
            let ones = word.count_ones() as usize;
            if left < ones {
                return (index * 64) as Action + nth_one(word, left as u32) as Action;
            }
            left -= ones;
        }
        panic!("action set has no member of rank {rank}")
    }

    fn rank(&self, action: Action) -> usize {
        let (word, bit) = (usize::from(action / 64), action % 64);
        let below: u32 = self.0[..word].iter().map(|word| word.count_ones()).sum();
        (below + (self.0[word] & ((1 << bit) - 1)).count_ones()) as usize
    }

    fn iter(&self) -> impl Iterator<Item = Action> {
        Members { words: &self.0, index: 0, rest: self.0.first().copied().unwrap_or(0) }
    }

    /// Run by run: most members have neighbours.
    fn compress<T: Copy>(&self, all: &[T], into: &mut Vec<T>) {
        into.reserve(self.len());
        for (index, &word) in self.0.iter().enumerate() {
            let (mut start, mut rest) = (index * 64, word);
            while rest != 0 {
                start += rest.trailing_zeros() as usize;
                rest >>= rest.trailing_zeros();
                let run = rest.trailing_ones();
                into.extend_from_slice(&all[start..][..run as usize]);
                start += run as usize;
                rest = rest.unbounded_shr(run);
            }
        }
    }
}

/// Place of the one in `word` that has `rank` ones below it; there must be one.
///
/// Whole bytes are passed by their running sums of ones, which one multiplication gives (Vigna 2008, "Broadword implementation
/// of rank/select queries").
fn nth_one(word: u64, rank: u32) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let sums = ((nibbles + (nibbles >> 4)) & 0x0F0F_0F0F_0F0F_0F0F).wrapping_mul(ONES);
    // The high bit of a byte stays where the sum up to this byte is at most the rank: the one lies beyond it.
    let passed = (u64::from(rank).wrapping_mul(ONES) | HIGH).wrapping_sub(sums) & HIGH;
    let byte = 8 * passed.count_ones();
    let below = if byte == 0 { 0 } else { (sums >> (byte - 8)) as u8 };
    let mut rest = word >> byte;
    for _ in u32::from(below)..rank {
        rest &= rest - 1;
    }
    byte + rest.trailing_zeros()
}

/// Members of a set in ascending order.
struct Members<'a> {
    words: &'a [u64],
    /// The word at hand, and what is left of it.
    index: usize,
    rest: u64,
}

impl Iterator for Members<'_> {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        while self.rest == 0 {
            self.index += 1;
            self.rest = *self.words.get(self.index)?;
        }
        let member = (self.index * 64) as Action + self.rest.trailing_zeros() as Action;
        self.rest &= self.rest - 1;
        Some(member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_in_ascending_order_and_by_rank() {
        let members: [Action; 6] = [0, 63, 64, 130, 191, 255];
        let mut set = ActionBits::<4>::default();
        for &action in members.iter().rev() {
            set.insert(action);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), members);
        assert_eq!(set.len(), members.len());
        for (rank, &action) in members.iter().enumerate() {
            assert_eq!(set.nth(rank), action);
            assert_eq!(set.rank(action), rank);
            assert!(set.contains(action));
        }
        assert!(!set.contains(1));
        assert_eq!(ActionBits::<4>::default().iter().next(), None);
    }

    const WORDS: [u64; 6] = [1, u64::MAX, 1 << 63, 0x8000_0000_0000_0001, 0x00FF_00FF_0F0F_3355, 0xAAAA_AAAA_AAAA_AAAA];

    #[test]
    fn entries_at_members_are_appended_in_ascending_order() {
        let all: Vec<u32> = (1000..1128).collect();
        for low in WORDS {
            for high in WORDS {
                let set = ActionBits([low, high]);
                let mut entries = vec![7];
                set.compress(&all, &mut entries);
                let expected = set.iter().map(|action| 1000 + u32::from(action));
                assert_eq!(entries, [7].into_iter().chain(expected).collect::<Vec<_>>(), "{low:x}, {high:x}");
            }
        }
        assert!(ActionBits([0, 0]).is_empty() && !ActionBits([0, 1]).is_empty());
    }

    #[test]
    fn priors_follow_their_actions_however_many_there_are() {
        for (members, turned) in [(5, 299), (300, 299), (300, 0)] {
            let mut set = ActionBits::<5>::default();
            (0..members).for_each(|action| set.insert(action));
            let image = |action: Action| if turned == 0 { action } else { turned - action };
            // As prior of an action, its own number.
            let mut priors: Vec<f32> = set.map(image).iter().map(|action| f32::from(image(action))).collect();
            reorder(&set, &mut priors, image);
            assert!(priors.iter().copied().eq(set.iter().map(f32::from)), "{members} members");
        }
    }

    #[test]
    fn every_one_of_a_word_is_found_by_its_rank() {
        for word in WORDS {
            let places: Vec<u32> = (0..64).filter(|place| word >> place & 1 == 1).collect();
            let found: Vec<u32> = (0..word.count_ones()).map(|rank| nth_one(word, rank)).collect();
            assert_eq!(found, places, "{word:x}");
        }
    }
}
