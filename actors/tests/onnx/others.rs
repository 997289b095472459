//! Models of other trainers: by other names, with logits of win, draw and loss, with their planes in one row.

use selfplay_actors::onnx::{
    BatchBuckets, GameDescription, Head, InputFormat, LoadOptions, Loaded, ModelReport, OnnxEvaluator, Precision,
    PrecisionOptions, Step, StepOutcome, check_model, load_evaluators,
};
use selfplay_engine::{
    evaluation::{Evaluations, Evaluator as _, Leaf},
    game::Game,
    games::{quoridor::Quoridor, tictactoe::TicTacToe},
};

use crate::support::{Encoding, Shapes, load, model, options, planes, refusal, runtime};

const BOARD_3: Shapes = Shapes::board(3);

fn evaluations(evaluator: &mut OnnxEvaluator<Shapes>, count: u32) -> Evaluations {
    let mut found = Evaluations::default();
    evaluator.evaluate(&BOARD_3.leaves(count), &mut found).unwrap();
    found
}

fn loaded(name: &str) -> Loaded<Shapes> {
    load(&BOARD_3, name).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn other_names_are_understood() {
    let mut usual = loaded("tiny");
    let mut other = loaded("tiny_other_names");
    assert_eq!((other.head, &other.unused), (Head::Scalar, &Vec::new()));
    assert_eq!(evaluations(&mut other.evaluators[0], 20), evaluations(&mut usual.evaluators[0], 20));
}

#[test]
fn logits_of_win_draw_and_loss_give_value_and_draw() {
    let mut loaded = loaded("tiny_win_draw_loss");
    assert_eq!((loaded.head, loaded.encoding), (Head::WinDrawLoss([0, 1, 2]), Encoding::Planes));
    let found = evaluations(&mut loaded.evaluators[0], 20);
    let mut draws = Vec::new();
    for (position, found) in found.iter().enumerate() {
        let leaf = BOARD_3.leaf(100 + position as u32);
        let network = loaded.evaluators[0].network_mut();
        let row_len = network.row_len();
        BOARD_3.encode(Encoding::Planes, &leaf.position, &mut planes(network, 1)[..row_len]);
        let logits = network.run(1, |_, numbers| numbers.to_vec()).unwrap();
        // The definition, in double precision.
        let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let draw = found.draw.known().unwrap();
        assert!((f64::from(found.value) - (weights[0] - weights[2]) / sum).abs() < 1e-6, "{found:?}");
        assert!((f64::from(draw) - weights[1] / sum).abs() < 1e-6, "{found:?}");
        draws.push(draw);
    }
    assert!(draws.iter().any(|draw| (draw - draws[0]).abs() > 1e-3), "{draws:?}");
}

#[test]
fn a_head_in_another_order_says_so_by_its_name() {
    let mut usual = loaded("tiny_win_draw_loss");
    let mut other = loaded("tiny_loss_draw_win");
    assert_eq!(other.head, Head::WinDrawLoss([2, 1, 0]));
    assert_eq!(evaluations(&mut other.evaluators[0], 20), evaluations(&mut usual.evaluators[0], 20));
}

#[test]
fn memory_that_is_bound_buckets_and_packing_change_nothing() {
    // Of real positions, which can be packed.
    let game = Quoridor::new(3, 2, None).unwrap();
    let mut state = game.start();
    let mut leaves = Vec::new();
    for _ in 0..5 {
        let legal = game.legal_actions(&state);
        leaves.push(Leaf::new(&game, &state, &legal));
        game.play(&mut state, selfplay_engine::ActionSet::nth(&legal, 0));
    }
    for name in ["tiny_win_draw_loss", "tiny_loss_draw_win", "tiny_other_names", "tiny_flat"] {
        let evaluate = |input, binding, graphs, buckets: &[usize]| {
            let mut options = LoadOptions::on_cpu(8, GameDescription::new("a board"));
            (options.input, options.binding, options.gpu.graphs) = (input, Some(binding), graphs);
            options.buckets = Some(BatchBuckets::new(buckets.iter().copied()));
            let mut loaded = load_evaluators(&runtime(), &game, &model(name), &options).unwrap();
            let mut found = Evaluations::default();
            loaded.evaluators[0].evaluate(&leaves, &mut found).unwrap();
            found
        };
        let plain = evaluate(InputFormat::Planes, false, false, &[]);
        for input in [InputFormat::Planes, InputFormat::Packed] {
            for (binding, graphs) in [(false, false), (true, false), (true, true)] {
                assert_eq!(evaluate(input, binding, graphs, &[2, 8]), plain, "{name} {input:?} {binding} {graphs}");
            }
        }
    }
}

#[test]
fn planes_in_one_row_are_the_same_planes() {
    let mut usual = loaded("tiny");
    let mut flat = loaded("tiny_flat");
    assert_eq!(flat.encoding, Encoding::Planes);
    assert_eq!(evaluations(&mut flat.evaluators[0], 20), evaluations(&mut usual.evaluators[0], 20));
    // An encoding that is a row by itself comes first.
    assert_eq!(load(&Shapes::board(5), "b5w1_mlp").unwrap().encoding, Encoding::Flat);
}

#[test]
fn values_of_other_shapes_are_refused_with_what_is_allowed() {
    assert_eq!(
        refusal(&BOARD_3, "bad_win_draw_loss_width"),
        "model bad_win_draw_loss_width.onnx gives `wdl` [batch, 2]; the settings say board 3: expected [batch, 3] (win, draw, \
         loss)"
    );
    let not_finite = "try model bad_win_draw_loss_nan.onnx: 64 of 64 positions are answered with non-finite numbers";
    assert_eq!(refusal(&BOARD_3, "bad_win_draw_loss_nan"), not_finite);
}

fn report(name: &str, options: &LoadOptions) -> ModelReport {
    let model = model(name);
    let mut report = ModelReport::new(model.path());
    drop(check_model(&runtime(), &BOARD_3, &model, options, &mut report));
    report
}

fn outcome(report: &ModelReport, step: Step) -> &StepOutcome {
    &report.steps.iter().find(|report| report.step == step).unwrap().outcome
}

#[test]
fn probabilities_in_place_of_logits_are_warned_of() {
    let report = report("odd_win_draw_loss", &options(&BOARD_3));
    let StepOutcome::Warned(warning) = outcome(&report, Step::Meaning) else { panic!("{report:?}") };
    assert!(warning.starts_with("`value` is at least 0 and adds up to 1 in all 64 positions"), "{warning}");
    assert!(warning.ends_with("export the logits of win, draw, loss, before softmax"), "{warning}");
}

#[test]
fn a_report_names_what_is_there_and_what_it_is_used_for() {
    let ports = |name| {
        let report = report(name, &options(&BOARD_3));
        let text = |port: &selfplay_actors::onnx::PortReport| {
            format!("{} {} {} {}: {}", port.port, port.name, port.shape, port.element, port.used_as)
        };
        (report.ports.iter().map(text).collect::<Vec<_>>(), outcome(&report, Step::Structure).clone())
    };
    let (found, structure) = ports("tiny_loss_draw_win");
    let expected = [
        "input input [batch, 5, 9, 9] f32: positions",
        "output policy_logits [batch, 17] f32: policy",
        "output ldw [batch, 3] f32: loss, draw, win",
    ];
    assert_eq!(found, expected);
    let passed = "resnet input, batch size any, outcome as loss, draw, win";
    assert_eq!(structure, StepOutcome::Passed(passed.to_owned()));
    assert_eq!(ports("tiny_flat").1, StepOutcome::Passed("flat resnet input, batch size any".to_owned()));
    let (found, _) = ports("tiny_three_heads");
    assert!(found.contains(&"output ownership [batch, 81] f32: nothing".to_owned()), "{found:?}");
    // A model that is refused is told of as well.
    let (found, structure) = ports("bad_output_name");
    assert!(found.contains(&"output prediction [batch, 17] f32: ?".to_owned()), "{found:?}");
    assert!(matches!(structure, StepOutcome::Refused(_)));
    assert!(ports("bad_value_width").0.contains(&"output value [batch, 2] f32: value".to_owned()));
}

#[test]
fn converted_models_keep_value_and_draw() {
    for name in ["others/win_draw_loss", "others/flat"] {
        for (precision, most) in [(Precision::Int8, 0.1), (Precision::Fp16, 0.005)] {
            let options = LoadOptions {
                precision: PrecisionOptions { precision: precision.into(), max_kl: 0.1, max_value_error: 0.1 },
                ..LoadOptions::on_cpu(8, GameDescription::new("a board"))
            };
            let model = model(name);
            let mut report = ModelReport::new(model.path());
            let loaded = check_model(&runtime(), &TicTacToe, &model, &options, &mut report);
            let loaded = loaded.unwrap_or_else(|error| panic!("{name} in {precision}: {error}"));
            assert!(matches!(loaded.head, Head::WinDrawLoss(_)));
            let agreement = report.precision.unwrap();
            let (mean, max) = (agreement.draw_error_mean.unwrap(), agreement.draw_error_max.unwrap());
            assert!(0.0 < mean && mean <= max && max <= most, "{name}: {agreement}");
            assert!(agreement.value_error_max <= most, "{name}: {agreement}");
            assert!(agreement.to_string().contains("; draw error mean "), "{agreement}");
        }
    }
}
