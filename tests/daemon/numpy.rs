//! Games read by real numpy: `ingest.py` in a Python of its own.

use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use selfplay_engine::replay::GameMetadata;
use serde_json::{Value, json};

use crate::{
    config::Config,
    games::{Written, strict_metadata},
};

/// The variable by which `cargo xtask test` names a Python with numpy.
const VARIABLE: &str = "SELFPLAYD_TEST_PYTHON";

/// A running `ingest.py`.
pub(crate) struct Numpy {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Numpy {
    /// Starts the Python of the environment, else `python3`.
    ///
    /// # Panics
    /// When it has no numpy.
    pub(crate) fn start() -> Self {
        let python = env::var_os(VARIABLE).filter(|path| !path.is_empty()).unwrap_or_else(|| OsString::from("python3"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/ingest.py");
        let missing = format!(
            "{} does not run or has no numpy: run these tests by `cargo xtask test`, which provides one, or name one in \
             {VARIABLE}",
            python.display()
        );
        let mut command = Command::new(&python);
        let mut child = command
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|_| panic!("{missing}"));
        let (requests, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut numpy = Self { child, requests, answers: BufReader::new(answers) };
        assert!(numpy.answer().is_some_and(|answer| answer["numpy"].is_string()), "{missing}");
        numpy
    }

    fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).ok()
    }

    /// Loads and checks the arrays of a game of Quoridor whose YAML file holds `metadata`.
    pub(crate) fn load(&mut self, npz: &Path, metadata: &GameMetadata, config: Config) -> Loaded {
        let n = config.board;
        let actions = n * n + 2 * (n - 1) * (n - 1);
        let input_shape = match config.network {
            "mlp" => json!([actions + n * n + 2]),
            _ => json!([5, 2 * n + 3, 2 * n + 3]),
        };
        self.load_as(npz, metadata, &json!({ "actions": actions, "input_shape": input_shape, "draws": false }))
    }

    /// Loads and checks the arrays of any game; `shapes`: `actions`, `input_shape` and whether there are `draws`.
    pub(crate) fn load_as(&mut self, npz: &Path, metadata: &GameMetadata, shapes: &Value) -> Loaded {
        let mut request = json!({ "npz": npz, "game_length": metadata.game_length, "result": metadata.result });
        for (name, value) in shapes.as_object().unwrap() {
            request[name] = value.clone();
        }
        writeln!(self.requests, "{request}").unwrap();
        let answer = self.answer().expect("ingest.py lives on");
        assert_eq!(answer["error"], Value::Null, "{}", npz.display());
        let versions = answer["model_versions"].as_array().unwrap().iter().map(|version| version.as_i64().unwrap());
        Loaded { model_versions: versions.collect(), searched: answer["searched"].as_u64().unwrap() }
    }

    /// Loads and checks all `games`.
    pub(crate) fn load_all(&mut self, games: &[Written], config: Config) -> Vec<Loaded> {
        games
            .iter()
            .map(|written| {
                let metadata = strict_metadata(&written.npz.with_extension("yaml"));
                let loaded = self.load(&written.npz, &metadata, config);
                loaded.is_in_order(&written.npz);
                loaded
            })
            .collect()
    }
}

impl Drop for Numpy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What numpy found in a game.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    /// Of each ply.
    pub(crate) model_versions: Vec<i64>,
    /// Plies that were searched.
    pub(crate) searched: u64,
}

impl Loaded {
    /// No older model came after a newer one, as may be only where one was withdrawn.
    pub(crate) fn is_in_order(&self, npz: &Path) {
        assert!(self.model_versions.is_sorted(), "{}: {:?}", npz.display(), self.model_versions);
    }
}
