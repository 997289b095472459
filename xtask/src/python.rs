//! A Python with numpy, for the tests that read replay files as the trainer does.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::{command, workspace};

/// The variable that names the Python to the tests, and by which a user names one of their own.
pub(crate) const VARIABLE: &str = "SELFPLAYD_TEST_PYTHON";

const REQUIREMENTS: &str = "xtask/requirements-test.txt";

/// The Python with numpy that the tests are to use: the user's own, else `python3` where it has numpy, else one in `.venv/`, set up where
/// necessary.
pub(crate) fn with_numpy() -> anyhow::Result<PathBuf> {
    if let Some(own) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        if !has_numpy(&own) {
            bail!("{VARIABLE} is {}, which does not run or has no numpy: correct it, or unset it", own.display());
        }
        return Ok(own.into());
    }
    if has_numpy("python3") {
        return Ok("python3".into());
    }
    let venv = workspace::root().join(".venv");
    let python = venv.join("bin/python");
    if !has_numpy(&python) {
        println!("python3 has no numpy: installing it into {}", workspace::display(&venv));
        install(&venv, &python).with_context(|| {
            format!(
                "the end-to-end tests need a Python 3 with numpy and none could be set up in .venv/: \
                 set {VARIABLE} to a Python that has numpy"
            )
        })?;
    }
    Ok(python)
}

fn has_numpy(python: impl AsRef<std::ffi::OsStr>) -> bool {
    command::succeeds(command::command(python).args(["-c", "import numpy"]))
}

fn install(venv: &Path, python: &Path) -> anyhow::Result<()> {
    let install = ["install", "--disable-pip-version-check", "--no-input", "--quiet", "--requirement", REQUIREMENTS];
    let create = || ["-m", "venv", "--clear"];
    if command::succeeds(command::command("python3").args(create()).arg(venv)) {
        return command::run(command::command(python).args(["-m", "pip"]).args(install));
    }
    // Debian keeps what `venv` needs for a pip inside it in a package of its own; the pip outside serves as well.
    command::run(command::command("python3").args(create()).arg("--without-pip").arg(venv))?;
    command::run(command::command("python3").args(["-m", "pip", "--python"]).arg(python).args(install))
}
