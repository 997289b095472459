//! Positions as network input: the trainer's two layouts.

use super::{
    QuoridorPosition,
    board::{Cell, Geometry, ROW, Walls},
};

/// Cells and gaps a side of the largest board, with the two-thick border.
const MAX_GRID: usize = 21;

/// The wall plane of an empty board, by board size from 0 on; only the first (2N+3)² entries count.
static BORDERS: [[f32; MAX_GRID * MAX_GRID]; 10] = borders();

const fn borders() -> [[f32; MAX_GRID * MAX_GRID]; 10] {
    let mut borders = [[0.0; MAX_GRID * MAX_GRID]; 10];
    let mut size = 0;
    while size < borders.len() {
        let grid = 2 * size + 3;
        let mut entry = 0;
        while entry < grid * grid {
            let (row, col) = (entry / grid, entry % grid);
            if row < 2 || col < 2 || row >= grid - 2 || col >= grid - 2 {
                borders[size][entry] = 1.0;
            }
            entry += 1;
        }
        size += 1;
    }
    borders
}

/// A layout of network input. In both the board is in the network frame and walls are counted, not scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QuoridorEncoding {
    /// Five planes over a grid of cells and the gaps between them with a two-thick border, (2N+3) × (2N+3); cell (row, col) is
    /// at (2 row + 2, 2 col + 2). Walls and border 1; the mover's pawn 1; the opponent's pawn 1; the mover's walls left
    /// everywhere; the opponent's walls left everywhere.
    #[default]
    Resnet,
    /// 2N² + 2(N−1)² + 2 entries in a row: the mover's pawn by cell, the opponent's pawn by cell, walls by anchor with vertical
    /// before horizontal at each, the mover's walls left, the opponent's.
    Mlp,
}

impl QuoridorEncoding {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Resnet => "resnet",
            Self::Mlp => "mlp",
        }
    }

    pub(super) fn shape(self, geometry: &Geometry) -> Vec<usize> {
        let size = usize::from(geometry.size);
        match self {
            Self::Resnet => vec![5, 2 * size + 3, 2 * size + 3],
            Self::Mlp => vec![2 * size * size + 2 * (size - 1) * (size - 1) + 2],
        }
    }

    /// Where an entry stands after left and right are exchanged.
    pub(super) fn mirror_entry(self, geometry: &Geometry, entry: usize) -> usize {
        let size = usize::from(geometry.size);
        // In rows of `length` groups of `group` entries, the first of which begins at `first`.
        let in_rows = |first: usize, length: usize, group: usize| {
            let place = (entry - first) / group % length;
            entry + (length - 1) * group - 2 * place * group
        };
        match self {
            Self::Resnet => in_rows(0, 2 * size + 3, 1),
            Self::Mlp if entry < 2 * size * size => in_rows(0, size, 1),
            Self::Mlp if entry < 2 * size * size + 2 * (size - 1) * (size - 1) => in_rows(2 * size * size, size - 1, 2),
            Self::Mlp => entry,
        }
    }

    pub(super) fn encode(self, geometry: &Geometry, position: &QuoridorPosition, out: &mut [f32]) {
        match self {
            Self::Resnet => encode_resnet(geometry, position, out),
            Self::Mlp => encode_mlp(geometry, position, out),
        }
    }

    pub(super) fn encode_over(
        self,
        geometry: &Geometry,
        before: &QuoridorPosition,
        position: &QuoridorPosition,
        out: &mut [f32],
    ) {
        match self {
            Self::Resnet => ResnetPlanes::of(geometry, out).change(before, position),
            Self::Mlp => encode_mlp(geometry, position, out),
        }
    }
}

/// Row and column of every member of a set of anchors.
pub(super) fn anchors(mut board: u64) -> impl Iterator<Item = (usize, usize)> {
    std::iter::from_fn(move || {
        let bit = (board != 0).then(|| board.trailing_zeros())?;
        board &= board - 1;
        Some(((bit / ROW) as usize, (bit % ROW) as usize))
    })
}

fn encode_resnet(geometry: &Geometry, position: &QuoridorPosition, out: &mut [f32]) {
    let mut planes = ResnetPlanes::of(geometry, out);
    planes.walls.copy_from_slice(&BORDERS[usize::from(geometry.size)][..planes.grid * planes.grid]);
    planes.set_walls(&position.walls, 1.0);
    planes.pawns.iter_mut().for_each(|pawn| pawn.fill(0.0));
    planes.set_pawns(position, 1.0);
    for (plane, &left) in planes.counts.iter_mut().zip(&position.walls_left) {
        plane.fill(f32::from(left));
    }
}

/// The five planes of a grid.
struct ResnetPlanes<'a> {
    grid: usize,
    walls: &'a mut [f32],
    pawns: [&'a mut [f32]; 2],
    counts: [&'a mut [f32]; 2],
}

impl<'a> ResnetPlanes<'a> {
    fn of(geometry: &Geometry, out: &'a mut [f32]) -> Self {
        let grid = 2 * usize::from(geometry.size) + 3;
        let area = grid * grid;
        let (walls, rest) = out.split_at_mut(area);
        let (pawns, counts) = rest.split_at_mut(2 * area);
        Self { grid, walls, pawns: pawns.split_at_mut(area).into(), counts: counts.split_at_mut(area).into() }
    }

    /// Walls never reach the border, which stays.
    fn set_walls(&mut self, walls: &Walls, to: f32) {
        let middle = |(row, col)| (2 * row + 3) * self.grid + 2 * col + 3;
        for middle in anchors(walls.vertical).map(middle) {
            self.walls[middle - self.grid] = to;
            self.walls[middle] = to;
            self.walls[middle + self.grid] = to;
        }
        for middle in anchors(walls.horizontal).map(middle) {
            self.walls[middle - 1..=middle + 1].fill(to);
        }
    }

    fn set_pawns(&mut self, position: &QuoridorPosition, to: f32) {
        for (plane, cell) in self.pawns.iter_mut().zip(position.pawns) {
            plane[(2 * usize::from(cell.row) + 2) * self.grid + 2 * usize::from(cell.col) + 2] = to;
        }
    }

    /// Makes planes of one position planes of another.
    fn change(&mut self, before: &QuoridorPosition, position: &QuoridorPosition) {
        if before.walls != position.walls {
            self.set_walls(&before.walls, 0.0);
            self.set_walls(&position.walls, 1.0);
        }
        self.set_pawns(before, 0.0);
        self.set_pawns(position, 1.0);
        let counts = before.walls_left.iter().zip(&position.walls_left);
        for (plane, (before, left)) in self.counts.iter_mut().zip(counts) {
            if before != left {
                plane.fill(f32::from(*left));
            }
        }
    }
}

fn encode_mlp(geometry: &Geometry, position: &QuoridorPosition, out: &mut [f32]) {
    let size = usize::from(geometry.size);
    let cells = size * size;
    let entry = |cell: Cell| usize::from(cell.row) * size + usize::from(cell.col);
    let walls = 2 * cells;
    let counts = walls + 2 * (size - 1) * (size - 1);
    let [mover, opponent] = position.pawns;

    out.fill(0.0);
    out[entry(mover)] = 1.0;
    out[cells + entry(opponent)] = 1.0;
    for (row, col) in anchors(position.walls.vertical) {
        out[walls + 2 * (row * (size - 1) + col)] = 1.0;
    }
    for (row, col) in anchors(position.walls.horizontal) {
        out[walls + 2 * (row * (size - 1) + col) + 1] = 1.0;
    }
    out[counts] = f32::from(position.walls_left[0]);
    out[counts + 1] = f32::from(position.walls_left[1]);
}
