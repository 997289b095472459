//! Images of positions as the network sees them, of every game that has symmetries.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    breakthrough::Breakthrough,
    connect_four::ConnectFour,
    grid::Grid,
    hex::Hex,
    mnk::Mnk,
    othello::Othello,
    quoridor::{Quoridor, QuoridorEncoding},
    tictactoe::TicTacToe,
};
use crate::{
    game::{ActionSet, Game},
    testing::check_images,
};

/// Plays at random and checks that the input of an image is the image of the input, as `image_of` makes it.
fn check_inputs<G: Game>(game: &G, encoding: G::Encoding, games: u64, image_of: impl Fn(usize, &[f32]) -> Vec<f32>) {
    for seed in 0..games {
        let (mut rng, mut state) = (ChaCha8Rng::seed_from_u64(seed), game.start());
        while game.outcome(&state).is_none() {
            let encode = |position: &G::Position| {
                let mut out = vec![f32::NAN; game.input_shape(encoding).iter().product()];
                game.encode(encoding, position, &mut out);
                out
            };
            let position = game.position(&state);
            for symmetry in 0..game.symmetries() {
                let expected = image_of(symmetry, &encode(&position));
                assert_eq!(encode(&game.transform(symmetry, &position)), expected, "{game:?}, symmetry {symmetry}");
            }
            let legal = game.legal_actions(&state);
            game.play(&mut state, legal.nth(rng.random_range(0..legal.len())));
        }
    }
}

/// Planes whose every cell goes where the symmetry takes it.
fn move_planes(grid: Grid, cells: impl Fn(usize) -> usize, planes: &[f32]) -> Vec<f32> {
    let area = grid.cells();
    let mut image = vec![f32::NAN; planes.len()];
    for (entry, &number) in planes.iter().enumerate() {
        image[entry / area * area + cells(entry % area)] = number;
    }
    image
}

/// Each row of `length` groups of `group` entries read backwards.
fn rows_backwards(entries: &[f32], length: usize, group: usize) -> Vec<f32> {
    entries.chunks(length * group).flat_map(|row| row.chunks(group).rev().flatten().copied()).collect()
}

#[test]
fn quoridor_is_the_same_in_the_mirror() {
    for size in 3..=9 {
        let game = Quoridor::new(size, 2 * size - 6, Some(60)).unwrap();
        let n = size as usize;
        check_inputs(&game, QuoridorEncoding::Resnet, 4, |symmetry, input| match symmetry {
            0 => input.to_vec(),
            _ => rows_backwards(input, 2 * n + 3, 1),
        });
        check_inputs(&game, QuoridorEncoding::Mlp, 4, |symmetry, input| {
            if symmetry == 0 {
                return input.to_vec();
            }
            let (pawns, rest) = input.split_at(2 * n * n);
            let (walls, counts) = rest.split_at(2 * (n - 1) * (n - 1));
            [rows_backwards(pawns, n, 1), rows_backwards(walls, n - 1, 2), counts.to_vec()].concat()
        });
        // On a board of even size the pawns begin beside the middle, and the mirror moves the start.
        let (start, image) = game.mirrored_starts();
        check_images(&game, 1, [&start, &image], 20).unwrap();
    }
}

/// Games on grids: every cell of every plane goes where the symmetry takes it.
fn check_planes<G: Game<Encoding = ()>>(game: &G, image_of: impl Fn(Grid, usize, usize) -> usize) {
    let [_, rows, columns] = game.input_shape(())[..] else { panic!("planes") };
    let grid = Grid { rows: rows as u8, columns: columns as u8 };
    check_inputs(game, (), 10, |symmetry, input| move_planes(grid, |cell| image_of(grid, symmetry, cell), input));
}

#[test]
fn planes_move_with_the_cells() {
    let grid = Grid { rows: 3, columns: 3 };
    check_inputs(&TicTacToe, TicTacToe.encodings()[0], 10, |symmetry, input| {
        move_planes(grid, |cell| grid.transform_cell(symmetry, cell), input)
    });
    let all = |grid: Grid, symmetry, cell| grid.transform_cell(symmetry, cell);
    let turned = |grid: Grid, symmetry, cell| if symmetry == 0 { cell } else { grid.cells() - 1 - cell };
    for (m, n, k) in [(3, 3, 3), (5, 4, 4), (9, 9, 5), (19, 19, 5)] {
        check_planes(&Mnk::new(m, n, k).unwrap(), all);
    }
    for size in Othello::SIZES {
        check_planes(&Othello::new(size).unwrap(), all);
    }
    for (rows, columns) in [(6, 7), (8, 8), (2, 5)] {
        check_planes(&ConnectFour::new(rows, columns, 4).unwrap(), all);
    }
    for (rows, columns) in [(8, 8), (5, 4), (6, 7)] {
        check_planes(&Breakthrough::new(rows, columns).unwrap(), all);
    }
    for size in [3, 8, 11, 13] {
        check_planes(&Hex::new(size, size % 2 == 0).unwrap(), turned);
    }
}

#[test]
fn priors_are_mirrored_row_by_row() {
    // All cells but the one in the middle.
    let mut board = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
    let mut legal = crate::game::ActionBits::<1>::default();
    [0, 1, 2, 3, 5, 6, 7, 8].into_iter().for_each(|cell| legal.insert(cell));
    TicTacToe.transform_priors(1, &legal, &mut board);
    assert_eq!(board, [0.3, 0.2, 0.1, 0.5, 0.4, 0.8, 0.7, 0.6]);
}
