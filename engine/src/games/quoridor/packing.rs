//! Positions as few bytes: both encodings as bits and two numbers.
//!
//! | encoding | bytes 0 and 1 | bits after them | bytes on 9x9 |
//! |---|---|---|---|
//! | resnet | walls left: mover's, opponent's | the inner (2N−1)² of the grid: walls, and the mover's pawn on cells; the opponent's pawn by cell; a one; a zero | 49 |
//! | mlp | the same | the encoding's own entries in their order | 39 |

use super::{
    QuoridorEncoding, QuoridorPosition,
    board::{Cell, Geometry},
    encoding::anchors,
};
use crate::packing::{Packing, Source, set_bit};

/// Bits before the first that is not a number: the two bytes with walls left.
const FIRST: usize = 16;

/// Cells and gaps between them a side.
const fn inner(size: usize) -> usize {
    2 * size - 1
}

/// First bit of the opponent's pawn in the resnet packing.
const fn opponent(size: usize) -> usize {
    FIRST + inner(size) * inner(size)
}

/// The bit that is always one in the resnet packing; the next one is always zero.
const fn one(size: usize) -> usize {
    opponent(size) + size * size
}

impl QuoridorEncoding {
    pub(super) fn packing(self, geometry: &Geometry) -> Packing {
        let size = usize::from(geometry.size);
        let (bits, sources) = match self {
            Self::Resnet => (one(size) + 2, resnet_sources(size)),
            Self::Mlp => {
                let entries: usize = self.shape(geometry).iter().product();
                let bits = FIRST + entries - 2;
                (bits, (FIRST..bits).map(Source::Bit).chain([0, 1].map(Source::Byte)).collect())
            }
        };
        Packing { bytes: bits.div_ceil(8), sources }
    }

    /// Writes what [`QuoridorEncoding::packing`] describes.
    pub(super) fn pack(self, geometry: &Geometry, position: &QuoridorPosition, out: &mut [u8]) {
        out.fill(0);
        out[..2].copy_from_slice(&position.walls_left);
        let size = usize::from(geometry.size);
        match self {
            Self::Resnet => pack_resnet(size, position, out),
            Self::Mlp => pack_mlp(size, position, out),
        }
    }
}

fn resnet_sources(size: usize) -> Vec<Source> {
    let (grid, inner) = (2 * size + 3, inner(size));
    let (one, zero) = (Source::Bit(one(size)), Source::Bit(one(size) + 1));
    let mut sources = Vec::with_capacity(5 * grid * grid);
    for plane in 0..3 {
        for entry in 0..grid * grid {
            // Counted from the first cell; the border wraps round to numbers above all others.
            let (row, col) = ((entry / grid).wrapping_sub(2), (entry % grid).wrapping_sub(2));
            let (inside, cell) = (row < inner && col < inner, row % 2 == 0 && col % 2 == 0);
            sources.push(match plane {
                0 if !inside => one,
                0 if !cell => Source::Bit(FIRST + row * inner + col),
                1 if inside && cell => Source::Bit(FIRST + row * inner + col),
                2 if inside && cell => Source::Bit(opponent(size) + row / 2 * size + col / 2),
                _ => zero,
            });
        }
    }
    for player in 0..2 {
        sources.extend(std::iter::repeat_n(Source::Byte(player), grid * grid));
    }
    sources
}

fn pack_resnet(size: usize, position: &QuoridorPosition, out: &mut [u8]) {
    let inner = inner(size);
    for (row, col) in anchors(position.walls.vertical) {
        let middle = FIRST + (2 * row + 1) * inner + 2 * col + 1;
        [middle - inner, middle, middle + inner].into_iter().for_each(|bit| set_bit(out, bit));
    }
    for (row, col) in anchors(position.walls.horizontal) {
        let middle = FIRST + (2 * row + 1) * inner + 2 * col + 1;
        [middle - 1, middle, middle + 1].into_iter().for_each(|bit| set_bit(out, bit));
    }
    let [mover, other] = position.pawns;
    set_bit(out, FIRST + 2 * usize::from(mover.row) * inner + 2 * usize::from(mover.col));
    set_bit(out, opponent(size) + cell(size, other));
    set_bit(out, one(size));
}

fn pack_mlp(size: usize, position: &QuoridorPosition, out: &mut [u8]) {
    let [mover, other] = position.pawns;
    set_bit(out, FIRST + cell(size, mover));
    set_bit(out, FIRST + size * size + cell(size, other));
    let walls = FIRST + 2 * size * size;
    let wall = |(row, col)| walls + 2 * (row * (size - 1) + col);
    anchors(position.walls.vertical).for_each(|anchor| set_bit(out, wall(anchor)));
    anchors(position.walls.horizontal).for_each(|anchor| set_bit(out, wall(anchor) + 1));
}

fn cell(size: usize, cell: Cell) -> usize {
    usize::from(cell.row) * size + usize::from(cell.col)
}
