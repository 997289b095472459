//! What exporters of several versions of torch write: the same network in each file, with its answers as torch gave them.

use ndarray::{Array2, Array4};
use selfplay_actors::onnx::{
    LoadError, LoadOptions, Loaded, ModelError, ModelFile, ModelReport, Step, StepOutcome, check_model,
};

use crate::support::{Shapes, array, data, options, planes, runtime};

const BOARD: Shapes = Shapes::board(3);
const REFERENCE: &str = "models/exports/reference.npz";

fn load_with(name: &str, options: &LoadOptions) -> (Result<Loaded<Shapes>, LoadError>, ModelReport) {
    let model = ModelFile::read(data(&format!("models/{name}.onnx"))).unwrap();
    let mut report = ModelReport::new(model.path());
    let loaded = check_model(&runtime(), &BOARD, &model, options, &mut report);
    (loaded, report)
}

fn load(name: &str) -> (Loaded<Shapes>, ModelReport) {
    let (loaded, report) = load_with(name, &options(&BOARD));
    (loaded.unwrap_or_else(|error| panic!("{name}: {error}")), report)
}

fn outcome(report: &ModelReport, step: Step) -> &StepOutcome {
    &report.steps.iter().find(|report| report.step == step).unwrap().outcome
}

/// The answers to the recorded positions in batches of `batch`, and torch's, differ by no more than `tolerance`.
fn assert_answers(name: &str, loaded: &mut Loaded<Shapes>, batch: usize, tolerance: f32) {
    let input: Array4<f32> = array(REFERENCE, "input");
    let network = if name == "dynamo_baked_more" { "_unflatten" } else { "" };
    let recorded = |output: &str| -> Array2<f32> { array(REFERENCE, &format!("{output}{network}")) };
    let (policy, value) = (recorded("policy_logits"), recorded("value"));
    let network = loaded.evaluators[0].network_mut();
    let row_len = network.row_len();
    let mut found = (Vec::new(), Vec::new());
    for rows in input.as_slice().unwrap().chunks(batch * row_len) {
        let count = rows.len() / row_len;
        planes(network, count)[..rows.len()].copy_from_slice(rows);
        let answers = network.run(count, |logits, values| (logits.to_vec(), values.to_vec())).unwrap();
        found.0.extend(answers.0);
        found.1.extend(answers.1);
    }
    let worst = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len(), "{name}");
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let (logits, values) = (worst(&found.0, policy.as_slice().unwrap()), worst(&found.1, value.as_slice().unwrap()));
    assert!(logits <= tolerance && values <= tolerance, "{name}, batches of {batch}: {logits} and {values}");
}

#[test]
fn every_kind_of_export_answers_as_torch_does_in_batches_of_every_size() {
    for (name, tolerance) in [
        ("dynamo_functions", 1e-4),
        ("dynamo_baked_shape", 1e-4),
        ("dynamo_baked_minus", 1e-4),
        ("dynamo_baked_more", 1e-4),
        ("dynamo_declared_one", 1e-4),
        ("dynamo_fixed_two", 1e-4),
        ("legacy_fixed", 1e-4),
        ("legacy_baked_two", 1e-4),
        ("legacy_good_op13", 1e-4),
        ("legacy_good_fp16", 2e-2),
        ("dynamo_fp16_types", 2e-2),
    ] {
        let (mut loaded, report) = load(&format!("exports/{name}"));
        assert_eq!(loaded.fixed_batch, None, "{name}: {:?}", outcome(&report, Step::Structure));
        assert_eq!(report.warnings().count(), 0, "{name}");
        for batch in [1, 2, 5, 8] {
            assert_answers(name, &mut loaded, batch, tolerance);
        }
    }
}

#[test]
fn what_was_opened_is_said() {
    let (_, report) = load("exports/dynamo_baked_shape");
    let expected = "resnet input, batch size any; the exporter had written 1 for it at 4 places";
    assert_eq!(outcome(&report, Step::Structure), &StepOutcome::Passed(expected.to_owned()));
    let (_, report) = load("exports/legacy_good_op13");
    assert_eq!(outcome(&report, Step::Structure), &StepOutcome::Passed("resnet input, batch size any".to_owned()));
}

#[test]
fn a_model_whose_batch_cannot_be_opened_serves_in_batches_of_its_size_with_a_warning() {
    // A plane that the exporter folded to one of a batch of 1.
    let (loaded, report) = load("exports/dynamo_fixed_plane");
    assert_eq!((loaded.fixed_batch, report.refusal()), (Some(1), None));
    let StepOutcome::Warned(warning) = outcome(&report, Step::Structure) else { panic!("{report:?}") };
    assert!(warning.ends_with("(taken out at 5 places, it still does not run with another)"), "{warning}");

    // The mean over the batch is the answer itself only for a batch of 1, and nothing in the graph says 1.
    let (mut loaded, report) = load("bad_forgets_batch");
    assert_eq!((loaded.fixed_batch, loaded.max_batch), (Some(1), 1));
    let StepOutcome::Warned(warning) = outcome(&report, Step::Structure) else { panic!("{report:?}") };
    assert!(warning.starts_with("resnet input, batch size 1: that size is built into the model"), "{warning}");
    assert!(
        warning.ends_with("export the model with an open batch (no place is known where 1 stands for the batch)"),
        "{warning}"
    );
    assert_eq!(report.refusal(), None);
    let network = loaded.evaluators[0].network_mut();
    planes(network, 1).fill(1.0);
    network.run(1, |logits, values| assert_eq!((logits.len(), values.len()), (17, 1))).unwrap();
}

#[test]
fn further_outputs_are_left_alone_and_named() {
    let (loaded, report) = load("tiny_three_heads");
    let expected = "resnet input, batch size any, outputs not used: `moves_left`, `ownership`";
    assert_eq!(outcome(&report, Step::Structure), &StepOutcome::Passed(expected.to_owned()));
    assert_eq!(loaded.fixed_batch, None);
}

#[test]
fn answers_of_another_meaning_are_warned_of_and_refused_where_the_settings_are_strict() {
    for (name, words) in [
        ("tiny_wide_value", "is outside [-1, 1] (from "),
        (
            "odd_probabilities",
            "`policy_logits` is at least 0 and adds up to 1 in all 64 positions, as probabilities do",
        ),
        ("odd_zero_weights", "all 64 positions get the same answer, as from a network whose weights are 0"),
    ] {
        let (loaded, report) = load(name);
        let StepOutcome::Warned(warning) = outcome(&report, Step::Meaning) else { panic!("{name}: {report:?}") };
        assert!(warning.contains(words) && !warning.contains("; "), "{name}: {warning}");
        assert_eq!((report.refusal(), loaded.fixed_batch), (None, None));
        assert_eq!(report.warnings().collect::<Vec<_>>(), [(Step::Meaning, warning.as_str())]);

        let (refused, _) = load_with(name, &LoadOptions { strict: true, ..options(&BOARD) });
        let Err(LoadError::Model(error @ ModelError::Doubtful { .. })) = refused else { panic!("{name} serves") };
        assert!(error.to_string().ends_with("(model.strict refuses such models)"), "{error}");
    }
    let (_, report) = load_with("b3w1_resnet_1x16", &LoadOptions { strict: true, ..options(&BOARD) });
    assert!(matches!(outcome(&report, Step::Meaning), StepOutcome::Passed(_)), "{report:?}");
}

#[test]
fn a_model_with_dropout_in_training_mode_is_refused_every_time() {
    for _ in 0..20 {
        let (refused, report) = load_with("bad_dropout", &options(&BOARD));
        let Err(LoadError::Model(error @ ModelError::Unsteady { .. })) = refused else { panic!("{report:?}") };
        assert!(error.to_string().contains("call model.eval() before the export"), "{error}");
        assert_eq!(report.refusal().unwrap().0, Step::Steady);
    }
}
