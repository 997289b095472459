//! A wrong model is refused with one sentence that names both sides.

use std::{fs, path::PathBuf};

use selfplay_actors::onnx::{
    LoadError, ModelError, ModelFile, ModelReport, Step, StepOutcome, check_model, load_evaluators,
};

use crate::support::{Shapes, data, load, model, options, planes, refusal, runtime};

const BOARD_3: Shapes = Shapes::board(3);

#[test]
fn a_model_of_another_board_is_named_with_what_would_fit() {
    assert_eq!(
        refusal(&Shapes::board(9), "b5w3_resnet_2x32"),
        "model b5w3_resnet_2x32.onnx takes input [batch, 5, 13, 13], which is a 5x5 resnet; the settings say board 9: \
         expected [batch, 5, 21, 21] or [batch, 2205] (resnet), or [batch, 292] (mlp)"
    );
    assert_eq!(
        refusal(&BOARD_3, "b5w1_mlp"),
        "model b5w1_mlp.onnx takes input [batch, 84]; the settings say board 3: expected [batch, 5, 9, 9] or \
         [batch, 405] (resnet), or [batch, 28] (mlp)"
    );
    assert_eq!(
        refusal(&BOARD_3, "bad_rank_3"),
        "model bad_rank_3.onnx takes input [batch, 45, 9]; the settings say board 3: expected [batch, 5, 9, 9] or \
         [batch, 405] (resnet), or [batch, 28] (mlp)"
    );
}

#[test]
fn outputs_of_other_sizes_are_refused() {
    assert_eq!(
        refusal(&BOARD_3, "bad_policy_width"),
        "model bad_policy_width.onnx gives `policy_logits` [batch, 57]; the settings say board 3: expected [batch, 17]"
    );
    assert_eq!(
        refusal(&BOARD_3, "bad_value_width"),
        "model bad_value_width.onnx gives `value` [batch, 2]; the settings say board 3: expected [batch, 1] or [batch] or \
         [batch, 3] (win, draw, loss)"
    );
}

#[test]
fn other_inputs_and_outputs_are_refused_by_name() {
    let expected = "; expected one input, an output for the policy (`policy_logits`, `policy`, `policy_output`, `output_policy`, \
                    `policy_head`, `/output/policy`, `pi_logits`, `pi`, `p_logits`, `p`) and one for the value (`value`, \
                    `value_output`, `output_value`, `value_head`, `/output/value`, `v`, or `wdl`, `ldw` and so on for win, draw and \
                    loss)";
    for (name, found) in [
        ("bad_output_name", "inputs `input` and outputs `prediction`, `value`"),
        ("bad_no_value", "inputs `input` and outputs `policy_logits`"),
        ("bad_two_inputs", "inputs `input`, `extra` and outputs `policy_logits`, `value`, `ignored`"),
    ] {
        assert_eq!(refusal(&BOARD_3, name), format!("model {name}.onnx has {found}{expected}"));
    }
}

#[test]
fn other_element_types_are_refused() {
    assert_eq!(refusal(&BOARD_3, "bad_f64"), "model bad_f64.onnx has `input` of type f64; expected f32");
}

#[test]
fn a_model_that_answers_nan_is_refused() {
    for name in ["bad_nan", "bad_nan_weights"] {
        assert_eq!(
            refusal(&BOARD_3, name),
            format!("try model {name}.onnx: 64 of 64 positions are answered with non-finite numbers")
        );
    }
}

#[test]
fn a_model_whose_answers_depend_on_the_batch_is_refused() {
    let text = refusal(&BOARD_3, "bad_mixes_batch");
    assert!(
        text.starts_with("try model bad_mixes_batch.onnx: alone and in a batch of 16, values differ by up to 0."),
        "{text}"
    );
    assert!(text.ends_with("priors by up to 0.0000; model.agreement_tolerance is 0.02"), "{text}");
    // In batches of one it is right, if of no use.
    let mut alone = options(&BOARD_3);
    alone.max_batch = 1;
    assert!(load_evaluators(&runtime(), &BOARD_3, &model("bad_mixes_batch"), &alone).is_ok());
}

#[test]
fn operators_of_the_future_are_refused() {
    let text = refusal(&BOARD_3, "bad_opset");
    assert!(text.starts_with("load model bad_opset.onnx: ") && text.contains("Opset 999"), "{text}");
}

#[test]
fn every_step_is_reported() {
    let check = |name: &str| {
        let path = data(&format!("models/{name}.onnx"));
        let mut report = ModelReport::new(&path);
        let options = options(&BOARD_3);
        let checked = ModelFile::check(&path, None, &options.limits, &mut report)
            .map_err(|_| ())
            .and_then(|model| check_model(&runtime(), &BOARD_3, &model, &options, &mut report).map_err(|_| ()));
        let report = report.skipping_the_rest("refused before");
        assert_eq!(checked.is_ok(), report.accepted());
        report
    };
    let report = check("tiny");
    assert_eq!((report.encoding.as_deref(), report.provider.as_deref()), (Some("resnet"), Some("cpu")));
    assert_eq!(report.bytes, Some(637));
    let passed: Vec<_> = report.steps.iter().filter(|step| matches!(step.outcome, StepOutcome::Passed(_))).collect();
    assert_eq!(
        passed.len(),
        Step::ALL.len() - 3,
        "there are no checksum, no external data and no conversion: {report:?}"
    );
    for (name, step) in [
        ("bad_external_data", Step::ExternalData),
        ("bad_f64", Step::Structure),
        ("bad_opset", Step::Structure),
        ("bad_nan", Step::Finite),
        ("bad_mixes_batch", Step::Agreement),
    ] {
        let report = check(name);
        assert_eq!(report.refusal().map(|(step, _)| step), Some(step), "{name}");
        let after = report.steps.iter().filter(|report| report.step > step);
        assert!(after.into_iter().all(|report| matches!(report.outcome, StepOutcome::Skipped(_))), "{name}");
    }
}

#[test]
fn missing_external_data_is_said_to_be_missing() {
    let path = data("models/bad_external_data.onnx");
    let text = ModelFile::read(&path).unwrap_err().to_string();
    let expected =
        format!("load model {}: its external data is not complete: `bad_external_data.bin`: No such", path.display());
    assert!(text.starts_with(&expected), "{text}");
}

/// A folder with a model and its weights beside it.
fn with_external_data(weights: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::copy(data("models/bad_external_data.onnx"), &path).unwrap();
    fs::write(folder.path().join("bad_external_data.bin"), weights).unwrap();
    (folder, path)
}

fn weights(scale: f32) -> Vec<u8> {
    (0..5 * 17).flat_map(|index| (index as f32 * scale).to_le_bytes()).collect()
}

#[test]
fn external_data_is_used_as_it_was_when_it_was_read() {
    let logits = |model: &ModelFile| {
        let mut loaded = load_evaluators(&runtime(), &BOARD_3, model, &options(&BOARD_3)).unwrap();
        let network = loaded.evaluators[0].network_mut();
        planes(network, 1).fill(1.0);
        network.run(1, |logits, _| logits.to_vec()).unwrap()
    };
    let (folder, path) = with_external_data(&weights(0.01));
    let first = ModelFile::read(&path).unwrap();
    let expected = logits(&first);
    assert!(expected.iter().any(|&logit| logit > 1.0));
    fs::write(folder.path().join("bad_external_data.bin"), weights(0.02)).unwrap();
    assert_eq!(logits(&first), expected, "the bytes that were checked are those that are used");
    let second = ModelFile::read(&path).unwrap();
    assert!(second.content() != first.content() && second.checksum() == first.checksum());
    assert!(logits(&second).iter().zip(&expected).all(|(new, old)| (new - 2.0 * old).abs() < 1e-4));
    drop(folder);
    assert_eq!(logits(&first), expected, "and they are needed nowhere else");
}

#[test]
fn too_little_external_data_is_refused() {
    let (_folder, path) = with_external_data(&weights(0.01)[..100]);
    let model = ModelFile::read(&path).unwrap();
    let error = load_evaluators(&runtime(), &BOARD_3, &model, &options(&BOARD_3)).unwrap_err();
    assert!(matches!(error, LoadError::Model(_)), "{error}");
}

fn refuse_bytes(bytes: Vec<u8>) -> ModelError {
    let model = ModelFile::from_bytes("half.onnx", bytes).unwrap();
    match load_evaluators(&runtime(), &BOARD_3, &model, &options(&BOARD_3)) {
        Err(LoadError::Model(error)) => error,
        other => panic!("not refused as a model: {other:?}"),
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let whole = model("b3w1_resnet_1x16").bytes().to_vec();
    for length in (1..whole.len()).step_by(whole.len() / 40) {
        let text = refuse_bytes(whole[..length].to_vec()).to_string();
        assert!(text.starts_with("load model half.onnx: ") && !text.contains('\n'), "{text}");
    }
    let text = refuse_bytes(whole[..whole.len() / 2].to_vec()).to_string();
    assert!(text.starts_with("load model half.onnx: not a complete ONNX model: "), "{text}");
}

#[test]
fn something_else_altogether_is_refused() {
    let text = refuse_bytes(b"PK\x03\x04 this is no network".to_vec()).to_string();
    assert!(text.starts_with("load model half.onnx: not a complete ONNX model: "), "{text}");
}

#[test]
fn the_file_may_change_once_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::copy(data("models/tiny.onnx"), &path).unwrap();
    let model = ModelFile::read(&path).unwrap();
    fs::write(&path, "half of the next model").unwrap();
    let mut options = options(&BOARD_3);
    options.threads = 2;
    assert_eq!(load_evaluators(&runtime(), &BOARD_3, &model, &options).unwrap().evaluators.len(), 2);
}

#[test]
fn a_fitting_model_is_not_refused() {
    assert!(load(&BOARD_3, "tiny").is_ok());
}
