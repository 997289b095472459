//! Starting ONNX Runtime when the library is not what it should be. A process of its own: the first success is for good.

use std::{env, fs, path::Path};

use selfplay_actors::onnx::{DeviceRequest, LibrarySearch, Runtime, RuntimeError};

#[test]
fn a_library_that_does_not_load_is_an_error_and_another_can_be_tried() {
    let folder = tempfile::tempdir().unwrap();
    let mut search = LibrarySearch::new(None, &DeviceRequest::Cpu);

    let path = folder.path().join("libonnxruntime.so");
    fs::write(&path, "no library").unwrap();
    search.setting = Some(path.clone());
    let error = Runtime::start(&search).unwrap_err();
    assert!(matches!(error, RuntimeError::Load { .. }), "{error}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("load ONNX Runtime from {}: ", path.display())), "{text}");
    assert!(text.ends_with("; run `cargo xtask setup` to fetch one that fits"), "{text}");

    if cfg!(target_os = "linux") {
        // A good library, but another one. The loader finds it by name; a named file must be on disk.
        if let Some(libc) = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6"]
            .into_iter()
            .find(|path| Path::new(path).is_file())
        {
            search.setting = Some(libc.into());
            let text = Runtime::start(&search).unwrap_err().to_string();
            assert!(text.contains(&format!("{libc} does not export `OrtGetApiBase`")), "{text}");
        }
    }

    search.setting = Some(folder.path().join("nothing.so"));
    assert!(matches!(Runtime::start(&search), Err(RuntimeError::Named { .. })));

    search.setting = None;
    search.roots.push(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let runtime = Runtime::start(&search).unwrap_or_else(|error| panic!("{error}"));
    assert!(runtime.library().is_absolute());
    if env::var_os("ORT_DYLIB_PATH").is_none() {
        assert!(runtime.library().to_string_lossy().contains(".ort/"), "{}", runtime.library().display());
    }
}
