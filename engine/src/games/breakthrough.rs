//! Breakthrough on boards of 4 to 8 rows and columns: who reaches the opponent's side, or takes all of its pawns, wins.
//!
//! The first player begins on top and walks downwards. A pawn goes one row on, straight or diagonally, to a free cell, or takes
//! diagonally. Boards of 6 rows and more begin with two rows of pawns a side, smaller ones with one. A player can always move, and
//! there are no draws.
//!
//! Action: `((row * columns + column) * 6 + direction) * 2 + takes`, from the cell of the pawn. Directions 0, 1, 2 are down and
//! left, down, down and right; 3, 4, 5 are up and left, up, up and right. The network frame is turned by 180° for the second
//! player, so that the mover always walks downwards. Left and right can be exchanged.

use std::ops::RangeInclusive;

use super::{
    ParameterError,
    grid::{Grid, stones, transform_plane_entry, write_plane},
    within,
};
use crate::game::{
    Action, ActionBits, Game, Notation, Outcome, Player,
    board::{Board, Mark, Pieces, Shape, StoneKind, Tone, cell_name},
};

/// 8 × 8 × 6 × 2 bits.
const WORDS: usize = 12;
/// Policy indices of one cell.
const PER_CELL: Action = 12;

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakthrough {
    grid: Grid,
    all: u64,
    /// First column.
    left: u64,
    /// First row.
    top: u64,
}

/// The pawns of both players, first player first: bit `columns * row + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakthroughState {
    pawns: [u64; 2],
    ply: u32,
}

/// The pawns of both players, mover first and walking downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BreakthroughPosition([u64; 2]);

impl Breakthrough {
    /// Its name in settings.
    pub const NAME: &str = "breakthrough";
    /// Rows and columns that a board can have.
    pub const SIDES: RangeInclusive<u32> = 4..=8;

    /// A board of `rows` × `columns` (4 to 8 each).
    ///
    /// # Errors
    /// When a parameter is out of range; the message says what is allowed.
    pub fn new(rows: u32, columns: u32) -> Result<Self, ParameterError> {
        let rows = within(Self::NAME, "rows", rows, Self::SIDES)?;
        let columns = within(Self::NAME, "columns", columns, Self::SIDES)?;
        Ok(Self::of(Grid { rows, columns }))
    }

    fn of(grid: Grid) -> Self {
        let [all] = grid.all();
        let left = (0..grid.rows).fold(0, |column, row| column | 1 << (grid.columns * row));
        Self { grid, all, left, top: (1 << grid.columns) - 1 }
    }

    /// Rows and columns.
    #[must_use]
    pub const fn sides(&self) -> [u8; 2] {
        [self.grid.rows, self.grid.columns]
    }

    const fn right(&self) -> u64 {
        self.left << (self.grid.columns - 1)
    }

    const fn bottom(&self) -> u64 {
        self.top << (self.grid.columns * (self.grid.rows - 1))
    }

    /// The board turned by 180°.
    const fn turned(&self, cells: u64) -> u64 {
        cells.reverse_bits() >> (64 - self.grid.cells())
    }

    /// The cells that the move with an index goes from and to.
    fn cells(&self, action: Action) -> (u32, u32) {
        let (from, direction) = (u32::from(action / PER_CELL), u32::from(action % PER_CELL / 2));
        let columns = u32::from(self.grid.columns);
        let to = match direction {
            0..3 => from + columns + direction - 1,
            _ => from + direction - 4 - columns,
        };
        (from, to)
    }

    /// Row and column that a move goes to: perhaps beside the board.
    fn target(&self, action: Action) -> [i32; 2] {
        let [row, column] = self.grid.place((action / PER_CELL).into());
        let direction = i32::from(action % PER_CELL / 2);
        let down = if direction < 3 { 1 } else { -1 };
        [row as i32 + down, column as i32 + direction % 3 - 1]
    }
}

impl Default for Breakthrough {
    fn default() -> Self {
        Self::of(Grid { rows: 8, columns: 8 })
    }
}

impl Game for Breakthrough {
    type State = BreakthroughState;
    type Position = BreakthroughPosition;
    type Actions = ActionBits<WORDS>;
    type Encoding = ();

    fn start(&self) -> BreakthroughState {
        let first = if self.grid.rows < 6 { self.top } else { self.top | self.top << self.grid.columns };
        BreakthroughState { pawns: [first, self.turned(first)], ply: 0 }
    }

    fn policy_size(&self) -> usize {
        self.grid.cells() * usize::from(PER_CELL)
    }

    fn ply(&self, state: &BreakthroughState) -> u32 {
        state.ply
    }

    fn outcome(&self, state: &BreakthroughState) -> Option<Outcome> {
        let [first, second] = state.pawns;
        if first & self.bottom() != 0 || second == 0 {
            return Some(Outcome::Win(Player::First));
        }
        (second & self.top != 0 || first == 0).then_some(Outcome::Win(Player::Second))
    }

    fn legal_actions(&self, state: &BreakthroughState) -> ActionBits<WORDS> {
        let columns = u32::from(self.grid.columns);
        let [first, second] = state.pawns;
        let free = self.all & !(first | second);
        let mover = Player::at_ply(state.ply);
        let (own, other) = match mover {
            Player::First => (first, second),
            Player::Second => (second, first),
        };
        let (leftwards, rightwards) = (own & !self.left, own & !self.right());
        // Pawns that can go left, straight or right to one of these cells.
        let left = |to: u64| match mover {
            Player::First => leftwards & to >> (columns - 1),
            Player::Second => leftwards & to << (columns + 1),
        };
        let straight = |to: u64| match mover {
            Player::First => own & to >> columns,
            Player::Second => own & to << columns,
        };
        let right = |to: u64| match mover {
            Player::First => rightwards & to >> (columns + 1),
            Player::Second => rightwards & to << (columns - 1),
        };
        let direction = if mover == Player::First { 0 } else { 6 };
        let moves = [(left(free), 0), (left(other), 1), (straight(free), 2), (right(free), 4), (right(other), 5)];
        let mut legal = ActionBits::default();
        for (mut pawns, kind) in moves {
            while pawns != 0 {
                let index = pawns.trailing_zeros() as usize * usize::from(PER_CELL) + direction + kind;
                legal.0[index / 64] |= 1 << (index % 64);
                pawns &= pawns - 1;
            }
        }
        legal
    }

    fn play(&self, state: &mut BreakthroughState, action: Action) {
        let mover = Player::at_ply(state.ply);
        let (from, to) = self.cells(action);
        state.pawns[mover.index()] ^= 1 << from | 1 << to;
        state.pawns[mover.opponent().index()] &= !(1 << to);
        state.ply += 1;
    }

    fn position(&self, state: &BreakthroughState) -> BreakthroughPosition {
        let [first, second] = state.pawns;
        match Player::at_ply(state.ply) {
            Player::First => BreakthroughPosition([first, second]),
            Player::Second => BreakthroughPosition([second, first].map(|pawns| self.turned(pawns))),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![2, self.grid.rows.into(), self.grid.columns.into()]
    }

    fn encode(&self, (): (), position: &BreakthroughPosition, out: &mut [f32]) {
        for (plane, pawns) in out.chunks_exact_mut(self.grid.cells()).zip(position.0) {
            write_plane([pawns], plane);
        }
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        match mover {
            Player::First => action,
            // The last index becomes the first but for its lowest bit, which says that something is taken.
            Player::Second => (self.policy_size() as Action - 1 - action) ^ 1,
        }
    }

    fn turn_actions(&self, mover: Player, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        if mover == Player::First {
            return *actions;
        }
        const EVEN: u64 = 0x5555_5555_5555_5555;
        // All bits reversed, shifted down to the policy's length, and neighbours exchanged.
        let shift = 64 * WORDS - self.policy_size();
        let (words, bits) = (shift / 64, shift % 64);
        let reversed = |word: usize| WORDS.checked_sub(word + 1).map_or(0, |word| actions.0[word].reverse_bits());
        ActionBits(std::array::from_fn(|word| {
            let (here, next) = (reversed(word + words), reversed(word + words + 1));
            let turned = here >> bits | next << 1 << (63 - bits);
            (turned & EVEN) << 1 | turned >> 1 & EVEN
        }))
    }

    /// A pawn takes or does not take in one direction, so that all legal actions come in the opposite order.
    fn turn_priors(&self, mover: Player, _: &ActionBits<WORDS>, priors: &mut [f32]) {
        if mover == Player::Second {
            priors.reverse();
        }
    }

    /// Left and right can be exchanged.
    fn symmetries(&self) -> usize {
        2
    }

    fn transform(&self, symmetry: usize, position: &BreakthroughPosition) -> BreakthroughPosition {
        BreakthroughPosition(position.0.map(|pawns| self.grid.transform(symmetry, [pawns])[0]))
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        transform_plane_entry(self.grid, symmetry, entry)
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        if symmetry == 0 {
            return action;
        }
        let (cell, direction, takes) = (action / PER_CELL, action % PER_CELL / 2, action % 2);
        let mirrored = [2, 1, 0, 5, 4, 3][usize::from(direction)];
        self.grid.transform_cell(symmetry, cell.into()) as Action * PER_CELL + 2 * mirrored + takes
    }
}

impl Notation for Breakthrough {
    /// The cells that the pawn goes from and to, with an x between them when it takes.
    fn action_name(&self, action: Action) -> String {
        let [row, column] = self.grid.place((action / PER_CELL).into());
        let from = cell_name(row, column);
        let takes = if action % 2 == 1 { "x" } else { "" };
        let [row, column] = self.target(action);
        let on_board = (0..self.grid.rows.into()).contains(&row) && (0..self.grid.columns.into()).contains(&column);
        if on_board {
            return format!("{from}{takes}{}", cell_name(row as usize, column as usize));
        }
        // No pawn can go there, but the policy has a place for it.
        format!("{from}{takes}off{}", action % PER_CELL / 2)
    }

    fn board(&self) -> Board {
        let mut board = Board::grid(self.grid.rows.into(), self.grid.columns.into(), Shape::Square);
        for (number, cell) in board.cells.iter_mut().enumerate() {
            let [row, column] = self.grid.place(number);
            cell.tone = if (row + column) % 2 == 1 { Tone::Dark } else { Tone::Plain };
        }
        board
    }

    fn pieces(&self, state: &BreakthroughState) -> Pieces {
        let sets = state.pawns.map(|pawns| [pawns]);
        Pieces { stones: stones(sets, StoneKind::Pawn, |cell| self.grid.point(cell)), ..Pieces::default() }
    }

    fn mark(&self, _: &BreakthroughState, action: Action) -> Mark {
        let from = self.grid.point((action / PER_CELL).into());
        let [row, column] = self.target(action);
        Mark::Step { from, to: [column as f32, row as f32] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::game::ActionSet;

    #[test]
    fn pawns_take_diagonally_and_are_stopped_straight_ahead() {
        let game = Breakthrough::new(6, 4).unwrap();
        let named = |name: &str| (0..game.policy_size() as Action).find(|&action| game.action_name(action) == name);
        let mut state = game.start();
        for name in ["b2b3", "b5b4", "a2a3"] {
            game.play(&mut state, named(name).unwrap());
        }
        let names: Vec<String> = game.legal_actions(&state).iter().map(|action| game.action_name(action)).collect();
        assert!(names.contains(&"b4xa3".to_owned()) && names.contains(&"b4c3".to_owned()), "{names:?}");
        assert!(!names.contains(&"b4b3".to_owned()) && !names.contains(&"b4xb3".to_owned()), "{names:?}");
        game.play(&mut state, named("b4xa3").unwrap());
        assert_eq!(state.pawns.map(u64::count_ones), [7, 8]);
    }

    #[test]
    fn small_boards_begin_with_one_row_of_pawns() {
        assert_eq!(Breakthrough::new(5, 4).unwrap().start().pawns, [0b1111, 0b1111 << 16]);
        assert_eq!(Breakthrough::new(6, 4).unwrap().start().pawns, [0b1111_1111, 0b1111_1111 << 16]);
        assert_eq!(Breakthrough::default().start().pawns, [0xffff, 0xffff << 48]);
        let message = Breakthrough::new(3, 8).unwrap_err().to_string();
        assert_eq!(message, "set up breakthrough with rows 3: rows must be 4 to 8");
    }

    #[test]
    fn who_takes_the_last_pawn_wins() {
        let game = Breakthrough::new(4, 4).unwrap();
        let state = BreakthroughState { pawns: [0b10 << 8, 0], ply: 1 };
        assert_eq!(game.outcome(&state), Some(Outcome::Win(Player::First)));
        let state = BreakthroughState { pawns: [0b10, 0b1 << 12], ply: 1 };
        assert_eq!(game.outcome(&state), None);
    }
}
