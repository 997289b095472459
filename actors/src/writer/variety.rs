//! How different the games of one model version are: play that always goes the same way teaches nothing.

use selfplay_engine::Action;

use crate::{learning::Distinct, stats::Stats};

/// Games of a version that are looked at: 5 MiB of hashes.
const MOST_GAMES: u64 = 1 << 18;

/// Games of the newest version that games have finished of.
#[derive(Debug, Default)]
pub(super) struct Variety {
    version: Option<i64>,
    counted: u64,
    distinct: Distinct,
}

impl Variety {
    /// Counts a finished game, by the moves played, under the version it began with. Late games of older versions are left out.
    pub(super) fn add(&mut self, version: i64, actions: &[Action], stats: &Stats) {
        if self.version != Some(version) {
            // A trainer may go back to an older version.
            let newer = self.version.is_none_or(|newest| newest < version) || version == stats.model_version.get();
            if !newer {
                return;
            }
            *self = Self { version: Some(version), ..Self::default() };
        }
        if self.counted == MOST_GAMES {
            return;
        }
        self.counted += 1;
        let (is_new, _) = self.distinct.add(actions);
        stats.duplicate_games.add(u64::from(!is_new));
        stats.version_games.set_count(self.counted);
        stats.distinct_games.set_count(self.distinct.games());
        stats.distinct_openings.set_count(self.distinct.openings());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn games_are_told_apart_within_their_version() {
        let (mut variety, stats) = (Variety::default(), Stats::default());
        let mut add = |version: i64, actions: &[Action]| {
            variety.add(version, actions, &stats);
            let counts = stats.snapshot();
            (counts.version_games, counts.distinct_games, counts.distinct_openings, counts.duplicate_games)
        };
        let long: Vec<_> = (0..9).collect();
        assert_eq!(add(3, &[0, 3, 1, 4, 2]), (1, 1, 1, 0));
        assert_eq!(add(3, &[0, 3, 1, 4, 2]), (2, 1, 1, 1));
        assert_eq!(add(3, &long), (3, 2, 2, 1));
        assert_eq!(add(3, &[&long[..8], &[7]].concat()), (4, 3, 2, 1), "another end of the same opening");
        assert_eq!(add(4, &long), (1, 1, 1, 1), "a new version begins afresh");
        assert_eq!(add(3, &long), (1, 1, 1, 1), "a late game of the old one");
        stats.model_version.set(3);
        assert_eq!(add(3, &long), (1, 1, 1, 1), "the trainer went back");
        assert_eq!(add(3, &long), (2, 1, 1, 2));
    }
}
