//! Less effort for games that are decided.

use crate::{
    game::{Game, Player},
    replay::PlyRecord,
    search::Simulations,
};

/// Plies that both players must agree for.
const PLIES: usize = 3;

/// Once both players have agreed for three plies that one of them wins, moves get fewer simulations and weigh less as policy targets,
/// the more so the surer they are (KataGo, `reduceVisits`). The game is played to its end all the same, so its result is no guess.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftResign {
    /// The value, 0 to below 1, from the winner's view, from which on effort shrinks.
    pub value: f32,
    /// Simulations of a move in a game that is as good as over; never more than others get.
    pub simulations: u32,
    /// Weight of such a move as a policy target, 0 to 1.
    pub weight: f32,
}

impl SoftResign {
    /// How decided the game is after these plies: 0 for not at all to 1, by a square, so that effort shrinks late.
    fn decided<G: Game>(&self, plies: &[PlyRecord<G>]) -> f32 {
        let Some(last) = plies.last_chunk::<PLIES>() else { return 0.0 };
        // For the first player.
        let value = |ply: &PlyRecord<G>| {
            let sign = if ply.player == Player::First { 1.0 } else { -1.0 };
            ply.worth_to_mover().map_or(0.0, |_| sign * ply.root_value)
        };
        let [least, most] =
            last.iter().map(value).fold([1.0_f32, -1.0], |[least, most], value| [least.min(value), most.max(value)]);
        let agreed = least.max(-most);
        ((agreed - self.value) / (1.0 - self.value)).clamp(0.0, 1.0).powi(2)
    }

    /// Simulations of the next move, which has `legal` legal actions and would have `usual` simulations.
    pub(super) fn simulations<G: Game>(&self, plies: &[PlyRecord<G>], usual: Simulations, legal: usize) -> Simulations {
        let decided = self.decided(plies);
        if decided == 0.0 {
            return usual;
        }
        let usual = usual.at_root(legal);
        let spared = decided * usual.saturating_sub(self.simulations) as f32;
        Simulations::PerMove(usual - spared as u32)
    }

    /// Weight of the next move.
    pub(super) fn weight<G: Game>(&self, plies: &[PlyRecord<G>]) -> f32 {
        1.0 + self.decided(plies) * (self.weight - 1.0)
    }
}
