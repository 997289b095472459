//! Where new models are looked for, and how files become a candidate: they are believed once two looks saw all of them alike.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::latest;

/// Where models come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelOrigin {
    /// One model for the life of the process.
    Fixed {
        /// Its file; `None` for evaluators that need none.
        path: Option<PathBuf>,
        /// The version recorded with its games.
        version: i64,
    },
    /// The newest there is, looked for every `poll`.
    Follow {
        /// Where.
        followed: Followed,
        /// Time between two looks.
        poll: Duration,
    },
}

/// What is looked at for models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// The trainer's `latest.yaml`, which names file and version.
    LatestYaml(PathBuf),
    /// The newest `*.onnx` of a directory.
    Directory(PathBuf, NewestBy),
    /// One `.onnx` file, whenever it changes. Its version is the last number in its name, else the time of its change in
    /// seconds since 1970.
    File(PathBuf),
}

/// What makes a model of a directory the newest. Names that begin with a dot are passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewestBy {
    /// The last number in its name, which is its version; names without one are passed over.
    Name,
    /// The time of its last change. Its version is the last number in its name, else that time in seconds since 1970.
    Time,
}

impl Followed {
    /// What `path` most likely is: a directory that is there, else by its name's ending, else a directory yet to come.
    #[must_use]
    pub fn of(path: &Path, newest_by: NewestBy) -> Self {
        let ending = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        match ending.as_deref().filter(|_| !path.is_dir()) {
            Some("onnx") => Self::File(path.to_owned()),
            Some("yaml" | "yml") => Self::LatestYaml(path.to_owned()),
            _ => Self::Directory(path.to_owned(), newest_by),
        }
    }

    /// For people, to follow "waiting for a model".
    pub(super) fn describe(&self) -> String {
        match self {
            Self::LatestYaml(path) => format!("named by {}", path.display()),
            Self::Directory(path, _) => format!("in {}", path.display()),
            Self::File(path) => format!("at {}", path.display()),
        }
    }
}

/// A file that may be a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// The version recorded with its games.
    pub version: i64,
    /// Checksum that was announced with it, 64 hexadecimal digits.
    pub sha256: Option<String>,
}

/// What tells whether a file has changed, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Changes with permissions and links too.
    changed: (i64, i64),
}

impl Fingerprint {
    /// `None` where there is no file, or none that can be looked at.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A candidate as it was seen, with every file that it consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenFiles {
    pub(super) candidate: Candidate,
    /// Of its own file; `None`: it is not there.
    pub(super) fingerprint: Option<Fingerprint>,
    /// Of each file that it keeps weights in, as far as these are known.
    pub(super) weights: Vec<(PathBuf, Option<Fingerprint>)>,
}

impl SeenFiles {
    fn of(candidate: Candidate, weights: impl IntoIterator<Item = PathBuf>) -> Self {
        let fingerprint = Fingerprint::of(&candidate.path);
        let seen = |path: PathBuf| (path.clone(), Fingerprint::of(&path));
        Self { candidate, fingerprint, weights: weights.into_iter().map(seen).collect() }
    }

    /// Whether the same files are now as they were seen.
    pub(super) fn are_unchanged(&self) -> bool {
        *self == Self::of(self.candidate.clone(), self.weights.iter().map(|(path, _)| path.clone()))
    }

    /// Whether they are of the model that was `taken`, none of them changed. Some may be gone: trainers may remove what they
    /// have handed over.
    pub(super) fn belong_to(&self, taken: &Self) -> bool {
        let own = self.fingerprint.is_none()
            || self.candidate.path == taken.candidate.path && self.fingerprint == taken.fingerprint;
        let unchanged = |file: &(PathBuf, Option<Fingerprint>)| file.1.is_none() || taken.weights.contains(file);
        self.candidate.version == taken.candidate.version && own && self.weights.iter().all(unchanged)
    }
}

/// What a look at the source of models shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing that may be a model.
    Nothing,
    /// Something that was not there at the look before, or not like this; the model, where one can be told.
    Changing(Option<Candidate>),
    /// A model whose files are all as they were at the look before.
    Still(SeenFiles),
    /// What cannot be understood, with a sentence that says why. The look before showed the same.
    Unreadable(String),
}

/// Looks for models again and again.
#[derive(Debug)]
pub(super) struct Feed {
    followed: Followed,
    last: Option<Result<Option<SeenFiles>, String>>,
    /// The last model's own file, and the files that it keeps weights in.
    weights: Option<(PathBuf, Fingerprint, Vec<PathBuf>)>,
}

impl Feed {
    pub(super) const fn new(followed: Followed) -> Self {
        Self { followed, last: None, weights: None }
    }

    pub(super) const fn followed(&self) -> &Followed {
        &self.followed
    }

    /// The newest model there is. Once it is still, every look says so again. `weights` tells which files a model keeps weights
    /// in; it is asked once its own file is still, and then again only when that changes.
    pub(super) fn look(&mut self, weights: impl FnOnce(&Path) -> Vec<PathBuf>) -> Seen {
        let candidate = match &self.followed {
            Followed::LatestYaml(path) => latest::read(path),
            Followed::Directory(path, newest_by) => newest(path, *newest_by),
            Followed::File(path) => Ok(file(path)),
        };
        let mut seen = candidate.map(|candidate| candidate.map(|candidate| self.see(candidate)));
        if self.last.as_ref() == Some(&seen)
            && let Ok(Some(SeenFiles { candidate, fingerprint: Some(fingerprint), .. })) = &seen
            && self.weights_of(&candidate.path, *fingerprint).is_none()
        {
            self.weights = Some((candidate.path.clone(), *fingerprint, weights(&candidate.path)));
            seen = Ok(Some(self.see(candidate.clone())));
        }
        let is_still = self.last.as_ref() == Some(&seen);
        self.last = Some(seen.clone());
        match seen {
            Ok(Some(files)) if is_still => Seen::Still(files),
            Ok(files) if !is_still => Seen::Changing(files.map(|files| files.candidate)),
            Err(reason) if is_still => Seen::Unreadable(reason),
            Err(_) => Seen::Changing(None),
            Ok(_) => Seen::Nothing,
        }
    }

    fn see(&self, candidate: Candidate) -> SeenFiles {
        let known = Fingerprint::of(&candidate.path).and_then(|own| self.weights_of(&candidate.path, own));
        let weights = known.unwrap_or_default().to_vec();
        SeenFiles::of(candidate, weights)
    }

    /// Files that the model at `path` keeps weights in, if it has been asked while it was like this.
    fn weights_of(&self, path: &Path, own: Fingerprint) -> Option<&[PathBuf]> {
        let known = self.weights.as_ref().filter(|(asked, was, _)| asked == path && *was == own);
        known.map(|(.., files)| files.as_slice())
    }
}

fn file(path: &Path) -> Option<Candidate> {
    let modified = fs::metadata(path).ok().map(|metadata| seconds(metadata.modified()))?;
    let version = last_number(path).unwrap_or(modified);
    Some(Candidate { path: path.to_owned(), version, sha256: None })
}

fn newest(dir: &Path, newest_by: NewestBy) -> Result<Option<Candidate>, String> {
    let failed = |error: io::Error| format!("failed to look for models in {}: {error}", dir.display());
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut newest: Option<((SystemTime, i64), Candidate)> = None;
    let mut unnumbered = None;
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        // What was removed since it was listed is no candidate.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let (time, version) = match (newest_by, last_number(&path)) {
            (NewestBy::Name, Some(version)) => (UNIX_EPOCH, version),
            (NewestBy::Name, None) => {
                unnumbered = Some(path);
                continue;
            }
            (NewestBy::Time, version) => (modified, version.unwrap_or_else(|| seconds(Ok(modified)))),
        };
        // Of equals the last by name, so that the order of the directory does not matter.
        let newer = newest.as_ref().is_none_or(|(rank, best)| (*rank, &best.path) < ((time, version), &path));
        if metadata.is_file() && newer {
            newest = Some(((time, version), Candidate { path, version, sha256: None }));
        }
    }
    match (newest, unnumbered) {
        (Some((_, candidate)), _) => Ok(Some(candidate)),
        (None, Some(path)) => {
            let remedy = "name models by their version, such as model_12.onnx, or set model.newest_by to \"time\"";
            Err(format!("there is no number in the name of {}: {remedy}", path.display()))
        }
        (None, None) => Ok(None),
    }
}

fn seconds(modified: io::Result<SystemTime>) -> i64 {
    let since = modified.ok().and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs().cast_signed())
}

/// The last number in a file's name, its ending left out.
fn last_number(path: &Path) -> Option<i64> {
    let stem = path.file_stem()?.to_str()?;
    let end = stem.rfind(|character: char| character.is_ascii_digit())? + 1;
    let start = stem[..end]
        .rfind(|character: char| !character.is_ascii_digit())
        .map_or(0, |before| before + stem[before..].chars().next().map_or(1, char::len_utf8));
    stem[start..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// A file last changed `age` seconds after 2001.
        fn write(&self, name: &str, age: u64) {
            let path = self.0.path().join(name);
            fs::write(&path, name).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000 + age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }

        /// Name and version of the newest.
        fn newest(&self, by: NewestBy) -> Result<Option<(String, i64)>, String> {
            let mut feed = Feed::new(Followed::of(self.0.path(), by));
            assert!(matches!(feed.look(alone), Seen::Changing(_)), "one look is not enough");
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            match feed.look(alone) {
                Seen::Still(seen) => Ok(Some((name(&seen.candidate.path), seen.candidate.version))),
                Seen::Nothing => Ok(None),
                Seen::Unreadable(reason) => Err(reason),
                Seen::Changing(_) => panic!("nothing changed"),
            }
        }
    }

    /// A model that keeps its weights itself.
    fn alone(_: &Path) -> Vec<PathBuf> {
        Vec::new()
    }

    fn still(seen: Seen) -> SeenFiles {
        if let Seen::Still(files) = seen { files } else { panic!("{seen:?}") }
    }

    fn model(name: &str, version: i64) -> Result<Option<(String, i64)>, String> {
        Ok(Some((name.to_owned(), version)))
    }

    #[test]
    fn the_last_number_of_a_name_counts() {
        for (name, number) in [
            ("model_12.onnx", Some(12)),
            ("12.onnx", Some(12)),
            ("run3_model_007_final.onnx", Some(7)),
            ("é5.onnx", Some(5)),
            ("5é.onnx", Some(5)),
            ("model.onnx", None),
            (".onnx", None),
            ("model_99999999999999999999.onnx", None),
        ] {
            assert_eq!(last_number(Path::new(name)), number, "{name}");
        }
    }

    #[test]
    fn the_newest_by_name_has_the_largest_number() {
        let folder = Folder::new();
        assert_eq!(folder.newest(NewestBy::Name), Ok(None));
        folder.write("model_9.onnx", 50);
        folder.write("model_10.onnx", 10);
        for other in [".model_99.onnx", "model_99.onnx.tmp", "model_99.pt", "best.onnx"] {
            folder.write(other, 90);
        }
        fs::create_dir(folder.0.path().join("model_77.onnx")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.0.path().join("model_88.onnx")).unwrap();
        assert_eq!(folder.newest(NewestBy::Name), model("model_10.onnx", 10));
        assert_eq!(folder.newest(NewestBy::Time), model("best.onnx", 1_000_000_090));
        folder.write("model_3.onnx", 100);
        assert_eq!(folder.newest(NewestBy::Time), model("model_3.onnx", 3));
        folder.write("other_10.onnx", 10);
        assert_eq!(folder.newest(NewestBy::Name), model("other_10.onnx", 10));
    }

    #[test]
    fn a_directory_of_names_without_numbers_is_explained() {
        let folder = Folder::new();
        folder.write("best.onnx", 0);
        let error = folder.newest(NewestBy::Name).unwrap_err();
        assert!(error.contains("best.onnx") && error.contains("model.newest_by"), "{error}");
    }

    #[test]
    fn one_file_is_followed_through_its_changes() {
        let folder = Folder::new();
        let path = folder.0.path().join("best.onnx");
        let mut feed = Feed::new(Followed::of(&path, NewestBy::Name));
        assert_eq!(*feed.followed(), Followed::File(path.clone()));
        assert_eq!((feed.look(alone), feed.look(alone)), (Seen::Changing(None), Seen::Nothing));
        folder.write("best.onnx", 5);
        assert!(matches!(feed.look(alone), Seen::Changing(Some(_))));
        let first = still(feed.look(alone));
        assert_eq!(first.candidate.version, 1_000_000_005);
        assert_eq!(still(feed.look(alone)), first);
        // The same length at the same time is another file all the same.
        folder.write("new", 5);
        folder.write("best.onnx.new", 5);
        fs::rename(folder.0.path().join("best.onnx.new"), &path).unwrap();
        assert!(matches!(feed.look(alone), Seen::Changing(Some(_))));
        let second = still(feed.look(alone));
        assert_ne!(second.fingerprint, first.fingerprint);
        assert!(!second.belong_to(&first) && second.belong_to(&second));
    }

    #[test]
    fn a_model_is_still_once_all_its_files_are() {
        let folder = Folder::new();
        let path = |name: &str| folder.0.path().join(name);
        let asked = std::cell::Cell::new(0);
        let weights = |model: &Path| {
            asked.set(asked.get() + 1);
            assert_eq!(model, path("model_1.onnx"));
            vec![path("w.bin"), path("v.bin")]
        };
        let changing = |seen: Seen| matches!(seen, Seen::Changing(Some(Candidate { version: 1, .. })));
        let mut feed = Feed::new(Followed::File(path("model_1.onnx")));
        folder.write("model_1.onnx", 0);
        folder.write("v.bin", 0);
        assert!(changing(feed.look(weights)) && asked.get() == 0);
        assert!(changing(feed.look(weights)), "its weights were not looked at before");
        let without = still(feed.look(weights));
        assert_eq!(without.weights.iter().map(|(_, seen)| seen.is_some()).collect::<Vec<_>>(), [false, true]);
        folder.write("w.bin", 1);
        assert!(changing(feed.look(weights)) && !without.are_unchanged());
        let whole = still(feed.look(weights));
        assert!(whole.are_unchanged() && !whole.belong_to(&without));
        // As when space is allocated first and filled later: the same length at another time.
        folder.write("w.bin", 2);
        assert!(changing(feed.look(weights)));
        let filled = still(feed.look(weights));
        assert!(!filled.belong_to(&whole));
        assert_eq!(asked.get(), 1, "the model itself did not change");
        fs::remove_file(path("v.bin")).unwrap();
        assert!(changing(feed.look(weights)));
        assert!(still(feed.look(weights)).belong_to(&filled), "what serves may be removed");
        folder.write("model_1.onnx", 9);
        assert!(changing(feed.look(weights)) && changing(feed.look(weights)) && asked.get() == 2);
    }

    #[test]
    fn what_is_followed_is_known_by_what_it_is_and_then_by_its_name() {
        let folder = Folder::new();
        let path = |name: &str| folder.0.path().join(name);
        fs::create_dir(path("dir.onnx")).unwrap();
        let of = |name: &str| Followed::of(&path(name), NewestBy::Time);
        assert_eq!(of("latest.yaml"), Followed::LatestYaml(path("latest.yaml")));
        assert_eq!(of("latest.yml"), Followed::LatestYaml(path("latest.yml")));
        assert_eq!(of("model_1.onnx"), Followed::File(path("model_1.onnx")));
        assert_eq!(of("dir.onnx"), Followed::Directory(path("dir.onnx"), NewestBy::Time));
        assert_eq!(of("yet_to_come"), Followed::Directory(path("yet_to_come"), NewestBy::Time));
    }
}
