//! `cargo xtask arrows`: dependencies point one way, `src -> actors -> engine`, and each layer stays free of what the layers above it are for.
//!
//! That actors and engine do not depend on what is above them directly, Cargo itself sees to: it would be a cycle. This looks at the whole
//! tree of normal and build dependencies, so that nothing comes in through a third crate either. Tests and benchmarks may use what they like.

use anyhow::bail;

use crate::command;

/// A package of ours and what must not be anywhere among its dependencies.
struct Layer {
    package: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const LAYERS: [Layer; 2] = [
    Layer {
        package: "selfplay-engine",
        forbidden: &[
            "actix",
            "actix-rt",
            "tokio",
            "ort",
            "metrics",
            "tracing",
            "clap",
            "axum",
            "hyper",
            "selfplay-actors",
            "selfplayd",
        ],
        reason: "the engine is rules and search: no runtime, no inference, no telemetry",
    },
    Layer {
        package: "selfplay-actors",
        forbidden: &[
            "clap",
            "config",
            "axum",
            "hyper",
            "metrics-exporter-prometheus",
            "tracing-subscriber",
            "selfplayd",
        ],
        reason: "the actors know no command line, no settings files and no HTTP",
    },
];

/// Checks every layer.
pub(crate) fn run() -> anyhow::Result<()> {
    for layer in &LAYERS {
        let mut tree = command::cargo();
        tree.args(["tree", "--locked", "--package", layer.package]);
        tree.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
        let found = trespassers(&command::stdout(&mut tree)?, layer.forbidden);
        if !found.is_empty() {
            bail!(
                "{package} depends on {}: {}. `cargo tree --package {package} --invert <crate>` shows by which way",
                found.join(", "),
                layer.reason,
                package = layer.package,
            );
        }
    }
    println!("dependencies point one way: src -> actors -> engine");
    Ok(())
}

/// Which of `forbidden` are in the output of `cargo tree --prefix none --format {p}`, whose lines read `name v1.2.3 …`.
fn trespassers(tree: &str, forbidden: &[&'static str]) -> Vec<&'static str> {
    let present = |name: &str| tree.lines().any(|line| line.split_whitespace().next() == Some(name));
    forbidden.iter().copied().filter(|name| present(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::trespassers;

    const TREE: &str = "selfplay-engine v0.1.0 (/somewhere/engine)\nndarray v0.17.2\ntokio v1.50.0 (*)\nactix-macros v0.2.4 (proc-macro)\n";

    #[test]
    fn a_forbidden_crate_is_found_at_any_depth() {
        assert_eq!(trespassers(TREE, &["actix", "tokio", "ort"]), ["tokio"]);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_it() {
        assert!(trespassers(TREE, &["actix", "nd"]).is_empty());
    }
}
