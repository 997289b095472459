//! Programs of others that tests run: Prometheus, a browser, systemd's checks. Tests skip what is not installed and say so; so does
//! `cargo xtask test`, because what tests that passed have said is hardly ever read.
//!
//! Under continuous integration, or with `--install`, what is missing is installed from Debian's packages. Never otherwise: a machine
//! belongs to its user.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{command, workspace};

/// A program, where it comes from, and what is not tested without it.
#[derive(Debug)]
pub(crate) struct Tool {
    program: &'static str,
    /// Debian's package.
    package: &'static str,
    needed_for: &'static str,
}

const TOOLS: [Tool; 5] = [
    Tool {
        program: "promtool",
        package: "prometheus",
        needed_for: "Prometheus's configuration, the rules, the unit tests of the alerts, and the metrics as Prometheus reads them",
    },
    Tool {
        program: "prometheus",
        package: "prometheus",
        needed_for: "the expressions of the dashboard and the rules against a running daemon",
    },
    Tool { program: "chromium", package: "chromium", needed_for: "the page in a browser" },
    Tool { program: "chromedriver", package: "chromium-driver", needed_for: "the page in a browser" },
    Tool { program: "systemd-analyze", package: "systemd", needed_for: "the units of systemd" },
];

/// What tests run.
pub(crate) const FOR_TESTS: &[Tool] = &TOOLS;

/// What counts instructions.
pub(crate) const FOR_INSTRUCTIONS: &[Tool] =
    &[Tool { program: "valgrind", package: "valgrind", needed_for: "the instructions of the hot paths" }];

/// Installs which of `tools` is missing if this is continuous integration or `install` asks for it. Returns what will not be tested,
/// in words.
pub(crate) fn prepare(tools: &'static [Tool], install: bool) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = || missing(tools, &path);
    if missing().is_empty() {
        return Vec::new();
    }
    let packages = packages(&missing());
    let by_hand = format!("`apt-get install {}` as root brings it", packages.join(" "));
    let hindrance = match install || workspace::in_ci() {
        true => {
            install_packages(&packages).err().map(|error| format!("it could not be installed: {error:#}; {by_hand}"))
        }
        false => Some(format!("it is not installed: {by_hand}; the option --install does so")),
    };
    let hindrance = hindrance.unwrap_or_else(|| "it is not found after its package was installed".to_owned());
    missing().iter().map(|tool| format!("{}: no {}: {hindrance}", tool.needed_for, tool.program)).collect()
}

/// Those of `tools` that no directory of `path` holds.
fn missing(tools: &'static [Tool], path: &OsStr) -> Vec<&'static Tool> {
    let dirs: Vec<_> = std::env::split_paths(path).collect();
    tools.iter().filter(|tool| !dirs.iter().any(|dir| is_program(&dir.join(tool.program)))).collect()
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn packages(tools: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools.iter().map(|tool| tool.package).collect();
    packages.dedup();
    packages
}

fn install_packages(packages: &[&str]) -> anyhow::Result<()> {
    if !command::succeeds(command::command("apt-get").arg("--version")) {
        anyhow::bail!("there is no apt-get");
    }
    if command::stdout(command::command("id").arg("-u"))?.trim() != "0" {
        anyhow::bail!("only root may install packages");
    }
    println!("\ninstalling for the tests: {}", packages.join(", "));
    let apt_get = || {
        let mut apt_get = command::command("apt-get");
        apt_get.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet=2");
        apt_get
    };
    command::run(apt_get().arg("update"))?;
    command::run(apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages))
}

/// Says what is not tested, so that it cannot be overlooked.
pub(crate) fn say_aloud(not_tested: &[String]) {
    if not_tested.is_empty() {
        return;
    }
    println!("\n!!! NOT TESTED on this machine:");
    not_tested.iter().for_each(|what| println!("!!!   {what}"));
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{FOR_TESTS, TOOLS, missing, packages};

    #[test]
    fn programs_are_found_where_they_can_be_run() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let names = || missing(FOR_TESTS, dir.path().as_os_str()).iter().map(|tool| tool.program).collect::<Vec<_>>();
        assert_eq!(names().len(), TOOLS.len());
        let path = dir.path().join("chromium");
        fs::write(&path, "").unwrap();
        assert!(names().contains(&"chromium"), "a file that is no program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(!names().contains(&"chromium") && names().contains(&"chromedriver"));
    }

    #[test]
    fn packages_are_named_once() {
        assert_eq!(
            packages(&TOOLS.iter().collect::<Vec<_>>()),
            ["prometheus", "chromium", "chromium-driver", "systemd"]
        );
    }
}
