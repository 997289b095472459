//! Which ONNX Runtime builds this repository uses, and the SHA-256 of everything taken from a registry.
//!
//! To move to another version: download the archive by its route below, `sha256sum` it and the files in it, and change both here. `ort`
//! 2.0.0-rc.15, as it is configured here, loads ONNX Runtime 1.23 to 1.32.

use anyhow::bail;

use crate::pinned::{Build, File, Package, Product, Route};

/// What all of these are.
pub(super) const PRODUCT: Product = Product {
    name: "ONNX Runtime",
    pins: "xtask/src/ort/pins.rs",
    own: "set ORT_DYLIB_PATH to the library file of an ONNX Runtime 1.23 to 1.32 of your own",
    is_program: false,
};

const WHEEL_FOLDER: &str = "onnxruntime/capi";

/// The CPU builds for this machine, the preferred one first. npm's newest release is older than PyPI's.
pub(super) fn cpu() -> anyhow::Result<[Package; 2]> {
    let npm = |folder, files| Package {
        route: Route::Npm,
        name: "onnxruntime-node",
        archive_sha256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
        build: Build { version: "1.30.0", folder, main_in_archive: Some("libonnxruntime.so.1"), files },
    };
    let pip = |platform, archive_sha256, files| Package {
        route: Route::Pip { platform, python: "312" },
        name: "onnxruntime",
        archive_sha256,
        build: Build { version: "1.32.0", folder: WHEEL_FOLDER, main_in_archive: None, files },
    };
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok([
            pip(
                "manylinux_2_28_x86_64",
                "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
                &[File {
                    name: "libonnxruntime.so.1.32.0",
                    sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
                }],
            ),
            npm(
                "package/bin/napi-v6/linux/x64",
                &[File {
                    name: "libonnxruntime.so.1.30.0",
                    sha256: "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
                }],
            ),
        ]),
        ("linux", "aarch64") => Ok([
            pip(
                "manylinux_2_28_aarch64",
                "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
                &[File {
                    name: "libonnxruntime.so.1.32.0",
                    sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
                }],
            ),
            npm(
                "package/bin/napi-v6/linux/arm64",
                &[File {
                    name: "libonnxruntime.so.1.30.0",
                    sha256: "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
                }],
            ),
        ]),
        (os, arch) => bail!(
            "no ONNX Runtime is pinned for {os} on {arch}, only for Linux on x86_64 and aarch64: \
             install ONNX Runtime 1.23 to 1.32 yourself and set ORT_DYLIB_PATH to its library file"
        ),
    }
}

/// The CUDA 13 build.
pub(super) fn cuda() -> anyhow::Result<[Package; 1]> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if (os, arch) != ("linux", "x86_64") {
        bail!(
            "the CUDA build is pinned for Linux on x86_64 only, and this is {os} on {arch}: \
             set ORT_DYLIB_PATH to a CUDA build of ONNX Runtime 1.23 to 1.32 of your own"
        );
    }
    Ok([Package {
        route: Route::Pip { platform: "manylinux_2_28_x86_64", python: "312" },
        name: "onnxruntime-gpu",
        archive_sha256: "05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7",
        build: Build {
            version: "1.31.1",
            folder: WHEEL_FOLDER,
            main_in_archive: None,
            files: &[
                File {
                    name: "libonnxruntime.so.1.31.1",
                    sha256: "5104254339ecadae808da771bd0b63b240f0dbd466514234905e54372435c303",
                },
                File {
                    name: "libonnxruntime_providers_shared.so",
                    sha256: "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d",
                },
                File {
                    name: "libonnxruntime_providers_cuda.so",
                    sha256: "8387867e857499e045caff5d13ac6a5de29571c801562fa2dde0e45f1f31de52",
                },
                File {
                    name: "libonnxruntime_providers_tensorrt.so",
                    sha256: "1882ee49fdb0e6fc2d272b00cfaf9a3310bf8580a34385c0eec4d82014ea172e",
                },
            ],
        },
    }])
}

/// The build with OpenVINO 2025.4.1 for x86_64: ONNX Runtime and its provider, then OpenVINO and its thread library, of which
/// only what CPUs, Intel's GPUs and ONNX models need, under the names by which they load each other from beside themselves.
pub(super) fn openvino() -> anyhow::Result<[Package; 1]> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    if (os, arch) != ("linux", "x86_64") {
        bail!(
            "the OpenVINO build is pinned for Linux on x86_64 only, and this is {os} on {arch}: \
             play with `--device cpu` there"
        );
    }
    Ok([Package {
        route: Route::Pip { platform: "manylinux_2_28_x86_64", python: "311" },
        name: "onnxruntime-openvino",
        archive_sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
        build: Build {
            version: "1.24.1",
            folder: WHEEL_FOLDER,
            main_in_archive: None,
            files: &[
                File {
                    name: "libonnxruntime.so.1.24.1",
                    sha256: "2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4",
                },
                File {
                    name: "libonnxruntime_providers_shared.so",
                    sha256: "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d",
                },
                File {
                    name: "libonnxruntime_providers_openvino.so",
                    sha256: "bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363",
                },
                File {
                    name: "libopenvino.so.2541",
                    sha256: "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943",
                },
                File {
                    name: "libopenvino_onnx_frontend.so.2541",
                    sha256: "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923",
                },
                File {
                    name: "libopenvino_intel_cpu_plugin.so",
                    sha256: "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb",
                },
                File {
                    name: "libopenvino_intel_gpu_plugin.so",
                    sha256: "5575d03f4a168b257461b83089bc2d0ae7a41ebc1b5ab6b591d26f09c4a3635e",
                },
                File {
                    name: "libtbb.so.12",
                    sha256: "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653",
                },
            ],
        },
    }])
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_checksum_is_a_sha256_in_lowercase_hexadecimal() {
        let packages = super::cpu().into_iter().flatten();
        let packages = packages.chain([super::cuda(), super::openvino()].into_iter().flatten().flatten());
        for package in packages {
            let files = package.build.files.iter().map(|file| file.sha256);
            for sha256 in files.chain([package.archive_sha256]) {
                assert_eq!(sha256.len(), 64, "{sha256}");
                assert!(sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{sha256}");
            }
            assert!(package.build.main().name.ends_with(package.build.version), "{package:?}");
        }
    }
}
