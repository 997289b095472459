//! Which libraries the CUDA build needs beside itself, and whether the dynamic loader finds them.
//!
//! `ldd` is asked, because it is the loader itself that answers: it knows `LD_LIBRARY_PATH`, its cache and its default folders. What ONNX
//! Runtime opens only while running (cuDNN above all) does not show there and is looked up by name.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{command, workspace};

/// Opened while running, by these names: cuDNN and what it and ONNX Runtime load after it.
const OPENED_WHILE_RUNNING: [&str; 3] = ["libcudnn.so.9", "libnvrtc.so.13", "libcufft.so.12"];

/// A library's name up to `.so`, and the PyPI package that brings it.
const WHEELS: [(&str, &str); 7] = [
    ("libcublas", "nvidia-cublas~=13.0"),
    ("libcublasLt", "nvidia-cublas~=13.0"),
    ("libcudart", "nvidia-cuda-runtime~=13.0"),
    ("libcudnn", "nvidia-cudnn-cu13~=9.0"),
    ("libcufft", "nvidia-cufft~=12.0"),
    ("libcurand", "nvidia-curand~=10.4"),
    ("libnvrtc", "nvidia-cuda-nvrtc~=13.0"),
];

/// Prints which CUDA libraries are missing for the build in `dir`, and how to get them.
pub(super) fn report(dir: &Path) -> anyhow::Result<()> {
    let provider = dir.join("libonnxruntime_providers_cuda.so");
    // Where the pip command printed below puts them.
    let wheels = dir.join("libs");
    let folders = wheel_folders(&wheels);
    let outside = missing(&provider, &[])?;
    if outside.is_empty() {
        println!("every CUDA library that it needs is found");
        return Ok(());
    }
    let path = joined(&folders)?;
    let missing = missing(&provider, &folders)?;
    if missing.is_empty() {
        println!("every CUDA library that it needs is found with\n  export LD_LIBRARY_PATH={}", path.display());
        return Ok(());
    }
    println!("the dynamic loader does not find\n  {}", missing.iter().cloned().collect::<Vec<_>>().join("\n  "));
    if missing.contains("libcuda.so.1") {
        println!(
            "libcuda.so.1 comes with the NVIDIA driver, release 580 or later for CUDA 13: install that on this machine"
        );
    }
    let packages: BTreeSet<_> = missing.iter().filter_map(|soname| wheel(soname)).collect();
    if !packages.is_empty() {
        let packages = packages.into_iter().map(|package| format!("'{package}'")).collect::<Vec<_>>().join(" ");
        println!("the others can be installed with your system's CUDA 13 and cuDNN 9 packages, or with");
        println!("  python3 -m pip install --no-deps --target {} {packages}", workspace::display(&wheels));
        println!("after which `cargo xtask setup --cuda` says how the daemon finds them");
    }
    Ok(())
}

/// What the loader does not find when it looks into `folders` too.
fn missing(provider: &Path, folders: &[PathBuf]) -> anyhow::Result<BTreeSet<String>> {
    let path = joined(folders)?;
    let listing = command::stdout(command::command("ldd").arg(provider).env("LD_LIBRARY_PATH", &path))
        .context("`ldd`, which comes with glibc, is needed to see what the CUDA build lacks")?;
    let mut missing = not_found(&listing);
    // The cache of the loader; `ldconfig` is often outside an ordinary user's PATH.
    let cache =
        ["ldconfig", "/sbin/ldconfig"].iter().find_map(|name| command::stdout(command::command(name).arg("-p")).ok());
    let cache = cache.unwrap_or_default();
    for soname in OPENED_WHILE_RUNNING {
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

/// The folders in which the CUDA wheels under `root` keep libraries: `nvidia/cu13/lib`, `nvidia/cudnn/lib`.
fn wheel_folders(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root.join("nvidia")) else { return Vec::new() };
    let mut folders: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path().join("lib"))).collect();
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
    use super::{OPENED_WHILE_RUNNING, not_found, wheel, wheel_folders};

    #[test]
    fn unresolved_names_are_read_from_ldd() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffd0)\n\tlibcublasLt.so.13 => not found\n\
                       \tlibdl.so.2 => /lib/x86_64-linux-gnu/libdl.so.2 (0x00007f)\n\tlibcuda.so.1 => not found\n";
        assert_eq!(Vec::from_iter(not_found(listing)), ["libcublasLt.so.13", "libcuda.so.1"]);
    }

    #[test]
    fn every_library_but_the_drivers_has_a_package() {
        let needed = ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13"];
        for soname in needed.iter().chain(&OPENED_WHILE_RUNNING) {
            assert!(wheel(soname).is_some(), "{soname}");
        }
        assert_eq!(wheel("libcuda.so.1"), None);
        assert_eq!(wheel("libcudnn.so.9"), Some("nvidia-cudnn-cu13~=9.0"));
    }

    #[test]
    fn the_wheels_folders_are_found() {
        let root = tempfile::tempdir().expect("temporary folder");
        assert!(wheel_folders(root.path()).is_empty());
        for folder in ["nvidia/cudnn/lib", "nvidia/cu13/lib", "nvidia/cudnn/include", "nvidia/empty"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let expected = ["nvidia/cu13/lib", "nvidia/cudnn/lib"].map(|folder| root.path().join(folder));
        assert_eq!(wheel_folders(root.path()), expected);
    }
}
