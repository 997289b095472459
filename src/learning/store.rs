//! Where rows are kept: in the folder `learning/` of the output directory, a file for each daemon that plays into it.
//!
//! | | |
//! |---|---|
//! | `PID-RANDOM.jsonl` | a line about the file, then a line for each version with the sums of this daemon's games; replaced in one step |
//! | `PID-RANDOM.lock` | locked while the daemon lives; there before the other |
//!
//! Each daemon writes its own file and reads those of the others, so that none needs another's leave. The file of a daemon that has ended
//! is taken over by whichever looks next: its sums go into that one's own file, which first names it as taken over; then it is removed.
//! A crash in between counts nothing twice.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use selfplay_engine::replay::SessionId;
use serde::{Deserialize, Serialize};

use super::rows::{Row, Rows};

/// Name of the folder in the output directory.
pub(super) const NAME: &str = "learning";
/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 8 << 20;
/// Files of other daemons that are read.
const MOST_FILES: usize = 256;

/// The first line of a file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    /// Of the form of the file.
    learning: u32,
    /// Files whose rows are in this one.
    taken_over: BTreeSet<String>,
}

/// The form that is written.
const FORM: u32 = 1;

/// The folder, and this daemon's files in it.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    own: String,
    taken_over: BTreeSet<String>,
    /// Held once something is written; closing it gives it back.
    lock: Option<File>,
}

/// A file of another daemon.
struct Other {
    name: String,
    /// Its lock where its daemon has ended.
    dead: Option<File>,
    head: Head,
    rows: Rows,
}

impl Store {
    /// The folder in `dir`, for the daemon that is called `own`. Nothing is in it before that daemon has something to write.
    pub(super) fn new(dir: &Path, own: &str) -> Self {
        Self { dir: dir.join(NAME), own: own.to_owned(), taken_over: BTreeSet::new(), lock: None }
    }

    /// Takes into `own` what daemons have left that ended, and writes it; what the others have that live.
    ///
    /// # Errors
    /// When it cannot be written. Then nothing was taken over.
    pub(super) fn look(&mut self, own: &mut Rows) -> io::Result<Rows> {
        let others = self.others()?;
        let taken_over: BTreeSet<_> = others.iter().flat_map(|other| &other.head.taken_over).cloned().collect();
        let mut live = Rows::default();
        let mut whole = own.clone();
        let mut dead = Vec::new();
        for other in &others {
            let counts_elsewhere = taken_over.contains(&other.name) || self.taken_over.contains(&other.name);
            match (&other.dead, counts_elsewhere) {
                (None, true) => {}
                (None, false) => live.merge(&other.rows),
                (Some(_), counts_elsewhere) => {
                    if !counts_elsewhere {
                        whole.merge(&other.rows);
                    }
                    dead.push(other.name.clone());
                }
            }
        }
        if !dead.is_empty() {
            let before = self.taken_over.clone();
            self.taken_over.extend(dead.iter().cloned());
            if let Err(error) = self.write(&whole) {
                self.taken_over = before;
                return Err(error);
            }
            *own = whole;
            for name in &dead {
                // Should that fail, it is tried again at the next look, and is not counted meanwhile.
                let removed = fs::remove_file(self.path(name, "jsonl"));
                if removed.is_ok() || removed.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
                    ["new", "lock"]
                        .into_iter()
                        .for_each(|rest| fs::remove_file(self.path(name, rest)).unwrap_or_default());
                    self.taken_over.remove(name);
                }
            }
        }
        Ok(live)
    }

    /// Replaces this daemon's file.
    ///
    /// # Errors
    /// When it cannot be written. Then the one before is still there.
    pub(super) fn write(&mut self, rows: &Rows) -> io::Result<()> {
        self.hold()?;
        let new = self.path(&self.own, "new");
        let write = || -> io::Result<()> {
            let mut file = io::BufWriter::new(File::create(&new)?);
            serde_json::to_writer(&mut file, &Head { learning: FORM, taken_over: self.taken_over.clone() })?;
            for row in rows.iter() {
                file.write_all(b"\n")?;
                serde_json::to_writer(&mut file, row)?;
            }
            file.write_all(b"\n")?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_data()?;
            fs::rename(&new, self.path(&self.own, "jsonl"))
        };
        let written = write();
        if written.is_err() {
            fs::remove_file(&new).ok();
        }
        written
    }

    /// Holds the lock, anew where someone has removed the folder.
    fn hold(&mut self) -> io::Result<()> {
        if self.lock.is_none() || !self.path(&self.own, "lock").exists() {
            fs::create_dir_all(&self.dir)?;
            let lock = lock_file(&self.dir, &self.own)?;
            lock.try_lock()?;
            self.lock = Some(lock);
        }
        Ok(())
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.dir.join(format!("{name}.{ending}"))
    }

    fn others(&self) -> io::Result<Vec<Other>> {
        let mut others = Vec::new();
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(others),
            entries => entries?,
        };
        for entry in entries {
            if others.len() == MOST_FILES {
                break;
            }
            let path = entry?.path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
            let is_ours = path.extension().is_some_and(|ending| ending == "jsonl");
            let is_ours = |name: &String| is_ours && *name != self.own && name.parse::<SessionId>().is_ok();
            let Some(name) = name.filter(is_ours) else { continue };
            // It is looked at once it is known whether its daemon lives, which else might write it meanwhile.
            let lock = lock_file(&self.dir, &name)?;
            let dead = match lock.try_lock() {
                Ok(()) => Some(lock),
                Err(TryLockError::WouldBlock) => None,
                Err(TryLockError::Error(error)) => return Err(error),
            };
            // What is of another form is left alone: it may be of a later version.
            let Some((head, rows)) = read(&path)?.filter(|(head, _)| head.learning == FORM) else { continue };
            others.push(Other { name, dead, head, rows });
        }
        Ok(others)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Of a daemon that could write nothing, nothing is left.
        if self.lock.is_some() && !self.path(&self.own, "jsonl").exists() {
            fs::remove_file(self.path(&self.own, "lock")).ok();
        }
    }
}

fn lock_file(dir: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(format!("{name}.lock")))
}

/// What a file holds, without lines that are none; `None` where there is no file any more.
fn read(path: &Path) -> io::Result<Option<(Head, Rows)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let head = lines.next().and_then(|line| serde_json::from_slice::<Head>(line).ok()).unwrap_or_default();
    let mut rows = Rows::default();
    lines.filter_map(|line| serde_json::from_slice::<Row>(line).ok()).for_each(|row| rows.add(&row));
    Ok(Some((head, rows)))
}

#[cfg(test)]
mod tests {
    use selfplay_actors::learning::VersionSums;
    use tempfile::TempDir;

    use super::*;

    fn rows(version: i64, games: u64) -> Rows {
        let mut rows = Rows::default();
        rows.learn(version, &VersionSums { games, ..VersionSums::default() }, 1.0);
        rows
    }

    /// Version and games of each row.
    fn told(rows: &Rows) -> Vec<(i64, u64)> {
        rows.iter().map(|row| (row.version, row.sums.games)).collect()
    }

    fn files(dir: &TempDir) -> usize {
        fs::read_dir(dir.path().join(NAME)).unwrap().count()
    }

    #[test]
    fn daemons_of_a_directory_see_each_others_games_and_write_only_their_own() {
        let dir = TempDir::new().unwrap();
        let [mut one, mut two] = ["1-0000000a", "2-0000000b"].map(|name| Store::new(dir.path(), name));
        let (mut of_one, mut of_two) = (rows(3, 5), rows(3, 7));
        one.write(&of_one).unwrap();
        two.write(&of_two).unwrap();
        for _ in 0..3 {
            assert_eq!((told(&one.look(&mut of_one).unwrap()), told(&of_one)), (vec![(3, 7)], vec![(3, 5)]));
            assert_eq!((told(&two.look(&mut of_two).unwrap()), told(&of_two)), (vec![(3, 5)], vec![(3, 7)]));
        }
        assert!(Store::new(dir.path(), "1-0000000a").write(&of_one).is_err(), "it is in use");
    }

    #[test]
    fn what_a_daemon_left_that_ended_is_taken_over_once() {
        let dir = TempDir::new().unwrap();
        Store::new(dir.path(), "1-0000000a").write(&rows(3, 5)).unwrap();
        let [mut two, mut three] = ["2-0000000b", "3-0000000c"].map(|name| Store::new(dir.path(), name));
        let (mut of_two, mut of_three) = (rows(4, 1), Rows::default());
        assert_eq!(told(&two.look(&mut of_two).unwrap()), []);
        assert_eq!(told(&of_two), [(3, 5), (4, 1)]);
        assert_eq!((told(&three.look(&mut of_three).unwrap()), told(&of_three)), (vec![(3, 5), (4, 1)], vec![]));
        assert_eq!(files(&dir), 2, "a file and its lock");
        drop((two, three));
        let mut four = Store::new(dir.path(), "4-0000000d");
        let mut of_four = Rows::default();
        four.look(&mut of_four).unwrap();
        assert_eq!(told(&of_four), [(3, 5), (4, 1)]);
    }

    #[test]
    fn a_crash_between_taking_over_and_removing_counts_nothing_twice() {
        let dir = TempDir::new().unwrap();
        Store::new(dir.path(), "1-0000000a").write(&rows(3, 5)).unwrap();
        let left = dir.path().join(NAME).join("1-0000000a.jsonl");
        let kept = fs::read(&left).unwrap();
        let mut two = Store::new(dir.path(), "2-0000000b");
        let mut of_two = Rows::default();
        two.look(&mut of_two).unwrap();
        // As if it had been killed before it removed the file.
        two.taken_over.insert("1-0000000a".to_owned());
        two.write(&of_two).unwrap();
        fs::write(&left, &kept).unwrap();
        let mut three = Store::new(dir.path(), "3-0000000c");
        let mut of_three = Rows::default();
        let live = three.look(&mut of_three).unwrap();
        assert_eq!((told(&live), told(&of_three), left.exists()), (vec![(3, 5)], vec![], false));
        drop((two, three));
        fs::write(&left, &kept).unwrap();
        let mut of_four = Rows::default();
        let live = Store::new(dir.path(), "4-0000000d").look(&mut of_four).unwrap();
        assert_eq!((told(&live), told(&of_four), left.exists()), (vec![], vec![(3, 5)], false));
    }

    #[test]
    fn a_daemon_whose_folder_was_removed_writes_again_and_still_counts_as_living() {
        let dir = TempDir::new().unwrap();
        let [mut one, mut two] = ["1-0000000a", "2-0000000b"].map(|name| Store::new(dir.path(), name));
        let mut of_one = rows(3, 5);
        one.write(&of_one).unwrap();
        fs::remove_dir_all(dir.path().join(NAME)).unwrap();
        assert_eq!(told(&one.look(&mut of_one).unwrap()), []);
        one.write(&of_one).unwrap();
        let mut of_two = Rows::default();
        assert_eq!((told(&two.look(&mut of_two).unwrap()), told(&of_two)), (vec![(3, 5)], vec![]));
    }

    #[test]
    fn many_files_of_others_and_what_a_killed_daemon_left_hide_no_daemon() {
        let dir = TempDir::new().unwrap();
        Store::new(dir.path(), "1-0000000a").write(&rows(3, 5)).unwrap();
        let folder = dir.path().join(NAME);
        (0..2 * MOST_FILES).for_each(|foreign| fs::write(folder.join(format!("{foreign}.lock")), "").unwrap());
        fs::write(folder.join("1-0000000a.new"), "torn").unwrap();
        let mut of_two = Rows::default();
        Store::new(dir.path(), "2-0000000b").look(&mut of_two).unwrap();
        assert_eq!((told(&of_two), folder.join("1-0000000a.new").exists()), (vec![(3, 5)], false));
    }

    #[test]
    fn torn_lines_foreign_files_and_later_forms_cost_no_other() {
        let dir = TempDir::new().unwrap();
        let folder = dir.path().join(NAME);
        let mut store = Store::new(dir.path(), "1-0000000a");
        let whole = rows(3, 5);
        store.write(&whole).unwrap();
        let text = fs::read_to_string(folder.join("1-0000000a.jsonl")).unwrap();
        fs::write(folder.join("2-0000000b.jsonl"), format!("{text}{{\"version\": 4, \"su")).unwrap();
        fs::write(folder.join("3-0000000c.jsonl"), b"\xff\xfe\n{\"version\": 9}\n").unwrap();
        fs::write(folder.join("4-0000000d.jsonl"), text.replace("\"learning\":1", "\"learning\":2")).unwrap();
        for foreign in ["notes.txt", "mine.jsonl"] {
            fs::write(folder.join(foreign), "mine").unwrap();
        }
        let mut own = Rows::default();
        assert_eq!(told(&store.look(&mut own).unwrap()), []);
        assert_eq!(told(&own), [(3, 5)]);
        for left_alone in ["notes.txt", "mine.jsonl", "3-0000000c.jsonl", "4-0000000d.jsonl"] {
            assert!(folder.join(left_alone).exists(), "{left_alone}");
        }
    }
}
