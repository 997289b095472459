//! Builds of ONNX Runtime as files, and as pip installs them: beside the program, where that is the `bin/selfplayd` of a Python
//! environment.
//!
//! The packages `onnxruntime`, `onnxruntime-openvino` and `onnxruntime-gpu` put their files into one folder, each library with its version
//! in its name. Which library is whose, the records of the packages tell.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Builds: folders of `.ort`, packages of Python.
pub(super) const CPU: &str = "cpu";
pub(super) const CUDA: &str = "cuda";
pub(super) const OPENVINO: &str = "openvino";

/// Where packages may be, below `lib/python3.N`; Debian's own Python has the second.
const FOLDERS: [&str; 2] = ["site-packages", "dist-packages"];

/// The library in `folder`: the unversioned name if there is one, else the highest version.
pub(super) fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).ok()?;
    let libraries = entries.into_iter().filter_map(|entry| {
        let version = library_version(entry.file_name().to_str()?)?;
        entry.path().is_file().then_some((version.is_empty(), version, entry.path()))
    });
    libraries.max().map(|(_, _, path)| path)
}

/// The version in a library's file name, empty when it has none; `None` when the file is not the library (such as
/// `libonnxruntime_providers_cuda.so`).
pub(super) fn library_version(name: &str) -> Option<Vec<u32>> {
    let rest = name.strip_prefix(env::consts::DLL_PREFIX)?.strip_prefix("onnxruntime.")?;
    let suffix = env::consts::DLL_SUFFIX.trim_start_matches('.');
    let mut parts: Vec<_> = rest.split('.').collect();
    let position = parts.iter().position(|&part| part == suffix)?;
    parts.remove(position);
    parts.into_iter().map(|part| part.parse().ok()).collect()
}

/// The names of entries of a folder; none where it cannot be read.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Where the packages of the Python environment are that `executable` is a program of, the newest Python first.
pub(super) fn folders_of(executable: &Path) -> Vec<PathBuf> {
    let bin = executable.parent().filter(|folder| folder.ends_with("bin"));
    let Some(lib) = bin.and_then(Path::parent).map(|environment| environment.join("lib")) else { return Vec::new() };
    let minor = |name: &String| name.strip_prefix("python3.")?.parse::<u32>().ok();
    let mut pythons: Vec<_> = names(&lib).into_iter().filter_map(|name| Some((minor(&name)?, name))).collect();
    pythons.sort_unstable();
    let folders = pythons.iter().rev().flat_map(|(_, python)| FOLDERS.map(|folder| lib.join(python).join(folder)));
    folders.filter(|folder| folder.is_dir()).collect()
}

/// Those beside the running program.
pub(super) fn folders() -> Vec<PathBuf> {
    env::current_exe().map(|executable| folders_of(&executable)).unwrap_or_default()
}

/// Where a package's libraries are.
pub(super) fn libraries(packages: &Path) -> PathBuf {
    packages.join("onnxruntime").join("capi")
}

/// The library of a build, if its package is there.
pub(super) fn library(packages: &Path, build: &str) -> Option<PathBuf> {
    let package = match build {
        CPU => "onnxruntime-",
        CUDA => "onnxruntime_gpu-",
        OPENVINO => "onnxruntime_openvino-",
        _ => return None,
    };
    let version = |name: &String| Some(name.strip_prefix(package)?.strip_suffix(".dist-info")?.to_owned());
    let version = names(packages).iter().find_map(version)?;
    let folder = libraries(packages);
    let named = folder.join(format!("{}onnxruntime{}.{version}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX));
    if named.is_file() { Some(named) } else { library_in(&folder) }
}

/// Folders that may hold NVIDIA's libraries for the ONNX Runtime of this file: its own, and those of NVIDIA's packages, if it
/// is of a package.
pub(super) fn nvidia_folders(library: &Path) -> Vec<PathBuf> {
    let Some(own) = library.parent() else { return Vec::new() };
    let packages = own.parent().and_then(Path::parent).filter(|packages| libraries(packages) == own);
    let nvidia = packages.map(|packages| packages.join("nvidia"));
    let theirs =
        nvidia.iter().flat_map(|nvidia| names(nvidia).into_iter().map(move |name| nvidia.join(name).join("lib")));
    std::iter::once(own.to_path_buf()).chain(theirs).collect()
}

/// How ONNX Runtime is had, for a program of a Python environment (`packaged`) or another.
pub(super) const fn command(packaged: bool) -> &'static str {
    if packaged { "pip install onnxruntime" } else { "cargo xtask setup" }
}

/// How a build with OpenVINO is had.
pub(super) const fn openvino_command(packaged: bool) -> &'static str {
    if packaged { "pip install 'selfplayd[openvino]'" } else { "cargo xtask fetch-ort --openvino" }
}

/// How it is had again, in place of one that is no good.
pub(super) const fn openvino_again_command(packaged: bool) -> &'static str {
    if packaged {
        "pip install --force-reinstall 'selfplayd[openvino]'"
    } else {
        "cargo xtask fetch-ort --openvino --force"
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn touch(path: &Path) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not a library").unwrap();
        path.to_path_buf()
    }

    #[test]
    fn the_library_of_each_package_is_told_by_its_record() {
        let environment = tempfile::tempdir().unwrap();
        let executable = environment.path().join("bin/selfplayd");
        assert!(folders_of(&executable).is_empty());
        let packages = environment.path().join("lib/python3.11/site-packages");
        fs::create_dir_all(&packages).unwrap();
        fs::create_dir_all(environment.path().join("lib/python3.9/site-packages")).unwrap();
        fs::create_dir_all(environment.path().join("lib/python3/dist-packages")).unwrap();
        let folders = folders_of(&executable);
        assert_eq!(folders, [packages.clone(), environment.path().join("lib/python3.9/site-packages")]);
        assert!(folders_of(&environment.path().join("sbin/selfplayd")).is_empty());

        assert_eq!([CPU, CUDA, OPENVINO].map(|build| library(&packages, build)), [None, None, None]);
        let capi = libraries(&packages);
        let cpu = touch(&capi.join("libonnxruntime.so.1.32.0"));
        let openvino = touch(&capi.join("libonnxruntime.so.1.24.1"));
        touch(&capi.join("libonnxruntime_providers_shared.so"));
        touch(&packages.join("onnxruntime-1.32.0.dist-info/METADATA"));
        touch(&packages.join("onnxruntime_openvino-1.24.1.dist-info/METADATA"));
        let found = [CPU, CUDA, OPENVINO].map(|build| library(&packages, build));
        assert_eq!(found, [Some(cpu.clone()), None, Some(openvino)]);
        // A name that does not tell all of the version.
        touch(&packages.join("onnxruntime_gpu-1.31.0.dev7.dist-info/METADATA"));
        assert_eq!(library(&packages, CUDA), Some(cpu));
    }

    #[test]
    fn nvidias_packages_lie_beside_the_library_of_a_package() {
        let packages = tempfile::tempdir().unwrap();
        let library = touch(&libraries(packages.path()).join("libonnxruntime.so.1.31.1"));
        touch(&packages.path().join("nvidia/cu13/lib/libcudart.so.13"));
        let folders = nvidia_folders(&library);
        assert_eq!(folders, [libraries(packages.path()), packages.path().join("nvidia/cu13/lib")]);
        let elsewhere = touch(&packages.path().join(".ort/cuda/libonnxruntime.so"));
        assert_eq!(nvidia_folders(&elsewhere), [packages.path().join(".ort/cuda")]);
    }
}
