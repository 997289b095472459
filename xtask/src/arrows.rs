//! `cargo xtask arrows`: dependencies point one way, `src -> fleet -> actors -> engine`, and each layer stays free of what the layers above it are for.
//!
//! That actors and engine do not depend on what is above them directly, Cargo itself sees to: it would be a cycle. This looks at the whole
//! tree of normal and build dependencies, so that nothing comes in through a third crate either. Tests and benchmarks may use what they like.
//!
//! Within each crate modules stand in the order of the list at the head of its `lib.rs`, and use only what stands before them there, or
//! beside them on the same line.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, bail};

use crate::command;

/// Crates whose modules are in order.
const CRATES: [&str; 4] = ["engine", "actors", "fleet", "."];

/// A package of ours and what must not be anywhere among its dependencies.
struct Layer {
    package: &'static str,
    forbidden: &'static [&'static [&'static str]],
    reason: &'static str,
}

/// The daemon, and what only it is made of.
const DAEMON: &[&str] =
    &["clap", "config", "axum", "hyper", "metrics-exporter-prometheus", "tracing-subscriber", "selfplayd"];

const LAYERS: [Layer; 3] = [
    Layer {
        package: "selfplay-engine",
        forbidden: &[
            DAEMON,
            &["actix", "actix-rt", "tokio", "ort", "metrics", "tracing", "selfplay-actors", "selfplay-fleet"],
        ],
        reason: "the engine is rules and search: no runtime, no inference, no telemetry",
    },
    Layer {
        package: "selfplay-actors",
        forbidden: &[DAEMON, &["selfplay-fleet"]],
        reason: "the actors know no command line, no settings files, no HTTP and no other machine",
    },
    Layer {
        package: "selfplay-fleet",
        forbidden: &[DAEMON],
        reason: "the fleet's protocol knows no command line, no settings files and no HTTP",
    },
];

/// Checks every layer.
pub(crate) fn run() -> anyhow::Result<()> {
    for layer in &LAYERS {
        let mut tree = command::cargo();
        tree.args(["tree", "--locked", "--package", layer.package]);
        tree.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
        let found = trespassers(&command::stdout(&mut tree)?, &layer.forbidden.concat());
        if !found.is_empty() {
            bail!(
                "{package} depends on {}: {}. `cargo tree --package {package} --invert <crate>` shows by which way",
                found.join(", "),
                layer.reason,
                package = layer.package,
            );
        }
    }
    let mut upward = Vec::new();
    for package in CRATES {
        let src = Path::new(package).join("src");
        let lib = fs::read_to_string(src.join("lib.rs")).with_context(|| format!("{package}/src/lib.rs"))?;
        let order = listed(&lib);
        for (name, text) in sources(&src)? {
            let found = upward_uses(&name, &text, &order);
            upward.extend(
                found.into_iter().map(|used| format!("{package}/src: {name} uses {used}, which stands above it")),
            );
        }
    }
    if !upward.is_empty() {
        bail!("modules are out of order (the lists are at the head of each lib.rs):\n{}", upward.join("\n"));
    }
    println!(
        "dependencies point one way: src -> fleet -> actors -> engine, and from module to module as lib.rs lists them"
    );
    Ok(())
}

/// Modules in the order of the list in a crate's documentation: a dash, names in code quotes, a colon and what they are for.
fn listed(lib: &str) -> Vec<Vec<String>> {
    let heads = lib.lines().filter_map(|line| line.strip_prefix("//! - ")?.split(':').next());
    heads.map(|head| head.split('`').skip(1).step_by(2).map(str::to_owned).collect()).collect()
}

/// Every file of a crate but its root and its tests, by the module that it belongs to.
fn sources(src: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains("tests") || (folder == src && matches!(&*name, "lib" | "main")) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = path.strip_prefix(src)?.components().next().context("a file has a name")?;
                let module = module.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
                found.push((module, fs::read_to_string(&path)?));
            }
        }
    }
    Ok(found)
}

/// Modules that come later in `order` than `module` and that its `text` uses all the same. Modules that are not in the list, such as
/// those of tests, may use any.
fn upward_uses<'a>(module: &str, text: &str, order: &'a [Vec<String>]) -> Vec<&'a str> {
    let Some(place) = order.iter().position(|line| line.iter().any(|listed| listed == module)) else {
        return Vec::new();
    };
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    let mut used = BTreeSet::new();
    for path in code.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            Some(group) => used.extend(heads(group)),
            None => used.extend(identifier(path)),
        }
    }
    order[place + 1..].iter().flatten().map(String::as_str).filter(|later| used.contains(*later)).collect()
}

/// The first names of the paths in a group of imports, up to the brace that ends it.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut found, mut expected) = (0, Vec::new(), true);
    for (place, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !sign.is_whitespace() => {
                found.extend(identifier(&group[place..]));
                expected = false;
            }
            _ => {}
        }
    }
    found
}

/// The identifier that `text` begins with.
fn identifier(text: &str) -> Option<&str> {
    let end = text.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(text.len());
    (end > 0).then(|| &text[..end])
}

/// Which of `forbidden` are in the output of `cargo tree --prefix none --format {p}`, whose lines read `name v1.2.3 …`.
fn trespassers(tree: &str, forbidden: &[&'static str]) -> Vec<&'static str> {
    let present = |name: &str| tree.lines().any(|line| line.split_whitespace().next() == Some(name));
    forbidden.iter().copied().filter(|name| present(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::{listed, trespassers, upward_uses};

    const TREE: &str = "selfplay-engine v0.1.0 (/somewhere/engine)\nndarray v0.17.2\ntokio v1.50.0 (*)\nactix-macros v0.2.4 (proc-macro)\n";

    #[test]
    fn a_forbidden_crate_is_found_at_any_depth() {
        assert_eq!(trespassers(TREE, &["actix", "tokio", "ort"]), ["tokio"]);
    }

    #[test]
    fn a_name_that_only_begins_alike_is_not_it() {
        assert!(trespassers(TREE, &["actix", "nd"]).is_empty());
    }

    const LIB: &str =
        "//! A crate.\n//!\n//! - `low`: first\n//! - [`middle`], `beside`: then\n//! - `high`: last\nmod low;\n";

    #[test]
    fn modules_are_listed_at_the_head_of_their_crate() {
        assert_eq!(listed(LIB), [&["low"][..], &["middle", "beside"], &["high"]]);
    }

    #[test]
    fn what_stands_above_a_module_is_found_however_it_is_used() {
        let order = listed(LIB);
        let upward = |text| upward_uses("middle", text, &order);
        assert_eq!(upward("use crate::high::Thing;"), ["high"]);
        assert_eq!(upward("use crate::{\n    low::{self, high},\n    high::{A, B},\n};"), ["high"]);
        assert_eq!(upward("fn f() { crate::high::f() }"), ["high"]);
        assert!(upward("use crate::{beside, low::high, middle::part};\n// crate::high is spoken of\n").is_empty());
        assert!(upward("use crate::low;\n#[cfg(test)]\nmod tests {\n    use crate::high;\n}\n").is_empty());
        assert!(upward_uses("high", "use crate::{low, middle};", &order).is_empty());
        assert!(upward_uses("testing", "use crate::high;", &order).is_empty(), "not in the list");
    }
}
