//! A wrong model is refused with one sentence that names both sides.

use std::fs;

use selfplay_actors::onnx::{LoadError, ModelError, ModelFile, load_evaluators};

use crate::support::{Shapes, data, load, model, options, refusal, runtime};

const BOARD_3: Shapes = Shapes::board(3);

#[test]
fn a_model_of_another_board_is_named_with_what_would_fit() {
    assert_eq!(
        refusal(&Shapes::board(9), "b5w3_resnet_2x32"),
        "model b5w3_resnet_2x32.onnx takes input [batch, 5, 13, 13], which is a 5x5 resnet; the settings say board 9: \
         expected [batch, 5, 21, 21] (resnet) or [batch, 292] (mlp)"
    );
    assert_eq!(
        refusal(&BOARD_3, "b5w1_mlp"),
        "model b5w1_mlp.onnx takes input [batch, 84]; the settings say board 3: expected [batch, 5, 9, 9] (resnet) or \
         [batch, 28] (mlp)"
    );
    assert_eq!(
        refusal(&BOARD_3, "bad_rank_3"),
        "model bad_rank_3.onnx takes input [batch, 45, 9]; the settings say board 3: expected [batch, 5, 9, 9] (resnet) \
         or [batch, 28] (mlp)"
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
        "model bad_value_width.onnx gives `value` [batch, 3]; the settings say board 3: expected [batch, 1] or [batch]"
    );
    assert_eq!(
        refusal(&BOARD_3, "bad_forgets_batch"),
        "try model bad_forgets_batch.onnx: run the network: output `policy_logits` has shape [1, 17] for a batch of 4; \
         expected [4, 17]"
    );
}

#[test]
fn other_inputs_and_outputs_are_refused_by_name() {
    let expected = "; expected the input `input` and the outputs `policy_logits` and `value`";
    for (name, found) in [
        ("bad_output_name", "inputs `input` and outputs `policy`, `value`"),
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
    assert_eq!(
        refusal(&BOARD_3, "bad_nan"),
        "try model bad_nan.onnx: 4 of 4 positions are answered with non-finite numbers"
    );
}

#[test]
fn missing_external_data_is_said_to_be_missing() {
    let text = refusal(&BOARD_3, "bad_external_data");
    assert!(text.starts_with("load model bad_external_data.onnx: its external data cannot be read"), "{text}");
    assert!(text.contains("bad_external_data.bin"), "{text}");
}

#[test]
fn external_data_beside_the_model_is_found_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::copy(data("models/bad_external_data.onnx"), &path).unwrap();
    let weights: Vec<u8> = (0..5 * 17).flat_map(|index| (index as f32 / 100.0).to_le_bytes()).collect();
    fs::write(folder.path().join("bad_external_data.bin"), weights).unwrap();
    let model = ModelFile::read(&path).unwrap();
    load_evaluators(&runtime(), &BOARD_3, &model, &options(&BOARD_3)).unwrap();
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
