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

mod transpose;

use std::ops::RangeInclusive;

use self::transpose::transpose;
use super::{
    ParameterError,
    grid::{Grid, stones, write_plane},
    within,
};
use crate::{
    board::{Board, Edge, Label, Mark, Pieces, Point, Shape, StoneKind, cell_name, column_letter},
    game::{Action, ActionBits, ActionSet, Game, Notation, Outcome, Player},
};

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

    /// The middle of a cell: every row begins half a cell further right, and rows of hexagons lie closer than columns.
    fn point(&self, cell: usize) -> Point {
        let [row, column] = self.grid().place(cell);
        [column as f32 + row as f32 / 2.0, row as f32 * ROW_DISTANCE]
    }

    const fn grid(&self) -> Grid {
        Grid { rows: self.size, columns: self.size }
    }
}

/// Distance of two rows of hexagons: half the square root of 3.
const ROW_DISTANCE: f32 = 0.866_025_4;

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

impl Notation for Hex {
    fn action_name(&self, action: Action) -> String {
        let [row, column] = self.grid().place(action.into());
        cell_name(row, column)
    }

    fn board(&self) -> Board {
        let size = usize::from(self.size);
        let mut board = Board::grid(size, size, Shape::Hexagon);
        for (number, cell) in board.cells.iter_mut().enumerate() {
            cell.at = self.point(number);
        }
        let letters =
            (0..size).map(|column| Label { at: [column as f32 - 0.5, -1.2], text: column_letter(column).to_string() });
        let numbers = (0..size).map(|row| {
            let [x, y] = self.point(size * row);
            Label { at: [x - 1.5, y], text: (row + 1).to_string() }
        });
        board.labels = letters.chain(numbers).collect();
        // From corner to corner, just outside of the cells.
        let cell = |row: usize, column: usize| self.point(size * row + column);
        let last = size - 1;
        let corner = |[x, y]: Point, right: f32, down: f32| [x + right, y + down];
        let corners = [
            corner(cell(0, 0), -0.75, -0.75),
            corner(cell(0, last), 0.75, -0.75),
            corner(cell(last, last), 0.75, 0.75),
            corner(cell(last, 0), -0.75, 0.75),
        ];
        let edge = |from: usize, to: usize, player| Edge { from: corners[from], to: corners[to], player: Some(player) };
        board.edges = vec![
            edge(0, 1, Player::First),
            edge(3, 2, Player::First),
            edge(0, 3, Player::Second),
            edge(1, 2, Player::Second),
        ];
        board
    }

    fn pieces(&self, state: &HexState) -> Pieces {
        Pieces { stones: stones(state.stones, StoneKind::Disc, |cell| self.point(cell)), walls: Vec::new() }
    }

    /// After a swap the stone stands on the mirrored cell.
    fn mark(&self, state: &HexState, action: Action) -> Mark {
        let cell = self.stone_of(state, action.into());
        Mark::Cell(self.point(cell as usize))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Whether `player`'s stones connect its sides, by a walk over all of them.
    fn connects(game: &Hex, state: &HexState, player: Player) -> bool {
        let size = i32::from(game.size);
        let has = |row: i32, column: i32| {
            (0..size).contains(&row)
                && (0..size).contains(&column)
                && contains(&state.stones[player.index()], (row * size + column) as u32)
        };
        let depth = |row: i32, column: i32| if player == Player::First { row } else { column };
        let all = || (0..size).flat_map(|row| (0..size).map(move |column| (row, column)));
        let mut reached: Vec<(i32, i32)> = all().filter(|&(r, c)| depth(r, c) == 0 && has(r, c)).collect();
        let mut next = 0;
        while let Some(&(row, column)) = reached.get(next) {
            for (down, right) in [(0, 1), (0, -1), (1, 0), (-1, 0), (-1, 1), (1, -1)] {
                let cell = (row + down, column + right);
                if has(cell.0, cell.1) && !reached.contains(&cell) {
                    reached.push(cell);
                }
            }
            next += 1;
        }
        reached.iter().any(|&(row, column)| depth(row, column) == size - 1)
    }

    #[test]
    fn who_connects_first_wins_and_one_always_does() {
        for size in Hex::SIZES {
            for (seed, swap) in (0..12).flat_map(|seed| [(seed, false), (seed, true)]) {
                let game = Hex::new(size, swap).unwrap();
                let (mut rng, mut state) = (ChaCha8Rng::seed_from_u64(seed), game.start());
                while game.outcome(&state).is_none() {
                    assert!(!Player::BOTH.into_iter().any(|player| connects(&game, &state, player)));
                    let legal = game.legal_actions(&state);
                    game.play(&mut state, legal.nth(rng.random_range(0..legal.len())));
                }
                let winner = game.side_to_move(&state).opponent();
                assert_eq!(game.outcome(&state), Some(Outcome::Win(winner)));
                assert!(connects(&game, &state, winner) && !connects(&game, &state, winner.opponent()));
            }
        }
    }

    #[test]
    fn a_swap_takes_the_stone_over_to_the_mirrored_cell() {
        let game = Hex::new(5, true).unwrap();
        let mut state = game.start();
        game.play(&mut state, 1);
        assert_eq!(game.legal_actions(&state).len(), 25);
        let [here, mirrored] = [1, 5].map(|cell| Mark::Cell(game.point(cell)));
        assert_eq!([game.mark(&game.start(), 1), game.mark(&state, 1)], [here, mirrored]);
        game.play(&mut state, 1);
        assert_eq!(state.stones, [[0; 3], [1 << 5, 0, 0]]);
        // The stone is on the left side now, and counts as such.
        assert_eq!(state.joined[1], [1 << 5, 0, 0]);
        let legal = game.legal_actions(&state);
        assert!(legal.contains(1) && !legal.contains(5) && legal.len() == 24);
        assert_eq!(Hex::new(5, false).unwrap().input_shape(()), [2, 5, 5]);
        assert_eq!(game.input_shape(()), [3, 5, 5]);
    }

    #[test]
    fn neighbours_are_six_inside_and_fewer_at_the_border() {
        for size in Hex::SIZES {
            let game = Hex::new(size, false).unwrap();
            let size = size as i32;
            for cell in 0..size * size {
                let (row, column) = (cell / size, cell % size);
                let mut expected = [0; WORDS];
                for (down, right) in [(0, 1), (0, -1), (1, 0), (-1, 0), (-1, 1), (1, -1)] {
                    let (row, column) = (row + down, column + right);
                    if (0..size).contains(&row) && (0..size).contains(&column) {
                        insert(&mut expected, (row * size + column) as u32);
                    }
                }
                let found = game.neighbours(cell as u32);
                let inside: Cells = std::array::from_fn(|word| found[word] & game.all[word]);
                assert_eq!(inside, expected, "cell {cell} of {size}");
            }
        }
    }

    #[test]
    fn boards_are_drawn_as_a_rhombus() {
        let game = Hex::new(3, false).unwrap();
        let mut state = game.start();
        [4, 2].into_iter().for_each(|action| game.play(&mut state, action));
        let expected = "  a b c\n1  · · ○\n 2  · ● ·\n  3  · · ·\nfirst player to move\n";
        assert_eq!(game.draw(&state), expected);
        assert_eq!(Hex::new(14, true).unwrap_err().to_string(), "set up hex with size 14: size must be 3 to 13");
    }
}
