//! The m,n,k-game: k in a row on a board of m columns and n rows. Tic-tac-toe is 3, 3, 3, gomoku (with lines of more than five
//! as well) 15, 15, 5.
//!
//! Action: the cell, row by row from the top. A full board without a line is a draw. Nothing is turned for the second player;
//! the board has the symmetries of its rectangle.

use std::ops::RangeInclusive;

use super::{
    ParameterError,
    grid::{Grid, stones, transform_cell_action, transform_plane_entry, write_plane},
    line_length, within,
};
use crate::game::{
    Action, ActionBits, Draw, Game, Notation, Outcome, Player,
    board::{Board, Mark, Pieces, Shape, StoneKind, cell_name},
};

/// 19 × 19 bits.
const WORDS: usize = 6;

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mnk {
    grid: Grid,
    length: u8,
    all: [u64; WORDS],
    /// Rows of a cell, in parts of 65,536: rounded up, so that whole rows are whole.
    per_row: u32,
}

/// The stones of both players, first player first, and what their last one did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MnkState {
    stones: [[u64; WORDS]; 2],
    ply: u16,
    /// The last stone completed a line.
    won: bool,
}

/// The stones of both players, mover first: bit `m * row + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MnkPosition([[u64; WORDS]; 2]);

impl Mnk {
    /// Its name in settings.
    pub const NAME: &str = "mnk";
    /// Columns and rows that a board can have.
    pub const SIDES: RangeInclusive<u32> = 2..=19;

    /// A board of `m` columns and `n` rows (2 to 19 each), on which lines of at least `k` win (2 to the longer side).
    ///
    /// # Errors
    /// When a parameter is out of range; the message says what is allowed.
    pub fn new(m: u32, n: u32, k: u32) -> Result<Self, ParameterError> {
        let columns = within(Self::NAME, "m", m, Self::SIDES)?;
        let rows = within(Self::NAME, "n", n, Self::SIDES)?;
        let length = line_length(Self::NAME, "k", k, [rows, columns])?;
        Ok(Self::of(Grid { rows, columns }, length))
    }

    fn of(grid: Grid, length: u8) -> Self {
        Self { grid, length, all: grid.all(), per_row: (1u32 << 16).div_ceil(grid.columns.into()) }
    }

    /// Columns, rows and the length of a line.
    #[must_use]
    pub const fn sizes(&self) -> [u8; 3] {
        [self.grid.columns, self.grid.rows, self.length]
    }

    /// Whether the stone on `cell` is part of a line.
    fn has_line(&self, stones: &[u64; WORDS], cell: u32) -> bool {
        let (columns, rows) = (u32::from(self.grid.columns), u32::from(self.grid.rows));
        // A division by a number that is not constant would take as long as all the rest.
        let row = (cell * self.per_row) >> 16;
        let column = cell - row * columns;
        let (right, down) = (columns - 1 - column, rows - 1 - row);
        let most = u32::from(self.length) - 1;
        let is_set = |cell: u32| stones[(cell / 64) as usize] >> (cell % 64) & 1 == 1;
        // The step of each of four directions, and how many of them there are to the border, back and forth.
        let directions = [
            (1, column, right),
            (columns, row, down),
            (columns + 1, row.min(column), down.min(right)),
            (columns - 1, row.min(right), down.min(column)),
        ];
        directions.into_iter().any(|(step, back, forth)| {
            let forwards = (1..=forth.min(most)).take_while(|&steps| is_set(cell + steps * step)).count() as u32;
            let left = most - forwards;
            forwards + (1..=back.min(left)).take_while(|&steps| is_set(cell - steps * step)).count() as u32 == most
        })
    }
}

impl Default for Mnk {
    /// Five in a row on 9 × 9.
    fn default() -> Self {
        Self::of(Grid { rows: 9, columns: 9 }, 5)
    }
}

impl Game for Mnk {
    type State = MnkState;
    type Position = MnkPosition;
    type Actions = ActionBits<WORDS>;
    type Encoding = ();

    fn start(&self) -> MnkState {
        MnkState { stones: [[0; WORDS]; 2], ply: 0, won: false }
    }

    fn policy_size(&self) -> usize {
        self.grid.cells()
    }

    fn ply(&self, state: &MnkState) -> u32 {
        state.ply.into()
    }

    fn outcome(&self, state: &MnkState) -> Option<Outcome> {
        if state.won {
            return Some(Outcome::Win(Player::at_ply(u32::from(state.ply)).opponent()));
        }
        (usize::from(state.ply) == self.grid.cells()).then_some(Outcome::Draw(Draw::Rule))
    }

    fn legal_actions(&self, state: &MnkState) -> ActionBits<WORDS> {
        let [first, second] = &state.stones;
        ActionBits(std::array::from_fn(|word| self.all[word] & !(first[word] | second[word])))
    }

    fn play(&self, state: &mut MnkState, action: Action) {
        let stones = &mut state.stones[Player::at_ply(u32::from(state.ply)).index()];
        stones[usize::from(action / 64)] |= 1 << (action % 64);
        state.won = self.has_line(stones, action.into());
        state.ply += 1;
    }

    fn position(&self, state: &MnkState) -> MnkPosition {
        let [first, second] = state.stones;
        match Player::at_ply(u32::from(state.ply)) {
            Player::First => MnkPosition([first, second]),
            Player::Second => MnkPosition([second, first]),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![2, self.grid.rows.into(), self.grid.columns.into()]
    }

    fn encode(&self, (): (), position: &MnkPosition, out: &mut [f32]) {
        for (plane, stones) in out.chunks_exact_mut(self.grid.cells()).zip(position.0) {
            write_plane(stones, plane);
        }
    }

    fn turn_actions(&self, _: Player, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        *actions
    }

    fn turn_priors(&self, _: Player, _: &ActionBits<WORDS>, _: &mut [f32]) {}

    fn symmetries(&self) -> usize {
        self.grid.symmetries()
    }

    fn transform(&self, symmetry: usize, position: &MnkPosition) -> MnkPosition {
        MnkPosition(position.0.map(|stones| self.grid.transform(symmetry, stones)))
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        transform_plane_entry(self.grid, symmetry, entry)
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        transform_cell_action(self.grid, symmetry, action)
    }
}

impl Notation for Mnk {
    fn action_name(&self, action: Action) -> String {
        let [row, column] = self.grid.place(action.into());
        cell_name(row, column)
    }

    fn board(&self) -> Board {
        Board::grid(self.grid.rows.into(), self.grid.columns.into(), Shape::Square)
    }

    fn pieces(&self, state: &MnkState) -> Pieces {
        let stones = stones(state.stones, StoneKind::Sign, |cell| self.grid.point(cell));
        Pieces { stones, ..Pieces::default() }
    }

    fn mark(&self, _: &MnkState, action: Action) -> Mark {
        Mark::Cell(self.grid.point(action.into()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::game::ActionSet;

    /// Whether there is a line of one player's stones, looked for from every cell in every direction.
    fn has_line_anywhere(game: &Mnk, stones: &[u64; WORDS]) -> bool {
        let [columns, rows, length] = game.sizes().map(i32::from);
        let is_set = |row: i32, column: i32| {
            let inside = (0..rows).contains(&row) && (0..columns).contains(&column);
            let cell = (row * columns + column) as usize;
            inside && stones[cell / 64] >> (cell % 64) & 1 == 1
        };
        (0..rows * columns).any(|cell| {
            let (row, column) = (cell / columns, cell % columns);
            [(0, 1), (1, 0), (1, 1), (1, -1)]
                .into_iter()
                .any(|(down, right)| (0..length).all(|step| is_set(row + step * down, column + step * right)))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

        #[test]
        fn the_last_stone_alone_decides(m in 2u32..=19, n in 2u32..=19, k in 2u32..=6, seed: u64) {
            let game = Mnk::new(m, n, k.min(m.max(n))).unwrap();
            let (mut state, mut rng) = (game.start(), ChaCha8Rng::seed_from_u64(seed));
            while game.outcome(&state).is_none() {
                assert!(!state.stones.iter().any(|stones| has_line_anywhere(&game, stones)));
                let legal = game.legal_actions(&state);
                game.play(&mut state, legal.nth(rng.random_range(0..legal.len())));
            }
            let [first, second] = state.stones.map(|stones| has_line_anywhere(&game, &stones));
            let expected = match (first, second) {
                (true, _) => Outcome::Win(Player::First),
                (_, true) => Outcome::Win(Player::Second),
                _ => Outcome::Draw(Draw::Rule),
            };
            assert_eq!(game.outcome(&state), Some(expected));
        }
    }

    #[test]
    fn rows_are_found_without_a_division() {
        for columns in Mnk::SIDES {
            let game = Mnk::new(columns, 19, 2).unwrap();
            assert!((0..19 * columns).all(|cell| (cell * game.per_row) >> 16 == cell / columns), "{columns} columns");
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let error = |m, n, k| Mnk::new(m, n, k).unwrap_err().to_string();
        assert_eq!(error(20, 9, 5), "set up mnk with m 20: m must be 2 to 19");
        assert_eq!(error(9, 0, 5), "set up mnk with n 0: n must be 2 to 19");
        assert_eq!(error(3, 5, 6), "set up mnk with k 6: k must be 2 to 5, the longer side of the board");
        assert!(Mnk::new(3, 5, 5).is_ok() && Mnk::new(3, 5, 1).is_err());
    }

    #[test]
    fn lines_longer_than_needed_win() {
        let game = Mnk::new(9, 9, 5).unwrap();
        let mut state = game.start();
        for action in [0, 9, 1, 10, 2, 11, 4, 80, 5, 79, 3] {
            assert_eq!(game.outcome(&state), None);
            game.play(&mut state, action);
        }
        assert_eq!(game.outcome(&state), Some(Outcome::Win(Player::First)));
    }
}
