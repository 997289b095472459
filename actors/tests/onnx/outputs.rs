//! What comes out of a network is what the reference runtime gave, and reaches the right leaf.

use std::time::Duration;

use ndarray::{Array1, Array2, Array4, ArrayView4};
use selfplay_actors::onnx::{BatchBuckets, OnnxEvaluator, load_evaluators, raw_throughput};
use selfplay_engine::{
    evaluation::{Evaluations, Evaluator},
    game::{ActionSet, Game},
};

use crate::support::{Encoding, Shapes, array, load, model, options, planes, runtime};

const LOGIT_TOLERANCE: f32 = 1e-4;
const VALUE_TOLERANCE: f32 = 1e-5;

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "entry {index}: {found} is not {expected}");
    }
}

/// Runs planes through the network in batches of at most `batch`.
fn run(evaluator: &mut OnnxEvaluator<Shapes>, input: ArrayView4<'_, f32>, batch: usize) -> (Vec<f32>, Vec<f32>) {
    let network = evaluator.network_mut();
    let (mut logits, mut values) = (Vec::new(), Vec::new());
    for rows in input.as_slice().unwrap().chunks(batch * network.row_len()) {
        let count = rows.len() / network.row_len();
        planes(network, count)[..rows.len()].copy_from_slice(rows);
        let read = |policy: &[f32], value: &[f32]| {
            logits.extend_from_slice(policy);
            values.extend_from_slice(value);
        };
        network.run(count, read).unwrap();
    }
    (logits, values)
}

#[test]
fn outputs_are_those_recorded_with_the_models() {
    for (board, name) in
        [(3, "b3w1_resnet_1x16"), (5, "b5w3_resnet_2x32"), (9, "b9w10_resnet_2x32"), (9, "b9w10_resnet_6x32")]
    {
        let mut loaded = load(&Shapes::board(board), name).unwrap();
        let recorded = format!("models/{name}.io.npz");
        let (input, policy, value): (Array4<f32>, Array2<f32>, Array2<f32>) =
            (array(&recorded, "input"), array(&recorded, "policy_logits"), array(&recorded, "value"));
        let (logits, values) = run(&mut loaded.evaluators[0], input.view(), 3);
        assert_close(&logits, policy.as_slice().unwrap(), LOGIT_TOLERANCE);
        assert_close(&values, value.as_slice().unwrap(), VALUE_TOLERANCE);
    }
}

#[test]
fn outputs_are_those_of_the_conformance_vectors_at_every_batch_size() {
    for (board, name) in [(5, "b5w3_resnet_2x32"), (9, "b9w10_resnet_2x32")] {
        let mut loaded = load(&Shapes::board(board), name).unwrap();
        let recorded = format!("net_{name}.npz");
        let (input, policy, value): (Array4<u8>, Array2<f32>, Array1<f32>) =
            (array(&recorded, "obs"), array(&recorded, "policy_logits"), array(&recorded, "value"));
        let input = input.mapv(f32::from);
        for batch in [1, 5, 16] {
            let (logits, values) = run(&mut loaded.evaluators[0], input.view(), batch);
            assert_close(&logits, policy.as_slice().unwrap(), LOGIT_TOLERANCE);
            assert_close(&values, value.as_slice().unwrap(), VALUE_TOLERANCE);
        }
    }
}

/// What the evaluator must give for `positions`, one by one through the network below it.
fn one_by_one(evaluator: &mut OnnxEvaluator<Shapes>, game: &Shapes, positions: std::ops::Range<u32>) -> Evaluations {
    let mut expected = Evaluations::default();
    for position in positions {
        let leaf = game.leaf(position);
        let encoding = evaluator.encoding();
        let network = evaluator.network_mut();
        let row_len = network.row_len();
        game.encode(encoding, &leaf.position, &mut planes(network, 1)[..row_len]);
        let (logits, value) = network.run(1, |logits, values| (logits.to_vec(), values[0])).unwrap();
        // The definition, not the shared code: softmax over legal actions.
        let weights: Vec<f64> = leaf.legal.iter().map(|action| f64::from(logits[usize::from(action)]).exp()).collect();
        let sum: f64 = weights.iter().sum();
        expected.push(value.clamp(-1.0, 1.0), weights.into_iter().map(|weight| (weight / sum) as f32));
    }
    expected
}

fn assert_same(found: &Evaluations, expected: &Evaluations) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected.iter()) {
        assert_close(&[found.value], &[expected.value], VALUE_TOLERANCE);
        assert_close(found.priors, expected.priors, VALUE_TOLERANCE);
    }
}

#[test]
fn every_leaf_gets_its_own_evaluation_at_every_batch_size() {
    let game = Shapes::board(3);
    let mut evaluator = load(&game, "b3w1_resnet_1x16").unwrap().evaluators.remove(0);
    let expected = one_by_one(&mut evaluator, &game, 100..145);
    let mut found = Evaluations::default();
    // 16 at once, so that 17 and 45 are cut.
    for count in [45, 17, 16, 3, 1] {
        evaluator.evaluate(&game.leaves(count), &mut found).unwrap();
        assert_eq!(found.len(), count as usize);
        let mut prefix = Evaluations::default();
        expected.iter().take(count as usize).for_each(|one| prefix.push(one.value, one.priors.iter().copied()));
        assert_same(&found, &prefix);
    }
    evaluator.evaluate(&[], &mut found).unwrap();
    assert!(found.is_empty());
}

#[test]
fn padding_to_buckets_changes_nothing() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.buckets = Some(BatchBuckets::new([4, 16]));
    let model = model("b3w1_resnet_1x16");
    let mut evaluator = load_evaluators(&runtime(), &game, &model, &options).unwrap().evaluators.remove(0);
    // A network of one fixed size shows that batches are padded at all.
    let fixed = load(&game, "tiny_fixed_batch_4").unwrap();
    assert_eq!((fixed.fixed_batch, fixed.max_batch), (Some(4), 4));
    let mut fixed = fixed.evaluators.into_iter().next().unwrap();
    let mut same_but_dynamic = load(&game, "tiny").unwrap().evaluators.remove(0);
    let (mut found, mut expected) = (Evaluations::default(), Evaluations::default());
    for count in [1, 3, 4, 5, 11, 16, 45] {
        evaluator.evaluate(&game.leaves(count), &mut found).unwrap();
        assert_same(&found, &one_by_one(&mut evaluator, &game, 100..100 + count));
        fixed.evaluate(&game.leaves(count), &mut found).unwrap();
        same_but_dynamic.evaluate(&game.leaves(count), &mut expected).unwrap();
        assert_same(&found, &expected);
    }
}

#[test]
fn the_models_own_input_shape_chooses_the_encoding() {
    let game = Shapes::board(5);
    let mut loaded = load(&game, "b5w1_mlp").unwrap();
    assert_eq!(loaded.encoding, Encoding::Flat);
    let mut found = Evaluations::default();
    loaded.evaluators[0].evaluate(&game.leaves(3), &mut found).unwrap();
    assert_eq!(load(&game, "b5w3_resnet_2x32").unwrap().encoding, Encoding::Planes);
    assert_eq!(load(&Shapes::board(3), "tiny_symbolic_planes").unwrap().encoding, Encoding::Planes);
}

#[test]
fn constant_and_unusual_but_right_models_are_taken() {
    let mut found = Evaluations::default();
    for (board, name) in [(5, "b5_const"), (9, "b9_const"), (3, "tiny_value_rank_1"), (3, "tiny_symbolic_planes")] {
        let game = Shapes::board(board);
        let mut loaded = load(&game, name).unwrap();
        loaded.evaluators[0].evaluate(&game.leaves(5), &mut found).unwrap();
        assert_eq!(found.len(), 5);
    }
}

#[test]
fn values_are_clamped() {
    let game = Shapes::board(3);
    let mut loaded = load(&game, "tiny_wide_value").unwrap();
    let raw = loaded.evaluators[0].network_mut().run(1, |_, values| values[0]).unwrap();
    assert!(raw.abs() > 1.0, "{raw}");
    let mut found = Evaluations::default();
    loaded.evaluators[0].evaluate(&game.leaves(3), &mut found).unwrap();
    assert!(found.iter().all(|one| one.value == 1.0 || one.value == -1.0));
}

#[test]
fn an_infinite_value_spoils_its_own_position_and_no_other() {
    let game = Shapes::board(3);
    // Fine on every position it is tried with.
    let mut evaluator = load(&game, "tiny_log_value").unwrap().evaluators.remove(0);
    let mut leaves = game.leaves(20);
    let mut found = Evaluations::default();
    evaluator.evaluate(&leaves, &mut found).unwrap();
    leaves[2] = game.leaf(Shapes::NEGATIVE);
    leaves[18] = game.leaf(Shapes::NEGATIVE);
    let all_sound = found.clone();
    evaluator.evaluate(&leaves, &mut found).unwrap();
    let flaws: Vec<_> = found.flaws().iter().map(|(leaf, output)| (*leaf, output.value.is_finite())).collect();
    assert_eq!(flaws, [(2, false), (18, false)]);
    for sound in (0..20).filter(|leaf| ![2, 18].contains(leaf)) {
        assert_eq!(found.get(sound), all_sound.get(sound));
    }
    evaluator.evaluate(&leaves[3..5], &mut found).unwrap();
    assert_eq!(found.len(), 2);
}

#[test]
fn each_thread_has_its_own_session() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.threads = 3;
    let loaded = load_evaluators(&runtime(), &game, &model("b3w1_resnet_1x16"), &options).unwrap();
    assert_eq!(loaded.evaluators.len(), 3);
    let threads: Vec<_> = loaded
        .evaluators
        .into_iter()
        .map(|mut evaluator| {
            let leaves = game.leaves(9);
            std::thread::spawn(move || {
                let mut found = Evaluations::default();
                (0..20).for_each(|_| evaluator.evaluate(&leaves, &mut found).unwrap());
                found
            })
        })
        .collect();
    let found: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_same(&found[0], &found[1]);
    assert_same(&found[0], &found[2]);
}

#[test]
fn raw_throughput_counts_whole_batches_of_all_threads() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.threads = 2;
    let mut loaded = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap();
    let raw = raw_throughput(&mut loaded.evaluators, 8, Duration::from_millis(20)).unwrap();
    assert!(raw.evaluations >= 16 && raw.evaluations.is_multiple_of(8), "{raw:?}");
    assert!(raw.evaluations_per_second > 0.0);
    assert_eq!(raw.cpu_seconds.is_some(), cfg!(target_os = "linux"));
}
