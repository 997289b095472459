//! Records about the searches of finished games, one JSON file per model version and process (`--metrics-dir`): sums that a
//! trainer adds up over processes. Losing one costs no game, so a failure is a warning.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use selfplay_engine::{Action, Game, replay::GameRecord, search::SearchEffort};
use serde::Serialize;

use super::with_sources;
use crate::learning::Distinct;

/// Versions kept in memory: a game of an older one adds to no record any more.
const MOST_VERSIONS: usize = 8;

/// The file's contents. Names are those of the trainer's parallel producer.
#[derive(Debug, Serialize)]
struct Record {
    model_version: i64,
    pid: u32,
    /// Simulations, those that ended in a won game, and those that ended in a draw.
    sims: u64,
    terminal_wins: u64,
    truncations: u64,
    max_depth: u32,
    sum_depth: u64,
    /// Plies with a search behind them, and sums over them: entropy of the policy in nats, its largest share.
    moves: u64,
    sum_root_entropy: f64,
    sum_top_move_frac: f64,
    /// Sums over those plies: nodes of the tree, and those that were evaluated.
    sum_nodes: u64,
    sum_internal_nodes: u64,
    games_generated: u64,
    unique_full: usize,
    unique_opening: usize,
}

#[derive(Debug, Default)]
struct Sums {
    efforts: SearchEffort,
    moves: u64,
    entropy: f64,
    top_share: f64,
    games: u64,
    distinct: Distinct,
    /// Something was added since the file was written.
    changed: bool,
}

impl Sums {
    fn add<G: Game>(&mut self, game: &GameRecord<G>) {
        let (sum, effort) = (&mut self.efforts, &game.effort);
        sum.leaves.evaluated += effort.leaves.evaluated;
        sum.leaves.duplicate += effort.leaves.duplicate;
        sum.leaves.won += effort.leaves.won;
        sum.leaves.drawn += effort.leaves.drawn;
        sum.leaves.limited += effort.leaves.limited;
        sum.leaves.proven += effort.leaves.proven;
        sum.depth_sum += effort.depth_sum;
        sum.depth_max = sum.depth_max.max(effort.depth_max);
        sum.nodes += effort.nodes;
        sum.expanded += effort.expanded;
        for ply in game.plies.iter().filter(|ply| ply.is_searched()) {
            self.moves += 1;
            self.entropy += ply.policy_entropy();
            self.top_share += ply.top_share();
        }
        let actions: Vec<Action> = game.plies.iter().map(|ply| ply.action).collect();
        self.distinct.add(&actions);
        self.games += 1;
        self.changed = true;
    }
}

/// All records of a process. Without a directory it does nothing.
#[derive(Debug)]
pub(super) struct TrainerLog {
    dir: Option<PathBuf>,
    pid: u32,
    versions: BTreeMap<i64, Sums>,
}

impl TrainerLog {
    pub(super) fn new(dir: Option<PathBuf>, pid: u32) -> Self {
        Self { dir, pid, versions: BTreeMap::new() }
    }

    /// Counts a finished game under the version it began with. The first game of a new version writes the records so far.
    pub(super) fn add<G: Game>(&mut self, game: &GameRecord<G>) {
        if self.dir.is_none() {
            return;
        }
        let version = game.model_version;
        if !self.versions.contains_key(&version) {
            self.write();
            if self.versions.len() == MOST_VERSIONS
                && self.versions.first_key_value().is_some_and(|(&v, _)| v > version)
            {
                return;
            }
        }
        self.versions.entry(version).or_default().add(game);
        if self.versions.len() > MOST_VERSIONS {
            self.versions.pop_first();
        }
    }

    /// Writes every record that has changed.
    pub(super) fn write(&mut self) {
        let Some(dir) = &self.dir else { return };
        for (&version, sums) in self.versions.iter_mut().filter(|(_, sums)| sums.changed) {
            let SearchEffort { leaves, depth_sum, depth_max, nodes, expanded, .. } = sums.efforts;
            let record = Record {
                model_version: version,
                pid: self.pid,
                sims: leaves.total(),
                terminal_wins: leaves.won,
                truncations: leaves.drawn + leaves.limited,
                max_depth: depth_max,
                sum_depth: depth_sum,
                moves: sums.moves,
                sum_root_entropy: sums.entropy,
                sum_top_move_frac: sums.top_share,
                sum_nodes: nodes,
                sum_internal_nodes: expanded,
                games_generated: sums.games,
                unique_full: sums.distinct.games(),
                unique_opening: sums.distinct.openings(),
            };
            match write_record(dir, &record) {
                Ok(()) => sums.changed = false,
                Err(error) => {
                    let reason = with_sources(&error);
                    tracing::warn!(dir = %dir.display(), version, reason, "cannot write the metrics record");
                }
            }
        }
    }
}

/// Writes the file beside its place and renames it.
fn write_record(dir: &Path, record: &Record) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(format!("v{}_pid{}.json", record.model_version, record.pid));
    let temporary = path.with_extension("json.tmp");
    fs::write(&temporary, serde_json::to_vec(record)?)?;
    fs::rename(&temporary, &path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use selfplay_engine::{
        Evaluations, Evaluator as _,
        evaluation::UniformEvaluator,
        games::{quoridor::Quoridor, tictactoe::TicTacToe},
        search::SpareTree,
        selfplay::{Agent, Progress, SelfPlayGame},
    };
    use serde_json::Value;

    use super::*;
    use crate::testing::play_settings;

    /// A game of tic-tac-toe with `n` simulations a move, begun under model `version`.
    fn game(n: u32, index: u64, version: i64) -> GameRecord<TicTacToe> {
        play(TicTacToe, n, index, version)
    }

    fn play<G: Game>(rules: G, n: u32, index: u64, version: i64) -> GameRecord<G> {
        let mut game = SelfPlayGame::new(rules, Arc::new(play_settings(n, Agent::Search)), 1, index);
        let (mut leaves, mut spare, mut evaluations) = (Vec::new(), SpareTree::default(), Evaluations::default());
        loop {
            leaves.clear();
            if let Progress::Finished(record) = game.advance(&mut leaves, &mut spare) {
                return record;
            }
            UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
            game.apply(&evaluations, 1, version);
        }
    }

    fn read(dir: &Path, version: i64) -> Value {
        serde_json::from_slice(&fs::read(dir.join(format!("v{version}_pid7.json"))).unwrap()).unwrap()
    }

    #[test]
    fn a_version_s_record_adds_up_its_games_and_is_written_when_the_next_one_comes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TrainerLog::new(Some(dir.path().join("new")), 7);
        let games = [game(50, 0, 3), game(50, 1, 3), game(50, 1, 3)];
        games.iter().for_each(|game| log.add(game));
        assert!(!dir.path().join("new").exists());
        log.add(&game(50, 2, 4));

        let dir = dir.path().join("new");
        let record = read(&dir, 3);
        let plies: usize = games.iter().map(|game| game.plies.len()).sum();
        assert_eq!(
            (&record["model_version"], &record["pid"], &record["games_generated"]),
            (&3.into(), &7.into(), &3.into())
        );
        assert_eq!(record["moves"], plies);
        assert_eq!(record["sims"], 50 * plies);
        assert_eq!(record["unique_full"], 2, "the second and the third are the same");
        let (entropy, top) =
            (record["sum_root_entropy"].as_f64().unwrap(), record["sum_top_move_frac"].as_f64().unwrap());
        assert!(entropy > 0.0 && entropy < plies as f64 * 9f64.ln(), "{entropy}");
        assert!(top > plies as f64 / 9.0 && top <= plies as f64, "{top}");
        assert!(record["terminal_wins"].as_u64().unwrap() > 0);
        assert!((2..=9).contains(&record["max_depth"].as_u64().unwrap()));
        assert!(record["sum_internal_nodes"].as_u64() < record["sum_nodes"].as_u64());
        assert!(!dir.join("v4_pid7.json").exists(), "it is written when it ends");

        // A late game of the old version adds to its record.
        log.add(&game(50, 3, 3));
        log.write();
        assert_eq!((&read(&dir, 3)["games_generated"], &read(&dir, 4)["games_generated"]), (&4.into(), &1.into()));
    }

    #[test]
    fn simulations_that_end_at_the_step_limit_count_as_those_that_end_in_another_draw() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TrainerLog::new(Some(dir.path().into()), 7);
        let game = play(Quoridor::new(3, 0, Some(3)).unwrap(), 50, 0, 3);
        log.add(&game);
        log.write();
        let (record, leaves) = (read(dir.path(), 3), game.effort.leaves);
        assert!(leaves.limited > 0, "{leaves:?}");
        assert_eq!((&record["sims"], &record["truncations"]), (&leaves.total().into(), &leaves.limited.into()));
    }

    #[test]
    fn without_a_directory_nothing_is_kept() {
        let mut log = TrainerLog::new(None, 7);
        log.add(&game(10, 0, 0));
        assert!(log.versions.is_empty());
    }

    #[test]
    fn memory_is_bounded_in_versions() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TrainerLog::new(Some(dir.path().to_owned()), 7);
        (0..20).for_each(|version| log.add(&game(5, 0, version)));
        log.add(&game(5, 0, 2));
        assert_eq!(log.versions.len(), MOST_VERSIONS);
        assert_eq!(read(dir.path(), 2)["games_generated"], 1);
    }
}
