//! A Python with numpy, for the tests that read replay files as the trainer does, and with Grafana's schema, for those of the dashboard.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{command, workspace};

/// The variable that names the Python to the tests, and by which a user names one of their own.
pub(crate) const VARIABLE: &str = "SELFPLAYD_TEST_PYTHON";

const NUMPY: &str = "xtask/requirements-test.txt";
const SCHEMA: &str = "xtask/requirements-dashboard.txt";

/// A Python for the tests.
#[derive(Debug)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    /// What will not be tested with it, in words.
    pub(crate) lacks: Option<String>,
}

impl Python {
    fn new(program: impl Into<PathBuf>, hindrance: &str) -> Self {
        let program = program.into();
        let lacks = (!has_schema(&program)).then(|| {
            format!("the dashboard against Grafana's schema: grafana-foundation-sdk is not there: {hindrance}")
        });
        Self { program, lacks }
    }
}

/// The Python that the tests are to use: the user's own, else `python3` where it has what they need, else one in `.venv/`, set up where
/// necessary. Without numpy there is none; without Grafana's schema a test is skipped.
pub(crate) fn for_tests() -> anyhow::Result<Python> {
    if let Some(own) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        if !has_numpy(&own) {
            bail!("{VARIABLE} is {}, which does not run or has no numpy: correct it, or unset it", own.display());
        }
        return Ok(Python::new(own, &format!("{VARIABLE} names a Python without it")));
    }
    if has_numpy("python3") && has_schema("python3") {
        return Ok(Python::new("python3", ""));
    }
    let venv = workspace::root().join(".venv");
    let python = venv.join("bin/python");
    if !has_numpy(&python) {
        println!("python3 lacks what the tests import: installing it into {}", workspace::display(&venv));
        if let Err(error) = create(&venv).and_then(|()| install(&venv, NUMPY)) {
            if has_numpy("python3") {
                return Ok(Python::new("python3", &format!("{error:#}")));
            }
            return Err(error).with_context(|| {
                format!(
                    "the end-to-end tests need a Python 3 with numpy and none could be set up in .venv/: \
                     set {VARIABLE} to a Python that has numpy"
                )
            });
        }
    }
    let mut hindrance = "this Python is too old for it".to_owned();
    if !has_schema(&python)
        && let Err(error) = install(&venv, SCHEMA)
    {
        hindrance = format!("{error:#}");
    }
    Ok(Python::new(python, &hindrance))
}

fn has_numpy(python: impl AsRef<std::ffi::OsStr>) -> bool {
    command::succeeds(command::command(python).args(["-c", "import numpy"]))
}

fn has_schema(python: impl AsRef<std::ffi::OsStr>) -> bool {
    command::succeeds(command::command(python).args(["-c", "import grafana_foundation_sdk"]))
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

/// Installs the packages of a file into `venv`.
fn install(venv: &Path, requirements: &str) -> anyhow::Result<()> {
    let install = ["install", "--disable-pip-version-check", "--no-input", "--quiet", "--requirement", requirements];
    let python = venv.join("bin/python");
    if command::succeeds(command::command(&python).args(["-m", "pip", "--version"])) {
        return command::run(command::command(python).args(["-m", "pip"]).args(install));
    }
    command::run(command::command("python3").args(["-m", "pip", "--python"]).arg(python).args(install))
}
