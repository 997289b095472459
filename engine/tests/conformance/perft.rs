//! Counts of action sequences.

use std::collections::BTreeMap;

use selfplay_engine::{
    Action,
    games::{perft::perft, quoridor::Quoridor},
};
use serde::Deserialize;

use crate::records;

/// Counts above this are left out: they would take too long unoptimised.
const MAX_SEQUENCES: u64 = 300_000_000;

#[derive(Deserialize)]
struct PerftLine {
    board: u32,
    walls: u32,
    actions: Vec<Action>,
    perft: BTreeMap<u32, u64>,
}

#[expect(clippy::print_stdout, reason = "says what was not checked")]
fn check_counts(board: u32, walls: u32, actions: &[Action], counts: impl IntoIterator<Item = (u32, u64)>) {
    let game = Quoridor::new(board, walls, None).expect("a board in range");
    let state = records::replay(&game, actions);
    for (depth, count) in counts {
        if count > MAX_SEQUENCES {
            println!(
                "board {board}, {walls} walls, {actions:?}: depth {depth} left out, {count} sequences are too many"
            );
            continue;
        }
        assert_eq!(perft(&game, &state, depth), count, "board {board}, {walls} walls, {actions:?}, depth {depth}");
    }
}

#[test]
fn recorded_counts_are_reached() {
    records::check("perft.jsonl.gz", |file| {
        let lines: Vec<PerftLine> = records::read_jsonl(file);
        for line in &lines {
            check_counts(
                line.board,
                line.walls,
                &line.actions,
                line.perft.iter().map(|(&depth, &count)| (depth, count)),
            );
        }
        lines.len()
    });
}

/// Counts that another implementation of the rules found, too.
#[test]
fn counts_of_crowded_boards_are_reached() {
    const EIGHT_WALLS: [Action; 12] = [13, 67, 22, 58, 188, 165, 126, 100, 186, 167, 107, 119];
    const EIGHT_MORE: [Action; 8] = [198, 161, 133, 85, 174, 177, 90, 208];
    let sixteen_walls = [EIGHT_WALLS.as_slice(), &EIGHT_MORE].concat();
    let cases: [(u32, u32, &[Action], &[u64]); 5] = [
        (9, 10, &[], &[131, 16_677, 2_062_264, 247_569_030]),
        (9, 10, &EIGHT_WALLS, &[101, 9958, 939_350]),
        (9, 10, &sixteen_walls, &[75, 5374, 366_464]),
        (5, 3, &[], &[35, 1109, 31_540, 794_442, 17_469_556]),
        (5, 4, &[7, 17, 50, 31, 41, 40], &[21, 345, 4499, 47_433, 277_764]),
    ];
    for (board, walls, actions, counts) in cases {
        check_counts(board, walls, actions, (1..).zip(counts.iter().copied()));
    }
}
