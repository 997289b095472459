//! What the games of each model version teach: sums over finished games, from which length, results, policies, values and variety follow.
//! The writer adds each game once; whoever keeps the sums takes them. Plain state.
//!
//! A game belongs to the model of most of its plies; of equals to the newest. Those of an opening do not count, which no model chose.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use selfplay_engine::{
    Action, Game, Outcome, Player,
    game::{ActionSet as _, Draw},
    replay::{Ending, GameRecord, PlyKind, PlyRecord},
};
use serde::{Deserialize, Serialize};

/// Plies that make an opening.
const OPENING_PLIES: usize = 8;
/// Bins of values from −1 to 1.
pub const BINS: usize = 10;
/// Versions whose games are told apart, those played last; a late game of another counts as new.
const TOLD_APART: usize = 4;
/// Games of a version that are told apart: 2 MiB of hashes.
const MOST_HASHES: usize = 1 << 16;
/// Versions of which sums wait to be taken.
const MOST_WAITING: usize = 64;
/// A move with so much of a target leaves nothing for the others.
const CERTAIN: f64 = 0.99;

/// Values of one bin, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ValueBin {
    /// Plies.
    pub count: u64,
    /// Sum of the search's values.
    pub value: f64,
    /// Sum of the results of their games, from the mover's view.
    pub result: f64,
}

/// Sums over the finished games of one model version. They add up over processes and time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VersionSums {
    /// Finished games.
    pub games: u64,
    /// Those that the first player won.
    pub won_first: u64,
    /// Those that the second player won.
    pub won_second: u64,
    /// Those that ended at the step limit.
    pub step_limit: u64,
    /// Plies.
    pub plies: u64,
    /// Plies with a search behind them.
    pub searched: u64,
    /// Those of them with a search of full size.
    pub full: u64,
    /// Simulations of these games' searches.
    pub simulations: u64,
    /// Sum over simulations of the plies between root and leaf.
    pub depth: u64,
    /// Policy targets of positions in which there is something to choose.
    pub targets: u64,
    /// Sum of their entropies, in nats.
    pub entropy: f64,
    /// Sum of their entropies, each as a share of that of equal chances.
    pub entropy_share: f64,
    /// Those in which one move has at least 99%.
    pub one_hot: u64,
    /// Policy targets whose divergence from the network's policy is known.
    pub divergences: u64,
    /// Sum of these, in nats.
    pub divergence: f64,
    /// Plies whose value by the search can be compared with the result of their game.
    pub values: u64,
    /// Sum of the squares of the differences.
    pub value_error: f64,
    /// The same of what the network says by itself.
    pub raw_values: u64,
    /// Sum of the squares of the differences.
    pub raw_error: f64,
    /// Sum over [`Self::values`] of the result for the first player.
    pub result: f64,
    /// Sum of its squares.
    pub result_squared: f64,
    /// Values by the search from −1 to 1, in bins of equal width.
    pub bins: [ValueBin; BINS],
    /// Games that were told apart from others of their version, within one process.
    pub told_apart: u64,
    /// Distinct ones among them.
    pub distinct_games: u64,
    /// Distinct openings of theirs.
    pub distinct_openings: u64,
}

impl VersionSums {
    /// Adds the sums of other games.
    pub fn merge(&mut self, other: &Self) {
        for (own, its) in [
            (&mut self.games, other.games),
            (&mut self.won_first, other.won_first),
            (&mut self.won_second, other.won_second),
            (&mut self.step_limit, other.step_limit),
            (&mut self.plies, other.plies),
            (&mut self.searched, other.searched),
            (&mut self.full, other.full),
            (&mut self.simulations, other.simulations),
            (&mut self.depth, other.depth),
            (&mut self.targets, other.targets),
            (&mut self.one_hot, other.one_hot),
            (&mut self.divergences, other.divergences),
            (&mut self.values, other.values),
            (&mut self.raw_values, other.raw_values),
            (&mut self.told_apart, other.told_apart),
            (&mut self.distinct_games, other.distinct_games),
            (&mut self.distinct_openings, other.distinct_openings),
        ] {
            *own = own.saturating_add(its);
        }
        for (own, its) in [
            (&mut self.entropy, other.entropy),
            (&mut self.entropy_share, other.entropy_share),
            (&mut self.divergence, other.divergence),
            (&mut self.value_error, other.value_error),
            (&mut self.raw_error, other.raw_error),
            (&mut self.result, other.result),
            (&mut self.result_squared, other.result_squared),
        ] {
            *own += its;
        }
        for (own, its) in self.bins.iter_mut().zip(&other.bins) {
            own.count = own.count.saturating_add(its.count);
            own.value += its.value;
            own.result += its.result;
        }
    }

    fn add<G: Game>(&mut self, game: &GameRecord<G>) {
        self.games += 1;
        match game.outcome {
            Outcome::Win(Player::First) => self.won_first += 1,
            Outcome::Win(Player::Second) => self.won_second += 1,
            Outcome::Draw(Draw::StepLimit) => self.step_limit += 1,
            Outcome::Draw(Draw::Rule | Draw::NoLegalAction) => {}
        }
        self.plies += game.plies.len() as u64;
        self.simulations += game.effort.leaves.total();
        self.depth += game.effort.depth_sum;
        for ply in &game.plies {
            if ply.is_searched() {
                self.add_searched(ply);
                // Players resign by their values, so that the result of such a game is no test of them.
                if game.ending != Ending::Resigned {
                    self.add_value(ply, game.outcome);
                }
            }
        }
    }

    fn add_searched<G: Game>(&mut self, ply: &PlyRecord<G>) {
        self.searched += 1;
        self.full += u64::from(ply.notes.kind == PlyKind::Full);
        let choices = ply.leaf.legal.len();
        if !ply.is_row() || choices < 2 {
            return;
        }
        let entropy = ply.policy_entropy();
        self.targets += 1;
        self.entropy += entropy;
        self.entropy_share += entropy / (choices as f64).ln();
        self.one_hot += u64::from(ply.top_share() >= CERTAIN);
        let divergence = f64::from(ply.notes.divergence);
        if divergence.is_finite() {
            self.divergences += 1;
            self.divergence += divergence;
        }
    }

    fn add_value<G: Game>(&mut self, ply: &PlyRecord<G>, outcome: Outcome) {
        let result = f64::from(outcome.value_for(ply.player));
        let [value, raw] = [ply.root_value, ply.notes.raw_value].map(f64::from);
        if value.is_finite() {
            let first = f64::from(outcome.value_for(Player::First));
            self.values += 1;
            self.value_error += (value - result).powi(2);
            self.result += first;
            self.result_squared += first * first;
            let bin = &mut self.bins[(((value + 1.0) / 2.0 * BINS as f64) as usize).min(BINS - 1)];
            bin.count += 1;
            bin.value += value;
            bin.result += result;
        }
        if raw.is_finite() {
            self.raw_values += 1;
            self.raw_error += (raw - result).powi(2);
        }
    }
}

/// The model that a game belongs to.
fn version_of<G: Game>(game: &GameRecord<G>) -> i64 {
    let mut plies = BTreeMap::<i64, usize>::new();
    for ply in game.plies.iter().filter(|ply| ply.notes.kind != PlyKind::Opening) {
        *plies.entry(ply.model_version).or_default() += 1;
    }
    plies
        .into_iter()
        .max_by_key(|&(version, count)| (count, version))
        .map_or(game.model_version, |(version, _)| version)
}

/// Games that are told apart by the moves played, as hashes of these.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    games: HashSet<u64>,
    openings: HashSet<u64>,
}

impl Distinct {
    /// Adds a game: whether it is new, and whether its opening is.
    pub(crate) fn add(&mut self, actions: &[Action]) -> (bool, bool) {
        let opening = &actions[..actions.len().min(OPENING_PLIES)];
        (self.games.insert(hash(actions)), self.openings.insert(hash(opening)))
    }

    /// How many games are distinct.
    pub(crate) fn games(&self) -> usize {
        self.games.len()
    }

    /// How many openings are.
    pub(crate) fn openings(&self) -> usize {
        self.openings.len()
    }
}

fn hash(actions: &[Action]) -> u64 {
    let mut hasher = DefaultHasher::new();
    actions.hash(&mut hasher);
    hasher.finish()
}

#[derive(Debug, Default)]
struct Waiting {
    sums: BTreeMap<i64, VersionSums>,
    /// By version, that of the last game at the end.
    told: Vec<(i64, Distinct)>,
}

impl Waiting {
    /// Games of `version`, in the place of those of the version that was not played for the longest time.
    fn told_of(&mut self, version: i64) -> &mut Distinct {
        let known = self.told.iter().position(|&(told, _)| told == version);
        let told = known.map_or_else(|| (version, Distinct::default()), |place| self.told.remove(place));
        if self.told.len() == TOLD_APART {
            self.told.remove(0);
        }
        self.told.push(told);
        let last = self.told.len() - 1;
        &mut self.told[last].1
    }
}

/// What was learned of since it was last taken. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Lessons(Mutex<Waiting>);

impl Lessons {
    /// Adds a finished game.
    pub fn add<G: Game>(&self, game: &GameRecord<G>) {
        let version = version_of(game);
        let actions: Vec<_> = game.plies.iter().map(|ply| ply.action).collect();
        let mut waiting = self.lock();
        let told = waiting.told_of(version);
        let is_new = (told.games() < MOST_HASHES).then(|| told.add(&actions));
        let sums = waiting.sums.entry(version).or_default();
        sums.add(game);
        if let Some((game, opening)) = is_new {
            sums.told_apart += 1;
            sums.distinct_games += u64::from(game);
            sums.distinct_openings += u64::from(opening);
        }
        while waiting.sums.len() > MOST_WAITING {
            waiting.sums.pop_first();
        }
    }

    /// What came since the last call, by version.
    #[must_use]
    pub fn take(&self) -> BTreeMap<i64, VersionSums> {
        std::mem::take(&mut self.lock().sums)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use selfplay_engine::{
        Evaluations, Evaluator as _,
        evaluation::UniformEvaluator,
        games::tictactoe::TicTacToe,
        search::SpareTree,
        selfplay::{Agent, Progress, SelfPlayGame},
    };

    use super::*;
    use crate::testing::play_settings;

    /// A game of tic-tac-toe with 50 simulations a move; `version` says which model answers the n-th time.
    fn game(index: u64, version: impl Fn(usize) -> i64) -> GameRecord<TicTacToe> {
        let mut game = SelfPlayGame::new(TicTacToe, Arc::new(play_settings(50, Agent::Search)), 1, index);
        let (mut leaves, mut spare, mut evaluations) = (Vec::new(), SpareTree::default(), Evaluations::default());
        for asked in 0.. {
            leaves.clear();
            if let Progress::Finished(record) = game.advance(&mut leaves, &mut spare) {
                return record;
            }
            UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
            let version = version(asked);
            game.apply(&evaluations, version as u64 + 1, version);
        }
        unreachable!()
    }

    #[test]
    fn sums_are_those_of_the_games() {
        let lessons = Lessons::default();
        let games = [game(0, |_| 3), game(1, |_| 3), game(1, |_| 3)];
        games.iter().for_each(|game| lessons.add(game));
        let taken = lessons.take();
        let sums = &taken[&3];
        let plies: usize = games.iter().map(|game| game.plies.len()).sum();
        assert_eq!(
            (taken.len(), sums.games, sums.plies, sums.searched, sums.full),
            (1, 3, plies as u64, plies as u64, plies as u64)
        );
        assert_eq!((sums.told_apart, sums.distinct_games, sums.distinct_openings), (3, 2, 2));
        let won = games.iter().filter(|game| game.outcome == Outcome::Win(Player::First)).count();
        assert_eq!(sums.won_first, won as u64);
        assert_eq!(sums.values, plies as u64);
        let error: f64 = games
            .iter()
            .flat_map(|game| {
                game.plies.iter().map(|ply| f64::from(ply.root_value - game.outcome.value_for(ply.player)).powi(2))
            })
            .sum();
        assert!((sums.value_error - error).abs() < 1e-6, "{sums:?}");
        assert_eq!(sums.bins.iter().map(|bin| bin.count).sum::<u64>(), sums.values);
        // The last move of nine is no choice.
        assert!(sums.targets < sums.searched || games.iter().all(|game| game.plies.len() < 9));
        let mean = sums.entropy_share / sums.targets as f64;
        assert!(mean > 0.0 && mean < 1.0 && sums.divergence > 0.0, "{sums:?}");
        assert!(lessons.take().is_empty(), "it is taken once");
        lessons.add(&games[0]);
        assert_eq!(
            (lessons.take()[&3].distinct_games, sums.depth > sums.simulations),
            (0, true),
            "it was there before"
        );
    }

    #[test]
    fn a_game_belongs_to_the_model_of_most_of_its_plies() {
        let lessons = Lessons::default();
        let mut played = game(0, |_| 3);
        let count = played.plies.len();
        played.plies.iter_mut().skip(count / 2 + 1).for_each(|ply| ply.model_version = 4);
        lessons.add(&played);
        assert_eq!(lessons.take().into_keys().collect::<Vec<_>>(), [3]);
        played.plies.iter_mut().skip(1).for_each(|ply| ply.model_version = 4);
        played.plies[1].notes.kind = PlyKind::Opening;
        lessons.add(&played);
        assert_eq!(lessons.take().into_keys().collect::<Vec<_>>(), [4]);
        played.plies.truncate(2);
        played.plies[1].notes.kind = PlyKind::Full;
        lessons.add(&played);
        assert_eq!(lessons.take().into_keys().collect::<Vec<_>>(), [4], "of equals the newest");
    }

    #[test]
    fn sums_add_up_and_can_be_read_by_those_who_know_fewer_or_more() {
        let lessons = Lessons::default();
        lessons.add(&game(0, |_| 3));
        let one = lessons.take().remove(&3).unwrap();
        let mut both = one.clone();
        both.merge(&one);
        lessons.add(&game(0, |_| 3));
        lessons.add(&game(0, |_| 3));
        let twice = lessons.take().remove(&3).unwrap();
        assert_eq!((both.games, both.values, both.bins[5].count), (twice.games, twice.values, twice.bins[5].count));
        assert!((both.value_error - twice.value_error).abs() < 1e-9 && (both.entropy - twice.entropy).abs() < 1e-9);
        let mut json = serde_json::to_value(&one).unwrap();
        assert_eq!(serde_json::from_value::<VersionSums>(json.clone()).unwrap(), one);
        json["later"] = 1.into();
        json.as_object_mut().unwrap().remove("full");
        assert_eq!(serde_json::from_value::<VersionSums>(json).unwrap(), VersionSums { full: 0, ..one });
    }

    #[test]
    fn games_of_a_trainer_that_goes_back_are_told_apart_too() {
        let lessons = Lessons::default();
        let mut played = game(0, |_| 0);
        for version in [7, 8, 9, 10, 0, 0, 10, 0] {
            played.plies.iter_mut().for_each(|ply| ply.model_version = version);
            lessons.add(&played);
        }
        let taken = lessons.take();
        let told = |version| (taken[&version].told_apart, taken[&version].distinct_games);
        assert_eq!((told(0), told(10)), ((3, 1), (2, 1)));
    }

    #[test]
    fn memory_is_bounded_in_versions() {
        let lessons = Lessons::default();
        let mut played = game(0, |_| 0);
        for version in 0..200 {
            played.plies.iter_mut().for_each(|ply| ply.model_version = version);
            lessons.add(&played);
        }
        let told = lessons.lock().told.len();
        assert_eq!((told, lessons.take().len()), (TOLD_APART, MOST_WAITING));
    }
}
