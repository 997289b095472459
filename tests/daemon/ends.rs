//! Games that begin or end otherwise than the rules have it.

use std::path::Path;

use selfplay_engine::{
    Game as _, Player,
    games::connect_four::ConnectFour,
    replay::{GameResult, ReadGame},
    solve::{Class, ConnectFourSolver, Solver as _},
};
use tempfile::TempDir;

use crate::{daemon::Daemon, games};

/// All games of a run of `game`; its log.
fn played(game: &str, dir: &Path, settings: &[(&str, &str)], args: &str) -> (Vec<ReadGame>, String) {
    let daemon = Daemon::new().option("--game", game).option("--output-dir", dir).args(args);
    let daemon = settings.iter().fold(daemon, |daemon, (name, value)| daemon.env(name, value));
    let ended = daemon.run().succeeded();
    (games::archives(dir).iter().map(|npz| ReadGame::open(npz).unwrap()).collect(), ended.log)
}

fn ended_by<'a>(games: &'a [ReadGame], reason: &'a str) -> impl Iterator<Item = &'a ReadGame> {
    games.iter().filter(move |game| game.metadata.end_reason.as_deref() == Some(reason))
}

#[test]
fn adjudicated_games_have_the_result_of_perfect_play() {
    let dir = TempDir::new().unwrap();
    let settings = [("SELFPLAYD__PLAY__ADJUDICATE", "true"), ("SELFPLAYD__SEARCH__MCTS_N", "16")];
    let (games, _) = played("connect_four", dir.path(), &settings, "--evaluator hash --num-games 40 --seed 7");
    let rules = ConnectFour::default();
    let mut solver = ConnectFourSolver::new(rules, u64::MAX);
    let mut adjudicated = 0;
    for game in ended_by(&games, "adjudicated") {
        let mut state = rules.start();
        game.all.as_ref().unwrap().actions.iter().for_each(|&action| rules.play(&mut state, action as u16));
        assert_eq!(rules.outcome(&state), None, "the rules have not ended it");
        let expected = match (solver.class(&state).unwrap(), rules.side_to_move(&state)) {
            (Class::Draw, _) => GameResult::Draw,
            (Class::Win, Player::First) | (Class::Loss, Player::Second) => GameResult::First,
            (Class::Win, Player::Second) | (Class::Loss, Player::First) => GameResult::Second,
        };
        assert_eq!(game.metadata.result, Some(expected));
        adjudicated += 1;
    }
    assert!(games.len() == 40 && adjudicated > 5, "{adjudicated} of {}", games.len());
}

#[test]
fn players_resign_once_enough_games_were_played_on() {
    let dir = TempDir::new().unwrap();
    let settings = [
        ("SELFPLAYD__PLAY__RESIGN", "true"),
        ("SELFPLAYD__PLAY__RESIGN_PLAYED_ON", "0.5"),
        ("SELFPLAYD__SEARCH__MCTS_N", "40"),
    ];
    let args = "--evaluator uniform --num-games 500 --seed 3 --games-per-process 8";
    let (games, log) = played("tic_tac_toe", dir.path(), &settings, args);
    let mut resigned = 0;
    for game in ended_by(&games, "resigned") {
        let threshold = game.metadata.resign_threshold.unwrap();
        assert!((-1.0..=-0.5).contains(&threshold) && game.metadata.no_resign == Some(false), "{:?}", game.metadata);
        // Who moved last saw too little, and lost.
        let all = game.all.as_ref().unwrap();
        let last = all.len() - 1;
        assert!(all.root_values[last] < threshold && all.best_values[last] < threshold);
        assert_eq!(game.metadata.would_resign_ply, Some(last as u32));
        assert_eq!(game.metadata.result, Some([GameResult::Second, GameResult::First][last % 2]));
        resigned += 1;
    }
    assert!(games.len() == 500 && resigned > 0, "{log}");
    assert!(games.iter().filter(|game| game.metadata.no_resign == Some(true)).count() > 100);
}

#[test]
fn plies_of_the_opening_are_told_and_are_no_rows() {
    let dir = TempDir::new().unwrap();
    let settings = [
        ("SELFPLAYD__PLAY__OPENING_RANDOM_PLIES", "4"),
        ("SELFPLAYD__PLAY__OPENING_POLICY_PLIES", "2"),
        ("SELFPLAYD__SEARCH__MCTS_N", "8"),
    ];
    let (games, _) = played("connect_four", dir.path(), &settings, "--evaluator hash --num-games 30 --seed 7");
    let mut lengths = Vec::new();
    for game in &games {
        let all = game.all.as_ref().unwrap();
        let opening = all.kinds.iter().take_while(|&&kind| kind == 3).count();
        assert!(all.kinds.iter().skip(opening).all(|&kind| kind == 1));
        assert_eq!(game.metadata.opening_plies.unwrap_or(0), opening as u64);
        assert_eq!((game.rows() + opening, game.metadata.game_length), (all.len(), game.rows() as u64));
        lengths.push(opening);
    }
    lengths.sort_unstable();
    lengths.dedup();
    assert!(games.len() == 30 && lengths.len() > 3, "{lengths:?}");
}
