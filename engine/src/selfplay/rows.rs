//! Which plies of a game teach a policy, and how much.

use rand::{Rng, RngExt};

use crate::{
    replay::{PlyKind, PlyNotes},
    search::{SearchParams, Simulations},
};

/// Which plies are policy targets, and what each weighs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowSettings {
    /// Share of searched plies with a search of full size, above 0 to 1. The others get `cheap` simulations and nothing at the root that
    /// is there for exploration, and are no policy targets (Wu 2019, "Accelerating self-play learning in Go", section 3.1).
    pub full_share: f32,
    /// Simulations of the others.
    pub cheap: Simulations,
    /// Share of the weights, 0 to 1, that goes to plies by how much their policy target differs from the network's policy (Wu, "Other
    /// methods implemented in KataGo", policy surprise weighting).
    pub surprise: f32,
}

impl Default for RowSettings {
    /// Every ply, all alike.
    fn default() -> Self {
        Self { full_share: 1.0, cheap: Simulations::PerMove(2), surprise: 0.0 }
    }
}

impl RowSettings {
    /// Whether all searches are of full size.
    pub(super) fn all_full(&self) -> bool {
        self.full_share >= 1.0
    }

    /// The size of the next search. `rng`: of that ply, for this purpose alone.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> PlyKind {
        if rng.random::<f32>() < self.full_share { PlyKind::Full } else { PlyKind::Cheap }
    }

    /// What a search of that kind is made with, where a full one is made with `full`.
    pub(super) fn params(&self, kind: PlyKind, full: SearchParams) -> SearchParams {
        match kind {
            PlyKind::Cheap => SearchParams { simulations: self.cheap, ..full.without_exploration() },
            _ => full,
        }
    }
}

/// Deals out anew a share of a game's weights, to policy targets that surprise: w = (1 − a) t + a s Σt / Σs, with the weights t that they
/// had and the surprise s = t d + (1 − t) max(0, d − 1.5 D), where d is a target's divergence from the network's policy and D the mean of
/// d, weighted by t. The sum stays. Of a target whose divergence is not known, it is taken for D.
///
/// Nothing changes where there is less to deal out than one target's weight, and where nothing surprises.
pub(super) fn weigh<'a>(plies: impl Iterator<Item = &'a mut PlyNotes>, share: f32) {
    let share = f64::from(share);
    let mut rows: Vec<(&mut PlyNotes, f64, f64)> = plies
        .filter(|notes| notes.weight > 0.0)
        .map(|notes| {
            let (weight, divergence) = (notes.weight.into(), notes.divergence.into());
            (notes, weight, divergence)
        })
        .collect();
    let known = || rows.iter().filter(|(.., divergence)| !divergence.is_nan());
    let mean = known().map(|(_, weight, divergence)| weight * divergence).sum::<f64>()
        / known().map(|&(_, weight, _)| weight).sum::<f64>();
    for (_, weight, surprise) in &mut rows {
        let divergence = if surprise.is_nan() { mean } else { *surprise };
        *surprise = *weight * divergence + (1.0 - *weight).max(0.0) * (divergence - 1.5 * mean).max(0.0);
    }
    let weights: f64 = rows.iter().map(|&(_, weight, _)| weight).sum();
    let surprises: f64 = rows.iter().map(|&(.., surprise)| surprise).sum();
    // Without any divergence that is known, they are NaN.
    if weights < 1.0 || surprises.is_nan() || surprises <= 0.0 {
        return;
    }
    for (notes, weight, surprise) in rows {
        notes.weight = ((1.0 - share) * weight + share * surprise * weights / surprises) as f32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(weight: f32, divergence: f32) -> PlyNotes {
        PlyNotes { weight, divergence, ..PlyNotes::unknown(true) }
    }

    fn weights(mut plies: Vec<PlyNotes>, share: f32) -> Vec<f32> {
        weigh(plies.iter_mut(), share);
        plies.iter().map(|notes| notes.weight).collect()
    }

    #[test]
    fn half_of_the_weights_goes_by_surprise() {
        let plies = vec![row(1.0, 0.0), row(0.0, 9.0), row(1.0, 1.0), row(1.0, 3.0)];
        assert_eq!(weights(plies, 0.5), [0.5, 0.0, 0.5 + 0.375, 0.5 + 1.125]);
    }

    #[test]
    fn a_light_target_counts_by_what_surprises_beyond_the_others() {
        // D = (1 + 0.5 · 4) / 1.5 = 2; s = 1, and 0.5 · 4 + 0.5 · (4 − 3) = 2.5.
        assert_eq!(weights(vec![row(1.0, 1.0), row(0.5, 4.0)], 1.0), [1.5 / 3.5, 1.5 * 2.5 / 3.5]);
        // Below 1.5 D nothing is added to that.
        assert_eq!(weights(vec![row(1.0, 2.0), row(0.5, 2.0)], 1.0), [1.0, 0.5]);
    }

    #[test]
    fn what_is_not_known_counts_as_the_mean() {
        assert_eq!(weights(vec![row(1.0, 1.0), row(1.0, f32::NAN), row(1.0, 3.0)], 1.0), [0.5, 1.0, 1.5]);
        assert_eq!(weights(vec![row(1.0, f32::NAN), row(1.0, f32::NAN)], 1.0), [1.0, 1.0]);
    }

    #[test]
    fn nothing_changes_where_there_is_nothing_to_deal_out() {
        assert_eq!(weights(vec![row(0.5, 1.0), row(0.25, 2.0)], 1.0), [0.5, 0.25]);
        assert_eq!(weights(vec![row(1.0, 0.0), row(1.0, 0.0)], 1.0), [1.0, 1.0]);
        assert!(weights(vec![], 1.0).is_empty());
    }

    proptest! {
        #[test]
        fn the_sum_stays(
            rows in proptest::collection::vec((0.0f32..=1.0, 0.0f32..5.0), 1..60), share in 0.0f32..=1.0,
        ) {
            let before: f32 = rows.iter().map(|row| row.0).sum();
            let after: f32 = weights(rows.iter().map(|&(weight, divergence)| row(weight, divergence)).collect(), share).iter().sum();
            prop_assert!((before - after).abs() < 1e-3 * before.max(1.0), "{before} became {after}");
        }
    }
}
