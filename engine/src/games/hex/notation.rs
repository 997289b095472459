//! Names of cells, and the board as a rhombus of hexagons.

use super::{super::grid::stones, Hex, HexState};
use crate::game::{
    Action, Notation, Player,
    board::{Board, Edge, Label, Mark, Pieces, Point, Shape, StoneKind, cell_name, column_letter},
};

/// Distance of two rows of hexagons: half the square root of 3.
const ROW_DISTANCE: f32 = 0.866_025_4;

impl Hex {
    /// The middle of a cell: every row begins half a cell further right, and rows of hexagons lie closer than columns.
    pub(super) fn point(&self, cell: usize) -> Point {
        let [row, column] = self.grid().place(cell);
        [column as f32 + row as f32 / 2.0, row as f32 * ROW_DISTANCE]
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
        Pieces { stones: stones(state.stones, StoneKind::Disc, |cell| self.point(cell)), ..Pieces::default() }
    }

    /// After a swap the stone stands on the mirrored cell.
    fn mark(&self, state: &HexState, action: Action) -> Mark {
        let cell = self.stone_of(state, action.into());
        Mark::Cell(self.point(cell as usize))
    }
}
