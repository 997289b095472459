//! `cargo xtask lint`: every check that needs no test to run.

use std::path::PathBuf;

use crate::test::{features, selection};
use crate::{arrows, command, python, workspace};

const CARGO_DENY_VERSION: &str = "0.20.2";

/// Arguments of `cargo xtask lint`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run clippy and rustdoc on these packages only, instead of the whole workspace
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Look the dependencies up in the RustSec advisory database too (fetches it from its own host)
    #[arg(long)]
    advisories: bool,
}

/// Runs all checks, stopping at the first that fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let selection = selection(&args.packages);
    command::run(command::cargo().args(["fmt", "--all", "--check"]))?;
    arrows::run()?;
    let mut clippy = command::cargo();
    clippy.arg("clippy").args(&selection).args(features(&args.packages)).args([
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    command::run(&mut clippy)?;
    let mut doc = command::cargo();
    doc.arg("doc").args(&selection).args(["--no-deps", "--document-private-items", "--locked"]);
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    deny(args.advisories)?;
    if args.packages.is_empty() { package() } else { Ok(()) }
}

/// The Python package: ruff and mypy, where pip can bring them.
fn package() -> anyhow::Result<()> {
    let python = match python::of_package() {
        Ok(python) => python,
        Err(error) if workspace::in_ci() => return Err(error),
        Err(error) => {
            println!("\nthe Python package is NOT checked: {error:#}");
            return Ok(());
        }
    };
    for check in [&["ruff", "check"][..], &["ruff", "format", "--check"], &["mypy"]] {
        let mut command = command::command(&python);
        command::run(command.arg("-m").args(check).current_dir(workspace::root().join("python")))?;
    }
    Ok(())
}

/// Licences, bans and sources of the dependencies (deny.toml), by cargo-deny.
fn deny(advisories: bool) -> anyhow::Result<()> {
    let tools = workspace::target_dir().join("tools");
    let own = tools.join("bin/cargo-deny");
    let installed = ["cargo-deny".into(), own.clone()].into_iter().find(is_installed);
    let program = match installed {
        Some(program) => program,
        None if workspace::in_ci() => {
            println!("cargo-deny is not installed: building it, which takes some minutes");
            let mut install = command::cargo();
            // Its release build takes ten times as long, and it runs for a second.
            install.args(["install", "--quiet", "--locked", "--debug", "--root"]).arg(&tools);
            command::run(install.arg(format!("cargo-deny@{CARGO_DENY_VERSION}")))?;
            own
        }
        None => {
            println!(
                "\ncargo-deny is not installed: licences, bans and sources of the dependencies are NOT checked. CI checks them; so can you after\n  \
                 cargo install --locked cargo-deny@{CARGO_DENY_VERSION}"
            );
            return Ok(());
        }
    };
    let mut deny = command::command(program);
    deny.args(["--workspace", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"]);
    if advisories {
        deny.arg("advisories");
    }
    command::run(&mut deny)
}

fn is_installed(program: &PathBuf) -> bool {
    command::succeeds(command::command(program).arg("--version"))
}
