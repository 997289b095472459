//! A Python with numpy, for the tests that read replay files as the trainer does, with Grafana's schema, for those of the dashboard, and with
//! what builds, lints and tests the Python package.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use crate::{command, workspace};

/// The variable that names the Python to the tests, and by which a user names one of their own.
pub(crate) const VARIABLE: &str = "SELFPLAYD_TEST_PYTHON";

const NUMPY: &str = "xtask/requirements-test.txt";
const SCHEMA: &str = "xtask/requirements-dashboard.txt";
const PACKAGE: &str = "xtask/requirements-package.txt";

/// The Python with numpy that tests are to use: the user's own, else `python3` where it has numpy, else one in `.venv/`, set up where
/// necessary.
pub(crate) fn with_numpy() -> anyhow::Result<PathBuf> {
    if let Some(own) = own() {
        if !has_numpy(&own) {
            bail!("{VARIABLE} is {}, which does not run or has no numpy: correct it, or unset it", own.display());
        }
        return Ok(own);
    }
    if has_numpy(Path::new("python3")) {
        return Ok("python3".into());
    }
    in_venv(NUMPY, has_numpy).with_context(|| {
        format!(
            "the end-to-end tests need a Python 3 with numpy and none could be set up in .venv/: \
             set {VARIABLE} to a Python that has numpy"
        )
    })
}

/// The same, with Grafana's schema where that can be had; else with what will not be tested for want of it, in words.
pub(crate) fn with_schema() -> anyhow::Result<(PathBuf, Option<String>)> {
    let python = with_numpy()?;
    if has_schema(&python) {
        return Ok((python, None));
    }
    let set_up = match own() {
        Some(_) => Err(anyhow!("the Python named by {VARIABLE} does not have it")),
        None => in_venv(NUMPY, has_numpy).and_then(|_| in_venv(SCHEMA, has_schema)),
    };
    match set_up {
        Ok(python) => Ok((python, None)),
        Err(error) => {
            let lacks = format!("the dashboard against Grafana's schema: no grafana-foundation-sdk: {error:#}");
            Ok((python, Some(lacks)))
        }
    }
}

/// The Python with what builds, lints and tests the package: the user's own, else the one in `.venv/`, set up where necessary.
pub(crate) fn of_package() -> anyhow::Result<PathBuf> {
    match own() {
        Some(own) if has_tools(&own) => Ok(own),
        _ => in_venv(PACKAGE, has_tools).with_context(|| {
            format!("the Python package needs what {PACKAGE} names, and it could not be installed into .venv/")
        }),
    }
}

/// The user's own.
fn own() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The Python in `.venv/`, after installing `requirements` where it does not have them.
fn in_venv(requirements: &str, has: fn(&Path) -> bool) -> anyhow::Result<PathBuf> {
    let venv = workspace::root().join(".venv");
    let python = venv.join("bin/python");
    if !has(&python) {
        println!("installing what tests import ({requirements}) into {}", workspace::display(&venv));
        if !command::succeeds(command::command(&python).arg("--version")) {
            create(&venv)?;
        }
        install(&python, requirements)?;
        if !has(&python) {
            bail!("the Python in .venv/ is too old for it");
        }
    }
    Ok(python)
}

fn has_numpy(python: &Path) -> bool {
    imports(python, "numpy")
}

fn has_tools(python: &Path) -> bool {
    imports(python, "maturin, mypy, numpy, onnx, onnxruntime, pytest, ruff, yaml")
}

fn has_schema(python: &Path) -> bool {
    imports(python, "grafana_foundation_sdk")
}

fn imports(python: &Path, module: &str) -> bool {
    command::succeeds(command::command(python).args(["-c", &format!("import {module}")]))
}

/// Makes `venv` anew, with nothing in it.
fn create(venv: &Path) -> anyhow::Result<()> {
    let create = || ["-m", "venv", "--clear"];
    if command::succeeds(command::command("python3").args(create()).arg(venv)) {
        return Ok(());
    }
    // Debian keeps what `venv` needs for a pip inside it in a package of its own; the pip outside serves as well.
    command::run(command::command("python3").args(create()).arg("--without-pip").arg(venv))
}

/// Installs the packages of a file for `python`, which is that of a virtual environment.
fn install(python: &Path, requirements: &str) -> anyhow::Result<()> {
    let install = ["install", "--disable-pip-version-check", "--no-input", "--quiet", "--requirement", requirements];
    if command::succeeds(command::command(python).args(["-m", "pip", "--version"])) {
        return command::run(command::command(python).args(["-m", "pip"]).args(install));
    }
    command::run(command::command("python3").args(["-m", "pip", "--python"]).arg(python).args(install))
}
