//! Players, and how games end.

use serde::{Deserialize, Serialize};

/// One of the two sides. [`Player::First`] moves first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Player {
    /// Moves at plies 0, 2, 4, …
    First,
    /// Moves at plies 1, 3, 5, …
    Second,
}

impl Player {
    /// Both, the first player first.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];

    /// Who moves after `ply` plies.
    #[must_use]
    pub const fn at_ply(ply: u32) -> Self {
        if ply.is_multiple_of(2) { Self::First } else { Self::Second }
    }

    /// 0 for the first player, 1 for the second.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The other side.
    #[must_use]
    pub const fn opponent(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// How a game ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// This side won.
    Win(Player),
    /// Neither player won.
    Draw(Draw),
}

/// Why a game is a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draw {
    /// The rules call it one.
    Rule,
    /// Nobody had won when the step limit was reached.
    StepLimit,
    /// The side to move had no legal action, and the rules do not say what that means. A game whose players may have to pass has
    /// an action for it.
    NoLegalAction,
}

impl Outcome {
    /// +1 if `player` won, −1 if it lost, 0 for a draw.
    #[must_use]
    pub fn value_for(self, player: Player) -> f32 {
        match self {
            Self::Win(winner) if winner == player => 1.0,
            Self::Win(_) => -1.0,
            Self::Draw(_) => 0.0,
        }
    }

    /// Why the game ended, in the words of replay files. The step limit was the only draw when they began.
    #[must_use]
    pub const fn end_reason(self) -> &'static str {
        match self {
            Self::Win(_) => "win",
            Self::Draw(Draw::StepLimit) => "draw",
            Self::Draw(Draw::Rule) => "draw_by_rule",
            Self::Draw(Draw::NoLegalAction) => "no_legal_action",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_seen_from_each_side() {
        assert_eq!(Outcome::Win(Player::First).value_for(Player::First), 1.0);
        assert_eq!(Outcome::Win(Player::First).value_for(Player::Second), -1.0);
        assert_eq!(Outcome::Draw(Draw::Rule).value_for(Player::Second), 0.0);
    }
}
