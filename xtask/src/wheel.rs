//! `cargo xtask wheel`: the Python package, with the daemon inside, as a file that pip installs.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::{command, python, workspace};

/// Arguments of `cargo xtask wheel`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// With the daemon as tests build it, faults to inject included: quickly there, slow to play
    #[arg(long)]
    dev: bool,
    /// Where the wheel goes
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Builds it, and says how it is installed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let out = args.out.clone().unwrap_or_else(|| workspace::target_dir().join("wheels"));
    let wheel = build(&python::of_package()?, &out, args.dev)?;
    println!(
        "\nfor Linux systems with a C library as new as this one's, or newer:\n  pip install {}",
        workspace::display(&wheel)
    );
    Ok(())
}

/// Builds the wheel with the maturin of this Python; where it is. What cargo has built already with the same features and profile is not built
/// again.
pub(crate) fn build(python: &Path, out: &Path, dev: bool) -> anyhow::Result<PathBuf> {
    // Of its own, so that what lies in it afterwards is what was built now.
    let folder = tempfile::tempdir()?;
    let mut maturin = command::command(python);
    maturin.args(["-m", "maturin", "build", "--locked", "--out"]).arg(folder.path());
    maturin.args(if dev {
        &["--profile", "dev", "--features", "fault-injection", "--compression-method", "stored"][..]
    } else {
        &["--release", "--strip"]
    });
    // The settings of the package are beside its sources.
    command::run(maturin.current_dir(workspace::root().join("python")))?;
    let mut built = std::fs::read_dir(folder.path())?.collect::<Result<Vec<_>, _>>()?;
    let file = built.pop().context("maturin built no wheel")?.path();
    std::fs::create_dir_all(out)?;
    let wheel = out.join(file.file_name().context("the wheel has no name")?);
    std::fs::copy(&file, &wheel)?;
    Ok(wheel)
}
