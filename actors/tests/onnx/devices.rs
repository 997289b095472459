//! Devices and the library, as far as a machine without a GPU can show.

use selfplay_actors::onnx::{Device, LibrarySearch, LoadError, Provider, Runtime, load_evaluators};

use crate::support::{Shapes, load, model, options, runtime};

/// Whether the library under test has no CUDA provider. With one, the outcome depends on the machine.
fn built_without_cuda(provider: &Provider) -> bool {
    provider.note.as_deref().is_some_and(|note| note.ends_with("is built without CUDA"))
}

#[test]
fn the_runtime_starts_once() {
    let first = runtime();
    assert!(first.version().starts_with("1."), "{}", first.version());
    let mut elsewhere = LibrarySearch::new(None, Device::Auto);
    elsewhere.setting = Some("/nowhere/libonnxruntime.so".into());
    let second = Runtime::start(&elsewhere).unwrap();
    assert_eq!((first.library(), first.version()), (second.library(), second.version()));
}

#[test]
fn the_cpu_is_taken_without_a_word() {
    let loaded = load(&Shapes::board(3), "tiny").unwrap();
    assert_eq!(loaded.provider, Provider::as_requested(Device::Cpu));
}

#[test]
fn auto_says_what_it_took_and_why_not_cuda() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    options.device = Device::Auto;
    let provider = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap().provider;
    assert_eq!(provider.requested, Device::Auto);
    if provider.actual == Device::Cpu {
        assert!(provider.note.is_some());
        let library = runtime().library().display().to_string();
        assert!(!built_without_cuda(&provider) || provider.to_string().contains(&library), "{provider}");
    } else {
        assert_eq!(provider.actual, Device::Cuda(0));
    }
}

#[test]
fn cuda_demanded_is_cuda_or_an_error_with_the_reason() {
    let game = Shapes::board(3);
    let mut options = options(&game);
    // No machine has as many, so that even a working CUDA refuses.
    options.device = Device::Cuda(4000);
    let error = load_evaluators(&runtime(), &game, &model("tiny"), &options).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, LoadError::Device(_)), "{text}");
    assert!(text.starts_with("use device cuda:4000: "), "{text}");
    assert!(text.len() > "use device cuda:4000: ".len());
}
