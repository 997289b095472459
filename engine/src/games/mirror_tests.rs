//! Mirror images, of every game that has them.

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{quoridor::Quoridor, tictactoe::TicTacToe};
use crate::{
    evaluation::Leaf,
    game::{Action, ActionSet, Game},
};

fn mirror_action<G: Game>(game: &G, action: Action) -> Action {
    let mut set = G::Actions::default();
    set.insert(action);
    game.mirror_actions(&set).nth(0)
}

/// Plays at random and mirrored side by side from two starts that are images of each other, and checks all that mirroring
/// promises on the way. `image_of` mirrors input of an encoding.
fn play_mirrored<G: Game>(
    game: &G,
    (mut state, mut image): (G::State, G::State),
    seed: u64,
    image_of: impl Fn(G::Encoding, &[f32]) -> Vec<f32>,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    loop {
        assert_eq!(game.outcome(&state), game.outcome(&image));
        let (position, mirrored) = (game.position(&state), game.position(&image));
        assert_eq!(game.mirror(&position), mirrored);
        assert_eq!(game.mirror(&mirrored), position);
        for encoding in game.encodings() {
            let encode = |position| {
                let mut out = vec![f32::NAN; game.input_shape(encoding).iter().product()];
                game.encode(encoding, position, &mut out);
                out
            };
            assert_eq!(image_of(encoding, &encode(&position)), encode(&mirrored));
        }
        if game.outcome(&state).is_some() {
            return;
        }
        let legal = game.legal_actions(&state);
        assert_eq!(game.legal_actions(&image), game.mirror_actions(&legal));
        check_leaves(game, Leaf::new(game, &state, &legal), Leaf::new(game, &image, &game.legal_actions(&image)));
        let action = legal.nth(rng.random_range(0..legal.len()));
        game.play(&mut state, action);
        game.play(&mut image, mirror_action(game, action));
    }
}

fn check_leaves<G: Game>(game: &G, leaf: Leaf<G>, image: Leaf<G>) {
    let mut one_by_one = G::Actions::default();
    leaf.legal.iter().for_each(|action| one_by_one.insert(mirror_action(game, action)));
    assert_eq!(game.mirror_actions(&leaf.legal), one_by_one);
    assert_eq!(image.legal, one_by_one);

    // As prior of an action, the number of its image; then there and back.
    let numbers = |legal: &G::Actions| -> Vec<f32> { legal.iter().map(f32::from).collect() };
    let mut priors: Vec<f32> = leaf.legal.iter().map(|action| f32::from(mirror_action(game, action))).collect();
    let before = priors.clone();
    game.mirror_priors(&leaf.legal, &mut priors);
    assert_eq!(priors, numbers(&image.legal));
    game.mirror_priors(&image.legal, &mut priors);
    assert_eq!(priors, before);

    let ((one, turned), (other, other_turned)) = (leaf.canonical(game), image.canonical(game));
    assert_eq!((one.position, one.legal), (other.position, other.legal));
    let own_image = leaf.position == image.position;
    assert_eq!(turned ^ other_turned, !own_image);
    assert_eq!(
        (one.position, one.legal),
        if turned { (image.position, image.legal) } else { (leaf.position, leaf.legal) }
    );
}

/// Each row of `length` groups of `group` entries read backwards.
fn rows_backwards(entries: &[f32], length: usize, group: usize) -> Vec<f32> {
    entries.chunks(length * group).flat_map(|row| row.chunks(group).rev().flatten().copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn quoridor_is_the_same_in_the_mirror(size in 3u32..=9, walls in 0u32..=12, seed: u64) {
        use super::quoridor::QuoridorEncoding::{Mlp, Resnet};
        let game = Quoridor::new(size, walls, Some(60)).unwrap();
        let n = size as usize;
        play_mirrored(&game, game.mirrored_starts(), seed, |encoding, input| match encoding {
            Resnet => rows_backwards(input, 2 * n + 3, 1),
            Mlp => {
                let (pawns, rest) = input.split_at(2 * n * n);
                let (walls, counts) = rest.split_at(2 * (n - 1) * (n - 1));
                [rows_backwards(pawns, n, 1), rows_backwards(walls, n - 1, 2), counts.to_vec()].concat()
            }
        });
    }

    #[test]
    fn tic_tac_toe_is_the_same_in_the_mirror(seed: u64) {
        let starts = (TicTacToe.start(), TicTacToe.start());
        play_mirrored(&TicTacToe, starts, seed, |_, input| rows_backwards(input, 3, 1));
    }
}

#[test]
fn priors_are_mirrored_row_by_row() {
    // All cells but the one in the middle.
    let mut board = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
    let mut legal = crate::game::ActionBits::<1>::default();
    [0, 1, 2, 3, 5, 6, 7, 8].into_iter().for_each(|cell| legal.insert(cell));
    TicTacToe.mirror_priors(&legal, &mut board);
    assert_eq!(board, [0.3, 0.2, 0.1, 0.5, 0.4, 0.8, 0.7, 0.6]);
}
