//! Real models through OpenVINO. A binary of its own, because a process loads one ONNX Runtime only.
//!
//! The library is the file or folder that `SELFPLAY_OPENVINO_LIBRARY` names, else `.ort/openvino` of the checkout. Where there is
//! none, these tests say so and pass: `cargo xtask test` fetches it, or says aloud that they tested nothing.

#![expect(clippy::unwrap_used, reason = "a failed set-up fails the test")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use selfplay_actors::onnx::{
    Agreement, Device, DeviceRequest, GameDescription, LibrarySearch, LoadError, LoadOptions, Loaded, ModelError,
    ModelFile, ModelReport, OpenVinoDevice, Precision, PrecisionOptions, PrecisionRequest, Runtime, Step, StepOutcome,
    check_model, probe_devices,
};
use selfplay_engine::{
    evaluation::{Evaluations, Evaluator as _, Leaf},
    game::Game as _,
    games::quoridor::Quoridor,
};

const OPENVINO: Device = Device::OpenVino(OpenVinoDevice::Cpu);

const LIBRARY: &str = "SELFPLAY_OPENVINO_LIBRARY";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The runtime, or nothing where it is not there.
fn runtime() -> Option<Runtime> {
    let named = env::var_os(LIBRARY).filter(|path| !path.is_empty()).map(PathBuf::from);
    let folder = repository().join(".ort/openvino");
    if named.is_none() && !folder.is_dir() {
        eprintln!(
            "SKIPPED: no OpenVINO in .ort/openvino, and {LIBRARY} is not set; see `cargo xtask fetch-ort --openvino`"
        );
        return None;
    }
    let search = LibrarySearch {
        setting: named.or(Some(folder)),
        ..LibrarySearch::new(None, &DeviceRequest::OpenVino(OpenVinoDevice::Cpu))
    };
    Some(Runtime::start(&search).unwrap_or_else(|error| panic!("{error}")))
}

fn path(name: &str) -> PathBuf {
    repository().join(format!("tests/data/models/{name}.onnx"))
}

fn model(name: &str) -> ModelFile {
    ModelFile::read(path(name)).unwrap()
}

/// One thread, batches up to 16.
fn options(precision: impl Into<PrecisionRequest>) -> LoadOptions {
    let precision = precision.into();
    LoadOptions {
        devices: vec![OPENVINO],
        precision: PrecisionOptions { precision, max_kl: 0.05, max_value_error: 0.1 },
        ..LoadOptions::on_cpu(16, GameDescription::new("a board"))
    }
}

fn quoridor(board: u32, walls: u32) -> Quoridor {
    Quoridor::new(board, walls, None).unwrap()
}

fn check(
    runtime: &Runtime,
    game: &Quoridor,
    model: &ModelFile,
    options: &LoadOptions,
) -> (Result<Loaded<Quoridor>, LoadError>, ModelReport) {
    let mut report = ModelReport::new(model.path());
    let loaded = check_model(runtime, game, model, options, &mut report);
    (loaded, report)
}

fn served(
    runtime: &Runtime,
    game: &Quoridor,
    model: &ModelFile,
    options: &LoadOptions,
) -> (Loaded<Quoridor>, Agreement) {
    let (loaded, report) = check(runtime, game, model, options);
    let loaded = loaded.unwrap_or_else(|error| panic!("{}: {error}", model.path().display()));
    assert!(loaded.devices.iter().all(|&device| device == OPENVINO));
    assert_eq!(report.provider.as_deref(), Some("openvino:cpu"));
    let agreement = report.precision.unwrap();
    let step = report.steps.iter().find(|step| step.step == Step::Precision).unwrap();
    let StepOutcome::Passed(detail) = &step.outcome else { panic!("{:?}", step.outcome) };
    assert!(detail.starts_with(&agreement.to_string()), "{detail}");
    assert_eq!((agreement.device, loaded.precision), (OPENVINO, agreement.precision));
    assert_eq!(report.computes, Some(agreement.precision));
    if options.precision.precision != PrecisionRequest::Auto {
        assert_eq!(*detail, agreement.to_string(), "nothing was left to choose");
        assert_eq!(options.precision.precision, agreement.precision.into(), "obeyed");
    }
    (loaded, agreement)
}

fn refused(runtime: &Runtime, game: &Quoridor, model: &ModelFile, options: &LoadOptions) -> (ModelError, Step) {
    let (loaded, report) = check(runtime, game, model, options);
    match loaded {
        Err(LoadError::Model(error)) => (error, report.refusal().unwrap().0),
        other => panic!("{} is not refused: {other:?}", model.path().display()),
    }
}

#[test]
fn openvino_starts_and_is_what_was_asked_for() {
    let Some(runtime) = runtime() else { return };
    let provider = probe_devices(&runtime, &"openvino".parse().unwrap()).unwrap();
    assert_eq!((&provider.actual[..], provider.note.as_deref()), (&[OPENVINO][..], None));
    assert_eq!(provider.to_string(), "openvino:cpu");
}

#[test]
fn models_answer_as_with_onnx_runtimes_own_kernels() {
    let Some(runtime) = runtime() else { return };
    for (board, walls, name) in [
        (3, 1, "b3w1_resnet_1x16"),
        (5, 3, "b5w3_resnet_2x32_trained"),
        (9, 10, "b9w10_resnet_2x32"),
        (5, 1, "b5w1_mlp"),
        (3, 1, "external/model_1"),
        (3, 1, "tiny_three_heads"),
        (3, 1, "tiny_value_rank_1"),
        (3, 1, "tiny_win_draw_loss"),
        (3, 1, "tiny_loss_draw_win"),
        (3, 1, "tiny_flat"),
        (3, 1, "tiny_other_names"),
    ] {
        let (_, agreement) = served(&runtime, &quoridor(board, walls), &model(name), &options(Precision::Fp32));
        assert!(agreement.policy_kl_max < 1e-5 && agreement.value_error_max < 1e-4, "{name}: {agreement}");
        assert!(agreement.draw_error_max.is_none_or(|error| error < 1e-4), "{name}: {agreement}");
        assert_eq!(agreement.draw_error_max.is_some(), name.contains("draw"), "{name}");
        assert!(agreement.to_string().starts_with("fp32 through OpenVINO against fp32 on "), "{agreement}");
    }
}

/// What shows that bf16 is computed: answers are off by more than rounding in fp32, and by less than the limits.
#[test]
fn bf16_stays_near_to_fp32_where_the_cpu_has_it() {
    let Some(runtime) = runtime() else { return };
    let (game, trained) = (quoridor(5, 3), model("b5w3_resnet_2x32_trained"));
    if let Err(reason) = Precision::Bf16.possible_on(OPENVINO) {
        let (error, step) = refused(&runtime, &game, &trained, &options(Precision::Bf16));
        assert_eq!(step, Step::Precision);
        assert!(error.to_string().ends_with(&format!(" to bf16: {reason}")), "{error}");
        return;
    }
    let (_, agreement) = served(&runtime, &game, &trained, &options(Precision::Bf16));
    assert!((1e-6..2e-3).contains(&agreement.policy_kl_max), "{agreement}");
    assert!((1e-3..6e-2).contains(&agreement.value_error_max), "{agreement}");
}

#[test]
fn int8_runs_as_well_and_fp16_is_refused() {
    let Some(runtime) = runtime() else { return };
    let game = quoridor(5, 3);
    let (loaded, agreement) = served(&runtime, &game, &model("b5w3_resnet_2x32"), &options(Precision::Int8));
    assert!(agreement.policy_kl_max > 1e-7 && agreement.policy_kl_max < 1e-2, "{agreement}");
    assert_ne!(loaded.model.checksum(), model("b5w3_resnet_2x32").checksum());
    let (error, step) = refused(&runtime, &game, &model("b5w3_resnet_2x32"), &options(Precision::Fp16));
    assert_eq!(step, Step::Precision);
    assert!(error.to_string().contains(" to fp16: fp16 is for GPUs"), "{error}");
}

#[test]
fn answers_beyond_the_limits_refuse_a_model_in_fp32_too() {
    let Some(runtime) = runtime() else { return };
    let mut strict = options(Precision::Fp32);
    strict.precision.max_value_error = -1.0;
    let (error, step) = refused(&runtime, &quoridor(5, 3), &model("b5w3_resnet_2x32_trained"), &strict);
    assert_eq!(step, Step::Precision);
    assert!(matches!(error, ModelError::Imprecise { .. }), "{error}");
    assert!(error.to_string().contains("fp32 through OpenVINO against fp32"), "{error}");
}

#[test]
fn an_operator_that_openvino_does_not_run_is_never_left_to_another_device() {
    let Some(runtime) = runtime() else { return };
    let (error, step) = refused(&runtime, &quoridor(3, 1), &model("tiny_double_inside"), &options(Precision::Fp32));
    assert_eq!(step, Step::Precision, "ONNX Runtime itself runs it");
    let expected = "tiny_double_inside.onnx on openvino:cpu: it holds operators that OpenVINO does not run; choose \
                    inference.device = \"cpu\" for it";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn broken_models_are_refused_for_what_is_wrong_with_them() {
    let Some(runtime) = runtime() else { return };
    let game = quoridor(3, 1);
    for (name, refuses) in
        [("bad_f64", Step::Structure), ("bad_nan_weights", Step::Finite), ("bad_mixes_batch", Step::Agreement)]
    {
        assert_eq!(refused(&runtime, &game, &model(name), &options(Precision::Fp32)).1, refuses, "{name}");
    }
}

#[test]
fn an_intel_gpu_that_is_not_there_is_refused_with_what_to_do() {
    let Some(runtime) = runtime() else { return };
    match probe_devices(&runtime, &"openvino:gpu".parse().unwrap()) {
        // Where there is one, it is the one.
        Ok(provider) => assert_eq!(provider.actual, [Device::OpenVino(OpenVinoDevice::Gpu)]),
        Err(error) => {
            let expected = "use device openvino:gpu: OpenVINO finds no GPU of Intel's on this machine, or not the driver that it \
                            needs (Debian's intel-opencl-icd, and in a container /dev/dri); choose inference.device = \
                            \"openvino:cpu\"";
            assert_eq!(error.to_string(), expected);
        }
    }
}

/// What may serve by itself: measured, whichever of the two is faster on this processor.
fn left_open(precision: impl Into<PrecisionRequest>) -> LoadOptions {
    LoadOptions { rival: Some(Device::Cpu), ..options(precision) }
}

fn said(report: &ModelReport) -> String {
    match &report.steps.iter().find(|step| step.step == Step::Precision).unwrap().outcome {
        StepOutcome::Passed(detail) => detail.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn auto_asks_for_openvino_where_the_cpu_has_bf16() {
    let Some(runtime) = runtime() else { return };
    let provider = probe_devices(&runtime, &"auto".parse().unwrap()).unwrap();
    if provider.actual.iter().any(|device| device.gpu().is_some()) {
        return;
    }
    let bf16 = Precision::Bf16.possible_on(OPENVINO).is_ok();
    let expected = if bf16 { (vec![OPENVINO], Some(Device::Cpu)) } else { (vec![Device::Cpu], None) };
    assert_eq!((provider.actual, provider.rival), expected);
}

/// One test, as the choice is the process's: others that measure would come between.
#[test]
fn the_faster_device_serves_and_later_models_are_not_measured_again() {
    let Some(runtime) = runtime() else { return };
    let (game, open) = (quoridor(5, 3), left_open(PrecisionRequest::Auto));
    let (loaded, report) = check(&runtime, &game, &model("b5w3_resnet_2x32"), &open);
    let first = loaded.unwrap();
    let text = said(&report);
    assert!(text.contains("evaluations per CPU-second: openvino:cpu in "), "{text}");
    assert!(text.contains(", cpu in fp32 "), "{text}");
    assert_eq!(report.computes, Some(first.precision));
    assert_eq!(report.precision.is_some(), first.devices == [OPENVINO], "OpenVINO is compared with fp32");

    // Another model of the same structure.
    let (loaded, report) = check(&runtime, &game, &model("b5w3_resnet_2x32_trained"), &open);
    let second = loaded.unwrap();
    assert_eq!((&second.devices, second.precision), (&first.devices, first.precision));
    assert!(said(&report).ends_with("the fastest with an earlier model"), "{}", said(&report));
    assert_eq!(report.precision.is_some(), second.devices == [OPENVINO], "the guard looks at every model");

    // One whose answers OpenVINO strays from too far, however little: the choice is made anew, and it is the CPU.
    let mut strict = open.clone();
    (strict.precision.max_kl, strict.precision.max_value_error) = (0.0, -1.0);
    let (loaded, report) = check(&runtime, &game, &model("b5w3_resnet_2x32_trained"), &strict);
    let third = loaded.unwrap();
    assert_eq!((&third.devices[..], third.precision), (&[Device::Cpu][..], Precision::Fp32));
    if first.devices == [OPENVINO] {
        assert_eq!(said(&report), "nothing else can");
    }

    // Another structure is measured.
    let (loaded, report) = check(&runtime, &quoridor(3, 1), &model("b3w1_resnet_1x16"), &open);
    loaded.unwrap();
    assert!(said(&report).contains("evaluations per CPU-second"), "{}", said(&report));

    // What only one of them can do is done by that one; what neither can is refused.
    let (loaded, _) = check(&runtime, &quoridor(3, 1), &model("tiny_double_inside"), &open);
    assert_eq!(loaded.unwrap().devices, [Device::Cpu], "OpenVINO has not all operators");
    let (loaded, _) = check(&runtime, &game, &model("b5w3_resnet_2x32"), &left_open(Precision::Fp16));
    assert_eq!(loaded.unwrap().devices, [Device::Cpu], "through OpenVINO a CPU has no fp16");
    let (loaded, _) = check(&runtime, &game, &model("b5w3_resnet_2x32"), &left_open(Precision::Bf16));
    match Precision::Bf16.possible_on(OPENVINO) {
        Ok(()) => assert_eq!(loaded.unwrap().devices, [OPENVINO], "stated, obeyed"),
        Err(_) => assert!(loaded.unwrap_err().to_string().contains(" to bf16: ")),
    }
    let (loaded, report) = check(&runtime, &game, &model("b5w3_resnet_2x32"), &left_open(Precision::Int8));
    let loaded = loaded.unwrap();
    assert_eq!((loaded.precision, report.precision.unwrap().precision), (Precision::Int8, Precision::Int8));
    assert!(said(&report).contains("openvino:cpu in int8 ") && said(&report).contains("cpu in int8 "));

    // With OpenVINO named, only the precision is open. bf16 strays by more than these limits, fp32 by less.
    let named = options(PrecisionRequest::Auto);
    let (_, report) = check(&runtime, &game, &model("b5w3_resnet_2x32_trained"), &named);
    if Precision::Bf16.possible_on(OPENVINO).is_ok() {
        assert!(said(&report).contains("openvino:cpu in bf16 ") && said(&report).contains("openvino:cpu in fp32 "));
    }
    let mut near = named;
    near.precision.max_value_error = 1e-4;
    let (loaded, _) = served(&runtime, &game, &model("b5w3_resnet_2x32_trained"), &near);
    assert_eq!(loaded.precision, Precision::Fp32);
}

/// Each size that OpenVINO runs it compiles first.
#[test]
fn batches_are_padded_to_few_sizes() {
    let Some(runtime) = runtime() else { return };
    let game = quoridor(3, 1);
    let mut two = options(Precision::Fp32);
    two.threads = 2;
    let (mut loaded, _) = served(&runtime, &game, &model("b3w1_resnet_1x16"), &two);
    assert_eq!((loaded.evaluators.len(), loaded.max_batch), (2, 16));
    let padding = [1, 3, 5, 9, 13, 16].map(|batch| loaded.evaluators[1].network_mut().padding(batch));
    assert_eq!(padding, [0, 1, 3, 3, 3, 0]);
    let state = game.start();
    let leaf = Leaf::new(&game, &state, &game.legal_actions(&state));
    let mut answers = Vec::new();
    for (evaluator, batch) in loaded.evaluators.iter_mut().zip([1, 13]) {
        let mut out = Evaluations::default();
        evaluator.evaluate(&vec![leaf; batch], &mut out).unwrap();
        answers.push((out.get(batch - 1).value, out.get(batch - 1).priors.to_vec()));
    }
    assert!((answers[0].0 - answers[1].0).abs() < 1e-4, "{answers:?}");
    assert!(answers[0].1.iter().zip(&answers[1].1).all(|(a, b)| (a - b).abs() < 1e-4), "{answers:?}");
}

#[test]
fn batch_sizes_that_are_built_in_are_opened_or_kept() {
    let Some(runtime) = runtime() else { return };
    let game = quoridor(3, 1);
    for (name, fixed) in [
        ("exports/dynamo_baked_shape", None),
        ("exports/legacy_baked_two", None),
        ("exports/legacy_good_fp16", None),
        ("tiny_fixed_batch_4", Some(4)),
    ] {
        let (loaded, agreement) = served(&runtime, &game, &model(name), &options(Precision::Fp32));
        assert_eq!(loaded.fixed_batch, fixed, "{name}");
        assert!(agreement.value_error_max < 1e-2, "{name}: {agreement}");
    }
}

#[test]
fn weights_in_other_files_are_those_that_were_read() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model.onnx");
    fs::copy(path("bad_external_data"), &place).unwrap();
    let weights: Vec<u8> = (0..5 * 17).flat_map(|index| (index as f32 * 0.01).to_le_bytes()).collect();
    let beside = folder.path().join("bad_external_data.bin");
    fs::write(&beside, weights).unwrap();
    let model = ModelFile::read(&place).unwrap();
    fs::remove_file(beside).unwrap();
    let (_, agreement) = served(&runtime, &quoridor(3, 1), &model, &options(Precision::Fp32));
    assert!(agreement.policy_kl_max < 1e-5, "{agreement}");
}

/// OpenVINO pins a thread while it computes, if it may; those of all sessions would share the first core.
#[test]
fn no_thread_is_pinned_to_a_core() {
    const LOOKS: usize = 200;
    let Some(runtime) = runtime() else { return };
    let game = quoridor(5, 3);
    let (mut loaded, _) = served(&runtime, &game, &model("b5w3_resnet_2x32_trained"), &options(Precision::Fp32));
    let start = game.start();
    let leaf = Leaf::new(&game, &start, &game.legal_actions(&start));
    let allowed = |status: PathBuf| {
        let status = fs::read_to_string(status).ok()?; // A thread that has ended meanwhile.
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|cores| cores.trim().to_owned())
    };
    let of_process = allowed("/proc/self/status".into()).unwrap();
    let looks = AtomicUsize::new(0);
    let mut found = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while looks.load(Relaxed) < LOOKS {
                loaded.evaluators[0].evaluate(&[leaf; 8], &mut Evaluations::default()).unwrap();
            }
        });
        while looks.fetch_add(1, Relaxed) < LOOKS {
            let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
            found.extend(tasks.filter_map(|task| allowed(task.path().join("status"))));
        }
    });
    assert_eq!(found, BTreeSet::from([of_process]));
}
