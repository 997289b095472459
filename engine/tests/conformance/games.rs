//! The other games, as another implementation recorded them: legal actions, movers and results at every ply, counts of action
//! sequences; and published counts.

use std::{collections::HashSet, path::Path};

use selfplay_engine::{
    Action, ActionSet, Game, Outcome, Player,
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello, perft::perft,
        tictactoe::TicTacToe,
    },
};
use serde::Deserialize;

use crate::records;

/// One record; `tests/data/README.md` says what the fields mean.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    Game {
        params: Params,
        actions: Vec<Action>,
        legal: Vec<Vec<Action>>,
        players: Vec<usize>,
        returns: Option<[f32; 2]>,
    },
    Perft {
        params: Params,
        after: Vec<Action>,
        depth: u32,
        nodes: u64,
    },
}

/// Parameters of any game; what is missing has the other implementation's default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    m: Option<u32>,
    n: Option<u32>,
    k: Option<u32>,
    rows: Option<u32>,
    columns: Option<u32>,
    x_in_row: Option<u32>,
    board_size: Option<u32>,
}

/// Paths of length `depth`; one that ends the game earlier counts once.
fn paths<G: Game>(game: &G, state: &G::State, depth: u32) -> u64 {
    if depth == 0 || game.outcome(state).is_some() {
        return 1;
    }
    let after = |action| {
        let mut next = state.clone();
        game.play(&mut next, action);
        paths(game, &next, depth - 1)
    };
    game.legal_actions(state).iter().map(after).sum()
}

fn check_line<G: Game>(game: &G, line: &Line) {
    match line {
        Line::Game { actions, legal, players, returns, .. } => {
            let mut state = game.start();
            for (ply, &action) in actions.iter().enumerate() {
                assert_eq!(game.outcome(&state), None, "{game:?}, ply {ply} of {actions:?}");
                let found: Vec<Action> = game.legal_actions(&state).iter().collect();
                assert_eq!(found, legal[ply], "{game:?}, ply {ply} of {actions:?}");
                assert_eq!(game.side_to_move(&state).index(), players[ply], "{game:?}, ply {ply} of {actions:?}");
                game.play(&mut state, action);
            }
            let found = game.outcome(&state).map(|outcome| Player::BOTH.map(|player| outcome.value_for(player)));
            assert_eq!(found, *returns, "{game:?}, {actions:?}");
        }
        Line::Perft { after, depth, nodes, .. } => {
            let mut state = game.start();
            after.iter().for_each(|&action| game.play(&mut state, action));
            assert_eq!(paths(game, &state, *depth), *nodes, "{game:?}, depth {depth} after {after:?}");
        }
    }
}

/// Checks all records of the game called `name`, whose rules `rules` makes of parameters.
fn check<G: Game>(name: &str, rules: impl Fn(&Params) -> G) {
    records::check(&format!("games/{name}."), |file: &Path| {
        let lines: Vec<Line> = records::read_jsonl(file);
        for line in &lines {
            let (Line::Game { params, .. } | Line::Perft { params, .. }) = line;
            check_line(&rules(params), line);
        }
        lines.len()
    });
}

#[test]
fn recorded_games_of_tic_tac_toe_are_replayed() {
    check("tic_tac_toe", |_| TicTacToe);
    check("tic_tac_toe", |_| Mnk::new(3, 3, 3).unwrap());
}

#[test]
fn recorded_games_of_connect_four_are_replayed() {
    check("connect_four", |params| {
        let [rows, columns] = [params.rows.unwrap_or(6), params.columns.unwrap_or(7)];
        ConnectFour::new(rows, columns, params.x_in_row.unwrap_or(4)).unwrap()
    });
}

#[test]
fn recorded_games_of_mnk_are_replayed() {
    let size = |size: Option<u32>| size.expect("all records name it");
    check("mnk", |params| Mnk::new(size(params.m), size(params.n), size(params.k)).unwrap());
}

#[test]
fn recorded_games_of_othello_are_replayed() {
    check("othello", |params| Othello::new(params.board_size.unwrap_or(8)).unwrap());
}

#[test]
fn recorded_games_of_hex_are_replayed() {
    check("hex", |params| Hex::new(params.board_size.unwrap_or(11), false).unwrap());
}

#[test]
fn recorded_games_of_breakthrough_are_replayed() {
    check("breakthrough", |params| Breakthrough::new(params.rows.unwrap_or(8), params.columns.unwrap_or(8)).unwrap());
}

/// Different positions after each number of plies.
fn positions<G: Game<State: Eq + std::hash::Hash>>(game: &G, plies: u32) -> Vec<usize> {
    let mut level: HashSet<G::State> = HashSet::from([game.start()]);
    (0..plies)
        .map(|_| {
            let mut next = HashSet::new();
            for state in level.iter().filter(|state| game.outcome(state).is_none()) {
                for action in game.legal_actions(state).iter() {
                    let mut state = state.clone();
                    game.play(&mut state, action);
                    next.insert(state);
                }
            }
            level = next;
            level.len()
        })
        .collect()
}

/// Positions after 1 to 8 plies on 7 × 6 by the On-Line Encyclopedia of Integer Sequences, A212693 (Tromp 2012, from Edelkamp and
/// Kissmann's symbolic search), and all games on 4 × 3 by A342329 (Jehn 2021).
#[test]
fn published_counts_of_connect_four_are_reached() {
    let game = ConnectFour::default();
    assert_eq!(positions(&game, 8), [7, 49, 238, 1120, 4263, 16_422, 54_859, 184_275]);
    let small = ConnectFour::new(3, 4, 4).unwrap();
    assert_eq!(paths(&small, &small.start(), u32::MAX), 356_232);
}

/// Bik 2009, "Perft for Reversi" (aartbik.blogspot.com). From depth 9 on there are passes.
#[test]
fn published_counts_of_othello_are_reached() {
    let game = Othello::default();
    let counts: Vec<u64> = (1..=9).map(|depth| perft(&game, &game.start(), depth)).collect();
    assert_eq!(counts, [4, 12, 56, 244, 1396, 8200, 55_092, 390_216, 3_005_288]);
}

/// When both play perfectly, the second player wins on 4 × 4: the whole tree can be searched.
#[test]
fn othello_on_4x4_is_a_win_for_the_second_player() {
    fn value(game: &Othello, state: &<Othello as Game>::State, mut low: f32, high: f32) -> f32 {
        let mover = game.side_to_move(state);
        if let Some(outcome) = game.outcome(state) {
            return outcome.value_for(mover);
        }
        for action in game.legal_actions(state).iter() {
            let mut next = *state;
            game.play(&mut next, action);
            low = low.max(-value(game, &next, -high, -low));
            if low >= high {
                break;
            }
        }
        low
    }
    let game = Othello::new(4).unwrap();
    assert_eq!(value(&game, &game.start(), -1.0, 1.0), Outcome::Win(Player::Second).value_for(Player::First));
}
