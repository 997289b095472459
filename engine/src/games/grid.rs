//! Boards of rows and columns whose cells are bits, row by row.

use crate::game::{
    Action, Player,
    board::{Point, Stone, StoneKind, grid_point},
};

/// Size of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: u8,
    pub(super) columns: u8,
}

/// Symmetries are sums of these, applied in this order.
const COLUMNS_REVERSED: usize = 1;
const ROWS_REVERSED: usize = 2;
const TRANSPOSED: usize = 4;

impl Grid {
    pub(super) const fn cells(self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// All cells.
    pub(super) fn all<const WORDS: usize>(self) -> [u64; WORDS] {
        std::array::from_fn(|word| match self.cells().saturating_sub(64 * word) {
            0 => 0,
            left @ 1..64 => (1 << left) - 1,
            _ => !0,
        })
    }

    /// Row and column of a cell.
    pub(super) const fn place(self, cell: usize) -> [usize; 2] {
        [cell / self.columns as usize, cell % self.columns as usize]
    }

    /// The middle of a cell as a board is drawn, row 0 on top.
    pub(super) fn point(self, cell: usize) -> Point {
        let [row, column] = self.place(cell);
        grid_point(row, column)
    }

    /// Size of the group of a board whose cells are all alike: 8 for a square, else 4.
    pub(super) const fn symmetries(self) -> usize {
        if self.rows == self.columns { 8 } else { 4 }
    }

    /// The image of a cell.
    pub(super) const fn transform_cell(self, symmetry: usize, cell: usize) -> usize {
        let [mut row, mut column] = self.place(cell);
        if symmetry & COLUMNS_REVERSED != 0 {
            column = self.columns as usize - 1 - column;
        }
        if symmetry & ROWS_REVERSED != 0 {
            row = self.rows as usize - 1 - row;
        }
        if symmetry & TRANSPOSED != 0 {
            (row, column) = (column, row);
        }
        row * self.columns as usize + column
    }

    /// The image of a set of cells.
    pub(super) fn transform<const WORDS: usize>(self, symmetry: usize, cells: [u64; WORDS]) -> [u64; WORDS] {
        if symmetry == 0 {
            return cells;
        }
        let mut image = [0; WORDS];
        for cell in members(cells) {
            let to = self.transform_cell(symmetry, cell);
            image[to / 64] |= 1 << (to % 64);
        }
        image
    }
}

/// The cells of a set in ascending order.
pub(super) fn members<const WORDS: usize>(cells: [u64; WORDS]) -> impl Iterator<Item = usize> {
    cells.into_iter().enumerate().flat_map(|(index, mut word)| {
        std::iter::from_fn(move || {
            let place = word.trailing_zeros();
            word &= word.checked_sub(1)?;
            Some(64 * index + place as usize)
        })
    })
}

/// Writes a plane of zeros, and ones at the cells of a set.
pub(super) fn write_plane<const WORDS: usize>(cells: [u64; WORDS], plane: &mut [f32]) {
    for (entries, word) in plane.chunks_mut(64).zip(cells) {
        for (bit, entry) in entries.iter_mut().enumerate() {
            *entry = (word >> bit & 1) as f32;
        }
    }
}

/// Stones of both players for a drawing; `point` is the middle of a cell.
pub(super) fn stones<const WORDS: usize>(
    sets: [[u64; WORDS]; 2],
    kind: StoneKind,
    point: impl Fn(usize) -> Point,
) -> Vec<Stone> {
    let of = |player: Player| members(sets[player.index()]).map(move |cell| (cell, player));
    Player::BOTH.into_iter().flat_map(of).map(|(cell, player)| Stone { at: point(cell), player, kind }).collect()
}

/// The image of an entry of an input that has planes of cells and nothing else.
pub(super) const fn transform_plane_entry(grid: Grid, symmetry: usize, entry: usize) -> usize {
    let cell = entry % grid.cells();
    entry - cell + grid.transform_cell(symmetry, cell)
}

/// The image of an action that is a cell.
pub(super) fn transform_cell_action(grid: Grid, symmetry: usize, action: Action) -> Action {
    if symmetry == 0 { action } else { grid.transform_cell(symmetry, usize::from(action)) as Action }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_has_the_eight_symmetries_of_a_square() {
        let grid = Grid { rows: 3, columns: 3 };
        let image = |symmetry| (0..9).map(|cell| grid.transform_cell(symmetry, cell)).collect::<Vec<_>>();
        assert_eq!(image(COLUMNS_REVERSED), [2, 1, 0, 5, 4, 3, 8, 7, 6]);
        assert_eq!(image(ROWS_REVERSED), [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        assert_eq!(image(TRANSPOSED), [0, 3, 6, 1, 4, 7, 2, 5, 8]);
        let all: std::collections::HashSet<_> = (0..grid.symmetries()).map(image).collect();
        assert_eq!(all.len(), 8);
        assert_eq!(grid.transform(TRANSPOSED, [0b100_010_111]), [0b101_011_001]);
    }

    #[test]
    fn planes_and_members_go_over_words() {
        let cells = [1 << 63 | 1, 1 << 6];
        assert_eq!(members(cells).collect::<Vec<_>>(), [0, 63, 70]);
        let mut plane = [f32::NAN; 71];
        write_plane(cells, &mut plane);
        assert!(plane.iter().enumerate().all(|(cell, &entry)| entry == f32::from([0, 63, 70].contains(&cell))));
    }
}
