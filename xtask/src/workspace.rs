//! Where things are in this checkout.

use std::path::{Path, PathBuf};

/// Root of the checkout. Baked in at build time: xtask always runs from the checkout that built it.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// Cargo's target directory, wherever the user has put it.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// `path` as it is shorter to read: relative to the checkout where it lies inside.
pub(crate) fn display(path: &Path) -> std::path::Display<'_> {
    path.strip_prefix(root()).unwrap_or(path).display()
}

/// Whether this runs under continuous integration, where no person can answer or install by hand.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}
