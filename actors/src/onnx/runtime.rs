//! Finds ONNX Runtime's shared library and starts it, once per process.
//!
//! Without a library most of `ort` panics, its error type included. So nothing of `ort` is reachable from this crate's
//! public items except through a [`Runtime`], which exists only once the library is loaded.

use std::{
    cell::RefCell,
    env, fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use ort::{environment::Environment, logging::LogLevel};
use thiserror::Error;

use super::{
    choice::Choices,
    device::{DeviceRequest, one_line},
    openvino::has_bf16,
    packages::{self, CPU, CUDA, OPENVINO, library_in, library_version},
};

/// Names one library file, or a folder that holds it.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where the system shows that NVIDIA's driver runs: on Linux itself, and in Windows' subsystem for it.
const NVIDIA: [&str; 2] = ["/proc/driver/nvidia", "/dev/dxg"];

/// How far above the executable `.ort` is looked for: `target/<triple>/release/deps/…` is five deep in a checkout. No further,
/// because what is found is run, and folders high up may belong to others.
const EXECUTABLE_ANCESTORS: usize = 5;

/// The one runtime of this process. ONNX Runtime allows one environment only, and it must outlive every session.
static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

/// Why there is no ONNX Runtime.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// None of the usual places has it.
    #[error(
        "find ONNX Runtime: {LIBRARY_VARIABLE} is not set and there is no library in {}; run `{command}` to fetch it",
        list(.searched)
    )]
    NotFound {
        /// Folders looked at, in order.
        searched: Vec<PathBuf>,
        /// What brings the build that is wanted.
        command: &'static str,
    },
    /// The place given by the user has none.
    #[error(
        "find ONNX Runtime: {origin} names {}, {problem}; correct it, or unset it and run `{command}`",
        .path.display()
    )]
    Named {
        /// Who named it: the setting or the environment variable.
        origin: String,
        /// The place.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// What brings one.
        command: &'static str,
    },
    /// The file is there and cannot be loaded: not a library, of another machine, too old.
    #[error("load ONNX Runtime from {}: {reason}; run `{command}` to fetch one that fits", .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// The loader's words.
        reason: String,
        /// What brings another.
        command: &'static str,
    },
    /// The library is loaded and does not start.
    #[error("start ONNX Runtime from {}: {reason}", .path.display())]
    Start {
        /// The file.
        path: PathBuf,
        /// ONNX Runtime's words.
        reason: String,
    },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

/// Where the library is looked for: the setting, else the environment variable, else for each build among the packages of the Python
/// environment that the program belongs to, and in `.ort` under each root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibrarySearch {
    /// File or folder named in the settings. Nothing else is looked at when there is one.
    pub setting: Option<PathBuf>,
    /// Value of `ORT_DYLIB_PATH`: file or folder. Nothing further is looked at when there is one.
    pub variable: Option<PathBuf>,
    /// Folders with packages of Python; none where the program was not installed by pip.
    pub packages: Vec<PathBuf>,
    /// Folders that may hold `.ort`.
    pub roots: Vec<PathBuf>,
    /// Builds, the one that fits best first.
    pub builds: [&'static str; 3],
}

impl LibrarySearch {
    /// The usual places: the current folder, and the executable's folder with those above it (from `target/release/` up to
    /// the checkout). The build that `device` wants comes first; any will do for the CPU.
    #[must_use]
    pub fn new(setting: Option<PathBuf>, device: &DeviceRequest) -> Self {
        let mut roots: Vec<PathBuf> = env::current_dir().into_iter().collect();
        if let Ok(executable) = env::current_exe() {
            let folders = executable.ancestors().skip(1).take(EXECUTABLE_ANCESTORS);
            roots.extend(folders.map(Path::to_path_buf));
        }
        let variable = env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
        let nvidia = NVIDIA.iter().any(|path| Path::new(path).exists());
        let builds = builds(device, nvidia, has_bf16());
        Self { setting, variable, packages: packages::folders(), roots, builds }
    }

    /// The library's absolute path. Loads nothing.
    ///
    /// # Errors
    /// When a place named by the user has no library, or when none is found; the error names every place looked at.
    pub fn find(&self) -> Result<PathBuf, RuntimeError> {
        if let Some(path) = &self.setting {
            return self.named("the setting", path);
        }
        if let Some(path) = &self.variable {
            return self.named(LIBRARY_VARIABLE, path);
        }
        let mut searched: Vec<_> = self.packages.iter().map(|packages| packages::libraries(packages)).collect();
        for build in self.builds {
            if let Some(path) = self.packages.iter().find_map(|packages| packages::library(packages, build)) {
                return Ok(absolute(&path));
            }
            for root in &self.roots {
                let folder = root.join(".ort").join(build);
                if searched.contains(&folder) {
                    continue;
                }
                if let Some(path) = library_in(&folder) {
                    return Ok(absolute(&path));
                }
                searched.push(folder);
            }
        }
        // What set-up fetches is enough unless OpenVINO was named.
        let command = if self.builds == [OPENVINO, CPU, CUDA] {
            packages::openvino_command(self.packaged())
        } else {
            self.command()
        };
        Err(RuntimeError::NotFound { searched, command })
    }

    fn packaged(&self) -> bool {
        !self.packages.is_empty()
    }

    fn command(&self) -> &'static str {
        packages::command(self.packaged())
    }

    fn named(&self, origin: &str, path: &Path) -> Result<PathBuf, RuntimeError> {
        let error = |problem| RuntimeError::Named {
            origin: origin.to_owned(),
            path: path.to_path_buf(),
            problem,
            command: self.command(),
        };
        if path.is_dir() {
            let path = library_in(path).ok_or_else(|| error("a folder without an ONNX Runtime library"))?;
            return Ok(absolute(&path));
        }
        if path.is_file() { Ok(absolute(path)) } else { Err(error("which does not exist")) }
    }
}

/// The folders of `.ort`, that which fits `device` best first, on a machine with NVIDIA's driver or a CPU with bf16. A process
/// loads one library only, and each of them runs networks on the CPU.
fn builds(device: &DeviceRequest, nvidia: bool, bf16: bool) -> [&'static str; 3] {
    match device {
        DeviceRequest::OpenVino(_) => [OPENVINO, CPU, CUDA],
        DeviceRequest::Cpu => [CPU, CUDA, OPENVINO],
        DeviceRequest::Auto if bf16 && !nvidia => [OPENVINO, CUDA, CPU],
        DeviceRequest::Auto if bf16 => [CUDA, OPENVINO, CPU],
        DeviceRequest::Auto | DeviceRequest::Gpus(..) => [CUDA, CPU, OPENVINO],
    }
}

/// `ort` takes relative paths as relative to the executable.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A started ONNX Runtime. Cheap to clone; all clones in a process are the same one.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: Arc<Path>,
    version: Arc<str>,
    choices: Choices,
}

impl Runtime {
    /// Starts ONNX Runtime from the library that `search` finds, telemetry off, its warnings sent to `tracing`.
    ///
    /// Only the first success of a process loads anything; later calls return that runtime, whatever they search for.
    ///
    /// # Errors
    /// When there is no library or it does not load or start. A failed load can be tried again with another library.
    pub fn start(search: &LibrarySearch) -> Result<Self, RuntimeError> {
        let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*runtime {
            return Ok(runtime.clone());
        }
        let path = search.find()?;
        if search.builds[0] != CPU {
            preload_cuda(&path);
        }
        // The loader's error is plain data; every `ort::Error` needs the loaded library to exist.
        let builder = match ort::init_from(&path) {
            Ok(builder) => builder,
            Err(error) => {
                return Err(RuntimeError::Load { path, reason: error.to_string(), command: search.command() });
            }
        };
        let environment = match builder.with_telemetry(false).with_logger(Arc::new(log)).build() {
            Ok(environment) => environment,
            Err(error) => return Err(RuntimeError::Start { path, reason: error.to_string() }),
        };
        // With a logger of our own everything would come through, a line per graph node.
        environment.set_log_level(LogLevel::Warning);
        let started =
            Self { environment, version: version(&path).into(), library: path.into(), choices: Choices::default() };
        *runtime = Some(started.clone());
        Ok(started)
    }

    /// The library's absolute path.
    #[must_use]
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The library's version, such as `1.32.0`; `1.32` when its file name does not tell the rest.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What was measured in this process to be faster.
    pub(super) fn choices(&self) -> &Choices {
        &self.choices
    }

    pub(super) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// The library reports its minor version; the patch level is in the name of the file only.
fn version(path: &Path) -> String {
    let minor = ort::util::probe(path);
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let in_name = file.file_name().and_then(|name| library_version(name.to_str()?)).unwrap_or_default();
    match (&in_name[..], minor) {
        ([1, named, _], Some(minor)) if *named == minor => {
            in_name.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
        }
        (_, Some(minor)) => format!("1.{minor}"),
        (_, None) => "of unknown version".to_owned(),
    }
}

/// Loads the CUDA and cuDNN libraries that lie beside ONNX Runtime or come in packages, so that its CUDA provider finds them without
/// `LD_LIBRARY_PATH`. What is missing or broken shows when the provider is asked for.
fn preload_cuda(library: &Path) {
    let folders = packages::nvidia_folders(library);
    for name in ort::ep::cuda::CUDA_DYLIBS.iter().chain(ort::ep::cuda::CUDNN_DYLIBS) {
        if let Some(path) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
            && let Err(error) = ort::util::preload_dylib(&path)
        {
            tracing::debug!(path = %path.display(), %error, "cannot preload a CUDA library");
        }
    }
}

thread_local! {
    /// What ONNX Runtime logged last as an error while this thread was in it.
    static COMPLAINT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What ONNX Runtime logged last as an error, once. It keeps it from those who ask where a provider does not start.
pub(super) fn complaint() -> Option<String> {
    COMPLAINT.take()
}

/// ONNX Runtime's own messages. Most failures reach us as errors as well, so these are details.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    if matches!(level, LogLevel::Fatal | LogLevel::Error) {
        COMPLAINT.set(Some(one_line(message)));
    }
    match level {
        LogLevel::Fatal | LogLevel::Error | LogLevel::Warning => {
            tracing::debug!(target: "onnxruntime", ?level, category, location, "{message}");
        }
        LogLevel::Info | LogLevel::Verbose => {
            tracing::trace!(target: "onnxruntime", category, location, "{message}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With NVIDIA's driver, and a CPU without bf16.
    fn search(roots: &[&Path], device: &str) -> LibrarySearch {
        search_on(roots, device, true, false)
    }

    fn search_on(roots: &[&Path], device: &str, nvidia: bool, bf16: bool) -> LibrarySearch {
        let roots = roots.iter().map(|root| root.to_path_buf()).collect();
        let device = device.parse().unwrap();
        let builds = builds(&device, nvidia, bf16);
        LibrarySearch { variable: None, packages: Vec::new(), roots, builds, ..LibrarySearch::new(None, &device) }
    }

    fn touch(folder: &Path, name: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "not a library").unwrap();
        path
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_library_is_told_from_its_providers_and_the_highest_version_wins() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(".ort/cpu");
        touch(&folder, "libonnxruntime_providers_shared.so");
        touch(&folder, "libonnxruntime.so.old");
        assert!(search(&[root.path()], "cpu").find().is_err());
        touch(&folder, "libonnxruntime.so.1.9.0");
        let high = touch(&folder, "libonnxruntime.so.1.32.0");
        assert_eq!(search(&[root.path()], "cpu").find().unwrap(), high);
        let plain = touch(&folder, "libonnxruntime.so");
        assert_eq!(search(&[root.path()], "cpu").find().unwrap(), plain);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_build_that_the_device_wants_comes_first() {
        let (near, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cpu = touch(&near.path().join(".ort/cpu"), "libonnxruntime.so");
        let cuda = touch(&far.path().join(".ort/cuda"), "libonnxruntime.so");
        let roots = [near.path(), far.path()];
        assert_eq!(search(&roots, "auto").find().unwrap(), cuda);
        assert_eq!(search(&roots, "cpu").find().unwrap(), cpu);
        assert_eq!(search(&roots, "openvino").find().unwrap(), cpu);
        assert_eq!(search(&[far.path()], "cpu").find().unwrap(), cuda);
        let openvino = touch(&far.path().join(".ort/openvino"), "libonnxruntime.so");
        assert_eq!(search(&roots, "openvino").find().unwrap(), openvino);
        assert_eq!(search(&roots, "cpu").find().unwrap(), cpu);
        let auto = |nvidia, bf16| search_on(&roots, "auto", nvidia, bf16).find().unwrap();
        assert_eq!([auto(false, true), auto(true, true), auto(false, false)], [openvino, cuda.clone(), cuda]);
        let without_cuda = |bf16| search_on(&[near.path()], "auto", true, bf16).find().unwrap();
        let beside = touch(&near.path().join(".ort/openvino"), "libonnxruntime.so");
        assert_eq!([without_cuda(true), without_cuda(false)], [beside, cpu]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn packages_beside_the_program_come_first_unless_another_build_fits_better() {
        let (packages, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let packages = packages.path();
        let with_packages = |device| {
            let packages = vec![packages.to_path_buf()];
            LibrarySearch { packages, ..search_on(&[root.path()], device, false, true) }
        };
        let capi = packages.join("onnxruntime/capi");
        let error = with_packages("cpu").find().unwrap_err().to_string();
        assert!(
            error.contains(&format!("no library in {}, {}/.ort", capi.display(), root.path().display())),
            "{error}"
        );
        assert!(error.ends_with("run `pip install onnxruntime` to fetch it"), "{error}");
        let error = with_packages("openvino").find().unwrap_err().to_string();
        assert!(error.ends_with("run `pip install 'selfplayd[openvino]'` to fetch it"), "{error}");
        let mut elsewhere = with_packages("cpu");
        elsewhere.setting = Some("/nowhere/lib.so".into());
        assert!(elsewhere.find().unwrap_err().to_string().ends_with("unset it and run `pip install onnxruntime`"));

        let beside = touch(&root.path().join(".ort/cpu"), "libonnxruntime.so");
        assert_eq!(with_packages("cpu").find().unwrap(), beside);
        let package = touch(&capi, "libonnxruntime.so.1.32.0");
        touch(&packages.join("onnxruntime-1.32.0.dist-info"), "METADATA");
        assert_eq!(
            ["cpu", "auto"].map(|device| with_packages(device).find().unwrap()),
            [package.clone(), package.clone()]
        );
        let fitting = touch(&root.path().join(".ort/openvino"), "libonnxruntime.so");
        assert_eq!(["cpu", "auto"].map(|device| with_packages(device).find().unwrap()), [package, fitting]);
    }

    #[test]
    fn the_setting_beats_the_variable_and_the_variable_beats_the_folders() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (touch(root.path(), "a"), touch(root.path(), "b"));
        let mut search = search(&[], "cpu");
        search.variable = Some(b.clone());
        assert_eq!(search.find().unwrap(), b);
        search.setting = Some(a.clone());
        assert_eq!(search.find().unwrap(), a);
    }

    #[test]
    fn a_place_that_is_named_and_wrong_is_not_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let mut search = search(&[], "cpu");
        search.variable = Some(root.path().to_path_buf());
        let found = search.find().unwrap_err().to_string();
        let folder = root.path().display();
        let advice = "; correct it, or unset it and run `cargo xtask setup`";
        let problem = "a folder without an ONNX Runtime library";
        assert_eq!(found, format!("find ONNX Runtime: ORT_DYLIB_PATH names {folder}, {problem}{advice}"));
        search.setting = Some("/nowhere/lib.so".into());
        let found = search.find().unwrap_err().to_string();
        let expected = "find ONNX Runtime: the setting names /nowhere/lib.so, which does not exist";
        assert_eq!(found, format!("{expected}{advice}"));
    }

    #[test]
    fn when_nothing_is_found_every_place_and_the_remedy_are_named() {
        let error = search(&[Path::new("/a"), Path::new("/b"), Path::new("/a")], "auto").find().unwrap_err();
        let expected = "find ONNX Runtime: ORT_DYLIB_PATH is not set and there is no library in /a/.ort/cuda, \
                        /b/.ort/cuda, /a/.ort/cpu, /b/.ort/cpu, /a/.ort/openvino, /b/.ort/openvino; \
                        run `cargo xtask setup` to fetch it";
        assert_eq!(error.to_string(), expected);
        let error = search(&[Path::new("/a")], "openvino").find().unwrap_err().to_string();
        assert!(error.ends_with("; run `cargo xtask fetch-ort --openvino` to fetch it"), "{error}");
    }

    #[test]
    fn the_usual_places_reach_from_the_executable_to_the_checkout() {
        let search = LibrarySearch::new(None, &DeviceRequest::Cpu);
        let executable = env::current_exe().unwrap();
        assert!(search.roots.contains(&env::current_dir().unwrap()));
        assert!(search.roots.iter().any(|root| root == executable.parent().unwrap()));
        assert_eq!(search.builds[0], CPU);
    }
}
