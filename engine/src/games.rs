//! The games that selfplayd plays, and a count of move sequences to check and time their rules.

mod grid;
pub mod perft;
pub mod quoridor;
#[cfg(test)]
mod symmetry_tests;
pub mod tictactoe;

/// Reverses runs of these lengths, one after the other: priors in the order of a board whose rows are read backwards.
fn reverse_rows(mut priors: &mut [f32], lengths: impl IntoIterator<Item = usize>) {
    for length in lengths {
        let (row, rest) = std::mem::take(&mut priors).split_at_mut(length);
        row.reverse();
        priors = rest;
    }
}
