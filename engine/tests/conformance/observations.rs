//! Positions as network input, in full, both layouts.

use std::{collections::HashMap, path::Path};

use ndarray::{Array1, Array2, Array4, ArrayView};
use ndarray_npy::ReadNpyExt;
use selfplay_engine::{
    ActionSet, Game,
    games::quoridor::{Quoridor, QuoridorEncoding},
};

use crate::{records, rules::GameLine};

fn read_array<A>(file: &Path, array: &str) -> A
where
    A: ReadNpyExt,
{
    A::read_npy(records::read_npz_entry(file, array).as_slice()).unwrap_or_else(|error| panic!("read {array}: {error}"))
}

fn check_file(file: &Path) -> usize {
    let folder = file.parent().expect("a file in a folder");
    let games: Vec<GameLine> = records::read_jsonl(&folder.join("games.jsonl.gz"));
    let games: HashMap<&str, &GameLine> = games.iter().map(|line| (line.id.as_str(), line)).collect();

    let ids = records::read_strings(file, "game");
    let plies: Array1<i32> = read_array(file, "ply");
    let resnet: Array4<u8> = read_array(file, "obs");
    let mlp: Array2<u8> = read_array(file, "mlp");
    let masks: Array2<u8> = read_array(file, "mask");
    assert!([plies.len(), resnet.dim().0, mlp.nrows(), masks.nrows()].iter().all(|&length| length == ids.len()));

    for (index, (id, ply)) in ids.iter().zip(plies).enumerate() {
        let line = games[id.as_str()];
        let game = Quoridor::new(line.board, line.walls, None).expect("a board in range");
        let state = records::replay(&game, &line.actions[..ply as usize]);
        let position = game.position(&state);
        let encoded = |encoding| {
            let mut out = vec![f32::NAN; game.input_shape(encoding).iter().product()];
            game.encode(encoding, &position, &mut out);
            out
        };
        let shape = game.input_shape(QuoridorEncoding::Resnet);
        let planes = encoded(QuoridorEncoding::Resnet);
        let planes = ArrayView::from_shape(shape, &planes).expect("as many entries as the shape says");
        assert_eq!(planes, resnet.index_axis(ndarray::Axis(0), index).mapv(f32::from).into_dyn(), "{id} ply {ply}");

        let expected: Vec<f32> = mlp.row(index).iter().copied().map(f32::from).collect();
        assert_eq!(encoded(QuoridorEncoding::Mlp), expected, "{id} ply {ply}");

        let legal = game.turn_actions(game.side_to_move(&state), &game.legal_actions(&state));
        let mask = masks.row(index);
        let expected = mask.iter().enumerate().filter(|(_, bit)| **bit == 1);
        assert!(expected.map(|(action, _)| action).eq(legal.iter().map(usize::from)), "{id} ply {ply}");
    }
    ids.len()
}

#[test]
fn recorded_observations_are_encoded_alike() {
    records::check("obs_b", check_file);
}
