//! `cargo xtask test`: everything CI runs except the lints.

use std::path::Path;

use crate::{command, nats, ort, pinned, python, tools, wheel, workspace};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test these packages only, instead of the whole workspace
    #[arg(short, long = "package", value_name = "NAME")]
    packages: Vec<String>,
    /// Install Debian's packages that tests need and this machine lacks (Prometheus, Chromium); CI does so by itself
    #[arg(long)]
    install: bool,
    /// Passed on to nextest, or to `cargo test` where nextest is not installed: filters, --no-capture, …
    #[arg(last = true, value_name = "ARGS")]
    rest: Vec<String>,
}

/// Makes sure that what the tests need is there, then runs them, doc tests included.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let library = ort::cpu_library(false)?;
    let (python, no_schema) = python::with_schema()?;
    let mut not_tested = tools::prepare(tools::FOR_TESTS, args.install);
    not_tested.extend(no_schema);
    not_tested.extend(without_openvino()?);
    not_tested.extend(without_nats()?);
    tools::say_aloud(&not_tested);
    let selection = selection(&args.packages);

    let nextest = command::succeeds(command::cargo().args(["nextest", "--version"]));
    if !nextest {
        println!(
            "cargo-nextest is not installed: using `cargo test` (`cargo install --locked cargo-nextest` brings it)"
        );
    }
    let mut tests = command::cargo();
    match nextest {
        true if workspace::in_ci() => tests.args(["nextest", "run", "--profile", "ci"]),
        true => tests.args(["nextest", "run"]),
        // Unit tests of libraries and programs too, but not the doc tests, which come below in both cases. One failure must not
        // hide the others; nextest's own settings say so in .config/nextest.toml.
        false => tests.args(["test", "--tests", "--no-fail-fast"]),
    };
    tests.args(&selection).args(features(&args.packages)).arg("--locked").args(&args.rest);
    tests.env("ORT_DYLIB_PATH", &library).env(python::VARIABLE, &python);
    let tested = command::run(&mut tests);

    // Who is after certain tests wants no others. Otherwise these run even where one of those failed.
    if args.rest.is_empty() && args.packages.is_empty() {
        let mut doc = command::cargo();
        // With the features of the tests, whose libraries are then not built again.
        doc.args(["test", "--doc", "--workspace", "--locked"]).args(features(&[])).env("ORT_DYLIB_PATH", &library);
        command::run(&mut doc)?;
        match python::of_package() {
            Ok(python) => package(&python, &library)?,
            Err(error) => not_tested.push(format!("the Python package: {error:#}")),
        }
    }
    tested?;
    // Once more, where it is seen.
    tools::say_aloud(&not_tested);
    Ok(())
}

/// The tests of the Python package, with the daemon that the tests before have built, and of the wheel that is made of the two.
fn package(python: &Path, library: &Path) -> anyhow::Result<()> {
    let wheel = wheel::build(python, &workspace::target_dir().join("wheels").join("dev"), true)?;
    let mut tests = command::command(python);
    tests.args(["-m", "pytest", "python"]).env("ORT_DYLIB_PATH", library).env("SELFPLAYD_WHEEL", wheel);
    command::run(tests.env("SELFPLAYD_PROGRAM", workspace::target_dir().join("debug/selfplayd")))
}

/// Fetches ONNX Runtime with OpenVINO, which tests find in `.ort/openvino/`; what is not tested where it cannot be had.
///
/// # Errors
/// When what was fetched is not what is pinned.
fn without_openvino() -> anyhow::Result<Option<String>> {
    // Elsewhere there is none, and nothing to miss.
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let (_, missing) = pinned::or_unavailable(ort::openvino_library(false))?;
    Ok(missing
        .map(|missing| format!("--device openvino and what \"auto\" makes of it, as it cannot be fetched: {missing}")))
}

/// Fetches the NATS server, which tests find in `.nats/`; what is not tested where it cannot be had.
///
/// # Errors
/// When what was fetched is not what is pinned; and under continuous integration, whose tests need it.
fn without_nats() -> anyhow::Result<Option<String>> {
    if !cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        return Ok(Some("the fleet with a real broker, as none is pinned for this machine".to_owned()));
    }
    let server = nats::server(false);
    if workspace::in_ci() {
        return server.map(|_| None);
    }
    let (_, missing) = pinned::or_unavailable(server)?;
    Ok(missing.map(|missing| format!("the fleet with a real broker, as none can be fetched: {missing}")))
}

/// `packages` as cargo wants them, or the whole workspace.
pub(crate) fn selection(packages: &[String]) -> Vec<&str> {
    if packages.is_empty() {
        return vec!["--workspace"];
    }
    packages.iter().flat_map(|package| ["--package", package]).collect()
}

/// What tests need beyond the default features: faults to inject, where there is a package that has them.
pub(crate) fn features(packages: &[String]) -> &'static [&'static str] {
    let have = |package: &String| matches!(package.as_str(), "selfplayd" | "selfplay-actors");
    if packages.is_empty() || packages.iter().any(have) { &["--features", "fault-injection"] } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::{features, selection};

    #[test]
    fn no_package_means_all_of_them() {
        assert_eq!(selection(&[]), ["--workspace"]);
        assert_eq!(selection(&["a".to_owned(), "b".to_owned()]), ["--package", "a", "--package", "b"]);
    }

    #[test]
    fn packages_without_the_feature_are_not_asked_for_it() {
        assert_eq!(features(&[]), ["--features", "fault-injection"]);
        assert_eq!(features(&["xtask".to_owned(), "selfplayd".to_owned()]), ["--features", "fault-injection"]);
        assert!(features(&["selfplay-engine".to_owned(), "xtask".to_owned()]).is_empty());
    }
}
