//! What a network says of the outcome of a position: what is to be expected, and how likely a draw is.

use crate::lanes::softmax;

/// How likely a draw is, 0 to 1, the same from either player's view; unknown where the network does not say. Four bytes, as one of
/// them travels with every evaluation.
#[derive(Clone, Copy)]
pub struct DrawChance(f32);

impl DrawChance {
    /// Of a network without an output for it.
    pub const UNKNOWN: Self = Self(f32::NAN);

    /// Of a network that says so; NaN is unknown.
    #[must_use]
    pub const fn new(probability: f32) -> Self {
        Self(probability)
    }

    /// The probability, if it is known.
    #[must_use]
    pub fn known(self) -> Option<f32> {
        (!self.0.is_nan()).then_some(self.0)
    }

    /// The probability; NaN if it is unknown.
    #[must_use]
    pub const fn or_nan(self) -> f32 {
        self.0
    }
}

impl Default for DrawChance {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl PartialEq for DrawChance {
    /// What is unknown equals what is unknown.
    fn eq(&self, other: &Self) -> bool {
        self.known() == other.known()
    }
}

impl std::fmt::Debug for DrawChance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.known().fmt(f)
    }
}

/// What a position is worth, from the view of the side to move.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worth {
    /// Expected outcome: 1 is won, −1 is lost.
    pub value: f32,
    /// How likely a draw is.
    pub draw: DrawChance,
}

impl Worth {
    /// Of a network that gives a logit for each way the game can end for the side to move: won, drawn, lost. The value is the
    /// probability of a win less that of a loss; NaN where the logits make no probabilities (NaN or +∞ among them, or −∞ for all).
    #[must_use]
    pub fn win_draw_loss(logits: [f32; 3]) -> Self {
        let mut chances = logits;
        if !softmax(&mut chances) {
            return Self { value: f32::NAN, draw: DrawChance::UNKNOWN };
        }
        let [win, draw, loss] = chances;
        Self { value: win - loss, draw: DrawChance::new(draw) }
    }
}

impl From<f32> for Worth {
    /// A value alone.
    fn from(value: f32) -> Self {
        Self { value, draw: DrawChance::UNKNOWN }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_worth(logits: [f32; 3], value: f32, draw: f32) {
        let found = Worth::win_draw_loss(logits);
        assert!((found.value - value).abs() < 1e-6, "{logits:?}: {found:?}, not {value}");
        assert!((found.draw.or_nan() - draw).abs() < 1e-6, "{logits:?}: {found:?}, not {draw}");
    }

    #[test]
    fn the_value_is_what_is_to_be_expected_and_the_draw_what_is_left() {
        assert_worth([0.0, 0.0, 0.0], 0.0, 1.0 / 3.0);
        // Odds of 5 : 3 : 2.
        assert_worth([5f32.ln(), 3f32.ln(), 2f32.ln()], 0.3, 0.3);
        // Odds of 1 : 1 : 2.
        assert_worth([0.0, 0.0, 2f32.ln()], -0.25, 0.25);
        // By hand: e = 2.7182818, 1 + e + 1/e = 4.0861613.
        assert_worth([1.0, 0.0, -1.0], 0.575_210_4, 0.244_728_5);
    }

    #[test]
    fn large_logits_neither_overflow_nor_vanish() {
        assert_worth([1e4, 1e4, -1e4], 0.5, 0.5);
        assert_worth([-3e38, 0.0, 3e38], -1.0, 0.0);
        assert_worth([-1e4, -1e4, -1e4], 0.0, 1.0 / 3.0);
        assert_worth([0.0, f32::NEG_INFINITY, 0.0], 0.0, 0.0);
    }

    #[test]
    fn what_is_no_probability_has_no_value() {
        for wrong in [f32::NAN, f32::INFINITY] {
            for place in 0..3 {
                let mut logits = [0.5; 3];
                logits[place] = wrong;
                assert!(Worth::win_draw_loss(logits).value.is_nan(), "{wrong} at {place}");
            }
        }
        assert!(Worth::win_draw_loss([f32::NEG_INFINITY; 3]).value.is_nan());
    }

    #[test]
    fn an_unknown_chance_equals_itself_and_no_other() {
        assert_eq!(DrawChance::UNKNOWN, DrawChance::default());
        assert_ne!(DrawChance::UNKNOWN, DrawChance::new(0.0));
        assert_eq!(Worth::from(0.5), Worth { value: 0.5, draw: DrawChance::UNKNOWN });
        assert_eq!(size_of::<Worth>(), 8, "no more than a value and a probability");
    }
}
