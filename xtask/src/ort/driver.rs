//! The NVIDIA driver: whether it runs, is new enough for the CUDA build and shows a GPU, told from what it has in `/proc`.

use std::{fs, path::Path};

/// First driver release for CUDA 13, on Linux.
const LEAST_RELEASE: u32 = 580;

/// What there is to say about the driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Driver {
    /// New enough, with as many GPUs.
    Fits { version: String, gpus: usize },
    /// Not there, too old, or without a GPU: why, and what to do.
    Lacks(String),
}

impl Driver {
    /// The driver of the machine whose `/proc` this is.
    pub(super) fn find(proc: &Path) -> Self {
        let nvidia = proc.join("driver/nvidia");
        let Ok(text) = fs::read_to_string(nvidia.join("version")) else {
            return Self::Lacks(format!(
                "no NVIDIA driver runs ({} is not there): install release {LEAST_RELEASE} or later on this machine; in a \
                 container, on its host, and start the container with its GPUs (`--gpus all`)",
                nvidia.join("version").display()
            ));
        };
        let Some(version) = version(&text) else {
            return Self::Lacks(format!("{} does not tell the driver's version", nvidia.join("version").display()));
        };
        if release(&version) < LEAST_RELEASE {
            return Self::Lacks(format!(
                "the NVIDIA driver is of version {version}, which is too old for CUDA 13: install release {LEAST_RELEASE} \
                 or later, or set ORT_DYLIB_PATH to an ONNX Runtime built for an older CUDA"
            ));
        }
        match fs::read_dir(nvidia.join("gpus")).map_or(0, Iterator::count) {
            0 => Self::Lacks(format!(
                "the NVIDIA driver {version} runs and shows no GPU ({} is empty): `nvidia-smi` says why",
                nvidia.join("gpus").display()
            )),
            gpus => Self::Fits { version, gpus },
        }
    }
}

/// The version in `/proc/driver/nvidia/version`: `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  …`.
fn version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version = |word: &&str| {
        let mut parts = word.split('.');
        parts.clone().count() >= 2 && parts.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    line.split_whitespace().find(is_version).map(str::to_owned)
}

fn release(version: &str) -> u32 {
    version.split('.').next().and_then(|release| release.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `/proc` with a driver that says this of itself and shows as many GPUs.
    fn proc(version: &str, gpus: usize) -> tempfile::TempDir {
        let proc = tempfile::tempdir().expect("temporary folder");
        let nvidia = proc.path().join("driver/nvidia");
        for gpu in 0..gpus {
            fs::create_dir_all(nvidia.join(format!("gpus/0000:{gpu:02x}:00.0"))).unwrap();
        }
        fs::create_dir_all(&nvidia).unwrap();
        fs::write(nvidia.join("version"), version).unwrap();
        proc
    }

    fn lacks(proc: &tempfile::TempDir) -> String {
        match Driver::find(proc.path()) {
            Driver::Lacks(text) => text,
            fits @ Driver::Fits { .. } => panic!("{fits:?}"),
        }
    }

    #[test]
    fn a_driver_that_fits_is_named_with_its_gpus() {
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (dvs-builder@U22)\n\
                    GCC version:  gcc version 12.3.0\n";
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  610.43  Sun Jul 27 06:54:38 UTC 2026\n";
        for (text, version, gpus) in [(open, "580.82.07", 8), (closed, "610.43", 1)] {
            let found = Driver::find(proc(text, gpus).path());
            assert_eq!(found, Driver::Fits { version: version.to_owned(), gpus });
        }
    }

    #[test]
    fn what_is_lacking_is_said_with_what_to_do() {
        let nowhere = tempfile::tempdir().expect("temporary folder");
        assert!(lacks(&nowhere).contains("no NVIDIA driver runs") && lacks(&nowhere).contains("release 580 or later"));
        let old = proc("NVRM version: NVIDIA UNIX x86_64 Kernel Module  575.57.08  Fri May 2025\n", 1);
        assert!(lacks(&old).contains("version 575.57.08, which is too old for CUDA 13"), "{}", lacks(&old));
        let mute = proc("something else\n", 1);
        assert!(lacks(&mute).contains("does not tell the driver's version"));
        let blind = proc("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 2025\n", 0);
        assert!(lacks(&blind).contains("580.65.06 runs and shows no GPU"), "{}", lacks(&blind));
    }
}
