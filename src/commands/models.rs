//! The models of a directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

/// All models of a directory (`*.onnx`) by the last number in their names, oldest first; those without a number count as oldest.
///
/// # Errors
/// When there is none, or the directory cannot be read.
pub(super) fn models_of(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let failed_to_list = || format!("failed to look for models in {}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(failed_to_list)? {
        let path = entry.with_context(failed_to_list)?.path();
        if path.extension().is_some_and(|extension| extension == "onnx") && path.is_file() {
            found.push((last_number(short(&path.to_string_lossy())), path));
        }
    }
    if found.is_empty() {
        bail!("there is no model (*.onnx) in {}", dir.display());
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A model without its folder and suffix.
pub(super) fn short(name: &str) -> &str {
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}

/// The last number in a name.
pub(super) fn last_number(name: &str) -> Option<u64> {
    name.split(|sign: char| !sign.is_ascii_digit()).rfind(|digits| !digits.is_empty())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn models_are_in_the_order_of_their_numbers() {
        let dir = TempDir::new().unwrap();
        assert!(models_of(dir.path()).unwrap_err().to_string().contains("there is no model (*.onnx) in"));
        for name in ["model_2.onnx", "model_10.onnx", "model_9.onnx", "best.onnx", "model_11.txt"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let found = models_of(dir.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| short(path.to_str().unwrap())).collect();
        assert_eq!(names, ["best", "model_2", "model_9", "model_10"]);
    }
}
