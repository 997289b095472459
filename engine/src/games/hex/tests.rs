//! Connections and swaps by plainer means.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::game::{Notation, board::Mark};

/// Whether `player`'s stones connect its sides, by a walk over all of them.
fn connects(game: &Hex, state: &HexState, player: Player) -> bool {
    let size = i32::from(game.size);
    let has = |row: i32, column: i32| {
        (0..size).contains(&row)
            && (0..size).contains(&column)
            && contains(&state.stones[player.index()], (row * size + column) as u32)
    };
    let depth = |row: i32, column: i32| if player == Player::First { row } else { column };
    let all = || (0..size).flat_map(|row| (0..size).map(move |column| (row, column)));
    let mut reached: Vec<(i32, i32)> = all().filter(|&(r, c)| depth(r, c) == 0 && has(r, c)).collect();
    let mut next = 0;
    while let Some(&(row, column)) = reached.get(next) {
        for (down, right) in [(0, 1), (0, -1), (1, 0), (-1, 0), (-1, 1), (1, -1)] {
            let cell = (row + down, column + right);
            if has(cell.0, cell.1) && !reached.contains(&cell) {
                reached.push(cell);
            }
        }
        next += 1;
    }
    reached.iter().any(|&(row, column)| depth(row, column) == size - 1)
}

#[test]
fn who_connects_first_wins_and_one_always_does() {
    for size in Hex::SIZES {
        for (seed, swap) in (0..12).flat_map(|seed| [(seed, false), (seed, true)]) {
            let game = Hex::new(size, swap).unwrap();
            let (mut rng, mut state) = (ChaCha8Rng::seed_from_u64(seed), game.start());
            while game.outcome(&state).is_none() {
                assert!(!Player::BOTH.into_iter().any(|player| connects(&game, &state, player)));
                let legal = game.legal_actions(&state);
                game.play(&mut state, legal.nth(rng.random_range(0..legal.len())));
            }
            let winner = game.side_to_move(&state).opponent();
            assert_eq!(game.outcome(&state), Some(Outcome::Win(winner)));
            assert!(connects(&game, &state, winner) && !connects(&game, &state, winner.opponent()));
        }
    }
}

#[test]
fn a_swap_takes_the_stone_over_to_the_mirrored_cell() {
    let game = Hex::new(5, true).unwrap();
    let mut state = game.start();
    game.play(&mut state, 1);
    assert_eq!(game.legal_actions(&state).len(), 25);
    let [here, mirrored] = [1, 5].map(|cell| Mark::Cell(game.point(cell)));
    assert_eq!([game.mark(&game.start(), 1), game.mark(&state, 1)], [here, mirrored]);
    game.play(&mut state, 1);
    assert_eq!(state.stones, [[0; 3], [1 << 5, 0, 0]]);
    // The stone is on the left side now, and counts as such.
    assert_eq!(state.joined[1], [1 << 5, 0, 0]);
    let legal = game.legal_actions(&state);
    assert!(legal.contains(1) && !legal.contains(5) && legal.len() == 24);
    assert_eq!(Hex::new(5, false).unwrap().input_shape(()), [2, 5, 5]);
    assert_eq!(game.input_shape(()), [3, 5, 5]);
}

#[test]
fn neighbours_are_six_inside_and_fewer_at_the_border() {
    for size in Hex::SIZES {
        let game = Hex::new(size, false).unwrap();
        let size = size as i32;
        for cell in 0..size * size {
            let (row, column) = (cell / size, cell % size);
            let mut expected = [0; WORDS];
            for (down, right) in [(0, 1), (0, -1), (1, 0), (-1, 0), (-1, 1), (1, -1)] {
                let (row, column) = (row + down, column + right);
                if (0..size).contains(&row) && (0..size).contains(&column) {
                    insert(&mut expected, (row * size + column) as u32);
                }
            }
            let found = game.neighbours(cell as u32);
            let inside: Cells = std::array::from_fn(|word| found[word] & game.all[word]);
            assert_eq!(inside, expected, "cell {cell} of {size}");
        }
    }
}

#[test]
fn boards_are_drawn_as_a_rhombus() {
    let game = Hex::new(3, false).unwrap();
    let mut state = game.start();
    [4, 2].into_iter().for_each(|action| game.play(&mut state, action));
    let expected = "  a b c\n1  · · ○\n 2  · ● ·\n  3  · · ·\nfirst player to move\n";
    assert_eq!(game.draw(&state), expected);
    assert_eq!(Hex::new(14, true).unwrap_err().to_string(), "set up hex with size 14: size must be 3 to 13");
}
