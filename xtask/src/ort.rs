//! `cargo xtask setup`, also called `fetch-ort`: makes sure that there is an ONNX Runtime to load.
//!
//! The daemon loads ONNX Runtime when it starts, so nothing is linked and nothing is fetched while building. What it loads is one pinned
//! library (`pins.rs`) in `.ort/cpu/`, `.ort/cuda/` or `.ort/openvino/`, fetched as `pinned.rs` does it.

/// The same file that the daemon decides by.
#[path = "../../actors/src/onnx/openvino/cpu.rs"]
mod cpu;
mod cuda;
mod driver;
mod pins;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{
    pinned::{Build, Package, checksum, fetch, or_unavailable},
    workspace,
};

/// Arguments of `cargo xtask setup`.
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Fetch the CUDA build into .ort/cuda/ (x86_64 only, 256 MB) and say what driver and libraries lack on this machine
    #[arg(long)]
    cuda: bool,
    /// Fetch the build with OpenVINO into .ort/openvino/ (x86_64 only, 84 MB), whatever the processor; without this flag it is
    /// fetched too where the processor has AMX or AVX512-BF16
    #[arg(long, conflicts_with = "cuda")]
    openvino: bool,
    /// Fetch again, and replace whatever library is there
    #[arg(long)]
    force: bool,
}

/// Fetches what `args` ask for, unless it is there.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if args.cuda {
        let dir = workspace::root().join(".ort/cuda");
        ensure(&dir, &pins::cuda()?, args.force)?;
        return cuda::report(&dir);
    }
    if args.openvino {
        return openvino_library(args.force).map(drop);
    }
    cpu_library(args.force)?;
    fitting(args.force).map(drop)
}

/// The ONNX Runtime with OpenVINO, fetched where necessary, where this processor gains by it and `ORT_DYLIB_PATH` does not name
/// another: nothing elsewhere, nor where it cannot be downloaded, which is said.
///
/// # Errors
/// When what was downloaded is not what is pinned.
fn fitting(force: bool) -> anyhow::Result<Option<PathBuf>> {
    if !cfg!(target_os = "linux") || !cpu::has_bf16() || own_library().is_some() {
        return Ok(None);
    }
    let (library, missing) = or_unavailable(openvino_library(force))?;
    if let Some(missing) = missing {
        println!(
            "\nThis processor would be several times faster with OpenVINO, which is not there: {missing}\nGoing on without it."
        );
    }
    Ok(library)
}

fn own_library() -> Option<std::ffi::OsString> {
    std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty())
}

/// The absolute path of the pinned ONNX Runtime with OpenVINO, fetched where necessary.
pub(crate) fn openvino_library(force: bool) -> anyhow::Result<PathBuf> {
    ensure(&workspace::root().join(".ort/openvino"), &pins::openvino()?, force)
}

/// The absolute path of the ONNX Runtime that the daemon would take in this checkout: the user's own by `ORT_DYLIB_PATH`, else the CUDA build
/// where it was fetched, else the one with OpenVINO where this processor gains by it, else the CPU build; the last two are
/// fetched where necessary.
pub(crate) fn library() -> anyhow::Result<PathBuf> {
    let cuda = workspace::root().join(".ort/cuda");
    if own_library().is_none()
        && let Ok(packages) = pins::cuda()
        && let Some(found) = installed(&cuda, &packages)?
    {
        return Ok(found);
    }
    let cpu = cpu_library(false)?;
    Ok(fitting(false)?.unwrap_or(cpu))
}

/// The absolute path of an ONNX Runtime for the CPU: the user's own by `ORT_DYLIB_PATH`, else the pinned one, fetched where necessary.
pub(crate) fn cpu_library(force: bool) -> anyhow::Result<PathBuf> {
    if let Some(own) = own_library() {
        let own = std::path::absolute(own).context("cannot tell the current folder")?;
        if !own.is_file() {
            bail!(
                "ORT_DYLIB_PATH names {}, which is not a file: correct it, or unset it to have the pinned ONNX Runtime fetched",
                own.display()
            );
        }
        println!("ONNX Runtime: {} (ORT_DYLIB_PATH), nothing to fetch", own.display());
        return Ok(own);
    }
    ensure(&workspace::root().join(".ort/cpu"), &pins::cpu()?, force)
}

/// The library in `dir`, after fetching it from the first of `packages` that can be had where there is none. The caller's own file of another
/// version is kept and used; one that bears the name of a pinned version and is not that version is damaged and replaced.
fn ensure(dir: &Path, packages: &[Package], force: bool) -> anyhow::Result<PathBuf> {
    if !force && let Some(found) = installed(dir, packages)? {
        return Ok(found);
    }
    fetch::into(dir, &pins::PRODUCT, packages)?;
    if force {
        remove_others(dir, packages)?;
    }
    installed(dir, packages)?.context("the library that was just fetched has disappeared")
}

/// What `dir` holds already, if it can be used.
fn installed(dir: &Path, packages: &[Package]) -> anyhow::Result<Option<PathBuf>> {
    for package in packages {
        let library = dir.join(package.build.main().name);
        if !library.is_file() {
            continue;
        }
        let damaged = |build: &Build| {
            build.files.iter().find_map(|file| checksum::verify(&dir.join(file.name), file.sha256).err())
        };
        match damaged(&package.build) {
            None => {
                println!(
                    "ONNX Runtime {}: {}, checksum as pinned",
                    package.build.version,
                    workspace::display(&library)
                );
                return Ok(Some(library));
            }
            Some(error) => println!("{error:#}; fetching it again"),
        }
        return Ok(None);
    }
    let own = libraries(dir)?.into_iter().next();
    if let Some(own) = &own {
        let shown = workspace::display(own);
        println!(
            "ONNX Runtime: {shown}, not one of the pinned versions, used as it is (`cargo xtask setup --force` replaces it)"
        );
    }
    Ok(own)
}

/// Removes libraries of other versions, which would otherwise be found beside the pinned one.
fn remove_others(dir: &Path, packages: &[Package]) -> anyhow::Result<()> {
    let newest = packages.iter().map(|package| dir.join(package.build.main().name)).find(|path| path.is_file());
    for other in libraries(dir)?.into_iter().filter(|path| Some(path) != newest.as_ref()) {
        std::fs::remove_file(&other).with_context(|| format!("cannot remove {}", other.display()))?;
    }
    Ok(())
}

/// Every `libonnxruntime.so*` in `dir`, sorted.
fn libraries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list {}", dir.display()))?.path();
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so"));
        if named && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{installed, remove_others};
    use crate::pinned::{Build, File, Package, Route};

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn pinned() -> [Package; 1] {
        let file = File { name: "libonnxruntime.so.1.2.3", sha256: HELLO };
        let build = Build { version: "1.2.3", files: &[], ..Build::default() };
        let files: &'static [File] = Box::leak(Box::new([file]));
        [Package {
            route: Route::Pip { platform: "any", python: "312" },
            name: "onnxruntime",
            archive_sha256: "",
            build: Build { files, ..build },
        }]
    }

    #[test]
    fn an_empty_or_absent_folder_holds_nothing() {
        let dir = tempfile::tempdir().expect("temporary folder");
        assert_eq!(installed(dir.path(), &pinned()).unwrap(), None);
        assert_eq!(installed(&dir.path().join("absent"), &pinned()).unwrap(), None);
    }

    #[test]
    fn the_pinned_library_is_used_and_a_damaged_one_is_not() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("libonnxruntime.so.1.2.3");
        fs::write(&path, "hello").unwrap();
        assert_eq!(installed(dir.path(), &pinned()).unwrap(), Some(path.clone()));
        fs::write(&path, "hell").unwrap();
        assert_eq!(installed(dir.path(), &pinned()).unwrap(), None);
    }

    #[test]
    fn a_library_of_the_users_own_is_used_until_replaced_by_force() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let own = dir.path().join("libonnxruntime.so.9.9.9");
        fs::write(&own, "own").unwrap();
        fs::write(dir.path().join("libonnxruntime_providers_shared.so"), "not the library").unwrap();
        assert_eq!(installed(dir.path(), &pinned()).unwrap(), Some(own.clone()));

        let fetched = dir.path().join("libonnxruntime.so.1.2.3");
        fs::write(&fetched, "hello").unwrap();
        remove_others(dir.path(), &pinned()).unwrap();
        assert!(!own.exists() && fetched.exists());
        assert!(dir.path().join("libonnxruntime_providers_shared.so").exists());
    }
}
