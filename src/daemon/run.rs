//! What a daemon plays for, in words that tell it from others.

use std::path::{self, Path};

use serde::{Deserialize, Serialize};

use crate::settings::{EvaluatorKind, Settings};

/// What a daemon plays for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunStatus {
    /// What the run is called.
    pub name: String,
    /// Which game is played, with its parameters.
    #[serde(default)]
    pub rules: String,
    /// Where finished games go.
    pub output_dir: String,
    /// Where models come from: a file or a directory; `null` without models.
    pub model_source: Option<String>,
}

impl RunStatus {
    /// By `settings`, for games by `rules` that go to `dir`.
    pub(crate) fn of(settings: &Settings, dir: &Path, rules: String) -> Self {
        let model = &settings.model;
        let followed = model.source.as_ref().or(model.latest_yaml.as_ref()).filter(|_| settings.daemon.continuous);
        let fixed = model.path.as_ref().filter(|_| !settings.daemon.continuous);
        // Other evaluators have no model; in continuous mode they still follow versions.
        let fixed = fixed.filter(|_| settings.inference.evaluator == EvaluatorKind::Onnx);
        let dir = absolute(dir);
        Self {
            name: settings.run.name.clone().unwrap_or_else(|| name_of(&dir)),
            rules,
            output_dir: dir.display().to_string(),
            model_source: followed.or(fixed).map(|source| absolute(source).display().to_string()),
        }
    }
}

fn absolute(path: &Path) -> path::PathBuf {
    path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The name of the run whose games go to `dir`: of the trainer's `NAME/replay_buffers/ready` that is `NAME`.
fn name_of(dir: &Path) -> String {
    let run = dir.ends_with("replay_buffers/ready").then(|| dir.ancestors().nth(2)).flatten();
    let name = |dir: &Path| dir.file_name().map(|name| name.to_string_lossy().into_owned());
    run.and_then(name).or_else(|| name(dir)).unwrap_or_else(|| dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_name_is_called_as_its_directory() {
        let names = ["/r/runs/b5/replay_buffers/ready", "/r/games", "/r/replay_buffers/ready/", "/"];
        assert_eq!(names.map(|dir| name_of(Path::new(dir))), ["b5", "games", "r", "/"]);
    }
}
