//! However positions travel and wherever their memory is, the network gives the same numbers, bit by bit.

use selfplay_actors::onnx::{
    BatchBuckets, GameDescription, InputFormat, LoadError, LoadOptions, ModelFile, OnnxEvaluator, Rows, load_evaluators,
};
use selfplay_engine::{
    ActionSet as _, Evaluations, Evaluator as _, Game as _, Leaf,
    evaluation::mix,
    games::quoridor::{Quoridor, QuoridorPosition},
};

use crate::support;

/// Every model that may serve, with its board.
const MODELS: [(u32, &str); 13] = [
    (3, "b3w1_resnet_1x16"),
    (5, "b5_const"),
    (5, "b5w1_mlp"),
    (5, "b5w3_resnet_2x32"),
    (9, "b9_const"),
    (9, "b9w10_resnet_2x32"),
    (9, "b9w10_resnet_6x32"),
    (3, "tiny"),
    (3, "tiny_fixed_batch_4"),
    (3, "tiny_log_value"),
    (3, "tiny_symbolic_planes"),
    (3, "tiny_value_rank_1"),
    (3, "tiny_wide_value"),
];

fn game(board: u32) -> Quoridor {
    Quoridor::new(board, 10, Some(40)).unwrap()
}

/// Positions from random games.
fn leaves(game: &Quoridor, count: usize) -> Vec<Leaf<Quoridor>> {
    let mut leaves = Vec::new();
    let mut state = game.start();
    while leaves.len() < count {
        if game.outcome(&state).is_some() {
            state = game.start();
        }
        let legal = game.legal_actions(&state);
        leaves.push(Leaf::new(game, &state, &legal));
        let choice = mix(leaves.len() as u64) as usize % legal.len();
        game.play(&mut state, legal.nth(choice));
    }
    leaves
}

/// An evaluator whose positions travel as `input`, in memory that is bound or not, on the device as well or not.
fn evaluator(
    game: &Quoridor,
    model: &ModelFile,
    input: InputFormat,
    (bound, graphs): (bool, bool),
) -> OnnxEvaluator<Quoridor> {
    let mut options = LoadOptions::on_cpu(8, GameDescription::new("a board"));
    options.input = input;
    options.binding = Some(bound);
    options.gpu.graphs = graphs;
    load_evaluators(&support::runtime(), game, model, &options).unwrap().evaluators.remove(0)
}

/// All logits and values of `positions`, in batches of at most `batch`.
fn outputs(
    game: &Quoridor,
    evaluator: &mut OnnxEvaluator<Quoridor>,
    positions: &[QuoridorPosition],
    batch: usize,
) -> Vec<u32> {
    let encoding = evaluator.encoding();
    let network = evaluator.network_mut();
    let mut outputs = Vec::new();
    for part in positions.chunks(batch.min(network.max_batch())) {
        let row_len = network.row_len();
        match network.rows_mut(part.len()).unwrap() {
            Rows::Planes(rows) => {
                let rows = rows.chunks_exact_mut(row_len);
                part.iter().zip(rows).for_each(|(position, row)| game.encode(encoding, position, row));
            }
            Rows::Packed(rows) => {
                let rows = rows.chunks_exact_mut(row_len);
                part.iter().zip(rows).for_each(|(position, row)| game.pack(encoding, position, row));
            }
        }
        let read = |logits: &[f32], values: &[f32]| {
            outputs.extend(logits.iter().chain(values).map(|number| number.to_bits()));
        };
        network.run(part.len(), read).unwrap();
    }
    outputs
}

#[test]
fn every_model_gives_the_same_bits_however_positions_travel() {
    for (board, name) in MODELS {
        let game = game(board);
        let model = support::model(name);
        let leaves = leaves(&game, 21);
        let positions: Vec<_> = leaves.iter().map(|leaf| leaf.position).collect();
        let mut plain = evaluator(&game, &model, InputFormat::Planes, (false, false));
        let expected = [1, 3, 8].map(|batch| outputs(&game, &mut plain, &positions, batch));
        let mut evaluations = Evaluations::default();
        plain.evaluate(&leaves, &mut evaluations).unwrap();
        for input in [InputFormat::Planes, InputFormat::Packed] {
            for memory in [(false, false), (true, false), (true, true)] {
                let mut other = evaluator(&game, &model, input, memory);
                let found = [1, 3, 8].map(|batch| outputs(&game, &mut other, &positions, batch));
                assert!(found == expected, "{name}, {input:?}, {memory:?}");
                let mut found = Evaluations::default();
                other.evaluate(&leaves, &mut found).unwrap();
                assert!(found.iter().eq(evaluations.iter()), "{name}, {input:?}, {memory:?}");
            }
        }
    }
}

#[test]
fn packed_positions_are_small() {
    let load = |input| {
        let mut options = LoadOptions::on_cpu(8, GameDescription::new("a board"));
        options.input = input;
        let model = support::model("b9w10_resnet_2x32");
        load_evaluators(&support::runtime(), &game(9), &model, &options).unwrap().position_bytes
    };
    assert_eq!([InputFormat::Planes, InputFormat::Packed, InputFormat::Auto].map(load), [8820, 49, 8820]);
}

#[test]
fn bound_memory_is_used_again_and_rows_stay_where_they_were() {
    let game = game(3);
    let leaves = leaves(&game, 40);
    let mut options = LoadOptions::on_cpu(16, GameDescription::new("a board"));
    options.binding = Some(true);
    // The largest batch is none of the buckets, and becomes one.
    options.buckets = Some(BatchBuckets::new([2, 4]));
    let model = support::model("b3w1_resnet_1x16");
    let mut bound = load_evaluators(&support::runtime(), &game, &model, &options).unwrap().evaluators.remove(0);
    let mut plain = evaluator(&game, &model, InputFormat::Planes, (false, false));
    let (mut found, mut expected) = (Evaluations::default(), Evaluations::default());
    for count in [1, 2, 3, 4, 5, 16, 17, 40, 3, 1] {
        bound.evaluate(&leaves[..count], &mut found).unwrap();
        plain.evaluate(&leaves[..count], &mut expected).unwrap();
        assert!(found.iter().eq(expected.iter()), "{count}");
    }
    let padding: Vec<_> = [1, 2, 3, 4, 5, 16].map(|batch| bound.network_mut().padding(batch)).into();
    assert_eq!(padding, [1, 0, 1, 0, 11, 0]);
    // What is written for one batch size does not touch another's.
    let network = bound.network_mut();
    support::planes(network, 2).fill(0.5);
    support::planes(network, 4).fill(0.25);
    assert!(support::planes(network, 1).iter().all(|&number| number == 0.5));
}

#[test]
fn a_bad_model_is_refused_in_every_dress() {
    for name in ["bad_nan", "bad_mixes_batch", "bad_policy_width", "bad_two_inputs"] {
        for bound in [false, true] {
            let mut options = LoadOptions::on_cpu(8, GameDescription::new("a board"));
            options.input = InputFormat::Packed;
            options.binding = Some(bound);
            let refused = load_evaluators(&support::runtime(), &game(3), &support::model(name), &options);
            assert!(matches!(refused, Err(LoadError::Model(_))), "{name}");
        }
    }
}
