//! What the CUDA build needs beside itself: the driver, and libraries that the dynamic loader finds.
//!
//! `ldd` is asked, because it is the loader itself that answers: it knows `LD_LIBRARY_PATH`, its cache and its default folders. What ONNX
//! Runtime opens only while running (cuDNN above all) does not show there and is looked up by name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::driver::Driver;
use crate::{command, workspace};

/// Opened while running, by these names: cuDNN and what it and ONNX Runtime load after it.
const OPENED_WHILE_RUNNING: [&str; 3] = ["libcudnn.so.9", "libnvrtc.so.13", "libcufft.so.12"];

/// A library's name up to `.so`, and the PyPI package that brings it.
const WHEELS: [(&str, &str); 9] = [
    ("libcublas", "nvidia-cublas~=13.0"),
    ("libcublasLt", "nvidia-cublas~=13.0"),
    ("libcudart", "nvidia-cuda-runtime~=13.0"),
    ("libcudnn", "nvidia-cudnn-cu13~=9.0"),
    ("libcufft", "nvidia-cufft~=12.0"),
    ("libcurand", "nvidia-curand~=10.4"),
    ("libnvrtc", "nvidia-cuda-nvrtc~=13.0"),
    ("libnvinfer", "tensorrt-cu13-libs~=10.13"),
    ("libnvonnxparser", "tensorrt-cu13-libs~=10.13"),
];

/// Prints what the CUDA build in `dir` lacks on this machine, and how to get it: the driver, CUDA's libraries, and those of
/// TensorRT, which only `inference.device = "tensorrt"` needs.
pub(super) fn report(dir: &Path) -> anyhow::Result<()> {
    match Driver::find(Path::new("/proc")) {
        Driver::Fits { version, gpus } => println!("NVIDIA driver {version}, which is new enough; GPUs: {gpus}"),
        Driver::Lacks(what) => println!("{what}"),
    }
    // Where the pip command printed below puts them.
    let wheels = dir.join("libs");
    report_libraries(&dir.join("libonnxruntime_providers_cuda.so"), &OPENED_WHILE_RUNNING, &wheels, "")?;
    let tensorrt = dir.join("libonnxruntime_providers_tensorrt.so");
    if tensorrt.is_file() {
        report_libraries(&tensorrt, &[], &wheels, " for TensorRT")?;
    }
    Ok(())
}

/// Prints which libraries `provider` lacks, `opened` among them.
fn report_libraries(provider: &Path, opened: &[&str], wheels: &Path, purpose: &str) -> anyhow::Result<()> {
    let folders = wheel_folders(wheels);
    if missing(provider, opened, &[])?.is_empty() {
        println!("every library that it needs{purpose} is found");
        return Ok(());
    }
    let missing = missing(provider, opened, &folders)?;
    if missing.is_empty() {
        let path = joined(&folders)?;
        println!("every library that it needs{purpose} is found with\n  export LD_LIBRARY_PATH={}", path.display());
        return Ok(());
    }
    println!("{}", remedy(&missing, &workspace::display(wheels).to_string(), purpose));
    Ok(())
}

/// What to do about `missing` libraries: `wheels` is where packages may put them.
fn remedy(missing: &BTreeSet<String>, wheels: &str, purpose: &str) -> String {
    let names = missing.iter().cloned().collect::<Vec<_>>().join("\n  ");
    let mut lines = vec![format!("the dynamic loader does not find{purpose}\n  {names}")];
    if missing.contains("libcuda.so.1") {
        lines.push("libcuda.so.1 comes with the NVIDIA driver".to_owned());
    }
    let packages: BTreeSet<_> = missing.iter().filter_map(|soname| wheel(soname)).collect();
    if !packages.is_empty() {
        let packages = packages.into_iter().map(|package| format!("'{package}'")).collect::<Vec<_>>().join(" ");
        lines.push(
            "the others can be installed with your system's packages of CUDA 13, cuDNN 9 and TensorRT 10, or with"
                .to_owned(),
        );
        lines.push(format!("  python3 -m pip install --no-deps --target {wheels} {packages}"));
        lines.push("after which `cargo xtask fetch-ort --cuda` says how the daemon finds them".to_owned());
    }
    lines.join("\n")
}

/// What the loader does not find when it looks into `folders` too.
fn missing(provider: &Path, opened: &[&str], folders: &[PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    let path = joined(folders)?;
    let listing = command::stdout(command::command("ldd").arg(provider).env("LD_LIBRARY_PATH", &path))
        .context("`ldd`, which comes with glibc, is needed to see what the CUDA build lacks")?;
    let mut missing = not_found(&listing);
    // The cache of the loader; `ldconfig` is often outside an ordinary user's PATH.
    let cache =
        ["ldconfig", "/sbin/ldconfig"].iter().find_map(|name| command::stdout(command::command(name).arg("-p")).ok());
    let cache = cache.unwrap_or_default();
    for &soname in opened {
        let cached = cache.lines().any(|line| line.split_whitespace().next() == Some(soname));
        let beside = std::env::split_paths(&path).any(|folder| folder.join(soname).is_file());
        if !cached && !beside {
            missing.insert(soname.to_owned());
        }
    }
    Ok(missing)
}

/// The names that `ldd` could not resolve.
fn not_found(listing: &str) -> BTreeSet<String> {
    let unresolved = listing.lines().filter_map(|line| line.trim().strip_suffix("=> not found"));
    unresolved.map(|soname| soname.trim().to_owned()).collect()
}

/// The package that brings `soname`.
fn wheel(soname: &str) -> Option<&'static str> {
    let (stem, _) = soname.split_once(".so")?;
    WHEELS.iter().find(|(name, _)| *name == stem).map(|(_, package)| *package)
}

/// The folders in which the wheels under `root` keep libraries: `nvidia/cu13/lib`, `nvidia/cudnn/lib`, `tensorrt_libs`.
fn wheel_folders(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("nvidia")).into_iter().flatten();
    let mut folders: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path().join("lib"))).collect();
    folders.push(root.join("tensorrt_libs"));
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders
}

/// `folders` before what `LD_LIBRARY_PATH` holds already.
fn joined(folders: &[PathBuf]) -> anyhow::Result<OsString> {
    let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let set = std::env::split_paths(&set).filter(|folder| !folder.as_os_str().is_empty());
    std::env::join_paths(folders.iter().cloned().chain(set))
        .context("a folder with CUDA libraries has a colon in its name")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{OPENED_WHILE_RUNNING, not_found, remedy, wheel, wheel_folders};

    #[test]
    fn unresolved_names_are_read_from_ldd() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd0)\n\tlibcublasLt.so.13 => not found\n\
                       \tlibdl.so.2 => /lib/x86_64-linux-gnu/libdl.so.2 (0x00007f)\n\tlibcuda.so.1 => not found\n";
        assert_eq!(Vec::from_iter(not_found(listing)), ["libcublasLt.so.13", "libcuda.so.1"]);
    }

    #[test]
    fn every_library_but_the_drivers_has_a_package() {
        let cuda = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13"];
        let needed = cuda.iter().chain(&["libnvinfer.so.10", "libnvonnxparser.so.10"]);
        for soname in needed.chain(&OPENED_WHILE_RUNNING) {
            assert!(wheel(soname).is_some(), "{soname}");
        }
        assert_eq!(wheel("libcuda.so.1"), None);
        assert_eq!(wheel("libcudnn.so.9"), Some("nvidia-cudnn-cu13~=9.0"));
    }

    #[test]
    fn the_wheels_folders_are_found() {
        let root = tempfile::tempdir().expect("temporary folder");
        assert!(wheel_folders(root.path()).is_empty());
        for folder in ["nvidia/cudnn/lib", "nvidia/cu13/lib", "nvidia/cudnn/include", "nvidia/empty", "tensorrt_libs"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let expected = ["nvidia/cu13/lib", "nvidia/cudnn/lib", "tensorrt_libs"].map(|folder| root.path().join(folder));
        assert_eq!(wheel_folders(root.path()), expected);
    }

    #[test]
    fn what_is_missing_is_named_with_where_it_comes_from() {
        let missing = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
        let text = remedy(&missing(&["libcuda.so.1", "libcudart.so.13", "libcudnn.so.9"]), "libs", "");
        let expected = "the dynamic loader does not find\n  libcuda.so.1\n  libcudart.so.13\n  libcudnn.so.9\n\
                        libcuda.so.1 comes with the NVIDIA driver\n\
                        the others can be installed with your system's packages of CUDA 13, cuDNN 9 and TensorRT 10, or with\n\
                        \u{20} python3 -m pip install --no-deps --target libs 'nvidia-cuda-runtime~=13.0' 'nvidia-cudnn-cu13~=9.0'\n\
                        after which `cargo xtask fetch-ort --cuda` says how the daemon finds them";
        assert_eq!(text, expected);
        let text = remedy(&missing(&["libnvinfer.so.10", "libnvonnxparser.so.10"]), "libs", " for TensorRT");
        assert!(text.starts_with("the dynamic loader does not find for TensorRT\n  libnvinfer.so.10\n"), "{text}");
        assert!(text.contains("--target libs 'tensorrt-cu13-libs~=10.13'\n"), "{text}");
        let text = remedy(&missing(&["libcuda.so.1"]), "libs", "");
        assert_eq!(text, "the dynamic loader does not find\n  libcuda.so.1\nlibcuda.so.1 comes with the NVIDIA driver");
    }
}
