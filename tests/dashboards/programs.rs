//! Programs of others that these tests run where they are installed.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::files;

/// Where the files about Prometheus and Grafana are.
pub(crate) const DASHBOARDS: &str = "dashboards";

/// `program` where it is installed. Else says aloud that what `needed` it is not tested; `cargo xtask test`, which installs it
/// where it can, says so too.
pub(crate) fn installed(program: &str, needed: &str) -> Option<Command> {
    let found = Command::new(program).arg("--version").stdin(Stdio::null()).output().is_ok();
    if !found {
        eprintln!(
            "SKIPPED, NOT TESTED: {needed}: {program} is not installed; `cargo xtask test --install` installs it"
        );
    }
    found.then(|| Command::new(program))
}

/// The server for fleets, where `cargo xtask fetch-nats` has brought it; `cargo xtask test` does so. Else says what that `needed` it is
/// not tested.
pub(crate) fn broker(needed: &str) -> Option<Command> {
    let program = files::path(".nats/bin/nats-server");
    if !program.is_file() {
        eprintln!("SKIPPED, NOT TESTED: {needed}: there is no NATS server in .nats; see `cargo xtask fetch-nats`");
        return None;
    }
    Some(Command::new(program))
}

/// Runs `command` in `dir` of the repository.
///
/// # Panics
/// Unless it succeeds, with what it said.
pub(crate) fn succeed(command: &mut Command, dir: impl AsRef<Path>) -> Output {
    let dir = files::path("").join(dir);
    let output = command.current_dir(dir).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

/// What a program wrote.
pub(crate) fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
