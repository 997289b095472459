//! Cells, walls as bitboards, where a pawn can go, and policy indices.
//!
//! A set of anchors is a `u64`: bit `8 * row + col`, on every board size, so that all shifts are constants. On 9 × 9 that is
//! also the order of policy indices; smaller boards leave bits unused, and these are 0 in every stored board.

use crate::game::{Action, ActionBits};

/// Bits from one row of anchors to the next.
pub(super) const ROW: u32 = 8;

/// A cell, or the cell above and left of a wall's middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Counted downwards from 0.
    pub row: u8,
    /// Counted rightwards from 0.
    pub col: u8,
}

/// How a wall lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Orientation {
    /// Between two columns, two rows long.
    Vertical,
    /// Between two rows, two columns long.
    Horizontal,
}

/// What an action means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// The pawn goes to this cell, by a step or a jump.
    Pawn(Cell),
    /// A wall with this anchor is placed.
    Wall(Orientation, Cell),
}

/// A set of walls, by anchor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Walls {
    pub(super) vertical: u64,
    pub(super) horizontal: u64,
}

/// Masks and sizes of one board size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Cells a side.
    pub(super) size: u8,
    /// All anchors.
    pub(super) anchors: u64,
    /// Anchors of row 0.
    pub(super) top: u64,
    /// Anchors of the last row.
    pub(super) bottom: u64,
    /// Anchors of column 0.
    pub(super) left: u64,
    /// Anchors of the last column.
    pub(super) right: u64,
}

/// The sides of a cell that are open: neither wall nor border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exits {
    north: bool,
    south: bool,
    west: bool,
    east: bool,
}

impl Geometry {
    pub(super) const fn new(size: u8) -> Self {
        let side = size as u32 - 1;
        let top = (1 << side) - 1;
        let mut anchors = 0;
        let mut row = 0;
        while row < side {
            anchors |= top << (ROW * row);
            row += 1;
        }
        let left = anchors & 0x0101_0101_0101_0101;
        Self { size, anchors, top, bottom: top << (ROW * (side - 1)), left, right: left << (side - 1) }
    }

    /// N².
    const fn cells(&self) -> u32 {
        self.size as u32 * self.size as u32
    }

    /// (N−1)²: walls of one orientation.
    const fn anchor_count(&self) -> u32 {
        (self.size as u32 - 1) * (self.size as u32 - 1)
    }

    pub(super) const fn policy_size(&self) -> usize {
        (self.cells() + 2 * self.anchor_count()) as usize
    }

    /// The anchor's bit, or none when there is no such anchor. A row or column of −1 is given as 255.
    pub(super) const fn anchor_bit(&self, row: u8, col: u8) -> u64 {
        if row < self.size - 1 && col < self.size - 1 { 1 << (ROW * row as u32 + col as u32) } else { 0 }
    }

    /// The cell of this number, counted row by row.
    pub(super) const fn cell(&self, number: u32) -> Cell {
        Cell { row: (number / self.size as u32) as u8, col: (number % self.size as u32) as u8 }
    }

    pub(super) const fn turn_cell(&self, cell: Cell) -> Cell {
        Cell { row: self.size - 1 - cell.row, col: self.size - 1 - cell.col }
    }

    pub(super) const fn mirror_cell(&self, cell: Cell) -> Cell {
        Cell { col: self.size - 1 - cell.col, ..cell }
    }

    /// Meaning of a policy index.
    pub(super) fn decode(&self, action: Action) -> Move {
        let action = u32::from(action);
        let cells = self.cells();
        if action < cells {
            return Move::Pawn(self.cell(action));
        }
        let anchors = self.anchor_count();
        let wall = action - cells;
        let (orientation, index) = if wall < anchors {
            (Orientation::Vertical, wall)
        } else {
            debug_assert!(wall < 2 * anchors, "action {action} is past the end of the policy");
            (Orientation::Horizontal, wall - anchors)
        };
        let side = u32::from(self.size) - 1;
        Move::Wall(orientation, Cell { row: (index / side) as u8, col: (index % side) as u8 })
    }

    pub(super) fn turn_action(&self, action: Action) -> Action {
        let (cells, anchors) = (self.cells() as Action, self.anchor_count() as Action);
        if action < cells {
            cells - 1 - action
        } else if action < cells + anchors {
            2 * cells + anchors - 1 - action
        } else {
            2 * cells + 3 * anchors - 1 - action
        }
    }

    /// Left and right exchanged.
    pub(super) fn mirror_action(&self, action: Action) -> Action {
        let (cells, anchors) = (self.cells() as Action, self.anchor_count() as Action);
        let (start, length) = match action {
            _ if action < cells => (0, Action::from(self.size)),
            _ if action < cells + anchors => (cells, Action::from(self.size) - 1),
            _ => (cells + anchors, Action::from(self.size) - 1),
        };
        let column = (action - start) % length;
        action - column + (length - 1 - column)
    }

    /// Squeezes the unused columns out of a set of anchors: bits in the order of policy indices.
    fn pack(&self, anchors: u64) -> u64 {
        if self.size == 9 {
            return anchors;
        }
        let side = u32::from(self.size) - 1;
        (0..side).fold(0, |packed, row| packed | (anchors >> (ROW * row) & self.top) << (side * row))
    }

    /// A set of actions from destinations of the pawn (bit `row * N + col`) and walls.
    pub(super) fn action_set(&self, moves: u128, walls: Walls) -> ActionBits<4> {
        let vertical = u128::from(self.pack(walls.vertical));
        let horizontal = u128::from(self.pack(walls.horizontal));
        self.join(moves, vertical, horizontal)
    }

    fn join(&self, moves: u128, vertical: u128, horizontal: u128) -> ActionBits<4> {
        let (cells, anchors) = (self.cells(), self.anchor_count());
        // At most 81 + 64 bits, of which the upper ones go to the second half.
        let walls = vertical | horizontal << anchors;
        let low = moves | walls << cells;
        let high = walls >> (128 - cells);
        ActionBits([low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64])
    }

    /// Destinations, vertical and horizontal walls of a set of actions, each from bit 0 on.
    fn split(&self, actions: &ActionBits<4>) -> [u128; 3] {
        let [w0, w1, w2, w3] = actions.0.map(u128::from);
        let (low, high) = (w0 | w1 << 64, w2 | w3 << 64);
        let (cells, anchors) = (self.cells(), self.anchor_count());
        let walls = low >> cells | high << (128 - cells);
        [low & ((1 << cells) - 1), walls & ((1 << anchors) - 1), walls >> anchors]
    }

    /// Number of pawn moves, vertical and horizontal walls in a set of actions.
    pub(super) fn counts(&self, actions: &ActionBits<4>) -> [usize; 3] {
        self.split(actions).map(|block| block.count_ones() as usize)
    }

    pub(super) fn turn_actions(&self, actions: &ActionBits<4>) -> ActionBits<4> {
        let [moves, vertical, horizontal] = self.split(actions);
        let turn = |block: u128, bits: u32| block.reverse_bits() >> (128 - bits);
        let (cells, anchors) = (self.cells(), self.anchor_count());
        self.join(turn(moves, cells), turn(vertical, anchors), turn(horizontal, anchors))
    }

    /// The three blocks of the policy, each with the length of its rows.
    fn blocks(&self, actions: &ActionBits<4>) -> [(u128, u32); 3] {
        let [moves, vertical, horizontal] = self.split(actions);
        let size = u32::from(self.size);
        [(moves, size), (vertical, size - 1), (horizontal, size - 1)]
    }

    /// Left and right exchanged.
    pub(super) fn mirror_actions(&self, actions: &ActionBits<4>) -> ActionBits<4> {
        let mirror = |(block, length): (u128, u32)| {
            let reversed = |row: u128| (row as u16).reverse_bits() >> (16 - length);
            rows(block, length).rev().fold(0, |mirrored, row| mirrored << length | u128::from(reversed(row)))
        };
        let [moves, vertical, horizontal] = self.blocks(actions).map(mirror);
        self.join(moves, vertical, horizontal)
    }

    /// Number of members in each row of each block, in the order of policy indices.
    pub(super) fn row_counts(&self, actions: &ActionBits<4>) -> impl Iterator<Item = usize> {
        let counts = |(block, length)| rows(block, length).map(|row| row.count_ones() as usize);
        self.blocks(actions).into_iter().flat_map(counts)
    }
}

/// The rows of a square block of the policy, each `length` bits long.
fn rows(block: u128, length: u32) -> impl DoubleEndedIterator<Item = u128> {
    (0..length).map(move |row| block >> (row * length) & ((1 << length) - 1))
}

impl Walls {
    pub(super) const fn contains(&self, orientation: Orientation, anchor: Cell) -> bool {
        let board = match orientation {
            Orientation::Vertical => self.vertical,
            Orientation::Horizontal => self.horizontal,
        };
        anchor.row < 8 && anchor.col < 8 && board >> (ROW * anchor.row as u32 + anchor.col as u32) & 1 == 1
    }

    pub(super) const fn insert(&mut self, orientation: Orientation, anchor: Cell) {
        let bit = 1 << (ROW * anchor.row as u32 + anchor.col as u32);
        match orientation {
            Orientation::Vertical => self.vertical |= bit,
            Orientation::Horizontal => self.horizontal |= bit,
        }
    }

    /// The board turned by 180°.
    pub(super) fn turned(self, geometry: &Geometry) -> Self {
        // Anchor (row, col) becomes (N−2−row, N−2−col); the reversal alone gives (7−row, 7−col).
        let shift = (9 - u32::from(geometry.size)) * (ROW + 1);
        let turn = |board: u64| board.reverse_bits() >> shift;
        Self { vertical: turn(self.vertical), horizontal: turn(self.horizontal) }
    }

    /// Left and right exchanged.
    pub(super) const fn mirrored(self, geometry: &Geometry) -> Self {
        // Column c becomes N−2−c; the reversal within rows alone gives 7−c.
        let shift = 9 - geometry.size as u32;
        Self {
            vertical: self.vertical.reverse_bits().swap_bytes() >> shift,
            horizontal: self.horizontal.reverse_bits().swap_bytes() >> shift,
        }
    }

    /// Walls that neither overlap nor cross one of these.
    pub(super) fn placeable(&self, geometry: &Geometry) -> Self {
        let Self { vertical, horizontal } = *self;
        let vertical_taken = vertical | vertical << ROW | vertical >> ROW | horizontal;
        let horizontal_taken =
            horizontal | (horizontal << 1 & !geometry.left) | (horizontal >> 1 & !geometry.right) | vertical;
        Self { vertical: geometry.anchors & !vertical_taken, horizontal: geometry.anchors & !horizontal_taken }
    }

    /// Open sides of a cell.
    fn exits(&self, geometry: &Geometry, cell: Cell) -> Exits {
        let (row, col) = (u32::from(cell.row), u32::from(cell.col));
        let last = u32::from(geometry.size) - 1;
        // The two rows of anchors beside the cell's row: the one above in bits 0..8, the one below in bits 8..16.
        let beside = |board: u64| ((u128::from(board) << ROW) >> (ROW * row)) as u32 & 0xffff;
        let vertical = beside(self.vertical);
        // Bit c: the edge between columns c and c + 1 is shut.
        let shut = vertical | vertical >> ROW;
        let horizontal = beside(self.horizontal);
        // Bit c: the edge above (below) the cell in column c is shut.
        let above = (horizontal & 0xff) | (horizontal & 0xff) << 1;
        let below = (horizontal >> ROW) | (horizontal >> ROW) << 1;
        Exits {
            north: row != 0 && above >> col & 1 == 0,
            south: row != last && below >> col & 1 == 0,
            west: col != 0 && (shut & 0xff) << 1 >> col & 1 == 0,
            east: col != last && shut >> col & 1 == 0,
        }
    }

    /// Cells that `pawn` can go to, bit `row * N + col`.
    pub(super) fn pawn_moves(&self, geometry: &Geometry, pawn: Cell, opponent: Cell) -> u128 {
        let size = u32::from(geometry.size);
        let index = |cell: Cell| size * u32::from(cell.row) + u32::from(cell.col);
        let neighbours = |cell: Cell| {
            let exits = self.exits(geometry, cell);
            // The pattern has the cell itself at bit `size`.
            let pattern = u32::from(exits.north)
                | u32::from(exits.west) << (size - 1)
                | u32::from(exits.east) << (size + 1)
                | u32::from(exits.south) << (2 * size);
            (u128::from(pattern) << index(cell)) >> size
        };
        let steps = neighbours(pawn);
        let occupied = 1 << index(opponent);
        if steps & occupied == 0 {
            return steps;
        }
        let around = neighbours(opponent) & !(1 << index(pawn));
        // Signed: straight ahead may lie off the board.
        let ahead = 2 * index(opponent) as i32 - index(pawn) as i32;
        let straight = if (0..size as i32 * size as i32).contains(&ahead) { 1 << ahead } else { 0 };
        let jumps = if around & straight == 0 { around } else { straight };
        (steps & !occupied) | jumps
    }
}
