//! Positions of Connect Four with the class of every legal move, as another solver found them.

use std::collections::BTreeMap;

use selfplay_engine::{
    Action, Game,
    games::connect_four::ConnectFour,
    solve::{ConnectFourSolver, Solver},
};
use serde::Deserialize;

use crate::records;

/// Earlier positions take too long unoptimised.
const EARLIEST: usize = if cfg!(debug_assertions) { 20 } else { 0 };

#[derive(Deserialize)]
struct Solved {
    moves: Vec<Action>,
    class: BTreeMap<Action, i8>,
}

#[test]
fn every_move_has_its_recorded_class() {
    records::check("connect_four_solved.jsonl.gz", |file| {
        let game = ConnectFour::default();
        let mut solver = ConnectFourSolver::new(game, 1 << 32);
        let positions: Vec<Solved> = records::read_jsonl(file);
        let late = positions.iter().filter(|position| position.moves.len() >= EARLIEST);
        late.map(|Solved { moves, class }| {
            let mut state = game.start();
            moves.iter().for_each(|&column| game.play(&mut state, column));
            let found = solver.moves(&state).expect("no bound");
            let recorded: Vec<_> = class.iter().map(|(&column, &class)| (column, class)).collect();
            assert_eq!(
                found.iter().map(|&(column, class)| (column, class.value())).collect::<Vec<_>>(),
                recorded,
                "{moves:?}"
            );
        })
        .count()
    });
}
