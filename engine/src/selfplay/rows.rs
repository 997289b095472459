//! Which plies of a game teach a policy, and how much.

use crate::search::Simulations;

/// Which plies are policy targets, and what each weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowSettings {
    /// Share of searched plies with a search of full size, above 0 to 1. The others are searched with `cheap` simulations and without
    /// noise, and are no policy targets (Wu 2019, "Accelerating self-play learning in Go", section 3.1).
    pub full_share: f32,
    /// Simulations of the others.
    pub cheap: Simulations,
    /// Share of the weights, 0 to 1, that goes to plies by how much their policy target differs from the network's policy (Wu,
    /// "Other methods implemented in KataGo", policy surprise weighting).
    pub surprise: f32,
}

impl Default for RowSettings {
    /// Every ply, all alike.
    fn default() -> Self {
        Self { full_share: 1.0, cheap: Simulations::PerMove(2), surprise: 0.0 }
    }
}
