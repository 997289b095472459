//! Models in other precisions: how near they stay to what they were, and what cannot be converted.

use std::fs;

use selfplay_actors::onnx::{
    Agreement, GameDescription, LoadError, LoadOptions, Loaded, ModelError, ModelFile, ModelReport, Precision,
    PrecisionOptions, Step, StepOutcome, check_model,
};
use selfplay_engine::{
    evaluation::{Evaluations, Evaluator as _, Leaf},
    game::Game as _,
    games::quoridor::Quoridor,
};

use crate::support::{data, model, runtime};

fn options(precision: Precision) -> LoadOptions {
    LoadOptions {
        precision: PrecisionOptions { precision: precision.into(), max_kl: 0.1, max_value_error: 0.1 },
        ..LoadOptions::on_cpu(8, GameDescription::new("a board"))
    }
}

fn quoridor(board: u32, walls: u32) -> Quoridor {
    Quoridor::new(board, walls, None).unwrap()
}

fn check(
    game: &Quoridor,
    model: &ModelFile,
    options: &LoadOptions,
) -> (Result<Loaded<Quoridor>, LoadError>, ModelReport) {
    let mut report = ModelReport::new(model.path());
    let loaded = check_model(&runtime(), game, model, options, &mut report);
    (loaded, report)
}

fn converted(game: &Quoridor, name: &str, precision: Precision) -> (Loaded<Quoridor>, Agreement) {
    let (loaded, report) = check(game, &model(name), &options(precision));
    let loaded = loaded.unwrap_or_else(|error| panic!("{name} in {precision}: {error}"));
    let agreement = report.precision.unwrap();
    assert_eq!(agreement.precision, precision);
    let step = report.steps.iter().find(|step| step.step == Step::Precision).unwrap();
    assert_eq!(step.outcome, StepOutcome::Passed(agreement.to_string()));
    (loaded, agreement)
}

fn refused(game: &Quoridor, model: &ModelFile, options: &LoadOptions) -> (ModelError, ModelReport) {
    match check(game, model, options) {
        (Err(LoadError::Model(error)), report) => (error, report),
        (other, _) => panic!("not refused: {other:?}"),
    }
}

#[test]
fn converted_models_answer_nearly_as_before() {
    for (board, walls, name) in
        [(3, 1, "b3w1_resnet_1x16"), (5, 3, "b5w3_resnet_2x32"), (9, 10, "b9w10_resnet_2x32"), (5, 1, "b5w1_mlp")]
    {
        let game = quoridor(board, walls);
        for (precision, most_kl, most_error) in [(Precision::Int8, 3e-3, 4e-2), (Precision::Fp16, 1e-5, 2e-3)] {
            let (loaded, agreement) = converted(&game, name, precision);
            let Agreement { positions, policy_kl_max, policy_kl_mean, value_error_max, value_error_mean, .. } =
                agreement;
            assert!(positions > 64, "{positions}");
            assert!(policy_kl_max <= most_kl && value_error_max <= most_error, "{name}: {agreement}");
            assert!(policy_kl_mean <= policy_kl_max && value_error_mean <= value_error_max, "{name}: {agreement}");
            assert!(policy_kl_max > 0.0, "{name}: it is another model: {agreement}");
            assert_ne!(loaded.model.checksum(), model(name).checksum());
            assert!(loaded.model.bytes().len() < model(name).bytes().len() * 2 / 3, "{name} shrinks");
        }
    }
}

/// Its values lie further apart than those of the untrained ones, and stray further: in int8 by 8.2e-2, and by 9.5e-2 with the
/// weights of 7 bits that CPUs without VNNI get. 0.1 is what the settings allow.
#[test]
fn a_trained_network_strays_within_bounds() {
    let game = quoridor(5, 3);
    let trained = model("b5w3_resnet_2x32_trained");
    for (precision, most_kl, most_error) in [(Precision::Int8, 3e-3, 0.1), (Precision::Fp16, 1e-5, 4e-3)] {
        let mut options = options(precision);
        options.precision.max_value_error = most_error;
        let (loaded, report) = check(&game, &trained, &options);
        assert!(loaded.is_ok(), "{:?}", loaded.err());
        let agreement = report.precision.unwrap();
        assert!(agreement.policy_kl_max <= most_kl && agreement.value_error_max > 0.0, "{agreement}");
    }
}

#[test]
fn what_was_converted_is_what_serves() {
    let game = quoridor(5, 3);
    let state = game.start();
    let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
    let answer = |loaded: &mut Loaded<Quoridor>| {
        let mut out = Evaluations::default();
        loaded.evaluators.iter_mut().for_each(|evaluator| evaluator.evaluate(&[leaf], &mut out).unwrap());
        (out.get(0).value, out.get(0).priors.to_vec())
    };
    let original = answer(&mut check(&game, &model("b5w3_resnet_2x32"), &options(Precision::Fp32)).0.unwrap());
    let mut two = options(Precision::Int8);
    two.threads = 2;
    let mut loaded = check(&game, &model("b5w3_resnet_2x32"), &two).0.unwrap();
    assert_eq!(loaded.evaluators.len(), 2);
    let served = answer(&mut loaded);
    assert_ne!(served, original);
    // The converted file, loaded as any other, is the same network.
    let file = ModelFile::from_bytes("converted.onnx", loaded.model.bytes()).unwrap();
    let (again, report) = check(&game, &file, &options(Precision::Fp32));
    assert_eq!(answer(&mut again.unwrap()), served);
    assert_eq!(report.precision, None);
    let step = report.steps.iter().find(|step| step.step == Step::Precision).unwrap();
    assert_eq!(step.outcome, StepOutcome::Skipped("it serves as it is".to_owned()));
}

#[test]
fn conversion_gives_the_same_bytes_every_time() {
    let game = quoridor(3, 1);
    for precision in [Precision::Int8, Precision::Fp16] {
        let checksum = || converted(&game, "b3w1_resnet_1x16", precision).0.model.checksum();
        assert_eq!(checksum(), checksum());
    }
}

#[test]
fn a_model_that_strays_too_far_is_refused() {
    let game = quoridor(3, 1);
    for (max_kl, max_value_error) in [(0.0, 1.0), (1.0, 0.0)] {
        let mut strict = options(Precision::Int8);
        strict.precision = PrecisionOptions { max_kl, max_value_error, ..strict.precision };
        let (error, report) = refused(&game, &model("b3w1_resnet_1x16"), &strict);
        assert!(matches!(error, ModelError::Imprecise { .. }), "{error}");
        assert_eq!(report.refusal().map(|(step, _)| step), Some(Step::Precision));
        let text = error.to_string();
        let limits = format!(
            "; inference.precision_max_kl is {max_kl}, inference.precision_max_value_error is {max_value_error}"
        );
        assert!(text.contains(": int8 against fp32 on ") && text.ends_with(&limits), "{text}");
    }
}

#[test]
fn what_cannot_be_converted_is_refused_with_the_reason() {
    let game = quoridor(5, 3);
    let (error, report) = refused(&game, &model("b5_const"), &options(Precision::Int8));
    let text = error.to_string().replace(&data("models").display().to_string(), "");
    assert_eq!(
        text,
        "convert model /b5_const.onnx to int8: it holds no Conv, Gemm or MatMul with f32 weights, so int8 gains nothing"
    );
    assert_eq!(report.refusal().map(|(step, _)| step), Some(Step::Precision));
    let quantised = converted(&game, "b5w3_resnet_2x32", Precision::Int8).0.model;
    for precision in [Precision::Int8, Precision::Fp16] {
        let text = refused(&game, &quantised, &options(precision)).0.to_string();
        assert!(text.ends_with(": it is quantised already: it holds QuantizeLinear"), "{text}");
    }
    if cfg!(target_arch = "x86_64") {
        let text = refused(&game, &model("b5w3_resnet_2x32"), &options(Precision::Bf16)).0.to_string();
        assert!(text.contains("to bf16: ONNX Runtime computes in bf16 only on aarch64 Linux"), "{text}");
    }
}

#[test]
fn models_that_are_bad_as_they_come_are_refused_for_that() {
    let game = quoridor(3, 1);
    for precision in [Precision::Int8, Precision::Fp16] {
        let (error, report) = refused(&game, &model("bad_nan_weights"), &options(precision));
        assert!(matches!(error, ModelError::NonFinite { .. }), "{error}");
        assert_eq!(report.refusal().map(|(step, _)| step), Some(Step::Finite));
    }
}

#[test]
fn odd_models_are_converted_as_well() {
    let game = quoridor(3, 1);
    for name in ["tiny", "tiny_fixed_batch_4", "tiny_symbolic_planes", "tiny_value_rank_1", "tiny_wide_value"] {
        for precision in [Precision::Int8, Precision::Fp16] {
            let loaded = converted(&game, name, precision).0;
            assert_eq!(loaded.fixed_batch, (name == "tiny_fixed_batch_4").then_some(4), "{name}");
        }
    }
}

#[test]
fn weights_in_other_files_are_converted_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::copy(data("models/bad_external_data.onnx"), &path).unwrap();
    let weights: Vec<u8> = (0..5 * 17).flat_map(|index| (index as f32 * 0.01).to_le_bytes()).collect();
    fs::write(folder.path().join("bad_external_data.bin"), weights).unwrap();
    let game = quoridor(3, 1);
    for precision in [Precision::Int8, Precision::Fp16] {
        let (loaded, report) = check(&game, &ModelFile::read(&path).unwrap(), &options(precision));
        let loaded = loaded.unwrap();
        assert!(report.precision.unwrap().policy_kl_max < 1e-2);
        assert_eq!(loaded.model.content(), loaded.model.checksum(), "it needs no other file any more");
    }
}
