//! The generators of a game's random choices.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::evaluation::mix;

/// What randomness is used for. Each use has a stream of its own, so that one never shifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Dirichlet noise at the root.
    Noise,
    /// The choice of the action to play.
    Choice,
    /// Gumbel draws at the root.
    Gumbel,
    /// Whether a search is of full size.
    Size,
    /// Whether players may resign.
    Resign,
    /// How long the opening is.
    OpeningLength,
    /// The plies of the opening.
    Opening,
}

/// The generator for one purpose at one ply of one game.
#[must_use]
pub fn ply_rng(seed: u64, game_index: u64, ply: u32, purpose: Purpose) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(mix(mix(seed) ^ game_index));
    // The first two are numbered as they were when there were no more.
    let purpose = purpose as u64;
    rng.set_stream((purpose >> 1) << 40 | u64::from(ply) << 1 | purpose & 1);
    rng
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngExt;

    use super::*;

    const ALL: [Purpose; 7] = [
        Purpose::Noise,
        Purpose::Choice,
        Purpose::Gumbel,
        Purpose::Size,
        Purpose::Resign,
        Purpose::OpeningLength,
        Purpose::Opening,
    ];

    #[test]
    fn every_seed_game_ply_and_purpose_has_a_stream_of_its_own() {
        let draw = |seed, game, ply, purpose| ply_rng(seed, game, ply, purpose).random::<u64>();
        let base = draw(1, 2, 3, Purpose::Noise);
        assert_eq!(draw(1, 2, 3, Purpose::Noise), base);
        let others = [
            draw(2, 2, 3, Purpose::Noise),
            draw(1, 3, 3, Purpose::Noise),
            draw(1, 2, 4, Purpose::Noise),
            draw(1, 2, 3, Purpose::Choice),
            draw(1, 2, 3, Purpose::Gumbel),
            draw(1, 2, 3, Purpose::Size),
        ];
        assert!(others.iter().all(|&other| other != base));
        let of_plies: HashSet<u64> = (0..8).flat_map(|ply| ALL.map(|purpose| draw(1, 2, ply, purpose))).collect();
        assert_eq!(of_plies.len(), ALL.len() * 8);
    }
}
