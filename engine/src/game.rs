//! What search and encoding need of a two-player, zero-sum, perfect-information game.

use std::{fmt::Debug, hash::Hash};

use crate::packing::Packing;

/// Index into the policy vector: one number per move the network can name.
pub type Action = u16;

/// One of the two sides. [`Player::First`] moves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Player {
    /// Moves at plies 0, 2, 4, …
    First,
    /// Moves at plies 1, 3, 5, …
    Second,
}

impl Player {
    /// 0 for the first player, 1 for the second.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The other side.
    #[must_use]
    pub const fn opponent(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// How a game ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// This side won.
    Win(Player),
    /// Neither player won: by the rules, or because the step limit was reached.
    Draw,
}

impl Outcome {
    /// +1 if `player` won, −1 if it lost, 0 for a draw.
    #[must_use]
    pub fn value_for(self, player: Player) -> f32 {
        match self {
            Self::Win(winner) if winner == player => 1.0,
            Self::Win(_) => -1.0,
            Self::Draw => 0.0,
        }
    }
}

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

/// The rules of one game with fixed settings (board size, step limit, …), and how a network sees its positions.
///
/// Two frames exist. In the *game frame* actions mean the same squares for both players; search, action choice and records
/// live there. In the *network frame* the board is turned so that the mover always plays in the same direction; network
/// input, network output, caches and stored training rows live there. For a game without such a turn the two are equal.
pub trait Game: Clone + Debug + Send + Sync + Unpin + 'static {
    /// Everything the rules need to go on from here, with whatever makes that fast. Held by every tree node.
    type State: Clone + Debug + Send + Unpin + 'static;
    /// What the network sees of a state and nothing else (no ply counter), in the network frame. Small; equal positions have
    /// equal evaluations, so it is the key of the evaluation cache.
    ///
    /// Their order has no meaning but to tell which of two mirror images stands for both ([`Game::mirror`]).
    type Position: Copy + Ord + Hash + Debug + Send + Sync + Unpin + 'static;
    /// A set of this game's actions.
    type Actions: ActionSet;
    /// A way to lay a position out as network input.
    type Encoding: Copy + Eq + Debug + Send + Sync + Unpin + 'static;

    /// The state before the first ply.
    fn start(&self) -> Self::State;
    /// Length of the policy vector: actions are `0..policy_size()`.
    fn policy_size(&self) -> usize;

    /// Who moves next.
    fn side_to_move(&self, state: &Self::State) -> Player;
    /// Plies played since the start.
    fn ply(&self, state: &Self::State) -> u32;
    /// How the game ended, or `None` while it goes on. Reaching the step limit without a winner is a draw.
    fn outcome(&self, state: &Self::State) -> Option<Outcome>;
    /// Legal actions of the side to move in the game frame. Meaningful only while [`Game::outcome`] is `None`.
    fn legal_actions(&self, state: &Self::State) -> Self::Actions;
    /// Plays a legal action given in the game frame. An illegal one is a bug of the caller and may panic or corrupt `state`.
    fn play(&self, state: &mut Self::State, action: Action);

    /// What the network sees of `state`.
    fn position(&self, state: &Self::State) -> Self::Position;
    /// Turns an action of `mover` from the game frame into the network frame or back: an involution.
    fn turn_action(&self, mover: Player, action: Action) -> Action;
    /// Turns a set of actions as [`Game::turn_action`] turns each member.
    fn turn_actions(&self, mover: Player, actions: &Self::Actions) -> Self::Actions;
    /// Reorders priors over the legal actions of `mover`, in place, from ascending network-frame order to ascending game-frame
    /// order. `legal` is in the game frame and has as many members as there are priors.
    fn turn_priors(&self, mover: Player, legal: &Self::Actions, priors: &mut [f32]);

    /// The mirror image of a position. The rules cannot tell it from the position: legal actions, successors and the outcome of
    /// the one are those of the other, mirrored. An involution, and the identity (as here) for a game without such a symmetry.
    fn mirror(&self, position: &Self::Position) -> Self::Position {
        *position
    }
    /// Mirrors a set of actions as [`Game::mirror`] mirrors positions.
    fn mirror_actions(&self, actions: &Self::Actions) -> Self::Actions {
        *actions
    }
    /// Reorders priors over the actions in `legal`, in place, from their ascending order to the ascending order of their mirror
    /// images. Called with the mirrored set it undoes that.
    fn mirror_priors(&self, _legal: &Self::Actions, _priors: &mut [f32]) {}

    /// Every encoding this game has. Their input shapes differ, so that a model's own input shape chooses one.
    fn encodings(&self) -> Vec<Self::Encoding>;
    /// Name of an encoding for messages and settings, such as `resnet`.
    fn encoding_name(&self, encoding: Self::Encoding) -> &'static str;
    /// Shape of one encoded position, without the batch dimension.
    fn input_shape(&self, encoding: Self::Encoding) -> Vec<usize>;
    /// Writes a position as network input in C order, overwriting all of `out` (product of [`Game::input_shape`] elements).
    fn encode(&self, encoding: Self::Encoding, position: &Self::Position, out: &mut [f32]);
    /// Writes a position over `before`, which `out` holds as [`Game::encode`] has written it: the same result, and for a game of
    /// which most of the input is the same in all positions with much less to write.
    fn encode_over(
        &self,
        encoding: Self::Encoding,
        before: &Self::Position,
        position: &Self::Position,
        out: &mut [f32],
    ) {
        let _ = before;
        self.encode(encoding, position, out);
    }

    /// How positions of one encoding can be packed into few bytes, for devices that expand them by themselves. `None`: they
    /// travel as [`Game::encode`] writes them.
    fn packing(&self, encoding: Self::Encoding) -> Option<Packing> {
        let _ = encoding;
        None
    }

    /// Writes a position as [`Game::packing`] describes it, overwriting all of `out`. Asked only of games that have a packing.
    fn pack(&self, encoding: Self::Encoding, position: &Self::Position, out: &mut [u8]) {
        let _ = (encoding, position);
        out.fill(0);
    }
}

/// How a game's actions and boards are written for people: traces and drawn boards. Search needs none of it.
pub trait Notation: Game {
    /// Short name of an action in the game frame, such as `e2` or `c4h`.
    fn action_name(&self, action: Action) -> String;
    /// The board as lines of text, game frame.
    fn draw(&self, state: &Self::State) -> String;
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
    fn every_one_of_a_word_is_found_by_its_rank() {
        for word in WORDS {
            let places: Vec<u32> = (0..64).filter(|place| word >> place & 1 == 1).collect();
            let found: Vec<u32> = (0..word.count_ones()).map(|rank| nth_one(word, rank)).collect();
            assert_eq!(found, places, "{word:x}");
        }
    }

    #[test]
    fn outcomes_are_seen_from_each_side() {
        assert_eq!(Outcome::Win(Player::First).value_for(Player::First), 1.0);
        assert_eq!(Outcome::Win(Player::First).value_for(Player::Second), -1.0);
        assert_eq!(Outcome::Draw.value_for(Player::Second), 0.0);
    }
}
