//! What the trainer says of itself: a small file, `trainer.json`, beside the models, which it replaces every few seconds. Only what is
//! known is read, all of it may be missing, and nothing in it stops play.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use selfplay_actors::loader::{Followed, NewestBy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Name of the file.
const NAME: &str = "trainer.json";
/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// Most characters of a text in it.
const MOST_TEXT: usize = 60;
/// How long the trainer may say nothing, in seconds, unless it has said that it stopped.
const SILENT: f64 = 300.0;

/// What the trainer said last, as far as it said it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainerFigures {
    /// When, in seconds since 1970.
    pub updated: f64,
    /// What it does: `training`, `waiting for games`, `stopped`, or what else it calls it.
    pub state: Option<String>,
    /// The model that it published last.
    pub version: Option<i64>,
    /// Gradient steps so far.
    pub step: Option<i64>,
    /// What it minimises.
    pub loss: Option<f64>,
    /// The part of it that is of policies.
    pub policy_loss: Option<f64>,
    /// The part that is of values.
    pub value_loss: Option<f64>,
    /// Its learning rate.
    pub learning_rate: Option<f64>,
    /// Length of the last gradient.
    pub gradient_norm: Option<f64>,
    /// Rows that it draws from.
    pub window_rows: Option<i64>,
    /// Rows that it ever took.
    pub rows: Option<i64>,
    /// Samples that it trains on per second.
    pub samples_per_second: Option<f64>,
    /// How often it has sampled each row so far, on average.
    pub samples_per_row: Option<f64>,
}

/// Numbers of the file, and where they are kept.
type Field<N> = fn(&mut TrainerFigures) -> &mut Option<N>;
const WHOLE: [(&str, Field<i64>); 4] = [
    ("version", |figures| &mut figures.version),
    ("step", |figures| &mut figures.step),
    ("window_rows", |figures| &mut figures.window_rows),
    ("rows", |figures| &mut figures.rows),
];
const NUMBERS: [(&str, Field<f64>); 7] = [
    ("loss", |figures| &mut figures.loss),
    ("policy_loss", |figures| &mut figures.policy_loss),
    ("value_loss", |figures| &mut figures.value_loss),
    ("learning_rate", |figures| &mut figures.learning_rate),
    ("gradient_norm", |figures| &mut figures.gradient_norm),
    ("samples_per_second", |figures| &mut figures.samples_per_second),
    ("samples_per_row", |figures| &mut figures.samples_per_row),
];

/// The trainer, as far as its file tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainerStatus {
    /// The file.
    pub file: String,
    /// How long ago the trainer wrote it; `None` where it never could be read.
    pub age_seconds: Option<f64>,
    /// What is wrong with it, or with the trainer.
    pub trouble: Option<String>,
    /// What it said last.
    pub figures: Option<TrainerFigures>,
}

/// Reads the file again and again.
#[derive(Debug)]
pub(super) struct TrainerFile {
    path: PathBuf,
    /// Inode, size and time of change of what was read last.
    seen: Option<(u64, u64, i64, i64)>,
    figures: Option<TrainerFigures>,
    /// What was wrong at the last look. A file that is not replaced in one step may be seen half.
    doubt: Option<String>,
    /// What is wrong with the file as it was at two looks or more.
    wrong: Option<String>,
    /// What was said of it last; of its silence nothing but that.
    said: Option<String>,
}

/// Where the trainer writes it whose models come from `source` or are named by `latest_yaml`.
pub(super) fn place(source: Option<&Path>, latest_yaml: Option<&Path>) -> Option<PathBuf> {
    // Which model of a directory is the newest does not matter here.
    match source.map(|source| Followed::of(source, NewestBy::Name)) {
        Some(Followed::Directory(dir, _)) => Some(dir.join(NAME)),
        Some(Followed::LatestYaml(path) | Followed::File(path)) => Some(path.with_file_name(NAME)),
        None => latest_yaml.map(|path| path.with_file_name(NAME)),
    }
}

impl TrainerFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, seen: None, figures: None, doubt: None, wrong: None, said: None }
    }

    /// The trainer at `now`, in seconds since 1970; `None` while there is no file.
    pub(super) fn look(&mut self, now: f64) -> Option<TrainerStatus> {
        match self.read() {
            Ok(None) => {}
            Ok(Some((figures, odd))) => {
                self.figures = Some(figures);
                (self.doubt, self.wrong) = (None, odd);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *self = Self::new(std::mem::take(&mut self.path));
                return None;
            }
            Err(error) => {
                let reason = format!("failed to read {}: {error}", self.path.display());
                // Read again at the next look, in case it was half.
                self.seen = None;
                self.wrong = if self.doubt.is_some() { Some(reason.clone()) } else { self.wrong.take() };
                self.doubt = Some(reason);
            }
        }
        let age = self.figures.as_ref().map(|figures| (now - figures.updated).max(0.0));
        let stopped = self.figures.as_ref().is_some_and(|figures| figures.state.as_deref() == Some("stopped"));
        let silent = age.filter(|&age| age >= SILENT && !stopped);
        let silent = silent.map(|age| {
            format!("the trainer has said nothing for {:.0} minutes: does it still run?", (age / 60.0).floor())
        });
        let is_silent = silent.is_some();
        let trouble = self.wrong.clone().or(silent);
        self.say(self.wrong.clone().or_else(|| is_silent.then(String::new)), trouble.as_deref());
        Some(TrainerStatus {
            file: self.path.display().to_string(),
            age_seconds: age,
            trouble,
            figures: self.figures.clone(),
        })
    }

    /// Says what is wrong, once, and that nothing is any more. `kind`: the same for as long as it need not be said again.
    fn say(&mut self, kind: Option<String>, trouble: Option<&str>) {
        if self.said == kind {
            return;
        }
        self.said = kind;
        match trouble {
            Some(trouble) => tracing::warn!("the trainer's figures: {trouble}"),
            None => tracing::info!("the trainer's figures can be read, and are new"),
        }
    }

    /// What the file says, and what in it is odd; `None` where it is as it was at the last look.
    fn read(&mut self) -> io::Result<Option<(TrainerFigures, Option<String>)>> {
        // Opening a pipe would wait for a writer.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let file = fs::File::open(&self.path)?;
        let metadata = file.metadata()?;
        let seen = (metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        if self.seen == Some(seen) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes")));
        }
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let read = understand(&bytes, modified.map_or(0.0, |since| since.as_secs_f64())).map_err(io::Error::other)?;
        self.seen = Some(seen);
        Ok(Some(read))
    }
}

/// What `bytes`, last changed at `modified`, say, and what in them is odd.
///
/// # Errors
/// When they are no JSON object, with a sentence that says so.
fn understand(bytes: &[u8], modified: f64) -> Result<(TrainerFigures, Option<String>), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())?;
    let fields: Map<String, Value> =
        serde_json::from_str(&finite(text)).map_err(|error| format!("it is no JSON object: {error}"))?;
    let mut figures = TrainerFigures { updated: modified, ..TrainerFigures::default() };
    let (mut infinite, mut odd) = (Vec::new(), Vec::new());
    let mut number = |name: &str, value: Option<&Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(word)) if word == NOT_FINITE => {
            infinite.push(name.to_owned());
            None
        }
        Some(value) => {
            let number = value.as_f64().filter(|number| number.is_finite());
            if number.is_none() {
                odd.push(name.to_owned());
            }
            number
        }
    };
    // No time is later than that of the file: a clock was wrong, or it is in milliseconds.
    figures.updated = number("updated", fields.get("updated")).map_or(modified, |updated| updated.min(modified));
    for (name, field) in NUMBERS {
        *field(&mut figures) = number(name, fields.get(name));
    }
    for (name, field) in WHOLE {
        // Python may write 7 as 7.0.
        *field(&mut figures) = number(name, fields.get(name)).map(|number| number as i64);
    }
    match fields.get("state") {
        Some(Value::String(state)) => {
            figures.state = Some(state.chars().filter(|letter| !letter.is_control()).take(MOST_TEXT).collect())
        }
        None | Some(Value::Null) => {}
        Some(_) => odd.push("state".to_owned()),
    }
    let trouble = if infinite.is_empty() {
        (!odd.is_empty()).then(|| format!("{} in {NAME} cannot be understood and counts as not said", odd.join(", ")))
    } else {
        let which = infinite.join(", ");
        Some(format!(
            "{which} of the trainer is no finite number: training has diverged; go back to an earlier checkpoint and lower the learning rate"
        ))
    };
    Ok((figures, trouble))
}

/// What stands for a number that is none.
const NOT_FINITE: &str = "not finite";

/// The text with `NaN` and `Infinity`, which Python writes and JSON does not have, as [`NOT_FINITE`].
fn finite(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut quoted) = (text, false);
    while let Some(character) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !quoted && rest.starts_with(word));
        if let Some(word) = word {
            out.push_str(&format!("\"{NOT_FINITE}\""));
            rest = &rest[word.len()..];
            continue;
        }
        if quoted && character == '\\' {
            let escaped: usize = rest.chars().take(2).map(char::len_utf8).sum();
            out.push_str(&rest[..escaped]);
            rest = &rest[escaped..];
            continue;
        }
        quoted ^= character == '"';
        out.push(character);
        rest = &rest[character.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ALL: &str = r#"{"updated": 990.5, "state": "training", "version": 7, "step": 1200, "loss": 1.5, "policy_loss": 1.1,
        "value_loss": 0.4, "learning_rate": 0.001, "gradient_norm": 0.7, "window_rows": 20000, "rows": 51000,
        "samples_per_second": 900.5, "samples_per_row": 3.9, "later": {"more": [1]}}"#;

    fn write(dir: &TempDir, text: &str) -> PathBuf {
        let path = dir.path().join(NAME);
        let new = dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    /// A file at two looks.
    fn read_once(path: &Path) -> Option<TrainerStatus> {
        let mut file = TrainerFile::new(path.to_owned());
        file.look(1000.0);
        file.look(1000.0)
    }

    #[test]
    fn everything_the_trainer_says_is_read_and_all_of_it_may_be_missing() {
        let dir = TempDir::new().unwrap();
        assert_eq!(read_once(&dir.path().join(NAME)), None);
        let status = read_once(&write(&dir, ALL)).unwrap();
        let figures = status.figures.unwrap();
        assert_eq!((status.age_seconds, status.trouble), (Some(9.5), None));
        assert_eq!(
            (figures.state.as_deref(), figures.version, figures.samples_per_row),
            (Some("training"), Some(7), Some(3.9))
        );
        let values = serde_json::to_value(&figures).unwrap();
        assert!(values.as_object().unwrap().values().all(|value| !value.is_null()), "{values}");
        let little = read_once(&write(&dir, r#"{"updated": 999, "loss": null}"#)).unwrap();
        assert_eq!(little.figures.unwrap(), TrainerFigures { updated: 999.0, ..TrainerFigures::default() });
        assert_eq!(little.trouble, None);
        // Without a time, or with one to come, it is that of the file, which is of today.
        let today = fs::metadata(write(&dir, "{}")).unwrap().modified().unwrap();
        let today = today.duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        for text in ["{}", r#"{"updated": 1764500000500}"#] {
            let mut file = TrainerFile::new(write(&dir, text));
            let age = file.look(today + 1000.0).unwrap().age_seconds.unwrap();
            assert!((900.0..=1000.0).contains(&age), "{text}: {age}");
        }
    }

    #[test]
    fn rubbish_is_told_in_words_and_costs_nothing_that_was_said_before() {
        let dir = TempDir::new().unwrap();
        let mut file = TrainerFile::new(write(&dir, ALL));
        file.look(1000.0);
        for (text, words) in [
            ("", "it is no JSON object"),
            (r#"{"updated": 99"#, "it is no JSON object"),
            ("[1, 2]", "it is no JSON object"),
            (&"[".repeat(60_000), "it is no JSON object"),
            (&" ".repeat(70_000), "more than 65536 bytes"),
        ] {
            write(&dir, text);
            assert_eq!(file.look(1000.0).unwrap().trouble, None, "it may have been seen half: {words}");
            let status = file.look(1000.0).unwrap();
            assert!(status.trouble.as_ref().unwrap().contains(words), "{:?}", status.trouble);
            assert_eq!(status.figures.unwrap().step, Some(1200));
            write(&dir, ALL);
            assert_eq!(file.look(1000.0).unwrap().trouble, None);
        }
        fs::remove_file(dir.path().join(NAME)).unwrap();
        assert_eq!(file.look(1000.0), None, "who takes it away has no trainer");
        fs::create_dir(dir.path().join(NAME)).unwrap();
        file.look(1000.0);
        assert!(file.look(1000.0).unwrap().trouble.unwrap().contains("no regular file"));
    }

    #[test]
    fn what_cannot_be_understood_is_left_out_and_named() {
        let dir = TempDir::new().unwrap();
        let status = read_once(&write(&dir, r#"{"updated": 999, "loss": "low", "state": 3, "step": 5}"#)).unwrap();
        assert_eq!(status.trouble.unwrap(), "loss, state in trainer.json cannot be understood and counts as not said");
        let figures = status.figures.unwrap();
        assert_eq!((figures.loss, figures.step), (None, Some(5)));
        let long = format!(r#"{{"state": "{}"}}"#, "é".repeat(500));
        assert_eq!(read_once(&write(&dir, &long)).unwrap().figures.unwrap().state.unwrap().chars().count(), MOST_TEXT);
    }

    #[test]
    fn a_loss_that_is_no_number_is_divergence() {
        let dir = TempDir::new().unwrap();
        let text = r#"{"updated": 999, "loss": NaN, "value_loss": -Infinity, "state": "NaN \" Infinity", "step": 5}"#;
        let status = read_once(&write(&dir, text)).unwrap();
        let trouble = status.trouble.unwrap();
        assert!(
            trouble.starts_with("loss, value_loss of the trainer is no finite number: training has diverged"),
            "{trouble}"
        );
        assert_eq!(status.figures.unwrap().state.as_deref(), Some("NaN \" Infinity"));
    }

    #[test]
    fn a_trainer_that_says_nothing_any_more_is_told_unless_it_stopped() {
        let dir = TempDir::new().unwrap();
        let mut file = TrainerFile::new(write(&dir, ALL));
        assert_eq!(file.look(1000.0).unwrap().trouble, None);
        let status = file.look(990.5 + 300.0).unwrap();
        assert_eq!(status.trouble.unwrap(), "the trainer has said nothing for 5 minutes: does it still run?");
        write(&dir, &ALL.replace("training", "stopped"));
        assert_eq!(file.look(9999.0).unwrap().trouble, None);
    }

    #[test]
    fn it_is_looked_for_beside_the_models() {
        let place =
            |source: Option<&str>, latest: Option<&str>| super::place(source.map(Path::new), latest.map(Path::new));
        assert_eq!(place(None, None), None);
        assert_eq!(place(None, Some("/run/latest.yaml")), Some("/run/trainer.json".into()));
        assert_eq!(place(Some("/run/models"), None), Some("/run/models/trainer.json".into()));
        assert_eq!(place(Some("/run/best.onnx"), None), Some("/run/trainer.json".into()));
    }
}
