//! Plies before the game that teaches begins, so that games differ.

use rand::{Rng, RngExt as _, distr::Distribution as _};
use rand_distr::Exp1;

use super::random::{Purpose, ply_rng};
use crate::game::{Action, ActionSet as _, Game};

/// How games begin. No ply of an opening is a policy target, and none ends the game.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OpeningSettings {
    /// Most random plies: each number up to that is equally likely.
    pub random_plies: u32,
    /// Mean of the number of plies after those that are drawn from the network's policy alone, before it is rounded down;
    /// the number is distributed exponentially (Wu 2019, "Accelerating self-play learning in Go", section 4).
    pub policy_plies: f32,
}

/// The number of plies of a game's opening: random ones, and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpeningPlies {
    random: u32,
    all: u32,
}

/// How a ply of an opening is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpeningPly {
    /// Evenly among the moves.
    Random,
    /// As the network's policy has it.
    Policy,
}

impl OpeningPlies {
    /// Those of the game with this number.
    pub(super) fn draw(settings: &OpeningSettings, seed: u64, index: u64) -> Self {
        let mut rng = ply_rng(seed, index, 0, Purpose::OpeningLength);
        let random = rng.random_range(0..=settings.random_plies);
        let policy: f32 = Exp1.sample(&mut rng);
        // As a number it saturates.
        Self { random, all: random.saturating_add((policy * settings.policy_plies) as u32) }
    }

    /// How the ply of this number is chosen, if it is one of them.
    pub(super) const fn ply(self, number: u32) -> Option<OpeningPly> {
        match number {
            _ if number < self.random => Some(OpeningPly::Random),
            _ if number < self.all => Some(OpeningPly::Policy),
            _ => None,
        }
    }
}

/// Legal moves after which the game goes on.
pub(super) fn moves<G: Game>(game: &G, state: &G::State) -> G::Actions {
    let mut moves = G::Actions::default();
    for action in game.legal_actions(state).iter() {
        let mut next = state.clone();
        game.play(&mut next, action);
        if game.outcome(&next).is_none() && !game.legal_actions(&next).is_empty() {
            moves.insert(action);
        }
    }
    moves
}

/// One of the moves, each as likely as its share of the sum of all; evenly where that is nothing. `None` without moves.
pub(super) fn choose(shares: &[(Action, f32)], rng: &mut impl Rng) -> Option<Action> {
    let last = shares.last()?;
    let sum: f64 = shares.iter().map(|&(_, share)| f64::from(share)).sum();
    if sum.is_nan() || sum <= 0.0 {
        return Some(shares[rng.random_range(0..shares.len())].0);
    }
    let mut left = rng.random::<f64>() * sum;
    let chosen = shares.iter().find(|&&(_, share)| {
        left -= f64::from(share);
        left < 0.0
    });
    Some(chosen.unwrap_or(last).0)
}
