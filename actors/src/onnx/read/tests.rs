//! Files that must not be models, and weights that lie where they must not.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// An ONNX file with one weight of the main graph at `location`, bytes `offset` to `offset + length`.
fn model(location: &str, offset: u64, length: u64) -> Vec<u8> {
    fn field(tag: u8, contents: &[u8]) -> Vec<u8> {
        assert!(contents.len() < 1 << 14);
        let length = [contents.len() as u8 | 0x80, (contents.len() >> 7) as u8];
        [&[tag << 3 | 2][..], &length, contents].concat()
    }
    let entry = |key: &str, value: &str| field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat());
    let external = 14 << 3;
    let tensor = [
        field(8, b"weight"),
        entry("location", location),
        entry("offset", &offset.to_string()),
        entry("length", &length.to_string()),
        vec![external, 1],
    ];
    field(7, &field(5, &tensor.concat()))
}

/// A folder for models, with something outside that none must reach.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("models")).unwrap();
        fs::write(dir.path().join("secret"), "0123456789").unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join("models").join(name)
    }

    fn check(&self, name: &str, limits: &FileLimits) -> (Result<ModelFile, String>, ModelReport) {
        let path = self.path(name);
        let mut report = ModelReport::new(&path);
        let model = read(&path, None, limits, &mut report);
        (model.map_err(|error| crate::error_text::with_sources(&error)), report)
    }

    /// Writes a model and says at which step it is refused, and why.
    fn refusal(&self, bytes: &[u8], limits: &FileLimits) -> (Step, String) {
        fs::write(self.path("m.onnx"), bytes).unwrap();
        let (model, report) = self.check("m.onnx", limits);
        let (step, reason) = report.refusal().unwrap();
        assert_eq!(model.unwrap_err(), reason);
        (step, reason.to_owned())
    }
}

fn any() -> FileLimits {
    FileLimits::default()
}

#[test]
fn weights_beside_the_model_are_read_once_each() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).unwrap();
    for location in ["w.bin", "sub/w.bin", "./w.bin"] {
        fs::write(folder.path(location), "12345678").unwrap();
        fs::write(folder.path("m.onnx"), model(location, 2, 6)).unwrap();
        let (read, report) = folder.check("m.onnx", &any());
        let read = read.unwrap();
        let weights: Vec<_> = read.weights().iter().map(|file| (file.location.as_str(), &*file.bytes)).collect();
        assert_eq!(weights, [(location, &b"12345678"[..])]);
        assert_eq!(report.bytes, Some(read.bytes().len() as u64 + 8));
        assert_eq!(report.sha256, Some(read.checksum().to_string()));
        assert_ne!(read.content(), read.checksum());
        assert_eq!(report.steps.last().unwrap().outcome, StepOutcome::Passed(location.to_owned()));
    }
}

#[test]
fn weights_elsewhere_are_refused() {
    let folder = Folder::new();
    symlink("../secret", folder.path("link")).unwrap();
    symlink("..", folder.path("up")).unwrap();
    fs::create_dir(folder.path("sub")).unwrap();
    let secret = folder.0.path().join("secret");
    for (location, reason) in [
        ("../secret", "does not lie in the model's own directory"),
        ("sub/../../secret", "does not lie in the model's own directory"),
        (secret.to_str().unwrap(), "does not lie in the model's own directory"),
        ("", "does not lie in the model's own directory"),
        ("link", "outside the model's own directory"),
        ("up/secret", "outside the model's own directory"),
        ("sub", "no regular file"),
    ] {
        let (step, text) = folder.refusal(&model(location, 0, 4), &any());
        assert_eq!(step, Step::ExternalData);
        assert!(text.contains("its external data cannot be used") && text.contains(reason), "{location}: {text}");
    }
}

#[test]
fn weights_that_are_not_there_or_too_few_are_incomplete() {
    let folder = Folder::new();
    fs::write(folder.path("w.bin"), "12345678").unwrap();
    // The last is ONNX Runtime's own mark for tensors at an address in memory.
    for (location, offset, length, reason) in [
        ("w.bin", 0, 9, "tensor `weight` ends at byte 9 of `w.bin`, which has 8"),
        ("w.bin", 8, 1, "tensor `weight` ends at byte 9 of `w.bin`, which has 8"),
        ("missing", 0, 4, "`missing`: No such file"),
        ("*/_ORT_MEM_ADDR_/*", 0, 4, "No such file"),
    ] {
        fs::write(folder.path("m.onnx"), model(location, offset, length)).unwrap();
        let error = read(&folder.path("m.onnx"), None, &any(), &mut ModelReport::new("m.onnx")).unwrap_err();
        assert!(matches!(error, ModelError::WeightsIncomplete { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    // No file will ever be that long.
    for (offset, length) in [(u64::MAX, 4), (4, u64::MAX)] {
        let (step, text) = folder.refusal(&model("w.bin", offset, length), &any());
        assert!(step == Step::ExternalData && text.contains("are more than model.max_bytes"), "{text}");
    }
}

#[test]
fn weights_that_are_allocated_and_not_filled_are_no_weights() {
    let folder = Folder::new();
    fs::write(folder.path("w.bin"), [0; 8]).unwrap();
    let (step, text) = folder.refusal(&model("w.bin", 0, 8), &any());
    assert!(step == Step::ExternalData && text.contains("nothing but zeros"), "{text}");
    fs::write(folder.path("w.bin"), b"\0\0\0\0\0\0\0\x01").unwrap();
    assert!(folder.check("m.onnx", &any()).0.is_ok());
}

#[test]
fn the_files_of_weights_are_known_before_they_are_there() {
    let folder = Folder::new();
    fs::write(folder.path("m.onnx"), [model("w.bin", 0, 8), model("sub/v.bin", 0, 8)].concat()).unwrap();
    let files = |limits: &FileLimits| weight_files(&folder.path("m.onnx"), limits);
    let real = folder.path("").canonicalize().unwrap();
    assert_eq!(files(&any()).unwrap(), [real.join("sub/v.bin"), real.join("w.bin")]);
    for bad in ["../secret", "/etc/passwd"] {
        fs::write(folder.path("m.onnx"), model(bad, 0, 8)).unwrap();
        assert!(files(&any()).unwrap().is_empty(), "{bad}");
    }
    assert!(files(&FileLimits { max_bytes: 10, ..any() }).is_err(), "it is not read");
    fs::write(folder.path("m.onnx"), "no model").unwrap();
    assert!(files(&any()).is_err());
}

#[test]
fn a_link_to_a_model_finds_the_weights_beside_the_model() {
    let folder = Folder::new();
    fs::create_dir(folder.path("store")).unwrap();
    fs::write(folder.path("store/w.bin"), "12345678").unwrap();
    fs::write(folder.path("store/m.onnx"), model("w.bin", 0, 8)).unwrap();
    symlink("store/m.onnx", folder.path("latest.onnx")).unwrap();
    assert_eq!(folder.check("latest.onnx", &any()).0.unwrap().weights().len(), 1);
}

#[test]
fn models_come_from_allowed_directories_only() {
    let folder = Folder::new();
    let bytes = model("w.bin", 0, 8);
    fs::write(folder.path("w.bin"), "12345678").unwrap();
    fs::write(folder.path("m.onnx"), &bytes).unwrap();
    let outside = folder.0.path().join("outside.onnx");
    fs::write(&outside, &bytes).unwrap();
    symlink(&outside, folder.path("link.onnx")).unwrap();
    let roots = |roots: &[PathBuf]| FileLimits { allowed_roots: roots.to_vec(), ..any() };
    let missing = folder.path("nowhere");
    assert!(folder.check("m.onnx", &roots(&[missing.clone(), folder.path("")])).0.is_ok());
    let link = folder.0.path().join("alias");
    symlink(folder.path(""), &link).unwrap();
    assert!(folder.check("m.onnx", &roots(&[link])).0.is_ok(), "roots may be links");
    for (name, root) in [("m.onnx", missing), ("link.onnx", folder.path("")), ("m.onnx", folder.path("m"))] {
        let (model, report) = folder.check(name, &roots(&[root]));
        assert!(model.unwrap_err().contains("outside model.allowed_roots"));
        assert_eq!(report.refusal().unwrap().0, Step::Origin);
    }
}

#[test]
fn only_regular_files_are_models() {
    let folder = Folder::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for (name, reason) in [("pipe", "no regular file"), ("", "directory"), ("missing", "No such file")] {
        let (model, report) = folder.check(name, &any());
        let text = model.unwrap_err();
        assert!(text.contains(reason), "{text}");
        assert_eq!(report.refusal().unwrap().0, Step::Origin);
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let folder = Folder::new();
    // Far more than there is memory, on no disk space.
    fs::File::create(folder.path("huge.onnx")).unwrap().set_len(1 << 43).unwrap();
    let (model, report) = folder.check("huge.onnx", &any());
    assert!(model.unwrap_err().ends_with("8796093022208 bytes are more than model.max_bytes, 2147483648"));
    assert_eq!(report.refusal().unwrap().0, Step::Size);
    let bytes = self::model("w.bin", 0, 8);
    fs::File::create(folder.path("w.bin")).unwrap().set_len(1 << 43).unwrap();
    let (step, text) = folder.refusal(&bytes, &any());
    assert_eq!(step, Step::ExternalData);
    assert!(text.contains("are more than model.max_bytes"), "{text}");
    let exactly = FileLimits { max_bytes: bytes.len() as u64 + 8, ..any() };
    fs::write(folder.path("w.bin"), "12345678").unwrap();
    assert!(folder.check("m.onnx", &exactly).0.is_ok());
    let (step, _) = folder.refusal(&bytes, &FileLimits { max_bytes: bytes.len() as u64 - 1, ..any() });
    assert_eq!(step, Step::Size);
}

#[test]
fn a_checksum_that_was_announced_must_be_right() {
    let folder = Folder::new();
    let path = folder.path("m.onnx");
    fs::write(folder.path("w.bin"), "12345678").unwrap();
    fs::write(&path, model("w.bin", 0, 8)).unwrap();
    let sum = Checksum::of(&fs::read(&path).unwrap()).to_string();
    let outcome = |sum: &str| {
        let mut report = ModelReport::new(&path);
        let read = read(&path, Some(sum), &any(), &mut report).is_ok();
        (read, report.steps.into_iter().find(|step| step.step == Step::Sha256).unwrap().outcome)
    };
    assert_eq!(outcome(&sum), (true, StepOutcome::Passed("as announced".to_owned())));
    assert!(outcome(&sum.to_uppercase()).0);
    let (read, refused) = outcome(&"0".repeat(64));
    assert!(!read && matches!(refused, StepOutcome::Refused(reason) if reason.contains(&sum)));
}

#[test]
fn files_that_are_no_models_are_refused_by_their_format() {
    let folder = Folder::new();
    for bytes in [&b"PK\x03\x04 this is no network"[..], &model("w.bin", 0, 8)[..40], b"\x08\x08"] {
        let (step, text) = folder.refusal(bytes, &any());
        assert_eq!(step, Step::Format);
        assert!(text.contains("not a complete ONNX model"), "{text}");
    }
    assert!(folder.refusal(b"", &any()).1.contains("the file is empty"));
}
