//! Games that were played, told of as game actors do.

use selfplay_engine::{Game as _, game::Notation as _, games::quoridor::Quoridor, replay::GameRecord};
use serde_json::json;

use super::*;
use crate::testing::{SEED, played, rules};

const fn key(slot: usize, index: u64) -> GameKey {
    GameKey { slot, seed: SEED, index }
}

/// Tells of the whole of a game.
fn tell(hook: &GameHook<Quoridor>, slot: usize, record: &GameRecord<Quoridor>) {
    hook(key(slot, record.index), &GameNews::Begun(&[]));
    (1..=record.plies.len()).for_each(|ply| hook(key(slot, record.index), &GameNews::Played(&record.plies[..ply])));
    hook(key(slot, record.index), &GameNews::Over(Some(record.outcome)));
}

#[test]
fn a_game_is_in_play_until_it_is_over_and_then_among_the_recent_ones() {
    let (live, record) = (LiveGames::new(rules()), played(12));
    let hook = live.hook();
    assert_eq!((live.games(0, usize::MAX).games, live.game(2)), (Vec::new(), None));
    assert!(!live.has_slot(2));
    hook(key(2, 12), &GameNews::Begun(&[]));
    let begun = serde_json::to_value(live.games(0, usize::MAX)).unwrap();
    let expected = json!({
        "slot": 2, "game": 12, "seed": "3", "ply": 0, "to_move": 0, "value": null, "model": null, "last": null,
        "last_mark": null, "walls": [], "beside": ["2 walls left", "2 walls left"],
        "stones": rules().pieces(&rules().start()).stones,
    });
    let title = "quoridor(board_size=5,max_walls=2,max_steps=30)";
    let of_all = json!({ "rules": title, "board": rules().board(), "total": 1, "offset": 0, "games": [expected] });
    assert_eq!(begun, of_all);

    for ply in 1..=record.plies.len() {
        hook(key(2, 12), &GameNews::Played(&record.plies[..ply]));
        let (list, view) = (live.games(0, usize::MAX), live.game(2).unwrap());
        let (now, present) = (&list.games[0], view.plies.last().unwrap());
        assert_eq!((now.ply, now.to_move, &now.pieces), (ply, present.player, &present.pieces));
        assert_eq!((view.plies.len(), view.result), (ply + 1, None));
        assert_eq!(now.last, view.plies[ply - 1].action);
    }
    assert!(live.recent().games.is_empty());
    let view = live.game(2).unwrap();
    hook(key(2, 12), &GameNews::Over(Some(record.outcome)));
    assert!(live.games(0, usize::MAX).games.is_empty() && live.game(2).is_none());
    assert!(live.has_slot(2), "between two games");

    let recent = &live.recent().games[0];
    let result = result_name(record.outcome);
    assert_eq!((recent.id.as_str(), recent.game, recent.plies), ("3-12", 12, record.plies.len()));
    assert_eq!((recent.result, recent.model), (result, Some(record.plies[0].model_version)));
    assert_eq!(live.recent_game("3-12"), Some(GameView { result: Some(result), ..view }));
    for unknown in ["", "3", "3-13", "4-12", "3-12-1", "x-12", "3-"] {
        assert_eq!(live.recent_game(unknown), None, "{unknown}");
    }
}

#[test]
fn many_games_come_in_pages() {
    let live = LiveGames::new(rules());
    let hook = live.hook();
    for slot in [0, 1, 3, 4, 7] {
        hook(key(slot, slot as u64), &GameNews::Begun(&[]));
    }
    let page = |offset, limit| {
        let GamesInPlay { total, offset, games, .. } = live.games(offset, limit);
        assert_eq!(total, 5);
        (offset, games.iter().map(|game| game.slot).collect::<Vec<_>>())
    };
    assert_eq!(page(0, usize::MAX), (0, vec![0, 1, 3, 4, 7]));
    assert_eq!((page(0, 2), page(2, 2), page(4, 2)), ((0, vec![0, 1]), (2, vec![3, 4]), (4, vec![7])));
    assert_eq!((page(9, 2), page(1, 0)), ((9, vec![]), (1, vec![])));
}

#[test]
fn values_are_told_from_the_first_player_s_view() {
    let (live, mut record) = (LiveGames::new(rules()), played(0));
    record.plies.iter_mut().for_each(|ply| ply.root_value = 0.25);
    let hook = live.hook();
    for (ply, value) in [(1, 0.25), (2, -0.25)] {
        hook(key(0, 0), &GameNews::Begun(&record.plies[..ply - 1]));
        hook(key(0, 0), &GameNews::Played(&record.plies[..ply]));
        assert_eq!(live.games(0, usize::MAX).games[0].value, Some(value));
    }
}

#[test]
fn a_game_of_an_earlier_process_is_shown_from_its_first_ply() {
    let (live, record) = (LiveGames::new(rules()), played(5));
    let hook = live.hook();
    hook(key(0, 5), &GameNews::Begun(&record.plies[..3]));
    assert_eq!(live.game(0).unwrap().plies.len(), 4);
    hook(key(0, 5), &GameNews::Played(&record.plies[..4]));
    assert_eq!(live.game(0).unwrap().plies.len(), 5);
}

#[test]
fn a_game_without_a_result_leaves_nothing_and_news_of_other_games_changes_nothing() {
    let (live, record) = (LiveGames::new(rules()), played(1));
    let hook = live.hook();
    hook(key(0, 1), &GameNews::Begun(&record.plies[..2]));
    let before = live.games(0, usize::MAX);
    hook(key(0, 7), &GameNews::Played(&record.plies[..3]));
    hook(key(0, 7), &GameNews::Over(Some(record.outcome)));
    hook(key(9, 1), &GameNews::Played(&record.plies[..3]));
    hook(key(0, 1), &GameNews::Played(&record.plies[..5]));
    assert_eq!(live.games(0, usize::MAX), before, "of other games, or of plies after one that was missed");
    hook(key(0, 1), &GameNews::Over(None));
    assert!(live.games(0, usize::MAX).games.is_empty() && live.recent().games.is_empty());
}

#[test]
fn so_many_recent_games_are_kept() {
    let live = LiveGames::new(rules());
    let (hook, record) = (live.hook(), played(0));
    let numbers = || live.recent().games.iter().map(|game| game.game).collect::<Vec<_>>();
    (0..3).for_each(|index| tell(&hook, 1, &GameRecord { index, ..record.clone() }));
    assert_eq!(numbers(), [2, 1, 0]);
    (3..60).for_each(|index| tell(&hook, 1, &GameRecord { index, ..record.clone() }));
    assert_eq!(numbers(), (10..60).rev().collect::<Vec<_>>());
    assert!(live.recent_game("3-9").is_none() && live.recent_game("3-10").is_some());
}
