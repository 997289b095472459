//! What matches beside play keep in the output directory, in `evaluation/`:
//!
//! | | |
//! |---|---|
//! | `results.jsonl` | a line for each model that is rated and each match that is over; only added to |
//! | `rating.jsonl`, `gate.jsonl` | the pairs of the match that is played, as `match --record` writes them |
//! | `models/` | the model that is rated, the one before it, and with a gate the one that serves: the trainer may take its own files away |
//! | `lock` | held by the process whose results these are: of several daemons of one directory one rates the models |

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use selfplay_actors::onnx::ModelFile;

use super::history::Line;
use crate::exit::failed;

/// Name of the folder in the output directory.
pub(super) const NAME: &str = "evaluation";
/// Name of a model's file in its own folder.
const MODEL: &str = "model.onnx";

/// The folder, which no other process uses.
pub(super) struct Folder {
    dir: PathBuf,
    results: File,
    /// Closing it gives the lock back.
    _lock: File,
}

/// What a folder holds when it is opened.
pub(super) struct Contents {
    pub lines: Vec<Line>,
    /// Lines that are none.
    pub unreadable: usize,
}

impl Folder {
    /// Opens or begins the folder `dir`; `None` where another process has it. A last line that was cut off is dropped, and lines that
    /// cannot be read are passed over.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn open(dir: &Path) -> io::Result<Option<(Self, Contents)>> {
        fs::create_dir_all(dir.join("models"))?;
        let open = |name| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(name));
        let lock = open("lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut results = open("results.jsonl")?;
        let mut bytes = Vec::new();
        results.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        results.set_len(whole as u64)?;
        results.seek(SeekFrom::End(0))?;
        let text = bytes[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let read: Vec<Option<Line>> = text.map(|line| serde_json::from_slice(line).ok()).collect();
        let unreadable = read.iter().filter(|line| line.is_none()).count();
        let contents = Contents { lines: read.into_iter().flatten().collect(), unreadable };
        Ok(Some((Self { dir: dir.to_owned(), results, _lock: lock }, contents)))
    }

    /// Adds a line.
    pub(super) fn add(&mut self, line: &Line) -> anyhow::Result<()> {
        let line = serde_json::to_string(line)? + "\n";
        self.results
            .write_all(line.as_bytes())
            .with_context(|| format!("write to {}", self.dir.join("results.jsonl").display()))
    }

    /// Where the pairs of the match that is played are.
    pub(super) fn record(&self, gate: bool) -> PathBuf {
        self.dir.join(if gate { "gate.jsonl" } else { "rating.jsonl" })
    }

    fn model(&self, content: &str) -> PathBuf {
        self.dir.join("models").join(content)
    }

    /// Keeps a model for later processes.
    pub(super) fn keep(&self, content: &str, file: &ModelFile) -> anyhow::Result<()> {
        let place = self.model(content);
        if place.exists() || file.bytes().is_empty() {
            return Ok(());
        }
        let new = self.dir.join("models").join("new");
        let saved = || -> io::Result<()> {
            fs::remove_dir_all(&new).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            })?;
            file.save(&new, MODEL)?;
            fs::rename(&new, &place)
        };
        saved().with_context(|| format!("keep a copy of a model in {}", place.display()))
    }

    /// A model that was kept.
    pub(super) fn kept(&self, content: &str) -> anyhow::Result<ModelFile> {
        let path = self.model(content).join(MODEL);
        let file = ModelFile::read(&path).map_err(failed)?;
        ensure!(file.content().to_string() == content, "{} is not the model that was kept there", path.display());
        Ok(file)
    }

    /// Forgets all models but these.
    pub(super) fn forget_others(&self, contents: &[&str]) {
        let Ok(entries) = fs::read_dir(self.dir.join("models")) else { return };
        for entry in entries.flatten() {
            if !contents.iter().any(|content| entry.file_name() == **content) {
                fs::remove_dir_all(entry.path()).ok(); // It is tried again next time.
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::rating::Tally;
    use tempfile::TempDir;

    use super::*;
    use crate::referee::history::{Anchor, Fixed, History, Model, Player};

    fn lines() -> [Line; 2] {
        let history = History::new("terms".to_owned());
        let model = Model { version: 3, content: "3".repeat(64) };
        let fixed = Fixed { gate: false, a: model.clone(), b: Player::Anchor(Anchor::Uniform) };
        [history.entered(1, model, None), history.over(2, fixed, Tally([1, 2, 3, 4, 5]))]
    }

    #[test]
    fn lines_outlive_the_process_and_what_is_torn_or_foreign_costs_no_other() {
        let dir = TempDir::new().unwrap();
        let (mut folder, contents) = Folder::open(dir.path()).unwrap().unwrap();
        assert!(contents.lines.is_empty());
        lines().iter().for_each(|line| folder.add(line).unwrap());
        assert!(Folder::open(dir.path()).unwrap().is_none(), "it is in use");
        drop(folder);
        let results = dir.path().join("results.jsonl");
        let whole = fs::read_to_string(&results).unwrap();
        fs::write(
            &results,
            [b"\xff\xfe nonsense\n{\"line\":\"later\"}\n", whole.as_bytes(), b"{\"line\":\"pl"].concat(),
        )
        .unwrap();
        let (mut folder, contents) = Folder::open(dir.path()).unwrap().unwrap();
        assert_eq!((contents.lines, contents.unreadable), (lines().to_vec(), 2));
        folder.add(&lines()[1]).unwrap();
        drop(folder);
        assert_eq!(Folder::open(dir.path()).unwrap().unwrap().1.lines.len(), 3);
    }

    #[test]
    fn models_are_kept_whole_until_they_are_not_needed() {
        let dir = TempDir::new().unwrap();
        let (folder, _) = Folder::open(dir.path()).unwrap().unwrap();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
        for name in ["b5_const.onnx", "external/model_1.onnx"] {
            let file = ModelFile::read(models.join(name)).unwrap();
            let content = file.content().to_string();
            // An earlier process may have been killed here.
            fs::create_dir_all(dir.path().join("models/new")).unwrap();
            folder.keep(&content, &file).unwrap();
            folder.keep(&content, &file).unwrap();
            assert_eq!(folder.kept(&content).unwrap().content(), file.content());
            folder.forget_others(&[&content]);
            folder.kept(&content).unwrap();
            fs::write(folder.model(&content).join(MODEL), b"something else").unwrap();
            folder.kept(&content).unwrap_err();
            folder.forget_others(&[]);
            assert_eq!(fs::read_dir(dir.path().join("models")).unwrap().count(), 0);
        }
    }
}
