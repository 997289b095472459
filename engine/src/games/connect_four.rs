//! Connect Four on boards of up to 8 × 8: stones fall to the bottom of a column, and a line of `length` of one's own wins.
//!
//! Action: the column, from the left. A full board without a line is a draw. Nothing is turned for the second player; left and
//! right can be exchanged.

use std::ops::RangeInclusive;

use super::{ParameterError, grid::stones, line_length, within};
use crate::game::{
    Action, ActionBits, Draw, Game, Notation, Outcome, Player,
    board::{Board, Mark, Pieces, Point, Shape, StoneKind, column_letter, grid_point},
};

/// Bits from one row to the next, on every board, so that all shifts are constants. Row 0 is the lowest.
pub(crate) const ROW: u32 = 8;
pub(crate) const FIRST_COLUMN: u64 = 0x0101_0101_0101_0101;
const LAST_COLUMN: u64 = FIRST_COLUMN << 7;

/// The step of each of four directions, the cells where such a step can end, and those where it can begin.
pub(crate) const STEPS: [(u32, u64, u64); 4] = [
    (1, !FIRST_COLUMN, !LAST_COLUMN),
    (ROW, !0, !0),
    (ROW + 1, !FIRST_COLUMN, !LAST_COLUMN),
    (ROW - 1, !LAST_COLUMN, !FIRST_COLUMN),
];

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectFour {
    rows: u8,
    columns: u8,
    length: u8,
}

/// The stones of two players, bit `8 * row + column` with row 0 at the bottom. As a state, first player first; as a position,
/// mover first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectFourStones([u64; 2]);

impl ConnectFour {
    /// Its name in settings.
    pub const NAME: &str = "connect_four";
    /// Rows and columns that a board can have.
    pub const SIDES: RangeInclusive<u32> = 2..=8;

    /// A board of `rows` × `columns` (2 to 8 each), on which lines of `length` win (2 to the longer side). The usual game is
    /// 6, 7, 4.
    ///
    /// # Errors
    /// When a parameter is out of range; the message says what is allowed.
    pub fn new(rows: u32, columns: u32, length: u32) -> Result<Self, ParameterError> {
        let rows = within(Self::NAME, "rows", rows, Self::SIDES)?;
        let columns = within(Self::NAME, "columns", columns, Self::SIDES)?;
        let length = line_length(Self::NAME, "length", length, [rows, columns])?;
        Ok(Self { rows, columns, length })
    }

    /// Rows and columns.
    #[must_use]
    pub const fn sides(&self) -> [u8; 2] {
        [self.rows, self.columns]
    }

    /// Stones in a line that win.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// A bit for every column.
    const fn all_columns(&self) -> u64 {
        (1 << self.columns) - 1
    }

    /// Whether there is a line among these stones.
    fn has_line(&self, stones: u64) -> bool {
        // Stones that end a line of the length looked at.
        let mut ends = [stones; 4];
        for _ in 1..self.length {
            for (ends, (step, mask, _)) in ends.iter_mut().zip(STEPS) {
                *ends = stones & mask & (*ends << step);
            }
        }
        ends.iter().any(|&ends| ends != 0)
    }

    /// The middle of a cell, row 0 at the bottom.
    fn point(&self, row: usize, column: usize) -> Point {
        grid_point(usize::from(self.rows) - 1 - row, column)
    }
}

impl Default for ConnectFour {
    fn default() -> Self {
        Self { rows: 6, columns: 7, length: 4 }
    }
}

impl ConnectFourStones {
    /// The stones of each.
    pub(crate) const fn players(&self) -> [u64; 2] {
        self.0
    }

    const fn all(&self) -> u64 {
        self.0[0] | self.0[1]
    }

    /// Stones in a column.
    const fn height(&self, column: Action) -> u32 {
        (self.all() >> column & FIRST_COLUMN).count_ones()
    }

    const fn mover(&self) -> Player {
        Player::at_ply(self.all().count_ones())
    }
}

impl Game for ConnectFour {
    type State = ConnectFourStones;
    type Position = ConnectFourStones;
    type Actions = ActionBits<1>;
    type Encoding = ();

    fn start(&self) -> ConnectFourStones {
        ConnectFourStones::default()
    }

    fn policy_size(&self) -> usize {
        self.columns.into()
    }

    fn ply(&self, state: &ConnectFourStones) -> u32 {
        state.all().count_ones()
    }

    fn outcome(&self, state: &ConnectFourStones) -> Option<Outcome> {
        let last = state.mover().opponent();
        if self.has_line(state.0[last.index()]) {
            return Some(Outcome::Win(last));
        }
        let cells = u32::from(self.rows) * u32::from(self.columns);
        (state.all().count_ones() == cells).then_some(Outcome::Draw(Draw::Rule))
    }

    fn legal_actions(&self, state: &ConnectFourStones) -> ActionBits<1> {
        let full = state.all() >> (ROW * (u32::from(self.rows) - 1));
        ActionBits([!full & self.all_columns()])
    }

    fn play(&self, state: &mut ConnectFourStones, action: Action) {
        let stones = state.all();
        let row = state.height(action);
        state.0[Player::at_ply(stones.count_ones()).index()] |= 1 << (ROW * row + u32::from(action));
    }

    fn position(&self, state: &ConnectFourStones) -> ConnectFourStones {
        let [first, second] = state.0;
        match state.mover() {
            Player::First => ConnectFourStones([first, second]),
            Player::Second => ConnectFourStones([second, first]),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![2, self.rows.into(), self.columns.into()]
    }

    fn encode(&self, (): (), position: &ConnectFourStones, out: &mut [f32]) {
        let (rows, columns) = (usize::from(self.rows), usize::from(self.columns));
        for (plane, stones) in out.chunks_exact_mut(rows * columns).zip(position.0) {
            for (entries, row) in plane.chunks_exact_mut(columns).zip(stones.to_le_bytes()) {
                for (column, entry) in entries.iter_mut().enumerate() {
                    *entry = f32::from(row >> column & 1);
                }
            }
        }
    }

    /// Left and right can be exchanged.
    fn symmetries(&self) -> usize {
        2
    }

    fn transform(&self, symmetry: usize, position: &ConnectFourStones) -> ConnectFourStones {
        if symmetry == 0 {
            return *position;
        }
        ConnectFourStones(
            position.0.map(|stones| stones.reverse_bits().swap_bytes() >> (ROW - u32::from(self.columns))),
        )
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        let columns = usize::from(self.columns);
        let column = entry % columns;
        if symmetry == 0 { entry } else { entry - column + columns - 1 - column }
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        if symmetry == 0 { action } else { Action::from(self.columns) - 1 - action }
    }
}

impl Notation for ConnectFour {
    fn action_name(&self, action: Action) -> String {
        column_letter(action.into()).to_string()
    }

    fn board(&self) -> Board {
        let mut board = Board::grid(self.rows.into(), self.columns.into(), Shape::Hole);
        board.labels.truncate(self.columns.into());
        board
    }

    fn pieces(&self, state: &ConnectFourStones) -> Pieces {
        let sets = state.0.map(|stones| [stones]);
        Pieces { stones: stones(sets, StoneKind::Disc, |cell| self.point(cell / 8, cell % 8)), ..Pieces::default() }
    }

    /// Where the stone comes to lie.
    fn mark(&self, state: &ConnectFourStones, action: Action) -> Mark {
        Mark::Cell(self.point(state.height(action) as usize, action.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(game: &ConnectFour, columns: &[Action]) -> ConnectFourStones {
        let mut state = game.start();
        for &column in columns {
            assert_eq!(game.outcome(&state), None);
            game.play(&mut state, column);
        }
        state
    }

    #[test]
    fn lines_in_all_directions_win_and_do_not_go_round_the_border() {
        let game = ConnectFour::default();
        let outcome = |columns: &[Action]| game.outcome(&play(&game, columns));
        let first = Some(Outcome::Win(Player::First));
        assert_eq!(outcome(&[0, 0, 1, 1, 2, 2, 3]), first);
        assert_eq!(outcome(&[3, 0, 3, 0, 3, 0, 3]), first);
        assert_eq!(outcome(&[0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3]), first);
        assert_eq!(outcome(&[6, 5, 5, 4, 4, 3, 4, 3, 3, 0, 3]), first);
        // Columns 5 and 6 of the lowest row, then 0 and 1 of the next.
        assert_eq!(outcome(&[5, 0, 6, 1, 0, 3, 1]), None);
        let wide = ConnectFour::new(8, 8, 4).unwrap();
        assert_eq!(wide.outcome(&play(&wide, &[6, 0, 7, 1, 0, 3, 1])), None);
    }

    #[test]
    fn a_full_board_is_a_draw() {
        let game = ConnectFour::new(2, 2, 2).unwrap();
        assert_eq!(game.legal_actions(&play(&game, &[0, 0])), ActionBits([0b10]));
        let game = ConnectFour::new(2, 3, 3).unwrap();
        assert_eq!(game.outcome(&play(&game, &[0, 1, 2, 0, 1, 2])), Some(Outcome::Draw(Draw::Rule)));
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let error = |rows, columns, length| ConnectFour::new(rows, columns, length).unwrap_err().to_string();
        assert_eq!(error(9, 7, 4), "set up connect_four with rows 9: rows must be 2 to 8");
        assert_eq!(error(6, 1, 4), "set up connect_four with columns 1: columns must be 2 to 8");
        assert_eq!(
            error(6, 7, 8),
            "set up connect_four with length 8: length must be 2 to 7, the longer side of the board"
        );
    }

    #[test]
    fn boards_stand_upright() {
        let game = ConnectFour::default();
        let state = play(&game, &[3, 3, 0]);
        assert_eq!([3, 1].map(|column| game.mark(&state, column)), [[3.0, 3.0], [1.0, 5.0]].map(Mark::Cell));
        let text = game.draw(&state);
        assert!(text.ends_with("· · · ○ · · ·\n● · · ● · · ·\nsecond player to move\n"), "{text}");
        assert!(text.starts_with("a b c d e f g\n· ·"), "{text}");
    }
}
