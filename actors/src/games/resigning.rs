//! From which value on players resign: low enough that it would rarely have been wrong in the games that were played on.
//! Plain state: no actor.

use std::collections::VecDeque;

use selfplay_engine::selfplay::NEVER_RESIGNS;

/// Games that were played on without which no one resigns: five percent of fewer are no figure.
const LEAST: usize = 100;
/// Games that are kept: later models see other values.
const MOST: usize = 1000;
/// A player who sees three losses in four does not resign yet, whatever the games say.
const HIGHEST: f32 = -0.5;

/// What the games of this process that were played on have taught. A restart begins anew, and so with no one resigning.
#[derive(Debug, Default)]
pub(super) struct Resigning {
    /// Of each game, the newest last: the least that a player saw who did not lose.
    lowest: VecDeque<f32>,
}

impl Resigning {
    /// A game was played on, and a player who did not lose saw this at least.
    pub(super) fn learn(&mut self, lowest_unbeaten: f32) {
        self.lowest.push_back(lowest_unbeaten);
        if self.lowest.len() > MOST {
            self.lowest.pop_front();
        }
    }

    /// The value below which players resign: the largest below which no more than this share of the games had a player who did not
    /// lose.
    pub(super) fn threshold(&self, most_wrong: f32) -> f32 {
        if self.lowest.len() < LEAST {
            return NEVER_RESIGNS;
        }
        let mut sorted: Vec<f32> = self.lowest.iter().copied().collect();
        sorted.sort_by(f32::total_cmp);
        let wrong = (most_wrong * sorted.len() as f32) as usize;
        sorted.get(wrong).map_or(HIGHEST, |&value| value.min(HIGHEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taught(values: impl IntoIterator<Item = f32>) -> Resigning {
        let mut resigning = Resigning::default();
        values.into_iter().for_each(|value| resigning.learn(value));
        resigning
    }

    #[test]
    fn before_a_hundred_games_no_one_resigns() {
        assert_eq!(taught([-0.9; LEAST - 1]).threshold(0.05), NEVER_RESIGNS);
        assert_ne!(taught([-0.9; LEAST]).threshold(0.05), NEVER_RESIGNS);
    }

    #[test]
    fn no_more_than_the_share_of_games_would_have_been_given_away() {
        let values: Vec<f32> = (0..400).map(|game| -0.5 - 0.5 * (game as f32 * 0.618).fract()).collect();
        for most_wrong in [0.0, 0.01, 0.05, 0.2] {
            let threshold = taught(values.iter().copied()).threshold(most_wrong);
            let wrong = values.iter().filter(|&&value| value < threshold).count();
            assert_eq!(wrong, (most_wrong * 400.0) as usize, "{most_wrong}: below {threshold}");
        }
        assert_eq!(taught(values).threshold(1.0), HIGHEST);
    }

    #[test]
    fn values_near_even_are_no_reason_to_resign_and_old_games_are_forgotten() {
        assert_eq!(taught([0.25; 200]).threshold(0.05), HIGHEST);
        let mut resigning = taught([-1.0; MOST]);
        assert_eq!(resigning.threshold(0.05), -1.0);
        (0..MOST).for_each(|_| resigning.learn(-0.75));
        assert_eq!((resigning.threshold(0.05), resigning.lowest.len()), (-0.75, MOST));
    }
}
