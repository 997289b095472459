//! Hex on boards of 3 to 13 cells a side, with or without the swap rule.
//!
//! The first player connects the top with the bottom, the second the left with the right; there are no draws. Cell (row, column)
//! has the neighbours (row, column ± 1), (row ± 1, column), (row − 1, column + 1) and (row + 1, column − 1).
//!
//! Action: the cell, row by row from the top. With the swap rule the second player may, as its first move, play the cell of the
//! first stone: then that stone is taken off and the second player gets the cell mirrored on the long diagonal, (column, row).
//!
//! The network frame is mirrored on that diagonal for the second player, so that the mover always connects top and bottom. A board
//! turned by 180° is the same.

mod notation;
#[cfg(test)]
mod tests;
mod transpose;

use std::ops::RangeInclusive;

use self::transpose::transpose;
use super::{
    ParameterError,
    grid::{Grid, write_plane},
    within,
};
use crate::game::{Action, ActionBits, ActionSet, Game, Outcome, Player};

/// 13 × 13 bits.
const WORDS: usize = 3;

/// Cells: bit `size * row + column`.
type Cells = [u64; WORDS];

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hex {
    size: u8,
    swap: bool,
    all: Cells,
    /// First column.
    left: Cells,
    /// Last column.
    right: Cells,
}

/// Stones, and which of them are connected to the side where their player begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexState {
    /// First player first.
    stones: [Cells; 2],
    /// Of them, those connected to the top and to the left.
    joined: [Cells; 2],
    ply: u16,
    /// The last stone connected its player's sides.
    won: bool,
}

/// What the network sees, mover first and connecting top and bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HexPosition {
    stones: [Cells; 2],
    /// The mover may swap.
    may_swap: bool,
}

const fn contains(cells: &Cells, cell: u32) -> bool {
    cells[(cell / 64) as usize] >> (cell % 64) & 1 == 1
}

const fn insert(cells: &mut Cells, cell: u32) {
    cells[(cell / 64) as usize] |= 1 << (cell % 64);
}

fn meet(one: &Cells, other: &Cells) -> bool {
    one.iter().zip(other).any(|(one, other)| one & other != 0)
}

impl Hex {
    /// Its name in settings.
    pub const NAME: &str = "hex";
    /// Sizes of a board.
    pub const SIZES: RangeInclusive<u32> = 3..=13;

    /// A board of `size` × `size` cells (3 to 13), with the swap rule or without.
    ///
    /// # Errors
    /// When the size is out of range.
    pub fn new(size: u32, swap: bool) -> Result<Self, ParameterError> {
        Ok(Self::of(within(Self::NAME, "size", size, Self::SIZES)?, swap))
    }

    fn of(size: u8, swap: bool) -> Self {
        let (mut left, mut right) = ([0; WORDS], [0; WORDS]);
        for row in 0..u32::from(size) {
            insert(&mut left, row * u32::from(size));
            insert(&mut right, (row + 1) * u32::from(size) - 1);
        }
        Self { size, swap, all: Grid { rows: size, columns: size }.all(), left, right }
    }

    /// Cells a side.
    #[must_use]
    pub const fn size(&self) -> u8 {
        self.size
    }

    /// Whether the second player may swap.
    #[must_use]
    pub const fn swap(&self) -> bool {
        self.swap
    }

    const fn cells(&self) -> u32 {
        self.size as u32 * self.size as u32
    }

    /// (row, column) becomes (column, row).
    const fn mirrored(&self, cell: u32) -> u32 {
        let size = self.size as u32;
        cell % size * size + cell / size
    }

    /// The up to six neighbours of a cell, and perhaps bits past the end of the board.
    fn neighbours(&self, cell: u32) -> Cells {
        let size = u32::from(self.size);
        // Around a cell at bit `size`: above, above and right, left, right, below and left, below.
        let mut pattern = 0b11 | 0b101 << (size - 1) | 0b11 << (2 * size - 1);
        if contains(&self.left, cell) {
            pattern &= !(1 << (size - 1) | 1 << (2 * size - 1));
        }
        if contains(&self.right, cell) {
            pattern &= !(1 << (size + 1) | 1 << 1);
        }
        let Some(place) = cell.checked_sub(size) else { return [pattern >> (size - cell), 0, 0] };
        let (word, bit) = ((place / 64) as usize, place % 64);
        let mut neighbours = [0; WORDS];
        neighbours[word] = pattern << bit;
        if let Some(next) = neighbours.get_mut(word + 1) {
            // In two steps, since a shift by 64 is none.
            *next = pattern >> 1 >> (63 - bit);
        }
        neighbours
    }

    /// Whether a cell is on the side where `player` begins.
    const fn begins(&self, player: Player, cell: u32) -> bool {
        match player {
            Player::First => cell < self.size as u32,
            Player::Second => contains(&self.left, cell),
        }
    }

    /// Whether a cell is on the side where `player` wants to go.
    const fn ends(&self, player: Player, cell: u32) -> bool {
        match player {
            Player::First => cell >= self.cells() - self.size as u32,
            Player::Second => contains(&self.right, cell),
        }
    }

    /// Puts a stone, and joins what it connects to its player's first side.
    fn put(&self, state: &mut HexState, player: Player, cell: u32) {
        let (own, joined) = (&mut state.stones[player.index()], &mut state.joined[player.index()]);
        insert(own, cell);
        if !self.begins(player, cell) && !meet(&self.neighbours(cell), joined) {
            return;
        }
        insert(joined, cell);
        let mut fresh = [0; WORDS];
        insert(&mut fresh, cell);
        while let Some(word) = fresh.iter().position(|&word| word != 0) {
            let cell = 64 * word as u32 + fresh[word].trailing_zeros();
            fresh[word] &= fresh[word] - 1;
            state.won |= self.ends(player, cell);
            let neighbours = self.neighbours(cell);
            for ((fresh, joined), (own, neighbours)) in
                fresh.iter_mut().zip(joined.iter_mut()).zip(own.iter().zip(neighbours))
            {
                let new = neighbours & own & !*joined;
                *joined |= new;
                *fresh |= new;
            }
        }
    }

    const fn may_swap(&self, state: &HexState) -> bool {
        self.swap && state.ply == 1
    }

    /// Whether an action takes over the first stone.
    const fn swaps(&self, state: &HexState, action: u32) -> bool {
        self.may_swap(state) && contains(&state.stones[0], action)
    }

    /// The cell that gets a stone by an action.
    const fn stone_of(&self, state: &HexState, action: u32) -> u32 {
        if self.swaps(state, action) { self.mirrored(action) } else { action }
    }

    /// The board turned by 180°.
    fn turned(&self, cells: Cells) -> Cells {
        let [low, middle, high] = cells.map(u64::reverse_bits);
        // As one number of 192 bits, shifted down.
        let all = [high, middle, low, 0, 0, 0];
        let shift = 192 - self.cells() as usize;
        let (words, bits) = (shift / 64, shift % 64);
        std::array::from_fn(|word| {
            let (here, next) = (all[word + words], all[word + words + 1]);
            here >> bits | next << 1 << (63 - bits)
        })
    }

    const fn grid(&self) -> Grid {
        Grid { rows: self.size, columns: self.size }
    }
}

impl Default for Hex {
    /// 11 × 11 without the swap rule.
    fn default() -> Self {
        Self::of(11, false)
    }
}

impl Game for Hex {
    type State = HexState;
    type Position = HexPosition;
    type Actions = ActionBits<WORDS>;
    type Encoding = ();

    fn start(&self) -> HexState {
        HexState { stones: [[0; WORDS]; 2], joined: [[0; WORDS]; 2], ply: 0, won: false }
    }

    fn policy_size(&self) -> usize {
        self.cells() as usize
    }

    fn ply(&self, state: &HexState) -> u32 {
        state.ply.into()
    }

    fn outcome(&self, state: &HexState) -> Option<Outcome> {
        state.won.then(|| Outcome::Win(Player::at_ply(state.ply.into()).opponent()))
    }

    fn legal_actions(&self, state: &HexState) -> ActionBits<WORDS> {
        if self.may_swap(state) {
            return ActionBits(self.all);
        }
        let [first, second] = &state.stones;
        ActionBits(std::array::from_fn(|word| self.all[word] & !(first[word] | second[word])))
    }

    fn play(&self, state: &mut HexState, action: Action) {
        let mover = Player::at_ply(state.ply.into());
        let cell = self.stone_of(state, action.into());
        if self.swaps(state, action.into()) {
            (state.stones[0], state.joined[0]) = ([0; WORDS], [0; WORDS]);
        }
        self.put(state, mover, cell);
        state.ply += 1;
    }

    fn position(&self, state: &HexState) -> HexPosition {
        let [first, second] = state.stones;
        let may_swap = self.may_swap(state);
        match Player::at_ply(state.ply.into()) {
            Player::First => HexPosition { stones: [first, second], may_swap },
            Player::Second => {
                HexPosition { stones: [second, first].map(|cells| transpose(cells, self.size)), may_swap }
            }
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![if self.swap { 3 } else { 2 }, self.size.into(), self.size.into()]
    }

    fn encode(&self, (): (), position: &HexPosition, out: &mut [f32]) {
        let mut planes = out.chunks_exact_mut(self.cells() as usize);
        for (plane, stones) in planes.by_ref().take(2).zip(position.stones) {
            write_plane(stones, plane);
        }
        if let Some(plane) = planes.next() {
            plane.fill(if position.may_swap { 1.0 } else { 0.0 });
        }
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        match mover {
            Player::First => action,
            Player::Second => self.mirrored(action.into()) as Action,
        }
    }

    fn turn_actions(&self, mover: Player, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        match mover {
            Player::First => *actions,
            Player::Second => ActionBits(transpose(actions.0, self.size)),
        }
    }

    fn turn_priors(&self, mover: Player, legal: &ActionBits<WORDS>, priors: &mut [f32]) {
        if mover == Player::First {
            return;
        }
        // One place per cell, game frame.
        let mut of_cells = [0.0; 64 * WORDS];
        for (cell, &mut prior) in self.turn_actions(mover, legal).iter().zip(&mut *priors) {
            of_cells[self.mirrored(cell.into()) as usize] = prior;
        }
        for (prior, cell) in priors.iter_mut().zip(legal.iter()) {
            *prior = of_cells[usize::from(cell)];
        }
    }

    /// The board can be turned by 180°.
    fn symmetries(&self) -> usize {
        2
    }

    fn transform(&self, symmetry: usize, position: &HexPosition) -> HexPosition {
        if symmetry == 0 {
            return *position;
        }
        HexPosition { stones: position.stones.map(|cells| self.turned(cells)), ..*position }
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        let cells = self.cells() as usize;
        let cell = entry % cells;
        if symmetry == 0 { entry } else { entry - cell + cells - 1 - cell }
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        if symmetry == 0 { action } else { self.cells() as Action - 1 - action }
    }

    fn transform_actions(&self, symmetry: usize, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        if symmetry == 0 { *actions } else { ActionBits(self.turned(actions.0)) }
    }

    fn transform_priors(&self, symmetry: usize, _: &ActionBits<WORDS>, priors: &mut [f32]) {
        if symmetry != 0 {
            priors.reverse();
        }
    }
}
