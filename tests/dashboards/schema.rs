//! Grafana's own schema knows every key of the dashboards.

use std::{env, ffi::OsString, fs, process::Command};

use crate::{
    files,
    programs::{said, succeed},
};

/// The variable by which `cargo xtask test` names a Python with Grafana's schema.
const VARIABLE: &str = "SELFPLAYD_TEST_PYTHON";

#[test]
fn every_key_of_the_dashboards_is_in_grafanas_schema() {
    let python = env::var_os(VARIABLE).filter(|path| !path.is_empty()).unwrap_or_else(|| OsString::from("python3"));
    let knows = |module: &str| {
        Command::new(&python).args(["-c", &format!("import {module}")]).output().is_ok_and(|it| it.status.success())
    };
    if !knows("grafana_foundation_sdk") {
        eprintln!(
            "SKIPPED, NOT TESTED: the dashboards against Grafana's schema: {} has no grafana-foundation-sdk; `cargo xtask test` \
             installs it",
            python.display()
        );
        return;
    }
    let check = || Command::new(&python);
    for board in files::BOARDS {
        let output = succeed(check().arg("tests/dashboards/schema.py").arg(files::path(board)), "");
        assert!(said(&output).contains("panels read"), "{board}: {}", said(&output));
    }

    // A misspelt key is found, in a part that is read by the type of the panel too.
    let dir = tempfile::TempDir::new().unwrap();
    let misspelt = dir.path().join("misspelt.json");
    fs::write(&misspelt, files::read(files::BOARDS[0]).replacen("\"legendFormat\"", "\"legendFromat\"", 1)).unwrap();
    let output = check().arg(files::path("tests/dashboards/schema.py")).arg(&misspelt).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("legendFromat: unknown"), "{}", said(&output));
}
