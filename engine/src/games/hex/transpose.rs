//! Rows and columns of a square set of cells exchanged.

/// `size` ≤ 16 bits of a set from bit `start` on.
fn row(cells: &[u64; 3], start: u32, size: u8) -> u16 {
    let (word, bit) = ((start / 64) as usize, start % 64);
    let next = cells.get(word + 1).copied().unwrap_or(0);
    // In two steps, since a shift by 64 is none.
    let bits = cells[word] >> bit | next << 1 << (63 - bit);
    (bits & ((1 << size) - 1)) as u16
}

/// Cell (row, column), bit `size * row + column`, becomes (column, row). `size` ≤ 13.
///
/// As a matrix of 16 × 16 bits by exchanging blocks of 8, 4, 2 and 1 (Warren 2012, "Hacker's Delight", section 7-3).
pub(super) fn transpose(cells: [u64; 3], size: u8) -> [u64; 3] {
    let mut rows = [0u16; 16];
    for (number, entry) in rows.iter_mut().enumerate().take(size.into()) {
        *entry = row(&cells, number as u32 * u32::from(size), size);
    }
    for (block, mask) in [(8, 0x00ff), (4, 0x0f0f), (2, 0x3333), (1, 0x5555)] {
        for upper in (0..16).filter(|row| row & block == 0) {
            let exchanged = (rows[upper] >> block ^ rows[upper + block]) & mask;
            rows[upper] ^= exchanged << block;
            rows[upper + block] ^= exchanged;
        }
    }
    let mut image = [0; 3];
    for (number, &row) in rows.iter().enumerate().take(size.into()) {
        let start = number * usize::from(size);
        let (word, bit) = (start / 64, start % 64);
        image[word] |= u64::from(row) << bit;
        if let Some(next) = image.get_mut(word + 1) {
            *next |= u64::from(row) >> 1 >> (63 - bit);
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_goes_to_its_mirror_image() {
        for size in 3..=13 {
            for cell in 0..usize::from(size) * usize::from(size) {
                let set = |cell: usize| {
                    let mut cells = [0; 3];
                    cells[cell / 64] |= 1u64 << (cell % 64);
                    cells
                };
                let (row, column) = (cell / usize::from(size), cell % usize::from(size));
                let image = transpose(set(cell), size);
                assert_eq!(image, set(column * usize::from(size) + row), "cell {cell} of {size}");
            }
        }
    }
}
