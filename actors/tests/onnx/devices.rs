//! Devices and the library, as far as a machine without a GPU can show.

use selfplay_actors::onnx::{
    Device, DeviceRequest, LibrarySearch, LoadError, Runtime, devices_name, load_evaluators, probe_devices,
};

use crate::support::{Shapes, load, model, options, runtime};

#[test]
fn the_runtime_starts_once() {
    let first = runtime();
    assert!(first.version().starts_with("1."), "{}", first.version());
    let mut elsewhere = LibrarySearch::new(None, &DeviceRequest::Auto);
    elsewhere.setting = Some("/nowhere/libonnxruntime.so".into());
    let second = Runtime::start(&elsewhere).unwrap();
    assert_eq!((first.library(), first.version()), (second.library(), second.version()));
}

#[test]
fn the_cpu_is_taken_without_a_word() {
    let provider = probe_devices(&runtime(), &DeviceRequest::Cpu).unwrap();
    assert_eq!((&provider.actual[..], provider.note), (&[Device::Cpu][..], None));
    let loaded = load(&Shapes::board(3), "tiny").unwrap();
    assert_eq!(loaded.devices, [Device::Cpu]);
    assert_eq!(loaded.position_bytes, 4 * 5 * 9 * 9);
}

#[test]
fn auto_says_what_it_took_and_why_no_gpu() {
    let provider = probe_devices(&runtime(), &DeviceRequest::Auto).unwrap();
    if provider.actual == [Device::Cpu] {
        // With a CUDA provider in the library, the reason depends on the machine.
        let note = provider.note.as_deref().unwrap();
        let library = runtime().library().display().to_string();
        assert!(!note.ends_with("is built without CUDA") || note.contains(&library), "{provider}");
    } else {
        assert_eq!(provider.actual, [Device::Cuda(0)]);
    }
}

#[test]
fn gpus_demanded_are_gpus_or_an_error_with_the_reason() {
    // No machine has as many, so that even a working CUDA refuses.
    for (request, device) in
        [("cuda:4000", "cuda:4000"), ("cuda:4001,0", "cuda:4001"), ("tensorrt:4000", "tensorrt:4000")]
    {
        let text = probe_devices(&runtime(), &request.parse().unwrap()).unwrap_err().to_string();
        let beginning = format!("use device {device}: ");
        assert!(text.starts_with(&beginning) && text.len() > beginning.len(), "{text}");
    }
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.devices = vec![Device::Cuda(4000)];
    let error = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap_err();
    assert!(matches!(error, LoadError::Device(_)), "{error}");
    assert!(error.to_string().starts_with("use device cuda:4000: "), "{error}");
}

#[test]
fn a_device_that_fails_beside_one_that_works_is_to_blame_itself() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.devices = vec![Device::Cpu, Device::Cuda(4000)];
    assert_eq!(load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap().devices, [Device::Cpu]);
    options.threads = 2;
    let error = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap_err();
    assert!(matches!(error, LoadError::Device(_)), "{error}");
    assert!(error.to_string().starts_with("use device cuda:4000: "), "{error}");
}

#[test]
fn a_model_that_is_broken_is_to_blame_on_every_device() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.devices = vec![Device::Cuda(4000)];
    let error = load_evaluators(&runtime(), &game, &model("bad_f64"), &options).unwrap_err();
    assert!(matches!(error, LoadError::Model(_)), "{error}");
}

#[test]
fn threads_are_told_their_devices() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.threads = 3;
    let loaded = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap();
    assert_eq!(loaded.devices, [Device::Cpu; 3]);
    assert_eq!(devices_name(&loaded.devices), "cpu");
    assert_eq!(devices_name(&[Device::Cuda(1), Device::Cuda(0), Device::Cuda(1)]), "cuda:1,0");
}
